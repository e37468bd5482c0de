//! Rows with their fitted processors: any list of row indices becomes a padded batch.

use crate::cache::{self, FeatureCache};
use crate::mixing::{self, Mixed, Mixing};
use crate::processors::Shown;
use crate::random::Key;
use crate::targets::{OutputColumn, RowTexts, TargetTexts, Targets};
use crate::{Collated, DataError, Feature, Processor, Result, Sample, Value};
use rand::RngExt;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

/// One input of the model: its name, the column it reads and the processor that reads it.
#[derive(Debug, Clone)]
pub struct InputColumn {
    pub name: String,
    pub column: String,
    pub processor: Processor,
}

impl InputColumn {
    /// How many rows with these inputs go through a model together, of `most` at the most: fewer where a picture is read as
    /// several, so that a batch needs no more memory.
    pub fn together(inputs: &[Self], most: usize) -> usize {
        let pictures = inputs.iter().map(|input| input.processor.pictures()).max();
        (most / pictures.unwrap_or(1)).max(1)
    }
}

/// The media of one input in a batch: each distinct medium once, however many rows share it.
#[derive(Debug, Clone, PartialEq)]
pub struct InputBatch {
    /// The distinct media; none when the input is absent from every row.
    pub media: Option<Collated>,
    /// For each row the index of its medium, or none where the input is absent.
    pub medium_of_row: Vec<Option<usize>>,
}

/// Some rows, ready for a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Manifest rows, in the order of every other field.
    pub rows: Vec<usize>,
    pub inputs: BTreeMap<String, InputBatch>,
    /// What each output should answer.
    pub targets: BTreeMap<String, Targets>,
    /// What was blended into the pictures, in training.
    pub mixed: Option<Mixed>,
}

/// The random choices of training, keyed by seed and epoch.
#[derive(Clone)]
pub struct Draw {
    pub key: Key,
    /// The probability with which each input of a row is withheld.
    pub modality_dropout: f64,
    /// How the pictures of a batch are blended.
    pub mixing: Option<Mixing>,
}

/// Rows, processors and a cache of decoded media.
pub struct Dataset {
    samples: Vec<Sample>,
    root: PathBuf,
    inputs: Vec<InputColumn>,
    outputs: Vec<OutputColumn>,
    cache: Arc<FeatureCache>,
    /// What is changed of the clips of a video input.
    clips: Option<(String, ClipControl)>,
}

/// What a control of a video takes away.
#[derive(Debug, Clone)]
pub enum ClipControl {
    /// All frames but the middle one, which stands in their places.
    Motion,
    /// The order of the frames, which is drawn anew.
    Order(Key),
}

impl Dataset {
    /// Without a medium in memory: [`with_cache`](Self::with_cache) keeps some.
    pub fn new(samples: Vec<Sample>, root: PathBuf, inputs: Vec<InputColumn>, outputs: Vec<OutputColumn>) -> Self {
        Self {
            samples,
            root,
            inputs,
            outputs,
            cache: Arc::new(FeatureCache::in_memory(0)),
            clips: None,
        }
    }

    /// The same rows, of which `control` takes something away from the videos of the input `input`.
    pub fn with_clip_control(&self, input: &str, control: ClipControl) -> Self {
        Self {
            clips: Some((input.to_string(), control)),
            ..self.with_samples(self.samples.clone())
        }
    }

    /// The same rows, their prepared media kept in `cache`.
    pub fn with_cache(mut self, cache: FeatureCache) -> Self {
        self.cache = Arc::new(cache);
        self
    }

