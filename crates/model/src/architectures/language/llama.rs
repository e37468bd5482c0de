//! Llama (Touvron et al. 2023) and what is built like it: SmolLM2, Qwen2 and Qwen3.

use super::rope::{self, PublicRope};
use super::{Described, Ids, Place, PublicTokens, at_least_one, expect, in_block, share, times};
use crate::architectures::Architecture;
use crate::decoder::{DecoderConfig, LlamaDecoderConfig, Vocabulary};
use crate::layers::AttentionBias;
use serde::Deserialize;
use serde_json::json;

/// What the layers of a block are called there and here.
const BLOCK: [(&str, &str); 11] = [
    ("input_layernorm", "attention_norm"),
    ("self_attn.q_proj", "attention.query"),
    ("self_attn.k_proj", "attention.key"),
    ("self_attn.v_proj", "attention.value"),
    ("self_attn.o_proj", "attention.output"),
    ("self_attn.q_norm", "attention.query_norm"),
    ("self_attn.k_norm", "attention.key_norm"),
    ("post_attention_layernorm", "feed_forward_norm"),
    ("mlp.gate_proj", "gate"),
    ("mlp.up_proj", "expand"),
    ("mlp.down_proj", "contract"),
];
/// The one kind of layer that is computed here.
const FULL: &str = "full_attention";

/// What is read of a `config.json`.
#[derive(Deserialize)]
struct Public {
    #[serde(flatten)]
    tokens: PublicTokens,
    #[serde(flatten)]
    rope: PublicRope,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    #[serde(default = "default_activation")]
    hidden_act: String,
    max_position_embeddings: usize,
    #[serde(default = "default_epsilon")]
    rms_norm_eps: f64,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
    sliding_window: Option<usize>,
    layer_types: Option<Vec<String>>,
    /// Whether neighbouring columns turn together, in the place of those that lie half a head apart.
    rope_interleaved: Option<bool>,
}

fn default_activation() -> String {
    "silu".into()
}

fn default_epsilon() -> f64 {
    1e-6
}

impl Public {
    fn check(&self, kind: &str) -> Result<(), String> {
        at_least_one(&[
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.key_heads()),
            ("head_dim", self.head_width()),
            ("vocab_size", self.tokens.vocab_size),
        ])?;
        if self.max_position_embeddings < 2 {
            let found = self.max_position_embeddings;
            return Err(format!("max_position_embeddings: expected at least 2, found {found}"));
        }
        self.check_heads()?;
        if self.hidden_act != "silu" {
            let found = &self.hidden_act;
            return Err(format!(
                "hidden_act: expected `silu`, found `{found}`, which is not known here"
            ));
        }
        share("rms_norm_eps", self.rms_norm_eps)?;
        expect("rope_interleaved", self.rope_interleaved.unwrap_or(false), false)?;
        self.check_windows(kind)
    }

    fn check_heads(&self) -> Result<(), String> {
        let (width, heads, key_heads) = (self.hidden_size, self.num_attention_heads, self.key_heads());
        if self.head_dim.is_none() && !width.is_multiple_of(heads) {
            return Err(format!(
                "num_attention_heads: expected a divisor of hidden_size {width}, found {heads}"
            ));
        }
        if !heads.is_multiple_of(key_heads) {
            return Err(format!(
                "num_key_value_heads: expected a divisor of num_attention_heads {heads}, found {key_heads}"
            ));
        }
        match self.head_width() {
            even if even.is_multiple_of(2) => Ok(()),
            odd => Err(format!("head_dim: expected an even number, found {odd}")),
        }
    }

    /// Every layer must see the whole text.
    fn check_windows(&self, kind: &str) -> Result<(), String> {
        expect("use_sliding_window", self.use_sliding_window, false)?;
        // The others ignore it unless they are told to use it.
        if let ("llama", Some(window)) = (kind, self.sliding_window) {
            return Err(format!(
                "sliding_window: expected none, found {window}, which is not known here"
            ));
        }
        let other = self.layer_types.iter().flatten().find(|layer| *layer != FULL);
        match other {
            Some(other) => Err(format!(
                "layer_types: expected `{FULL}`, found `{other}`, which is not known here"
            )),
            None => Ok(()),
        }
    }

    fn key_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    fn head_width(&self) -> usize {
        self.head_dim
            .unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    fn decoder(&self, kind: &str) -> Result<LlamaDecoderConfig, String> {
        let (base, stretch) = self.rope.read(self.max_position_embeddings)?;
        let attention_bias = match (kind, self.attention_bias) {
            // It has no such setting.
            ("qwen2", _) => AttentionBias::Inputs,
            (_, true) => AttentionBias::All,
            (_, false) => AttentionBias::None,
        };
        Ok(LlamaDecoderConfig {
            width: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            key_heads: Some(self.key_heads()),
            head_width: Some(self.head_width()),
            hidden: Some(self.intermediate_size),
            base,
            stretch,
            sections: None,
            epsilon: self.rms_norm_eps,
            head_norms: kind == "qwen3",
            attention_bias,
            feed_forward_bias: kind == "llama" && self.mlp_bias,
            tied: self.tie_word_embeddings,
            dropout: 0.0,
        })
    }

    /// The numbers that the tensors hold, biases left aside.
    fn parameters(&self) -> u128 {
        let of = |size: usize| size as u128;
        let (width, head) = (of(self.hidden_size), of(self.head_width()));
        let heads = 2 * (of(self.num_attention_heads) + of(self.key_heads()));
        let attention = times(times(heads, head), width);
        let feed_forward = times(times(3, of(self.intermediate_size)), width);
        let block = attention.saturating_add(feed_forward).saturating_add(2 * width);
        let tables = if self.tie_word_embeddings { 1 } else { 2 };
        let rows = times(tables, of(self.tokens.vocab_size)) + 1;
        times(of(self.num_hidden_layers), block).saturating_add(times(rows, width))
    }
}

