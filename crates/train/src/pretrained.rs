//! Encoders and decoders that were trained before: what their checkpoints settle in a recipe, and their weights in a fresh model.

mod held;
mod language;

use crate::error::{Result, TrainError};
use crate::recipe::{InputConfig, Recipe};
pub(crate) use held::{blank, hold, whole};
use language::Language;
use sensorium_data::catalogue::{Progress, weights};
use sensorium_data::processors::{AudioConfig, AudioFeatures, ImageConfig, Resize, TextConfig};
use sensorium_data::{Home, Modality, Processor, ProcessorConfig};
use sensorium_model::architectures::{Architecture, Checkpoint, Head, Target};
use sensorium_model::decoder::{DecoderConfig, ReadsConfig};
use sensorium_model::decoding::search::DecodingConfig;
use sensorium_model::depth::Freeze;
use sensorium_model::tasks::{GenerateConfig, TaskConfig};
use sensorium_model::{Model, PretrainedConfig, RunDirectory, Source, freeze_parameters};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is held in few bits cannot be trained.
const HELD: &str =
    "expected it beside weights that stay as they are; add `lora`, or `freeze` where there is one, or leave it out";

/// Fills in the stem, the trunk and the tokenizer of every input whose encoder is read from a checkpoint, and the decoder and
/// the tokenizer of every output whose decoder is read from one or from a run; `folder` is the recipe's own. A checkpoint of the catalogue that is not on
/// disk is fetched.
///
/// # Errors
/// For a checkpoint that cannot be read, and for what the recipe says otherwise.
pub(crate) fn settle(
    recipe: &mut Recipe,
    folder: &Path,
    home: &Home,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    for (name, input) in &mut recipe.inputs {
        let Some(encoder) = &mut input.encoder.encoder else {
            continue;
        };
        check_trained(name, encoder)?;
        let path = locate(&encoder.pretrained, folder, home, progress)?;
        let checkpoint = Checkpoint::open(&path)?.of(input.processor.modality());
        encoder.pretrained = path.display().to_string();
        settle_input(input, checkpoint.architecture())
            .map_err(|wrong| settled(&format!("inputs.{name}"), wrong, &path))?;
    }
    let Recipe { inputs, outputs, .. } = recipe;
    for (name, output) in outputs {
        check_said(name, &output.task)?;
        let Some(pretrained) = named(&mut output.task) else {
            continue;
        };
        let path = locate(pretrained, folder, home, progress)?;
        *pretrained = path.display().to_string();
        let result = match (&mut output.task, Language::open(&path)?) {
            (TaskConfig::Generate(task), None) => settle_decoder(task, Checkpoint::open(&path)?.architecture()),
            (TaskConfig::Generate(task), Some(language)) => language.settle_writer(task),
            (TaskConfig::LanguageModel(task), found) => {
                let text = match &output.from {
                    Some(from) => text_of(inputs, from),
                    None => None,
                };
                language::settle_model(task, text, found)
            }
            _ => Ok(()),
        };
        result.map_err(|wrong| settled(&format!("outputs.{name}"), wrong, &path))?;
    }
    Ok(())
}

/// What stays as it is has neither adapters nor a learning rate.
fn check_trained(input: &str, encoder: &PretrainedConfig) -> Result<()> {
    let other = match (encoder.freeze, &encoder.lora, encoder.layer_decay) {
        (Freeze::Whole(false), ..) => None,
        (_, Some(_), _) => Some("lora"),
        (Freeze::Whole(true), None, Some(_)) => Some("layer_decay"),
        (_, None, _) => None,
    };
    if let Some(other) = other {
        return Err(TrainError::Recipe(format!(
            "inputs.{input}.encoder: expected either `freeze` or `{other}`, found both; leave one out"
        )));
    }
    let kept = encoder.freeze == Freeze::Whole(true) || encoder.lora.is_some();
    match encoder.precision.is_some() && !kept {
        true => Err(TrainError::Recipe(format!("inputs.{input}.encoder.precision: {HELD}"))),
        false => Ok(()),
    }
}

/// Where the decoder of a task was trained before.
fn named(task: &mut TaskConfig) -> Option<&mut String> {
    match task {
        TaskConfig::Generate(task) => task.pretrained.as_mut(),
        TaskConfig::LanguageModel(task) => task.pretrained.as_mut(),
        _ => None,
    }
}

/// As [`named`], to be read.
fn pretrained(task: &TaskConfig) -> Option<&String> {
    match task {
        TaskConfig::Generate(task) => task.pretrained.as_ref(),
        TaskConfig::LanguageModel(task) => task.pretrained.as_ref(),
        _ => None,
    }
}

/// Whether there is a run directory, and not a checkpoint.
fn is_run(path: &str) -> bool {
    RunDirectory::new(path).description().exists()
}

