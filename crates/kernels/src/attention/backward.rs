//! The gradient of attention: a block's weights are computed again from the logarithms of the sums of powers.

use std::ops::Range;

use super::bias::{add_slopes, distances};
use super::heads::{Heads, line, part};
use super::kernel::{Attention, Block, multiply_by};
use crate::gemm::{add_product, set_product};
use crate::panels::{Matrix, Panels};
use crate::parallel::{self, Target, add_rows, with_scratch};
use crate::simd::{dot, exp, vectorized};

/// The keys and values of a block of keys, as the products of a block need them.
struct Part {
    range: Range<usize>,
    keys: Panels,
    keys_turned: Panels,
    values_turned: Panels,
}

/// What the gradient of one block of queries is computed from.
struct Inputs<'a> {
    q: Matrix<'a>,
    dy: Matrix<'a>,
    output: Matrix<'a>,
    logarithms: &'a [f32],
}

/// What the blocks of a task add up.
struct Sums<'a> {
    /// Each [keys, width].
    dk: &'a mut [f32],
    dv: &'a mut [f32],
    /// Of the bias of the heads that share the keys, [heads, distances]; empty where there is none.
    bias: &'a mut [f32],
}

impl Attention {
    /// The gradients of queries, keys and values, each [batch, length, heads, width], for that of the output, `dy`, and that
    /// of the bias [heads, distances], empty where there is none.
    pub fn backward(&self, [q, k, v]: [Heads; 3], output: Heads, dy: Heads, logarithms: &[f32]) -> [Vec<f32>; 4] {
        let (keys, width, splits) = (self.keys, self.width, self.splits());
        let sizes = [self.heads * self.queries, self.key_heads * keys].map(|rows| self.batch * rows * width);
        let distances = self.bias.as_ref().map_or(0, |_| distances(self.queries, keys));
        let (group, biases) = (self.heads / self.key_heads.max(1), self.heads * distances);
        let mut dq = Vec::with_capacity(sizes[0]);
        let [mut dk, mut dv] = [0, 1].map(|_| Vec::with_capacity(splits * sizes[1]));
        let mut bias = Vec::with_capacity(splits * self.batch * biases);
        let dq_target = Target::spare(&mut dq, sizes[0]);
        let targets = [&mut dk, &mut dv].map(|gradient| Target::spare(gradient, splits * sizes[1]));
        let bias_target = Target::spare(&mut bias, splits * self.batch * biases);
        parallel::for_each(self.tasks(), |task| {
            let task = self.task(task);
            let (k, v) = (k.head(task.b, task.key_head), v.head(task.b, task.key_head));
            let parts: Vec<Part> = self.key_blocks(task.b).map(|range| Part::new(k, v, range)).collect();
            with_scratch(2 * keys * width + group * distances, |scratch| {
                scratch.fill(0.0);
                let (dk, rest) = scratch.split_at_mut(keys * width);
                let (dv, bias) = rest.split_at_mut(keys * width);
                let mut sums = Sums { dk, dv, bias };
                for &block in &task.blocks {
                    let [q, dy, output] =
                        [q, dy, output].map(|heads| part(heads.head(block.b, block.head), block.first, block.rows));
                    let logarithms = &logarithms[self.row(block, 0)..][..block.rows];
                    let inputs = Inputs {
                        q,
                        dy,
                        output,
                        logarithms,
                    };
                    self.backward_block(&inputs, &parts, block, dq_target, &mut sums);
                }
                for (target, rows) in targets.into_iter().zip([&*sums.dk, sums.dv]) {
                    for (row, line) in rows.chunks_exact(width).enumerate() {
                        let at = ((task.split * self.batch + task.b) * keys + row) * self.key_heads + task.key_head;
                        // SAFETY: every key of every head belongs to one task of each split.
                        unsafe { target.slice(at * width, width) }.copy_from_slice(line);
                    }
                }
                let at = ((task.split * self.batch + task.b) * self.key_heads + task.key_head) * sums.bias.len();
                // SAFETY: as above, of every group of heads.
                unsafe { bias_target.slice(at, sums.bias.len()) }.copy_from_slice(sums.bias);
            });
        });
        if self.tasks() == 0 {
            return [sizes[0], sizes[1], sizes[1], biases].map(|size| vec![0.0; size]);
        }
        // SAFETY: the tasks cover all queries, and those of each split all keys, of all heads.
        unsafe {
            dq.set_len(sizes[0]);
            dk.set_len(splits * sizes[1]);
            dv.set_len(splits * sizes[1]);
            bias.set_len(splits * self.batch * biases);
        }
        [
            dq,
            add_rows(dk, sizes[1]),
            add_rows(dv, sizes[1]),
            add_rows(bias, biases),
        ]
    }

