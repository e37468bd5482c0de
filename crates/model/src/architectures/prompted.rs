//! A language model that reads, among the tokens of its prompt, what an encoder makes of other media: what LLaVA, SmolVLM and
//! Qwen2-Audio have in common.

use super::{AnswerHead, Architecture, Head, language};
use crate::decoder::{PrefixConfig, ProjectorKind, ReadsConfig};
use crate::stems::StemConfig;
use crate::tasks::{Asking, GenerateConfig};
use crate::trunks::TrunkConfig;
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::{TemplateConfig, TextConfig, VideoConfig, VideoWords};
use serde_json::{Value, json};

/// The input that is asked.
pub const PROMPT: &str = "text";
/// The inputs that it may ask about.
pub const IMAGE: &str = "image";
pub const VIDEO: &str = "video";
pub const AUDIO: &str = "audio";
/// The name of the token in whose place a prompt has a picture.
pub const PICTURE: &str = "<image>";
/// The most pictures of a row.
pub const MOST_PICTURES: u32 = 64;
/// The language models that are read.
const LANGUAGES: [&str; 3] = ["llama", "qwen2", "qwen3"];

/// What a language model sees or hears.
pub struct Medium {
    /// The name of its input.
    pub input: &'static str,
    pub processor: ProcessorConfig,
    pub stem: StemConfig,
    pub trunk: TrunkConfig,
    /// Of a token that is projected.
    pub width: usize,
    pub projector: PrefixConfig,
    /// Whether the original adds something to what one map gives.
    pub is_biased: bool,
    /// How the original sets questions.
    pub template: TemplateConfig,
    /// How it reads videos, and the words around them.
    pub video: Option<(VideoConfig, VideoWords)>,
    /// The name of the token in whose place a prompt has the medium.
    pub placeholder: &'static str,
    /// What a configuration calls that token, and the one that it says.
    pub place: (&'static str, u32),
    /// Whether tokens stand around the parts of a picture.
    pub is_marked: bool,
    /// The places that a second of a video takes, where those of patches are told by row and column.
    pub pace: Option<f64>,
    /// The numbers that the tensors of its encoder hold.
    pub parameters: u128,
}

impl Medium {
    /// The architecture that reads it among the tokens of a language model's prompt; where its tensors go is still the
    /// language model's.
    pub fn before(self, text: Architecture) -> Result<Architecture, String> {
        let Head::Continuation(head) = text.head else {
            return Err("text_config.model_type: expected a language model".into());
        };
        let head = *head;
        let projector = self.projector_parameters(head.task.decoder.width());
        let parameters = [text.parameters, self.parameters, projector];
        let (video, words) = self.video.unzip();
        let shows = video.iter().map(|_| VIDEO);
        let (place_name, place) = self.place;
        let generate = GenerateConfig {
            text: TextConfig {
                max_length: head.task.context,
                placeholder: Some(self.placeholder.into()),
                template: Some(self.template),
                video: words,
                ..TextConfig::default()
            },
            decoder: head.task.decoder,
            reads: ReadsConfig::Prefix(self.projector),
            prompt: Some(PROMPT.into()),
            label_smoothing: 0.0,
            decoding: head.task.decoding,
            asking: Some(Asking {
                place,
                frame: None,
                shows: std::iter::once(self.input).chain(shows).map(String::from).collect(),
                ends: head.task.tokens.unwrap_or_default().ends,
                marks: None,
                pace: self.pace,
            }),
            ..GenerateConfig::default()
        };
        Ok(Architecture {
            stem: Some(self.stem),
            trunk: Some(self.trunk),
            processor: self.processor,
            head: Head::Answer(Box::new(AnswerHead {
                generate,
                vocabulary: head.vocabulary,
                video,
                place_name,
                is_marked: self.is_marked,
            })),
            parameters: parameters.into_iter().fold(0, u128::saturating_add),
            ..text
        })
    }

    /// Those of the maps to vectors of `inner` numbers, as published.
    fn projector_parameters(&self, inner: usize) -> u128 {
        let (inner, merge) = (inner as u128, self.projector.merge as u128);
        let joined = (self.width as u128).saturating_mul(merge * merge);
        match self.projector.projector {
            ProjectorKind::Linear => inner.saturating_mul(joined + u128::from(self.is_biased)),
            ProjectorKind::Mlp => inner.saturating_mul(joined + inner + 2),
            ProjectorKind::WideMlp => joined.saturating_add(1).saturating_mul(joined.saturating_add(inner)),
        }
    }
}

/// The language model of `config`, of which what is left out is as in `usual`; ends and begins that stand beside it are its too.
/// With it whether its table of tokens also scores the next one.
pub fn language_model(config: &Value, usual: Value) -> Result<(Architecture, bool), String> {
    let mut texts = usual;
    if let (Some(texts), Some(Value::Object(given))) = (texts.as_object_mut(), config.get("text_config")) {
        texts.extend(given.clone());
    }
    for name in ["bos_token_id", "eos_token_id"] {
        if let Some(given) = config.get(name).filter(|given| !given.is_null()) {
            texts[name] = given.clone();
        }
    }
    if config.get("tie_word_embeddings") == Some(&json!(true)) {
        texts["tie_word_embeddings"] = json!(true);
    }
    let tied = texts["tie_word_embeddings"] == json!(true);
    let kind = texts["model_type"].as_str().unwrap_or_default().to_string();
    match LANGUAGES.contains(&kind.as_str()) {
        true => Ok((language::read(&kind, texts)?, tied)),
        false => Err(format!(
            "text_config.model_type: expected one of {}, found `{kind}`",
            LANGUAGES.join(", ")
        )),
    }
}
