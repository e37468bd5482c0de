//! Attention of one head at a time, over blocks of queries: only a block's scores exist at any time, and the backward
//! pass computes them again (after Dao et al. 2022).

use burn_flex::FlexTensor;

use super::heads::{from_rows, head};
use crate::gemm::{add_product, set_product};
use crate::panels::{Matrix, Panels};
use crate::parallel::{self, Target, with_scratch};
use crate::simd::{dot, exp, largest, total, vectorized};

/// Queries of a block.
const BLOCK: usize = 96;

/// The extents and the masking of an attention.
#[derive(Clone, Debug)]
pub struct Attention {
    pub batch: usize,
    pub heads: usize,
    pub queries: usize,
    pub keys: usize,
    pub width: usize,
    /// [batch, keys], true where a key is real.
    pub mask: Vec<bool>,
    /// [batch], whether any key is not.
    pub padded: Vec<bool>,
    pub causal: bool,
}

impl Attention {
    /// The output as a view [batch, heads, queries, width], and the logarithm of each query's sum of powers.
    pub fn forward(&self, [q, k, v]: [&FlexTensor; 3]) -> (FlexTensor, Vec<f32>) {
        let Self {
            batch,
            heads,
            queries,
            keys,
            width,
            ..
        } = *self;
        let blocks = queries.div_ceil(BLOCK);
        let size = batch * heads * queries;
        let (mut output, mut logarithms) = (Vec::with_capacity(size * width), Vec::with_capacity(size));
        let target = Target::spare(&mut output, size * width);
        let logarithm_target = Target::spare(&mut logarithms, size);
        parallel::for_each(batch * heads * blocks, |task| {
            let (pair, first) = (task / blocks, task % blocks * BLOCK);
            let (b, h) = (pair / heads, pair % heads);
            let rows = BLOCK.min(queries - first);
            let key_panels = Panels::new(head(k, b, h).transposed());
            let value_panels = Panels::new(head(v, b, h));
            with_scratch(rows * (keys + width), |scratch| {
                let (scores, result) = scratch.split_at_mut(rows * keys);
                set_product(part(head(q, b, h), first, rows), &key_panels, scores);
                // SAFETY: every query belongs to one task.
                let logarithms = unsafe { logarithm_target.slice(pair * queries + first, rows) };
                for (row, logarithm) in logarithms.iter_mut().enumerate() {
                    let line = &mut scores[row * keys..(row + 1) * keys];
                    self.hide(line, b, first + row);
                    *logarithm = softmax(line, self.scale());
                }
                set_product(Matrix::new(scores, rows, keys), &value_panels, result);
                for (row, line) in result.chunks_exact(width).enumerate() {
                    let at = (b * queries + first + row) * heads + h;
                    // SAFETY: every query of every head belongs to one task.
                    unsafe { target.slice(at * width, width) }.copy_from_slice(line);
                }
            });
        });
        // SAFETY: the tasks cover all queries of all heads.
        unsafe {
            output.set_len(size * width);
            logarithms.set_len(size);
        }
        (from_rows(output, [batch, heads, queries, width]), logarithms)
    }

    /// The gradients of queries, keys and values, as views like the output.
    pub fn backward(
        &self,
        [q, k, v]: [&FlexTensor; 3],
        output: &FlexTensor,
        dy: &FlexTensor,
        logarithms: &[f32],
    ) -> [FlexTensor; 3] {
        let Self {
            batch,
            heads,
            queries,
            keys,
            width,
            ..
        } = *self;
        let lengths = [queries, keys, keys];
        let sizes = lengths.map(|length| batch * heads * length * width);
        let mut gradients = sizes.map(Vec::with_capacity);
        let [dq, dk, dv] = &mut gradients;
        let targets = [
            Target::spare(dq, sizes[0]),
            Target::spare(dk, sizes[1]),
            Target::spare(dv, sizes[2]),
        ];
        parallel::for_each(batch * heads, |pair| {
            let (b, h) = (pair / heads, pair % heads);
            let inputs = [q, k, v, output, dy].map(|tensor| head(tensor, b, h));
            let logarithms = &logarithms[pair * queries..(pair + 1) * queries];
            with_scratch((queries + 2 * keys) * width, |scratch| {
                let (dq, rest) = scratch.split_at_mut(queries * width);
                let (dk, dv) = rest.split_at_mut(keys * width);
                self.backward_head(b, inputs, logarithms, [&mut *dq, &mut *dk, &mut *dv]);
                for ((rows, length), target) in [&*dq, dk, dv].into_iter().zip(lengths).zip(targets) {
                    for (row, line) in rows.chunks_exact(width).enumerate() {
                        let at = (b * length + row) * heads + h;
                        // SAFETY: every row of every head belongs to one task.
                        unsafe { target.slice(at * width, width) }.copy_from_slice(line);
                    }
                }
            });
        });
        let mut lengths = lengths.into_iter();
        gradients.map(|mut gradient| {
            let length = lengths.next().unwrap_or_default();
            // SAFETY: the tasks cover all rows of all heads.
            unsafe { gradient.set_len(batch * heads * length * width) };
            from_rows(gradient, [batch, heads, length, width])
        })
    }

