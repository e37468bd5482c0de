//! Processors, model and run directory together: from raw values to predictions.

use crate::batches::{self, Lanes};
use crate::checkpoint;
use crate::error::{ModelError, Result};
use crate::model::Model;
use crate::parameters::widen_parameters;
use crate::run_directory::{Description, RunDirectory};
use crate::tasks::{Decoded, Prediction};
use crate::writer::{Writer, Writers};
use burn::module::Module;
use burn::tensor::Device;
use rayon::prelude::*;
use sensorium_data::processors::Feature;
use sensorium_data::{
    Batch, DataError, Dataset, InputColumn, Modality, OutputColumn, Processor, Sample, Takes, TextColumn, files,
};
use sensorium_kernels::Precision;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The answers to one row, by output.
pub type Answers = BTreeMap<String, Prediction>;

/// Rows that go through the model together, where nothing else is asked for.
pub const BATCH_SIZE: usize = 64;

/// Samples whose lengths one thread finds one after the other.
const LENGTHS: usize = 32;

/// A trained model with the very processors that it was trained with.
pub struct Pipeline {
    pub description: Description,
    model: Model,
    inputs: Vec<InputColumn>,
    outputs: Vec<OutputColumn>,
    writers: Writers,
}

impl Pipeline {
    /// Reads all that `run` holds of a model, and merges its adapters into its weights; anything missing, cut, altered or not
    /// belonging together is an error.
    pub fn load(run: &RunDirectory, device: &Device) -> Result<Self> {
        Self::read(run, device, false)
    }

    /// As [`load`](Self::load) and then [`packed`](Self::packed), in less time and memory: what is stored in 16 bits is packed
    /// as it is.
    pub fn load_packed(run: &RunDirectory, device: &Device, precision: Precision) -> Result<Self> {
        Ok(Self::read(run, device, *device == Device::flex())?.packed(precision))
    }

    /// With `narrow`, parameters stay in the bits that they are stored in, where no adapter is to be merged into them.
    fn read(run: &RunDirectory, device: &Device, narrow: bool) -> Result<Self> {
        let mut description = Description::load(run)?;
        let path = run.weights();
        let (columns, tensors) = rayon::join(|| load_columns(run, &description), || checkpoint::read(&path));
        let ((inputs, outputs, writers), tensors) = (columns?, tensors?);
        let shapes = inputs.iter().map(|input| (input.name.clone(), input.processor.shape()));
        let model = Model::blank(&description.model, &shapes.collect(), device)?;
        let model = match narrow && !description.model.has_adapters() {
            true => checkpoint::from_stored(model, tensors, &path)?,
            false => checkpoint::from_host(model, checkpoint::widened(tensors), &path)?.materialize(),
        };
        description.model.forget_adapters();
        Ok(Self {
            description,
            model,
            inputs,
            outputs,
            writers,
        })
    }

    /// Prepared to answer, and no longer to be trained or saved: the weights of Transformers and decoders lie in the order in
    /// which they are read, as precisely as is asked for.
    pub fn packed(self, precision: Precision) -> Self {
        let model = widen_parameters(self.model.pack(precision));
        Self { model, ..self }
    }

    /// A pipeline around a model in memory.
    pub fn new(description: Description, model: Model, dataset: &Dataset, writers: Writers) -> Self {
        Self {
            description,
            model,
            inputs: dataset.inputs().to_vec(),
            outputs: dataset.outputs().to_vec(),
            writers,
        }
    }

    /// Writes all that [`load`](Self::load) reads to `run`, which is made where it is missing.
    pub fn save(&self, run: &RunDirectory) -> Result<()> {
        files::create_folder(&run.processors())?;
        for input in &self.inputs {
            input.processor.save(&run.processors(), &input.name)?;
        }
        for output in &self.outputs {
            if let Some(texts) = &output.texts {
                texts.processor.save(&run.output_processors(), &output.name)?;
            }
        }
        checkpoint::save_short(&checkpoint::to_host(&self.model), &run.weights())?;
        self.description.save(run)
    }

    pub fn model(&self) -> &Model {
        &self.model
    }

    pub fn inputs(&self) -> &[InputColumn] {
        &self.inputs
    }

    pub fn outputs(&self) -> &[OutputColumn] {
        &self.outputs
    }

