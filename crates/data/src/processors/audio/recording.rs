//! A recording of any length, of which as much is brought to the configured rate as was asked for.

use super::condition::{mixed, whole};
use super::resample::Resampling;
use super::{AudioConfig, Waveform};
use crate::Result;

/// A recording that is heard from its beginning on.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    heard: Waveform,
    /// All of it at its own rate; none where everything was heard.
    source: Option<(Waveform, Resampling)>,
}

impl Recording {
    /// Decoded sound of which nothing was heard; but all of it where it is filtered, and where its rate is the configured one.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for another number of channels than is kept.
    pub(super) fn new(config: &AudioConfig, waveform: Waveform) -> Result<Self> {
        if !config.filters.is_empty() || waveform.sample_rate == config.sample_rate {
            return Ok(Self::from(whole(config, waveform)?));
        }
        let source = mixed(waveform, config.channels)?;
        let resampling = Resampling::new(source.sample_rate, config.sample_rate);
        Ok(Self {
            heard: Waveform {
                sample_rate: config.sample_rate,
                channels: vec![Vec::new(); source.channels.len()],
            },
            source: Some((source, resampling)),
        })
    }

    /// Samples per channel at the configured rate, heard or not.
    pub fn length(&self) -> usize {
        match &self.source {
            Some((source, resampling)) => resampling.length(source.length()),
            None => self.heard.length(),
        }
    }

    pub fn seconds(&self) -> f64 {
        self.length() as f64 / f64::from(self.heard.sample_rate)
    }

    /// Hears so many samples from the beginning on, or a few more; all where there are less.
    pub fn hear(&mut self, samples: usize) {
        if let Some((source, resampling)) = &self.source {
            let channels = self.heard.channels.iter_mut().zip(&source.channels);
            channels.for_each(|(heard, source)| resampling.extend(source, heard, samples));
        }
        if self.heard.length() == self.length() {
            self.source = None;
        }
    }

    /// What was heard.
    pub fn heard(&self) -> &Waveform {
        &self.heard
    }
}

/// All of which was heard.
impl From<Waveform> for Recording {
    fn from(heard: Waveform) -> Self {
        Self { heard, source: None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::resample;
    use super::*;
    use serde_json::json;

    fn recording(config: serde_json::Value, rate: u32, count: usize) -> (Recording, Vec<f32>) {
        let samples: Vec<f32> = (0..count).map(|at| (at as f32 * 0.01).sin()).collect();
        let waveform = Waveform {
            sample_rate: rate,
            channels: vec![samples.clone()],
        };
        let config = serde_json::from_value(config).unwrap();
        (Recording::new(&config, waveform).unwrap(), samples)
    }

    #[test]
    fn what_is_heard_bit_by_bit_is_the_whole() {
        let (mut recording, samples) = recording(json!({}), 44_100, 3_000_000);
        let whole = resample(&samples, 44_100, 16_000);
        assert_eq!((recording.length(), recording.heard().length()), (whole.len(), 0));
        for count in [1, 100, 400_000, 410_000, 2_000_000] {
            recording.hear(count);
            let heard = &recording.heard().channels[0];
            assert!(heard.len() >= count.min(whole.len()) && heard[..] == whole[..heard.len()]);
        }
        assert!(recording.source.is_none());
    }

    #[test]
    fn what_is_filtered_or_of_the_rate_is_heard_at_once() {
        let (mut plain, samples) = recording(json!({}), 16_000, 1000);
        assert_eq!(plain.heard().channels, [samples]);
        plain.hear(5000);
        assert_eq!((plain.length(), plain.heard().length()), (1000, 1000));
        let (filtered, _) = recording(json!({"filters": ["remove_dc"]}), 8000, 1000);
        assert_eq!((filtered.length(), filtered.heard().length()), (2000, 2000));
    }
}
