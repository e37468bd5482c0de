//! A folder in Hugging Face's layout, or CTranslate2's: a configuration, a tokenizer and tensors in one file or several.

use super::labels::OUTPUT;
use super::{Architecture, Head, Place, Pool, ctranslate2, preprocessor, safetensors, sentences, siglip, t5, torch};
use crate::adapters::is_adapter;
use crate::checkpoint::{HostTensor, HostTensors, insert};
use crate::error::{Mismatch, ModelError, Result};
use crate::parameters::shapes;
use crate::trunks::TrunkConfig;
use burn::module::Module;
use sensorium_data::catalogue::weights;
use sensorium_data::processors::{TextConfig, TokenizerConfig};
use sensorium_data::{Modality, Processor, ProcessorConfig, files};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const CONFIGURATION: &str = "config.json";
/// What it says goes before the configuration.
const GENERATION: &str = "generation_config.json";
const TOKENIZER: &str = "tokenizer.json";
/// Each may be cut into several files, which an index beside them names.
const TENSORS: [&str; 3] = ["model.safetensors", "pytorch_model.bin", ctranslate2::WEIGHTS];

/// A checkpoint whose architecture is known.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    folder: PathBuf,
    architecture: Architecture,
}

/// Where the parts of a checkpoint go in a module: what the paths of their parameters begin with.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// None where the encoder is left out.
    pub encoder: Option<&'a str>,
    /// None where the head is left out.
    pub head: Option<&'a str>,
    /// What the head has beside those of the checkpoint: it is learnt from nothing.
    pub fresh: Option<&'a str>,
}

/// The tensors of a checkpoint.
#[derive(Default)]
struct Sorted {
    /// By the paths of parameters.
    tensors: HostTensors,
    /// What the checkpoint calls them.
    names: BTreeMap<String, String>,
    /// Those that hold several parameters, by their names.
    parts: BTreeMap<String, Parts>,
    /// The names of those that are left out.
    unused: Vec<String>,
    /// The names of those that the architecture does not have.
    unknown: Vec<String>,
}

/// A tensor that holds several parameters.
struct Parts {
    paths: Vec<String>,
    cut: Cut,
}

/// As many parts of a tensor.
type Cut = fn(HostTensor, usize) -> Vec<HostTensor>;

