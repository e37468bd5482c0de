//! From a value to features, and from features to a padded batch: one path for training, evaluation
//! and serving.

pub(crate) mod audio;
mod feature;
pub(crate) mod image;
mod preview;
pub(crate) mod read;
mod recording;
mod store;
mod text;
pub(crate) mod video;

pub use audio::{
    AudioAugment, AudioConfig, AudioFeature, AudioFeatures, Channels, Filter, FilterBankConfig, KaldiFrames,
    LogMelConfig, MfccConfig, Normalize, Recording, Spectrogram, SpectrumAugment, WaveAugment, Waveform,
    WaveformConfig, Window,
};
pub use feature::{Collated, Feature, FeatureShape, PatchGrid};
pub use image::{Augment, Decode, ImageConfig, Interpolation, PatchesConfig, Picture, Resize, Size};
pub use text::{
    DialogueConfig, Letters, Normalization, SPECIAL_TOKENS, Segment, Shown, SpecialTokens, TemplateConfig, TextAugment,
    TextConfig, TokenizerConfig, Truncate, VideoWords,
};
pub use video::{Clip, Sampling, VideoConfig};

use crate::random::Key;
use crate::{DataError, ErrorKind, Modality, Result, Value};
use feature::{clip, heard, pictures, tokens};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// What an input's raw values become, by modality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "modality", rename_all = "snake_case")]
pub enum ProcessorConfig {
    Image(ImageConfig),
    Text(TextConfig),
    Audio(AudioConfig),
    Video(VideoConfig),
}

impl ProcessorConfig {
    pub fn modality(&self) -> Modality {
        match self {
            Self::Image(_) => Modality::Image,
            Self::Text(_) => Modality::Text,
            Self::Audio(_) => Modality::Audio,
            Self::Video(_) => Modality::Video,
        }
    }

    /// Checks every bound that the types alone do not express.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with the field, what it accepts and what was found.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Image(config) => config.validate(),
            Self::Text(config) => config.validate(),
            Self::Audio(config) => config.validate(),
            Self::Video(config) => config.validate(),
        }
    }

    /// Makes the paths of files that the settings name relative to `folder`, the recipe's own.
    pub fn resolve(&mut self, folder: &Path) {
        if let Self::Text(config) = self {
            config.tokenizer.resolve(folder);
        }
    }

    /// What a value of the training set adds to the texts that [`Processor::fit`] takes, if anything.
    pub fn training_text<'a>(&self, value: &'a Value) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(config) => text::training_text(config, value),
            Self::Image(_) | Self::Audio(_) | Self::Video(_) => None,
        }
    }
}

/// A processor fitted to the training set; a clone shares what was fitted.
#[derive(Debug, Clone)]
pub struct Processor {
    fitted: Fitted,
}

#[derive(Debug, Clone)]
enum Fitted {
    Image(Arc<ImageConfig>),
    Text(Arc<text::TextProcessor>),
    Audio(audio::AudioProcessor),
    Video(Arc<VideoConfig>),
}

impl Processor {
    /// Fits the processor to `texts`, the training texts of its column; processors of other
    /// modalities have nothing to fit.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a setting out of bounds, or for texts without a single word.
    pub fn fit(config: &ProcessorConfig, texts: &[&str]) -> Result<Self> {
        config.validate()?;
        let fitted = match config {
            ProcessorConfig::Image(config) => Fitted::Image(Arc::new(config.clone())),
            ProcessorConfig::Text(config) => Fitted::Text(Arc::new(text::TextProcessor::fit(config, texts)?)),
            ProcessorConfig::Audio(config) => Fitted::Audio(audio::AudioProcessor::new(config)?),
            ProcessorConfig::Video(config) => Fitted::Video(Arc::new(config.clone())),
        };
        Ok(Self { fitted })
    }

    pub fn modality(&self) -> Modality {
        match &self.fitted {
            Fitted::Image(_) => Modality::Image,
            Fitted::Text(_) => Modality::Text,
            Fitted::Audio(_) => Modality::Audio,
            Fitted::Video(_) => Modality::Video,
        }
    }

