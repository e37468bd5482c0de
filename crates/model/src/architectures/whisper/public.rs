//! What a configuration says of an encoder like Whisper's.

use super::WhisperStemConfig;
use crate::layers::PositionKind;
use crate::trunks::TransformerConfig;
use sensorium_data::processors::{AudioConfig, AudioFeatures, LogMelConfig};
use serde::Deserialize;

/// How many times wider the hidden layer of a feed-forward network is.
const EXPANSION: usize = 4;
/// Samples a second, and of them those from one token of the encoder to the next.
const SAMPLE_RATE: u32 = 16_000;
const SAMPLES_OF_TOKEN: usize = 320;
/// The longest sound that an encoder may have places for, in its tokens: an hour.
const MOST_PLACES: usize = 180_000;

#[derive(Deserialize)]
pub struct PublicEncoder {
    pub d_model: usize,
    encoder_layers: usize,
    encoder_attention_heads: usize,
    encoder_ffn_dim: usize,
    max_source_positions: usize,
    #[serde(default = "default_mels")]
    num_mel_bins: usize,
    #[serde(default = "default_activation")]
    activation_function: String,
    #[serde(default)]
    scale_embedding: bool,
    #[serde(default)]
    pub dropout: f64,
}

fn default_mels() -> usize {
    80
}

fn default_activation() -> String {
    "gelu".into()
}

impl PublicEncoder {
    /// Every size must be one, and fit the others.
    pub fn check(&self) -> Result<(), String> {
        let sizes = [
            ("encoder_layers", self.encoder_layers),
            ("num_mel_bins", self.num_mel_bins),
            ("max_source_positions", self.max_source_positions),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(format!("{name}: expected at least 1, found 0"));
        }
        if self.max_source_positions > MOST_PLACES {
            let found = self.max_source_positions;
            return Err(format!(
                "max_source_positions: expected at most {MOST_PLACES}, found {found}"
            ));
        }
        let heads = ("encoder_attention_heads", self.encoder_attention_heads);
        self.check_widths(heads, ("encoder_ffn_dim", self.encoder_ffn_dim))?;
        self.check_computed()
    }

    /// Refuses numbers of heads, and hidden layers, that do not fit the width.
    pub fn check_widths(&self, heads: (&str, usize), hidden: (&str, usize)) -> Result<(), String> {
        let ((name, heads), width) = (heads, self.d_model);
        if heads == 0 || width == 0 || !width.is_multiple_of(heads) {
            return Err(format!("{name}: expected a divisor of d_model {width}, found {heads}"));
        }
        let ((name, found), expected) = (hidden, width.saturating_mul(EXPANSION));
        match found == expected {
            true => Ok(()),
            false => Err(format!(
                "{name}: expected {expected}, {EXPANSION} times d_model, found {found}"
            )),
        }
    }

    /// Refuses what would be computed otherwise here.
    fn check_computed(&self) -> Result<(), String> {
        if self.activation_function != "gelu" {
            let found = &self.activation_function;
            return Err(format!(
                "activation_function: expected `gelu`, found `{found}`, which is not known here"
            ));
        }
        if self.scale_embedding {
            return Err("scale_embedding: expected false, found true, which is not known here".into());
        }
        match (0.0..1.0).contains(&self.dropout) {
            true => Ok(()),
            false => Err(format!(
                "dropout: expected a number from 0 to below 1, found {}",
                self.dropout
            )),
        }
    }

    /// The numbers that its tensors hold.
    pub fn parameters(&self) -> u128 {
        let of = |size: usize| size as u128;
        let (width, mels) = (of(self.d_model), of(self.num_mel_bins));
        let stem = width
            .saturating_mul(3 * mels + 2)
            .saturating_add(width.saturating_mul(width).saturating_mul(3));
        let tables = width.saturating_mul(of(self.max_source_positions) + 2);
        let blocks = of(self.encoder_layers).saturating_mul(self.block(1));
        stem.saturating_add(tables).saturating_add(blocks)
    }

    /// Those of a block with so many attentions.
    pub fn block(&self, attentions: u128) -> u128 {
        let width = self.d_model as u128;
        let square = width.saturating_mul(width);
        let attention = square.saturating_mul(4).saturating_add(5 * width);
        let feed_forward = square.saturating_mul(8).saturating_add(7 * width);
        attention.saturating_mul(attentions).saturating_add(feed_forward)
    }

    pub fn processor(&self) -> AudioConfig {
        let seconds = (self.max_source_positions * SAMPLES_OF_TOKEN) as f64 / f64::from(SAMPLE_RATE);
        AudioConfig {
            sample_rate: SAMPLE_RATE,
            max_seconds: seconds,
            features: AudioFeatures::LogMel(LogMelConfig {
                mels: self.num_mel_bins,
                pad_to_seconds: Some(seconds),
                ..LogMelConfig::default()
            }),
            ..AudioConfig::default()
        }
    }

    pub fn stem(&self) -> WhisperStemConfig {
        WhisperStemConfig {
            width: self.d_model,
            places: self.max_source_positions,
            hears_behind: false,
        }
    }

    pub fn trunk(&self) -> TransformerConfig {
        TransformerConfig {
            width: self.d_model,
            layers: self.encoder_layers,
            heads: self.encoder_attention_heads,
            expansion: EXPANSION,
            // Waves, but other ones than those of this program: the checkpoint brings them along.
            positions: PositionKind::Learned,
            dropout: self.dropout,
            ..TransformerConfig::default()
        }
    }
}
