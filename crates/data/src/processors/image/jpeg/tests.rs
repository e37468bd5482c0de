//! The decoder against Pillow's readings, against another decoder, and on altered files.

use super::super::part::Region;
use super::super::samples::{assert_close, encode, golden, pattern};
use super::super::{CHANNELS, Picture};
use super::Jpeg;
use crate::{DataError, ErrorKind, Result};
use image::{ImageFormat, codecs::jpeg::JpegEncoder};
use proptest::prelude::*;

const KINDS: [&str; 22] = [
    "444",
    "422",
    "420",
    "420_coarse",
    "420_fine",
    "440",
    "411",
    "444_progressive",
    "420_progressive",
    "420_restarts",
    "420_restarts_progressive",
    "rgb",
    "grey",
    "grey_progressive",
    "cmyk",
    "ycck",
    "420_1x1",
    "420_2x3",
    "420_3x2",
    "420_5x17",
    "420_16x16",
    "420_17x8",
];

fn file(kind: &str) -> Vec<u8> {
    golden(&format!("jpeg_{kind}.jpg"))
}

fn decode(bytes: &[u8], scale: usize, part: Option<Region>) -> Result<Picture> {
    let jpeg = Jpeg::open(bytes)?.expect("a kind that is read");
    let part = part.unwrap_or(Region::whole(jpeg.size(scale)));
    jpeg.decode(scale, part)
}

/// The part of a picture.
fn cut(picture: &Picture, part: Region) -> Picture {
    let rows = picture.pixels.chunks_exact(CHANNELS * picture.width);
    let columns = CHANNELS * part.left..CHANNELS * (part.left + part.width);
    let rows = rows.skip(part.top).take(part.height);
    Picture {
        height: part.height,
        width: part.width,
        pixels: rows.flat_map(|row| &row[columns.clone()]).copied().collect(),
    }
}

#[test]
fn every_kind_gives_the_bits_that_pillow_gives_at_every_scale() {
    for kind in KINDS {
        let bytes = file(kind);
        let mut expected = &golden(&format!("jpeg_{kind}.jpg.rgb"))[..];
        for scale in [1, 2, 4, 8] {
            if expected.is_empty() {
                break;
            }
            let found = decode(&bytes, scale, None).unwrap();
            let (pixels, rest) = expected.split_at(found.pixels.len());
            assert!(found.pixels == pixels, "{kind} at 1/{scale}");
            expected = rest;
        }
        assert!(expected.is_empty(), "{kind}: a size differs");
    }
}

#[test]
fn a_part_is_cut_from_the_whole() {
    for kind in KINDS {
        let bytes = file(kind);
        for scale in [1, 2, 8] {
            let whole = decode(&bytes, scale, None).unwrap();
            for (top, left, height, width) in [(0, 0, 1, 1), (1, 9, 3, 4), (9, 3, 9, 9), (16, 17, 1, 5), (2, 20, 9, 1)]
            {
                let (top, left) = (top.min(whole.height - 1), left.min(whole.width - 1));
                let (height, width) = (height.min(whole.height - top), width.min(whole.width - left));
                let part = Region {
                    top,
                    left,
                    height,
                    width,
                };
                let found = decode(&bytes, scale, Some(part)).unwrap();
                assert!(found == cut(&whole, part), "{kind} at 1/{scale}: {part:?}");
            }
        }
    }
}

#[test]
fn another_encoder_and_decoder_agree() {
    for (height, width) in [(1, 1), (8, 8), (9, 7), (64, 50), (33, 130)] {
        for quality in [1, 30, 75, 100] {
            let picture = pattern(height, width);
            let mut bytes = Vec::new();
            let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
            let color = image::ExtendedColorType::Rgb8;
            encoder
                .encode(&picture.pixels, width as u32, height as u32, color)
                .unwrap();
            let other = image::load_from_memory(&bytes).unwrap().into_rgb8();
            let other = Picture {
                height,
                width,
                pixels: other.into_raw(),
            };
            let found = decode(&bytes, 1, None).unwrap();
            assert_close(&found, &other, 4, &format!("{height} × {width}, quality {quality}"));
        }
    }
}

