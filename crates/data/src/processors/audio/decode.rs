//! Encoded bytes become a waveform: format by content, limits before memory, whole or not at all.

use super::codec::{Codec, Source};
use super::complete::{self, Promise};
use super::probe::{Container, probe};
use super::wave::Wave;
use super::waveform::Waveform;
use crate::shield::shielded;
use crate::{DataError, ErrorKind, Result};
use std::borrow::Cow;
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatReader, Track, TrackType};

/// The largest file, in bytes.
const MAX_BYTES: usize = 1 << 30;
/// The longest sound.
const MAX_SECONDS: u64 = 6 * 3600;
/// The largest sound, in samples of all channels together: two gigabytes of memory.
const MAX_SAMPLES: u64 = 1 << 29;
/// Below the lowest are no sounds, above the highest no recorders.
const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;
const MAX_CHANNELS: usize = 64;

/// Decodes WAV, FLAC, MP3, Ogg (Vorbis, FLAC, Opus), AAC, MP4 (AAC, ALAC, FLAC, MP3) and Matroska or
/// WebM audio, all channels, at the file's own rate; of several tracks the first. What an encoder
/// added at both ends is dropped where the file says how much that is.
///
/// # Errors
/// [`ErrorKind::Damaged`] for cut or altered bytes and for what is no audio,
/// [`ErrorKind::Unsupported`] for another format, [`ErrorKind::TooLarge`] beyond 1 GiB of file, 6
/// hours, 512 Mi samples, 64 channels or 768 kHz.
pub fn decode(bytes: &[u8]) -> Result<Waveform> {
    if bytes.is_empty() {
        return Err(DataError::new(
            ErrorKind::Damaged,
            "expected audio, found an empty file of 0 bytes; replace or remove it",
        ));
    }
    if bytes.len() > MAX_BYTES {
        return Err(too_large(&format!("a file of {} bytes", bytes.len())));
    }
    let (container, start) = probe(bytes)?;
    // A decoder's fault ends the work on this sound, not the program.
    let waveform = shielded(|| decode_as(container, bytes, start))
        .unwrap_or_else(|| Err(damaged(container, "bytes on which the decoder failed")))?;
    if waveform.length() == 0 {
        return Err(damaged(container, "no samples"));
    }
    // Every sample is looked at: a loop that may end early is not vectorised.
    let finite = |channel: &Vec<f32>| channel.iter().fold(true, |all, sample| all & sample.is_finite());
    if !waveform.channels.iter().all(finite) {
        return Err(damaged(container, "samples that are no finite numbers"));
    }
    Ok(waveform)
}

fn decode_as(container: Container, bytes: &[u8], start: usize) -> Result<Waveform> {
    let promise = match container {
        Container::Wave => {
            let wave = Wave::walk(bytes, start)?;
            let samples = match wave.is_adpcm() {
                true => wave.adpcm_samples()?,
                false => wave.plain_samples()?,
            };
            check_limits(wave.sample_rate, usize::from(wave.channels), samples)?;
            if !wave.is_adpcm() {
                return wave.decode(bytes);
            }
            // The last block is filled up: the header's count says how much of it is meant.
            Promise {
                head: wave.plain_header(bytes),
                range: wave.data.clone(),
                decoded: Some(samples),
                length: wave.samples.filter(|&promised| promised > 0 && promised < samples),
                ..Promise::default()
            }
        }
        Container::Flac => complete::flac::check(bytes, start)?,
        Container::Mp3 => complete::mpeg::check(bytes, start)?,
        Container::Adts => complete::adts::check(bytes, start)?,
        Container::Ogg => complete::ogg::check(bytes, start)?,
        Container::Mp4 => complete::mp4::check(bytes, start)?,
        Container::Matroska => complete::matroska::check(bytes, start)?,
    };
    Demux::open(container, bytes, promise)?.run()
}

/// Refuses what would take too much memory or time.
fn check_limits(sample_rate: u32, channels: usize, samples: u64) -> Result<()> {
    if !SAMPLE_RATES.contains(&sample_rate) {
        return Err(too_large(&format!("{sample_rate} samples a second")));
    }
    if channels == 0 || channels > MAX_CHANNELS {
        return Err(too_large(&format!("{channels} channels")));
    }
    if samples / u64::from(sample_rate) >= MAX_SECONDS {
        return Err(too_large("a longer one"));
    }
    if samples.saturating_mul(channels as u64) > MAX_SAMPLES {
        return Err(too_large("one of more samples"));
    }
    Ok(())
}

