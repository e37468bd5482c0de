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
        json!({
            "kind": "t5", "width": 8, "layers": 2, "heads": 2, "head_width": 3, "hidden": 10, "buckets": 4, "farthest": 5,
            "dropout": 0.0
        }),
        json!({
            "kind": "t5", "width": 8, "layers": 1, "heads": 2, "head_width": 6, "hidden": 10, "activation": "silu", "gated": false,
            "tied": false, "scaled": true, "dropout": 0.0
        }),
    ]
}

/// Each without a source, with one that it attends to, and behind one where it can be.
fn for_each(device: &Device, check: impl Fn(&str, Decoder, Option<&Tokens>)) {
    let source = source(device);
    for config in decoders() {
        let name = config.to_string();
        let init = Init::new(5, device);
        let build = |memory| Decoder::new(&read(&config), [VOCABULARY, 6], memory, &init).unwrap();
        check(&format!("{name} alone"), build(None), None);
        check(&format!("{name} with a memory"), build(Some(MEMORY)), Some(&source));
        if config["kind"] != "gru" {
            for (projector, decoder) in behind(&config, device) {
                check(&format!("{name} behind {projector:?}"), decoder, Some(&source));
            }
        }
    }
}

fn read(config: &serde_json::Value) -> DecoderConfig {
    serde_json::from_value(config.clone()).unwrap()
}

/// Two sequences, of which the second has two real tokens.
fn source(device: &Device) -> Tokens {
    let x = Init::new(5, device).normal("x", [2, 3, MEMORY], 1.0).val();
    let real = TensorData::new(vec![true, true, true, false, true, true], [2, 3]);
    let real = Tensor::from_data(real, &plain(device));
    Tokens::new(x.without_autodiff(), real, Layout::Sequence)
}

/// The decoder behind a source, by either projector.
fn behind(config: &serde_json::Value, device: &Device) -> [(ProjectorKind, Decoder); 2] {
    [ProjectorKind::Mlp, ProjectorKind::Linear].map(|projector| {
        let init = Init::new(5, device);
        let decoder = Decoder::new(&read(config), [VOCABULARY, 6], None, &init).unwrap();
        (
            projector,
            decoder
                .behind(&PrefixConfig { projector, merge: 1 }, MEMORY, &init)
                .unwrap(),
        )
    })
}

fn texts() -> Tensor<2, Int> {
    let tokens = TEXTS.concat().into_iter().map(i64::from).collect();
    Tensor::from_data(TensorData::new::<i64, _>(tokens, [2, 6]), &Device::flex())
}

/// The tokens of a source as the decoder reads them.
fn prepared(decoder: &Decoder, source: Option<&Tokens>) -> Option<Tokens> {
    source.map(|source| decoder.prepare(source.clone()))
}

