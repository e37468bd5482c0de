//! A checkpoint as a pipeline of its own.

use super::language::opened;
use super::prompted::{MOST_PICTURES, PROMPT, VIDEO};
use super::{Architecture, Checkpoint, Head, Kept, LanguageHead, Target, smolvlm};
use crate::config::{ModelConfig, OutputConfig};
use crate::decoder::Vocabulary;
use crate::encoder::EncoderConfig;
use crate::error::{ModelError, Result};
use crate::fusion::{FusionConfig, JoinConfig};
use crate::model::Model;
use crate::pipeline::Pipeline;
use crate::run_directory::{Description, RunDirectory, TextDescription};
use crate::source::Source;
use crate::tasks::{AlignConfig, EmbedConfig, Fitted, GenerateConfig, TaskConfig};
use crate::writer::Writer;
use burn::tensor::Device;
use sensorium_data::processors::{Feature, ImageConfig, TextConfig, VideoConfig};
use sensorium_data::{Dataset, InputColumn, OutputColumn, Processor, ProcessorConfig, Takes, TextColumn, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What an imported encoder answers.
const EMBEDDING: &str = "embedding";
/// What a head of labels answers.
const LABEL: &str = "label";
/// Where its layers lie.
const LABELS: &str = "outputs.label.head.";
/// What two encoders answer that are compared in one space.
const SIMILARITY: &str = "similarity";
/// Where their projections lie.
const SPACE: &str = "outputs.similarity.";
/// What a decoder answers.
const TEXT: &str = "text";
/// Where it lies.
const DECODER: &str = "outputs.text.";
/// Where what joins it with another encoder lies.
const FUSION: &str = "fusion.";
/// What a decoder answers that is asked about a picture.
const ANSWER: &str = "answer";
/// Where it lies.
const ANSWERER: &str = "outputs.answer.";
/// What a language model answers.
const CONTINUATION: &str = "continuation";
/// Where it lies.
const LANGUAGE_MODEL: &str = "outputs.continuation.";

/// A checkpoint as a pipeline, and what it leaves out.
pub struct Imported {
    pub pipeline: Pipeline,
    /// The names of the tensors of heads that are not read.
    pub left_out: Vec<String>,
    /// What lets the run be exported again; none of a layout that is not Hugging Face's.
    kept: Option<Kept>,
}

impl Imported {
    /// Writes the run.
    ///
    /// # Errors
    /// For a folder that cannot be written to.
    pub fn save(&self, run: &RunDirectory) -> Result<()> {
        if let Some(kept) = &self.kept {
            kept.save(run)?;
        }
        self.pipeline.save(run)
    }
}

impl Checkpoint {
    /// The encoders with the checkpoint's weights and processors. One answers a medium with its embedding, and with a label
    /// where the head is known; or with a text, where a decoder reads it, about which a prompt may ask; two with how alike their
    /// media are, or with a text about both. A head of letters answers a sound with a text. A language model answers a text with what it goes on with. `name` is the run's.
    /// Inputs are called by their modality, as are their columns.
    ///
    /// # Errors
    /// For a tokenizer or tensors that are missing or damaged, or do not fit the configuration.
    pub fn import(&self, name: &str, device: &Device) -> Result<Imported> {
        let encoders = self.architecture().encoders();
        let inputs = encoders.iter().map(|encoder| encoder.input());
        let mut inputs = inputs.collect::<Result<Vec<InputColumn>>>()?;
        inputs.extend(self.prompt()?);
        inputs.extend(self.video()?);
        let texts = match &self.architecture().head {
            Head::Text(head) => Some(self.texts(&head.generate.text)?),
            Head::Answer(head) => Some(self.texts(&TextConfig {
                placeholder: None,
                template: None,
                video: None,
                ..head.generate.text.clone()
            })?),
            Head::Continuation(_) => Some(inputs[0].processor.clone()),
            Head::Transcript(head) => Some(Processor::letters(&head.task.text, &head.letters(self.folder())?)?),
            Head::Nothing | Head::Labels(_) | Head::Aligned(_) | Head::Joined(_) => None,
        };
        let texts = texts.map(|processor| TextColumn {
            column: self.architecture().column().into(),
            takes: self.architecture().head.takes(),
            processor,
        });
        let head = self.head(&inputs)?;
        let description = self.describe(name, &inputs, texts.as_ref(), &head);
        let shapes = inputs.iter().map(|input| (input.name.clone(), input.processor.shape()));
        let model = Model::blank(&description.model, &shapes.collect(), device)?;
        let (model, left_out) = self.fill_all(model, &inputs)?;
        let kept = self.kept(description.parts())?;
        let written = || head.written().to_string();
        let writer = |texts: &TextColumn| (written(), Writer::new(texts.processor.clone(), None));
        let writers = texts.iter().map(writer).collect();
        let outputs = texts.map(|texts| OutputColumn {
            name: written(),
            column: None,
            texts: Some(texts),
        });
        let outputs = outputs.into_iter().collect();
        let nothing = Dataset::new(Vec::new(), PathBuf::new(), inputs, outputs);
        Ok(Imported {
            pipeline: Pipeline::new(description, model, &nothing, writers),
            left_out,
            kept,
        })
    }

    /// The input that asks about the encoded one, where the head is asked.
    ///
    /// # Errors
    /// For a tokenizer that is damaged, or has another token in the place of the medium than the configuration.
    fn prompt(&self) -> Result<Option<InputColumn>> {
        let Head::Answer(head) = &self.architecture().head else {
            return Ok(None);
        };
        let processor = self.texts(&head.generate.text)?;
        let place = head.generate.asking.as_ref().map(|asking| asking.place);
        let Feature::Text(tokens) = processor.prepare(&Value::Text("a".into()), Path::new(""))? else {
            return Ok(None);
        };
        if !place.is_some_and(|place| tokens.contains(&place)) {
            let (name, medium) = match self.architecture().processor {
                ProcessorConfig::Audio(_) => (head.place_name, "sound"),
                _ => (head.place_name, "picture"),
            };
            let message = format!("{name}: expected the token of the {medium} in tokenizer.json, found {place:?}");
            return Err(ModelError::file(self.folder(), message));
        }
        Ok(Some(InputColumn {
            name: PROMPT.into(),
            column: PROMPT.into(),
            processor,
        }))
    }

    /// The video that it may ask about too.
    fn video(&self) -> Result<Option<InputColumn>> {
        let Head::Answer(head) = &self.architecture().head else {
            return Ok(None);
        };
        let input = |video: &VideoConfig| {
            Ok(InputColumn {
                name: VIDEO.into(),
                column: VIDEO.into(),
                processor: Processor::fit(&ProcessorConfig::Video(video.clone()), &[])?,
            })
        };
        head.video.as_ref().map(input).transpose()
    }

    /// The head of a language model, with what its tokenizer sets around texts; none of other models.
    ///
    /// # Errors
    /// For a tokenizer that is missing or damaged, or does not fit the configuration.
    pub fn language(&self) -> Result<Option<LanguageHead>> {
        let Head::Continuation(head) = &self.architecture().head else {
            return Ok(None);
        };
        let texts = Processor::fit(&self.architecture().processor, &[])?;
        opened(head, &texts, self.folder()).map(Some)
    }

    /// The head, with what the tokenizer of its texts sets around them, or around pictures.
    fn head(&self, inputs: &[InputColumn]) -> Result<Head> {
        match &self.architecture().head {
            Head::Continuation(head) => {
                let head = opened(head, &inputs[0].processor, self.folder())?;
                Ok(Head::Continuation(Box::new(head)))
            }
            Head::Answer(head) => {
                let (picture, texts) = (&inputs[0].processor, &inputs[1].processor);
                let marks = head
                    .is_marked
                    .then(|| smolvlm::marks(&picture.config(), texts))
                    .transpose();
                let mut head = head.clone();
                if let Some(asking) = &mut head.generate.asking {
                    asking.marks = marks.map_err(|message| ModelError::file(self.folder(), message))?;
                    asking.frame = head.video.as_ref().and_then(|_| texts.frame_token());
                }
                Ok(Head::Answer(head))
            }
            head => Ok(head.clone()),
        }
    }

    /// The same model with the weights of all encoders and of what reads them, and the names of the tensors that are left out.
    fn fill_all(&self, mut model: Model, inputs: &[InputColumn]) -> Result<(Model, Vec<String>)> {
        let mut left_out = Vec::new();
        for (encoder, input) in self.architecture().encoders().into_iter().zip(inputs) {
            let target = Target {
                encoder: Some(&format!("inputs.{}.", input.name)),
                head: encoder.head.path(),
                fresh: None,
            };
            let (filled, more) = self.clone().of(input.processor.modality()).fill(model, target)?;
            model = filled;
            left_out.extend(more);
        }
        Ok((model, left_out))
    }

    fn describe(&self, name: &str, inputs: &[InputColumn], texts: Option<&TextColumn>, head: &Head) -> Description {
        let encoders = self.architecture().encoders().into_iter().map(|encoder| EncoderConfig {
            stem: encoder.stem.clone(),
            trunk: encoder.trunk.clone(),
            encoder: None,
            shares: None,
        });
        // What asks is read as it stands, and a video by the encoder of pictures.
        let mut encoders: Vec<EncoderConfig> = encoders.collect();
        let more = inputs.iter().skip(encoders.len()).map(|input| EncoderConfig {
            shares: (input.name == VIDEO).then(|| inputs[0].name.clone()),
            ..EncoderConfig::default()
        });
        encoders.extend(more);
        let names = inputs.iter().map(|input| input.name.clone());
        let columns = inputs.iter().map(|input| (input.name.clone(), input.column.clone()));
        let processors = inputs.iter().map(|input| (input.name.clone(), input.processor.hash()));
        let texts = texts.map(|texts| {
            let description = TextDescription {
                column: texts.column.clone(),
                takes: texts.takes,
                processor: texts.processor.hash(),
            };
            (head.written().to_string(), description)
        });
        Description {
            name: name.into(),
            model: ModelConfig {
                inputs: names.zip(encoders).collect(),
                fusion: self.architecture().fusion(),
                outputs: head.outputs(&inputs[0].name),
            },
            inputs: columns.collect(),
            outputs: BTreeMap::new(),
            processors: processors.collect(),
            texts: texts.into_iter().collect(),
            turns: inputs
                .iter()
                .filter(|input| input.processor.asks())
                .map(|input| input.name.clone())
                .collect(),
        }
    }
}

impl Architecture {
    /// What joins its encoders, where anything does.
    fn fusion(&self) -> JoinConfig {
        let joined = self.encoders().into_iter().find_map(|encoder| match &encoder.head {
            Head::Joined(fusion) => Some(FusionConfig::Grounded(fusion.as_ref().clone())),
            _ => None,
        });
        JoinConfig {
            inputs: None,
            kind: joined.unwrap_or_default(),
        }
    }

    /// The column of what is written, or gone on with; an answer to a text has its own.
    fn column(&self) -> &'static str {
        let reads = |encoder: &Self| matches!(encoder.processor, ProcessorConfig::Text(_));
        match &self.head {
            Head::Answer(_) => ANSWER,
            Head::Text(_) if self.encoders().into_iter().any(reads) => ANSWER,
            _ => TEXT,
        }
    }

    /// What it reads.
    fn input(&self) -> Result<InputColumn> {
        let processor = match (&self.processor, &self.head) {
            // A prompt says where each of them stands.
            (ProcessorConfig::Image(image), Head::Answer(_)) => ProcessorConfig::Image(ImageConfig {
                list: Some(MOST_PICTURES),
                ..image.clone()
            }),
            (processor, _) => processor.clone(),
        };
        let processor = Processor::fit(&processor, &[])?;
        Ok(InputColumn {
            name: processor.modality().to_string(),
            column: processor.modality().to_string(),
            processor,
        })
    }
}