/// How the text that a language model reads is read.
fn text_of<'a>(inputs: &'a mut BTreeMap<String, InputConfig>, from: &Source) -> Option<&'a mut TextConfig> {
    let Source::Input(name) = from else {
        return None;
    };
    match &mut inputs.get_mut(name)?.processor {
        ProcessorConfig::Text(text) => Some(text),
        _ => None,
    }
}

/// A key of a part of the recipe, and what is wrong with it.
type Wrong = (&'static str, String);

fn settled(part: &str, (key, message): Wrong, checkpoint: &Path) -> TrainError {
    TrainError::Recipe(format!(
        "{part}.{key}: {message}; the checkpoint {} settles it",
        checkpoint.display()
    ))
}

/// What is said of a decoder that was trained before has no meaning for another one.
fn check_said(output: &str, task: &TaskConfig) -> Result<()> {
    let wrong = |key: &str, message: &str| Err(TrainError::Recipe(format!("outputs.{output}.{key}: {message}")));
    let (pretrained, said) = match task {
        TaskConfig::Generate(task) => {
            if task.freeze && task.lora.is_some() {
                return wrong(
                    "freeze",
                    "expected either `freeze` or `lora`, found both; leave one out",
                );
            }
            if task.precision.is_some() && !task.freeze && task.lora.is_none() {
                return wrong("precision", HELD);
            }
            let said = [
                ("language", task.language.is_some()),
                ("lora", task.lora.is_some()),
                ("freeze", task.freeze),
            ];
            (&task.pretrained, said.to_vec())
        }
        TaskConfig::LanguageModel(task) => {
            if task.precision.is_some() && task.lora.is_none() {
                return wrong("precision", HELD);
            }
            (&task.pretrained, vec![("lora", task.lora.is_some())])
        }
        _ => return Ok(()),
    };
    match said.iter().find(|(_, said)| *said) {
        Some((key, _)) if pretrained.is_none() => wrong(
            key,
            "expected it beside `pretrained`, which names the checkpoint of the decoder; leave it out",
        ),
        _ => Ok(()),
    }
}

/// The folder of a checkpoint: one in `folder`, or else one of the catalogue, which is fetched where it is not on disk.
///
/// # Errors
/// For a checkpoint of the catalogue that cannot be had.
pub fn locate(source: &str, folder: &Path, home: &Home, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    let path = folder.join(source);
    match weights::find(source).filter(|_| !path.exists()) {
        Some(entry) => Ok(weights::fetch(entry, home, progress)?),
        None => Ok(path),
    }
}

fn settle_input(input: &mut InputConfig, architecture: &Architecture) -> Result<(), Wrong> {
    if let Head::Joined(_) = architecture.head {
        let message = "expected an encoder that reads one input alone, found one that attends to pictures";
        return Err(("encoder", message.into()));
    }
    let (Some(stem), Some(trunk)) = (&architecture.stem, &architecture.trunk) else {
        return Err((
            "encoder",
            "expected a checkpoint with an encoder, found a language model".into(),
        ));
    };
    settle_value(&mut input.encoder.stem, stem).map_err(|message| ("stem", message))?;
    settle_value(&mut input.encoder.trunk, trunk).map_err(|message| ("trunk", message))?;
    match (&mut input.processor, &architecture.processor) {
        (ProcessorConfig::Text(text), ProcessorConfig::Text(own)) => settle_texts(text, own),
        (ProcessorConfig::Image(image), ProcessorConfig::Image(own)) => settle_images(image, own),
        (ProcessorConfig::Audio(audio), ProcessorConfig::Audio(own)) => settle_sounds(audio, own),
        (_, own) => Err((
            "modality",
            format!("expected `{}`, which the encoder reads", own.modality()),
        )),
    }
}

/// A recipe may write shorter texts, and says which language it writes.
fn settle_decoder(task: &mut GenerateConfig, architecture: &Architecture) -> Result<(), Wrong> {
    let Head::Text(head) = &architecture.head else {
        return Err((
            "pretrained",
            "expected a checkpoint with a decoder, such as Whisper's or BLIP's".into(),
        ));
    };
    let generate = &head.generate;
    if let ReadsConfig::Prefix(_) = task.reads {
        let message = "expected `cross_attention`, which this decoder was trained with, found `prefix`";
        return Err(("reads", message.into()));
    }
    settle_network(&mut task.decoder, &generate.decoder)?;
    settle_texts(&mut task.text, &generate.text)?;
    task.text.leading_space = generate.text.leading_space;
    if task.decoding.max_length == DecodingConfig::default().max_length {
        task.decoding.max_length = generate.decoding.max_length;
    }
    let Some(speech) = &generate.speech else {
        return Ok(());
    };
    match &task.language {
        Some(code) => speech
            .language(code)
            .map(|_| ())
            .map_err(|error| ("language", error.to_string())),
        None if speech.languages.is_empty() => Ok(()),
        None => Err((
            "language",
            format!(
                "expected the language that is spoken, one of {}",
                speech.codes().join(", ")
            ),
        )),
    }
}

/// A decoder that was trained before takes the place of what a recipe says of none.
fn settle_network(decoder: &mut DecoderConfig, own: &DecoderConfig) -> Result<(), Wrong> {
    if *decoder != DecoderConfig::default() && decoder != own {
        return Err(("decoder", "expected none beside one that was trained before".into()));
    }
    *decoder = own.clone();
    Ok(())
}

/// A task whose decoder a settled recipe takes from a checkpoint or a run: with the tokens that it is told by, and what reads
/// and writes its texts where they are not those of an input.
pub(crate) fn decoder(task: &TaskConfig) -> Result<Option<(TaskConfig, Option<Processor>)>> {
    let mut task = task.clone();
    let Some(path) = named(&mut task).cloned() else {
        return Ok(None);
    };
    if let Some(language) = Language::open(Path::new(&path))? {
        return language.fitted(task).map(Some);
    }
    let TaskConfig::Generate(task) = task else {
        return Ok(None);
    };
    let checkpoint = Checkpoint::open(Path::new(&path))?;
    let Head::Text(head) = &checkpoint.architecture().head else {
        return Ok(None);
    };
    let texts = checkpoint.texts(&task.text)?;
    let task = GenerateConfig {
        speech: head.generate.speech.clone(),
        vocabulary: Some(head.vocabulary),
        ..task
    };
    Ok(Some((TaskConfig::Generate(task), Some(texts))))
}

/// What reads the text `input`, where a language model of a run goes on with it or is prompted by it: no file of its own holds
/// its tokenizer.
pub(crate) fn texts(recipe: &Recipe, input: &str) -> Result<Option<Processor>> {
    let source = Source::Input(input.into());
    let ProcessorConfig::Text(config) = &recipe.inputs[input].processor else {
        return Ok(None);
    };
    for output in recipe.outputs.values() {
        let path = match &output.task {
            TaskConfig::LanguageModel(task) if output.from.as_ref() == Some(&source) => &task.pretrained,
            TaskConfig::Generate(task) if task.prompt.as_deref() == Some(input) => &task.pretrained,
            _ => continue,
        };
        let Some(path) = path else {
            continue;
        };
        if let Some(language) = Language::open(Path::new(path))?.filter(Language::is_run) {
            return language.processor(config).map(Some);
        }
    }
    Ok(None)
}

/// A recipe may choose another size, and how pictures are brought to it; not what their colours become. Where the checkpoint
/// reads tiles beside the whole picture, an encoder reads this alone.
fn settle_images(image: &mut ImageConfig, own: &ImageConfig) -> Result<(), Wrong> {
    let default = ImageConfig::default();
    if image.size == default.size {
        image.size = own.size;
    }
    let normal = |config: &ImageConfig| (config.mean, config.deviation);
    if normal(image) != normal(&default) && normal(image) != normal(own) {
        return Err(("mean", "expected neither a mean nor a deviation".into()));
    }
    (image.mean, image.deviation) = normal(own);
    if image.resize == default.resize && image.size == own.size {
        image.resize = match own.resize {
            Resize::Tiles(side) => Resize::Longest(side),
            resize => resize,
        };
    }
    if image.patches.is_some() && image.patches != own.patches {
        return Err(("patches", "expected none".into()));
    }
    image.patches = own.patches;
    if image.interpolation == default.interpolation {
        image.interpolation = own.interpolation;
    }
    Ok(())
}

/// A recipe may cut sounds shorter, and then no silence is added to them; not choose another spectrum.
fn settle_sounds(audio: &mut AudioConfig, own: &AudioConfig) -> Result<(), Wrong> {
    let default = AudioConfig::default();
    if audio.features != default.features && audio.features != own.features {
        return Err(("features", "expected none".into()));
    }
    if audio.sample_rate != own.sample_rate {
        let message = format!(
            "expected {} samples a second, found {}",
            own.sample_rate, audio.sample_rate
        );
        return Err(("sample_rate", message));
    }
    if audio.max_seconds == default.max_seconds {
        audio.max_seconds = own.max_seconds;
    }
    if audio.max_seconds > own.max_seconds {
        let message = format!(
            "expected at most {} seconds, found {}",
            own.max_seconds, audio.max_seconds
        );
        return Err(("max_seconds", message));
    }
    audio.min_seconds = audio.min_seconds.max(own.min_seconds);
    audio.features = own.features.clone();
    let is_shorter = audio.max_seconds < own.max_seconds;
    match &mut audio.features {
        AudioFeatures::LogMel(features) if is_shorter && features.heard_behind == 0 => features.pad_to_seconds = None,
        _ => {}
    }
    Ok(())
}

fn settle_texts(text: &mut TextConfig, own: &TextConfig) -> Result<(), Wrong> {
    let default = TextConfig::default();
    if text.tokenizer == default.tokenizer {
        text.tokenizer = own.tokenizer.clone();
    } else if text.tokenizer != own.tokenizer {
        return Err(("tokenizer", "expected none".into()));
    }
    if text.max_length == default.max_length {
        text.max_length = own.max_length.min(default.max_length);
    }
    if text.max_length > own.max_length {
        let message = format!("expected at most {} tokens, found {}", own.max_length, text.max_length);
        return Err(("max_length", message));
    }
    text.lowercase = text.lowercase.or(own.lowercase);
    text.collapse_whitespace = text.collapse_whitespace.or(own.collapse_whitespace);
    text.strip_punctuation |= own.strip_punctuation;
    Ok(())
}

fn settle_value<T: Clone + PartialEq>(value: &mut Option<T>, settled: &T) -> Result<(), String> {
    match value.replace(settled.clone()) {
        Some(other) if other != *settled => Err("expected none beside an encoder that was trained before".into()),
        _ => Ok(()),
    }
}

/// A part of a model whose weights are read from a checkpoint.
struct Part<'a> {
    /// `inputs.NAME` or `outputs.NAME`.
    name: String,
    folder: &'a Path,
    /// Of an input.
    modality: Option<Modality>,
}

