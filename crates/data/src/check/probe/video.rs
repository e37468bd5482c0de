//! Videos: decoded as training decodes them, and kept as four frames of 8 × 8 pixels.

use super::{Facts, Probe, Source};
use crate::Result;
use crate::check::fingerprint::{Fingerprint, VALUES};
use crate::check::gate::Gate;
use crate::processors::image::CHANNELS;
use crate::processors::video::{Clip, VideoConfig, prepare_bytes, prepare_file};
use crate::processors::{Resize, Size};

const FRAMES: usize = 4;
const SIDE: usize = 8;
/// What one look takes in this process, in bytes; the decoder has a limit of its own.
const MEMORY: u64 = 256 << 20;

pub(super) fn probe(source: &Source, gate: &Gate) -> Result<Probe> {
    let _pass = gate.enter(MEMORY);
    let config = VideoConfig {
        frames: FRAMES as u32,
        size: Size::new(SIDE as u32, SIDE as u32),
        resize: Resize::Stretch,
        ..VideoConfig::default()
    };
    let clip = match source {
        Source::File(path) => prepare_file(&config, path)?,
        Source::Bytes(bytes) => prepare_bytes(&config, bytes)?,
        Source::Stored(stored) => prepare_bytes(&config, &stored.read()?)?,
    };
    let values = values(&clip);
    // A folder of frames is no file: it is known by what it shows.
    let (content, bytes) = match source {
        Source::File(path) if path.is_dir() => (blake3::hash(&values), 0),
        source => super::hash(source)?,
    };
    Ok(Probe {
        content,
        bytes,
        facts: Facts {
            format: super::extension(source),
            seconds: Some(f64::from(clip.duration)),
            ..Facts::default()
        },
        fingerprint: Some(Fingerprint::new(f64::from(clip.duration).max(1e-3), values)),
    })
}

/// Frame by frame the channels; a clip of fewer frames shows its last one on.
fn values(clip: &Clip) -> Vec<u8> {
    let mut values = Vec::with_capacity(VALUES);
    for number in 0..FRAMES {
        let frame = &clip.frames[number.min(clip.frames.len() - 1)];
        for channel in 0..CHANNELS {
            values.extend(frame.pixels.iter().skip(channel).step_by(CHANNELS));
        }
    }
    values
}