/// Which file holds each tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// # Errors
    /// For a folder without a configuration, and for an architecture that is not known.
    pub fn open(folder: &Path) -> Result<Self> {
        let mut checkpoint = Self::described(folder)?;
        checkpoint.check_size()?;
        if let Some(TrunkConfig::T5(_)) = checkpoint.architecture.trunk {
            let tensors = checkpoint.shapes()?.unwrap_or_default();
            t5::settle(&mut checkpoint.architecture, folder, &tensors)?;
        }
        Ok(checkpoint)
    }

    /// What a folder says, which may lack its tensors.
    pub(super) fn described(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIGURATION);
        let bytes = files::read(&path).map_err(|_| {
            let names = weights::entries().iter().map(|entry| entry.name);
            let message = format!(
                "expected the folder of a checkpoint in the layout of Hugging Face or CTranslate2, or one of {}; found no config.json \
                 in it",
                names.collect::<Vec<_>>().join(", ")
            );
            ModelError::file(folder, message)
        })?;
        let own = parse(&bytes, &path)?;
        let config = match ctranslate2::describes(folder, &own) {
            true => ctranslate2::configuration(folder, &own)?,
            false => with_processors(with_generation(own, &folder.join(GENERATION))?, folder)?,
        };
        let mut checkpoint = Self {
            folder: folder.to_path_buf(),
            architecture: Architecture::read(config, &path)?,
        };
        checkpoint.read_processors()?;
        Ok(checkpoint)
    }

    /// What a configuration says, of a folder that is not looked at.
    pub(super) fn configured(config: serde_json::Value, folder: &Path) -> Result<Self> {
        Ok(Self {
            architecture: Architecture::read(config, folder)?,
            folder: folder.to_path_buf(),
        })
    }

    /// What the folder says of texts, beside the configuration.
    fn read_processors(&mut self) -> Result<()> {
        let (folder, architecture) = (&self.folder, &mut self.architecture);
        let tokenizer = TokenizerConfig::File {
            path: folder.join(TOKENIZER).display().to_string(),
        };
        if let Head::Answer(head) = &mut architecture.head {
            head.generate.text.tokenizer = tokenizer.clone();
        }
        if let Head::Text(head) = &mut architecture.head {
            head.generate.text.tokenizer = tokenizer.clone();
            if let Some(ProcessorConfig::Text(text)) = head.question.as_mut().map(|question| &mut question.processor) {
                text.tokenizer = tokenizer.clone();
            }
        }
        if let Head::Aligned(head) = &mut architecture.head {
            siglip::read_texts(folder, &mut head.other)?;
            if let ProcessorConfig::Text(text) = &mut head.other.processor {
                text.tokenizer = tokenizer.clone();
            }
        }
        if let ProcessorConfig::Text(text) = &mut architecture.processor {
            let longest = sentences::max_length(folder)?.unwrap_or(text.max_length);
            text.max_length = longest.min(text.max_length);
            text.tokenizer = tokenizer;
        }
        if let Some(TrunkConfig::Bert(trunk)) = &mut architecture.trunk {
            let found = sentences::pool(folder)?;
            let labels = matches!(architecture.head, Head::Labels(_));
            if labels && found == Some(Pool::Mean) {
                let message = "expected the first token, which the head of labels reads, found the mean of all";
                return Err(ModelError::file(folder, message));
            }
            trunk.pool = found.unwrap_or(if labels { Pool::First } else { Pool::default() });
        }
        Ok(())
    }

    /// What reads and writes the texts of a decoder: the folder's tokenizer or, of CTranslate2's folders that have none,
    /// their list of tokens.
    ///
    /// # Errors
    /// For a file that is missing or damaged.
    pub fn texts(&self, config: &TextConfig) -> Result<Processor> {
        if self.folder.join(TOKENIZER).exists() || !self.folder.join(ctranslate2::WEIGHTS).exists() {
            return Ok(Processor::fit(&ProcessorConfig::Text(config.clone()), &[])?);
        }
        let tokens = ctranslate2::vocabulary(&self.folder)?;
        Processor::byte_level(config, &tokens).map_err(|error| error.at_path(&self.folder).into())
    }

    /// A configuration that asks for more numbers than the files have room for is refused before memory is asked for.
    fn check_size(&self) -> Result<()> {
        let mut bytes = 0;
        for file in self.files()? {
            let path = self.folder.join(file);
            bytes += std::fs::metadata(&path)
                .map_err(|error| ModelError::io(&error, &path))?
                .len();
        }
        let wanted = self.architecture.parameters;
        match wanted.saturating_mul(2) <= u128::from(bytes) {
            true => Ok(()),
            false => Err(ModelError::file(
                &self.folder,
                format!(
                    "config.json describes {wanted} numbers, and the tensor files hold {bytes} bytes; fetch both again"
                ),
            )),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The checkpoint of the encoder that reads `modality` alone; as it is where there is no such one.
    pub fn of(mut self, modality: Modality) -> Self {
        let encoders = self.architecture.encoders();
        let found = encoders.into_iter().find(|one| one.processor.modality() == modality);
        if let Some(found) = found.cloned() {
            self.architecture = found;
        }
        self
    }

    /// The same module with the checkpoint's weights at the `target`, and the names of the tensors that are left out. The
    /// classes of a head have their order here: labels are sorted.
    ///
    /// # Errors
    /// For files that are cut or forged, and for tensors that are missing, misshapen or not known.
    pub fn fill<M: Module>(&self, module: M, target: Target) -> Result<(M, Vec<String>)> {
        let Sorted {
            mut tensors,
            names,
            unused,
            unknown,
            ..
        } = self.tensors(target)?;
        let mut mismatch = Mismatch {
            unexpected: unknown,
            ..Mismatch::default()
        };
        let shapes = shapes(&module);
        let left_out = |path: &str| {
            let encoder = target.encoder.and_then(|encoder| path.strip_prefix(encoder));
            encoder.is_some_and(|path| self.architecture.leaves_out(path))
        };
        let homeless = names.into_iter().filter(|(path, _)| !shapes.contains_key(path));
        let homeless = homeless.filter(|(path, _)| !left_out(path));
        mismatch.unexpected.extend(homeless.map(|(_, name)| name));
        mismatch.unexpected.dedup();
        for (path, shape) in shapes {
            match tensors.get(&path).map(|tensor| &tensor.shape) {
                None if is_adapter(&path) => {}
                None if target.takes(&path) && (self.architecture.lacks)(&path) => {
                    tensors.insert(path, HostTensor::neutral(shape));
                }
                None if target.takes(&path) => mismatch.missing.push(path),
                Some(found) if !alike(found, &shape) => {
                    mismatch.misshapen.push((path, shape, found.clone()));
                }
                _ => {}
            }
        }
        if !mismatch.is_empty() {
            let path = self.folder.clone();
            return Err(ModelError::Tensors { path, mismatch });
        }
        if let (Some(order), Some(head)) = (self.architecture.head.order(), target.head) {
            let last = format!("{head}{OUTPUT}");
            let last = tensors.iter_mut().filter(|(path, _)| path.starts_with(&last));
            last.for_each(|(_, tensor)| *tensor = tensor.with_rows(&order));
        }
        Ok((insert(module, tensors), unused))
    }

    /// Whether a parameter of what is filled at the `target` is none of the checkpoint's, since it changes nothing there.
    pub fn lacks(&self, path: &str, target: Target) -> bool {
        target.takes(path) && (self.architecture.lacks)(path)
    }

    fn tensors(&self, target: Target) -> Result<Sorted> {
        let mut sorted = Sorted::default();
        for file in self.files()? {
            let path = self.folder.join(&file);
            let place = |name: &str| sorted.place(name, target, (self.architecture.place)(name));
            let found = match path.extension().is_some_and(|extension| extension == "safetensors") {
                true => safetensors::read(&path, place),
                false if file == ctranslate2::WEIGHTS => ctranslate2::read(&path, place),
                false => torch::read(&path, place),
            };
            sorted.tensors.extend(found?);
        }
        sorted.cut();
        sorted.unused.sort();
        sorted.unknown.sort();
        Ok(sorted)
    }

    /// The shape of every tensor by name; none where the layout is not Hugging Face's.
    ///
    /// # Errors
    /// For files that are cut or forged.
    pub(super) fn shapes(&self) -> Result<Option<BTreeMap<String, Vec<usize>>>> {
        let mut shapes = BTreeMap::new();
        for file in self.files()? {
            let path = self.folder.join(&file);
            match path.extension().is_some_and(|extension| extension == "safetensors") {
                true => shapes.extend(safetensors::shapes(&path)?),
                false if file == ctranslate2::WEIGHTS => return Ok(None),
                false => shapes.extend(torch::shapes(&path)?),
            }
        }
        Ok(Some(shapes))
    }

    /// The files that hold the tensors, of which safetensors go before those of PyTorch, and these before CTranslate2's.
    fn files(&self) -> Result<BTreeSet<String>> {
        for name in TENSORS {
            let path = self.folder.join(format!("{name}.index.json"));
            if path.exists() {
                return named(&path);
            }
            if self.folder.join(name).exists() {
                return Ok(BTreeSet::from([name.to_string()]));
            }
        }
        let message = format!("expected a file of tensors ({}), found none", TENSORS.join(", "));
        Err(ModelError::file(&self.folder, message))
    }
}

impl Target<'_> {
    /// Whether a parameter is one that the checkpoint must have.
    pub(super) fn takes(&self, path: &str) -> bool {
        let encoder = self.encoder.and_then(|encoder| path.strip_prefix(encoder));
        let in_encoder = |part: &str| encoder.is_some_and(|path| path.starts_with(part));
        if self.fresh.is_some_and(|fresh| path.starts_with(fresh)) {
            return false;
        }
        in_encoder("stem.") || in_encoder("trunk.") || self.head.is_some_and(|head| path.starts_with(head))
    }
}

