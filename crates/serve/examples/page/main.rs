//! Serves the web page over engines that make up their answers, to work on the page without a trained model:
//! `PORT=7860 cargo run -p sensorium-serve --example page -- [PICTURE…]`. What is uploaded or recorded is really decoded.

mod answers;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sensorium_data::{Processor, ProcessorConfig, Value};
use sensorium_serve::{
    Description, Engine, InputDescription, InputValue, Inputs, ItemError, Modality, Options, OutputDescription,
    Outputs, ServeError, run,
};

/// The outputs of a model: name and task.
type Named = &'static [(&'static str, &'static str)];

/// Answers by the length of what it gets.
struct MadeUp {
    name: &'static str,
    inputs: Vec<InputDescription>,
    outputs: Named,
    pictures: Vec<(Vec<u8>, &'static str)>,
}

impl Engine for MadeUp {
    fn describe(&self) -> Description {
        let output = |&(name, task): &(&str, &str)| OutputDescription {
            name: name.to_owned(),
            task: task.to_owned(),
            labels: (task == "classify").then_some(answers::LABELS.len()),
        };
        Description {
            run: self.name.to_owned(),
            name: self.name.to_owned(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.iter().map(output).collect(),
            examples: self.examples(),
            example_images: self.pictures.len(),
        }
    }

    fn predict(&self, samples: Vec<Inputs>) -> Vec<Result<Outputs, ItemError>> {
        samples.iter().map(|sample| self.answer(sample)).collect()
    }

    fn example(&self, index: usize) -> Option<(Vec<u8>, &'static str)> {
        self.pictures.get(index).cloned()
    }
}

impl MadeUp {
    fn examples(&self) -> Vec<BTreeMap<String, String>> {
        let questions = [
            "What shape is in the image?",
            "What color is it?",
            "Is there a red circle?",
        ];
        match self.inputs.iter().any(|input| input.name == "question") {
            true => questions
                .map(|text| BTreeMap::from([("question".to_owned(), text.to_owned())]))
                .to_vec(),
            false => Vec::new(),
        }
    }

    fn answer(&self, sample: &Inputs) -> Result<Outputs, ItemError> {
        let mut seed = 0;
        for input in &self.inputs {
            seed += match sample.get(&input.name) {
                Some(InputValue::Bytes(bytes)) => decode(input, bytes)?,
                Some(InputValue::Several(files)) => {
                    let read = |file: &Vec<u8>| decode(input, file);
                    files.iter().map(read).sum::<Result<usize, _>>()?
                }
                Some(InputValue::Text(text)) => text.len(),
                Some(InputValue::Turns(turns)) => 3 * turns.len(),
                None => 0,
            };
        }
        let answer = |&(name, task): &(&str, &str)| (name.to_owned(), answers::answer(task, seed));
        Ok(self.outputs.iter().map(answer).collect())
    }
}

/// Reads a medium as a model would; gives its length.
fn decode(input: &InputDescription, bytes: &[u8]) -> Result<usize, ItemError> {
    let config = serde_json::json!({"modality": input.modality});
    let config: ProcessorConfig = serde_json::from_value(config).map_err(|_| ItemError::internal())?;
    let processor = Processor::fit(&config, &[]).map_err(|_| ItemError::internal())?;
    let prepared = processor.prepare(&Value::Bytes(bytes.into()), Path::new(""));
    prepared.map(|_| bytes.len()).map_err(|error| ItemError {
        code: error.kind.code(),
        message: error.message,
        field: Some(input.name.clone()),
    })
}

fn picture(path: impl AsRef<Path>) -> Option<(Vec<u8>, &'static str)> {
    let bytes = std::fs::read(path).ok()?;
    let media_type = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, ..] => "image/jpeg",
        _ => return None,
    };
    Some((bytes, media_type))
}

fn models(pictures: Vec<(Vec<u8>, &'static str)>) -> Vec<MadeUp> {
    use Modality::{Audio, Image, Text, Video};
    let model = |name, inputs: &[(&str, Modality)], outputs| MadeUp {
        name,
        inputs: inputs
            .iter()
            .map(|&(name, modality)| InputDescription::new(name, modality))
            .collect(),
        outputs,
        pictures: match inputs {
            [(_, Image), ..] => pictures.clone(),
            _ => Vec::new(),
        },
    };
    let everything: Named = &[
        ("caption", "generate"),
        ("tags", "tag"),
        ("count", "regress"),
        ("reply", "rank"),
        ("kind", "classify"),
    ];
    let mut talked = model(
        "talked",
        &[("image", Image), ("question", Text)],
        &[("answer", "generate")],
    );
    talked.inputs[0].list = Some(4);
    talked.inputs[1].turns = true;
    vec![
        model(
            "asked",
            &[("image", Image), ("question", Text)],
            &[("answer", "classify")],
        ),
        talked,
        model("shown", &[("image", Image)], everything),
        model(
            "heard",
            &[("sound", Audio)],
            &[("transcript", "transcribe"), ("language", "classify")],
        ),
        model(
            "watched",
            &[("video", Video)],
            &[("caption", "generate"), ("tags", "tag")],
        ),
        model(
            "told",
            &[("text", Text)],
            &[("continuation", "language_model"), ("empty", "silent")],
        ),
    ]
}

fn main() -> Result<(), ServeError> {
    let pictures = std::env::args_os().skip(1).filter_map(picture).collect();
    let engines = models(pictures).into_iter();
    let engines = engines.map(|engine| -> Arc<dyn Engine> { Arc::new(engine) });
    let mut options = Options::default();
    if let Some(port) = std::env::var("PORT").ok().and_then(|port| port.parse().ok()) {
        options.addr.set_port(port);
    }
    run(engines.collect(), options, |address| println!("http://{address}/"))
}
