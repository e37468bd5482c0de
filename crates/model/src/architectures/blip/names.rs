//! What `transformers` calls the tensors of BLIP.

use super::super::towers::in_block;
use super::super::{Place, bert, clip};

/// What the names of the encoder of questions begin with.
const QUESTIONS: &str = "text_encoder.";
/// What its blocks of pictures call otherwise than CLIP's.
const PROJECTION: (&str, &str) = ("self_attn.projection", "attention.output");
/// One map in the checkpoint: its rows are these, one above the other.
const JOINED: &str = "self_attn.qkv";
const JOINS: [&str; 3] = ["attention.query", "attention.key", "attention.value"];

/// Where a tensor of a model goes that writes captions.
pub(super) fn in_captions(name: &str) -> Place {
    match name.split_once('.') {
        Some(("vision_model", name)) => in_pictures(name),
        Some(("text_decoder", name)) => in_decoder(name),
        _ => Place::Unknown,
    }
}

/// Where a tensor of a model goes that answers questions, but for those of its encoder of questions.
pub(super) fn in_answers(name: &str) -> Place {
    match name.starts_with(QUESTIONS) {
        true => Place::Known,
        false => in_captions(name),
    }
}

/// Where a tensor of that encoder goes: to its stem, or to the fusion that its blocks are.
pub(super) fn in_questions(name: &str) -> Place {
    let Some(name) = name.strip_prefix(QUESTIONS) else {
        return Place::Known;
    };
    let Some((layer, parameter)) = name.rsplit_once('.') else {
        return Place::Unknown;
    };
    let stem = match layer {
        "embeddings.word_embeddings" => "words",
        "embeddings.position_embeddings" => "places",
        "embeddings.LayerNorm" => "norm",
        "embeddings" if parameter == "position_ids" => return Place::Known,
        _ => {
            let block = layer.strip_prefix("encoder.layer.").and_then(in_text_block);
            return block.map_or(Place::Unknown, |ours| Place::Head(format!("blocks.{ours}.{parameter}")));
        }
    };
    Place::Parameter(format!("stem.{stem}.{parameter}"))
}

fn in_pictures(name: &str) -> Place {
    let within = |layer| in_block(name.strip_prefix("encoder.layers.")?, &[layer]);
    let joined: Option<Vec<String>> = JOINS.iter().map(|&ours| within((JOINED, ours))).collect();
    if let Some(paths) = joined {
        return Place::Rows(paths);
    }
    let path = match name {
        "embeddings.class_embedding" => Some("trunk.class".into()),
        "embeddings.position_embedding" => Some("trunk.places".into()),
        _ => within(PROJECTION).or_else(|| clip::in_tower_of_pictures(name)),
    };
    path.map_or(Place::Unknown, Place::Parameter)
}

fn in_decoder(name: &str) -> Place {
    match name {
        // The table and the bias once more.
        "cls.predictions.decoder.weight" | "cls.predictions.decoder.bias" => return Place::Known,
        "cls.predictions.bias" => return Place::Head("decoder.bias".into()),
        "bert.embeddings.position_ids" => return Place::Known,
        _ => {}
    }
    let Some((layer, parameter)) = name.rsplit_once('.') else {
        return Place::Unknown;
    };
    let ours = match layer {
        "bert.embeddings.word_embeddings" => Some("embedding".into()),
        "bert.embeddings.position_embeddings" => Some("body.places".into()),
        "bert.embeddings.LayerNorm" => Some("body.norm".into()),
        "cls.predictions.transform.dense" => Some("body.transform.map".into()),
        "cls.predictions.transform.LayerNorm" => Some("body.transform.norm".into()),
        _ => layer
            .strip_prefix("bert.encoder.layer.")
            .and_then(in_text_block)
            .map(|ours| format!("body.blocks.{ours}")),
    };
    ours.map_or(Place::Unknown, |ours| {
        Place::Head(format!("decoder.{ours}.{parameter}"))
    })
}

/// A layer of a block over texts, with the block's number.
fn in_text_block(rest: &str) -> Option<String> {
    let (index, layer) = rest.split_once('.')?;
    if index.is_empty() || !index.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let ours = match layer {
        "crossattention.output.LayerNorm" => "cross_norm".into(),
        _ => match layer.strip_prefix("cross") {
            Some(layer) if layer.starts_with("attention.") => format!("cross_{}", bert::in_block(layer)?),
            Some(_) => return None,
            None => bert::in_block(layer)?.into(),
        },
    };
    Some(format!("{index}.{ours}"))
}
