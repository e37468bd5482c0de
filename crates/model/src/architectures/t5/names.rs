//! What `transformers` calls the tensors of T5.

use super::super::Place;

/// The table of tokens, and what it is called where encoder and decoder have one each.
const TABLE: &str = "shared.weight";
pub const OF_ENCODER: &str = "encoder.embed_tokens.weight";
const OF_DECODER: &str = "decoder.embed_tokens.weight";
/// What scores the next token, where it is not that table.
pub const OUTPUT: &str = "lm_head.weight";
/// A table of distances that versions of old gave the attention to the source, where nothing reads it.
const UNREAD: &str = "EncDecAttention.relative_attention_bias";

/// Where a tensor goes of a model that writes.
pub fn in_writer(name: &str) -> Place {
    match name {
        TABLE => Place::Shared {
            encoder: "stem.words.weight".into(),
            head: "decoder.embedding.weight".into(),
            apart: OF_ENCODER,
        },
        OF_ENCODER => Place::Parameter("stem.words.weight".into()),
        OF_DECODER => Place::Head("decoder.embedding.weight".into()),
        OUTPUT => Place::Head("decoder.output.weight".into()),
        _ => match name.split_once('.') {
            Some(("encoder", name)) => in_stack(name, 1).map(|path| Place::Parameter(format!("trunk.{path}"))),
            Some(("decoder", name)) if name.contains(UNREAD) => Some(Place::Known),
            Some(("decoder", name)) => in_stack(name, 2).map(|path| Place::Head(format!("decoder.body.stack.{path}"))),
            _ => None,
        }
        .unwrap_or(Place::Unknown),
    }
}

/// Where a tensor goes of an encoder alone, whose file may hold the decoder too.
pub fn in_encoder(name: &str) -> Place {
    match in_writer(name) {
        Place::Shared { encoder, .. } => Place::Parameter(encoder),
        Place::Head(_) => Place::Unused,
        // The same table once more.
        _ if name == OF_ENCODER => Place::Known,
        place => place,
    }
}

/// The path of a parameter in a stack whose feed-forward networks are the layer number `last` of a block.
fn in_stack(name: &str, last: usize) -> Option<String> {
    let (layer, parameter) = name.rsplit_once('.')?;
    if layer == "final_layer_norm" {
        return Some(format!("norm.{parameter}"));
    }
    let (block, layer) = layer.strip_prefix("block.")?.split_once(".layer.")?;
    let number = !block.is_empty() && block.bytes().all(|digit| digit.is_ascii_digit());
    let (part, layer) = layer.split_once('.').filter(|_| number)?;
    let part = part.parse::<usize>().ok()?;
    let ours = match (part, layer) {
        // All blocks read that of the first.
        (0, "SelfAttention.relative_attention_bias") if block == "0" => return Some(format!("positions.{parameter}")),
        (0, "layer_norm") => "attention_norm".into(),
        (0, _) => format!("attention.{}", in_attention(layer.strip_prefix("SelfAttention.")?)?),
        (part, "layer_norm") if part == last => "feed_forward_norm".into(),
        (part, _) if part == last => in_feed_forward(layer.strip_prefix("DenseReluDense.")?)?.into(),
        (1, "layer_norm") => "cross_norm".into(),
        (1, _) => format!(
            "cross_attention.{}",
            in_attention(layer.strip_prefix("EncDecAttention.")?)?
        ),
        _ => return None,
    };
    Some(format!("blocks.{block}.{ours}.{parameter}"))
}

fn in_attention(map: &str) -> Option<&'static str> {
    match map {
        "q" => Some("query"),
        "k" => Some("key"),
        "v" => Some("value"),
        "o" => Some("output"),
        _ => None,
    }
}

fn in_feed_forward(map: &str) -> Option<&'static str> {
    match map {
        "wi_0" => Some("gate"),
        "wi" | "wi_1" => Some("expand"),
        "wo" => Some("contract"),
        _ => None,
    }
}
