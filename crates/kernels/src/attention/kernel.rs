//! Attention in blocks of queries and keys: only a block's scores exist at any time, and a query's largest score and
//! sum of powers are carried from one block of keys to the next (after Dao et al. 2022).

use std::borrow::Borrow;
use std::ops::Range;

use super::bias::Bias;
use super::dropout::Factors;
use super::heads::{Heads, part};
use super::options::{AttentionDropout, AttentionKind};
use crate::gemm::{add_product, set_product};
use crate::panels::{Matrix, Panels};
use crate::parallel::{self, Target, with_scratch};
use crate::simd::{exp, largest, total, vectorized};

/// Queries of a block at most.
const QUERIES: usize = 96;
/// Keys of a block at most: its scores stay in the second-level cache.
const KEYS: usize = 256;
/// The same where blocks past the last key that a query sees are left out.
const KEYS_IN_ORDER: usize = 128;
/// Tasks below which the queries of a head are shared out.
const TASKS: usize = 8;
/// Rows of a tile of the microkernel, and columns of a panel.
const GRAIN: usize = 16;

/// The extents and the rules of an attention.
#[derive(Clone, Debug)]
pub struct Attention {
    pub batch: usize,
    pub heads: usize,
    /// Heads of the keys and values, each for as many neighbouring heads of the queries.
    pub key_heads: usize,
    pub queries: usize,
    pub keys: usize,
    pub width: usize,
    pub mask: Mask,
    pub kind: AttentionKind,
    pub dropout: Option<AttentionDropout>,
    pub bias: Option<Bias>,
    /// What products of queries and keys are multiplied by.
    pub scale: f32,
}

/// Which keys are real.
#[derive(Clone, Debug)]
pub struct Mask {
    /// [batch, keys]
    real: Vec<bool>,
    /// [batch], one past the last real key.
    ends: Vec<usize>,
    /// [batch], whether a key before that is not real.
    gaps: Vec<bool>,
}

impl Mask {
    pub fn new(real: Vec<bool>, batch: usize, keys: usize) -> Self {
        let rows = (0..batch).map(|row| &real[row * keys..(row + 1) * keys]);
        let end = |row: &[bool]| row.iter().rposition(|&real| real).map_or(0, |last| last + 1);
        let ends: Vec<usize> = rows.clone().map(end).collect();
        let gaps = rows.zip(&ends).map(|(row, &end)| row[..end].contains(&false)).collect();
        Self { real, ends, gaps }
    }
}

/// One block of queries of one head.
#[derive(Clone, Copy)]
pub struct Block {
    pub b: usize,
    pub head: usize,
    pub first: usize,
    pub rows: usize,
}

/// What a task handles: blocks of queries of the heads that share the keys of one head.
pub struct Task {
    pub b: usize,
    pub key_head: usize,
    pub split: usize,
    pub blocks: Vec<Block>,
}

/// A block of the keys and values of a head, packed, and which keys they are.
pub type Part = (Panels, Panels, Range<usize>);

impl Attention {
    /// The output [batch, queries, heads, width], and the logarithm of each query's sum of powers, [batch, heads,
    /// queries].
    pub fn forward(&self, [q, k, v]: [Heads; 3]) -> (Vec<f32>, Vec<f32>) {
        self.forward_by(q, |task| {
            let [k, v] = [k, v].map(|heads| heads.head(task.b, task.key_head));
            pack(k, v, self.key_blocks(task.b))
        })
    }

    /// As [`Self::forward`], with what [`pack`] makes of all keys of each head, [batch · key heads].
    pub fn forward_packed(&self, q: Heads, packed: &[Vec<Part>]) -> Vec<f32> {
        let parts = |task: &Task| &packed[task.b * self.key_heads + task.key_head];
        self.forward_by(q, parts).0
    }

