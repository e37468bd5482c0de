//! The parts of a run that came from checkpoints, and the one of them that is asked for.

use super::super::{Architecture, Checkpoint, Head};
use super::configuration::{self, Extent};
use super::kept::{CONFIGURATION, Kept, TOKENIZER};
use super::{pictures, tensors};
use crate::checkpoint::HostTensors;
use crate::pipeline::Pipeline;
use crate::source::Source;
use crate::tasks::TaskConfig;
use crate::trunks::TrunkConfig;
use sensorium_data::{InputColumn, Processor};
use std::borrow::Cow;
use std::collections::BTreeMap;

const INPUTS: &str = "inputs.";
const OUTPUTS: &str = "outputs.";
const GENERATION: &str = "generation_config.json";

/// A part of a run that has a counterpart in `transformers`.
pub struct Candidate<'a> {
    kept: &'a Kept,
    architecture: &'a Architecture,
    /// Those whose encoders belong to it.
    inputs: Vec<&'a InputColumn>,
    /// What the paths of its head's parameters begin with; none where it has no head that is written.
    head: Option<String>,
}

impl<'a> Candidate<'a> {
    /// The one that has the part `inputs.NAME` or `outputs.NAME`; the only one where none is named.
    ///
    /// # Errors
    /// Where there is no such one, with the names of those that there are.
    pub fn choose(kept: &'a [(Kept, Checkpoint)], pipeline: &'a Pipeline, part: Option<&str>) -> Result<Self, String> {
        if kept.is_empty() {
            return Err(
                "expected a run with what is known of a checkpoint in Hugging Face's layout, or with a language model in the way of \
                 Llama, found none: import it or train it from one, anew where an older version did"
                    .into(),
            );
        }
        let all = kept
            .iter()
            .filter_map(|(one, checkpoint)| Self::new(one, checkpoint, kept, pipeline));
        let mut all: Vec<Self> = all.collect();
        let found = match part {
            None if all.len() == 1 => Some(0),
            None => None,
            Some(part) => all.iter().position(|one| one.has(part)),
        };
        match found {
            Some(found) => Ok(all.swap_remove(found)),
            None => Err(refusal(part, &all)),
        }
    }

    /// None where `transformers` has no model of these parts alone.
    fn new(
        kept: &'a Kept,
        checkpoint: &'a Checkpoint,
        all: &[(Kept, Checkpoint)],
        pipeline: &'a Pipeline,
    ) -> Option<Self> {
        let architecture = checkpoint.architecture();
        let named = |kind: &str| -> Vec<&str> {
            let parts = kept.tensors.parts.iter();
            parts.filter_map(|part| part.strip_prefix(kind)).collect()
        };
        let (mut inputs, outputs) = (named(INPUTS), named(OUTPUTS));
        let head = match (inputs.is_empty(), outputs.first()) {
            (false, Some(_)) => architecture.head.path().map(String::from),
            // An encoder is nothing there without its decoder, but for T5's.
            (false, None) if architecture.needs_head() => return None,
            (false, None) => None,
            (true, output) => {
                let output = output?;
                let described = pipeline.description.model.outputs.get(*output)?;
                let Source::Input(input) = &described.from else {
                    return None;
                };
                let part = format!("{INPUTS}{input}");
                let same = |other: &Kept| {
                    other.tensors.parts.contains(&part) && other.files[CONFIGURATION] == kept.files[CONFIGURATION]
                };
                // A language model reads no encoder; behind a source it is another model.
                let has_counterpart = match (&architecture.head, &described.task) {
                    (Head::Continuation(_), task) => matches!(task, TaskConfig::LanguageModel(_)),
                    _ => all.iter().any(|(other, _)| same(other)),
                };
                if !has_counterpart {
                    return None;
                }
                inputs = vec![input.as_str()];
                Some(format!("{OUTPUTS}{output}."))
            }
        };
        // A decoder is nothing without each encoder that it reads.
        if head.is_some() && inputs.len() < architecture.encoders().len() {
            return None;
        }
        let columns = pipeline.inputs().iter();
        Some(Self {
            kept,
            architecture,
            inputs: columns
                .filter(|column| inputs.contains(&column.name.as_str()))
                .collect(),
            head,
        })
    }

    fn has(&self, part: &str) -> bool {
        self.kept.tensors.parts.iter().any(|one| one == part)
    }

