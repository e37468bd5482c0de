//! What tells a Transformer where a token stands: a table of waves, or a rotation of queries and keys.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Device, Tensor, TensorData};
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, extents, fused, tensor};
use crate::columns::row_chunk;
use crate::parallel;
use crate::simd::vectorized;
use crate::turns::Turns;

/// The table [length, width] with sin(p/10000^(2i/width)) in column 2i of row p and the cosine in column 2i + 1 (Vaswani
/// et al. 2017, section 3.5).
pub fn sinusoidal_positions(length: usize, width: usize, device: &Device) -> Tensor<2> {
    let value = |index: usize| {
        let (position, column) = (index / width, index % width);
        let exponent = (column - column % 2) as f64 / width as f64;
        let angle = position as f64 / 10_000f64.powf(exponent);
        (if column % 2 == 0 { angle.sin() } else { angle.cos() }) as f32
    };
    let values: Vec<f32> = (0..length * width).map(value).collect();
    Tensor::from_data(TensorData::new(values, [length, width]), device)
}

/// Rotary positions of queries or keys `x` [batch, heads, length, width] (Su et al. 2021): turns each pair of columns
/// (i, i + width/2) of the place at p by the angle (`offset` + p) · `base`^(−2i/width). Pairs are half a row apart, as
/// in GPT-NeoX and Llama; checkpoints that pair neighbouring columns need theirs reordered.
///
/// # Panics
/// If the width is odd.
pub fn rotary(x: Tensor<4>, offset: usize, base: f64) -> Tensor<4> {
    let [_, _, length, width] = x.dims();
    assert!(
        width.is_multiple_of(2),
        "rotary: a head of width {width} has no pairs of columns: the width must be even"
    );
    rotary_by(x, &Turns::line(offset..offset + length, width / 2, base))
}

/// [`rotary`] by other angles: of places on a plane or in a volume, or of several sequences in one. `turns` are those of
/// every sequence of the batch, or of one after the other.
///
/// # Panics
/// If `turns` are for another length or width.
pub fn rotary_by(x: Tensor<4>, turns: &Turns) -> Tensor<4> {
    let [batch, _, length, width] = x.dims();
    let [places, columns] = turns.shape();
    // Without places nothing says how wide they would be.
    let fits = (places == length || places == batch * length) && (columns == width || length == 0);
    assert!(
        fits,
        "rotary: turns of [{places}, {columns}] for rows of [{length}, {width}]"
    );
    if !fused(&x) {
        return plain(x, turns);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::rotation(x.into_dispatch(), turns.clone()))
}

fn plain(x: Tensor<4>, turns: &Turns) -> Tensor<4> {
    let [_, _, length, width] = x.dims();
    let half = width / 2;
    let [places, _] = turns.shape();
    let turns = TensorData::new(turns.values().to_vec(), [places / length.max(1), 1, length, width]);
    let turns = Tensor::<4>::from_data(turns, &x.device());
    let (cosines, sines) = (turns.clone().narrow(3, 0, half), turns.narrow(3, half, half));
    let (left, right) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
    let turned_left = left.clone() * cosines.clone() - right.clone() * sines.clone();
    Tensor::cat(vec![turned_left, right * cosines + left * sines], 3)
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn rotation(x: FloatTensor<Self>, turns: Turns) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn rotation(x: FlexTensor, turns: Turns) -> FlexTensor {
        turn(&x, turns.values(), 1.0)
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn rotation(x: FloatTensor<Self>, turns: Turns) -> FloatTensor<Self> {
        record::<C, Saved, 1>([x], |[x], _| (turn(&x, turns.values(), 1.0), Saved { turns }))
    }
}

#[derive(Clone, Debug)]
struct Saved {
    turns: Turns,
}

impl Gradient<1> for Saved {
    fn gradients(self, dy: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(turn(&dy, self.turns.values(), -1.0))]
    }
}

/// Turns every row of `x`, forwards or backwards. The result keeps the memory order of the input, heads within places
/// or places within heads, so that joining the heads again copies nothing.
fn turn(x: &FlexTensor, turns: &[f32], direction: f32) -> FlexTensor {
    let strides = x.layout().strides();
    let readable = strides[3] == 1 && strides.iter().all(|&stride| stride >= 0);
    let x = if readable { x.clone() } else { contiguous(x) };
    let [batch, heads, length, width] = extents(&x);
    let stride = |axis: usize| x.layout().strides()[axis] as usize;
    let heads_within = stride(1) < stride(2);
    let [outer, inner] = if heads_within { [length, heads] } else { [heads, length] };
    let values = &x.storage::<f32>()[x.layout().start_offset()..];
    // Turns of one sequence are those of all.
    let own = if turns.len() > length * width { length } else { 0 };
    let chunk = row_chunk(width);
    let output = parallel::fill(batch * heads * length * width, chunk, |index, part| {
        for (row, line) in part.chunks_exact_mut(width).enumerate() {
            let row = index * (chunk / width) + row;
            let (sample, middle, last) = (row / inner / outer, row / inner % outer, row % inner);
            let [head, place] = if heads_within { [last, middle] } else { [middle, last] };
            let start = sample * stride(0) + head * stride(1) + place * stride(2);
            turn_row(
                &values[start..start + width],
                &turns[(sample * own + place) * width..][..width],
                direction,
                line,
            );
        }
    });
    let output = tensor(output, [batch, outer, inner, width]);
    if !heads_within {
        return output;
    }
    let layout = output.layout().transpose(1, 2);
    output.with_layout(layout)
}

