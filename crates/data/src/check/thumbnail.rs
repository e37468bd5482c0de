//! A medium as a small picture, for pages that show a few of them.

use super::MediaKind;
use crate::processors::image::{Area, decode_whole, sample};
use crate::processors::read::read;
use crate::processors::{
    AudioConfig, AudioFeatures, LogMelConfig, Picture, Processor, ProcessorConfig, Resize, Size, VideoConfig,
};
use crate::shield::shielded;
use crate::{DataError, ErrorKind, Result, Value};
use fast_image_resize::FilterType;
use std::path::Path;

/// Frames of a video, side by side.
const FRAMES: u32 = 4;
/// A spectrum is this many times as wide as it is high.
const SPECTRUM: usize = 3;
const WHITE: [f32; 3] = [1.0; 3];

/// A picture that is reduced to fit a square of `side` pixels and never enlarged; four frames of a
/// video, each of that square; the spectrum of a sound's first 30 seconds, half as high and stretched
/// to three times its height, black where it is silent. Of a list the first item is shown, or all of
/// them where they are the frames of a video.
///
/// # Errors
/// What reading the medium can refuse; [`ErrorKind::Invalid`] for a value that is none.
pub fn thumbnail(value: &Value, kind: MediaKind, root: &Path, side: usize) -> Result<Picture> {
    let value = match value {
        Value::List(items) if kind != MediaKind::Video => items.first().unwrap_or(&Value::Absent),
        value => value,
    };
    let draw = || match kind {
        MediaKind::Image => Ok(reduced(&decoded(value, root)?, side)),
        MediaKind::Audio => Ok(stretched(
            &prepared(&sound(side / 2), value, root)?,
            side / 2,
            side / 2 * SPECTRUM,
        )),
        MediaKind::Video => prepared(&frames(side), value, root),
    };
    let failed = || DataError::new(ErrorKind::Damaged, "expected a readable medium; replace the file");
    shielded(draw).unwrap_or_else(|| Err(failed()))
}

fn decoded(value: &Value, root: &Path) -> Result<Picture> {
    match value {
        Value::Text(name) => decode_whole(&read(&root.join(name), "a picture")?),
        Value::Bytes(bytes) => decode_whole(bytes),
        Value::Stored(stored) => decode_whole(&stored.read()?),
        Value::Absent | Value::Number(_) | Value::List(_) => Err(none()),
    }
}

fn prepared(config: &ProcessorConfig, value: &Value, root: &Path) -> Result<Picture> {
    let feature = Processor::fit(config, &[])?.prepare(value, root)?;
    feature.preview().ok_or_else(none)
}

fn none() -> DataError {
    DataError::new(
        ErrorKind::Invalid,
        "expected a medium, found a value that cannot be shown; leave it out",
    )
}

fn sound(mels: usize) -> ProcessorConfig {
    let features = LogMelConfig {
        mels,
        ..LogMelConfig::default()
    };
    ProcessorConfig::Audio(AudioConfig {
        features: AudioFeatures::LogMel(features),
        ..AudioConfig::default()
    })
}

/// What stands out of a frame that is no square is white, as the ground of transparent pictures.
fn frames(side: usize) -> ProcessorConfig {
    ProcessorConfig::Video(VideoConfig {
        frames: FRAMES,
        size: Size::new(side as u32, side as u32),
        resize: Resize::Letterbox,
        mean: WHITE,
        ..VideoConfig::default()
    })
}

fn reduced(picture: &Picture, side: usize) -> Picture {
    let scale = side as f64 / picture.height.max(picture.width) as f64;
    let length = |length: usize| match scale < 1.0 {
        true => ((length as f64 * scale).round() as usize).max(1),
        false => length,
    };
    stretched(picture, length(picture.height), length(picture.width))
}

fn stretched(picture: &Picture, height: usize, width: usize) -> Picture {
    sample(picture, Area::whole(picture), height, width, FilterType::CatmullRom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{photo, png, shape};

    fn wav(seconds: usize) -> Vec<u8> {
        let samples: Vec<u8> = (0..8_000 * seconds)
            .flat_map(|at| ((at % 16) as i16 * 800).to_le_bytes())
            .collect();
        let mut file = b"RIFF".to_vec();
        file.extend((36 + samples.len() as u32).to_le_bytes());
        file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
        file.extend(8_000u32.to_le_bytes());
        file.extend(16_000u32.to_le_bytes());
        file.extend(b"\x02\0\x10\0data");
        file.extend((samples.len() as u32).to_le_bytes());
        file.extend(samples);
        file
    }

    fn check(value: &Value, kind: MediaKind, expected: Option<(usize, usize)>) {
        let found = thumbnail(value, kind, Path::new("nowhere"), 48).ok();
        assert_eq!(found.map(|it| (it.height, it.width)), expected, "{kind:?}");
    }

    #[test]
    fn every_kind_of_medium_has_a_small_picture() {
        let bytes = |bytes: Vec<u8>| Value::Bytes(bytes.into());
        let small = shape(1).to_png();
        check(&bytes(png(&photo(1))), MediaKind::Image, Some((36, 48)));
        check(&bytes(thumbnail_of(&photo(1), 20)), MediaKind::Image, Some((15, 20)));
        check(&bytes(wav(1)), MediaKind::Audio, Some((24, 72)));
        check(&bytes(wav(40)), MediaKind::Audio, Some((24, 72)));
        check(
            &Value::List(vec![bytes(small), Value::Absent]),
            MediaKind::Image,
            Some((48, 48)),
        );
    }

    fn thumbnail_of(picture: &Picture, side: usize) -> Vec<u8> {
        png(&reduced(picture, side))
    }

    #[test]
    fn what_cannot_be_shown_is_an_error() {
        for kind in [MediaKind::Image, MediaKind::Audio, MediaKind::Video] {
            for value in [
                Value::Absent,
                Value::Number(1.0),
                Value::List(Vec::new()),
                Value::Bytes(b"no medium".as_slice().into()),
                Value::Text("nowhere.png".into()),
            ] {
                check(&value, kind, None);
            }
        }
    }
}
