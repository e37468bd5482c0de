//! wav2vec 2.0's and HuBERT's configurations, as `transformers` has them, and the head of letters.

use super::super::{Architecture, Head, preprocessor};
use super::names::{place_before, place_behind};
use super::stem::StemNorm;
use super::{Wav2Vec2StemConfig, Wav2Vec2TrunkConfig};
use crate::stems::StemConfig;
use crate::tasks::TranscribeConfig;
use crate::trunks::TrunkConfig;
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::{AudioConfig, AudioFeatures, Normalize, TextConfig, WaveformConfig};
use serde::Deserialize;
use serde_json::Value;

/// The words of `model_type` that are read here.
pub const KINDS: [&str; 2] = ["hubert", "wav2vec2"];
/// What the name of a model ends with that has a head of letters.
const OF_LETTERS: &str = "ForCTC";
/// The largest sizes of a convolution, and how many there may be.
const LARGEST: usize = 8192;
const MOST_CONVOLUTIONS: usize = 16;
/// The largest kernel of the convolution that tells places.
const LARGEST_KERNEL: usize = 1024;
const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 1000..=192_000;

/// A head that tells the letter of each frame, or the blank.
#[derive(Debug, Clone)]
pub struct TranscriptHead {
    /// How texts are found; the tokenizer is read from the folder.
    pub task: TranscribeConfig,
    /// The letters and the blank.
    pub classes: usize,
    /// The class of the blank.
    pub blank: usize,
}

impl TranscriptHead {
    /// The classes in the order that they have here: the blank is the last.
    pub fn order(&self) -> Vec<usize> {
        let letters = (0..self.classes).filter(|class| *class != self.blank);
        letters.chain([self.blank]).collect()
    }
}

/// What is read of a `config.json`; a value that stands for nothing may be missing.
#[derive(Deserialize)]
struct Public {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    conv_dim: Vec<usize>,
    conv_kernel: Vec<usize>,
    conv_stride: Vec<usize>,
    #[serde(default)]
    conv_bias: bool,
    num_conv_pos_embeddings: usize,
    num_conv_pos_embedding_groups: usize,
    #[serde(default)]
    do_stable_layer_norm: bool,
    #[serde(default)]
    feat_extract_norm: Option<String>,
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f64,
    #[serde(default)]
    hidden_dropout: f64,
    vocab_size: Option<usize>,
    #[serde(default)]
    pad_token_id: Option<usize>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
}

/// What is read of a `preprocessor_config.json`.
#[derive(Deserialize)]
struct Sounds {
    #[serde(default = "default_true")]
    do_normalize: bool,
    #[serde(default = "default_rate")]
    sampling_rate: u32,
    #[serde(default = "default_one")]
    feature_size: usize,
}

fn default_epsilon() -> f64 {
    1e-5
}

fn default_true() -> bool {
    true
}

fn default_rate() -> u32 {
    16_000
}

fn default_one() -> usize {
    1
}

impl Public {
    /// Every size must be one, and fit the others.
    fn check(&self) -> Result<(), String> {
        let lists = [&self.conv_dim, &self.conv_kernel, &self.conv_stride];
        let [widths, kernels, strides] = lists.map(Vec::len);
        if widths != kernels || widths != strides || !(1..=MOST_CONVOLUTIONS).contains(&widths) {
            return Err(format!(
                "conv_dim, conv_kernel and conv_stride: expected as many numbers of each, 1 to {MOST_CONVOLUTIONS}, found {widths}, \
                 {kernels} and {strides}"
            ));
        }
        for (name, sizes) in ["conv_dim", "conv_kernel", "conv_stride"].into_iter().zip(lists) {
            if let Some(found) = sizes.iter().find(|size| !(1..=LARGEST).contains(*size)) {
                return Err(format!("{name}: expected numbers from 1 to {LARGEST}, found {found}"));
            }
        }
        self.trunk().blocks().check("")?;
        let (kernel, groups) = (self.num_conv_pos_embeddings, self.num_conv_pos_embedding_groups);
        if !(1..=LARGEST_KERNEL).contains(&kernel) {
            return Err(format!(
                "num_conv_pos_embeddings: expected a number from 1 to {LARGEST_KERNEL}, found {kernel}"
            ));
        }
        match groups > 0 && self.hidden_size.is_multiple_of(groups) {
            true => Ok(()),
            false => Err(format!(
                "num_conv_pos_embedding_groups: expected a divisor of hidden_size {}, found {groups}",
                self.hidden_size
            )),
        }
    }

    fn stem(&self) -> Result<Wav2Vec2StemConfig, String> {
        let sizes = self.conv_dim.iter().zip(&self.conv_kernel).zip(&self.conv_stride);
        Ok(Wav2Vec2StemConfig {
            convolutions: sizes
                .map(|((width, kernel), stride)| [*width, *kernel, *stride])
                .collect(),
            bias: self.conv_bias,
            norm: match self.feat_extract_norm.as_deref() {
                None | Some("group") => StemNorm::Group,
                Some("layer") => StemNorm::Layer,
                Some(other) => {
                    return Err(format!(
                        "feat_extract_norm: expected `group` or `layer`, found `{other}`, which is not known here"
                    ));
                }
            },
            width: self.hidden_size,
            epsilon: self.layer_norm_eps,
        })
    }

