//! Serves the web page over engines that make up their answers, to work on the page without a
//! trained model: `cargo run -p sensorium-serve --example page -- [PICTURE…]`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sensorium_serve::{
    Description, Engine, InputDescription, InputValue, Inputs, ItemError, Modality, Options, Output, OutputDescription,
    Outputs, Ranked, ServeError, run,
};

const ANSWERS: [&str; 8] = ["circle", "red", "yes", "triangle", "no", "blue", "rectangle", "green"];

/// Answers by the length of what it gets.
struct MadeUp {
    name: &'static str,
    inputs: Vec<(&'static str, Modality)>,
    pictures: Vec<(Vec<u8>, &'static str)>,
}

impl Engine for MadeUp {
    fn describe(&self) -> Description {
        let input = |&(name, modality): &(&str, Modality)| InputDescription {
            name: name.to_owned(),
            modality,
        };
        let example = |text: &str| BTreeMap::from([("question".to_owned(), text.to_owned())]);
        let questions = [
            "What shape is in the image?",
            "What color is it?",
            "Is there a red circle?",
        ];
        let asks = self.inputs.iter().any(|(name, _)| *name == "question");
        Description {
            run: self.name.to_owned(),
            name: self.name.to_owned(),
            inputs: self.inputs.iter().map(input).collect(),
            outputs: vec![OutputDescription {
                name: "answer".to_owned(),
                task: "classify".to_owned(),
                labels: Some(ANSWERS.len()),
            }],
            examples: if asks {
                questions.map(example).to_vec()
            } else {
                Vec::new()
            },
            example_images: self.pictures.len(),
        }
    }

    fn predict(&self, samples: Vec<Inputs>) -> Vec<Result<Outputs, ItemError>> {
        samples.iter().map(answer).collect()
    }

    fn example(&self, index: usize) -> Option<(Vec<u8>, &'static str)> {
        self.pictures.get(index).cloned()
    }
}

/// Makes up an answer; a file that does not begin like a picture is an error.
fn answer(sample: &Inputs) -> Result<Outputs, ItemError> {
    let mut seed = 0;
    for (name, value) in sample {
        match value {
            InputValue::Bytes(bytes) if media_type(bytes).is_none() => {
                return Err(ItemError::undecodable_image(name));
            }
            InputValue::Bytes(bytes) => seed += bytes.len(),
            InputValue::Text(text) => seed += text.len(),
        }
    }
    let shares = [0.873, 0.071, 0.031, 0.014, 0.0004];
    let ranked = shares.iter().enumerate().map(|(place, &probability)| Ranked {
        value: ANSWERS[(seed + place) % ANSWERS.len()].into(),
        probability,
    });
    let top: Vec<Ranked> = ranked.collect();
    let value = top[0].value.clone();
    let answer = Output {
        value,
        probability: Some(shares[0]),
        top,
    };
    let mut outputs = BTreeMap::from([("answer".to_owned(), answer)]);
    if !sample.contains_key("question") {
        let caption = "a small red circle on the right of a pale blue field";
        let caption = Output {
            value: caption.into(),
            ..Output::default()
        };
        let tags = Output {
            value: vec!["red", "round", "small"].into(),
            ..Output::default()
        };
        outputs.extend([("caption".to_owned(), caption), ("tags".to_owned(), tags)]);
    }
    Ok(outputs)
}

/// The media type of a PNG or JPEG file.
fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, ..] => Some("image/jpeg"),
        _ => None,
    }
}

fn picture(path: impl AsRef<Path>) -> Option<(Vec<u8>, &'static str)> {
    let bytes = std::fs::read(path).ok()?;
    let media_type = media_type(&bytes)?;
    Some((bytes, media_type))
}

fn main() -> Result<(), ServeError> {
    let pictures: Vec<_> = std::env::args_os().skip(1).filter_map(picture).collect();
    let (image, question) = (("image", Modality::Image), ("question", Modality::Text));
    let models = [
        ("asked", vec![image, question], pictures.clone()),
        ("shown", vec![image], pictures),
        ("told", vec![("text", Modality::Text)], Vec::new()),
    ];
    let engines =
        models.map(|(name, inputs, pictures)| -> Arc<dyn Engine> { Arc::new(MadeUp { name, inputs, pictures }) });
    run(engines.to_vec(), Options::default(), |address| {
        println!("http://{address}/")
    })
}
