//! Processors, model and run directory together: from raw values to predictions.

use crate::checkpoint;
use crate::error::{ModelError, Result};
use crate::model::Model;
use crate::run_directory::{Description, RunDirectory};
use crate::tasks::Prediction;
use burn::tensor::Device;
use sensorium_data::{Batch, DataError, Dataset, InputColumn, Processor, Sample};
use std::collections::BTreeMap;
use std::path::Path;

/// The answers to one row, by output.
pub type Answers = BTreeMap<String, Prediction>;

/// Rows that go through the model together.
const BATCH_SIZE: usize = 64;

/// A trained model with the very processors that it was trained with.
pub struct Pipeline {
    pub description: Description,
    model: Model,
    inputs: Vec<InputColumn>,
}

impl Pipeline {
    /// Reads all that `run` holds of a model; anything missing, cut, altered or not belonging together is an error.
    pub fn load(run: &RunDirectory, device: &Device) -> Result<Self> {
        let description = Description::load(run)?;
        let inputs = load_processors(run, &description)?;
        let shapes = inputs.iter().map(|input| (input.name.clone(), input.processor.shape()));
        let model = Model::new(&description.model, &shapes.collect(), 0, device)?;
        let path = run.weights();
        let model = checkpoint::from_host(model, &checkpoint::load(&path)?, &path)?;
        Ok(Self {
            description,
            model,
            inputs,
        })
    }

    /// A pipeline around a model in memory.
    pub fn new(description: Description, model: Model, inputs: Vec<InputColumn>) -> Self {
        Self {
            description,
            model,
            inputs,
        }
    }

    pub fn model(&self) -> &Model {
        &self.model
    }

    pub fn inputs(&self) -> &[InputColumn] {
        &self.inputs
    }

    /// Answers for each sample, in order; media paths start from `root`. A sample that cannot be read has an error in
    /// its place and does not touch the others.
    pub fn predict(&self, samples: Vec<Sample>, root: &Path) -> Vec<Result<Answers, DataError>> {
        let count = samples.len();
        let numbered = samples
            .into_iter()
            .enumerate()
            .map(|(row, sample)| Sample { row, ..sample });
        let dataset = Dataset::new(numbered.collect(), root.to_path_buf(), self.inputs.clone(), Vec::new());
        let mut answers: Vec<Option<Result<Answers, DataError>>> = (0..count).map(|_| None).collect();
        let indices: Vec<usize> = (0..count).collect();
        for part in indices.chunks(BATCH_SIZE) {
            let (batch, failed) = dataset.batch(part, None);
            for error in failed {
                let row = error.row.expect("a data set names the row of each error");
                answers[row] = Some(Err(error));
            }
            for (row, answer) in batch.rows.iter().zip(self.answer(&batch)) {
                answers[*row] = Some(Ok(answer));
            }
        }
        let answered = "every row of a batch is either answered or failed";
        answers.into_iter().map(|answer| answer.expect(answered)).collect()
    }

    /// Answers for the rows of a batch, in order.
    pub fn answer(&self, batch: &Batch) -> Vec<Answers> {
        let mut answers = vec![Answers::new(); batch.rows.len()];
        if answers.is_empty() {
            return answers;
        }
        for (name, output) in self.model.infer(batch) {
            let predictions = self.model.task(&name).decode(output);
            for (answer, prediction) in answers.iter_mut().zip(predictions) {
                answer.insert(name.clone(), prediction);
            }
        }
        answers
    }
}

fn load_processors(run: &RunDirectory, description: &Description) -> Result<Vec<InputColumn>> {
    let load = |(name, column): (&String, &String)| {
        let processor = Processor::load(&run.processors(), name)?;
        if description.processors.get(name) != Some(&processor.hash()) {
            let path = run.processors().join(format!("{name}.json"));
            let message = "this is not the processor that the model was trained with";
            return Err(ModelError::file(&path, message));
        }
        Ok(InputColumn {
            name: name.clone(),
            column: column.clone(),
            processor,
        })
    };
    description.inputs.iter().map(load).collect()
}
