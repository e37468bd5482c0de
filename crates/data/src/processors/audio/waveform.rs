//! Decoded sound.

/// Samples of each channel, all of one length, full scale from −1 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Waveform {
    /// In hertz.
    pub sample_rate: u32,
    /// One list of samples for each channel.
    pub channels: Vec<Vec<f32>>,
}

impl Waveform {
    /// The mean of all channels.
    pub fn mono(self) -> Vec<f32> {
        let share = 1.0 / self.channels.len().max(1) as f32;
        let length = self.channels.first().map_or(0, Vec::len);
        (0..length)
            .map(|at| self.channels.iter().map(|channel| channel[at] * share).sum())
            .collect()
    }
}