impl Head {
    /// What the paths of its parameters begin with.
    pub(super) fn path(&self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Labels(_) => Some(LABELS),
            Self::Text(_) | Self::Transcript(_) => Some(DECODER),
            Self::Joined(_) => Some(FUSION),
            Self::Answer(_) => Some(ANSWERER),
            Self::Aligned(_) => Some(SPACE),
            Self::Continuation(_) => Some(LANGUAGE_MODEL),
        }
    }

    /// The output whose texts are read as tokens.
    fn written(&self) -> &'static str {
        match self {
            Self::Continuation(_) => CONTINUATION,
            Self::Answer(_) => ANSWER,
            _ => TEXT,
        }
    }

    /// Which texts of a row it reads.
    fn takes(&self) -> Takes {
        match self {
            Self::Continuation(_) => Takes::Whole,
            _ => Takes::One,
        }
    }

    /// What it reads of `input`: the fusion where there is another one too.
    fn source(&self, input: &str) -> Source {
        match self {
            Self::Text(head) if head.question.is_some() => Source::Fusion,
            _ => Source::Input(input.into()),
        }
    }

    /// What it answers of `input`.
    fn outputs(&self, input: &str) -> BTreeMap<String, OutputConfig> {
        let output = |name: &str, task, fitted| {
            let output = OutputConfig {
                task,
                from: self.source(input),
                fitted,
            };
            (name.to_string(), output)
        };
        let embedding = || {
            let embed = EmbedConfig { inputs: [input.into()] };
            output(EMBEDDING, TaskConfig::Embed(embed), Fitted::Nothing)
        };
        let generated = |generate: &GenerateConfig, vocabulary: Vocabulary| {
            let task = TaskConfig::Generate(generate.clone());
            output(self.written(), task, Fitted::Vocabulary(vocabulary))
        };
        match self {
            Self::Nothing | Self::Joined(_) => BTreeMap::from([embedding()]),
            Self::Labels(head) => {
                let label = output(LABEL, head.task(), Fitted::Labels(head.sorted()));
                BTreeMap::from([embedding(), label])
            }
            Self::Aligned(head) => {
                let align = AlignConfig {
                    inputs: Some(vec![input.into(), head.other.processor.modality().to_string()]),
                    width: head.width,
                    loss: head.loss,
                };
                BTreeMap::from([output(SIMILARITY, TaskConfig::Align(align), Fitted::Nothing)])
            }
            Self::Text(head) => BTreeMap::from([generated(&head.generate, head.vocabulary)]),
            Self::Answer(head) => BTreeMap::from([generated(&head.generate, head.vocabulary)]),
            Self::Transcript(head) => {
                // The vocabulary has no tokens of its own around a text: nothing is written token by token.
                let vocabulary = Vocabulary {
                    size: head.classes - 1,
                    begin: 0,
                    end: 0,
                };
                let task = TaskConfig::Transcribe(head.task.clone());
                BTreeMap::from([output(TEXT, task, Fitted::Vocabulary(vocabulary))])
            }
            Self::Continuation(head) => {
                let task = TaskConfig::LanguageModel(head.task.clone());
                BTreeMap::from([output(CONTINUATION, task, Fitted::Vocabulary(head.vocabulary))])
            }
        }
    }
}