    fn trunk(&self) -> Wav2Vec2TrunkConfig {
        Wav2Vec2TrunkConfig {
            width: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            hidden: self.intermediate_size,
            epsilon: self.layer_norm_eps,
            kernel: self.num_conv_pos_embeddings,
            groups: self.num_conv_pos_embedding_groups,
            norm_first: self.do_stable_layer_norm,
            dropout: self.hidden_dropout,
        }
    }

    /// The head of letters of a model that has one; a text has at most `longest` of them.
    fn head(&self, longest: usize) -> Result<Head, String> {
        let mut names = self.architectures.iter().flatten();
        if !names.any(|name| name.ends_with(OF_LETTERS)) {
            return Ok(Head::Nothing);
        }
        let (classes, blank) = (
            self.vocab_size.unwrap_or_default(),
            self.pad_token_id.unwrap_or_default(),
        );
        if classes < 2 {
            return Err(format!("vocab_size: expected at least 2, found {classes}"));
        }
        if blank >= classes {
            return Err(format!(
                "pad_token_id: expected a token below vocab_size {classes}, which is the blank, found {blank}"
            ));
        }
        let text = TextConfig {
            max_length: longest,
            ..TextConfig::default()
        };
        let task = TranscribeConfig {
            text,
            greedy: true,
            ..TranscribeConfig::default()
        };
        Ok(Head::Transcript(Box::new(TranscriptHead { task, classes, blank })))
    }
}

/// Refuses what would be computed otherwise here.
fn check_computed(config: &Value) -> Result<(), String> {
    let usual = [
        ("hidden_act", Value::from("gelu")),
        ("feat_extract_activation", Value::from("gelu")),
        ("add_adapter", false.into()),
        ("adapter_attn_dim", Value::Null),
        ("conv_pos_batch_norm", false.into()),
        ("feat_proj_layer_norm", true.into()),
    ];
    let other = usual.iter().find_map(|(name, usual)| {
        let found = config.get(name).filter(|found| !found.is_null() && *found != usual)?;
        Some((name, usual, found))
    });
    match other {
        Some((name, usual, found)) => Err(format!(
            "{name}: expected {usual}, found {found}, which is not known here"
        )),
        None => Ok(()),
    }
}

/// How sounds are read, of which the shortest has so many samples.
fn sounds(config: &Value, shortest: usize) -> Result<AudioConfig, String> {
    let Some(value) = config.get(preprocessor::KEY) else {
        return Err("expected preprocessor_config.json beside it, found none; fetch it too".into());
    };
    let wrong = |message: String| format!("preprocessor_config.json: {message}");
    let sounds = Sounds::deserialize(value).map_err(|error| wrong(error.to_string()))?;
    if sounds.feature_size != 1 {
        let found = sounds.feature_size;
        return Err(wrong(format!(
            "feature_size: expected 1, the samples themselves, found {found}"
        )));
    }
    if !SAMPLE_RATES.contains(&sounds.sampling_rate) {
        let (least, most, found) = (SAMPLE_RATES.start(), SAMPLE_RATES.end(), sounds.sampling_rate);
        return Err(wrong(format!(
            "sampling_rate: expected {least} to {most} samples a second, found {found}"
        )));
    }
    let normalize = match sounds.do_normalize {
        true => Normalize::MeanVariance,
        false => Normalize::None,
    };
    let usual = AudioConfig::default();
    let min_seconds = shortest as f64 / f64::from(sounds.sampling_rate);
    if min_seconds > usual.max_seconds {
        return Err(format!(
            "conv_kernel and conv_stride: expected tokens of at most {} seconds, found {min_seconds}",
            usual.max_seconds
        ));
    }
    Ok(AudioConfig {
        sample_rate: sounds.sampling_rate,
        features: AudioFeatures::Waveform(WaveformConfig { normalize }),
        min_seconds,
        ..usual
    })
}

/// The architecture that a configuration describes, or what is wrong with it.
pub fn read(config: Value) -> Result<Architecture, String> {
    check_computed(&config)?;
    let public = Public::deserialize(&config).map_err(|error| error.to_string())?;
    public.check()?;
    let (stem, trunk) = (public.stem()?, public.trunk());
    let processor = sounds(&config, stem.reach())?;
    let head = public.head(stem.tokens(processor.max_samples()))?;
    let of_head = match &head {
        Head::Transcript(head) => (head.classes as u128).saturating_mul(trunk.width as u128 + 1),
        _ => 0,
    };
    Ok(Architecture {
        parameters: stem
            .parameters()
            .saturating_add(trunk.parameters())
            .saturating_add(of_head),
        stem: Some(StemConfig::Wav2Vec2(stem)),
        place: match trunk.norm_first {
            true => place_before,
            false => place_behind,
        },
        trunk: Some(TrunkConfig::Wav2Vec2(trunk)),
        processor: ProcessorConfig::Audio(processor),
        head,
        lacks: |_| false,
    })
}
