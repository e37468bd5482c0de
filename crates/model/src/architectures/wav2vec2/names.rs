//! The names of wav2vec 2.0's and HuBERT's tensors, as `transformers` has them.

use super::super::Place;

/// What the names of parts begin with that are not read: those of other heads, and of the training before.
const UNUSED: [&str; 8] = [
    "quantizer.",
    "project_q.",
    "project_hid.",
    "projector.",
    "classifier.",
    "layer_weights",
    "tdnn.",
    "masked_spec_embed",
];

/// Where a tensor goes of a model whose norms stand behind its parts.
pub fn place_behind(name: &str) -> Place {
    place(name, "trunk.norm_before")
}

/// And of one whose norms stand in front.
pub fn place_before(name: &str) -> Place {
    place(name, "trunk.norm")
}

/// `norm` is the one that does not belong to a block.
fn place(name: &str, norm: &str) -> Place {
    let name = name
        .strip_prefix("wav2vec2.")
        .or(name.strip_prefix("hubert."))
        .unwrap_or(name);
    if let Some(parameter) = name.strip_prefix("lm_head.") {
        return Place::Head(format!("output.{parameter}"));
    }
    if UNUSED.iter().any(|part| name.starts_with(part)) {
        return Place::Unused;
    }
    if let Some(parameter) = name.strip_prefix("encoder.pos_conv_embed.conv.") {
        return in_positions(parameter).map_or(Place::Unknown, |ours| {
            Place::Parameter(format!("trunk.positions.{ours}"))
        });
    }
    let Some((layer, parameter)) = name.rsplit_once('.') else {
        return Place::Unknown;
    };
    let path = match layer {
        "feature_projection.layer_norm" => Some("stem.norm".into()),
        "feature_projection.projection" => Some("stem.projection".into()),
        "encoder.layer_norm" => Some(norm.into()),
        _ => in_convolution(layer).or_else(|| in_block(layer)),
    };
    path.map_or(Place::Unknown, |path: String| {
        Place::Parameter(format!("{path}.{parameter}"))
    })
}

/// A weight under the names of either of PyTorch's normalisations of weights.
fn in_positions(parameter: &str) -> Option<&'static str> {
    Some(match parameter {
        "weight_g" | "parametrizations.weight.original0" => "length",
        "weight_v" | "parametrizations.weight.original1" => "direction",
        "bias" => "bias",
        _ => return None,
    })
}

fn in_convolution(layer: &str) -> Option<String> {
    let (index, layer) = numbered(layer, "feature_extractor.conv_layers.")?;
    match layer {
        "conv" => Some(format!("stem.convolutions.{index}")),
        "layer_norm" => Some(format!("stem.convolutions.{index}.norm")),
        _ => None,
    }
}

fn in_block(layer: &str) -> Option<String> {
    let (index, layer) = numbered(layer, "encoder.layers.")?;
    let ours = match layer {
        "attention.q_proj" => "attention.query",
        "attention.k_proj" => "attention.key",
        "attention.v_proj" => "attention.value",
        "attention.out_proj" => "attention.output",
        "layer_norm" => "attention_norm",
        "feed_forward.intermediate_dense" => "expand",
        "feed_forward.output_dense" => "contract",
        "final_layer_norm" => "feed_forward_norm",
        _ => return None,
    };
    Some(format!("trunk.blocks.{index}.{ours}"))
}

/// The number behind `start`, and what follows it.
fn numbered<'a>(layer: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    let (index, layer) = layer.strip_prefix(start)?.split_once('.')?;
    index
        .bytes()
        .all(|digit| digit.is_ascii_digit())
        .then_some((index, layer))
}
