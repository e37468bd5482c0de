//! Butterworth filters as chains of second-order sections.

use super::Waveform;
use biquad::{Biquad, Coefficients, DirectForm2Transposed, Type};

/// Quality factors of the two sections of order 4: 1 / (2 cos(π/8)) and 1 / (2 cos(3π/8)).
const QUALITIES: [f64; 2] = [0.541_196_100_146_197, 1.306_562_964_876_377];
/// The highest corner as a share of half the rate: a corner beyond it is moved there.
const HIGHEST: f64 = 0.999;

pub type Sections = Vec<Coefficients<f64>>;

/// Sections that remove tones below `corner` hertz.
pub fn high_pass(corner: f32, sample_rate: f64) -> Sections {
    butterworth(Type::HighPass, corner, sample_rate)
}

/// Sections that remove tones above `corner` hertz.
pub fn low_pass(corner: f32, sample_rate: f64) -> Sections {
    butterworth(Type::LowPass, corner, sample_rate)
}

fn butterworth(kind: Type<f64>, corner: f32, sample_rate: f64) -> Sections {
    let corner = (2.0 * f64::from(corner) / sample_rate).clamp(0.0, HIGHEST);
    let section = |quality| Coefficients::from_normalized_params(kind, corner, quality);
    let sections = QUALITIES.map(|quality| section(quality).expect("a corner below half the rate"));
    sections.to_vec()
}

/// Runs every channel through the sections, in double precision, from rest.
pub fn run(sections: &Sections, waveform: &mut Waveform) {
    for channel in &mut waveform.channels {
        let mut chain: Vec<_> = sections
            .iter()
            .map(|&section| DirectForm2Transposed::new(section))
            .collect();
        for sample in channel {
            *sample = chain
                .iter_mut()
                .fold(f64::from(*sample), |value, section| section.run(value)) as f32;
        }
    }
}
