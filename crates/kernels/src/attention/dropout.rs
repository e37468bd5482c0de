//! Dropout of attention weights by a counter-based generator: a weight's fate is computed from its place whenever it
//! is needed, and never stored.

use super::options::AttentionDropout;
use crate::simd::vectorized;

/// The factors of the weights of one query.
#[derive(Clone, Copy, Debug)]
pub struct Factors {
    key: [u32; 2],
    threshold: u32,
    scale: f32,
}

impl Factors {
    /// Those of a query of a head; `row` numbers the rows of [batch, heads, queries, keys].
    pub fn new(dropout: AttentionDropout, row: usize) -> Self {
        assert!((0.0..1.0).contains(&dropout.rate), "a dropout rate lies in [0, 1)");
        let bits = mix(mix(dropout.seed).wrapping_add(row as u64));
        Self {
            key: [bits as u32, (bits >> 32) as u32],
            threshold: (dropout.rate * 2f64.powi(32)) as u32,
            scale: (1.0 / (1.0 - dropout.rate)) as f32,
        }
    }

    /// Writes the factors of the keys from `first`: zero, or what keeps the mean.
    pub fn write(self, first: usize, factors: &mut [f32]) {
        write(self.key, self.threshold, self.scale, first, factors);
    }
}

/// A bijection in which every bit depends on every other (SplitMix64's, Steele et al. 2014).
fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

vectorized! {
    fn write(key: [u32; 2], threshold: u32, scale: f32, first: usize, factors: &mut [f32]) {
        let first = first as u32;
        for (index, factor) in factors.iter_mut().enumerate() {
            // The 32-bit counterpart of `mix` (Wellons 2018, `lowbias32`), with a second key between its rounds.
            let bits = first.wrapping_add(index as u32).wrapping_mul(0x9E37_79B9) ^ key[0];
            let bits = (bits ^ (bits >> 16)).wrapping_mul(0x7FEB_352D);
            let bits = (bits ^ (bits >> 15)).wrapping_add(key[1]).wrapping_mul(0x846C_A68B);
            let bits = bits ^ (bits >> 16);
            *factor = if bits < threshold { 0.0 } else { scale };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(seed: u64, row: usize, first: usize, count: usize) -> Vec<f32> {
        let mut factors = vec![0.0; count];
        let dropout = AttentionDropout { rate: 0.25, seed };
        Factors::new(dropout, row).write(first, &mut factors);
        factors
    }

    #[test]
    fn factors_keep_the_mean_and_depend_on_their_place_alone() {
        let rows: Vec<f32> = (0..400).flat_map(|row| factors(1, row, 0, 100)).collect();
        let mean = rows.iter().sum::<f32>() / rows.len() as f32;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        let columns = (0..100).map(|column| rows[column..].iter().step_by(100).sum::<f32>() / 400.0);
        assert!(columns.into_iter().all(|mean| (mean - 1.0).abs() < 0.15));
        assert_eq!(factors(1, 3, 0, 100)[40..], factors(1, 3, 40, 60));
        assert_ne!(factors(1, 3, 0, 100), factors(2, 3, 0, 100));
        assert_ne!(factors(1, 3, 0, 100), factors(1, 4, 0, 100));
    }
}
