//! Exact search: the product of a query with every embedding.

use super::{Index, IndexedRow};
use crate::checkpoint::{HostTensor, to_vec};
use burn::tensor::{Device, Tensor, TensorData};
use sensorium_data::{DataError, Dataset, ErrorKind, Sample, Value};
use sensorium_kernels::on_compute_threads;
use std::collections::BTreeMap;
use std::path::Path;

/// A row that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit<'a> {
    pub row: &'a IndexedRow,
    /// Of the angle between the query and the closest of the row's media.
    pub cosine: f64,
    /// The input of that medium.
    pub input: &'a str,
    /// In a space that an `align` has learnt the share of the row among all that were looked at, or where it was learnt by
    /// decisions the probability that query and row belong together.
    pub probability: Option<f64>,
}

impl Index {
    /// The `top` rows whose closest medium lies closest to the query, the closest first and equal ones in manifest order.
    /// `query` holds values by column; several of them are one query in the direction of their mean. Only media of the
    /// inputs `among` are looked at, of every input where it is empty.
    ///
    /// # Errors
    /// A query that cannot be read, or that has none of the inputs.
    pub fn search(
        &self,
        query: BTreeMap<String, Value>,
        root: &Path,
        among: &[String],
        top: usize,
    ) -> Result<Vec<Hit<'_>>, DataError> {
        let query = self.embed(query, root)?;
        let searched = self.embeddings.iter();
        let searched = searched.filter(|(input, _)| among.is_empty() || among.contains(input));
        let cosines: BTreeMap<&str, Vec<f32>> = on_compute_threads(|| {
            let cosines = searched.map(|(input, embeddings)| (input.as_str(), products(embeddings, &query)));
            cosines.collect()
        });
        let hit = |row: &'_ IndexedRow| {
            let media = cosines.iter().filter_map(|(input, cosines)| {
                let cosine = cosines[*row.media.get(*input)?];
                Some((*input, f64::from(cosine)))
            });
            media.max_by(|a, b| a.1.total_cmp(&b.1))
        };
        let found = self.rows.iter().filter_map(|row| {
            let (input, cosine) = hit(row)?;
            Some(Hit {
                row,
                cosine,
                input,
                probability: None,
            })
        });
        let mut found: Vec<Hit> = found.collect();
        let cosines: Vec<f64> = found.iter().map(|hit| hit.cosine).collect();
        if let Some(probabilities) = self.pipeline.model().task(&self.output).probabilities(&cosines) {
            let hits = found.iter_mut().zip(probabilities);
            hits.for_each(|(hit, probability)| hit.probability = Some(probability));
        }
        found.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
        found.truncate(top);
        Ok(found)
    }

    /// The direction of the mean of the query's embeddings.
    fn embed(&self, values: BTreeMap<String, Value>, root: &Path) -> Result<Vec<f32>, DataError> {
        let sample = Sample { row: 0, values };
        let dataset = Dataset::new(vec![sample], root.to_path_buf(), self.inputs(), Vec::new());
        let (batch, failed) = dataset.batch(&[0], None);
        if let Some(error) = failed.into_iter().next() {
            return Err(DataError { row: None, ..error });
        }
        let vectors = self.pipeline.model().embed(&batch, &self.output).remove(0);
        let Some(first) = vectors.values().next() else {
            let message = "the query has none of the inputs of this index; give one of them";
            return Err(DataError::new(ErrorKind::Invalid, message));
        };
        let sum = |place: usize| vectors.values().map(|vector| vector[place]).sum::<f32>();
        let sum: Vec<f32> = (0..first.len()).map(sum).collect();
        let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-6);
        Ok(sum.into_iter().map(|value| value / length).collect())
    }
}

/// The product of each row of a matrix with a vector.
fn products(matrix: &HostTensor, vector: &[f32]) -> Vec<f32> {
    let (shape, device) = ([matrix.shape[0], matrix.shape[1]], Device::flex());
    let matrix = Tensor::<2>::from_data(TensorData::new(matrix.values.clone(), shape), &device);
    let vector = Tensor::<2>::from_data(TensorData::new(vector.to_vec(), [shape[1], 1]), &device);
    to_vec(matrix.matmul(vector))
}