/// The architecture that a configuration of the type `kind` describes, or what is wrong with it.
pub(super) fn read(kind: &str, config: serde_json::Value) -> Result<Architecture, String> {
    let mut public: Public = serde_json::from_value(config).map_err(|error| error.to_string())?;
    // What `transformers` has where it is missing.
    if kind == "llama" {
        public.tokens.bos_token_id = public.tokens.bos_token_id.or(Some(Ids::One(1)));
        public.tokens.eos_token_id = public.tokens.eos_token_id.or(Some(Ids::One(2)));
    }
    if kind == "qwen3" {
        public.head_dim = public.head_dim.or(Some(128));
    }
    public.check(kind)?;
    Described {
        decoder: DecoderConfig::Llama(public.decoder(kind)?),
        places: public.max_position_embeddings,
        parameters: public.parameters(),
        tokens: public.tokens,
        place: match public.tie_word_embeddings {
            true => tied,
            false => place,
        },
        lacks: |_| false,
    }
    .architecture()
}

/// Where a tensor goes of a model whose table also scores the next token.
pub(super) fn tied(name: &str) -> Place {
    match name {
        "lm_head.weight" => Place::Known,
        _ => place(name),
    }
}

pub(super) fn place(name: &str) -> Place {
    let name = name.strip_prefix("model.").unwrap_or(name);
    // What turns follows from the configuration.
    if name.ends_with("rotary_emb.inv_freq") {
        return Place::Known;
    }
    let Some((layer, parameter)) = name.rsplit_once('.') else {
        return Place::Unknown;
    };
    let ours = match layer {
        "embed_tokens" => Some("embedding".into()),
        "norm" => Some("body.norm".into()),
        "lm_head" => Some("output".into()),
        _ => in_block(layer, "layers.", of_block),
    };
    ours.map_or(Place::Unknown, |ours| {
        Place::Head(format!("decoder.{ours}.{parameter}"))
    })
}

fn of_block(layer: &str) -> Option<&'static str> {
    let mut known = BLOCK.iter();
    known.find_map(|(theirs, ours)| (*theirs == layer).then_some(*ours))
}