/// Packets of one track on their way into a waveform.
struct Demux<'a> {
    container: Container,
    promise: Promise,
    reader: Box<dyn FormatReader + 'a>,
    codec: Codec,
    track: u32,
    waveform: Waveform,
    /// Bytes that packets may still have together, so that none is read without end.
    budget: usize,
    /// Bytes of the packets that were decoded.
    packets: u64,
}

impl<'a> Demux<'a> {
    fn open(container: Container, bytes: &'a [u8], promise: Promise) -> Result<Self> {
        let part = &bytes[promise.range.clone()];
        let content = match promise.head.is_empty() {
            true => Cow::Borrowed(part),
            false => Cow::Owned([&promise.head, part].concat()),
        };
        let budget = 4 * content.len() + (64 << 10);
        let fault = |error| explain(container, &error, None);
        let reader = Source::open(container, content).map_err(fault)?;
        let track = pick(&*reader, promise.track).ok_or_else(|| damaged(container, "no track of sound"))?;
        let (codec, track) = (Codec::new(track).map_err(fault)?, track.id);
        Ok(Self {
            container,
            reader,
            codec,
            track,
            waveform: Waveform {
                sample_rate: 0,
                channels: Vec::new(),
            },
            budget,
            packets: 0,
            promise,
        })
    }

    fn run(mut self) -> Result<Waveform> {
        let mut planes = Vec::new();
        while let Some(packet) = self.reader.next_packet().map_err(|error| self.fault(&error))? {
            let cost = packet.data.len() + 1;
            self.budget = self
                .budget
                .checked_sub(cost)
                .ok_or_else(|| self.damaged("the same bytes in many packets"))?;
            if packet.track_id != self.track {
                continue;
            }
            self.codec
                .decode(&packet, &mut planes)
                .map_err(|error| self.fault(&error))?;
            self.packets += packet.data.len() as u64;
            self.append(&planes)?;
        }
        self.finish()
    }

    fn append(&mut self, planes: &[Vec<f32>]) -> Result<()> {
        let Some(length) = planes.first().map(Vec::len).filter(|&length| length > 0) else {
            return Ok(());
        };
        let sample_rate = self.codec.sample_rate();
        check_limits(sample_rate, planes.len(), (self.waveform.length() + length) as u64)?;
        if self.waveform.channels.is_empty() {
            self.waveform.sample_rate = sample_rate;
            self.waveform.channels.resize(planes.len(), Vec::new());
        }
        if (self.waveform.sample_rate, self.waveform.channels.len()) != (sample_rate, planes.len()) {
            return Err(self.damaged("a change of rate or channels"));
        }
        for (channel, plane) in self.waveform.channels.iter_mut().zip(planes) {
            channel.extend_from_slice(plane);
        }
        Ok(())
    }

    /// Compares with what the container promised, and drops what the encoder added.
    fn finish(mut self) -> Result<Waveform> {
        let length = self.waveform.length() as u64;
        if self.promise.dense && self.packets != self.promise.range.len() as u64 {
            return Err(self.damaged("bytes that belong to no frame"));
        }
        if !self.codec.verified() {
            return Err(self.damaged("samples that do not have the digest in its header"));
        }
        if let Some(promised) = self.promise.decoded.filter(|&promised| promised != length) {
            return Err(self.damaged(&format!("{length} samples where its header promises {promised}")));
        }
        let start = self.promise.skip.min(length);
        let end = match self.promise.length {
            Some(kept) => start.saturating_add(kept),
            None => length.saturating_sub(self.promise.padding).max(start),
        };
        if end > length {
            return Err(self.damaged(&format!("{length} samples where its header promises {end}")));
        }
        for channel in &mut self.waveform.channels {
            channel.truncate(end as usize);
            channel.drain(..start as usize);
        }
        Ok(self.waveform)
    }

