//! Attention of few queries, bound by reading the keys and values: each number of them is read where it lies.

use super::heads::{Heads, line};
use super::kernel::{Attention, Block, finish, largest_of, raise};
use crate::parallel::{self, Target, with_scratch};
use crate::simd::{LANES, vectorized};

/// Numbers of keys that a task reads at least, so that it takes longer than waking another thread.
const TASK: usize = 1 << 16;

impl Attention {
    /// The output [batch, queries, heads, width]. Keys and values must be without gaps from row to row; there is no
    /// dropout.
    pub fn decode(&self, q: Heads, [k, v]: [Heads; 2]) -> Vec<f32> {
        let pairs = self.batch * self.key_heads;
        let together = TASK.div_ceil((self.keys * self.width).max(1));
        let size = self.batch * self.heads * self.queries * self.width;
        let mut output = Vec::with_capacity(size);
        let target = Target::spare(&mut output, size);
        parallel::for_each(pairs.div_ceil(together), |task| {
            for pair in task * together..pairs.min((task + 1) * together) {
                let (b, key_head) = (pair / self.key_heads, pair % self.key_heads);
                let [k, v] = [k, v].map(|heads| &heads.head(b, key_head).values[..self.keys * self.width]);
                let group = self.heads / self.key_heads;
                for head in key_head * group..(key_head + 1) * group {
                    let rows = self.queries;
                    let block = Block {
                        b,
                        head,
                        first: 0,
                        rows,
                    };
                    for row in 0..rows {
                        let at = (b * self.queries + row) * self.heads + head;
                        // SAFETY: every query of every head belongs to one task.
                        let output = unsafe { target.slice(at * self.width, self.width) };
                        self.decode_row(line(q.head(b, head), row), k, v, block, row, output);
                    }
                }
            }
        });
        // SAFETY: the tasks cover all queries of all heads.
        unsafe { output.set_len(size) };
        output
    }

    fn decode_row(&self, q: &[f32], k: &[f32], v: &[f32], block: Block, row: usize, output: &mut [f32]) {
        let seen = self.seen(block, row);
        with_scratch(seen + self.width, |scratch| {
            let (scores, result) = scratch.split_at_mut(seen);
            products(q, k, scores);
            let scale = self.complete(scores, block, row, 0);
            let most = largest_of(scores) * scale;
            let sum = raise(scores, scale, most);
            result.fill(0.0);
            add_weighted(scores, v, result);
            finish(result, most, sum, output);
        });
    }
}

vectorized! {
    /// Writes the product of `q` with each row of `k`.
    fn products(q: &[f32], k: &[f32], scores: &mut [f32]) {
        let full = q.len() / LANES * LANES;
        for (score, row) in scores.iter_mut().zip(k.chunks_exact(q.len().max(1))) {
            let mut sums = [0.0f32; LANES];
            for (q, k) in q.chunks_exact(LANES).zip(row.chunks_exact(LANES)) {
                for lane in 0..LANES {
                    sums[lane] += q[lane] * k[lane];
                }
            }
            let rest: f32 = q[full..].iter().zip(&row[full..]).map(|(q, k)| q * k).sum();
            *score = sums.iter().sum::<f32>() + rest;
        }
    }
}

vectorized! {
    /// Adds each row of `v`, times its weight, to `result`.
    fn add_weighted(weights: &[f32], v: &[f32], result: &mut [f32]) {
        for (weight, row) in weights.iter().zip(v.chunks_exact(result.len().max(1))) {
            for (result, value) in result.iter_mut().zip(row) {
                *result += weight * value;
            }
        }
    }
}
