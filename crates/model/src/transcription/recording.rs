//! A recording in memory: parts of it for the encoder, and how loud it is where.

use crate::error::Result;
use sensorium_data::processors::{Recording as Source, Waveform};
use sensorium_data::{InputBatch, Processor, ProcessorConfig};
use std::ops::Range;
use std::path::Path;

/// The length of what has one level, in seconds.
const BLOCK: f64 = 0.1;
/// Blocks below this level, −70 dB, are silent.
const SILENCE: f32 = 3e-4;
/// What is this much less loud than the loudest block, 20 dB, is no speech.
const QUIET: f32 = 0.1;

pub struct Recording<'a> {
    processor: &'a Processor,
    source: Source,
    /// The root of the mean square of each block that was heard.
    levels: Vec<f32>,
}

impl<'a> Recording<'a> {
    /// Nothing of it is heard.
    ///
    /// # Errors
    /// What reading and decoding can refuse, with the path.
    pub fn open(processor: &'a Processor, path: &Path) -> Result<Self> {
        Ok(Self::new(processor, processor.record(path)?))
    }

    fn new(processor: &'a Processor, source: Source) -> Self {
        Self {
            processor,
            source,
            levels: Vec::new(),
        }
    }

    /// Hears what lies before a time in seconds.
    pub fn hear(&mut self, end: f64) {
        self.source.hear(self.place(end + BLOCK));
        let (heard, size) = (self.source.heard(), self.place(BLOCK).max(1));
        let known = match heard.length() == self.source.length() {
            true => heard.length().div_ceil(size),
            false => heard.length() / size,
        };
        let levels = (self.levels.len()..known).map(|block| level(heard, block * size, size));
        self.levels.extend(levels);
    }

    /// The sample at a time, in seconds.
    fn place(&self, seconds: f64) -> usize {
        (seconds * f64::from(self.source.heard().sample_rate)).round() as usize
    }

    pub fn seconds(&self) -> f64 {
        self.source.seconds()
    }

    /// All of the first channel.
    pub fn samples(&mut self) -> &[f32] {
        self.hear(self.seconds());
        &self.source.heard().channels[0]
    }

    /// The longest part that the encoder reads, in seconds.
    pub fn window(&self) -> f64 {
        match self.processor.config() {
            ProcessorConfig::Audio(config) => config.max_seconds,
            _ => unreachable!("a recording is read by a processor of sounds"),
        }
    }

    /// The part between two times that were heard, in seconds, as a batch of one medium.
    ///
    /// # Errors
    /// For samples that are no numbers or too large.
    pub fn part(&self, times: [f64; 2]) -> Result<InputBatch> {
        let [start, end] = times.map(|seconds| self.place(seconds).min(self.source.length()));
        let feature = self.processor.window(&self.source, start..end)?;
        Ok(InputBatch {
            media: Some(self.processor.collate(&[&feature])),
            medium_of_row: vec![Some(0)],
        })
    }

    /// Whether nothing is to be heard between two times.
    pub fn is_silent(&self, part: [f64; 2]) -> bool {
        self.levels[self.blocks(part)].iter().all(|level| *level < SILENCE)
    }

    /// The seconds between two times in which it is about as loud as in the loudest moment of `whole`.
    pub fn loud_seconds(&self, part: [f64; 2], whole: [f64; 2]) -> f64 {
        let loudest = self.levels[self.blocks(whole)].iter().copied().fold(SILENCE, f32::max);
        let loud = |level: &&f32| **level >= QUIET * loudest;
        self.levels[self.blocks(part)].iter().filter(loud).count() as f64 * BLOCK
    }

    /// The blocks that begin between two times.
    fn blocks(&self, part: [f64; 2]) -> Range<usize> {
        let [start, end] = part.map(|seconds| ((seconds / BLOCK).ceil() as usize).min(self.levels.len()));
        start..end.max(start)
    }
}

/// The root of the mean square of at most `size` samples of each channel.
fn level(waveform: &Waveform, start: usize, size: usize) -> f32 {
    let part = |channel: &Vec<f32>| {
        let samples = &channel[start..channel.len().min(start + size)];
        samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32
    };
    let squares: f32 = waveform.channels.iter().map(part).sum();
    (squares / waveform.channels.len() as f32).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of silence, one of a loud tone and one of a quiet one.
    #[test]
    fn levels_tell_what_can_be_heard() {
        let config = serde_json::from_value(serde_json::json!({"modality": "audio", "max_seconds": 2})).unwrap();
        let processor = Processor::fit(&config, &[]).unwrap();
        let loudness = [0.0, 0.5, 0.01];
        let sample = |at: usize| loudness[at / 16_000] * (at as f32 * 0.3).sin();
        let waveform = Waveform {
            sample_rate: 16_000,
            channels: vec![(0..48_000).map(sample).collect()],
        };
        let mut recording = Recording::new(&processor, waveform.into());
        recording.hear(0.55);
        assert!(recording.is_silent([0.0, 0.5]) && recording.levels.len() == 30);
        recording.hear(9.0);
        assert_eq!((recording.seconds(), recording.window()), (3.0, 2.0));
        assert!(recording.is_silent([0.0, 1.0]) && !recording.is_silent([0.5, 1.5]));
        let loud = |part: [f64; 2]| recording.loud_seconds(part, [0.0, 3.0]);
        assert!((loud([0.0, 3.0]) - 1.0).abs() < 1e-9 && loud([2.0, 3.0]) == 0.0);
        assert!((recording.loud_seconds([2.0, 9.0], [2.0, 9.0]) - 1.0).abs() < 1e-9);
        assert_eq!(recording.part([1.0, 9.0]).unwrap().medium_of_row, [Some(0)]);
    }
}