/// The configuration at `path`.
fn parse(bytes: &[u8], path: &Path) -> Result<serde_json::Value> {
    serde_json::from_slice(bytes).map_err(|error| {
        let message = format!("expected the configuration of a checkpoint, found {error}");
        ModelError::file(path, message)
    })
}

/// A configuration and what is said of decoding in a file of its own, where there is one.
fn with_generation(mut config: serde_json::Value, path: &Path) -> Result<serde_json::Value> {
    if !path.exists() {
        return Ok(config);
    }
    let more = parse(&files::read(path)?, path)?;
    if let (Some(config), serde_json::Value::Object(more)) = (config.as_object_mut(), more) {
        config.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
    }
    Ok(config)
}

/// Whether shapes differ in axes of length one at most.
fn alike(one: &[usize], other: &[usize]) -> bool {
    let long = |shape: &[usize]| -> Vec<usize> { shape.iter().copied().filter(|length| *length != 1).collect() };
    long(one) == long(other)
}

/// A configuration and what is said of pictures, sounds or videos in a file of its own, where there is one.
fn with_processors(mut config: serde_json::Value, folder: &Path) -> Result<serde_json::Value> {
    let wanted = [
        (preprocessor::KEY, &preprocessor::FILES[..]),
        (preprocessor::VIDEO_KEY, &preprocessor::VIDEOS[..]),
    ];
    for (key, files) in wanted {
        for &(name, part) in files {
            let found = described_in(&folder.join(name), part)?;
            if let (Some(config), Some(found)) = (config.as_object_mut(), found) {
                config.insert(key.into(), found);
                break;
            }
        }
    }
    Ok(config)
}