    fn backward_block(&self, inputs: &Inputs, parts: &[Part], block: Block, target: Target, sums: &mut Sums) {
        let (rows, width) = (block.rows, self.width);
        let widest = parts.iter().map(|part| part.range.len()).max().unwrap_or(0);
        let (dy_panels, q_panels) = (Panels::new(inputs.dy), Panels::new(inputs.q));
        with_scratch(rows * (2 * widest + width) + widest, |scratch| {
            let (weights, rest) = scratch.split_at_mut(rows * widest);
            let (slopes, rest) = rest.split_at_mut(rows * widest);
            let (dq, factors) = rest.split_at_mut(rows * width);
            dq.fill(0.0);
            let last = self.seen(block, rows - 1);
            for part in parts.iter().take_while(|part| part.range.start < last) {
                let count = part.range.len();
                let (weights, slopes) = (&mut weights[..rows * count], &mut slopes[..rows * count]);
                set_product(inputs.q, &part.keys_turned, weights);
                set_product(inputs.dy, &part.values_turned, slopes);
                self.slopes(inputs, block, part.range.start, weights, slopes, &mut factors[..count]);
                self.add_to_bias(block, part.range.start, slopes, count, sums.bias);
                let [weights, slopes] = [&*weights, slopes].map(|values| Matrix::new(values, rows, count));
                let place = part.range.start * width..part.range.end * width;
                add_product(weights.transposed(), &dy_panels, &mut sums.dv[place.clone()]);
                add_product(slopes, &part.keys, dq);
                add_product(slopes.transposed(), &q_panels, &mut sums.dk[place]);
            }
            for (row, line) in dq.chunks_exact(width).enumerate() {
                let at = (block.b * self.queries + block.first + row) * self.heads + block.head;
                // SAFETY: every query of every head belongs to one block.
                unsafe { target.slice(at * width, width) }.copy_from_slice(line);
            }
        });
    }

    /// Turns scores into weights as the values saw them, and the slopes of those into slopes of the scores.
    fn slopes(
        &self,
        inputs: &Inputs,
        block: Block,
        first: usize,
        weights: &mut [f32],
        slopes: &mut [f32],
        factors: &mut [f32],
    ) {
        let count = factors.len();
        let lines = weights.chunks_exact_mut(count).zip(slopes.chunks_exact_mut(count));
        for (row, (weights, slopes)) in lines.enumerate() {
            let scale = self.complete(weights, block, row, first);
            powers(weights, scale, inputs.logarithms[row]);
            let mean = dot(line(inputs.dy, row), line(inputs.output, row));
            match self.factors(block, row) {
                None => score_gradients(weights, mean, self.scale, slopes),
                Some(dropout) => {
                    dropout.write(first, factors);
                    multiply_by(slopes, factors);
                    score_gradients(weights, mean, self.scale, slopes);
                    multiply_by(weights, factors);
                }
            }
        }
    }
}

impl Attention {
    /// Adds the slopes of scores, of `count` keys from `first`, to the gradient of the bias of the heads that share their keys.
    fn add_to_bias(&self, block: Block, first: usize, slopes: &[f32], count: usize, gradient: &mut [f32]) {
        let Some(bias) = &self.bias else {
            return;
        };
        let group = self.heads / self.key_heads;
        let head = block.head % group * distances(self.queries, self.keys);
        for (row, slopes) in slopes.chunks_exact(count).enumerate() {
            let start = head + bias.place(block.first + row, first);
            add_slopes(slopes, self.scale, &mut gradient[start..start + count]);
        }
    }
}

impl Part {
    fn new(k: Matrix, v: Matrix, range: Range<usize>) -> Self {
        let [k, v] = [k, v].map(|matrix| part(matrix, range.start, range.len()));
        Self {
            range,
            keys: Panels::new(k),
            keys_turned: Panels::new(k.transposed()),
            values_turned: Panels::new(v.transposed()),
        }
    }
}

vectorized! {
    /// exp(scale · score − shift).
    fn powers(scores: &mut [f32], scale: f32, shift: f32) {
        for score in scores {
            *score = exp(scale * *score - shift);
        }
    }
}

vectorized! {
    /// From the slopes of the weights to those of the scores: weight · (slope − mean) · scale.
    fn score_gradients(weights: &[f32], mean: f32, scale: f32, slopes: &mut [f32]) {
        for (slope, weight) in slopes.iter_mut().zip(weights) {
            *slope = weight * (*slope - mean) * scale;
        }
    }
}