    pub fn config(&self) -> ProcessorConfig {
        match &self.fitted {
            Fitted::Image(config) => ProcessorConfig::Image((**config).clone()),
            Fitted::Text(text) => ProcessorConfig::Text(text.config().clone()),
            Fitted::Audio(audio) => ProcessorConfig::Audio(audio.config().clone()),
            Fitted::Video(config) => ProcessorConfig::Video((**config).clone()),
        }
    }

    pub fn shape(&self) -> FeatureShape {
        let patches = |image: &ImageConfig, frames: usize| {
            image.patches.map(|patches| FeatureShape::Patches {
                most: frames * image.most_patches(),
                channels: image::CHANNELS,
                frames: patches.frames as usize,
                side: patches.side as usize,
                square: patches.square as usize,
            })
        };
        match &self.fitted {
            Fitted::Image(config) => patches(config, 1).unwrap_or(FeatureShape::Image {
                height: config.size.height(),
                width: config.size.width(),
                channels: image::CHANNELS,
            }),
            Fitted::Text(text) => FeatureShape::Text {
                vocabulary: text.vocabulary(),
                max_length: text.config().max_length,
            },
            Fitted::Audio(audio) => {
                let (max_frames, bins) = audio.shape();
                FeatureShape::Audio { bins, max_frames }
            }
            Fitted::Video(config) => {
                let frames = config.frames as usize;
                patches(&config.image(), frames).unwrap_or(FeatureShape::Video {
                    frames,
                    height: config.size.height(),
                    width: config.size.width(),
                    channels: image::CHANNELS,
                })
            }
        }
    }

    /// The deterministic part: decodes, orients and resizes a picture; cleans, tokenises and cuts a
    /// text; brings a sound to one rate and computes its spectra; takes frames out of a video.
    ///
    /// A medium is [`Value::Text`], a path relative to `root` that is opened as it stands, so a
    /// server must refuse such values from its clients; or [`Value::Bytes`] or [`Value::Stored`],
    /// an encoded file. A video may also be a folder, or a list of pictures; the sound of a video is
    /// a sound. A text may also be a list of texts or of turns, `[question, answer]`, and a picture a list of pictures where
    /// the settings allow it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an absent value or one of another type; for media also what
    /// reading and decoding can refuse, with the path.
    pub fn prepare(&self, value: &Value, root: &Path) -> Result<Feature> {
        self.prepare_about(value, root, &Shown::default())
    }

    /// As [`prepare`](Self::prepare), for a text that asks about what is `shown`.
    ///
    /// # Errors
    /// Also [`ErrorKind::Invalid`] for a text that names other media than are shown.
    pub fn prepare_about(&self, value: &Value, root: &Path, shown: &Shown) -> Result<Feature> {
        match (&self.fitted, value) {
            (Fitted::Image(config), Value::Text(name)) => {
                image::prepare_file(config, &root.join(name)).map(Feature::Image)
            }
            (Fitted::Image(config), Value::Bytes(bytes)) => image::prepare_bytes(config, bytes).map(Feature::Image),
            (Fitted::Image(config), Value::List(items)) if config.list.is_some() => {
                let most = config.list.unwrap_or(1) as usize;
                let read = |item: &Value| match item {
                    Value::List(_) => Err(wrong_type(Modality::Image, item)),
                    item => self.prepare(item, root).map(|feature| pictures(&feature)[0].clone()),
                };
                image::prepare_list(items, most, read).map(Feature::Pictures)
            }
            (Fitted::Audio(audio), Value::Text(name)) => {
                let path = root.join(name);
                let prepare = |bytes: &[u8]| audio.prepare_bytes(bytes);
                let feature = sound(audio.prepare_file(&path), || video::audio_track(&path), prepare);
                feature.map(Feature::Audio).map_err(|error| error.at_path(&path))
            }
            (Fitted::Audio(audio), Value::Bytes(bytes)) => {
                let prepare = |bytes: &[u8]| audio.prepare_bytes(bytes);
                let feature = sound(prepare(bytes), || video::audio_track_of_bytes(bytes), prepare);
                feature.map(Feature::Audio)
            }
            (Fitted::Video(config), Value::Text(name)) => {
                video::prepare_file(config, &root.join(name)).map(Feature::Video)
            }
            (Fitted::Video(config), Value::Bytes(bytes)) => video::prepare_bytes(config, bytes).map(Feature::Video),
            (Fitted::Video(config), Value::List(items)) => {
                let paths = items
                    .iter()
                    .map(|item| item.path(root).ok_or_else(|| wrong_type(Modality::Image, item)));
                video::prepare_frames(config, &paths.collect::<Result<Vec<_>>>()?).map(Feature::Video)
            }
            (Fitted::Image(_) | Fitted::Audio(_) | Fitted::Video(_), Value::Stored(stored)) => {
                let prepared = self.prepare(&Value::Bytes(stored.read()?), root);
                prepared.map_err(|error| error.at_path(stored.source.path()).at_offset(stored.offset))
            }
            (Fitted::Text(text), Value::Text(value)) => text.encode(value, shown).map(Feature::Text),
            (Fitted::Text(text), Value::List(turns)) => text.encode_turns(turns, shown).map(Feature::Text),
            (_, value) => Err(wrong_type(self.modality(), value)),
        }
    }

