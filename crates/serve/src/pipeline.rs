//! A trained run behind the [`Engine`] interface.

use crate::engine::Engine;
use crate::wire::{
    Description, InputDescription, InputValue, Inputs, ItemError, Modality, Output, OutputDescription, Outputs, Part,
    Ranked, Turn,
};
use sensorium_data::{DataError, Modality as DataModality, Sample, Value};
use sensorium_model::tasks::{self, Alternative, Answer, Prediction};
use sensorium_model::{Answers, Examples, Pipeline, RunDirectory};
use std::path::Path;

/// Alternatives that an answer lists; of several labels and of a ranking there are as many as it has.
const TOP: usize = 5;

/// A pipeline with what the page shows of it.
pub struct PipelineEngine {
    pipeline: Pipeline,
    description: Description,
    examples: Examples,
}

impl PipelineEngine {
    /// `pipeline` was loaded from `run`, whose examples are offered on the page.
    pub fn new(run: &RunDirectory, pipeline: Pipeline) -> Self {
        let examples = Examples::load(run);
        let description = describe(run, &pipeline, &examples);
        Self {
            pipeline,
            description,
            examples,
        }
    }

    fn sample(&self, inputs: Inputs) -> Sample {
        let columns = &self.pipeline.description.inputs;
        let value = |value| match value {
            InputValue::Text(text) => Value::Text(text),
            InputValue::Turns(turns) => Value::List(turns.into_iter().map(turn).collect()),
            InputValue::Bytes(bytes) => Value::Bytes(bytes.into()),
            InputValue::Several(files) => {
                Value::List(files.into_iter().map(|file| Value::Bytes(file.into())).collect())
            }
        };
        let values = inputs
            .into_iter()
            .map(|(name, given)| (columns[&name].clone(), value(given)));
        Sample {
            row: 0,
            values: values.collect(),
        }
    }
}

impl Engine for PipelineEngine {
    fn describe(&self) -> Description {
        self.description.clone()
    }

    fn predict(&self, samples: Vec<Inputs>) -> Vec<Result<Outputs, ItemError>> {
        let samples = samples.into_iter().map(|inputs| self.sample(inputs)).collect();
        let answers = self.pipeline.predict(samples, Path::new(""));
        answers
            .into_iter()
            .map(|answer| answer.map(outputs).map_err(|e| item_error(&e)))
            .collect()
    }

    fn example(&self, index: usize) -> Option<(Vec<u8>, &'static str)> {
        self.examples.pictures.get(index).map(|png| (png.clone(), "image/png"))
    }
}

fn turn(turn: Turn) -> Value {
    match turn {
        Turn::Text(text) => Value::Text(text),
        Turn::Asked { question, answer } => {
            let answer = answer.map(Value::Text);
            Value::List([Some(Value::Text(question)), answer].into_iter().flatten().collect())
        }
    }
}

fn describe(run: &RunDirectory, pipeline: &Pipeline, examples: &Examples) -> Description {
    let input = |column: &sensorium_data::InputColumn| InputDescription {
        name: column.name.clone(),
        modality: match column.processor.modality() {
            DataModality::Text => Modality::Text,
            DataModality::Image => Modality::Image,
            DataModality::Audio => Modality::Audio,
            DataModality::Video => Modality::Video,
        },
        turns: pipeline.description.turns.contains(&column.name),
        list: column.processor.list(),
    };
    let outputs = pipeline.model().tasks().iter().map(|(name, task)| OutputDescription {
        name: name.to_string(),
        task: task.name().to_string(),
        labels: Some(task.labels().len()).filter(|count| *count > 0),
    });
    Description {
        run: run.name(),
        name: run.name(),
        inputs: pipeline.inputs().iter().map(input).collect(),
        outputs: outputs.collect(),
        examples: examples.texts.clone(),
        example_images: examples.pictures.len(),
    }
}

fn outputs(answers: Answers) -> Outputs {
    answers
        .into_iter()
        .map(|(name, prediction)| (name, output(prediction)))
        .collect()
}

fn output(prediction: Prediction) -> Output {
    let listed = match &prediction.value {
        Answer::List(items) => items.len(),
        _ => 0,
    };
    let ranked = |one: Alternative| Ranked {
        value: one.value.into(),
        probability: one.probability,
    };
    let part = |part: tasks::Part| Part {
        text: part.text,
        probability: part.probability,
        frames: part.frames,
    };
    Output {
        value: serde_json::to_value(prediction.value).unwrap_or_default(),
        probability: prediction.probability,
        top: prediction.top.into_iter().take(TOP.max(listed)).map(ranked).collect(),
        tokens: prediction.tokens.into_iter().map(part).collect(),
    }
}

/// Says what is wrong with an input and nothing of this machine: no path reaches a client.
fn item_error(error: &DataError) -> ItemError {
    ItemError {
        code: error.kind.code(),
        message: error.message.clone(),
        field: error.field.clone(),
    }
}
