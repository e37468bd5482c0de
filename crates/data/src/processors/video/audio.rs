//! The sound of a video, through ffmpeg, as a WAV file.

use super::format::Container;
use super::probe::Source;
use crate::ffmpeg::{Call, not_read};
use crate::{DataError, ErrorKind, Result};
use std::time::Duration;

/// The most samples of all channels together, in bytes: 97 minutes of stereo at 44.1 kHz.
const MAX_BYTES: u64 = 1 << 30;
/// How long ffmpeg may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// The first audio stream of a file that is known to be whole, as a WAV file of 16 bits a sample
/// with the stream's own rate and channels; nothing when there is none.
pub fn track(container: Container, path: &std::path::Path) -> Result<Option<Vec<u8>>> {
    let source = Source { container, path };
    let report = source.ask("stream=index,sample_rate,channels", &["-select_streams", "a"], 0.0)?;
    let Some(stream) = report.streams.first() else {
        return Ok(None);
    };
    let rate = stream
        .sample_rate
        .as_ref()
        .and_then(|rate| rate.parse().ok())
        .unwrap_or(0);
    let channels = u16::try_from(stream.channels).unwrap_or(0);
    if !(1..=768_000).contains(&rate) || !(1..=64).contains(&channels) {
        return Err(damaged(&format!("{channels} channels at {rate} samples per second")));
    }
    let format = [
        "-c:a",
        "pcm_s16le",
        "-ar",
        &rate.to_string(),
        "-ac",
        &channels.to_string(),
    ]
    .map(String::from);
    let call = Call::ffmpeg(PATIENCE, MAX_BYTES)?
        .with(["-xerror", "-err_detect", "explode"])
        .with(source.arguments())
        .with(["-map".to_string(), format!("0:{}", stream.index)])
        .with(format)
        .with(["-threads", "1", "-f", "s16le", "pipe:1"]);
    let finished = call.run(|output| {
        let mut wav = header(channels, rate, 0);
        output.read_to_end(&mut wav).map_err(|error| not_read(&error))?;
        Ok(wav)
    })?;
    if !finished.said.is_empty() {
        return Err(damaged(&finished.said));
    }
    let mut wav = finished.value;
    let length = wav.len() - HEADER;
    if length == 0 {
        return Err(damaged("an audio stream without sound"));
    }
    wav[..HEADER].copy_from_slice(&header(channels, rate, length as u32));
    Ok(Some(wav))
}

/// The length of [`header`].
const HEADER: usize = 44;

/// The header of a WAV file of `length` bytes of samples.
fn header(channels: u16, rate: u32, length: u32) -> Vec<u8> {
    let frame = 2 * channels;
    let mut header = Vec::with_capacity(HEADER);
    header.extend(b"RIFF");
    header.extend((length + 36).to_le_bytes());
    header.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    header.extend(channels.to_le_bytes());
    header.extend(rate.to_le_bytes());
    header.extend((rate * u32::from(frame)).to_le_bytes());
    header.extend(frame.to_le_bytes());
    header.extend(b"\x10\0data");
    header.extend(length.to_le_bytes());
    header
}

fn damaged(found: &str) -> DataError {
    let message = format!("expected sound that decodes to its end, found {found}; replace the file");
    DataError::new(ErrorKind::Damaged, message)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{golden, golden_path, with_ffmpeg};
    use super::super::{audio_track, audio_track_of_bytes};
    use crate::ErrorKind;

    #[test]
    fn the_sound_of_a_video_is_a_wav_file_of_its_rate() {
        if !with_ffmpeg() {
            return;
        }
        let wav = audio_track(&golden_path("tone.mp4")).unwrap().unwrap();
        let reader = hound::WavReader::new(&wav[..]).unwrap();
        let spec = reader.spec();
        assert_eq!((spec.sample_rate, spec.channels, spec.bits_per_sample), (8000, 1, 16));
        let samples: Vec<f32> = reader.into_samples::<i16>().map(|it| f32::from(it.unwrap())).collect();
        assert!((23_000..=25_000).contains(&samples.len()), "{}", samples.len());
        let middle = &samples[8000..16_000];
        let rises = middle.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
        assert!((438..=442).contains(&rises), "{rises} Hz");
        assert_eq!(audio_track_of_bytes(&golden("tone.mp4")).unwrap().unwrap(), wav);
    }

    #[test]
    fn a_video_without_sound_has_none() {
        if !with_ffmpeg() {
            return;
        }
        for name in ["h264.mp4", "vp9.webm", "animated.gif"] {
            assert_eq!(audio_track(&golden_path(name)).unwrap(), None, "{name}");
        }
    }

    #[test]
    fn damaged_sound_is_an_error() {
        if !with_ffmpeg() {
            return;
        }
        let mut bytes = golden("tone.m4a");
        let length = bytes.len();
        bytes[length / 4..length / 2].fill(0xff);
        let error = audio_track_of_bytes(&bytes).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Damaged, "{error}");
    }
}
