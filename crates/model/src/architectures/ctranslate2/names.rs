//! What `transformers` calls the variables of CTranslate2.

/// The names of the tensors that a variable holds, one above the other: several where maps of the same vectors are stored
/// as one. What is not known keeps its name.
pub fn parts(variable: &str) -> Vec<String> {
    translated(variable).unwrap_or_else(|| vec![variable.to_string()])
}

fn translated(variable: &str) -> Option<Vec<String>> {
    let (side, rest) = variable.split_once('/')?;
    if !["encoder", "decoder"].contains(&side) {
        return None;
    }
    let names = match rest.strip_prefix("layer_").and_then(|rest| rest.split_once('/')) {
        Some((index, rest)) if index.bytes().all(|digit| digit.is_ascii_digit()) => {
            let layers = in_block(rest)?.into_iter();
            layers.map(|layer| format!("{side}.layers.{index}.{layer}")).collect()
        }
        _ => vec![at_the_ends(side, rest)?],
    };
    Some(names)
}

fn at_the_ends(side: &str, rest: &str) -> Option<String> {
    let name = match rest {
        "position_encodings/encodings" => "embed_positions.weight",
        "embeddings/weight" => "embed_tokens.weight",
        "projection/weight" => return Some("proj_out.weight".into()),
        "conv1/weight" => "conv1.weight",
        "conv1/bias" => "conv1.bias",
        "conv2/weight" => "conv2.weight",
        "conv2/bias" => "conv2.bias",
        "layer_norm/gamma" => "layer_norm.weight",
        "layer_norm/beta" => "layer_norm.bias",
        _ => return None,
    };
    Some(format!("{side}.{name}"))
}

fn in_block(rest: &str) -> Option<Vec<String>> {
    let (layer, parameter) = rest.rsplit_once('/')?;
    let parameter = match parameter {
        "gamma" => "weight",
        "beta" => "bias",
        parameter => parameter,
    };
    let layers: &[&str] = match layer {
        "self_attention/layer_norm" => &["self_attn_layer_norm"],
        "self_attention/linear_0" => &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        "self_attention/linear_1" => &["self_attn.out_proj"],
        "attention/layer_norm" => &["encoder_attn_layer_norm"],
        "attention/linear_0" => &["encoder_attn.q_proj"],
        "attention/linear_1" => &["encoder_attn.k_proj", "encoder_attn.v_proj"],
        "attention/linear_2" => &["encoder_attn.out_proj"],
        "ffn/layer_norm" => &["final_layer_norm"],
        "ffn/linear_0" => &["fc1"],
        "ffn/linear_1" => &["fc2"],
        _ => return None,
    };
    Some(layers.iter().map(|layer| format!("{layer}.{parameter}")).collect())
}

#[test]
fn joined_maps_are_named_apart() {
    let check = |variable: &str, expected: &[&str]| assert_eq!(parts(variable), expected, "{variable}");
    check(
        "decoder/layer_11/attention/linear_1/bias",
        &[
            "decoder.layers.11.encoder_attn.k_proj.bias",
            "decoder.layers.11.encoder_attn.v_proj.bias",
        ],
    );
    check("encoder/layer_norm/gamma", &["encoder.layer_norm.weight"]);
    check("decoder/projection/weight", &["proj_out.weight"]);
    check(
        "encoder/layer_x/ffn/linear_0/weight",
        &["encoder/layer_x/ffn/linear_0/weight"],
    );
    check(
        "encoder/layer_0/ffn/linear_0/weight_scale",
        &["encoder.layers.0.fc1.weight_scale"],
    );
    check("other", &["other"]);
}