    fn forward_by<P: Borrow<Vec<Part>>>(&self, q: Heads, parts: impl Fn(&Task) -> P + Sync) -> (Vec<f32>, Vec<f32>) {
        let size = self.batch * self.heads * self.queries;
        let (mut output, mut logarithms) = (Vec::with_capacity(size * self.width), Vec::with_capacity(size));
        let target = Target::spare(&mut output, size * self.width);
        let logarithm_target = Target::spare(&mut logarithms, size);
        parallel::for_each(self.tasks(), |task| {
            let task = self.task(task);
            let parts = parts(&task);
            for block in task.blocks {
                let q = part(q.head(block.b, block.head), block.first, block.rows);
                self.forward_block(q, parts.borrow(), block, target, logarithm_target);
            }
        });
        // SAFETY: the tasks cover all queries of all heads.
        unsafe {
            output.set_len(size * self.width);
            logarithms.set_len(size);
        }
        (output, logarithms)
    }

    fn forward_block(&self, q: Matrix, parts: &[Part], block: Block, target: Target, logarithms: Target) {
        let (rows, width) = (block.rows, self.width);
        let widest = parts.iter().map(|(.., keys)| keys.len()).max().unwrap_or(0);
        with_scratch(rows * (widest + width + 2) + widest, |scratch| {
            let (scores, rest) = scratch.split_at_mut(rows * widest);
            let (result, rest) = rest.split_at_mut(rows * width);
            let (most, rest) = rest.split_at_mut(rows);
            let (sums, factors) = rest.split_at_mut(rows);
            result.fill(0.0);
            most.fill(f32::NEG_INFINITY);
            sums.fill(0.0);
            let last = self.seen(block, rows - 1);
            for (keys, values, range) in parts.iter().take_while(|(.., range)| range.start < last) {
                let count = range.len();
                let (scores, factors) = (&mut scores[..rows * count], &mut factors[..count]);
                set_product(q, keys, scores);
                for (row, line) in scores.chunks_exact_mut(count).enumerate() {
                    let scale = self.complete(line, block, row, range.start);
                    let before = most[row];
                    most[row] = before.max(largest_of(line) * scale);
                    sums[row] = rescale(
                        before,
                        most[row],
                        sums[row],
                        &mut result[row * width..(row + 1) * width],
                    );
                    sums[row] += raise(line, scale, most[row]);
                    if let Some(dropout) = self.factors(block, row) {
                        dropout.write(range.start, factors);
                        multiply_by(line, factors);
                    }
                }
                add_product(Matrix::new(scores, rows, count), values, result);
            }
            for (row, line) in result.chunks_exact(width).enumerate() {
                let at = (block.b * self.queries + block.first + row) * self.heads + block.head;
                // SAFETY: every query of every head belongs to one block.
                let (output, logarithm) = unsafe {
                    let output = target.slice(at * width, width);
                    (output, &mut logarithms.slice(self.row(block, row), 1)[0])
                };
                *logarithm = finish(line, most[row], sums[row], output);
            }
        });
    }

    /// Parts that the blocks of queries of a head of keys are shared out to.
    pub fn splits(&self) -> usize {
        let pairs = (self.batch * self.key_heads).max(1);
        TASKS.div_ceil(pairs).min(self.units()).max(1)
    }

    pub fn tasks(&self) -> usize {
        if self.width == 0 || self.queries == 0 {
            return 0;
        }
        self.batch * self.key_heads * self.splits()
    }

    /// Blocks of queries of all the heads that share a head of keys.
    fn units(&self) -> usize {
        self.heads / self.key_heads.max(1) * self.queries.div_ceil(QUERIES)
    }

    pub fn task(&self, index: usize) -> Task {
        let (splits, units) = (self.splits(), self.units());
        let (pair, split) = (index / splits, index % splits);
        let (b, key_head) = (pair / self.key_heads, pair % self.key_heads);
        let count = self.queries.div_ceil(QUERIES);
        let rows = self.queries.div_ceil(count).next_multiple_of(GRAIN);
        let block = |unit: usize| {
            let first = unit % count * rows;
            Block {
                b,
                head: key_head * (self.heads / self.key_heads) + unit / count,
                first,
                rows: rows.min(self.queries.saturating_sub(first)),
            }
        };
        let units = split * units / splits..(split + 1) * units / splits;
        Task {
            b,
            key_head,
            split,
            blocks: units.map(block).filter(|block| block.rows > 0).collect(),
        }
    }

    /// The blocks of keys of a batch row up to its last real one, as even as can be.
    pub fn key_blocks(&self, b: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let most = match self.kind {
            AttentionKind::Full => KEYS,
            _ => KEYS_IN_ORDER,
        };
        even(self.mask.ends[b], most)
    }

