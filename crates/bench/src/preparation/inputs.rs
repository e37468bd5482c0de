//! Made-up media and texts to prepare: the same bytes on every machine.

use crate::initial::made_up_number;
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};

const HEIGHT: usize = 480;
const WIDTH: usize = 640;
/// Samples per second of sounds.
const RATE: usize = 16_000;
pub const TEXTS: usize = 200;
pub const WORDS_PER_TEXT: usize = 250;
/// Different words, of which few are frequent and most are rare.
pub const WORDS: usize = 20_000;

/// Waves of several lengths with a little noise, which compress about as a photograph does.
pub fn picture(index: usize) -> Vec<u8> {
    let pixels = RgbImage::from_fn(WIDTH as u32, HEIGHT as u32, |column, row| {
        let (y, x) = (row as f32, column as f32);
        let long = (x * 0.013 + index as f32).sin() * (y * 0.017).cos();
        let short = (x * 0.31 + y * 0.17).sin() * (x * 0.021 - y * 0.009).sin().max(0.0);
        let noise = made_up_number((index * HEIGHT + row as usize) * WIDTH + column as usize);
        let value = |amplitude: f32| (128.0 + amplitude * long + 30.0 * short + 12.0 * noise) as u8;
        Rgb([60.0, 45.0, 30.0].map(value))
    });
    let mut bytes = Vec::new();
    pixels
        .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 75))
        .expect("a picture of this size can be written to memory");
    bytes
}

/// A WAV file of 16-bit samples: a voice-like tone that glides, with noise.
pub fn sound(index: usize, seconds: usize) -> Vec<u8> {
    let length = seconds * RATE;
    let mut bytes = wav_header(2 * length as u32);
    for place in 0..length {
        let time = place as f32 / RATE as f32;
        let pitch = 120.0 + 40.0 * (time * 1.3 + index as f32).sin();
        let tone = (0..5).map(|harmonic| (pitch * (harmonic + 1) as f32 * time * std::f32::consts::TAU).sin());
        let value = 0.05 * tone.sum::<f32>() + 0.01 * made_up_number(index * length + place);
        bytes.extend(((value * 32_767.0) as i16).to_le_bytes());
    }
    bytes
}

/// The 44 bytes before `length` bytes of samples.
fn wav_header(length: u32) -> Vec<u8> {
    let rate = RATE as u32;
    let mut header = b"RIFF".to_vec();
    header.extend((36 + length).to_le_bytes());
    header.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    header.extend(rate.to_le_bytes());
    header.extend((2 * rate).to_le_bytes());
    header.extend(b"\x02\0\x10\0data");
    header.extend(length.to_le_bytes());
    header
}

/// Sentences of made-up words.
pub fn texts() -> Vec<String> {
    (0..TEXTS).map(text).collect()
}

fn text(index: usize) -> String {
    let words = (0..WORDS_PER_TEXT).map(|place| {
        let draw = made_up_number(index * WORDS_PER_TEXT + place);
        // The draw lies within ±2√3. Even shares would give Zipf's law; these lean to 0, to the frequent words.
        let share = (draw.abs() / 12f32.sqrt()).clamp(0.0, 1.0);
        word((WORDS as f32).powf(share) as usize) + if place % 12 == 11 { ". " } else { " " }
    });
    words.collect()
}

/// The word of a rank: its digits in base 60, each a syllable, so that frequent words are short.
pub fn word(mut rank: usize) -> String {
    let (consonants, vowels) = (b"bdfgklmnprst", b"aeiou");
    let mut word = String::new();
    while word.is_empty() || rank > 0 {
        let syllable = rank % 60;
        word.push(consonants[syllable / 5].into());
        word.push(vowels[syllable % 5].into());
        rank /= 60;
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_have_words_of_their_own() {
        let words: std::collections::BTreeSet<String> = (1..=WORDS).map(word).collect();
        assert_eq!(words.len(), WORDS);
    }
}
