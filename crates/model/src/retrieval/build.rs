//! Embeds the rows of a set.

use super::{Index, IndexedRow, embedded, reference};
use crate::checkpoint::{HostTensor, HostTensors};
use crate::pipeline::Pipeline;
use sensorium_data::{Batch, DataError, Dataset, InputColumn, Loader, Prepared, Sample, identity};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows that go through the model together.
const BATCH_SIZE: usize = 64;

/// An index, and the account of what it does not hold.
pub struct Built {
    pub index: Index,
    /// Rows that could not be read.
    pub failed: Vec<DataError>,
    /// Rows that have none of the inputs.
    pub empty: usize,
}

impl Index {
    /// Embeds every sample in the space of `output`; media paths start from `root`. None when interrupted; `progress` is
    /// told the rows done.
    ///
    /// # Panics
    /// When `output` embeds no inputs: [`Index::output`] finds one that does.
    pub fn build(
        pipeline: Pipeline,
        output: &str,
        samples: Vec<Sample>,
        root: &Path,
        threads: usize,
        interrupt: &AtomicBool,
        progress: &mut dyn FnMut(usize),
    ) -> Option<Built> {
        let inputs = embedded(&pipeline, output);
        let dataset = Arc::new(Dataset::new(samples, root.to_path_buf(), inputs.clone(), Vec::new()));
        let indices: Vec<usize> = (0..dataset.samples().len()).collect();
        let batches = indices.chunks(BATCH_SIZE).map(<[usize]>::to_vec).collect();
        let mut collected = Collected::new(&dataset, &inputs);
        let (mut failed, mut done) = (Vec::new(), 0);
        for Prepared { batch, failed: bad, .. } in Loader::new(&dataset, batches, None, threads) {
            if interrupt.load(Ordering::Relaxed) {
                return None;
            }
            done += batch.rows.len() + bad.len();
            failed.extend(bad);
            if !batch.rows.is_empty() {
                collected.add(&batch, pipeline.model().embed(&batch, output));
            }
            progress(done);
        }
        let Collected {
            rows, empty, spaces, ..
        } = collected;
        let embeddings = spaces.into_iter().map(|(name, space)| (name, space.tensor()));
        let index = Self {
            output: output.to_string(),
            rows,
            embeddings: embeddings
                .filter(|(_, tensor)| tensor.shape[0] > 0)
                .collect::<HostTensors>(),
            pipeline,
        };
        Some(Built { index, failed, empty })
    }
}

/// The distinct media of one input.
#[derive(Default)]
struct Space {
    places: HashMap<Arc<str>, usize>,
    values: Vec<f32>,
}

impl Space {
    fn place(&mut self, medium: Arc<str>, vector: &[f32]) -> usize {
        let next = self.places.len();
        *self.places.entry(medium).or_insert_with(|| {
            self.values.extend_from_slice(vector);
            next
        })
    }

    fn tensor(self) -> HostTensor {
        let media = self.places.len();
        HostTensor {
            shape: vec![media, self.values.len() / media.max(1)],
            values: self.values,
        }
    }
}

/// What has been embedded so far.
struct Collected<'a> {
    inputs: &'a [InputColumn],
    root: &'a Path,
    samples: HashMap<usize, &'a Sample>,
    rows: Vec<IndexedRow>,
    empty: usize,
    spaces: BTreeMap<String, Space>,
}

impl<'a> Collected<'a> {
    fn new(dataset: &'a Dataset, inputs: &'a [InputColumn]) -> Self {
        Self {
            inputs,
            root: dataset.root(),
            samples: dataset.samples().iter().map(|sample| (sample.row, sample)).collect(),
            rows: Vec::new(),
            empty: 0,
            spaces: BTreeMap::new(),
        }
    }

    fn add(&mut self, batch: &Batch, embedded: Vec<BTreeMap<String, Vec<f32>>>) {
        for (&row, vectors) in batch.rows.iter().zip(embedded) {
            if vectors.is_empty() {
                self.empty += 1;
                continue;
            }
            let mut indexed = IndexedRow {
                row,
                values: BTreeMap::new(),
                media: BTreeMap::new(),
            };
            for input in self.inputs {
                let Some(vector) = vectors.get(&input.name) else {
                    continue;
                };
                let value = self.samples[&row].get(&input.column);
                let space = self.spaces.entry(input.name.clone()).or_default();
                indexed
                    .media
                    .insert(input.name.clone(), space.place(identity(value), vector));
                indexed
                    .values
                    .insert(input.name.clone(), reference(input, value, self.root));
            }
            self.rows.push(indexed);
        }
    }
}
