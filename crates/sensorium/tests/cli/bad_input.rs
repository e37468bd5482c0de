//! Media, texts and manifests that are wrong or strange, each with its message and exit code.

use crate::fixture::{Fixture, json_lines};
use image::{ImageEncoder, RgbImage};
use std::io::Cursor;

fn png(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A PNG whose header, with a right checksum, claims a size that no memory holds.
fn forged(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png(&RgbImage::new(2, 2));
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = u32::MAX;
    for &byte in &bytes[12..29] {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                0xEDB8_8320 ^ (crc >> 1)
            } else {
                crc >> 1
            };
        }
    }
    bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
    bytes
}

/// Asks about a picture: code 0 with an answer, or code 1 with an error that names the path.
fn check(fixture: &Fixture, name: &str, content: &[u8], code: i32, word: &str) {
    fixture.write(name, content);
    let finished = fixture.run(&["predict", "run", "--image", name, "--text", "which color?"]);
    assert_eq!(finished.code, code, "{name}: {}", finished.stderr);
    if code != 0 {
        assert!(finished.stderr.contains(name), "{name}: {}", finished.stderr);
        assert!(finished.stderr.contains(word), "{name}: {}", finished.stderr);
    }
}

#[test]
fn strange_pictures_are_read_and_damaged_ones_refused() {
    let fixture = Fixture::trained();
    let good = png(&RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, y as u8, 7])));
    check(&fixture, "good.png", &good, 0, "");
    check(&fixture, "misnamed.jpg", &good, 0, "");
    check(&fixture, "truncated.png", &good[..good.len() / 2], 1, "");
    check(&fixture, "empty.png", b"", 1, "");
    check(&fixture, "text.png", b"this is no picture", 1, "");
    check(&fixture, "pixel.png", &png(&RgbImage::new(1, 1)), 0, "");
    check(&fixture, "forged.png", &forged(60_000, 60_000), 1, "16384 pixels");
    let mut deep = Cursor::new(Vec::new());
    let pixels = vec![0x80; 20 * 20 * 6];
    image::codecs::png::PngEncoder::new(&mut deep)
        .write_image(&pixels, 20, 20, image::ExtendedColorType::Rgb16)
        .unwrap();
    check(&fixture, "deep.png", &deep.into_inner(), 0, "");
    let mut gif = Cursor::new(Vec::new());
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut gif);
    let frame = |shade| image::Frame::new(image::RgbaImage::from_pixel(9, 9, image::Rgba([shade; 4])));
    encoder.encode_frames([frame(255), frame(40)]).unwrap();
    drop(encoder);
    check(&fixture, "animated.gif", &gif.into_inner(), 0, "");
    fixture.expect(&["predict", "run", "--image", "absent.png"], 1, &["absent.png"]);
}

#[test]
fn an_empty_and_an_endless_question_are_answered() {
    let fixture = Fixture::trained();
    let endless = "which color ".repeat(8334);
    assert!(endless.len() > 100_000);
    for question in ["", "   ", endless.as_str(), "\u{0}\u{7}\u{202e}"] {
        let row = serde_json::json!({"image": "0.png", "question": question});
        fixture.write("ask.jsonl", row.to_string());
        let finished = fixture.expect(&["predict", "run", "--data", "ask.jsonl", "--json"], 0, &[]);
        assert!(
            json_lines(&finished.stdout)[0]["outputs"].is_object(),
            "{}",
            finished.stdout
        );
    }
}

/// The fixture with its last training row replaced by a line.
fn with_last_line(line: &str) -> Fixture {
    let fixture = Fixture::new();
    let rows = String::from_utf8(fixture.read("rows.jsonl")).unwrap();
    fixture.write("rows.jsonl", format!("{}{line}\n", rows));
    fixture
}

#[test]
fn a_broken_line_counts_against_the_failure_budget() {
    for (line, reason) in [
        (r#"{"image": "0.png", "quest"#, "60"),
        (
            r#"{"image": "gone.png", "question": "which color?", "answer": "red", "split": "train"}"#,
            "gone.png",
        ),
    ] {
        let fixture = with_last_line(line);
        let arguments = ["train", "recipe.toml", "--run", "run", "-q"];
        fixture.expect(&arguments, 3, &["1 of 61 rows", reason]);
        let quarantine = json_lines(&String::from_utf8(fixture.read("run/quarantine.jsonl")).unwrap());
        assert_eq!(quarantine.len(), 1);
        assert_eq!(quarantine[0]["row"], 60);
        let fixture = with_last_line(line);
        let budget = ["--set", "data.failure_budget=0.05"];
        let told = "rows that could not be read so far: 1;";
        fixture.expect(&[&arguments[..4], &budget].concat(), 0, &[told]);
        let quarantine = json_lines(&String::from_utf8(fixture.read("run/quarantine.jsonl")).unwrap());
        assert_eq!(quarantine[0]["row"], 60);
    }
}

#[test]
fn a_missing_manifest_or_column_is_named() {
    let fixture = Fixture::new();
    let with = |set: &'static str| ["train", "recipe.toml", "--run", "run", "--set", set];
    fixture.expect(&with("data.manifest=none.jsonl"), 1, &["none.jsonl"]);
    fixture.expect(&with("inputs.image.column=picture"), 2, &["picture", "image, question"]);
    fixture.write("empty.jsonl", "");
    fixture.expect(&with("data.manifest=empty.jsonl"), 1, &["empty.jsonl"]);
}
