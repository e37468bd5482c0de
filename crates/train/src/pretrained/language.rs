//! Language models that are trained further, by themselves or behind a source: those of runs, and those that others trained.

use super::{Wrong, settle_network, settle_texts};
use crate::error::{Result, TrainError};
use sensorium_data::processors::TextConfig;
use sensorium_data::{Processor, ProcessorConfig};
use sensorium_model::architectures::Checkpoint;
use sensorium_model::checkpoint::{from_host, to_host};
use sensorium_model::decoder::{DecoderConfig, Vocabulary};
use sensorium_model::decoding::search::DecodingConfig;
use sensorium_model::tasks::{Fitted, GenerateConfig, LanguageModelConfig, TaskConfig, TextTokens};
use sensorium_model::{Device, Model, Pipeline, RunDirectory};
use std::path::Path;

/// A language model that was trained before.
pub(super) struct Language {
    decoder: DecoderConfig,
    vocabulary: Vocabulary,
    /// The tokens that it reads together.
    context: usize,
    /// What it begins and ends texts with, where the vocabulary does not say all of it.
    tokens: Option<TextTokens>,
    weights: Weights,
}

/// Where its weights are, and what reads its texts.
enum Weights {
    /// The output of a run that was trained here, or imported.
    Run {
        run: RunDirectory,
        pipeline: Box<Pipeline>,
        output: String,
        texts: Processor,
    },
    Checkpoint(Box<Checkpoint>),
}