/// A number that all logits go into, each in another way.
fn loss(decoder: &Decoder, memory: Option<&Tokens>) -> Tensor<1> {
    let memory = prepared(decoder, memory);
    let logits = decoder.forward(texts(), memory.as_ref(), &Pass::evaluation());
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

/// The logits behind each of some parts of so many tokens, which are read one after the other. Sequences that attend to no
/// source beside themselves exchange their places behind each.
fn stepped(decoder: &Decoder, memory: Option<&Tokens>, parts: &[usize]) -> Vec<Vec<f32>> {
    let source = prepared(decoder, memory);
    let mut state = decoder.start(2, source.as_ref(), 6, &Device::flex());
    let (mut first, mut order) = (0, [0, 1]);
    let read = |length: &usize| {
        let tokens = order.map(|row| &TEXTS[row][first..first + length]);
        let logits = to_vec(decoder.read(&tokens, &mut state));
        let of = |row: usize| &logits[usize::from(order[0] != row) * VOCABULARY..][..VOCABULARY];
        let found = [of(0), of(1)].concat();
        first += length;
        if memory.is_none() || decoder.projector.is_some() {
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
        let source = prepared(&decoder, memory);
        let whole = to_vec(decoder.forward(texts(), source.as_ref(), &Pass::evaluation()));
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

/// Each text alone, behind the real tokens of its source, is answered as among others.
#[test]
fn padding_in_front_of_a_text_changes_nothing() {
    let device = Device::flex();
    let source = source(&device);
    let forward = |decoder: &Decoder, rows: &[i64], places: &[i64]| {
        let index = |places: &[i64]| Tensor::<1, Int>::from_ints(places, &device);
        let tokens = source.clone().select(index(rows));
        let tokens = Tokens::new(
            tokens.embeddings.select(1, index(places)),
            tokens.mask.int().select(1, index(places)).bool(),
            Layout::Sequence,
        );
        let tokens = decoder.prepare(tokens);
        to_vec(decoder.forward(texts().select(0, index(rows)), Some(&tokens), &Pass::evaluation()))
    };
    for config in decoders().into_iter().filter(|config| config["kind"] != "gru") {
        for (projector, decoder) in behind(&config, &device) {
            let together = forward(&decoder, &[0, 1], &[0, 1, 2]);
            let alone = [forward(&decoder, &[0], &[0, 1, 2]), forward(&decoder, &[1], &[1, 2])].concat();
            let apart = together.iter().zip(&alone).map(|(a, b)| (a - b).abs());
            let most = apart.fold(0.0, f32::max);
            assert!(most < 1e-4, "{config} behind {projector:?}: {most}");
            let other = forward(&decoder, &[0], &[0, 2]);
            let moved = alone.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(
                moved > 1e-3,
                "{config} behind {projector:?} does not read what stands in front"
            );
        }
    }
}

/// Tokens in front of the source are read as those of a text are.
#[test]
fn tokens_may_stand_in_front_of_a_source() {
    let device = Device::flex();
    for config in decoders().into_iter().filter(|config| config["kind"] == "llama") {
        let [(_, decoder), _] = behind(&config, &device);
        let pass = Pass::evaluation();
        let nothing = Tokens::new(
            Tensor::zeros([2, 1, MEMORY], &device),
            Tensor::<2>::zeros([2, 1], &device).bool(),
            Layout::Sequence,
        );
        let read = |tokens: Tokens, front: &[Vec<u32>]| {
            let [_, length] = tokens.mask.dims();
            let pieces = |front: &Vec<u32>| vec![Piece::Tokens(front.clone()), Piece::Source(0..length)];
            let pieces: Vec<Vec<Piece>> = front.iter().map(pieces).collect();
            decoder.arranged(decoder.prepare(tokens), &pieces)
        };
        let front = vec![TEXTS[0][..2].to_vec(), TEXTS[1][..2].to_vec()];
        let plain = to_vec(decoder.forward(texts(), None, &pass));
        let rest = texts().narrow(1, 2, 4);
        let split = decoder.forward(rest.clone(), Some(&read(nothing, &front)), &pass);
        for (row, found) in to_vec(split).chunks(4 * VOCABULARY).enumerate() {
            let expected = &plain[(row * 6 + 2) * VOCABULARY..][..4 * VOCABULARY];
            let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(near, "{config}: row {row}");
        }
        // Of several lengths: each row as by itself.
        let front = vec![vec![3, 7], vec![5]];
        let together = read(source(&device), &front);
        let together = to_vec(decoder.forward(rest.clone(), Some(&together), &pass));
        for row in 0..2 {
            let index = Tensor::<1, Int>::from_ints([row as i64], &device);
            let alone = read(source(&device).select(index.clone()), &front[row..=row]);
            let alone = to_vec(decoder.forward(rest.clone().select(0, index), Some(&alone), &pass));
            let expected = &together[row * alone.len()..][..alone.len()];
            let near = alone.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(near, "{config}: row {row}");
        }
    }
}

#[test]
fn a_recurrent_decoder_has_no_prefix() {
    let init = Init::blank(&Device::flex());
    let decoder = Decoder::new(&read(&json!({"kind": "gru"})), [VOCABULARY, 6], None, &init).unwrap();
    let error = decoder.behind(&PrefixConfig::default(), MEMORY, &init).unwrap_err();
    assert!(
        error.to_string().starts_with("reads: expected `cross_attention`"),
        "{error}"
    );
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
    let few = json!({"kind": "t5", "buckets": 32, "farthest": 16});
    check(few, None, "decoder.buckets");
    let wide = json!({"kind": "llama", "width": 10, "heads": 4, "head_width": 4});
    check(wide, Some(MEMORY), "decoder.heads");
}

/// A run is refused as altered where its description is not written as it was.
#[test]
fn descriptions_of_older_versions_are_written_as_they_were() {
    let transformer = json!({"kind": "transformer", "width": 8, "layers": 1, "heads": 2, "dropout": 0.1});
    let gpt2 = json!({"kind": "transformer", "width": 8, "layers": 1, "heads": 2, "dropout": 0.1, "places": 9,
        "activation": "gelu_tanh"});
    let llama = json!({"kind": "llama", "width": 8, "layers": 1, "heads": 2, "base": 10000.0, "epsilon": 1e-6,
        "head_norms": false, "attention_bias": "none", "feed_forward_bias": false, "tied": true, "dropout": 0.1});
    for description in [transformer, gpt2, llama] {
        assert_eq!(serde_json::to_value(read(&description)).unwrap(), description);
    }
}