    pub fn writers(&self) -> &Writers {
        &self.writers
    }

    /// Answers for each sample, in order; media paths start from `root`. A sample that cannot be read has an error in
    /// its place and does not touch the others.
    pub fn predict(&self, samples: Vec<Sample>, root: &Path) -> Vec<Result<Answers, DataError>> {
        self.predict_by(BATCH_SIZE, samples, root)
    }

    /// As [`predict`](Self::predict), with at most so many rows going through the model together: those whose texts are about
    /// as long as one another, and fewer where pictures are read in tiles.
    pub fn predict_by(&self, together: usize, samples: Vec<Sample>, root: &Path) -> Vec<Result<Answers, DataError>> {
        let count = samples.len();
        let mut batches = self.batches(together, &samples);
        let numbered = samples
            .into_iter()
            .enumerate()
            .map(|(row, sample)| Sample { row, ..sample });
        let dataset = Dataset::new(
            numbered.collect(),
            root.to_path_buf(),
            self.inputs.clone(),
            self.choices(),
        );
        let lanes = self.reads_texts().then(|| Lanes::new(batches.len())).flatten();
        // What takes longest does not come last.
        batches.reverse();
        let answers = Mutex::new((0..count).map(|_| None).collect::<Vec<_>>());
        // The next batch is read while one is answered.
        std::thread::scope(|scope| {
            let (sender, receiver) = std::sync::mpsc::sync_channel(1);
            scope.spawn(move || {
                let mut batches = batches.iter().map(|rows| dataset.batch(rows, None));
                // Nobody listens any more where an answer has panicked.
                batches.all(|batch| sender.send(batch).is_ok())
            });
            let receiver = Mutex::new(receiver);
            let answer = || {
                let next = || lock(&receiver).recv().ok();
                for (batch, failed) in std::iter::from_fn(next) {
                    let answered = self.answer(&batch);
                    set(&mut lock(&answers), &batch, answered, failed);
                }
            };
            match lanes {
                Some(lanes) => lanes.run(answer),
                None => answer(),
            }
        });
        let answered = "every row of a batch is either answered or failed";
        let answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
        answers.into_iter().map(|answer| answer.expect(answered)).collect()
    }

    /// The places of samples that go through the model together.
    fn batches(&self, together: usize, samples: &[Sample]) -> Vec<Vec<usize>> {
        let together = InputColumn::together(&self.inputs, together);
        let texts = self.reads_texts();
        let mut places: Vec<usize> = (0..samples.len()).collect();
        let even = |places: &[usize]| places.chunks(together).map(<[usize]>::to_vec).collect();
        // There is nothing to choose.
        if samples.len() <= if texts { 1 } else { together } {
            return even(&places);
        }
        let lengths = samples.par_iter().with_min_len(LENGTHS);
        let lengths: Vec<usize> = lengths.map(|sample| self.text_length(sample)).collect();
        places.sort_by_key(|&place| lengths[place]);
        if !texts {
            return even(&places);
        }
        let lengths: Vec<usize> = places.iter().map(|&place| lengths[place]).collect();
        let parts = batches::cut(&lengths, together).into_iter();
        parts.map(|part| places[part].to_vec()).collect()
    }

    /// Whether texts are all that is read.
    fn reads_texts(&self) -> bool {
        let mut inputs = self.inputs.iter();
        !self.inputs.is_empty() && inputs.all(|input| input.processor.modality() == Modality::Text)
    }

    /// The tokens of all texts that a sample's inputs read: bytes say little of them, and what a batch is filled up with takes
    /// longer than counting twice.
    fn text_length(&self, sample: &Sample) -> usize {
        let reads = |input: &&InputColumn| input.processor.modality() == Modality::Text;
        let length = |input: &InputColumn| match input.processor.prepare(sample.get(&input.column), Path::new("")) {
            Ok(Feature::Text(tokens)) => tokens.len(),
            _ => 0,
        };
        self.inputs.iter().filter(reads).map(length).sum()
    }

    /// The outputs that choose from texts of a row or go on with one: no target is read when the answer is not known.
    fn choices(&self) -> Vec<OutputColumn> {
        let reads = |output: &&OutputColumn| output.texts.as_ref().is_some_and(|texts| texts.takes != Takes::One);
        let asked = |output: &OutputColumn| OutputColumn {
            column: None,
            ..output.clone()
        };
        self.outputs.iter().filter(reads).map(asked).collect()
    }