impl Part<'_> {
    fn checkpoint(&self) -> Result<Checkpoint> {
        let checkpoint = Checkpoint::open(self.folder)?;
        Ok(match self.modality {
            Some(modality) => checkpoint.of(modality),
            None => checkpoint,
        })
    }

    /// Does something with the checkpoint and where it goes in the model.
    fn at<T>(&self, what: impl FnOnce(&Checkpoint, Target) -> Result<T>) -> Result<T> {
        let path = format!("{}.", self.name);
        let target = Target {
            encoder: self.modality.is_some().then_some(path.as_str()),
            head: self.modality.is_none().then_some(path.as_str()),
            fresh: Some(&format!("{path}decoder.projector.")),
        };
        what(&self.checkpoint()?, target)
    }
}

/// The parts of a settled recipe that are read from checkpoints.
fn parts(recipe: &Recipe) -> Vec<Part<'_>> {
    let inputs = recipe.inputs.iter().filter_map(|(name, input)| {
        let encoder = input.encoder.encoder.as_ref()?;
        Some(Part {
            name: format!("inputs.{name}"),
            folder: Path::new(&encoder.pretrained),
            modality: Some(input.processor.modality()),
        })
    });
    let outputs = recipe.outputs.iter().filter_map(|(name, output)| {
        let pretrained = pretrained(&output.task).filter(|path| !is_run(path))?;
        Some(Part {
            name: format!("outputs.{name}"),
            folder: Path::new(pretrained),
            modality: None,
        })
    });
    inputs.chain(outputs).collect()
}

