//! What the tests of this folder share: small manifests, and pictures made by formula.

use crate::processors::Picture;
use crate::{Manifest, Sample, Value};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use std::path::{Path, PathBuf};

/// A manifest of rows that hold one value for each column.
pub fn manifest(columns: &[&str], rows: Vec<Vec<Value>>) -> Manifest {
    let sample = |(row, cells): (usize, Vec<Value>)| Sample {
        row,
        values: columns.iter().map(|column| column.to_string()).zip(cells).collect(),
    };
    Manifest {
        path: PathBuf::from("rows.jsonl"),
        root: PathBuf::from("."),
        columns: columns.iter().map(|column| column.to_string()).collect(),
        samples: rows.into_iter().enumerate().map(sample).collect(),
        broken: Vec::new(),
    }
}

/// Writes `files` into a folder and the lines of `rows` as its table.
pub fn folder(rows: &[serde_json::Value], files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Manifest) {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let manifest = table(folder.path(), rows);
    (folder, manifest)
}

/// Writes `rows.jsonl` and opens it.
pub fn table(folder: &Path, rows: &[serde_json::Value]) -> Manifest {
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(folder.join("rows.jsonl"), lines).unwrap();
    Manifest::open(&folder.join("rows.jsonl")).unwrap()
}

fn drawn(seed: usize, part: &str) -> u32 {
    let digest = blake3::hash(format!("{seed} {part}").as_bytes());
    u32::from_le_bytes(*digest.as_bytes().first_chunk().unwrap())
}

fn picture(height: usize, width: usize, pixel: impl Fn(f32, f32) -> [u8; 3]) -> Picture {
    let places = (0..height * width).map(|at| ((at % width) as f32, (at / width) as f32));
    Picture {
        height,
        width,
        pixels: places.flat_map(|(x, y)| pixel(x, y)).collect(),
    }
}

/// A picture of smooth waves and fine grain, as a photograph has them; each number gives another.
pub fn photo(number: usize) -> Picture {
    let wave = |part: &str| 0.02 + drawn(number, part) as f32 / u32::MAX as f32 * 0.08;
    let waves = ["a", "b", "c", "d", "e", "f"].map(wave);
    picture(96, 128, |x, y| {
        std::array::from_fn(|channel| {
            let slope = x * waves[channel] + y * waves[channel + 3] + channel as f32;
            let grain = drawn(number, &format!("{x} {y}")) % 17;
            (128.0 + 90.0 * slope.sin()) as u8 + grain as u8
        })
    })
}

/// One shape of one colour on white, 64 × 64, as in easy-VQA; numbers that differ give shapes that
/// differ in kind, colour, size or place.
pub fn shape(number: usize) -> Picture {
    let color = [[200, 30, 30], [30, 160, 60], [20, 60, 200], [240, 190, 20]][number % 4];
    let kind = number / 4 % 3;
    let size = 6.0 + (number / 12 % 4) as f32 * 3.0;
    let place = number / 48;
    let (middle_x, middle_y) = (18.0 + (place % 4) as f32 * 8.0, 18.0 + (place / 4) as f32 * 8.0);
    picture(64, 64, |x, y| {
        let (x, y) = (x - middle_x, y - middle_y);
        let inside = match kind {
            0 => x * x + y * y <= size * size,
            1 => x.abs() <= size && y.abs() <= size,
            _ => y.abs() <= size && x.abs() <= (y + size) / 2.0,
        };
        if inside { color } else { [255; 3] }
    })
}

pub fn png(picture: &Picture) -> Vec<u8> {
    picture.to_png()
}

pub fn jpeg(picture: &Picture, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (width, height) = (picture.width as u32, picture.height as u32);
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .write_image(&picture.pixels, width, height, ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}