impl Language {
    /// What is at `path`; none where it is a checkpoint of something else.
    ///
    /// # Errors
    /// For what cannot be read, and for a run without just one language model.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let run = RunDirectory::new(path);
        if run.description().exists() {
            return Self::of_run(&run).map(Some);
        }
        let checkpoint = Checkpoint::open(path)?;
        let head = checkpoint.language()?;
        Ok(head.map(|head| Self {
            decoder: head.task.decoder,
            vocabulary: head.vocabulary,
            context: head.task.context,
            tokens: head.task.tokens,
            weights: Weights::Checkpoint(Box::new(checkpoint)),
        }))
    }

    fn of_run(run: &RunDirectory) -> Result<Self> {
        let pipeline = Pipeline::load(run, &Device::flex())?;
        let outputs = pipeline.description.model.outputs.iter();
        let models = outputs.filter_map(|(name, output)| match (&output.task, &output.fitted) {
            (TaskConfig::LanguageModel(task), Fitted::Vocabulary(vocabulary)) => Some((name, task, *vocabulary)),
            _ => None,
        });
        let models: Vec<_> = models.collect();
        let [(name, task, vocabulary)] = models[..] else {
            return Err(TrainError::Recipe(format!(
                "pretrained: {}: expected a run with one output of the task `language_model`, found {}",
                run.path().display(),
                models.len()
            )));
        };
        let (task, output) = (task.clone(), name.clone());
        let texts = pipeline.writers()[&output].processor.clone();
        Ok(Self {
            decoder: task.decoder,
            vocabulary,
            context: task.context,
            tokens: task.tokens,
            weights: Weights::Run {
                run: run.clone(),
                pipeline: Box::new(pipeline),
                output,
                texts,
            },
        })
    }

    /// What the recipe leaves open of an output that writes by this model, behind a source.
    pub fn settle_writer(&self, task: &mut GenerateConfig) -> Result<(), Wrong> {
        if task.reads.is_default() {
            let message = "expected { kind = \"prefix\" }, because a language model has no attention to a source";
            return Err(("reads", message.into()));
        }
        if task.language.is_some() {
            return Err(("language", "expected none, because this is no decoder of speech".into()));
        }
        let own = match task.freeze {
            true => self.decoder.clone().without_dropout(),
            false => self.decoder.clone(),
        };
        settle_network(&mut task.decoder, &own)?;
        // As much room for the source as for a text, and for its prompt.
        let parts = if task.prompt.is_some() { 3 } else { 2 };
        let share = (self.context / parts).max(1);
        if task.text.max_length == TextConfig::default().max_length {
            task.text.max_length = task.text.max_length.min(share);
        }
        if task.decoding.max_length == DecodingConfig::default().max_length {
            task.decoding.max_length = task.decoding.max_length.min(share);
        }
        self.settle_texts(&mut task.text)
    }

    /// A text is read as the run reads it, but for its length; for a checkpoint the recipe may say more.
    fn settle_texts(&self, text: &mut TextConfig) -> Result<(), Wrong> {
        let (own, whole) = match &self.weights {
            Weights::Run { texts, .. } => (texts.config(), true),
            Weights::Checkpoint(checkpoint) => (checkpoint.architecture().processor.clone(), false),
        };
        let ProcessorConfig::Text(own) = own else {
            return Ok(());
        };
        if !whole {
            return settle_texts(text, &own);
        }
        let with = |config: TextConfig| TextConfig {
            max_length: text.max_length,
            ..config
        };
        let own = with(own);
        if *text != with(TextConfig::default()) && *text != own {
            let message = "expected neither a tokenizer nor other settings of texts, which are read as in that run";
            return Err(("tokenizer", message.into()));
        }
        *text = own;
        Ok(())
    }

    /// What reads texts as settled `config` says.
    pub fn processor(&self, config: &TextConfig) -> Result<Processor> {
        match &self.weights {
            Weights::Run { texts, .. } => Ok(texts.of_length(config.max_length)?),
            Weights::Checkpoint(checkpoint) => Ok(checkpoint.texts(config)?),
        }
    }

    /// A settled task with the tokens of this model, and what reads and writes its texts where they are not those of an input.
    pub fn fitted(self, task: TaskConfig) -> Result<(TaskConfig, Option<Processor>)> {
        let vocabulary = Some(self.vocabulary);
        match task {
            TaskConfig::Generate(task) => {
                let texts = self.processor(&task.text)?;
                let task = GenerateConfig { vocabulary, ..task };
                Ok((TaskConfig::Generate(task), Some(texts)))
            }
            TaskConfig::LanguageModel(task) => {
                let task = LanguageModelConfig {
                    vocabulary,
                    tokens: self.tokens,
                    ..task
                };
                Ok((TaskConfig::LanguageModel(task), None))
            }
            other => unreachable!("a {other:?} has no decoder"),
        }
    }

    /// Whether its tokenizer is one that no file beside the run's own names.
    pub fn is_run(&self) -> bool {
        matches!(self.weights, Weights::Run { .. })
    }

    /// The same model with these weights in the decoder of `output`. Those of a checkpoint are read as other parts of one are.
    pub fn fill(&self, output: &str, model: Model) -> Result<Model> {
        let Weights::Run {
            run,
            pipeline,
            output: own,
            ..
        } = &self.weights
        else {
            return Ok(model);
        };
        let (own, decoder) = (format!("outputs.{own}.decoder."), format!("outputs.{output}.decoder."));
        let mut tensors = to_host(&model);
        for (path, tensor) in to_host(pipeline.model()) {
            if let Some(rest) = path.strip_prefix(&own) {
                tensors.insert(format!("{decoder}{rest}"), tensor);
            }
        }
        Ok(from_host(model, tensors, &run.weights())?)
    }
}

/// What the recipe leaves open of a language model that goes on from `found`, and of the text that it reads.
pub(super) fn settle_model(
    task: &mut LanguageModelConfig,
    text: Option<&mut TextConfig>,
    found: Option<Language>,
) -> Result<(), Wrong> {
    let Some(language) = found else {
        return Err(("pretrained", "expected a language model, such as GPT-2 or Llama".into()));
    };
    let Some(text) = text else {
        return Err(("from", "expected from = \"inputs.NAME\" of a text".into()));
    };
    settle_network(&mut task.decoder, &language.decoder)?;
    let default = LanguageModelConfig::default().context;
    if task.context == default {
        task.context = language.context.min(default);
    }
    if task.decoding.max_length == DecodingConfig::default().max_length {
        task.decoding.max_length = task.decoding.max_length.min((task.context / 2).max(1));
    }
    language.settle_texts(text)
}
