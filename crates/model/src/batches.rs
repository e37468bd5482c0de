//! Which rows of texts go through a model together, and on which threads.

use rayon::{ThreadPool, ThreadPoolBuilder, current_num_threads};
use std::ops::Range;

/// The rows that a batch begins and ends at are multiples of it.
const STEP: usize = 8;
/// What a batch costs beside its tokens, in tokens: its weights are read once.
const BATCH: usize = 64;
/// The most batches that are answered at once: each needs memory of its own.
const LANES: usize = 8;

/// Cuts rows whose texts have so many tokens, the shortest first, into batches of at most `most` rows, so that the least
/// is computed where shorter ones are filled up.
pub(crate) fn cut(lengths: &[usize], most: usize) -> Vec<Range<usize>> {
    let (count, steps) = (lengths.len(), lengths.len().div_ceil(STEP));
    if most < STEP {
        return (0..count)
            .step_by(most)
            .map(|start| start..(start + most).min(count))
            .collect();
    }
    let row = |step: usize| (step * STEP).min(count);
    // The least that the rows in front of each step cost, and where the last of their batches starts.
    let mut best = vec![(0, 0)];
    for end in 1..=steps {
        let cost = |start: usize| {
            let rows = row(end) - row(start);
            best[start].0 + rows * lengths[row(end) - 1] + BATCH
        };
        let starts = end.saturating_sub(most / STEP)..end;
        best.extend(starts.map(|start| (cost(start), start)).min());
    }
    let ends = std::iter::successors(Some(steps), |&end| Some(best[end].1)).take_while(|&end| end > 0);
    let mut parts: Vec<_> = ends.map(|end| row(best[end].1)..row(end)).collect();
    parts.reverse();
    parts
}

/// Threads that answer batches side by side: what is small is not worth handing out between them.
pub(crate) struct Lanes(Vec<ThreadPool>);

impl Lanes {
    /// As many as there are compute threads to fill them, at most one for each of `batches`; each has its share of the
    /// threads. None where one would be all, or where there are no threads to be had.
    pub fn new(batches: usize) -> Option<Self> {
        let threads = current_num_threads();
        let lanes = threads.min(batches).min(LANES);
        if lanes < 2 {
            return None;
        }
        let share = |lane: usize| threads / lanes + usize::from(lane < threads % lanes);
        let pool = |lane| ThreadPoolBuilder::new().num_threads(share(lane)).build();
        let pools: Result<_, _> = (0..lanes).map(pool).collect();
        pools.ok().map(Self)
    }

    /// Runs `body` in each of them at once.
    pub fn run(&self, body: impl Fn() + Sync) {
        std::thread::scope(|scope| {
            for pool in &self.0 {
                scope.spawn(|| pool.install(&body));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(lengths: &[usize], parts: &[Range<usize>]) -> usize {
        parts.iter().map(|part| part.len() * lengths[part.end - 1]).sum()
    }

    #[test]
    fn every_row_is_in_one_batch_and_none_is_too_large() {
        for (count, most) in [
            (0, 32),
            (1, 32),
            (7, 1),
            (9, 3),
            (100, 8),
            (100, 12),
            (333, 32),
            (333, 4096),
        ] {
            let lengths: Vec<usize> = (0..count).map(|row| row * row / 50).collect();
            let parts = cut(&lengths, most);
            let rows: Vec<usize> = parts.iter().cloned().flatten().collect();
            assert_eq!(rows, (0..count).collect::<Vec<_>>(), "{count} by {most}");
            assert!(
                parts.iter().all(|part| part.len() <= most && !part.is_empty()),
                "{count} by {most}"
            );
        }
    }

    #[test]
    fn batches_end_where_much_longer_rows_begin() {
        let lengths = [vec![10; 16], vec![200; 8]].concat();
        assert_eq!(cut(&lengths, 32), [0..16, 16..24]);
        assert_eq!(cut(&[10; 24], 32).len(), 1);
        let even: Vec<usize> = (0..320).map(|row| 5 + row / 4).collect();
        let usual: Vec<_> = (0..320).step_by(32).map(|start| start..start + 32).collect();
        assert!(padded(&even, &cut(&even, 32)) <= padded(&even, &usual));
    }

    #[test]
    fn lanes_share_the_threads() {
        let pool = ThreadPoolBuilder::new().num_threads(5).build().unwrap();
        let shares = |batches| {
            pool.install(|| {
                Lanes::new(batches).map(|lanes| lanes.0.iter().map(ThreadPool::current_num_threads).collect::<Vec<_>>())
            })
        };
        assert_eq!(shares(1), None);
        assert_eq!(shares(2), Some(vec![3, 2]));
        assert_eq!(shares(100), Some(vec![1; 5]));
    }
}
