//! Two towers, one of pictures and one of texts, as the configurations of CLIP and SigLIP, and of BLIP, describe them.

use super::{BlocksConfig, Pictures, Sides};
use crate::layers::Activation;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

const TEXTS: &str = "text_config.";
const VISION: &str = "vision_config.";

/// What is read of a `config.json`.
pub struct Pair {
    texts: Texts,
    vision: Vision,
}

#[derive(Deserialize)]
struct Texts {
    #[serde(flatten)]
    tower: Tower,
    vocab_size: usize,
    max_position_embeddings: usize,
}

#[derive(Deserialize)]
struct Vision {
    #[serde(flatten)]
    tower: Tower,
    num_channels: usize,
    image_size: Sides,
    patch_size: Sides,
}

/// What both have.
#[derive(Deserialize)]
struct Tower {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    hidden_act: String,
    layer_norm_eps: f64,
    #[serde(default)]
    hidden_dropout_prob: f64,
}

impl Pair {
    /// What a configuration leaves out is as in `usual`, which has the same parts.
    ///
    /// # Errors
    /// For values of another kind than expected, by the part that they stand in.
    pub fn read(config: &mut Value, usual: &Value) -> Result<Self, String> {
        for part in ["text_config", "vision_config"] {
            let mut whole = usual[part].clone();
            // Old configurations hold parts twice, of which the one called `…_dict` goes before.
            for name in [part.to_string(), format!("{part}_dict")] {
                if let (Some(whole), Some(Value::Object(given))) = (whole.as_object_mut(), config.get(name)) {
                    whole.extend(given.clone());
                }
            }
            config[part] = whole;
        }
        Ok(Self {
            texts: part(config, "text_config")?,
            vision: part(config, "vision_config")?,
        })
    }

    pub fn texts(&self) -> Result<BlocksConfig, String> {
        self.texts.tower.blocks(TEXTS)
    }

    pub fn vision(&self) -> Result<BlocksConfig, String> {
        self.vision.tower.blocks(VISION)
    }

    /// The tokens that there are vectors for, and the longest text.
    pub fn vocabulary(&self) -> Result<[usize; 2], String> {
        let (vocabulary, places) = (self.texts.vocab_size, self.texts.max_position_embeddings);
        let sizes = [
            ("vocab_size", vocabulary, 1_000_000),
            ("max_position_embeddings", places, 65_536),
        ];
        match sizes.iter().find(|(_, size, most)| !(1..=*most).contains(size)) {
            Some((name, size, most)) => Err(format!("{TEXTS}{name}: expected 1 to {most}, found {size}")),
            None => Ok([vocabulary, places]),
        }
    }

    pub fn pictures(&self) -> Result<Pictures, String> {
        let vision = &self.vision;
        Pictures::new(VISION, vision.image_size, vision.patch_size, vision.num_channels)
    }
}

fn part<T: DeserializeOwned>(config: &Value, name: &str) -> Result<T, String> {
    serde_json::from_value(config[name].clone()).map_err(|error| format!("{name}: {error}"))
}

impl Tower {
    fn blocks(&self, part: &str) -> Result<BlocksConfig, String> {
        let blocks = BlocksConfig {
            width: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            hidden: self.intermediate_size,
            epsilon: self.layer_norm_eps,
            activation: Activation::named(&self.hidden_act, &format!("{part}hidden_act"))?,
            layer_scale: false,
            dropout: self.hidden_dropout_prob,
            drop_path: 0.0,
        };
        blocks.check(part)?;
        Ok(blocks)
    }
}