    /// Where decoding stands, for containers whose packets follow each other without gaps.
    fn offset(&self) -> Option<u64> {
        self.promise
            .dense
            .then(|| self.promise.range.start as u64 + self.packets)
    }

    fn fault(&self, error: &Error) -> DataError {
        explain(self.container, error, self.offset())
    }

    fn damaged(&self, found: &str) -> DataError {
        DataError {
            offset: self.offset(),
            ..damaged(self.container, found)
        }
    }
}

/// The track that was walked, or the first of sound.
fn pick(reader: &dyn FormatReader, track: Option<u32>) -> Option<&Track> {
    match track {
        Some(id) => reader.tracks().iter().find(|track| track.id == id),
        None => reader.first_track(TrackType::Audio),
    }
}

fn explain(container: Container, error: &Error, offset: Option<u64>) -> DataError {
    let error = match error {
        Error::Unsupported(found) => {
            let message = format!(
                "expected a common kind of {} audio, found another ({found}); convert it to FLAC",
                container.name()
            );
            DataError::new(ErrorKind::Unsupported, message)
        }
        Error::ResetRequired => {
            let message = "expected one stream, found several one after another; split the file";
            DataError::new(ErrorKind::Unsupported, message)
        }
        Error::IoError(_) => damaged(container, "one whose end is missing or whose lengths are wrong"),
        error => damaged(container, &error.to_string()),
    };
    DataError { offset, ..error }
}

fn damaged(container: Container, found: &str) -> DataError {
    let message = format!(
        "expected whole {} audio, found {found}; replace the file",
        container.name()
    );
    DataError::new(ErrorKind::Damaged, message)
}

fn too_large(found: &str) -> DataError {
    let message = format!(
        "expected audio of at most {} bytes, {} hours, {MAX_SAMPLES} samples in all, 1 to {MAX_CHANNELS} channels and \
         {} to {} samples a second, found {found}; split or convert it",
        MAX_BYTES,
        MAX_SECONDS / 3600,
        SAMPLE_RATES.start(),
        SAMPLE_RATES.end()
    );
    DataError::new(ErrorKind::TooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{LOSSLESS, LOSSY, golden};
    use super::*;

    /// The samples of ffmpeg, channel after channel.
    fn expected(name: &str, channels: usize) -> Vec<Vec<f32>> {
        let interleaved: Vec<f32> = match std::path::Path::new(name).extension().and_then(|end| end.to_str()) {
            Some("f32") => golden(name)
                .as_chunks()
                .0
                .iter()
                .map(|&four| f32::from_le_bytes(four))
                .collect(),
            _ => golden(name)
                .as_chunks()
                .0
                .iter()
                .map(|&two| f32::from(i16::from_le_bytes(two)) / 32768.0)
                .collect(),
        };
        (0..channels)
            .map(|channel| interleaved.iter().skip(channel).step_by(channels).copied().collect())
            .collect()
    }

    /// Decodes a golden file, and gives the largest difference from ffmpeg's samples.
    fn check(name: &str, golden_end: &str, sample_rate: u32, channels: usize, length: usize) -> f32 {
        let waveform = decode(&golden(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            (waveform.sample_rate, waveform.channels.len()),
            (sample_rate, channels),
            "{name}"
        );
        assert_eq!(waveform.length(), length, "{name}");
        let expected = expected(&format!("{name}.{golden_end}"), channels);
        let pairs = waveform
            .channels
            .iter()
            .zip(&expected)
            .flat_map(|(found, expected)| found.iter().zip(expected));
        pairs
            .map(|(found, expected)| (found - expected).abs())
            .fold(0.0, f32::max)
    }

    #[test]
    fn lossless_kinds_give_every_sample_that_ffmpeg_reads() {
        for (name, sample_rate, channels, length) in LOSSLESS {
            assert_eq!(check(name, "f32", sample_rate, channels, length), 0.0, "{name}");
        }
    }

    /// Within one and a half steps of 16 bits, so also at the right time.
    #[test]
    fn lossy_kinds_give_what_ffmpeg_hears() {
        for (name, sample_rate, channels, length) in LOSSY {
            let worst = check(name, "s16", sample_rate, channels, length);
            assert!(worst < 1.5 / 32_768.0, "{name}: differs by {worst}");
        }
    }
}