    /// The random part, for training only. Every draw is keyed by `key` and the operation's name,
    /// so equal keys give equal features; without anything to change the feature is lent back.
    pub fn augment<'a>(&self, feature: &'a Feature, key: &Key) -> Cow<'a, Feature> {
        match (&self.fitted, feature) {
            (Fitted::Image(config), Feature::Image(picture)) => match image::augment(config, picture, key) {
                Cow::Borrowed(_) => Cow::Borrowed(feature),
                Cow::Owned(picture) => Cow::Owned(Feature::Image(picture)),
            },
            (Fitted::Audio(audio), Feature::Audio(sound)) => match audio.augment(sound, key) {
                Cow::Borrowed(_) => Cow::Borrowed(feature),
                Cow::Owned(sound) => Cow::Owned(Feature::Audio(sound)),
            },
            (Fitted::Video(config), Feature::Video(clip)) => match video::augment(config, clip, key) {
                Cow::Borrowed(_) => Cow::Borrowed(feature),
                Cow::Owned(clip) => Cow::Owned(Feature::Video(clip)),
            },
            (Fitted::Text(text), Feature::Text(tokens)) => match text.augment(tokens, key) {
                Cow::Borrowed(_) => Cow::Borrowed(feature),
                Cow::Owned(tokens) => Cow::Owned(Feature::Text(tokens)),
            },
            _ => Cow::Borrowed(feature),
        }
    }

    /// Joins features into one batch, in their order.
    ///
    /// # Panics
    /// When a feature was prepared by a processor of another modality or picture size.
    pub fn collate(&self, features: &[&Feature]) -> Collated {
        match &self.fitted {
            Fitted::Image(config) => image::collate(config, features.iter().map(|it| pictures(it))),
            Fitted::Text(text) => text::collate(features.iter().map(|it| tokens(it)), text.special().padding),
            Fitted::Audio(audio) => {
                let batch = audio.collate(features.iter().map(|it| heard(it)));
                Collated::Audio {
                    shape: batch.shape,
                    values: batch.values,
                    lengths: batch.lengths,
                }
            }
            Fitted::Video(config) if config.patches.is_some() => {
                video::collate_patches(config, features.iter().map(|it| clip(it)))
            }
            Fitted::Video(config) => {
                let batch = video::collate(config, features.iter().map(|it| clip(it)));
                Collated::Video {
                    shape: batch.shape,
                    pixels: batch.pixels,
                    lengths: batch.lengths,
                }
            }
        }
    }
}

