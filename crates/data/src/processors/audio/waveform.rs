//! A decoded sound in memory.

/// Samples by channel, nominally within −1 … 1; all channels have one length.
#[derive(Debug, Clone, PartialEq)]
pub struct Waveform {
    /// Samples per second and channel.
    pub sample_rate: u32,
    pub channels: Vec<Vec<f32>>,
}

impl Waveform {
    /// Samples per channel.
    pub fn length(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    pub fn seconds(&self) -> f64 {
        self.length() as f64 / f64::from(self.sample_rate)
    }

    /// The mean of the channels, sample by sample.
    pub fn mono(self) -> Vec<f32> {
        let count = self.channels.len() as f32;
        let mut channels = self.channels.into_iter();
        let mut sum = channels.next().unwrap_or_default();
        if count > 1.0 {
            for channel in channels {
                sum.iter_mut().zip(channel).for_each(|(sum, sample)| *sum += sample);
            }
            sum.iter_mut().for_each(|sum| *sum /= count);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(channels: &[&[f32]], mono: &[f32]) {
        let waveform = Waveform {
            sample_rate: 4,
            channels: channels.iter().map(|channel| channel.to_vec()).collect(),
        };
        assert_eq!(waveform.length(), mono.len());
        assert_eq!(waveform.seconds(), mono.len() as f64 / 4.0);
        assert_eq!(waveform.mono(), mono);
    }

    #[test]
    fn mono_is_the_mean_of_the_channels() {
        check(&[], &[]);
        check(&[&[0.5, -1.0]], &[0.5, -1.0]);
        check(&[&[0.5, -1.0], &[0.0, 1.0]], &[0.25, 0.0]);
        check(&[&[0.75], &[0.0], &[0.0]], &[0.25]);
    }
}
