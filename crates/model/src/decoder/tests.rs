//! Every decoder: gradients reach all parameters and are right, steps are what the whole text gives, and packing changes
//! nothing.

use super::*;
use crate::checkpoint::{HostTensors, from_host, to_host, to_vec};
use crate::parameters::{gradients, parameters};
use crate::tokens::Layout;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

const VOCABULARY: usize = 11;
const MEMORY: usize = 6;
static TEXTS: [[u32; 6]; 2] = [[3, 7, 1, 10, 0, 7], [5, 2, 2, 9, 4, 8]];

fn decoders() -> Vec<serde_json::Value> {
    vec![
        json!({"kind": "gru", "width": 8, "dropout": 0.0}),
        json!({"kind": "transformer", "width": 8, "layers": 2, "heads": 2, "dropout": 0.0}),
        json!({
            "kind": "transformer", "width": 8, "layers": 1, "heads": 2, "dropout": 0.0, "places": 8,
            "activation": "gelu_tanh"
        }),
        json!({
            "kind": "transformer", "width": 8, "layers": 2, "heads": 2, "dropout": 0.0, "places": 8, "hidden": 12, "norms": "after",
            "epsilon": 1e-12, "transform": true
        }),
        json!({"kind": "llama", "width": 8, "layers": 2, "heads": 2, "dropout": 0.0}),
        json!({
            "kind": "llama", "width": 8, "layers": 2, "heads": 4, "key_heads": 2, "head_width": 6, "hidden": 10,
            "head_norms": true, "attention_bias": "all", "feed_forward_bias": true, "tied": false, "dropout": 0.0,
            "base": 100.0, "stretch": {"kind": "linear", "factor": 2.0}
        }),
        json!({
            "kind": "llama", "width": 8, "layers": 1, "heads": 4, "key_heads": 1, "attention_bias": "inputs", "dropout": 0.0,
            "stretch": {"kind": "llama3", "factor": 4.0, "low_frequency": 1.0, "high_frequency": 4.0, "places": 16}
        }),
    ]
}

/// Each with a source and without one.
fn for_each(device: &Device, check: impl Fn(&str, Decoder, Option<&Tokens>)) {
    for config in decoders() {
        for memory in [None, Some(MEMORY)] {
            let name = format!("{config}, memory {memory:?}");
            let config: DecoderConfig = serde_json::from_value(config.clone()).unwrap();
            let init = Init::new(5, device);
            let decoder = Decoder::new(&config, [VOCABULARY, 6], memory, &init).unwrap();
            let source = init.at("memory").normal("x", [2, 3, MEMORY], 1.0).val();
            let source = Tokens::full(source.without_autodiff(), Layout::Sequence);
            check(&name, decoder, memory.map(|_| &source));
        }
    }
}

fn texts() -> Tensor<2, Int> {
    let tokens = TEXTS.concat().into_iter().map(i64::from).collect();
    Tensor::from_data(TensorData::new::<i64, _>(tokens, [2, 6]), &Device::flex())
}

/// A number that all logits go into, each in another way.
fn loss(decoder: &Decoder, memory: Option<&Tokens>) -> Tensor<1> {
    let logits = decoder.forward(texts(), memory, &Pass::evaluation());
    let shape = logits.dims();
    let weights = Init::new(9, &Device::flex()).normal("weights", shape, 1.0).val();
    (logits * weights).sum()
}

