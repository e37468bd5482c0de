//! The kinds of floating numbers that weights are stored in.

use burn::tensor::{Element, TensorData};
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::vec::HalfBitsVecExt;
use half::{bf16, f16};
use safetensors::tensor::Dtype;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Float {
    /// 32 bits.
    Single,
    /// 16 bits, 10 of them of the fraction.
    Half,
    /// 16 bits, 7 of them of the fraction.
    Brain,
}

impl Float {
    /// The kind of safetensors; none for numbers that are not floating or have other widths.
    pub fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Self::Single),
            Dtype::F16 => Some(Self::Half),
            Dtype::BF16 => Some(Self::Brain),
            _ => None,
        }
    }

    pub fn dtype(self) -> Dtype {
        match self {
            Self::Single => Dtype::F32,
            Self::Half => Dtype::F16,
            Self::Brain => Dtype::BF16,
        }
    }

    /// The kind of the fewest bits that has all `values` as they are.
    pub fn holding(values: &[f32]) -> Self {
        let same = |a: f32, b: &f32| a.to_bits() == b.to_bits();
        if values.iter().all(|value| same(f16::from_f32(*value).to_f32(), value)) {
            return Self::Half;
        }
        match values.iter().all(|value| same(bf16::from_f32(*value).to_f32(), value)) {
            true => Self::Brain,
            false => Self::Single,
        }
    }

    /// Adds the numbers in little-endian `bytes` to `values`.
    pub fn read(self, bytes: &[u8], values: &mut Vec<f32>) {
        let start = values.len();
        let bits = || -> Vec<u16> { bytes.as_chunks().0.iter().map(|two| u16::from_le_bytes(*two)).collect() };
        let room = |values: &mut Vec<f32>, count: usize| values.resize(start + count, 0.0);
        match self {
            Self::Single => values.extend(bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four))),
            Self::Half => {
                let bits = bits();
                room(values, bits.len());
                bits.reinterpret_cast::<f16>()
                    .convert_to_f32_slice(&mut values[start..]);
            }
            Self::Brain => {
                let bits = bits();
                room(values, bits.len());
                bits.reinterpret_cast::<bf16>()
                    .convert_to_f32_slice(&mut values[start..]);
            }
        }
    }

    /// Numbers as little-endian bytes.
    pub fn write(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::Single => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Half => values
                .iter()
                .flat_map(|value| f16::from_f32(*value).to_le_bytes())
                .collect(),
            Self::Brain => values
                .iter()
                .flat_map(|value| bf16::from_f32(*value).to_le_bytes())
                .collect(),
        }
    }
}

/// Floating numbers of one kind.
pub(crate) enum Numbers {
    Single(Vec<f32>),
    Half(Vec<f16>),
    Brain(Vec<bf16>),
}

impl Numbers {
    pub fn zeros(kind: Float, count: usize) -> Self {
        match kind {
            Float::Single => Self::Single(vec![0.0; count]),
            Float::Half => Self::Half(vec![0u16; count].reinterpret_into()),
            Float::Brain => Self::Brain(vec![0u16; count].reinterpret_into()),
        }
    }

    pub fn kind(&self) -> Float {
        match self {
            Self::Single(_) => Float::Single,
            Self::Half(_) => Float::Half,
            Self::Brain(_) => Float::Brain,
        }
    }

    /// As this machine has them: in little-endian order on all that this program is built for.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Single(values) => bytemuck::cast_slice(values),
            Self::Half(values) => bytemuck::cast_slice(values),
            Self::Brain(values) => bytemuck::cast_slice(values),
        }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Single(values) => bytemuck::cast_slice_mut(values),
            Self::Half(values) => bytemuck::cast_slice_mut(values),
            Self::Brain(values) => bytemuck::cast_slice_mut(values),
        }
    }

    pub fn widened(self) -> Vec<f32> {
        match self {
            Self::Single(values) => values,
            Self::Half(values) => values.to_f32_vec(),
            Self::Brain(values) => values.to_f32_vec(),
        }
    }

    /// As a tensor of one axis.
    pub fn into_data(self) -> TensorData {
        match self {
            Self::Single(values) => flat(values),
            Self::Half(values) => flat(values),
            Self::Brain(values) => flat(values),
        }
    }
}

pub(crate) fn flat<E: Element>(values: Vec<E>) -> TensorData {
    let count = values.len();
    TensorData::new(values, [count])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_the_fewest_bits_that_hold_them() {
        let check = |values: &[f32], expected: Float| {
            assert_eq!(Float::holding(values), expected, "{values:?}");
            assert_eq!(Float::of(expected.dtype()), Some(expected));
            let mut found = vec![7.0];
            expected.read(&expected.write(values), &mut found);
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&found[1..]), bits(values));
        };
        check(&[], Float::Half);
        check(&[0.0, -0.0, 1.5, 65504.0, 2f32.powi(-24), f32::INFINITY], Float::Half);
        check(&[1.5, 2f32.powi(100)], Float::Brain);
        // One that only 10 bits hold beside one that only 8 of the exponent do.
        check(&[1.0 + 2f32.powi(-10), 2f32.powi(100)], Float::Single);
        check(&[0.1], Float::Single);
    }
}