    /// The tensors of the checkpoint with the values of the run's `parameters`.
    ///
    /// # Errors
    /// For a value that the layout has no place for.
    pub fn tensors(&self, parameters: HostTensors) -> Result<HostTensors, String> {
        let source = tensors::Source {
            encoders: self.encoders(),
            head: self.head.as_deref().map(|path| (&self.architecture.head, path)),
        };
        source.take(&self.kept.tensors.shapes, parameters)
    }

    /// The encoders that are written, with what the paths of their parameters begin with.
    fn encoders(&self) -> Vec<(&'a Architecture, String)> {
        let encoders = self.architecture.encoders().into_iter();
        let of = |encoder: &'a Architecture| {
            let modality = encoder.processor.modality();
            let mut inputs = self.inputs.iter();
            let input = inputs.find(|input| input.processor.modality() == modality)?;
            Some((encoder, format!("{INPUTS}{}.", input.name)))
        };
        encoders.filter_map(of).collect()
    }

    /// The other files by name, and what `transformers` calls the model.
    ///
    /// # Errors
    /// For pictures that are read as no file of the layout can say.
    pub fn files(&self, pipeline: &'a Pipeline) -> Result<(BTreeMap<String, Vec<u8>>, String), String> {
        let mut files = self.kept.files.clone();
        let whole = self.head.is_some();
        let extent = match (&self.architecture.head, whole) {
            (_, true) => Extent::Whole,
            (Head::Aligned(_), false) => Extent::Tower(self.inputs[0].processor.modality()),
            (_, false) => Extent::Headless,
        };
        for (architecture, path) in self.encoders() {
            let input = self
                .inputs
                .iter()
                .find(|input| path == format!("{INPUTS}{}.", input.name));
            if let Some(input) = input {
                pictures::settle(&mut files, &architecture.processor, &input.processor.config())
                    .map_err(|wrong| format!("{INPUTS}{}: {wrong}", input.name))?;
            }
        }
        if let (Some(language), Some(settings)) = (self.language(pipeline), files.get_mut(GENERATION)) {
            *settings = configuration::spoken(settings, language)?;
        }
        let blocks = match (&self.architecture.head, &self.architecture.trunk) {
            (Head::Answer(_), Some(TrunkConfig::Vit(trunk))) => Some(trunk.blocks.layers),
            _ => None,
        };
        let (configuration, name) = configuration::written(&files[CONFIGURATION], extent, blocks)?;
        files.insert(CONFIGURATION.into(), configuration);
        if let Some(tokenizer) = self.tokenizer(pipeline) {
            files.insert(TOKENIZER.into(), tokenizer.into_owned().into_bytes());
        }
        Ok((files, name))
    }

    /// The output whose head is written.
    fn output(&self) -> Option<&str> {
        self.head.as_deref()?.strip_prefix(OUTPUTS)?.split('.').next()
    }

    /// The language that a decoder of speech was trained further on.
    fn language(&self, pipeline: &'a Pipeline) -> Option<&'a str> {
        match &pipeline.description.model.outputs.get(self.output()?)?.task {
            TaskConfig::Generate(task) => task.language.as_deref(),
            _ => None,
        }
    }

    /// The content of the file that texts are tokenised by, where it reads or writes any.
    fn tokenizer(&self, pipeline: &'a Pipeline) -> Option<Cow<'a, str>> {
        // The vocabulary of letters is kept as it was read.
        if let Head::Transcript(_) = self.architecture.head {
            return None;
        }
        let outputs = pipeline
            .outputs()
            .iter()
            .filter(|output| self.output() == Some(&output.name));
        let written = outputs.filter_map(|output| Some(&output.texts.as_ref()?.processor));
        let read = self.inputs.iter().map(|input| &input.processor);
        read.chain(written).find_map(Processor::tokenizer)
    }
}

/// Why no candidate was found, and what can be named.
fn refusal(part: Option<&str>, all: &[Candidate]) -> String {
    let option = |part: &String| match part.split_once('.') {
        Some(("inputs", name)) => format!("--input {name}"),
        Some((_, name)) => format!("--output {name}"),
        None => part.clone(),
    };
    let names = all.iter().flat_map(|one| one.kept.tensors.parts.iter().map(option));
    let names: Vec<String> = names.collect();
    let can = match names.is_empty() {
        true => "nothing of this run has".to_string(),
        false => format!("what has: {}", names.join(", ")),
    };
    match part {
        Some(part) => format!("`{part}` has no counterpart in transformers; {can}"),
        None if names.is_empty() => format!("expected a part with a counterpart in transformers; {can}"),
        None => format!("expected the name of a part with a counterpart in transformers; {can}"),
    }
}