/// What an error says; there is always a place.
fn check_damaged(error: &DataError) {
    assert_eq!(
        (error.kind, error.offset.is_some()),
        (ErrorKind::Damaged, true),
        "{error}"
    );
}

#[test]
fn every_cut_is_damaged_and_says_where() {
    for kind in KINDS {
        let bytes = file(kind);
        for length in 2..bytes.len() {
            let error = decode(&bytes[..length], 1, None).unwrap_err();
            check_damaged(&error);
            assert!(
                error.offset.unwrap() <= length as u64,
                "{kind} cut to {length}: {error}"
            );
        }
    }
}

#[test]
fn what_is_missing_or_too_much_is_damaged() {
    let check = |bytes: &[u8], words: &str| {
        let error = decode(bytes, 1, None).unwrap_err();
        check_damaged(&error);
        assert!(error.message.contains(words), "{error}");
    };
    let place = |bytes: &[u8], marker: &[u8]| bytes.windows(marker.len()).rposition(|it| it == marker).unwrap();
    let with = |kind: &str, marker: &[u8], change: fn(&mut Vec<u8>, usize)| {
        let mut bytes = file(kind);
        let at = place(&bytes, marker);
        change(&mut bytes, at);
        bytes
    };
    let taller = with("444", b"\xff\xc0", |bytes, at| bytes[at + 6] += 8);
    check(&taller, "fewer blocks than its header says");
    let lower = with("444", b"\xff\xc0", |bytes, at| bytes[at + 6] -= 8);
    check(&lower, "more data than its blocks need");
    let huge = with("444", b"\xff\xc0", |bytes, at| bytes[at + 5..at + 9].fill(0x3f));
    check(&huge, "more pixels in its header than its bytes can hold");
    let renumbered = with("420_restarts", b"\xff\xd0", |bytes, at| bytes[at + 1] = 0xd3);
    check(&renumbered, "another marker than the expected restart");
    let repeated = with("420_progressive", b"\xff\xda", |bytes, at| {
        let scan = bytes[at..bytes.len() - 2].to_vec();
        bytes.splice(at..at, scan);
    });
    check(&repeated, "a scan that repeats or skips bits");
    let grey = with("444", b"\xff\xda", |bytes, at| {
        bytes.truncate(at);
        bytes.extend(b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00");
        bytes.extend([0; 20]);
        bytes.extend(b"\xff\xd9");
    });
    assert!(decode(&grey, 1, None).is_err());
    let no_codes = with("444", b"\xff\xda", |bytes, at| {
        let end = bytes.len() - 2;
        (at + 14..end).for_each(|place| bytes[place] = 0xfe);
    });
    assert!(decode(&no_codes, 1, None).is_err());
}

/// The number of altered files, of each kind, that are tried.
fn cases() -> u32 {
    let cases = std::env::var("SENSORIUM_FUZZ_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(2_000)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn an_altered_file_gives_a_picture_or_an_error(
        kind in 0..KINDS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        scale in 0..4u32,
    ) {
        let mut bytes = file(KINDS[kind]);
        for (place, value) in changes {
            let place = place.index(bytes.len() - 2) + 2;
            bytes[place] = value;
        }
        match Jpeg::open(&bytes) {
            Err(error) => check_damaged(&error),
            Ok(None) => {}
            Ok(Some(jpeg)) => {
                let scale = 1 << scale;
                let (height, width) = jpeg.size(scale);
                match jpeg.decode(scale, Region::whole((height, width))) {
                    Err(error) => check_damaged(&error),
                    Ok(picture) => prop_assert_eq!(picture.pixels.len(), CHANNELS * height * width),
                }
            }
        }
    }

    #[test]
    fn any_bytes_give_a_picture_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = [&b"\xff\xd8"[..], &bytes].concat();
        if let Err(error) = Jpeg::open(&bytes) {
            check_damaged(&error);
        }
    }
}

#[test]
fn a_kind_that_is_not_read_here_is_left_to_others() {
    let mut bytes = encode(&pattern(8, 8), ImageFormat::Jpeg);
    let frame = bytes.windows(2).position(|it| it == b"\xff\xc0").unwrap();
    bytes[frame + 1] = 0xc9;
    assert!(Jpeg::open(&bytes).unwrap().is_none());
}
