//! Texts that are written behind the tokens of their source, through whole models: gradients reach all parameters, and
//! neither padding nor company changes what is learnt or written.

use rand::RngExt;
use sensorium_data::processors::FeatureShape;
use sensorium_data::random::Key;
use sensorium_data::{Batch, Collated, InputBatch, Processor, TargetTexts, Targets, Value};
use sensorium_model::checkpoint::to_vec;
use sensorium_model::decoder::Vocabulary;
use sensorium_model::tasks::{Fitted, Prediction};
use sensorium_model::{Device, Model, ModelConfig, OutputConfig, Pass, Source, Writer, Writers, gradients, parameters};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

const BINS: usize = 8;
const WORDS: usize = 9;
const OUTPUT: &str = "answer";

/// Which sound and text each row has.
type Rows<'a> = &'a [[Option<usize>; 2]];

/// Rows whose media have several lengths, and rows that lack one or both.
const ROWS: Rows = &[
    [Some(0), Some(3)],
    [Some(1), Some(0)],
    [Some(3), None],
    [None, Some(2)],
    [None, None],
];

fn writer() -> Writer {
    let config = json!({"modality": "text", "tokenizer": {"kind": "word"}});
    let config = serde_json::from_value(config).unwrap();
    Writer::new(Processor::fit(&config, &["one two three four five"]).unwrap(), None)
}

fn decoders() -> [Json; 3] {
    [
        json!({"kind": "transformer", "width": 8, "layers": 2, "heads": 2, "dropout": 0.0}),
        json!({"kind": "transformer", "width": 8, "layers": 1, "heads": 2, "dropout": 0.0, "places": 14}),
        json!({"kind": "llama", "width": 8, "layers": 2, "heads": 4, "key_heads": 2, "dropout": 0.0, "tied": false}),
    ]
}

fn model(decoder: &Json, from: &str, more: Json, device: &Device) -> Model {
    let mut task = json!({
        "task": "generate", "decoder": decoder, "reads": {"kind": "prefix"}, "max_length": 6, "decoding": {"max_length": 6}
    });
    task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let output = OutputConfig {
        task: serde_json::from_value(task).unwrap(),
        from: Source::try_from(from.to_string()).unwrap(),
        fitted: Fitted::Vocabulary(Vocabulary::new(WORDS, Some(2), Some(3))),
    };
    let text = json!({"trunk": {"kind": "transformer", "width": 6, "layers": 1, "heads": 2}});
    let inputs = match from {
        "inputs.text" => json!({"text": text}),
        _ => json!({"sound": {"trunk": {"kind": "rnn", "width": 4}}, "text": text}),
    };
    let config = ModelConfig {
        inputs: serde_json::from_value(inputs).unwrap(),
        fusion: serde_json::from_value(json!({"kind": "concat", "width": 8, "layers": 1, "heads": 2})).unwrap(),
        outputs: BTreeMap::from([(OUTPUT.into(), output)]),
    };
    let text = FeatureShape::Text {
        vocabulary: WORDS,
        max_length: 5,
    };
    let sound = FeatureShape::Audio {
        bins: BINS,
        max_frames: 20,
    };
    let shapes = BTreeMap::from([("sound".into(), sound), ("text".into(), text)]);
    Model::new(&config, &shapes, 7, device).unwrap()
}

/// Each decoder behind an input, behind the fusion of two, and behind one with the other as its prompt.
fn for_each(more: &Json, device: &Device, check: impl Fn(&str, Model)) {
    let prompted = json!({"prompt": "text"});
    for decoder in decoders() {
        for (from, prompt) in [
            ("inputs.text", &json!({})),
            ("fusion", &json!({})),
            ("inputs.sound", &prompted),
        ] {
            let mut more = more.clone();
            more.as_object_mut()
                .unwrap()
                .extend(prompt.as_object().unwrap().clone());
            let name = format!("{decoder} behind {from} and {prompt}");
            check(&name, model(&decoder, from, more, device));
        }
    }
}

/// Media by number, each as many tokens long as its number and one.
fn input(name: &str, of_row: Vec<Option<usize>>) -> InputBatch {
    let media: Vec<usize> = of_row.iter().flatten().copied().collect();
    let (count, longest) = (media.len(), media.iter().max().map_or(1, |most| most + 1));
    let sound = |&one: &usize| {
        let mut generator = Key::new(3).at(one as u64).generator();
        let mut values: Vec<f32> = (0..4 * (one + 1) * BINS)
            .map(|_| generator.random_range(-1.0..1.0))
            .collect();
        values.resize(4 * longest * BINS, 0.0);
        values
    };
    let text =
        |&one: &usize| (0..longest).map(move |place| if place <= one { (one + place) as i32 % 7 + 1 } else { 0 });
    let lengths = |each: usize| media.iter().map(|one| each * (one + 1)).collect();
    let collated = match name {
        "sound" => Collated::Audio {
            shape: [count, 4 * longest, BINS],
            values: media.iter().flat_map(sound).collect(),
            lengths: lengths(4),
        },
        _ => Collated::Text {
            shape: [count, longest],
            tokens: media.iter().flat_map(text).collect(),
            lengths: lengths(1),
        },
    };
    let mut next = 0..;
    InputBatch {
        media: (count > 0).then_some(collated),
        medium_of_row: of_row.iter().map(|one| one.and_then(|_| next.next())).collect(),
    }
}