/// The same model with the weights of the checkpoints that the recipe names.
pub(crate) fn fill(recipe: &Recipe, mut model: Model) -> Result<Model> {
    for part in parts(recipe) {
        (model, _) = part.at(|checkpoint, target| Ok(checkpoint.fill(model, target)?))?;
    }
    for (name, output) in &recipe.outputs {
        let run = pretrained(&output.task).filter(|path| is_run(path));
        if let Some(language) = run.map(|path| Language::open(Path::new(path))).transpose()? {
            model = language.expect("a run that opens has one").fill(name, model)?;
        }
    }
    Ok(model)
}

/// The same model, in which no parameter is trained that the original does not have, such as a bias that is zero there: what is
/// trained on a checkpoint remains one of its architecture.
pub(crate) fn freeze(recipe: &Recipe, mut model: Model) -> Result<Model> {
    for part in parts(recipe) {
        model = part.at(|checkpoint, target| {
            let lacks = |path: &str| checkpoint.lacks(path, target);
            Ok(freeze_parameters(model, lacks))
        })?;
    }
    Ok(model)
}

/// Lets a run keep what its parts can be exported with; a run that goes on has it.
pub(crate) fn keep(recipe: &Recipe, run: &RunDirectory) -> Result<()> {
    for part in parts(recipe) {
        if run.pretrained().join(&part.name).exists() {
            continue;
        }
        if let Some(kept) = part.checkpoint()?.kept(vec![part.name.clone()])? {
            kept.save(run)?;
        }
    }
    Ok(())
}
