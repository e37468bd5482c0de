//! Inputs in one space, candidates in order and several outputs, through whole models: gradients are right, company
//! changes nothing.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::RngExt;
use sensorium_data::processors::FeatureShape;
use sensorium_data::random::Key;
use sensorium_data::{Batch, Collated, InputBatch, TargetTexts, Targets, Value};
use sensorium_model::checkpoint::{from_host, to_host, to_vec};
use sensorium_model::decoder::Vocabulary;
use sensorium_model::tasks::{Answer, Decoded, Fitted};
use sensorium_model::{Model, ModelConfig, OutputConfig, Part, Pass, Source, Writers, gradients, parameters};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::Path;

const SIDE: usize = 8;
const WORDS: usize = 7;
const BINS: usize = 8;
const OUTPUT: &str = "answer";

/// Which picture, text and sound each row has, and its label.
type Rows<'a> = &'a [([Option<usize>; 3], Option<&'a str>)];

fn shapes() -> BTreeMap<String, FeatureShape> {
    let image = FeatureShape::Image {
        height: SIDE,
        width: SIDE,
        channels: 3,
    };
    let text = FeatureShape::Text {
        vocabulary: WORDS,
        max_length: 5,
    };
    let sound = FeatureShape::Audio {
        bins: BINS,
        max_frames: 20,
    };
    BTreeMap::from([("image".into(), image), ("sound".into(), sound), ("text".into(), text)])
}

fn model(task: Json, fitted: Fitted) -> Model {
    let output = output(task, Source::Fusion, fitted);
    model_of(
        json!({"kind": "gated", "width": 8}),
        BTreeMap::from([(OUTPUT.into(), output)]),
    )
}

fn output(task: Json, from: Source, fitted: Fitted) -> OutputConfig {
    let task = serde_json::from_value(task).unwrap();
    OutputConfig { task, from, fitted }
}

fn model_of(fusion: Json, outputs: BTreeMap<String, OutputConfig>) -> Model {
    let encoders = json!({
        "image": {"trunk": {"kind": "cnn", "stages": [4, 6]}},
        "sound": {"trunk": {"kind": "rnn", "width": 4}},
        "text": {"trunk": {"kind": "transformer", "width": 8, "layers": 1, "heads": 2}},
    });
    let config = ModelConfig {
        inputs: serde_json::from_value(encoders).unwrap(),
        fusion: serde_json::from_value(fusion).unwrap(),
        outputs,
    };
    Model::new(&config, &shapes(), 7, &Device::flex().autodiff()).unwrap()
}

fn align(loss: &str, inputs: &[&str]) -> Model {
    let task = json!({"task": "align", "inputs": inputs, "width": 5, "loss": {"kind": loss}});
    model(task, Fitted::Nothing)
}

fn rank(encoder: &str) -> Model {
    let task = json!({"task": "rank", "encoder": {"kind": encoder, "width": 6}});
    model(task, Fitted::Vocabulary(Vocabulary::new(WORDS, None, None)))
}

fn noise(name: &str, number: usize, count: usize) -> Vec<f32> {
    let mut generator = Key::new(3).with(name).at(number as u64).generator();
    (0..count).map(|_| generator.random_range(-1.0..1.0)).collect()
}

/// Media by number: each is the same whatever stands beside it.
fn collated(name: &str, media: &[usize]) -> Collated {
    let lengths: Vec<usize> = media.iter().map(|one| 1 + one % 4).collect();
    let (count, longest) = (media.len(), lengths.iter().copied().max().unwrap_or(1));
    match name {
        "image" => Collated::Image {
            shape: [count, SIDE, SIDE, 3],
            pixels: media
                .iter()
                .flat_map(|&one| noise(name, one, SIDE * SIDE * 3))
                .collect(),
        },
        "sound" => {
            let sound = |&one: &usize| {
                let mut values = noise(name, one, 4 * (1 + one % 4) * BINS);
                values.resize(4 * longest * BINS, 0.0);
                values
            };
            Collated::Audio {
                shape: [count, 4 * longest, BINS],
                values: media.iter().flat_map(sound).collect(),
                lengths: lengths.iter().map(|length| 4 * length).collect(),
            }
        }
        _ => {
            let token = |one: usize, place: usize| match place < 1 + one % 4 {
                true => ((one * 5 + place * 3) % (WORDS - 1) + 1) as i32,
                false => 0,
            };
            let places = media
                .iter()
                .flat_map(|&one| (0..longest).map(move |place| (one, place)));
            Collated::Text {
                shape: [count, longest],
                tokens: places.map(|(one, place)| token(one, place)).collect(),
                lengths,
            }
        }
    }
}

fn input(name: &str, of_row: &[Option<usize>]) -> InputBatch {
    let mut media: Vec<usize> = of_row.iter().flatten().copied().collect();
    media.sort_unstable();
    media.dedup();
    let place = |one: usize| media.binary_search(&one).unwrap();
    InputBatch {
        media: (!media.is_empty()).then(|| collated(name, &media)),
        medium_of_row: of_row.iter().map(|one| one.map(place)).collect(),
    }
}

/// The candidates of a row are two or three of four texts.
fn texts(rows: usize) -> TargetTexts {
    TargetTexts {
        tokens: vec![vec![1, 2], vec![3], vec![], vec![4, 5, 6]],
        texts: ["a", "b", "", "c"].map(String::from).to_vec(),
        of_row: (0..rows)
            .map(|row| [vec![0, 3], vec![3, 1, 2], vec![1, 0]][row % 3].clone())
            .collect(),
    }
}

fn batch(rows: Rows) -> Batch {
    let of = |place: usize| -> Vec<Option<usize>> { rows.iter().map(|(media, _)| media[place]).collect() };
    let inputs = ["image", "text", "sound"].iter().enumerate();
    let label = |label: Option<&str>| label.map_or(Value::Absent, |label| Value::Text(label.into()));
    let targets = Targets {
        values: rows.iter().map(|(_, one)| label(*one)).collect(),
        texts: Some(texts(rows.len())),
    };
    Batch {
        rows: (0..rows.len()).collect(),
        inputs: inputs
            .map(|(place, name)| (name.to_string(), input(name, &of(place))))
            .collect(),
        targets: BTreeMap::from([(OUTPUT.into(), targets)]),
        mixed: None,
    }
}

/// Rows that share media and labels, rows that lack inputs, and a row that has one input only. The labels are also the
/// right candidates of their rows.
const ROWS: Rows = &[
    ([Some(0), Some(0), Some(0)], Some("a")),
    ([Some(0), Some(1), Some(1)], Some("b")),
    ([Some(1), Some(2), None], Some("a")),
    ([Some(2), None, Some(2)], Some("c")),
    ([None, Some(3), Some(3)], Some("b")),
    ([Some(3), None, None], None),
];

fn loss(model: &Model, batch: &Batch) -> Tensor<1> {
    let pass = Pass::training(Key::new(1).with("step"));
    let encoded = model.encode(batch, &pass);
    model.losses(&encoded, &pass).remove(OUTPUT).unwrap().rows.sum()
}

fn check_gradient(name: &str, model: &Model, unread: &[&str]) {
    let batch = batch(ROWS);
    let found = gradients(model, &mut loss(model, &batch).backward());
    let found: BTreeMap<String, Vec<f32>> = found.into_iter().map(|(path, one)| (path, to_vec(one))).collect();
    let trainable = parameters(model)
        .into_iter()
        .filter(|(_, parameter)| parameter.trainable);
    let missed = trainable.map(|(path, _)| path).filter(|path| {
        // A key's bias shifts all scores of a query alike, which softmax does not see.
        let excused = path.ends_with("key.bias") || unread.iter().any(|part| path.contains(part));
        let moves = |values: &Vec<f32>| values.iter().any(|value| *value != 0.0);
        !excused && !found.get(path).is_some_and(moves)
    });
    let missed: Vec<String> = missed.collect();
    assert!(missed.is_empty(), "{name}: no gradient reaches {missed:?}");
    let square: f64 = found.values().flatten().map(|one| f64::from(*one).powi(2)).sum();
    let at = |length: f64| {
        let mut moved = to_host(model);
        for (path, direction) in &found {
            let values = moved.get_mut(path).unwrap().values.iter_mut();
            values
                .zip(direction)
                .for_each(|(value, slope)| *value += (length * f64::from(*slope)) as f32);
        }
        let model = from_host(model.clone(), moved, Path::new("moved")).unwrap();
        f64::from(loss(&model, &batch).into_scalar::<f32>())
    };
    // As for every architecture: a long step may cross a kink and a short one drowns in rounding.
    let errors = [2e-3, 4e-4, 8e-5].map(|size| {
        let length = size / square.sqrt();
        ((at(length) - at(-length)) / (2.0 * length) - square).abs() / square
    });
    assert!(errors.into_iter().fold(f64::MAX, f64::min) < 0.02, "{name}: {errors:?}");
}

#[test]
fn gradients_reach_what_is_read_and_agree_with_finite_differences() {
    for loss in ["info_nce", "sigmoid"] {
        // A row without an input is left out of its pairs, so that the absent token is not learnt.
        check_gradient(loss, &align(loss, &["image", "sound", "text"]), &["absent"]);
    }
    for encoder in ["gru", "mean"] {
        check_gradient(encoder, &rank(encoder), &[]);
    }
}

#[test]
fn nothing_is_built_that_no_output_reads() {
    let paths: Vec<String> = parameters(&align("info_nce", &["image", "sound", "text"]))
        .into_keys()
        .collect();
    assert!(paths.iter().all(|path| !path.starts_with("fusion")), "{paths:?}");
    let unread = json!({"task": "align", "inputs": ["image", "text"]});
    let unknown = json!({"task": "align", "inputs": ["image", "smell", "sound", "text"]});
    for (task, place) in [(unread, "inputs.sound"), (unknown, "outputs.answer.inputs")] {
        let build = || model(task.clone(), Fitted::Nothing);
        let panic = std::panic::catch_unwind(build).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains(place), "{message}");
    }
}

fn decode(model: &Model, batch: &Batch) -> Vec<Decoded> {
    let encoded = model.encode(batch, &Pass::evaluation());
    model.decode(&encoded, &Writers::new()).remove(OUTPUT).unwrap()
}

#[test]
fn a_row_is_embedded_and_answered_alone_as_in_company() {
    for model in [
        align("info_nce", &["image", "sound", "text"]),
        rank("gru"),
        rank("mean"),
    ] {
        let model = model.valid();
        let together = decode(&model, &batch(ROWS));
        for (place, row) in ROWS.iter().enumerate() {
            let mut alone = batch(&[*row]);
            let texts = alone.targets.get_mut(OUTPUT).unwrap().texts.as_mut().unwrap();
            texts.of_row[0] = self::texts(ROWS.len()).of_row[place].clone();
            let alone = decode(&model, &alone).remove(0);
            compare(&together[place], &alone);
        }
    }
}

fn compare(found: &Decoded, expected: &Decoded) {
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-4, "{found:?} {expected:?}");
    assert!(found.embeddings.keys().eq(expected.embeddings.keys()));
    let values = |one: &Decoded| -> Vec<f32> { one.embeddings.values().flatten().copied().collect() };
    for (a, b) in values(found).into_iter().zip(values(expected)) {
        close(a.into(), b.into());
    }
    match (&found.prediction.value, &expected.prediction.value) {
        (Answer::Number(a), Answer::Number(b)) => close(*a, *b),
        (a, b) => assert_eq!(a, b),
    }
    close(
        found.prediction.probability.unwrap_or_default(),
        expected.prediction.probability.unwrap_or_default(),
    );
}