/// The configuration of a decoder that was made here, of the type among these that has all of its settings; none where there is
/// no such type.
pub(in super::super) fn written(
    decoder: &LlamaDecoderConfig,
    vocabulary: &Vocabulary,
    places: usize,
) -> Option<serde_json::Value> {
    let (biased, expanded) = (decoder.attention_bias, decoder.feed_forward_bias);
    let (kind, name) = match (decoder.head_norms, biased, expanded) {
        (false, AttentionBias::None | AttentionBias::All, _) => ("llama", "LlamaForCausalLM"),
        (false, AttentionBias::Inputs, false) => ("qwen2", "Qwen2ForCausalLM"),
        (true, AttentionBias::None | AttentionBias::All, false) => ("qwen3", "Qwen3ForCausalLM"),
        _ => return None,
    };
    if decoder.sections.is_some() {
        return None;
    }
    Some(json!({
        "architectures": [name],
        "model_type": kind,
        "dtype": "float32",
        "vocab_size": vocabulary.size,
        "bos_token_id": vocabulary.begin,
        "eos_token_id": vocabulary.end,
        "hidden_size": decoder.width,
        "intermediate_size": decoder.hidden(),
        "num_hidden_layers": decoder.layers,
        "num_attention_heads": decoder.heads,
        "num_key_value_heads": decoder.key_heads(),
        "head_dim": decoder.head_width(),
        "hidden_act": "silu",
        "max_position_embeddings": places,
        "rms_norm_eps": decoder.epsilon,
        "rope_theta": decoder.base,
        "rope_parameters": rope::written(decoder.base, decoder.stretch.as_ref()),
        "tie_word_embeddings": decoder.tied,
        "attention_bias": biased == AttentionBias::All,
        "mlp_bias": expanded,
    }))
}

/// The names that tensors may have of a model with so many `layers`.
pub(in super::super) fn names(layers: usize) -> impl Iterator<Item = String> {
    let blocks = (0..layers).flat_map(|index| {
        BLOCK
            .iter()
            .map(move |(layer, _)| format!("model.layers.{index}.{layer}"))
    });
    let around = ["model.embed_tokens", "model.norm", "lm_head"].map(String::from);
    let named = around.into_iter().chain(blocks);
    named.flat_map(|layer| ["weight", "bias"].map(|parameter| format!("{layer}.{parameter}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architectures::Head;
    use crate::decoder::StretchConfig;

    /// What is written is read as the same decoder.
    #[test]
    fn a_configuration_comes_back() {
        let vocabulary = Vocabulary {
            size: 300,
            begin: 2,
            end: 3,
        };
        let check = |kind: &str, decoder: LlamaDecoderConfig| {
            let config = written(&decoder, &vocabulary, 64).unwrap();
            assert_eq!(config["model_type"], kind);
            let Head::Continuation(head) = read(kind, config).unwrap().head else {
                panic!("a language model");
            };
            let whole = LlamaDecoderConfig {
                key_heads: Some(decoder.key_heads()),
                head_width: Some(decoder.head_width()),
                hidden: Some(decoder.hidden()),
                dropout: 0.0,
                ..decoder
            };
            assert_eq!(
                (head.task.decoder, head.task.context),
                (DecoderConfig::Llama(whole), 64)
            );
            assert_eq!(head.vocabulary, vocabulary);
        };
        check("llama", LlamaDecoderConfig::default());
        let odd = LlamaDecoderConfig {
            width: 20,
            heads: 6,
            key_heads: Some(2),
            head_width: Some(8),
            hidden: Some(30),
            base: 5e5,
            stretch: Some(StretchConfig::Linear { factor: 2.0 }),
            epsilon: 1e-5,
            attention_bias: AttentionBias::All,
            feed_forward_bias: true,
            tied: false,
            ..LlamaDecoderConfig::default()
        };
        check("llama", odd.clone());
        let biased = |head_norms, attention_bias| LlamaDecoderConfig {
            head_norms,
            attention_bias,
            ..LlamaDecoderConfig::default()
        };
        check("qwen2", biased(false, AttentionBias::Inputs));
        check("qwen3", biased(true, AttentionBias::All));
        assert_eq!(written(&biased(true, AttentionBias::Inputs), &vocabulary, 64), None);
    }
}