/// The targets of the rows have several lengths, by their numbers.
fn batch(rows: Rows, numbers: &[usize]) -> Batch {
    let of = |place: usize| rows.iter().map(|media| media[place]).collect();
    let texts = TargetTexts {
        tokens: vec![vec![4, 5], vec![6], vec![8, 7, 4, 5], vec![], vec![5, 5, 6]],
        texts: ["a", "b", "c", "", "d"].map(String::from).to_vec(),
        of_row: numbers.iter().map(|number| vec![*number]).collect(),
    };
    let targets = Targets {
        values: vec![Value::Absent; rows.len()],
        texts: Some(texts),
    };
    Batch {
        rows: numbers.to_vec(),
        inputs: BTreeMap::from([
            ("sound".into(), input("sound", of(0))),
            ("text".into(), input("text", of(1))),
        ]),
        targets: BTreeMap::from([(OUTPUT.into(), targets)]),
        mixed: None,
    }
}

/// All rows, and each by itself.
fn batches() -> (Batch, Vec<Batch>) {
    let alone = ROWS.iter().enumerate().map(|(number, row)| batch(&[*row], &[number]));
    (batch(ROWS, &[0, 1, 2, 3, 4]), alone.collect())
}

fn losses(model: &Model, batch: &Batch) -> Vec<f32> {
    let pass = Pass::evaluation();
    let encoded = model.encode(batch, &pass);
    to_vec(model.losses(&encoded, &pass).remove(OUTPUT).unwrap().rows)
}

fn answers(model: &Model, batch: &Batch) -> Vec<Prediction> {
    let writers = Writers::from([(OUTPUT.into(), writer())]);
    let mut decoded = model.infer(batch, &writers);
    let answers = decoded.remove(OUTPUT).unwrap().into_iter();
    answers.map(|decoded| decoded.prediction).collect()
}

#[test]
fn the_gradient_reaches_the_source_the_projector_and_the_decoder() {
    for_each(&json!({}), &Device::flex().autodiff(), |name, model| {
        let pass = Pass::training(Key::new(1).with("step"));
        let (batch, _) = batches();
        let encoded = model.encode(&batch, &pass);
        let loss = model.losses(&encoded, &pass).remove(OUTPUT).unwrap().rows.sum();
        let found = gradients(&model, &mut loss.backward());
        let moves = |path: &String| {
            found
                .get(path)
                .is_some_and(|one| to_vec(one.clone()).iter().any(|x| *x != 0.0))
        };
        let missed: Vec<String> = parameters(&model).into_keys().filter(|path| !moves(path)).collect();
        // A key's bias shifts all scores of a query alike.
        let excused = |path: &String| path.ends_with("key.bias");
        assert!(missed.iter().all(excused), "{name}: no gradient reaches {missed:?}");
        assert!(
            parameters(&model).keys().any(|path| path.contains(".projector.input.")),
            "{name}"
        );
    });
}

#[test]
fn a_row_is_learnt_alone_as_in_a_padded_batch() {
    for_each(&json!({}), &Device::flex(), |name, model| {
        let (together, alone) = batches();
        let alone: Vec<f32> = alone.iter().flat_map(|batch| losses(&model, batch)).collect();
        let together = losses(&model, &together);
        let near = together.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(near, "{name}: {together:?} {alone:?}");
        let distinct = (1..alone.len()).all(|row| alone[row] != alone[0]);
        assert!(distinct, "{name}: {alone:?}");
    });
}

/// By every search, from plain and from packed weights.
#[test]
fn a_row_is_answered_alone_as_in_a_padded_batch() {
    for method in [
        json!({"kind": "greedy"}),
        json!({"kind": "beam", "width": 3, "best": 2}),
    ] {
        let more = json!({"decoding": {"method": method, "max_length": 6}});
        for_each(&more, &Device::flex(), |name, model| {
            for model in [model.clone(), model.pack(sensorium_kernels::Precision::Float32)] {
                let (together, alone) = batches();
                let alone = alone.iter().flat_map(|batch| answers(&model, batch));
                for (row, (one, many)) in alone.zip(answers(&model, &together)).enumerate() {
                    assert_eq!(
                        (&one.value, one.top.len()),
                        (&many.value, many.top.len()),
                        "{name}: row {row}"
                    );
                    let apart = (one.probability.unwrap() - many.probability.unwrap()).abs();
                    assert!(apart < 1e-4, "{name}: row {row} is {apart} apart");
                }
            }
        });
    }
}

/// What is frozen stays, and what is adapted learns by its adapters; the projector learns in any case.
#[test]
fn a_frozen_decoder_learns_by_its_projector() {
    let device = Device::flex().autodiff();
    let check = |more: Json, learnt: &[&str]| {
        for_each(&more, &device, |name, model| {
            let decoder = parameters(&model)
                .into_iter()
                .filter(|(path, _)| path.contains(".decoder."));
            for (path, parameter) in decoder {
                let expected = learnt.iter().any(|part| path.contains(part));
                assert_eq!(parameter.trainable, expected, "{name}: {path}");
            }
        });
    };
    check(json!({"freeze": true}), &[".projector."]);
    check(json!({"lora": {"rank": 2}}), &[".projector.", ".lora."]);
    check(json!({}), &[""]);
}
