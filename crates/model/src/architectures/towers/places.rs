//! Learned places of a grid of patches for a grid of another size.

use crate::tokens::plain;
use burn::tensor::{Device, Tensor, TensorData};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learned places of one grid become those of another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resampling {
    /// By PyTorch's bicubic interpolation, which reads four places along each axis.
    #[default]
    Bicubic,
    /// By the one that reads more of them where the grid becomes smaller.
    Antialiased,
}

/// `table` [rows × columns, width] of a grid `from` [rows, columns], resampled for a grid `to`; as it is where both are the
/// same.
pub fn resampled(table: Tensor<2>, from: [usize; 2], to: [usize; 2], resampling: Resampling) -> Tensor<2> {
    if from == to {
        return table;
    }
    let width = table.dims()[1];
    let device = plain(&table.device());
    let along = |axis: usize| resampling.matrix(from[axis], to[axis], &device);
    let down = along(0).matmul(table.reshape([from[0], from[1] * width]));
    let turned = down.reshape([to[0], from[1], width]).swap_dims(0, 1);
    let across = along(1).matmul(turned.reshape([from[1], to[0] * width]));
    let turned = across.reshape([to[1], to[0], width]).swap_dims(0, 1);
    turned.reshape([to[0] * to[1], width])
}

impl Resampling {
    /// The share of each of `from` places in each of `to`, [to, from].
    fn matrix(self, from: usize, to: usize, device: &Device) -> Tensor<2> {
        let mut shares = vec![0.0; to * from];
        let scale = from as f64 / to as f64;
        for (index, row) in shares.chunks_mut(from).enumerate() {
            let centre = (index as f64 + 0.5) * scale;
            match self {
                Self::Bicubic => nearest_four(centre, row),
                Self::Antialiased => widened(centre, scale.max(1.0), row),
            }
        }
        let shares = shares.into_iter().map(|share| share as f32).collect();
        Tensor::from_data(TensorData::new(shares, [to, from]), device)
    }
}

/// The cubic with a = −3/4 of the four places around `centre`; a place beyond an end is that end.
fn nearest_four(centre: f64, shares: &mut [f64]) {
    let place = centre - 0.5;
    let first = place.floor() as i64 - 1;
    for at in first..first + 4 {
        let inside = at.clamp(0, shares.len() as i64 - 1) as usize;
        shares[inside] += cubic(at as f64 - place, -0.75);
    }
}

/// The cubic with a = −1/2, `scale` times as wide, of the places that there are.
fn widened(centre: f64, scale: f64, shares: &mut [f64]) {
    let reach = 2.0 * scale;
    let first = (centre - reach + 0.5).max(0.0) as usize;
    let end = ((centre + reach + 0.5) as usize).min(shares.len());
    let weight = |at: usize| cubic((at as f64 - centre + 0.5) / scale, -0.5);
    let sum: f64 = (first..end).map(weight).sum();
    (first..end).for_each(|at| shares[at] = weight(at) / sum);
}

/// The cubic of Keys (1981).
fn cubic(distance: f64, a: f64) -> f64 {
    let x = distance.abs();
    match x {
        0.0..1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        1.0..2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * a,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;

    /// Against `torch.nn.functional.interpolate(torch.arange(12.)[None, None].reshape(1, 1, 3, 4), mode="bicubic")`.
    fn check(to: [usize; 2], resampling: Resampling, expected: &[f32]) {
        let device = Device::flex();
        let table = Tensor::<1>::from_floats(std::array::from_fn::<f32, 12, _>(|at| at as f32), &device);
        let table = table.reshape([12, 1]);
        let found = to_vec(resampled(table.clone().repeat_dim(1, 2), [3, 4], to, resampling));
        assert_eq!(found.len(), 2 * expected.len());
        for (found, expected) in found.chunks(2).zip(expected) {
            let near = found.iter().all(|found| (found - expected).abs() < 1e-4);
            assert!(near, "{resampling:?} {to:?}: {found:?}, not {expected}");
        }
    }

    #[test]
    fn places_are_those_of_pytorch() {
        let all: Vec<f32> = (0..12).map(|at| at as f32).collect();
        check([3, 4], Resampling::Bicubic, &all);
        check([2, 2], Resampling::Bicubic, &[1.17188, 3.35938, 7.64062, 9.82812]);
        check([2, 2], Resampling::Antialiased, &[1.82594, 3.65239, 7.34761, 9.17406]);
        check(
            [4, 5],
            Resampling::Bicubic,
            &[
                -0.34786, 0.32364, 1.21289, 2.10214, 2.77364, 2.05839, 2.72989, 3.61914, 4.50839, 5.17989, 5.82011,
                6.49161, 7.38086, 8.27011, 8.94161, 8.22636, 8.89786, 9.78711, 10.67636, 11.34786,
            ],
        );
        check(
            [4, 5],
            Resampling::Antialiased,
            &[
                -0.25222, 0.43913, 1.29104, 2.14296, 2.83431, 2.18311, 2.87446, 3.72638, 4.57829, 5.26965, 5.73035,
                6.42171, 7.27362, 8.12554, 8.81689, 8.16569, 8.85704, 9.70896, 10.56087, 11.25222,
            ],
        );
    }
}