    /// One past the last key that a query of a block may see.
    pub fn seen(&self, block: Block, row: usize) -> usize {
        let seen = self.kind.seen(block.first + row, self.queries, self.keys);
        seen.min(self.mask.ends[block.b])
    }

    /// The place of a query in [batch, heads, queries].
    pub fn row(&self, block: Block, row: usize) -> usize {
        (block.b * self.heads + block.head) * self.queries + block.first + row
    }

    pub fn factors(&self, block: Block, row: usize) -> Option<Factors> {
        let dropout = self.dropout?;
        Some(Factors::new(dropout, self.row(block, row)))
    }

    /// Adds the bias to the products of a query with the keys from `first`, and sets those that it must not see to −∞. Returns
    /// what is left to multiply them by.
    pub fn complete(&self, products: &mut [f32], block: Block, row: usize, first: usize) -> f32 {
        let scale = match &self.bias {
            Some(bias) => {
                bias.add(products, self.scale, block.head, block.first + row, first);
                1.0
            }
            None => self.scale,
        };
        self.hide(products, block, row, first);
        scale
    }

    /// Sets the scores, those of the keys from `first`, that a query must not see to −∞.
    fn hide(&self, scores: &mut [f32], block: Block, row: usize, first: usize) {
        if self.mask.gaps[block.b] {
            for (score, &real) in scores.iter_mut().zip(&self.mask.real[block.b * self.keys + first..]) {
                *score = if real { *score } else { f32::NEG_INFINITY };
            }
        }
        let seen = self.seen(block, row).saturating_sub(first);
        if seen < scores.len() {
            scores[seen..].fill(f32::NEG_INFINITY);
        }
    }
}

/// The keys and values of a head, in blocks.
pub fn pack(k: Matrix, v: Matrix, blocks: impl Iterator<Item = Range<usize>>) -> Vec<Part> {
    let pack = |keys: Range<usize>| {
        let [k, v] = [k, v].map(|matrix| part(matrix, keys.start, keys.len()));
        (Panels::new(k.transposed()), Panels::new(v), keys)
    };
    blocks.map(pack).collect()
}

/// The blocks of so many keys that all of some queries see.
pub fn all_blocks(keys: usize) -> impl Iterator<Item = Range<usize>> {
    even(keys, KEYS)
}

/// Blocks of at most `most` keys up to `end`.
fn even(end: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let size = end.div_ceil(end.div_ceil(most).max(1)).next_multiple_of(GRAIN).max(1);
    (0..end.div_ceil(size)).map(move |block| block * size..end.min((block + 1) * size))
}

vectorized! {
    pub fn largest_of(scores: &[f32]) -> f32 {
        largest(scores)
    }
}

/// Scales what was summed up relative to the power of `before` to that of `now`; returns the sum.
fn rescale(before: f32, now: f32, sum: f32, result: &mut [f32]) -> f32 {
    if before == now || sum == 0.0 {
        return sum;
    }
    let factor = exp(before - now);
    result.iter_mut().for_each(|value| *value *= factor);
    sum * factor
}

vectorized! {
    /// Turns scores into exp(scale · score − shift) and returns their sum; zeros if every key is hidden.
    pub fn raise(scores: &mut [f32], scale: f32, shift: f32) -> f32 {
        if shift == f32::NEG_INFINITY && !scores.iter().any(|score| score.is_nan()) {
            scores.fill(0.0);
            return 0.0;
        }
        for score in scores.iter_mut() {
            *score = exp(scale * *score - shift);
        }
        total(scores)
    }
}

vectorized! {
    pub fn multiply_by(values: &mut [f32], factors: &[f32]) {
        for (value, factor) in values.iter_mut().zip(factors) {
            *value *= factor;
        }
    }
}

/// Divides a query's result by its sum of powers and returns the sum's logarithm, +∞ if every key is hidden.
pub fn finish(result: &[f32], most: f32, sum: f32, output: &mut [f32]) -> f32 {
    if sum == 0.0 {
        output.fill(0.0);
        return f32::INFINITY;
    }
    let inverse = 1.0 / sum;
    for (output, value) in output.iter_mut().zip(result) {
        *output = value * inverse;
    }
    most + sum.ln()
}
