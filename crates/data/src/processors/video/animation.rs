//! GIF, APNG and animated WebP: every frame is composed, the wanted ones are brought to their size.

use super::super::image::{Picture, decode::on_ground, resize};
use super::format::Animation;
use super::sampling::candidates;
use super::{Clip, VideoConfig, source, timeline};
use crate::shield::shielded;
use crate::{DataError, ErrorKind, Result};
use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, Frames, ImageDecoder, ImageError, ImageResult, Limits};
use std::io::Cursor;

/// The longest side of an animation, in pixels.
const MAX_SIDE: u32 = 16_384;
/// The largest area of an animation or of one of its frames, in pixels.
const MAX_PIXELS: u64 = 12_000_000;
/// The most pixels of all frames together, which bounds the time that decoding takes.
const MAX_WORK: u64 = 4 << 30;
/// What a decoder may allocate, in bytes: several composed frames of the largest area.
const MAX_ALLOCATION: u64 = 512 << 20;

/// Decodes what `config` wants of an animation; all frames are decoded, because each is a change of
/// the one before it, and so that no damage stays unseen.
///
/// # Errors
/// [`ErrorKind::Damaged`] for cut or altered bytes and for other frames than the structure lists,
/// [`ErrorKind::TooLarge`], and [`ErrorKind::Unsupported`] for a still picture.
pub fn decode(config: &VideoConfig, format: Animation, bytes: &[u8]) -> Result<Clip> {
    source::check_length(bytes.len() as u64)?;
    // A decoder's fault ends the work on this animation, not the program.
    shielded(|| decode_within(config, format, bytes))
        .unwrap_or_else(|| Err(damaged(format, "the decoder failed on its bytes")))
}

fn decode_within(config: &VideoConfig, format: Animation, bytes: &[u8]) -> Result<Clip> {
    let timeline = timeline::read(format, bytes)?;
    let (mut times, end) = timeline.times();
    let all = times.len();
    times.retain(|&time| time < f64::from(config.max_seconds));
    let end = end.min(config.max_seconds.into());
    let wanted = candidates(config, &times, end);
    let areas = &timeline.areas[..times.len()];
    let mut frames = open(format, bytes, areas)?;
    let image = config.image();
    let mut kept = Vec::with_capacity(wanted.len());
    for index in 0..times.len() {
        let frame = frames.next().ok_or_else(|| wrong_count(format, all, index))?;
        let pixels = frame.map_err(|error| explain(format, error))?.into_buffer();
        if wanted.binary_search(&index).is_ok() {
            let (width, height) = (pixels.width() as usize, pixels.height() as usize);
            let pixels = on_ground(pixels.into_raw(), config.ground);
            kept.push(resize::resize(Picture { height, width, pixels }.into(), &image));
        }
    }
    if times.len() == all && frames.next().is_some() {
        return Err(wrong_count(format, all, all + 1));
    }
    Ok(Clip {
        frames: kept,
        timestamps: wanted.iter().map(|&index| times[index] as f32).collect(),
        duration: end as f32,
    })
}

/// The composed frames, after checking the size that the header claims and the work that frames of
/// these `areas` would be.
fn open<'a>(format: Animation, bytes: &'a [u8], areas: &[u64]) -> Result<Frames<'a>> {
    let fault = |error: ImageError| explain(format, error);
    let source = Cursor::new(bytes);
    match format {
        Animation::Gif => {
            let mut decoder = GifDecoder::new(source).map_err(fault)?;
            limit(&mut decoder, areas)?.map_err(fault)?;
            Ok(decoder.into_frames())
        }
        Animation::Apng => {
            let mut decoder = PngDecoder::with_limits(source, limits()).map_err(fault)?;
            limit(&mut decoder, areas)?.map_err(fault)?;
            Ok(decoder.apng().map_err(fault)?.into_frames())
        }
        Animation::WebP => {
            let mut decoder = WebPDecoder::new(source).map_err(fault)?;
            limit(&mut decoder, areas)?.map_err(fault)?;
            Ok(decoder.into_frames())
        }
    }
}

fn limit(decoder: &mut impl ImageDecoder, areas: &[u64]) -> Result<ImageResult<()>> {
    let (width, height) = decoder.dimensions();
    let canvas = u64::from(width) * u64::from(height);
    let work = areas.iter().map(|&area| u128::from(area.max(canvas))).sum::<u128>();
    let largest = areas.iter().copied().max().unwrap_or_default().max(canvas);
    if largest > MAX_PIXELS || work > u128::from(MAX_WORK) || width.max(height) > MAX_SIDE {
        let found = format!(
            "{} frames of {width} × {height}, {largest} pixels in the largest",
            areas.len()
        );
        return Err(too_large(&found));
    }
    Ok(decoder.set_limits(limits()))
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOCATION);
    limits
}

fn explain(format: Animation, error: ImageError) -> DataError {
    match error {
        ImageError::Limits(_) => too_large("one that needs more memory"),
        ImageError::Unsupported(error) => {
            let message = format!(
                "expected a common kind of animated {}, found {error}; convert it to MP4 or WebM",
                format.name()
            );
            DataError::new(ErrorKind::Unsupported, message)
        }
        error => damaged(format, &error.to_string()),
    }
}