vectorized! {
    fn turn_row(x: &[f32], turns: &[f32], direction: f32, output: &mut [f32]) {
        let half = output.len() / 2;
        let (left, right) = x.split_at(half);
        let (cosines, sines) = turns.split_at(half);
        let (output_left, output_right) = output.split_at_mut(half);
        for pair in 0..half {
            let (cosine, sine) = (cosines[pair], direction * sines[pair]);
            output_left[pair] = left[pair] * cosine - right[pair] * sine;
            output_right[pair] = right[pair] * cosine + left[pair] * sine;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, close, elements, values};

    /// The order of the axes in memory, outermost first.
    fn check_rotary(shape: [usize; 4], offset: usize, order: [usize; 4]) {
        let [batch, heads, length, width] = shape;
        let base = 100.0;
        let stored = order.map(|axis| shape[axis]);
        let mut back = [0; 4];
        order.iter().enumerate().for_each(|(index, &axis)| back[axis] = index);
        let view = |leaves: &[Tensor<1>]| {
            leaves[0]
                .clone()
                .reshape(stored)
                .permute(back.map(|axis| axis as isize))
        };
        check(
            &[values(1, batch * heads * length * width)],
            |leaves| rotary(view(leaves), offset, base).reshape([-1]),
            |leaves| {
                let turns = Turns::line(offset..offset + length, width / 2, base);
                plain(view(leaves), &turns).reshape([-1])
            },
            |leaves| {
                let at = |index: [usize; 4]| {
                    let step = |sum: usize, &axis: &usize| sum * shape[axis] + index[axis];
                    leaves[0][order.iter().fold(0, step)]
                };
                let value = |index: usize| {
                    let (row, column) = (index / width, index % width);
                    let (head, place) = (row / length, row % length);
                    let at = |column: usize| at([head / heads, head % heads, place, column]);
                    let half = width / 2;
                    let pair = column % half;
                    let angle = (offset + place) as f64 * f64::powf(base, -2.0 * pair as f64 / width as f64);
                    let (left, right) = (at(pair), at(pair + half));
                    if column < half {
                        left * angle.cos() - right * angle.sin()
                    } else {
                        right * angle.cos() + left * angle.sin()
                    }
                };
                (0..batch * heads * length * width).map(value).collect()
            },
        );
    }

    #[test]
    fn rotary_matches_its_reference() {
        for (shape, offset) in [
            ([1, 1, 1, 2], 0),
            ([2, 3, 5, 4], 7),
            ([2, 2, 3, 34], 1),
            ([1, 4, 1, 6], 1000),
        ] {
            for order in [[0, 1, 2, 3], [0, 2, 1, 3], [0, 1, 3, 2]] {
                check_rotary(shape, offset, order);
            }
        }
    }

    #[test]
    fn each_sequence_turns_by_its_own_angles() {
        let leaf = |batch: usize| Tensor::<1>::from_floats(&values(3, 48)[..batch * 24], &Device::flex());
        let x = leaf(2).reshape([2, 3, 2, 4]);
        let parts = [Turns::line(0..2, 2, 100.0), Turns::line(7..9, 2, 100.0)];
        let joined = Turns::join(&parts);
        let each = parts.iter().enumerate();
        let each = each
            .map(|(row, turns)| rotary_by(x.clone().narrow(0, row, 1), turns))
            .collect();
        let expected = elements(Tensor::cat(each, 0).reshape([-1]));
        let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
        close(
            "turned",
            &elements(rotary_by(x.clone(), &joined).reshape([-1])),
            &expected,
            1e-6,
        );
        close(
            "plainly",
            &elements(plain(x.clone(), &joined).reshape([-1])),
            &expected,
            1e-6,
        );
        // Places within heads too.
        let swapped = x.clone().swap_dims(1, 2).reshape([2, 2, 3, 4]).swap_dims(1, 2);
        close(
            "swapped",
            &elements(rotary_by(swapped, &joined).reshape([-1])),
            &expected,
            1e-6,
        );
    }

    #[test]
    fn products_depend_on_the_distance_alone() {
        let device = Device::flex();
        let leaf = |seed| Tensor::<1>::from_floats(values(seed, 8).as_slice(), &device).reshape([1, 1, 1, 8]);
        let product =
            |left: usize, right: usize| elements((rotary(leaf(1), left, 1e4) * rotary(leaf(2), right, 1e4)).sum())[0];
        close("product", &[product(13, 5)], &[product(8, 0).into()], 1e-5);
    }

    #[test]
    fn no_places_give_nothing() {
        let x = Tensor::<4>::zeros([2, 3, 0, 4], &Device::flex());
        assert_eq!(rotary(x, 0, 1e4).dims(), [2, 3, 0, 4]);
    }

    #[test]
    #[should_panic(expected = "a head of width 3 has no pairs")]
    fn odd_widths_are_refused() {
        rotary(Tensor::<4>::zeros([1, 1, 1, 3], &Device::flex()), 0, 1e4);
    }

    #[test]
    fn waves_match_their_definition() {
        let device = Device::flex();
        let table = elements(sinusoidal_positions(3, 5, &device));
        let angle = |column: i32| 2.0 / 10_000f64.powf(f64::from(column) / 5.0);
        let last = [
            angle(0).sin(),
            angle(0).cos(),
            angle(2).sin(),
            angle(2).cos(),
            angle(4).sin(),
        ];
        close("row 0", &table[..5], &[0.0, 1.0, 0.0, 1.0, 0.0], 1e-7);
        close("row 2", &table[10..], &last, 1e-6);
        assert_eq!(sinusoidal_positions(0, 4, &device).dims(), [0, 4]);
    }
}
