//! Rates of data preparation on one thread, on inputs that are made here, through the processors that runs use.

mod inputs;
mod loading;

use crate::measure::{Timing, repeat};
use inputs::{picture, sound, texts};
use sensorium_data::processors::{AudioConfig, Decode, ImageConfig, Size, TextConfig, TokenizerConfig};
use sensorium_data::{Collated, Processor, ProcessorConfig, Result, Value, files};
use serde::Serialize;
use std::path::Path;

/// Seconds that the runs of one kind take together at least.
const SECONDS: f64 = 1.0;
/// Pictures of a run, so that no decoder learns one of them.
const PICTURES: usize = 8;
const SIDE: u32 = 224;
/// The length of a sound, in seconds.
const SOUND: usize = 30;

/// What `sensorium bench preparation --json` prints.
#[derive(Debug, Serialize)]
pub struct PreparationReport {
    pub threads: usize,
    pub rates: Vec<Rate>,
}

#[derive(Debug, Serialize)]
pub struct Rate {
    pub name: &'static str,
    /// What `per_second` counts: pictures, seconds of sound, rows, or MB, millions of bytes of UTF-8.
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
            pictures_rate("JPEG 640×480 to 224×224, normalised", Decode::Exact),
            pictures_rate("JPEG 640×480 to 224×224, decode = \"fast\"", Decode::Fast),
            sounds_rate(),
            texts_rate(
                "text, byte-level BPE of 8,000 tokens",
                TokenizerConfig::default(),
                &texts,
            ),
            texts_rate("text, words", words(), &texts),
        ];
        rates.into_iter().chain(loading::rates()).collect::<Result<_>>()
    })?;
    Ok(PreparationReport { threads: 1, rates })
}

/// Decoded, resized and normalised to [1, height, width, channels], one at a time.
fn pictures_rate(name: &'static str, decode: Decode) -> Result<Rate> {
    let config = ImageConfig {
        size: Size::new(SIDE, SIDE),
        decode,
        ..ImageConfig::default()
    };
    let processor = Processor::fit(&ProcessorConfig::Image(config), &[])?;
    let pictures: Vec<Vec<u8>> = (0..PICTURES).map(picture).collect();
    let bytes = pictures.iter().map(Vec::len).sum();
    let values: Vec<Value> = pictures.into_iter().map(|bytes| Value::Bytes(bytes.into())).collect();
    let timing = timing(&processor, &values)?;
    let per_second = PICTURES as f64 / timing.seconds.median;
    Ok(Rate {
        name,
        unit: "pictures",
        per_second,
        inputs: PICTURES,
        bytes,
        timing,
    })
}

/// A WAV file decoded to Whisper's log-mel spectrum of 80 bands, [1, 3000, 80].
fn sounds_rate() -> Result<Rate> {
    let processor = Processor::fit(&ProcessorConfig::Audio(AudioConfig::default()), &[])?;
    let bytes = sound(0, SOUND);
    let length = bytes.len();
    let timing = timing(&processor, &[Value::Bytes(bytes.into())])?;
    Ok(Rate {
        name: "WAV at 16 kHz to Whisper's log-mel",
        unit: "audio s",
        per_second: SOUND as f64 / timing.seconds.median,
        inputs: 1,
        bytes: length,
        timing,
    })
}

/// Writes the pictures and the sound of the benchmark into `folder`, for other programs to read.
///
/// # Errors
/// What the folder refuses.
pub fn write_inputs(folder: &Path) -> Result<()> {
    files::create_folder(folder)?;
    for number in 0..PICTURES {
        files::write_atomically(&folder.join(format!("{number}.jpg")), &picture(number))?;
    }
    files::write_atomically(&folder.join("sound.wav"), &sound(0, SOUND))
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

#[cfg(test)]
mod tests {
    use super::inputs::{TEXTS, WORDS, WORDS_PER_TEXT};
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
}