    /// Other rows with the same processors and the same cache.
    pub fn with_samples(&self, samples: Vec<Sample>) -> Self {
        Self {
            samples,
            root: self.root.clone(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            cache: self.cache.clone(),
            clips: None,
        }
    }

    /// The same rows for some of the outputs: nothing is read for the others.
    pub fn with_outputs(mut self, outputs: &[String]) -> Self {
        self.outputs.retain(|output| outputs.contains(&output.name));
        self
    }

    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    pub fn inputs(&self) -> &[InputColumn] {
        &self.inputs
    }

    pub fn outputs(&self) -> &[OutputColumn] {
        &self.outputs
    }

    /// The folder that relative media paths start from.
    pub fn root(&self) -> &std::path::Path {
        &self.root
    }

    /// Decodes and pads the samples at `indices`. Rows that cannot be read are left out of the batch and returned
    /// beside it, each with its row, field and path.
    pub fn batch(&self, indices: &[usize], draw: Option<&Draw>) -> (Batch, Vec<DataError>) {
        self.batch_of(indices.iter().map(|&index| &self.samples[index]), draw)
    }

    /// The same for samples that are not held here, such as those of a stream.
    pub fn batch_of<'a>(
        &self,
        samples: impl Iterator<Item = &'a Sample>,
        draw: Option<&Draw>,
    ) -> (Batch, Vec<DataError>) {
        let mut failed = Vec::new();
        let mut rows = Vec::new();
        for sample in samples {
            match self.row(sample, draw) {
                Ok(row) => rows.push(row),
                Err(error) => failed.push(error),
            }
        }
        let mut batch = self.assemble(&rows, draw);
        if let Some(draw) = draw {
            mixing::mix(&mut batch, draw);
        }
        (batch, failed)
    }

    fn row<'a>(&self, sample: &'a Sample, draw: Option<&Draw>) -> Result<Row<'a>> {
        let media = self.features(sample, draw)?;
        let texts = self.outputs.iter().map(|output| {
            let texts = output.read(sample, draw);
            texts.map_err(|error| error.at_row(sample.row).in_field(&output.name))
        });
        Ok(Row {
            texts: texts.collect::<Result<_>>()?,
            sample,
            media,
        })
    }

    fn assemble(&self, rows: &[Row], draw: Option<&Draw>) -> Batch {
        let inputs = self.inputs.iter().enumerate().map(|(place, input)| {
            let media = rows.iter().map(|row| row.media[place].as_ref());
            (input.name.clone(), collate(&input.processor, media, draw))
        });
        let targets = self.outputs.iter().enumerate().map(|(place, output)| {
            let values = rows.iter().map(|row| output.target(row.sample).clone());
            let texts = || TargetTexts::join(rows.iter().map(|row| &row.texts[place]));
            let targets = Targets {
                values: values.collect(),
                texts: output.texts.is_some().then(texts),
            };
            (output.name.clone(), targets)
        });
        Batch {
            rows: rows.iter().map(|row| row.sample.row).collect(),
            inputs: inputs.collect(),
            targets: targets.collect(),
            mixed: None,
        }
    }

    /// The decoded media of one row in the order of the inputs; texts that ask about the others are read behind them.
    fn features(&self, sample: &Sample, draw: Option<&Draw>) -> Result<Vec<Option<Medium>>> {
        let withheld = self.withheld(sample, draw);
        let read = |input: &InputColumn, withheld: bool, shown: Option<&Shown>| {
            let value = sample.get(&input.column);
            let absent = withheld || *value == Value::Absent;
            let medium = || match shown {
                None => self.medium(input, value),
                Some(shown) => self.question(input, value, shown),
            };
            let medium = (!absent).then(medium).transpose();
            medium.map_err(|error| error.at_row(sample.row).in_field(&input.name))
        };
        let mut features: Vec<Option<Medium>> = (0..self.inputs.len()).map(|_| None).collect();
        let places = || self.inputs.iter().zip(withheld.iter().copied()).enumerate();
        for (place, (input, withheld)) in places().filter(|(_, (input, _))| !input.processor.asks()) {
            features[place] = read(input, withheld, None)?;
        }
        for (place, (input, withheld)) in places().filter(|(_, (input, _))| input.processor.asks()) {
            let others = features.iter().flatten().map(|medium| &*medium.feature);
            let shown = Shown::of(others);
            features[place] = read(input, withheld, Some(&shown))?;
        }
        Ok(features)
    }

    /// Which inputs modality dropout withholds from this row: never all that the row has.
    fn withheld(&self, sample: &Sample, draw: Option<&Draw>) -> Vec<bool> {
        let Some(draw) = draw.filter(|draw| draw.modality_dropout > 0.0) else {
            return vec![false; self.inputs.len()];
        };
        let mut generator = draw.key.with("modality_dropout").at(sample.row as u64).generator();
        let chosen: Vec<bool> = self
            .inputs
            .iter()
            .map(|_| generator.random_bool(draw.modality_dropout))
            .collect();
        let present = |input: &InputColumn| *sample.get(&input.column) != Value::Absent;
        let kept = self
            .inputs
            .iter()
            .zip(&chosen)
            .any(|(input, out)| present(input) && !out);
        if kept { chosen } else { vec![false; self.inputs.len()] }
    }

    fn medium(&self, input: &InputColumn, value: &Value) -> Result<Medium> {
        let identity = identity(value);
        let mut feature = self.cache.prepare(input, &identity, value, &self.root)?;
        if let (Some((name, control)), Feature::Video(clip)) = (&self.clips, &*feature)
            && *name == input.name
        {
            feature = Arc::new(Feature::Video(match control {
                ClipControl::Motion => clip.still(),
                ClipControl::Order(key) => clip.reordered(&key.with(&identity)),
            }));
        }
        Ok(Medium { identity, feature })
    }

    /// A text that asks about what is `shown`.
    fn question(&self, input: &InputColumn, value: &Value, shown: &Shown) -> Result<Medium> {
        let feature = cache::prepare_about(input, value, &self.root, shown)?;
        Ok(Medium {
            identity: format!("{}\n{shown:?}", identity(value)).into(),
            feature: Arc::new(feature),
        })
    }
}