/// What was read of a sound, or what `prepare` makes of the sound of a video whose container only ffmpeg reads.
fn sound<T>(
    read: Result<T>,
    track: impl FnOnce() -> Result<Option<Vec<u8>>>,
    prepare: impl FnOnce(&[u8]) -> Result<T>,
) -> Result<T> {
    match read {
        Err(error) if error.kind == ErrorKind::Unsupported => match track() {
            Ok(Some(track)) => prepare(&track),
            Ok(None) => Err(invalid(
                "expected a sound, found a video without one; choose another file",
            )),
            Err(_) => Err(error),
        },
        read => read,
    }
}

fn wrong_type(modality: Modality, value: &Value) -> DataError {
    let expected = match modality {
        Modality::Image => "the path of a picture",
        Modality::Text => "a text",
        Modality::Audio => "the path of a sound",
        Modality::Video => "the path of a video",
    };
    let found = match value {
        Value::Absent => "nothing",
        Value::Text(_) => "a text",
        Value::Number(_) => "a number",
        Value::Bytes(_) | Value::Stored(_) => "an encoded file",
        Value::List(_) => "a list",
    };
    invalid(format!(
        "expected {expected}, found {found}; correct the value or the input's modality"
    ))
}

/// An [`ErrorKind::Invalid`] error without a place.
fn invalid(message: impl Into<String>) -> DataError {
    DataError::new(ErrorKind::Invalid, message)
}