#[test]
fn only_the_inputs_that_a_row_has_are_embedded() {
    let model = align("sigmoid", &["image", "sound", "text"]).valid();
    let batch = batch(ROWS);
    let found = decode(&model, &batch);
    let embedded = model.embed(&batch, OUTPUT);
    for ((row, found), embedded) in ROWS.iter().zip(found).zip(embedded) {
        let count = row.0.iter().flatten().count();
        assert_eq!(found.embeddings.len(), count);
        assert_eq!(found.embeddings, embedded);
        for vector in found.embeddings.values() {
            let length: f32 = vector.iter().map(|value| value * value).sum();
            assert!((length - 1.0).abs() < 1e-5, "{length}");
        }
        let Answer::Number(mean) = found.prediction.value else {
            panic!("a number")
        };
        assert!((-1.0..=1.0).contains(&mean) && (count > 1 || mean == 0.0), "{mean}");
    }
    // The pairs of six rows: five have a picture and another input or two, and so on; a row counts once for each pair.
    let pass = Pass::evaluation();
    let counts = model
        .losses(&model.encode(&batch, &pass), &pass)
        .remove(OUTPUT)
        .unwrap()
        .counts;
    assert_eq!(counts, [3, 3, 1, 1, 1, 0]);
}

/// A common space, and two labels: `seen` of picture and text together, `heard` of the sound alone.
fn several() -> Model {
    let labels = || Fitted::Labels(["a", "b", "c"].map(String::from).to_vec());
    let classify = |from| output(json!({"task": "classify"}), from, labels());
    let align = json!({"task": "align", "inputs": ["image", "text"], "width": 5});
    let outputs = [
        (OUTPUT, output(align, Source::Fusion, Fitted::Nothing)),
        ("seen", classify(Source::Fusion)),
        ("heard", classify(Source::Input("sound".into()))),
    ];
    let fusion = json!({"kind": "gated", "width": 8, "inputs": ["image", "text"]});
    model_of(fusion, outputs.map(|(name, one)| (name.to_string(), one)).into())
}

