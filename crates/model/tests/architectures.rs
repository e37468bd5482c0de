//! Every stem, trunk and fusion: gradients reach all parameters and are right, padding and company change nothing.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::RngExt;
use sensorium_data::processors::FeatureShape;
use sensorium_data::random::Key;
use sensorium_data::{Batch, Collated, InputBatch, Targets, Value};
use sensorium_model::checkpoint::{HostTensors, from_host, to_host, to_vec};
use sensorium_model::fusion::{FusionConfig, JoinConfig};
use sensorium_model::tasks::{ClassifyConfig, Fitted, Task, TaskConfig};
use sensorium_model::trunks::TrunkConfig;
use sensorium_model::{EncoderConfig, Model, ModelConfig, OutputConfig, Pass, Source, gradients, parameters};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::Path;

const SIDE: usize = 16;
const FRAMES: usize = 4;
const VOCABULARY: usize = 11;
const BINS: usize = 8;
/// The stem of a sound makes one token of so many frames.
const SHORTENED: usize = 4;
const LABELS: [&str; 3] = ["a", "b", "c"];

/// The trunks that any input may have.
fn trunks() -> Vec<(&'static str, TrunkConfig)> {
    let rnn =
        |cell: &str| json!({"kind": "rnn", "cell": cell, "width": 6, "layers": 2, "bidirectional": cell == "gru"});
    let rotary = json!({"kind": "transformer", "width": 12, "layers": 2, "heads": 2, "positions": "rotary"});
    let learned = json!({
        "kind": "transformer", "width": 8, "layers": 2, "heads": 2, "expansion": 2, "positions": "learned",
        "dropout": 0.1, "drop_path": 0.2
    });
    named([
        ("cnn", json!({"kind": "cnn", "stages": [6, 8], "blocks": 2})),
        ("gru", rnn("gru")),
        ("lstm", rnn("lstm")),
        (
            "transformer",
            json!({"kind": "transformer", "width": 8, "layers": 1, "heads": 2}),
        ),
        ("rotary", rotary),
        ("learned", learned),
    ])
}

/// The trunks that this input may have beside those of any.
fn special_trunks(input: &str) -> Vec<(&'static str, TrunkConfig)> {
    let causal = json!({
        "kind": "transformer", "width": 8, "layers": 1, "heads": 2, "positions": "rotary", "causal": true
    });
    let conformer = json!({
        "kind": "conformer", "width": 8, "layers": 2, "heads": 2, "kernel": 5, "dropout": 0.1, "drop_path": 0.2
    });
    let factorised = json!({"kind": "transformer", "width": 8, "layers": 2, "heads": 2, "space_time": "factorised"});
    let turned = json!({
        "kind": "transformer", "width": 8, "layers": 1, "heads": 2, "space_time": "factorised", "positions": "rotary",
        "drop_path": 0.2
    });
    let dropping = json!({
        "kind": "cnn", "stages": [4, 6], "blocks": 2, "stride": 2, "dropout": 0.1, "drop_path": 0.2
    });
    let clip = json!({
        "kind": "clip", "width": 8, "layers": 2, "heads": 2, "hidden": 12, "epsilon": 1e-5, "causal": true,
        "activation": "quick_gelu"
    });
    let wav2vec2 = |norm_first: bool| {
        json!({
            "kind": "wav2vec2", "width": 8, "layers": 2, "heads": 2, "hidden": 12, "epsilon": 1e-5, "kernel": 4, "groups": 2,
            "norm_first": norm_first, "dropout": 0.1
        })
    };
    let t5 = json!({
        "kind": "t5", "width": 8, "layers": 2, "heads": 2, "head_width": 3, "hidden": 12, "buckets": 6, "farthest": 5, "dropout": 0.1
    });
    // Places of another grid than that of the pictures, which have two rows and columns.
    let vit = json!({
        "kind": "vit", "width": 8, "layers": 2, "heads": 2, "hidden": 12, "epsilon": 1e-5, "grid": [3, 4], "registers": 2,
        "norm_before": true, "layer_scale": true, "activation": "gelu_tanh", "dropout": 0.1, "drop_path": 0.2
    });
    // Each with the normalisation that the input does not have by default.
    let normed = |norm: &str| json!({"kind": "cnn", "stages": [4, 6], "blocks": 2, "norm": norm});
    match input {
        "text" | "audio" => named([
            ("causal", causal),
            ("clip", clip),
            ("conformer", conformer),
            ("strided cnn", dropping),
            ("batch cnn", normed("batch")),
            ("t5", t5),
            ("wav2vec2", wav2vec2(false)),
            ("wav2vec2 large", wav2vec2(true)),
        ]),
        "video" => named([
            ("factorised", factorised),
            ("turned", turned),
            ("dropping cnn", dropping),
            ("batch cnn", normed("batch")),
        ]),
        _ => named([("vit", vit), ("dropping cnn", dropping), ("layer cnn", normed("layer"))]),
    }
}

