//! GPT-2 (Radford et al. 2019).

use super::{Described, Place, PublicTokens, at_least_one, expect, in_block, share, times};
use crate::architectures::Architecture;
use crate::decoder::{DecoderConfig, TransformerDecoderConfig};
use crate::layers::Activation;
use serde::Deserialize;

/// How many times wider the hidden layer of a feed-forward network is.
const EXPANSION: usize = 4;
/// What is added to the variance in each normalisation.
const EPSILON: f64 = 1e-5;
/// The token that begins and ends texts where the configuration names none.
const END: u32 = 50_256;

/// What is read of a `config.json`; what is missing is as `transformers` has it.
#[derive(Deserialize)]
#[serde(default)]
struct Public {
    #[serde(flatten)]
    tokens: PublicTokens,
    n_positions: usize,
    n_embd: usize,
    n_layer: usize,
    n_head: usize,
    n_inner: Option<usize>,
    activation_function: String,
    resid_pdrop: f64,
    layer_norm_epsilon: f64,
    scale_attn_weights: bool,
    scale_attn_by_inverse_layer_idx: bool,
    add_cross_attention: bool,
    tie_word_embeddings: bool,
}

impl Default for Public {
    fn default() -> Self {
        Self {
            tokens: PublicTokens {
                vocab_size: 50_257,
                bos_token_id: None,
                eos_token_id: None,
            },
            n_positions: 1024,
            n_embd: 768,
            n_layer: 12,
            n_head: 12,
            n_inner: None,
            activation_function: "gelu_new".into(),
            resid_pdrop: 0.1,
            layer_norm_epsilon: EPSILON,
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
            add_cross_attention: false,
            tie_word_embeddings: true,
        }
    }
}

impl Public {
    fn check(&self) -> Result<(), String> {
        at_least_one(&[
            ("n_embd", self.n_embd),
            ("n_layer", self.n_layer),
            ("n_head", self.n_head),
            ("vocab_size", self.tokens.vocab_size),
        ])?;
        if self.n_positions < 2 {
            return Err(format!("n_positions: expected at least 2, found {}", self.n_positions));
        }
        let width = self.n_embd;
        if !width.is_multiple_of(self.n_head) {
            return Err(format!(
                "n_head: expected a divisor of n_embd {width}, found {}",
                self.n_head
            ));
        }
        let hidden = width.saturating_mul(EXPANSION);
        expect("n_inner", self.n_inner.unwrap_or(hidden), hidden)?;
        expect("layer_norm_epsilon", self.layer_norm_epsilon, EPSILON)?;
        expect("scale_attn_weights", self.scale_attn_weights, true)?;
        let scaled = self.scale_attn_by_inverse_layer_idx;
        expect("scale_attn_by_inverse_layer_idx", scaled, false)?;
        expect("add_cross_attention", self.add_cross_attention, false)?;
        expect("tie_word_embeddings", self.tie_word_embeddings, true)?;
        share("resid_pdrop", self.resid_pdrop)
    }

    /// The numbers that the tensors hold.
    fn parameters(&self) -> u128 {
        let of = |size: usize| size as u128;
        let width = of(self.n_embd);
        let block = times(width, times(width, 12).saturating_add(13));
        let rows = of(self.tokens.vocab_size) + of(self.n_positions) + 2;
        times(of(self.n_layer), block).saturating_add(times(rows, width))
    }
}

/// The architecture that a configuration describes, or what is wrong with it.
pub(super) fn read(config: serde_json::Value) -> Result<Architecture, String> {
    let mut public: Public = serde_json::from_value(config).map_err(|error| error.to_string())?;
    public.check()?;
    let end = || Some(super::Ids::One(END));
    public.tokens.bos_token_id = public.tokens.bos_token_id.or_else(end);
    public.tokens.eos_token_id = public.tokens.eos_token_id.or_else(end);
    let decoder = TransformerDecoderConfig {
        width: public.n_embd,
        layers: public.n_layer,
        heads: public.n_head,
        dropout: public.resid_pdrop,
        places: Some(public.n_positions),
        activation: Activation::named(&public.activation_function, "activation_function")?,
        ..TransformerDecoderConfig::default()
    };
    Described {
        decoder: DecoderConfig::Transformer(decoder),
        places: public.n_positions,
        parameters: public.parameters(),
        tokens: public.tokens,
        place,
        lacks: |path| path.ends_with(".decoder.bias"),
    }
    .architecture()
}

fn place(name: &str) -> Place {
    let name = name.strip_prefix("transformer.").unwrap_or(name);
    let Some((layer, parameter)) = name.rsplit_once('.') else {
        return Place::Unknown;
    };
    let path = |ours: &str| format!("decoder.{ours}.{parameter}");
    match layer {
        // The table of tokens once more.
        "lm_head" => return Place::Known,
        "wte" => return Place::Head(path("embedding")),
        "wpe" => return Place::Head(path("body.places")),
        "ln_f" => return Place::Head(path("body.norm")),
        _ => {}
    }
    if let Some(ours) = in_block(layer, "h.", norm) {
        return Place::Head(path(&ours));
    }
    if let Some(ours) = in_block(layer, "h.", map) {
        return Place::Parts(vec![path(&ours)]);
    }
    match in_block(layer, "h.", joined) {
        Some(ours) => Place::Parts(
            ["query", "key", "value"]
                .map(|map| path(&format!("{ours}.{map}")))
                .into(),
        ),
        None => in_mask(layer, parameter),
    }
}

fn norm(layer: &str) -> Option<&'static str> {
    match layer {
        "ln_1" => Some("attention_norm"),
        "ln_2" => Some("feed_forward_norm"),
        _ => None,
    }
}

/// A map whose weight is stored as [input, output].
fn map(layer: &str) -> Option<&'static str> {
    match layer {
        "attn.c_proj" => Some("attention.output"),
        "mlp.c_fc" => Some("expand"),
        "mlp.c_proj" => Some("contract"),
        _ => None,
    }
}

/// The map to queries, keys and values.
fn joined(layer: &str) -> Option<&'static str> {
    (layer == "attn.c_attn").then_some("attention")
}

/// Older checkpoints hold what hides later tokens.
fn in_mask(layer: &str, parameter: &str) -> Place {
    let attention = in_block(layer, "h.", |layer| (layer == "attn").then_some("attention"));
    match attention.is_some() && ["bias", "masked_bias"].contains(&parameter) {
        true => Place::Known,
        false => Place::Unknown,
    }
}