/// The rows with their labels for those outputs that have one.
fn labelled(seen: &[usize], heard: &[usize]) -> Batch {
    let mut batch = batch(ROWS);
    for (name, rows) in [("seen", seen), ("heard", heard)] {
        let label = |row: usize| match rows.contains(&row) {
            true => Value::Text(["a", "b", "c"][row % 3].into()),
            false => Value::Absent,
        };
        let targets = Targets {
            values: (0..ROWS.len()).map(label).collect(),
            texts: None,
        };
        batch.targets.insert(name.into(), targets);
    }
    batch
}

/// All outputs at once.
fn outputs(model: &Model) -> Part {
    model.parts().into_iter().flatten().collect()
}

#[test]
fn rows_without_a_target_for_an_output_are_neither_learnt_from_nor_answered() {
    let model = several().valid();
    let pass = Pass::evaluation();
    let batch = labelled(&[0, 3], &[1]);
    let (all, some) = (
        model.encode(&batch, &pass),
        model.encode_targets(&outputs(&model), &batch, &pass),
    );
    let found = [OUTPUT, "seen", "heard"].map(|output| some.rows(output).to_vec());
    assert_eq!(found, [vec![0, 1, 2], vec![0, 3], vec![1]]);
    assert_eq!(some.tokens(&Source::Fusion, &[3]).embeddings.dims()[0], 1);
    let (whole, part) = (model.losses(&all, &pass), model.losses(&some, &pass));
    assert_eq!(part["seen"].counts, [1, 0, 0, 1, 0, 0]);
    for (name, losses) in part {
        assert_eq!(losses.counts, whole[&name].counts);
        for (a, b) in to_vec(losses.rows).into_iter().zip(to_vec(whole[&name].rows.clone())) {
            assert!((a - b).abs() < 1e-5, "{name}: {a}, not {b}");
        }
    }
    let writers = Writers::new();
    let answers = model.decode(&all, &writers);
    for (name, part) in model.decode(&some, &writers) {
        assert_eq!(part.len(), some.rows(&name).len());
        for (&row, one) in some.rows(&name).iter().zip(&part) {
            compare(one, &answers[&name][row]);
        }
    }
    assert!(
        model
            .losses(&model.encode(&labelled(&[], &[]), &pass), &pass)
            .keys()
            .eq([OUTPUT])
    );
}

