//! Where the sound between two silences begins and ends.

use super::Waveform;

/// Samples in a frame and from one to the next, as in librosa.effects.trim.
const FRAME: usize = 2048;
const HOP: usize = 512;
/// The smallest power that is told from silence.
const LEAST: f64 = 1e-10;

/// Cuts off the frames at both ends whose level lies `depth` decibels or more below the loudest
/// frame's; of several channels the loudest counts. Something always remains.
pub fn trim(waveform: &mut Waveform, depth: f32) {
    let powers = frame_powers(waveform);
    let decibels = |power: f64| 10.0 * power.max(LEAST).log10();
    let loudest = decibels(powers.iter().copied().fold(0.0, f64::max));
    let is_sound = |&power: &f64| decibels(power) - loudest > -f64::from(depth);
    let (Some(first), Some(last)) = (powers.iter().position(is_sound), powers.iter().rposition(is_sound)) else {
        return;
    };
    let (start, end) = (first * HOP, ((last + 1) * HOP).min(waveform.length()));
    for channel in &mut waveform.channels {
        channel.truncate(end);
        channel.drain(..start.min(end));
    }
}

/// The mean power of frames centred on every 512th sample, with silence around the sound.
fn frame_powers(waveform: &Waveform) -> Vec<f64> {
    let length = waveform.length();
    let mut powers = vec![0.0_f64; 1 + length / HOP];
    for channel in &waveform.channels {
        // Sums up to each sample make every frame one difference.
        let mut sums = Vec::with_capacity(length + 1);
        sums.push(0.0);
        sums.extend(channel.iter().scan(0.0, |sum, &sample| {
            *sum += f64::from(sample) * f64::from(sample);
            Some(*sum)
        }));
        for (frame, power) in powers.iter_mut().enumerate() {
            let start = (frame * HOP).saturating_sub(FRAME / 2);
            let end = (frame * HOP + FRAME / 2).min(length);
            *power = power.max((sums[end] - sums[start]) / FRAME as f64);
        }
    }
    powers
}