    fn backward_head<'a>(
        &self,
        b: usize,
        [q, k, v, output, dy]: [Matrix<'a>; 5],
        logarithms: &[f32],
        [dq, dk, dv]: [&mut [f32]; 3],
    ) {
        let (keys, width) = (self.keys, self.width);
        let [keys_turned, keys_packed] = [Panels::new(k.transposed()), Panels::new(k)];
        let values_turned = Panels::new(v.transposed());
        dk.fill(0.0);
        dv.fill(0.0);
        for (block, logarithms) in logarithms.chunks(BLOCK).enumerate() {
            let (first, rows) = (block * BLOCK, logarithms.len());
            let [q, output, dy] = [q, output, dy].map(|matrix| part(matrix, first, rows));
            with_scratch(2 * rows * keys, |scratch| {
                let (weights, slopes) = scratch.split_at_mut(rows * keys);
                set_product(q, &keys_turned, weights);
                for (row, &logarithm) in logarithms.iter().enumerate() {
                    let line = &mut weights[row * keys..(row + 1) * keys];
                    self.hide(line, b, first + row);
                    powers(line, self.scale(), logarithm);
                }
                add_product(Matrix::new(weights, rows, keys).transposed(), &Panels::new(dy), dv);
                set_product(dy, &values_turned, slopes);
                let lines = weights.chunks_exact(keys).zip(slopes.chunks_exact_mut(keys));
                for (row, (weights, slopes)) in lines.enumerate() {
                    let line = |matrix: Matrix<'a>| &matrix.values[matrix.at(row, 0)..matrix.at(row, 0) + width];
                    let mean = dot(line(dy), line(output));
                    score_gradients(weights, mean, self.scale(), slopes);
                }
                let dq = &mut dq[first * width..(first + rows) * width];
                set_product(Matrix::new(slopes, rows, keys), &keys_packed, dq);
                add_product(Matrix::new(slopes, rows, keys).transposed(), &Panels::new(q), dk);
            });
        }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// Sets the scores of the keys that a query must not see to −∞.
    fn hide(&self, scores: &mut [f32], b: usize, query: usize) {
        if self.padded[b] {
            for (score, &real) in scores.iter_mut().zip(&self.mask[b * self.keys..]) {
                *score = if real { *score } else { f32::NEG_INFINITY };
            }
        }
        if self.causal {
            let seen = (query + 1 + self.keys).saturating_sub(self.queries).min(self.keys);
            scores[seen..].fill(f32::NEG_INFINITY);
        }
    }
}

/// `rows` rows of a matrix from `first`.
fn part(matrix: Matrix, first: usize, rows: usize) -> Matrix {
    Matrix {
        values: &matrix.values[first * matrix.row_stride..],
        rows,
        ..matrix
    }
}

vectorized! {
    /// Turns the scores of a query into weights and returns the logarithm of the sum of their powers; zeros and +∞ if
    /// every key is hidden.
    fn softmax(scores: &mut [f32], scale: f32) -> f32 {
        let shift = largest(scores) * scale;
        if shift == f32::NEG_INFINITY && !scores.iter().any(|score| score.is_nan()) {
            scores.fill(0.0);
            return f32::INFINITY;
        }
        for score in scores.iter_mut() {
            *score = exp(scale * *score - shift);
        }
        let sum = total(scores);
        let inverse = 1.0 / sum;
        for weight in scores.iter_mut() {
            *weight *= inverse;
        }
        shift + sum.ln()
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