#[test]
fn an_input_that_no_row_needs_is_not_encoded() {
    let model = several();
    let mut batch = labelled(&[], &[1, 4]);
    // Pictures of which no tensor can be made: with them the rows lack what the common space compares.
    for name in ["image", "text"] {
        batch.inputs.get_mut(name).unwrap().medium_of_row = vec![None; ROWS.len()];
    }
    batch.inputs.get_mut("image").unwrap().media = Some(Collated::Image {
        shape: [1, SIDE, SIDE, 3],
        pixels: Vec::new(),
    });
    let pass = Pass::training(Key::new(1));
    let losses = model.losses(&model.encode_targets(&outputs(&model), &batch, &pass), &pass);
    assert!(losses.keys().eq(["heard"]));
    let found = gradients(&model, &mut losses["heard"].rows.clone().sum().backward());
    assert!(
        found
            .keys()
            .all(|path| path.contains("sound") || path.contains("heard")),
        "{:?}",
        found.keys()
    );
    // The sound is no part of what is joined.
    let joined: Vec<String> = parameters(&model)
        .into_keys()
        .filter(|path| path.starts_with("fusion"))
        .collect();
    assert!(
        !joined.is_empty() && joined.iter().all(|path| !path.contains("sound")),
        "{joined:?}"
    );
}
