//! Rates of data preparation on one thread, on inputs that are made here, through the processors that runs use.

use crate::initial::made_up_number;
use crate::measure::{Timing, repeat};
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use sensorium_data::processors::{ImageConfig, Size, TextConfig, TokenizerConfig};
use sensorium_data::{Collated, Processor, ProcessorConfig, Result, Value};
use serde::Serialize;
use std::path::Path;

/// Seconds that the runs of one kind take together at least.
const SECONDS: f64 = 1.0;
/// Pictures of a run, so that no decoder learns one of them.
const PICTURES: usize = 8;
const HEIGHT: usize = 480;
const WIDTH: usize = 640;
const SIDE: u32 = 224;
const TEXTS: usize = 200;
const WORDS_PER_TEXT: usize = 250;
/// Different words, of which few are frequent and most are rare.
const WORDS: usize = 20_000;

/// What `sensorium bench preparation --json` prints.
#[derive(Debug, Serialize)]
pub struct PreparationReport {
    pub threads: usize,
    pub rates: Vec<Rate>,
}

#[derive(Debug, Serialize)]
pub struct Rate {
    pub name: &'static str,
    /// What `per_second` counts: pictures, or MB, millions of bytes of UTF-8.
    pub unit: &'static str,
    /// Of the median run.
    pub per_second: f64,
    /// Inputs that a run prepares, and the bytes of them all.
    pub inputs: usize,
    pub bytes: usize,
    #[serde(flatten)]
    pub timing: Timing,
}

/// Times every kind of preparation on one thread, whatever the number of compute threads.
///
/// # Errors
/// What a processor refuses; none of these inputs gives it a reason.
pub fn preparation() -> Result<PreparationReport> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let rates = pool.expect("one more thread can be started").install(|| {
        let texts = texts();
        let rates = [
            pictures_rate(),
            texts_rate(
                "text, byte-level BPE of 8,000 tokens",
                TokenizerConfig::default(),
                &texts,
            ),
            texts_rate("text, words", words(), &texts),
        ];
        rates.into_iter().collect::<Result<_>>()
    })?;
    Ok(PreparationReport { threads: 1, rates })
}

/// Decoded, resized and normalised to [1, height, width, channels], one at a time.
fn pictures_rate() -> Result<Rate> {
    let config = ImageConfig {
        size: Size::new(SIDE, SIDE),
        ..ImageConfig::default()
    };
    let processor = Processor::fit(&ProcessorConfig::Image(config), &[])?;
    let pictures: Vec<Vec<u8>> = (0..PICTURES).map(picture).collect();
    let bytes = pictures.iter().map(Vec::len).sum();
    let values: Vec<Value> = pictures.into_iter().map(|bytes| Value::Bytes(bytes.into())).collect();
    let timing = timing(&processor, &values)?;
    let per_second = PICTURES as f64 / timing.seconds.median;
    let name = "JPEG 640×480 to 224×224, normalised";
    Ok(Rate {
        name,
        unit: "pictures",
        per_second,
        inputs: PICTURES,
        bytes,
        timing,
    })
}

/// Cleaned and tokenised to [1, length], one at a time, none of them cut.
fn texts_rate(name: &'static str, tokenizer: TokenizerConfig, texts: &[String]) -> Result<Rate> {
    let config = TextConfig {
        tokenizer,
        max_length: 65_536,
        ..TextConfig::default()
    };
    let references: Vec<&str> = texts.iter().map(String::as_str).collect();
    let processor = Processor::fit(&ProcessorConfig::Text(config), &references)?;
    let values: Vec<Value> = texts.iter().map(|text| Value::Text(text.clone())).collect();
    let timing = timing(&processor, &values)?;
    let bytes = texts.iter().map(String::len).sum();
    let per_second = bytes as f64 / 1e6 / timing.seconds.median;
    Ok(Rate {
        name,
        unit: "MB",
        per_second,
        inputs: texts.len(),
        bytes,
        timing,
    })
}

fn words() -> TokenizerConfig {
    TokenizerConfig::Word {
        vocabulary: 10_000,
        minimum_count: 1,
    }
}

fn timing(processor: &Processor, values: &[Value]) -> Result<Timing> {
    // A run whose inputs are refused would be timed as if it were fast.
    values
        .iter()
        .try_for_each(|value| prepared(processor, value).map(drop))?;
    let all = || {
        values
            .iter()
            .try_for_each(|value| prepared(processor, value).map(std::hint::black_box).map(drop))
    };
    Ok(repeat(SECONDS, || (), |()| all()))
}

fn prepared(processor: &Processor, value: &Value) -> Result<Collated> {
    Ok(processor.collate(&[&processor.prepare(value, Path::new(""))?]))
}

/// Waves of several lengths with a little noise, which compress about as a photograph does.
fn picture(index: usize) -> Vec<u8> {
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

/// Sentences of made-up words.
fn texts() -> Vec<String> {
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
fn word(mut rank: usize) -> String {
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
    fn a_picture_becomes_normalised_values_of_one_size() {
        let config = ImageConfig {
            size: Size::new(SIDE, SIDE),
            ..ImageConfig::default()
        };
        let processor = Processor::fit(&ProcessorConfig::Image(config), &[]).unwrap();
        let bytes = picture(0);
        assert!((40_000..100_000).contains(&bytes.len()), "{} bytes", bytes.len());
        let Collated::Image { shape, pixels } = prepared(&processor, &Value::Bytes(bytes.into())).unwrap() else {
            panic!("not a picture");
        };
        assert_eq!((shape, pixels.len()), ([1, 224, 224, 3], 224 * 224 * 3));
        let (low, high) = pixels
            .iter()
            .fold((0.0f32, 0.0f32), |(low, high), &it| (low.min(it), high.max(it)));
        assert!(
            (-1.0..-0.3).contains(&low) && (0.3..=1.0).contains(&high),
            "{low} to {high}"
        );
    }

    #[test]
    fn texts_repeat_words_and_none_is_cut() {
        let texts = texts();
        let words: Vec<&str> = texts.iter().flat_map(|text| text.split_whitespace()).collect();
        let different: std::collections::BTreeSet<&str> = words.iter().copied().collect();
        assert_eq!(words.len(), TEXTS * WORDS_PER_TEXT);
        assert!((1_000..WORDS).contains(&different.len()), "{} words", different.len());
        let config = TextConfig {
            tokenizer: self::words(),
            max_length: 65_536,
            ..TextConfig::default()
        };
        let references: Vec<&str> = texts.iter().map(String::as_str).collect();
        let processor = Processor::fit(&ProcessorConfig::Text(config), &references).unwrap();
        let Collated::Text { lengths, .. } = prepared(&processor, &Value::Text(texts[0].clone())).unwrap() else {
            panic!("not a text");
        };
        // Each full stop is a token of its own.
        assert_eq!(lengths, [WORDS_PER_TEXT + WORDS_PER_TEXT / 12]);
    }

    #[test]
    fn ranks_have_words_of_their_own() {
        let words: std::collections::BTreeSet<String> = (1..=WORDS).map(word).collect();
        assert_eq!(words.len(), WORDS);
    }
}
