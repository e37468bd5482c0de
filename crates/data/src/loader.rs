//! Batches prepared ahead by worker threads, delivered in order whatever their number.

use crate::DataError;
use crate::dataset::{Batch, Dataset, Draw};
use crate::shards::{Portions, Position};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// How many finished batches may wait for each worker.
const AHEAD: usize = 2;

/// A batch and the account of its rows.
pub struct Prepared {
    pub batch: Batch,
    /// The rows that could not be read.
    pub failed: Vec<DataError>,
    /// Of a stream: where it goes on behind this batch.
    pub position: Option<Position>,
}

/// An iterator over prepared batches. Worker w prepares the batches whose index is w modulo the number of workers, so
/// the order is fixed and memory is bounded; dropping the loader ends the workers.
///
/// It ends early only where a stream has fewer rows than it had, or a worker's thread is lost: whoever knows how many
/// batches there must be has to count them.
pub struct Loader {
    receivers: Vec<Receiver<Prepared>>,
    next: usize,
}

impl Loader {
    /// The samples of `dataset` at the indices of each batch.
    pub fn new(dataset: &Arc<Dataset>, batches: Vec<Vec<usize>>, draw: Option<Draw>, threads: usize) -> Self {
        let batches = Arc::new(batches);
        let threads = threads.max(1);
        Self::start(threads, |worker, sender| {
            let (dataset, batches, draw) = (dataset.clone(), batches.clone(), draw.clone());
            std::thread::spawn(move || {
                for indices in batches.iter().skip(worker).step_by(threads) {
                    let (batch, failed) = dataset.batch(indices, draw.as_ref());
                    let prepared = Prepared {
                        batch,
                        failed,
                        position: None,
                    };
                    // The receiver is gone when the loader was dropped: there is no one to work for.
                    if sender.send(prepared).is_err() {
                        return;
                    }
                }
            });
        })
    }

    /// The rows of a stream, prepared as those of `dataset` are; one thread more reads them.
    pub fn streaming(dataset: &Arc<Dataset>, portions: Portions, draw: Option<Draw>, threads: usize) -> Self {
        let mut feeds = Vec::new();
        let loader = Self::start(threads.max(1), |_, sender| {
            let (feed, portions) = sync_channel(1);
            feeds.push(feed);
            let (dataset, draw) = (dataset.clone(), draw.clone());
            std::thread::spawn(move || {
                for portion in portions {
                    if sender.send(prepare(&dataset, portion, draw.as_ref())).is_err() {
                        return;
                    }
                }
            });
        });
        std::thread::spawn(move || {
            for (portion, feed) in portions.zip(feeds.iter().cycle()) {
                if feed.send(portion).is_err() {
                    return;
                }
            }
        });
        loader
    }

    fn start(threads: usize, mut worker: impl FnMut(usize, SyncSender<Prepared>)) -> Self {
        let start = |number: usize| {
            let (sender, receiver) = sync_channel(AHEAD);
            worker(number, sender);
            receiver
        };
        Self {
            receivers: (0..threads).map(start).collect(),
            next: 0,
        }
    }
}

fn prepare(dataset: &Dataset, portion: crate::shards::Portion, draw: Option<&Draw>) -> Prepared {
    let (batch, unprepared) = dataset.batch_of(portion.samples.iter(), draw);
    let mut failed = portion.failed;
    failed.extend(unprepared);
    Prepared {
        batch,
        failed,
        position: Some(portion.position),
    }
}

impl Iterator for Loader {
    type Item = Prepared;

    fn next(&mut self) -> Option<Prepared> {
        let worker = self.next % self.receivers.len();
        self.next += 1;
        self.receivers[worker].recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::dataset;
    use crate::random::Key;
    use crate::shards::{Shuffle, TrainingStream};

    fn draw() -> Option<Draw> {
        Some(Draw {
            key: Key::new(1),
            modality_dropout: 0.2,
            mixing: None,
        })
    }

    #[test]
    fn any_number_of_threads_gives_the_same_batches_in_the_same_order() {
        let rows: Vec<_> = (0..40).map(|row| (Some(row % 9), Some("is it red"))).collect();
        let data = Arc::new(dataset(&rows));
        let batches: Vec<Vec<usize>> = (0..40).collect::<Vec<_>>().chunks(3).map(<[usize]>::to_vec).collect();
        let load = |threads| {
            let loader = Loader::new(&data, batches.clone(), draw(), threads);
            loader.map(|prepared| prepared.batch).collect::<Vec<_>>()
        };
        let one = load(1);
        assert_eq!(one.len(), batches.len());
        assert!([2, 3, 16].into_iter().all(|threads| load(threads) == one));
    }

    #[test]
    fn a_stream_is_loaded_in_its_order_and_goes_on_behind_any_batch() {
        let folder = tempfile::tempdir().unwrap();
        let lines: Vec<String> = (0..40)
            .map(|row| format!("{{\"question\":\"is it {row}\",\"split\":\"train\"}}"))
            .collect();
        std::fs::write(folder.path().join("rows.jsonl"), lines.join("\n") + "\n[]\n").unwrap();
        let data = Arc::new(dataset(&[]));
        let (_, stream) = TrainingStream::open(folder.path(), None, 1, &[]).unwrap();
        let load = |position, threads| {
            let portions = stream.portions(Shuffle::new(1, 0), position, 3).unwrap();
            Loader::streaming(&data, portions, draw(), threads).collect::<Vec<_>>()
        };
        let batches = |prepared: &[Prepared]| prepared.iter().map(|one| one.batch.clone()).collect::<Vec<_>>();
        let whole = load(None, 1);
        assert_eq!(
            (whole.len(), whole.iter().map(|one| one.failed.len()).sum::<usize>()),
            (14, 1)
        );
        for threads in [1, 2, 5] {
            assert_eq!(batches(&load(None, threads)), batches(&whole));
            for (place, prepared) in whole.iter().enumerate() {
                let rest = load(prepared.position.clone(), threads);
                assert_eq!(batches(&rest), batches(&whole[place + 1..]));
            }
        }
    }
}