/// A row that could be read.
struct Row<'a> {
    sample: &'a Sample,
    /// In the order of the inputs.
    media: Vec<Option<Medium>>,
    /// In the order of the outputs.
    texts: Vec<RowTexts>,
}

struct Medium {
    identity: Arc<str>,
    feature: Arc<Feature>,
}

/// Equal values are one medium: a path or a text is its own name, bytes are named by their hash, and
/// what is stored elsewhere by its place.
pub fn identity(value: &Value) -> Arc<str> {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Bytes(bytes) => blake3::hash(bytes).to_hex().as_str().into(),
        Value::Stored(stored) => stored.place().into(),
        Value::List(items)
            if items
                .iter()
                .any(|item| matches!(item, Value::Bytes(_) | Value::Stored(_))) =>
        {
            let items: Vec<Arc<str>> = items.iter().map(identity).collect();
            items.join("\n").into()
        }
        other => format!("{other:?}").into(),
    }
}

fn collate<'a>(
    processor: &Processor,
    media: impl Iterator<Item = Option<&'a Medium>>,
    draw: Option<&Draw>,
) -> InputBatch {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut features = Vec::new();
    let mut medium_of_row = Vec::new();
    for medium in media {
        medium_of_row.push(medium.map(|medium| {
            *places.entry(&medium.identity).or_insert_with(|| {
                features.push(match draw {
                    Some(draw) => processor.augment(&medium.feature, &draw.key.with(&medium.identity)),
                    None => std::borrow::Cow::Borrowed(&*medium.feature),
                });
                features.len() - 1
            })
        }));
    }
    let borrowed: Vec<&Feature> = features.iter().map(|feature| &**feature).collect();
    let media = (!borrowed.is_empty()).then(|| processor.collate(&borrowed));
    InputBatch { media, medium_of_row }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::processors::{ImageConfig, Picture, Size, TextConfig, TokenizerConfig};
    use crate::{ErrorKind, ProcessorConfig};

    /// Rows of (picture, question); the pictures are one-coloured and named by their number.
    pub fn dataset(rows: &[(Option<u8>, Option<&str>)]) -> Dataset {
        let picture = |shade: u8| {
            Picture {
                height: 4,
                width: 4,
                pixels: vec![shade; 48],
            }
            .to_png()
        };
        let image = |shade: u8| Value::Bytes(picture(shade).into());
        let text = |text: &str| Value::Text(text.into());
        let sample = |(row, (shade, question)): (usize, &(Option<u8>, Option<&str>))| Sample {
            row,
            values: BTreeMap::from([
                ("image".into(), shade.map_or(Value::Absent, image)),
                ("question".into(), question.map_or(Value::Absent, text)),
                ("answer".into(), Value::Number(row as f64)),
            ]),
        };
        let samples = rows.iter().enumerate().map(sample).collect();
        let image = ProcessorConfig::Image(ImageConfig {
            size: Size::new(4, 4),
            ..ImageConfig::default()
        });
        let tokenizer = TokenizerConfig::Word {
            vocabulary: 100,
            minimum_count: 1,
        };
        let question = ProcessorConfig::Text(TextConfig {
            tokenizer,
            ..TextConfig::default()
        });
        let input = |name: &str, config: &ProcessorConfig| InputColumn {
            name: name.into(),
            column: name.into(),
            processor: Processor::fit(config, &["what is it", "is it red"]).unwrap(),
        };
        let inputs = vec![input("image", &image), input("question", &question)];
        Dataset::new(
            samples,
            PathBuf::new(),
            inputs,
            vec![OutputColumn::plain("answer", "answer")],
        )
        .with_cache(FeatureCache::in_memory(1 << 20))
    }

    /// Rows of a text and nothing else.
    pub fn texts_only(texts: &[String]) -> Dataset {
        let rows: Vec<_> = texts.iter().map(|text| (None, Some(text.as_str()))).collect();
        let mut data = dataset(&rows);
        data.inputs.remove(0);
        data
    }

    #[test]
    fn each_distinct_medium_is_held_once_and_absent_ones_not_at_all() {
        let rows = [
            (Some(1), Some("what is it")),
            (Some(2), Some("what is it")),
            (None, Some("is it red")),
            (Some(1), None),
        ];
        let (batch, failed) = dataset(&rows).batch(&[0, 1, 2, 3], None);
        assert!(failed.is_empty());
        assert_eq!(batch.inputs["image"].medium_of_row, [Some(0), Some(1), None, Some(0)]);
        assert_eq!(
            batch.inputs["question"].medium_of_row,
            [Some(0), Some(0), Some(1), None]
        );
        let Some(Collated::Image { shape, .. }) = &batch.inputs["image"].media else {
            panic!("no pictures")
        };
        assert_eq!(*shape, [2, 4, 4, 3]);
        let answers: Vec<String> = batch.targets["answer"].values.iter().filter_map(Value::label).collect();
        assert_eq!(answers, ["0", "1", "2", "3"]);
    }

    #[test]
    fn a_bad_row_is_named_and_no_other_takes_its_place() {
        let mut data = dataset(&[
            (Some(1), Some("what")),
            (Some(2), Some("what")),
            (Some(3), Some("what")),
        ]);
        data.samples[1]
            .values
            .insert("image".into(), Value::Bytes([1, 2, 3].as_slice().into()));
        let (batch, failed) = data.batch(&[2, 1, 0], None);
        assert_eq!(batch.rows, [2, 0]);
        assert_eq!(failed.len(), 1);
        assert_eq!((failed[0].row, failed[0].field.as_deref()), (Some(1), Some("image")));
        assert_eq!(failed[0].kind, ErrorKind::Damaged);
    }

    #[test]
    fn modality_dropout_depends_on_the_key_and_never_takes_everything() {
        let rows: Vec<_> = (0..200)
            .map(|row| (Some(row as u8), (row % 2 == 0).then_some("what")))
            .collect();
        let data = dataset(&rows);
        let indices: Vec<usize> = (0..200).collect();
        let batch = |epoch: u64| {
            let draw = Draw {
                key: Key::new(1).at(epoch),
                modality_dropout: 0.3,
                mixing: None,
            };
            data.batch(&indices, Some(&draw)).0
        };
        assert_eq!(batch(0), batch(0));
        assert_ne!(batch(0), batch(1));
        let of_row = |name: &str| batch(0).inputs[name].medium_of_row.clone();
        let (image, question) = (of_row("image"), of_row("question"));
        assert!(
            image
                .iter()
                .zip(&question)
                .all(|(image, question)| image.or(*question).is_some())
        );
        let withheld = image.iter().filter(|medium| medium.is_none()).count();
        // Only the 100 rows with both inputs may lose their picture, with a probability of 0.3 · 0.7.
        assert!((10..40).contains(&withheld), "{withheld} pictures were withheld");
    }
}