/// What a file says, or a part of it; none where it is missing.
fn described_in(path: &Path, part: Option<&str>) -> Result<Option<serde_json::Value>> {
    if !path.exists() {
        return Ok(None);
    }
    let mut found = parse(&files::read(path)?, path)?;
    if let Some(part) = part {
        found = found.get_mut(part).map(serde_json::Value::take).unwrap_or_default();
    }
    Ok(Some(found).filter(serde_json::Value::is_object))
}

impl Sorted {
    /// Notes where a tensor goes, and gives the path of its parameter where it is wanted.
    fn place(&mut self, name: &str, target: Target, place: Place) -> Option<String> {
        let (part, path) = match place {
            Place::Parameter(path) => (target.encoder, path),
            Place::Head(path) => (target.head, path),
            Place::Parts(paths) => return self.place_parts(name, target.head, &paths, HostTensor::cut),
            Place::Rows(paths) => return self.place_parts(name, target.encoder, &paths, HostTensor::rows),
            Place::Shared { encoder, head, .. } => return self.place_copies(name, target, [encoder, head]),
            Place::Unused => (None, String::new()),
            Place::Known => return None,
            Place::Unknown => {
                self.unknown.push(name.to_string());
                return None;
            }
        };
        let Some(part) = part else {
            self.unused.push(name.to_string());
            return None;
        };
        let path = format!("{part}{path}");
        self.names.insert(path.clone(), name.to_string());
        Some(path)
    }
}

impl Sorted {
    /// As [`Self::place`] of a tensor that is cut later: until then it has its own name.
    fn place_parts(&mut self, name: &str, part: Option<&str>, paths: &[String], cut: Cut) -> Option<String> {
        let Some(part) = part else {
            self.unused.push(name.to_string());
            return None;
        };
        let paths = paths.iter().map(|path| format!("{part}{path}")).collect();
        Some(self.note_parts(name, paths, cut))
    }

    /// The same of a tensor that encoder and head both have, as far as they are wanted.
    fn place_copies(&mut self, name: &str, target: Target, [encoder, head]: [String; 2]) -> Option<String> {
        let parts = [(target.encoder, encoder), (target.head, head)].into_iter();
        let paths = parts.filter_map(|(part, path)| Some(format!("{}{path}", part?)));
        Some(self.note_parts(name, paths.collect(), HostTensor::copies))
    }

    fn note_parts(&mut self, name: &str, paths: Vec<String>, cut: Cut) -> String {
        let names = paths.iter().map(|path| (path.clone(), name.to_string()));
        self.names.extend(names);
        self.parts.insert(name.to_string(), Parts { paths, cut });
        name.to_string()
    }

    /// Puts parts in the place of the tensors that hold several parameters, but for those that have a tensor of their own.
    fn cut(&mut self) {
        for (name, Parts { paths, cut }) in std::mem::take(&mut self.parts) {
            if let Some(tensor) = self.tensors.remove(&name) {
                let parts = cut(tensor, paths.len());
                for (path, part) in paths.into_iter().zip(parts) {
                    self.tensors.entry(path).or_insert(part);
                }
            }
        }
    }
}

/// The files that the index at `path` names, none of which may lie elsewhere.
fn named(path: &Path) -> Result<BTreeSet<String>> {
    let wrong = |message: String| ModelError::file(path, message);
    let index: Index = serde_json::from_slice(&files::read(path)?)
        .map_err(|error| wrong(format!("expected the index of a checkpoint, found {error}")))?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    let leaves = |name: &&String| Path::new(name).file_name().is_none_or(|file| file != name.as_str());
    match names.iter().find(leaves) {
        Some(name) => Err(wrong(format!("expected names of files in this folder, found `{name}`"))),
        None => Ok(names),
    }
}
