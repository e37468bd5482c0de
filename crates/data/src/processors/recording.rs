//! Recordings that are longer than a sound may be: read once, and heard in parts.

use super::{Feature, Fitted, Processor, Recording, invalid, read, sound, video};
use crate::Result;
use std::ops::Range;
use std::path::Path;

impl Processor {
    /// The whole recording at `path`, however long, to be heard in parts.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a processor of another modality, and what reading and decoding can refuse, with the path.
    pub fn record(&self, path: &Path) -> Result<Recording> {
        let Fitted::Audio(audio) = &self.fitted else {
            return Err(invalid("expected a processor of sounds, found another"));
        };
        let record = |bytes: &[u8]| audio.record(bytes);
        let recording = read::read(path, "a sound").and_then(|bytes| record(&bytes));
        sound(recording, || video::audio_track(path), record).map_err(|error| error.at_path(path))
    }

    /// The feature of a part of what was heard of a [`record`](Self::record)ing, the same as of a sound of its own.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    ///
    /// # Panics
    /// When not all `samples` were heard.
    pub fn listen(&self, recording: &Recording, samples: Range<usize>) -> Result<Feature> {
        match &self.fitted {
            Fitted::Audio(audio) => audio.listen(recording, samples).map(Feature::Audio),
            _ => Err(invalid("expected a processor of sounds, found another")),
        }
    }

    /// As [`listen`](Self::listen), but of whole steps alone, and up to the length that sounds are filled up to with zeros and
    /// not with what silence reads: as `transcribe` of openai-whisper hears a window.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn window(&self, recording: &Recording, samples: Range<usize>) -> Result<Feature> {
        match &self.fitted {
            Fitted::Audio(audio) => audio.window(recording, samples).map(Feature::Audio),
            _ => Err(invalid("expected a processor of sounds, found another")),
        }
    }
}
