//! Batches prepared ahead by worker threads, delivered in order whatever their number.

use crate::DataError;
use crate::dataset::{Batch, Dataset, Draw};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

type Prepared = (Batch, Vec<DataError>);

/// How many finished batches may wait for each worker.
const AHEAD: usize = 2;

/// An iterator over prepared batches. Worker w prepares the batches whose index is w modulo the number of workers, so
/// the order is fixed and memory is bounded; dropping the loader ends the workers.
pub struct Loader {
    receivers: Vec<Receiver<Prepared>>,
    next: usize,
    total: usize,
}

impl Loader {
    pub fn new(dataset: &Arc<Dataset>, batches: Vec<Vec<usize>>, draw: Option<Draw>, threads: usize) -> Self {
        let batches = Arc::new(batches);
        let threads = threads.max(1);
        let start = |worker: usize| {
            let (sender, receiver) = sync_channel(AHEAD);
            let (dataset, batches, draw) = (dataset.clone(), batches.clone(), draw.clone());
            std::thread::spawn(move || {
                for indices in batches.iter().skip(worker).step_by(threads) {
                    // The receiver is gone when the loader was dropped: there is no one to work for.
                    if sender.send(dataset.batch(indices, draw.as_ref())).is_err() {
                        return;
                    }
                }
            });
            receiver
        };
        let total = batches.len();
        Self {
            receivers: (0..threads).map(start).collect(),
            next: 0,
            total,
        }
    }
}

impl Iterator for Loader {
    type Item = Prepared;

    fn next(&mut self) -> Option<Prepared> {
        if self.next == self.total {
            return None;
        }
        let worker = self.next % self.receivers.len();
        self.next += 1;
        // Ending early here would shorten an epoch without a word.
        Some(
            self.receivers[worker]
                .recv()
                .expect("a loader thread ended before its last batch"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::dataset;
    use crate::random::Key;

    #[test]
    fn any_number_of_threads_gives_the_same_batches_in_the_same_order() {
        let rows: Vec<_> = (0..40).map(|row| (Some(row % 9), Some("is it red"))).collect();
        let data = Arc::new(dataset(&rows));
        let batches: Vec<Vec<usize>> = (0..40).collect::<Vec<_>>().chunks(3).map(<[usize]>::to_vec).collect();
        let load = |threads| {
            let draw = Draw {
                key: Key::new(1),
                modality_dropout: 0.2,
                mixing: None,
            };
            let loader = Loader::new(&data, batches.clone(), Some(draw), threads);
            loader.map(|(batch, _)| batch).collect::<Vec<_>>()
        };
        let one = load(1);
        assert_eq!(one.len(), batches.len());
        assert!([2, 3, 16].into_iter().all(|threads| load(threads) == one));
    }
}