#[test]
fn the_gradient_reaches_every_parameter_and_is_right() {
    for_each(&Device::flex().autodiff(), |name, decoder, memory| {
        let found = gradients(&decoder, &mut loss(&decoder, memory).backward());
        let found: BTreeMap<String, Vec<f32>> = found.into_iter().map(|(path, one)| (path, to_vec(one))).collect();
        for path in parameters(&decoder).keys() {
            let largest = found
                .get(path)
                .map(|one| one.iter().fold(0.0f32, |most, x| most.max(x.abs())));
            // A key's bias shifts all scores of a query alike, unless it turns.
            let shift = path.ends_with("key.bias");
            let reached = largest.is_some_and(|largest| largest.is_finite() && (largest > 0.0 || shift));
            assert!(reached, "{name}: the gradient of {path} is {largest:?}");
        }
        let square: f64 = found.values().flatten().map(|one| f64::from(*one).powi(2)).sum();
        let at = |length: f64| {
            let moved = from_host(decoder.clone(), along(&decoder, &found, length), Path::new("moved")).unwrap();
            f64::from(loss(&moved, memory).into_scalar::<f32>())
        };
        let error = |size: f64| {
            let length = size / square.sqrt();
            ((at(length) - at(-length)) / (2.0 * length) - square).abs() / square
        };
        let errors = [2e-2, 5e-3, 1e-3].map(error);
        assert!(errors.iter().any(|error| *error < 0.01), "{name}: {errors:?}");
    });
}

fn along(decoder: &Decoder, gradient: &BTreeMap<String, Vec<f32>>, length: f64) -> HostTensors {
    let mut moved = to_host(decoder);
    for (path, direction) in gradient {
        let values = moved.get_mut(path).unwrap().values.iter_mut();
        values
            .zip(direction)
            .for_each(|(value, slope)| *value += (length * f64::from(*slope)) as f32);
    }
    moved
}

/// The logits behind each of some parts of so many tokens, which are read one after the other. Sequences without a source
/// exchange their places behind each.
fn stepped(decoder: &Decoder, memory: Option<&Tokens>, parts: &[usize]) -> Vec<Vec<f32>> {
    let mut state = decoder.start(2, memory, 6, &Device::flex());
    let (mut first, mut order) = (0, [0, 1]);
    let read = |length: &usize| {
        let tokens = order.map(|row| &TEXTS[row][first..first + length]);
        let logits = to_vec(decoder.read(&tokens, &mut state));
        let of = |row: usize| &logits[usize::from(order[0] != row) * VOCABULARY..][..VOCABULARY];
        let found = [of(0), of(1)].concat();
        first += length;
        if memory.is_none() {
            state.reorder(&[1, 0]);
            order.reverse();
        }
        found
    };
    parts.iter().map(read).collect()
}

#[test]
fn steps_with_a_cache_give_what_the_whole_text_gives() {
    for_each(&Device::flex(), |name, decoder, memory| {
        let whole = to_vec(decoder.forward(texts(), memory, &Pass::evaluation()));
        let packed = decoder.clone().pack(Precision::Float32);
        for decoder in [&decoder, &packed] {
            for parts in [&[1usize; 6][..], &[4, 1, 1], &[1, 5], &[6]] {
                let mut end = 0;
                for (found, length) in stepped(decoder, memory, parts).iter().zip(parts) {
                    end += length;
                    let expected = (0..2).flat_map(|row| {
                        let at = (row * 6 + end - 1) * VOCABULARY;
                        whole[at..at + VOCABULARY].to_vec()
                    });
                    let near = expected.zip(found).all(|(a, b)| (a - b).abs() < 1e-4);
                    assert!(near, "{name}: {parts:?} up to {end}");
                }
            }
        }
    });
}

#[test]
fn heads_that_do_not_fit_are_refused() {
    let check = |config: serde_json::Value, memory, field: &str| {
        let config: DecoderConfig = serde_json::from_value(config).unwrap();
        let error = Decoder::new(&config, [VOCABULARY, 6], memory, &Init::blank(&Device::flex())).unwrap_err();
        assert!(error.to_string().starts_with(field), "{error}");
    };
    check(json!({"kind": "llama", "width": 8, "heads": 3}), None, "decoder.heads");
    check(
        json!({"kind": "llama", "heads": 4, "key_heads": 3}),
        None,
        "decoder.key_heads",
    );
    check(
        json!({"kind": "llama", "width": 12, "heads": 4}),
        None,
        "decoder.head_width",
    );
    let wide = json!({"kind": "llama", "width": 10, "heads": 4, "head_width": 4});
    check(wide, Some(MEMORY), "decoder.heads");
}