/// Refuses a setting outside of `bounds`, which include both ends.
fn in_bounds<T>(field: &str, value: T, bounds: std::ops::RangeInclusive<T>) -> Result<()>
where
    T: PartialOrd + std::fmt::Display,
{
    if bounds.contains(&value) {
        return Ok(());
    }
    let (low, high) = bounds.into_inner();
    Err(invalid(format!("expected a value from {low} to {high}, found {value}")).in_field(field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn processor(json: &str, texts: &[&str]) -> Processor {
        let config: ProcessorConfig = serde_json::from_str(json).unwrap();
        Processor::fit(&config, texts).unwrap()
    }

    /// What `prepare` refuses, as (code, message).
    fn refusal(processor: &Processor, value: Value) -> (&'static str, String) {
        let error = processor.prepare(&value, Path::new("root")).unwrap_err();
        (error.kind.code(), error.to_string())
    }

    #[test]
    fn values_of_another_type_are_invalid() {
        let image = processor(r#"{"modality":"image"}"#, &[]);
        let text = processor(r#"{"modality":"text"}"#, &["a text"]);
        for (processor, value, found) in [
            (&image, Value::Absent, "the path of a picture, found nothing"),
            (&image, Value::Number(1.0), "the path of a picture, found a number"),
            (&image, Value::List(vec![]), "the path of a picture, found a list"),
            (&text, Value::Absent, "a text, found nothing"),
            (&text, Value::Bytes(vec![1].into()), "a text, found an encoded file"),
        ] {
            let (code, message) = refusal(processor, value);
            assert_eq!(code, "invalid");
            assert!(message.contains(found), "{message}");
        }
    }

    #[test]
    fn the_shape_follows_the_configuration() {
        let image = processor(r#"{"modality":"image","size":[48,32]}"#, &[]);
        let shape = FeatureShape::Image {
            height: 48,
            width: 32,
            channels: 3,
        };
        assert_eq!((image.shape(), image.modality()), (shape, Modality::Image));
        let json = r#"{"modality":"text","tokenizer":{"kind":"word"},"max_length":7}"#;
        let text = processor(json, &["one two", "two"]);
        let shape = FeatureShape::Text {
            vocabulary: 6,
            max_length: 7,
        };
        assert_eq!((text.shape(), text.modality()), (shape, Modality::Text));
    }

    #[test]
    fn settings_out_of_bounds_name_their_field() {
        for (json, field) in [
            (r#"{"modality":"image","deviation":[0.5,0,0.5]}"#, "deviation"),
            (r#"{"modality":"image","augment":[{"rotate":400}]}"#, "augment.rotate"),
            (r#"{"modality":"image","augment":[{"crop":0}]}"#, "augment.crop"),
            (r#"{"modality":"image","augment":[{"color":2}]}"#, "augment.color"),
            (
                r#"{"modality":"image","augment":[{"grayscale":1.5}]}"#,
                "augment.grayscale",
            ),
            (r#"{"modality":"image","augment":[{"erase":-0.1}]}"#, "augment.erase"),
            (r#"{"modality":"image","augment":[{"shift":0}]}"#, "augment.shift"),
            (r#"{"modality":"image","augment":["flip","flip"]}"#, "augment"),
            (
                r#"{"modality":"image","augment":[{"rand_augment":{"operations":0,"magnitude":9}}]}"#,
                "augment.rand_augment.operations",
            ),
            (
                r#"{"modality":"image","augment":[{"rand_augment":{"operations":2,"magnitude":31}}]}"#,
                "augment.rand_augment.magnitude",
            ),
            (r#"{"modality":"text","max_length":0}"#, "max_length"),
            (
                r#"{"modality":"text","tokenizer":{"kind":"bpe","vocabulary":100}}"#,
                "tokenizer.vocabulary",
            ),
        ] {
            let config: ProcessorConfig = serde_json::from_str(json).unwrap();
            let error = Processor::fit(&config, &["a"]).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{error}");
            assert_eq!(error.kind, ErrorKind::Invalid);
        }
    }

    #[test]
    fn every_field_of_the_schema_is_described() {
        let schema = serde_json::to_value(schemars::schema_for!(ProcessorConfig)).unwrap();
        let mut undescribed = HashMap::new();
        for name in ["ImageConfig", "TextConfig", "DialogueConfig"] {
            for (field, value) in schema["$defs"][name]["properties"].as_object().unwrap() {
                if value["description"].as_str().is_none() {
                    undescribed.insert(format!("{name}.{field}"), value);
                }
            }
        }
        assert!(undescribed.is_empty(), "{undescribed:?}");
    }

    #[test]
    fn a_processor_may_be_shared_between_threads() {
        fn check<T: Send + Sync + Clone>() {}
        check::<Processor>();
    }

    #[test]
    fn an_unreadable_picture_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty.png"), b"").unwrap();
        std::fs::write(folder.path().join("text.png"), b"not a picture").unwrap();
        std::fs::create_dir(folder.path().join("folder.png")).unwrap();
        let image = processor(r#"{"modality":"image"}"#, &[]);
        for (name, kind) in [
            ("empty.png", ErrorKind::Damaged),
            ("text.png", ErrorKind::Damaged),
            ("folder.png", ErrorKind::Invalid),
            ("none.png", ErrorKind::Missing),
        ] {
            let value = Value::Text(name.to_string());
            let error = image.prepare(&value, folder.path()).unwrap_err();
            assert_eq!(error.kind, kind, "{error}");
            assert_eq!(error.path, Some(folder.path().join(name)));
        }
    }

    #[test]
    fn an_upload_reads_as_its_file_does() {
        let image = processor(r#"{"modality":"image","size":8}"#, &[]);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference/pictures");
        let file = image.prepare(&Value::Text("cmyk.jpg".to_string()), &folder).unwrap();
        let bytes = std::fs::read(folder.join("cmyk.jpg")).unwrap();
        let upload = image.prepare(&Value::Bytes(bytes.into()), Path::new("")).unwrap();
        assert_eq!(file, upload);
        let Collated::Image { shape, pixels } = image.collate(&[&file, &upload]) else {
            panic!("not an image batch");
        };
        assert_eq!((shape, pixels.len()), ([2, 8, 8, 3], 384));
        assert_eq!(pixels[..192], pixels[192..]);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]
        #[test]
        fn any_text_gives_tokens(text in ".{0,80}") {
            let json = r#"{"modality":"text","max_length":9}"#;
            let feature = processor(json, &["a text"]).prepare(&Value::Text(text), Path::new("")).unwrap();
            let Feature::Text(tokens) = feature else { panic!("not tokens") };
            assert!((1..=9).contains(&tokens.len()));
            assert!(tokens.iter().all(|&token| token != 0));
        }
    }
}