fn fusions() -> Vec<(&'static str, FusionConfig)> {
    let transformer = |kind: &str| json!({"kind": kind, "width": 8, "layers": 1, "heads": 2});
    let rotary = |kind: &str| {
        json!({
            "kind": kind, "width": 12, "layers": 2, "heads": 2, "positions": "rotary", "drop_path": 0.2
        })
    };
    let bottleneck = json!({"kind": "bottleneck", "latents": 3, "width": 8, "layers": 2, "heads": 2});
    named([
        ("concat", transformer("concat")),
        ("gated", json!({"kind": "gated", "width": 8})),
        ("cross_attention", transformer("cross_attention")),
        (
            "grounded",
            json!({"kind": "grounded", "layers": 2, "heads": 2, "hidden": 12, "activation": "quick_gelu"}),
        ),
        ("bottleneck", bottleneck),
        ("late", json!({"kind": "late", "width": 8, "dropout": 0.1})),
        ("rotary concat", rotary("concat")),
        ("rotary cross_attention", rotary("cross_attention")),
        ("rotary bottleneck", rotary("bottleneck")),
    ])
}

/// Configurations from what a recipe says.
fn named<C: DeserializeOwned, const N: usize>(configs: [(&'static str, Json); N]) -> Vec<(&'static str, C)> {
    let read = |(name, json)| (name, serde_json::from_value(json).unwrap());
    configs.into_iter().map(read).collect()
}

/// The two inputs of a model: one whose media lie in space, and one whose media are sequences.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Inputs {
    ImageAndText,
    VideoAndAudio,
}
use Inputs::{ImageAndText, VideoAndAudio};

impl Inputs {
    fn names(self) -> [&'static str; 2] {
        match self {
            ImageAndText => ["image", "text"],
            VideoAndAudio => ["video", "audio"],
        }
    }

    fn shapes(self) -> [FeatureShape; 2] {
        let (height, width, channels, max_length) = (SIDE, SIDE, 3, 9);
        let image = FeatureShape::Image {
            height,
            width,
            channels,
        };
        let video = FeatureShape::Video {
            frames: FRAMES,
            height,
            width,
            channels,
        };
        let (vocabulary, bins) = (VOCABULARY, BINS);
        let text = FeatureShape::Text { vocabulary, max_length };
        let max_frames = SHORTENED * max_length;
        match self {
            ImageAndText => [image, text],
            VideoAndAudio => [video, FeatureShape::Audio { bins, max_frames }],
        }
    }
}

/// Every pair of trunks with every fusion.
fn for_each_architecture(check: impl Fn(&str, Inputs, Model)) {
    for_each_seeded(|name, inputs, build| check(name, inputs, build(7)));
}

/// Those of every architecture by the seed of their parameters.
fn for_each_seeded(check: impl Fn(&str, Inputs, &dyn Fn(u64) -> Model)) {
    for inputs in [ImageAndText, VideoAndAudio] {
        let [first_input, second_input] = inputs.names();
        let of = |input| trunks().into_iter().chain(special_trunks(input));
        for (first_name, first) in of(first_input) {
            for (second_name, second) in of(second_input) {
                for (fusion_name, fusion) in fusions() {
                    let name = format!("{first_input} {first_name}, {second_input} {second_name}, {fusion_name}");
                    let trunks = [first.clone(), second.clone()];
                    check(&name, inputs, &|seed| {
                        model(inputs, trunks.clone(), fusion.clone(), seed)
                    });
                }
            }
        }
    }
}

fn model(inputs: Inputs, trunks: [TrunkConfig; 2], fusion: FusionConfig, seed: u64) -> Model {
    let encoder = |trunk| EncoderConfig {
        trunk: Some(trunk),
        ..EncoderConfig::default()
    };
    let task = TaskConfig::Classify(ClassifyConfig::default());
    let output = OutputConfig {
        task,
        from: Source::Fusion,
        fitted: Fitted::Labels(LABELS.map(String::from).to_vec()),
    };
    let names = inputs.names().map(String::from);
    let config = ModelConfig {
        inputs: names.clone().into_iter().zip(trunks.map(encoder)).collect(),
        fusion: JoinConfig {
            inputs: None,
            kind: fusion,
        },
        outputs: BTreeMap::from([("answer".into(), output)]),
    };
    let shapes = names.into_iter().zip(inputs.shapes()).collect();
    Model::new(&config, &shapes, seed, &Device::flex().autodiff()).unwrap()
}

/// Noise between -1 and 1 that follows from a name and a number.
fn noise(name: &str, number: usize, count: usize) -> Vec<f32> {
    let mut generator = Key::new(3).with(name).at(number as u64).generator();
    (0..count).map(|_| generator.random_range(-1.0..1.0)).collect()
}

/// Pictures or clips of noise; clips are half, all and most of the longest.
fn spatial(inputs: Inputs, count: usize) -> Collated {
    const PLANE: usize = SIDE * SIDE * 3;
    if inputs == ImageAndText {
        return Collated::Image {
            shape: [count, SIDE, SIDE, 3],
            pixels: (0..count).flat_map(|one| noise("pixels", one, PLANE)).collect(),
        };
    }
    let real = |clip: usize| [FRAMES / 2, FRAMES, FRAMES - 1][clip % 3];
    let longest = (0..count).map(real).max().unwrap();
    let clip = |one: usize| {
        let mut pixels = noise("pixels", one, real(one) * PLANE);
        pixels.resize(longest * PLANE, 0.0);
        pixels
    };
    Collated::Video {
        shape: [count, longest, SIDE, SIDE, 3],
        pixels: (0..count).flat_map(clip).collect(),
        lengths: (0..count).map(real).collect(),
    }
}

/// Texts or sounds of the given lengths.
fn sequences(inputs: Inputs, lengths: &[usize]) -> Collated {
    let (count, longest) = (lengths.len(), *lengths.iter().max().unwrap());
    let token = |text: usize, place: usize| match place < lengths[text] {
        true => ((text * 5 + place * 3) % (VOCABULARY - 1) + 1) as i32,
        false => 0,
    };
    let sound = |one: usize| {
        let mut values = noise("sound", one, SHORTENED * lengths[one] * BINS);
        values.resize(SHORTENED * longest * BINS, 0.0);
        values
    };
    let places = (0..count).flat_map(|one| (0..longest).map(move |place| (one, place)));
    match inputs {
        ImageAndText => Collated::Text {
            shape: [count, longest],
            tokens: places.map(|(text, place)| token(text, place)).collect(),
            lengths: lengths.to_vec(),
        },
        VideoAndAudio => Collated::Audio {
            shape: [count, SHORTENED * longest, BINS],
            values: (0..count).flat_map(sound).collect(),
            lengths: lengths.iter().map(|length| SHORTENED * length).collect(),
        },
    }
}

/// `rows` say which picture or clip, and which text or sound of the given lengths, each row has.
fn batch(inputs: Inputs, lengths: &[usize], rows: &[(Option<usize>, Option<usize>)]) -> Batch {
    let count = 1 + rows.iter().filter_map(|(one, _)| *one).max().unwrap_or(0);
    let [first, second] = inputs.names().map(String::from);
    let input = |media, medium_of_row| InputBatch {
        media: Some(media),
        medium_of_row,
    };
    let values = (0..rows.len()).map(|row| Value::Text(LABELS[row % 3].into()));
    let targets = Targets {
        values: values.collect(),
        texts: None,
    };
    let first_input = input(spatial(inputs, count), rows.iter().map(|row| row.0).collect());
    let second_input = input(sequences(inputs, lengths), rows.iter().map(|row| row.1).collect());
    Batch {
        rows: (0..rows.len()).collect(),
        inputs: BTreeMap::from([(first, first_input), (second, second_input)]),
        targets: BTreeMap::from([("answer".into(), targets)]),
        mixed: None,
    }
}

/// Rows that share media, and rows that lack one or both.
fn mixed(inputs: Inputs) -> Batch {
    let rows = [(0, 0), (0, 1), (1, 1), (2, 2)].map(|(first, second)| (Some(first), Some(second)));
    let mut rows = rows.to_vec();
    rows.extend([(None, Some(2)), (Some(1), None), (None, None)]);
    batch(inputs, &[3, 6, 1], &rows)
}

fn loss(model: &Model, batch: &Batch, pass: &Pass) -> Tensor<1> {
    let encoded = model.encode(batch, pass);
    model.losses(&encoded, pass).remove("answer").unwrap().rows.sum()
}

fn training() -> Pass {
    Pass::training(Key::new(1).with("step"))
}

#[test]
fn the_gradient_reaches_every_trainable_parameter() {
    for_each_architecture(|name, inputs, model| {
        let mut found = loss(&model, &mixed(inputs), &training()).backward();
        let found = gradients(&model, &mut found);
        for (path, parameter) in parameters(&model) {
            let Some(gradient) = found.get(&path) else {
                assert!(!parameter.trainable, "{name}: no gradient reaches {path}");
                continue;
            };
            let largest = to_vec(gradient.clone()).into_iter().map(f32::abs).fold(0.0, f32::max);
            // A key's bias shifts all scores of a query alike, which softmax does not see.
            let shift = path.ends_with("key.bias");
            assert!(
                largest > 0.0 || shift,
                "{name}: the gradient of {path} is zero everywhere"
            );
            assert!(largest.is_finite(), "{name}: the gradient of {path} is not finite");
        }
    });
}

/// A parameter may happen to lie at the kink of a rectifier, where a gradient has two sides; it does so for one seed
/// and not for the next, while a wrong gradient is wrong for all of them.
#[test]
fn gradients_agree_with_finite_differences() {
    for_each_seeded(|name, inputs, build| {
        let batch = mixed(inputs);
        let errors = |seed| relative_errors(&build(seed), &batch);
        let right = |seed| errors(seed).into_iter().fold(f64::MAX, f64::min) < 0.02;
        let found = || [7, 8, 9].map(errors);
        assert!((7..10).any(right), "{name}: relative errors {:?}", found());
    });
}

/// The change of the loss along the gradient itself, against the gradient's own square. A long step may cross the kink
/// of a rectifier and a short one drowns in the rounding of f32: a right gradient shows at one of them, a wrong one at
/// none.
fn relative_errors(model: &Model, batch: &Batch) -> [f64; 3] {
    let found = gradients(model, &mut loss(model, batch, &training()).backward());
    let found: BTreeMap<String, Vec<f32>> = found
        .into_iter()
        .map(|(path, gradient)| (path, to_vec(gradient)))
        .collect();
    let square: f64 = found.values().flatten().map(|one| f64::from(*one).powi(2)).sum();
    let host = to_host(model);
    let at = |length: f64| {
        let moved = along(&host, &found, length);
        let model = from_host(model.clone(), moved, Path::new("moved")).unwrap();
        f64::from(loss(&model, batch, &training()).into_scalar::<f32>())
    };
    let error = |size: f64| {
        let length = size / square.sqrt();
        let slope = (at(length) - at(-length)) / (2.0 * length);
        (slope - square).abs() / square
    };
    [2e-3, 4e-4, 8e-5].map(error)
}

fn along(host: &HostTensors, gradient: &BTreeMap<String, Vec<f32>>, length: f64) -> HostTensors {
    let mut moved = host.clone();
    for (path, direction) in gradient {
        let tensor = moved.get_mut(path).unwrap();
        for (value, slope) in tensor.values.iter_mut().zip(direction) {
            *value += (length * f64::from(*slope)) as f32;
        }
    }
    moved
}

fn logits(model: &Model, batch: &Batch) -> Vec<f32> {
    let pass = Pass::evaluation();
    let encoded = model.encode(batch, &pass);
    let Task::Classify(task) = model.task("answer") else {
        panic!("the task is to classify")
    };
    let tokens = encoded.tokens(&Source::Fusion, encoded.rows("answer"));
    to_vec(task.forward(tokens.pooled(), &pass))
}

#[test]
fn a_row_has_the_same_answer_alone_and_in_a_padded_batch() {
    for_each_architecture(|name, inputs, model| {
        let model = model.valid();
        let together = batch(
            inputs,
            &[3, 7],
            &[(Some(0), Some(0)), (Some(1), Some(1)), (None, Some(0))],
        );
        let alone = [(Some(0), Some(0)), (None, Some(0))].map(|row| batch(inputs, &[3], &[row]));
        let together = logits(&model, &together);
        for (place, alone) in [0, 2].into_iter().zip(alone) {
            let alone = logits(&model, &alone);
            for (one, many) in alone.iter().zip(&together[place * 3..]) {
                assert!((one - many).abs() < 1e-4, "{name}: row {place} {alone:?} {together:?}");
            }
        }
    });
}

#[test]
fn every_input_may_be_absent_from_the_whole_batch() {
    for_each_architecture(|name, inputs, model| {
        let mut batch = batch(inputs, &[3], &[(None, None)]);
        batch.inputs.values_mut().for_each(|input| input.media = None);
        let found = logits(&model.valid(), &batch);
        assert!(found.iter().all(|value| value.is_finite()), "{name}: {found:?}");
    });
}

/// The answer to a row without a text, with what stands for absent texts as it is and moved.
fn check_absent(fusion: &str, changes: bool) {
    let fusion = fusions().into_iter().find(|(name, _)| *name == fusion).unwrap().1;
    let trunks = [0, 1].map(|place| trunks().remove(place).1);
    let model = model(ImageAndText, trunks, fusion, 7).valid();
    let mut host = to_host(&model);
    let absent = host.get_mut("inputs.text.absent").unwrap();
    absent.values.iter_mut().for_each(|value| *value += 1.0);
    let moved = from_host(model.clone(), host, Path::new("moved")).unwrap();
    let row = batch(ImageAndText, &[3], &[(Some(0), None)]);
    assert_eq!(logits(&model, &row) != logits(&moved, &row), changes);
    let nothing = batch(ImageAndText, &[3], &[(None, None)]);
    assert_ne!(logits(&model, &nothing), logits(&moved, &nothing));
}

#[test]
fn late_fusion_hears_only_the_inputs_that_a_row_has() {
    check_absent("late", false);
    check_absent("concat", true);
}

#[test]
fn initial_values_depend_on_seed_and_path_only() {
    let with = |second: usize| {
        let trunks = [0, second].map(|place| trunks().remove(place).1);
        model(ImageAndText, trunks, fusions().remove(1).1, 7)
    };
    let two = || with(1);
    assert_eq!(to_host(&two()), to_host(&two()));
    let (before, after) = (to_host(&two()), to_host(&with(3)));
    let unchanged = "inputs.image.trunk.stages.0.shrink.conv.weight";
    assert_eq!(before[unchanged], after[unchanged]);
}
