//! The kinds of floating numbers that weights are stored in.

use half::{bf16, f16};

#[derive(Debug, Clone, Copy)]
pub(super) enum Float {
    /// 32 bits.
    Single,
    /// 16 bits, 10 of them of the fraction.
    Half,
    /// 16 bits, 7 of them of the fraction.
    Brain,
}

impl Float {
    /// Adds the numbers in little-endian `bytes` to `values`.
    pub fn read(self, bytes: &[u8], values: &mut Vec<f32>) {
        let pairs = || bytes.as_chunks::<2>().0.iter();
        match self {
            Self::Single => values.extend(bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four))),
            Self::Half => values.extend(pairs().map(|two| f16::from_le_bytes(*two).to_f32())),
            Self::Brain => values.extend(pairs().map(|two| bf16::from_le_bytes(*two).to_f32())),
        }
    }
}