    /// Answers for the rows of a batch, in order.
    pub fn answer(&self, batch: &Batch) -> Vec<Answers> {
        let decoded = self.decode(batch).into_iter();
        let predictions = |row: BTreeMap<String, Decoded>| {
            let answers = row.into_iter().map(|(name, decoded)| (name, decoded.prediction));
            answers.collect()
        };
        decoded.map(predictions).collect()
    }

    /// The answers of one output for the rows of a batch, in order.
    pub fn answer_output(&self, batch: &Batch, output: &str) -> Vec<Prediction> {
        let decoded = self.model.infer_output(batch, output, &self.writers).into_iter();
        decoded.map(|decoded| decoded.prediction).collect()
    }

    /// Answers for the rows of a batch with what belongs to them, in order.
    pub fn decode(&self, batch: &Batch) -> Vec<BTreeMap<String, Decoded>> {
        let mut rows = vec![BTreeMap::new(); batch.rows.len()];
        if rows.is_empty() {
            return rows;
        }
        for (name, decoded) in self.model.infer(batch, &self.writers) {
            for (row, one) in rows.iter_mut().zip(decoded) {
                row.insert(name.clone(), one);
            }
        }
        rows
    }
}

/// What a mutex holds; a panic of another batch is told where that one is joined.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets what the rows of a batch were answered, and what could not be read.
fn set(
    answers: &mut [Option<Result<Answers, DataError>>],
    batch: &Batch,
    answered: Vec<Answers>,
    failed: Vec<DataError>,
) {
    for error in failed {
        let row = error.row.expect("a data set names the row of each error");
        answers[row] = Some(Err(error));
    }
    for (row, answer) in batch.rows.iter().zip(answered) {
        answers[*row] = Some(Ok(answer));
    }
}

fn load_columns(
    run: &RunDirectory,
    description: &Description,
) -> Result<(Vec<InputColumn>, Vec<OutputColumn>, Writers)> {
    let outputs = load_outputs(run, description)?;
    let writers = load_writers(run, description, &outputs)?;
    Ok((load_inputs(run, description)?, outputs, writers))
}

fn load_inputs(run: &RunDirectory, description: &Description) -> Result<Vec<InputColumn>> {
    let load = |(name, column): (&String, &String)| {
        let hash = description.processors.get(name);
        Ok(InputColumn {
            name: name.clone(),
            column: column.clone(),
            processor: load_processor(&run.processors(), name, hash)?,
        })
    };
    description.inputs.iter().map(load).collect()
}

fn load_outputs(run: &RunDirectory, description: &Description) -> Result<Vec<OutputColumn>> {
    let load = |name: &String| {
        let texts = description.texts.get(name).map(|texts| {
            let processor = load_processor(&run.output_processors(), name, Some(&texts.processor))?;
            Ok::<_, ModelError>(TextColumn {
                column: texts.column.clone(),
                processor,
                takes: texts.takes,
            })
        });
        Ok(OutputColumn {
            name: name.clone(),
            column: description.outputs.get(name).cloned(),
            texts: texts.transpose()?,
        })
    };
    description.model.outputs.keys().map(load).collect()
}

fn load_writers(run: &RunDirectory, description: &Description, outputs: &[OutputColumn]) -> Result<Writers> {
    let with_texts = outputs
        .iter()
        .filter_map(|output| Some((&output.name, output.texts.as_ref()?)));
    let load = |(name, texts): (&String, &TextColumn)| {
        let task = &description.model.outputs[name].task;
        let unit = task.ngram().map(|ngram| ngram.unit);
        let constraint = task.decoding().and_then(|decoding| decoding.constraint.as_ref());
        let writer = Writer::load(run, name, texts.processor.clone(), unit)?.constrained(constraint)?;
        Ok((name.clone(), writer))
    };
    with_texts.map(load).collect()
}

fn load_processor(folder: &Path, name: &str, hash: Option<&String>) -> Result<Processor> {
    let processor = Processor::load(folder, name)?;
    if hash != Some(&processor.hash()) {
        let path = folder.join(format!("{name}.json"));
        let message = "this is not the processor that the model was trained with";
        return Err(ModelError::file(&path, message));
    }
    Ok(processor)
}
