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
