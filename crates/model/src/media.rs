//! From a collated batch to tensors.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use sensorium_data::{Collated, InputBatch};

/// The distinct media of one input as tensors on a device.
#[derive(Debug, Clone)]
pub enum Media {
    /// Normalised pixels, [media, height, width, channels].
    Pixels(Tensor<4>),
    /// Token identifiers [media, length] with their mask, true = real.
    Text {
        tokens: Tensor<2, Int>,
        mask: Tensor<2, Bool>,
    },
}

impl Media {
    pub fn new(collated: &Collated, device: &Device) -> Self {
        match collated {
            Collated::Image { shape, pixels } => {
                Self::Pixels(Tensor::from_data(TensorData::new(pixels.clone(), *shape), device))
            }
            Collated::Text { shape, tokens, lengths } => {
                let real = |&length: &usize| {
                    let padding = shape[1] - length;
                    std::iter::repeat_n(true, length).chain(std::iter::repeat_n(false, padding))
                };
                let mask: Vec<bool> = lengths.iter().flat_map(real).collect();
                Self::Text {
                    tokens: Tensor::from_data(TensorData::new(tokens.clone(), *shape), device),
                    mask: Tensor::from_data(TensorData::new(mask, *shape), device),
                }
            }
        }
    }
}

/// Which sequence each row reads: its medium's, or `absent`.
pub fn row_index(input: &InputBatch, absent: usize, device: &Device) -> Tensor<1, Int> {
    let of_row = input.medium_of_row.iter().map(|medium| medium.unwrap_or(absent) as i64);
    let index: Vec<i64> = of_row.collect();
    let rows = index.len();
    Tensor::from_data(TensorData::new(index, [rows]), device)
}