fn wrong_count(format: Animation, listed: usize, found: usize) -> DataError {
    damaged(format, &format!("{found} frames where its structure lists {listed}"))
}

fn damaged(format: Animation, found: &str) -> DataError {
    let message = format!(
        "expected a whole animated {}, found one that is cut or altered: {found}; replace the file",
        format.name()
    );
    DataError::new(ErrorKind::Damaged, message)
}

fn too_large(found: &str) -> DataError {
    let message = format!(
        "expected an animation of at most {MAX_PIXELS} pixels a frame and {MAX_WORK} in all, found {found}; \
         convert it to MP4 or WebM"
    );
    DataError::new(ErrorKind::TooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{ANIMATIONS, cases, config, golden, golden_path, number};
    use super::super::{Sampling, prepare_file};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_animation_gives_exactly_the_wanted_frames() {
        for (sampling, frames, expected) in [
            (Sampling::Uniform, 5, vec![3, 9, 15, 21, 27]),
            (Sampling::Every(7), 30, vec![0, 7, 14, 21, 28]),
            (Sampling::Uniform, 64, (0..30).collect()),
        ] {
            for (name, _) in ANIMATIONS {
                let clip = prepare_file(&config(sampling, frames), &golden_path(name)).unwrap();
                let found: Vec<usize> = clip.frames.iter().map(number).collect();
                assert_eq!(found, expected, "{name}");
                assert_eq!(clip.timestamps.len(), expected.len());
            }
        }
    }

    #[test]
    fn times_are_seconds_from_the_first_frame() {
        let mut config = config(Sampling::Every(10), 9);
        let clip = decode(&config, Animation::Gif, &golden("variable.gif")).unwrap();
        assert_eq!(clip.timestamps, [0.0, 10.0, 40.0]);
        config.max_seconds = 1.0;
        let clip = decode(&config, Animation::Gif, &golden("variable.gif")).unwrap();
        assert_eq!((clip.timestamps, clip.duration), (vec![0.0], 1.0));
    }

    fn check_refused(format: Animation, bytes: &[u8], kind: ErrorKind, words: &str) {
        let Err(error) = decode(&config(Sampling::Uniform, 4), format, bytes) else {
            panic!("not refused: {words}");
        };
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(words), "{error}");
    }

    #[test]
    fn forged_sizes_and_counts_are_refused_before_memory_is_taken() {
        let gif = golden("animated.gif");
        let claiming = |width: u16, height: u16| {
            let size = [width.to_le_bytes(), height.to_le_bytes()].concat();
            [&gif[..6], &size, &gif[10..]].concat()
        };
        check_refused(
            Animation::Gif,
            &claiming(65_535, 65_535),
            ErrorKind::TooLarge,
            "65535 × 65535",
        );
        check_refused(Animation::Gif, &claiming(65_535, 1), ErrorKind::TooLarge, "65535 × 1");
        // A frame of one byte on a large ground, many times over.
        let start = [&b"GIF89a\x80\x0c\x80\x0c\x80\0\0"[..], &[0, 0, 0, 255, 255, 255]].concat();
        let frame = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0";
        let many = [&start[..], &frame.repeat(1000), b"\x3b"].concat();
        check_refused(Animation::Gif, &many, ErrorKind::TooLarge, "1000 frames of 3200 × 3200");
        let mut webp = golden("animated.webp");
        // The canvas of the extended header, less one.
        webp[24..30].copy_from_slice(&[0x7f, 0x3e, 0, 0x7f, 0x3e, 0]);
        check_refused(Animation::WebP, &webp, ErrorKind::TooLarge, "16000 × 16000");
    }

    #[test]
    fn zeroed_and_cut_animations_are_damaged() {
        for (name, format) in ANIMATIONS {
            let bytes = golden(name);
            let mut zeroed = bytes.clone();
            let (start, length) = (bytes.len() * 2 / 5, bytes.len() / 2);
            zeroed[start..start + length].fill(0);
            check_refused(format, &zeroed, ErrorKind::Damaged, "expected a whole animated");
            check_refused(format, &bytes[..bytes.len() - 1], ErrorKind::Damaged, "cut or altered");
        }
    }

    proptest! {
        #![proptest_config(cases(2000, u32::MAX))]
        #[test]
        fn any_bytes_give_a_clip_or_an_error(
            which in 0usize..ANIMATIONS.len(),
            changes in proptest::collection::vec((any::<u32>(), any::<u8>()), 0..6),
            cut in proptest::option::weighted(0.1, any::<u32>()),
        ) {
            let (name, format) = ANIMATIONS[which];
            let mut bytes = golden(name);
            for (place, value) in changes {
                let place = place as usize % bytes.len();
                bytes[place] = value;
            }
            bytes.truncate(cut.map_or(bytes.len(), |cut| cut as usize % bytes.len()));
            match decode(&config(Sampling::Uniform, 4), format, &bytes) {
                Ok(clip) => {
                    prop_assert!((1..=4).contains(&clip.frames.len()));
                    prop_assert!(clip.frames.iter().all(|frame| frame.pixels.len() == 48 * 64 * 3));
                }
                Err(error) => prop_assert!(error.message.contains("expected"), "{}", error),
            }
        }
    }
}
