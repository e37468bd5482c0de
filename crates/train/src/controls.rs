//! Controls: the same evaluation with less than the whole truth, which shows what each input contributes.

use crate::evaluation::{Controls, Request};
use crate::score::{ScoredRow, Scores};
use rand::Rng;
use rand::seq::SliceRandom;
use sensorium_data::random::Key;
use sensorium_data::{ClipControl, Dataset, Modality, Sample, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What is taken away.
pub(crate) enum Control {
    Without(Vec<String>),
    Shuffled(String),
    /// One frame of a video stands for all.
    SingleFrame(String),
    /// The frames of a video stand in another order.
    ShuffledFrames(String),
}

/// The rows that a control changes, and the outputs that read the change: nothing else needs to be answered again.
pub(crate) struct Changed {
    pub outputs: Vec<String>,
    pub dataset: Arc<Dataset>,
}

impl Control {
    /// The controls that say something about some output: an input is withheld from those that read another one beside it.
    pub fn list(request: &Request) -> Vec<Self> {
        let inputs = request.pipeline.inputs().iter();
        let read = |name: &str| outputs(request).any(|output| reads(request, output).contains(name));
        let names: Vec<String> = inputs
            .map(|input| input.name.clone())
            .filter(|name| read(name))
            .collect();
        let shuffled = names.iter().cloned().map(Control::Shuffled);
        let videos = request.pipeline.inputs().iter();
        let videos = videos.filter(|input| input.processor.modality() == Modality::Video);
        let clips = videos
            .flat_map(|input| [Control::SingleFrame, Control::ShuffledFrames].map(|kind| kind(input.name.clone())));
        let withheld = match request.controls {
            Controls::None => return Vec::new(),
            Controls::Each => sets(request, &names, 1),
            Controls::Ablate => sets(request, &names, names.len()),
        };
        let all = withheld.into_iter().map(Control::Without).chain(shuffled).chain(clips);
        all.filter(|control| control.is_met(request)).collect()
    }

    pub fn name(&self) -> String {
        match self {
            Self::Without(inputs) => format!("without:{}", inputs.join("+")),
            Self::Shuffled(input) => format!("shuffled:{input}"),
            Self::SingleFrame(input) => format!("single_frame:{input}"),
            Self::ShuffledFrames(input) => format!("shuffled_frames:{input}"),
        }
    }

    fn inputs(&self) -> &[String] {
        match self {
            Self::Without(inputs) => inputs,
            Self::Shuffled(input) | Self::SingleFrame(input) | Self::ShuffledFrames(input) => {
                std::slice::from_ref(input)
            }
        }
    }

    /// Whether some row that is measured has all that is taken away.
    fn is_met(&self, request: &Request) -> bool {
        let samples = request.dataset.samples();
        let has_all = |index: &usize| self.inputs().iter().all(|input| has(request, &samples[*index], input));
        request.indices.iter().any(has_all)
    }

    /// Whether the control says something about an output: something must be left to be read when an input is withheld.
    fn concerns(&self, request: &Request, output: &str) -> bool {
        let read = reads(request, output);
        let all = self.inputs().iter().all(|input| read.contains(input.as_str()));
        all && (!matches!(self, Self::Without(_)) || read.len() > self.inputs().len())
    }
}

impl Changed {
    /// `scores` are those of the whole truth.
    pub fn new(control: &Control, request: &Request, scores: &Scores) -> Self {
        let concerned = outputs(request).filter(|output| control.concerns(request, output));
        let mut outputs: Vec<String> = concerned.map(String::from).collect();
        let scored: HashMap<usize, &ScoredRow> = scores.rows.iter().map(|row| (row.row, row)).collect();
        let samples = request.indices.iter().map(|&index| &request.dataset.samples()[index]);
        let asked = |sample: &&Sample| scored.get(&sample.row).is_some_and(|row| is_asked(row, &outputs));
        let any = |sample: &&Sample| control.inputs().iter().any(|input| has(request, sample, input));
        let samples: Vec<&Sample> = samples.filter(asked).filter(any).collect();
        // An output may read what none of its rows has.
        outputs.retain(|output| {
            let mut rows = samples.iter().map(|sample| scored[&sample.row]);
            rows.any(|row| row.losses.contains_key(output))
        });
        let mut samples: Vec<Sample> = samples.into_iter().cloned().collect();
        let key = Key::new(request.seed);
        match control {
            Control::Without(inputs) => samples.iter_mut().for_each(|sample| withhold(request, sample, inputs)),
            Control::Shuffled(input) => exchange(request, &mut samples, &scored, input, &key),
            Control::SingleFrame(_) | Control::ShuffledFrames(_) => {}
        }
        let dataset = request.dataset.with_samples(samples).with_outputs(&outputs);
        let dataset = match control {
            Control::SingleFrame(input) => dataset.with_clip_control(input, ClipControl::Motion),
            Control::ShuffledFrames(input) => dataset.with_clip_control(input, ClipControl::Order(key.with("frames"))),
            Control::Without(_) | Control::Shuffled(_) => dataset,
        };
        Self {
            outputs,
            dataset: Arc::new(dataset),
        }
    }

    /// The scores of all rows that have a target for one of the outputs: those that were answered again, and those that the
    /// control leaves as they are.
    pub fn beside(&self, whole: &Scores, found: Scores) -> Scores {
        let mut found: HashMap<usize, ScoredRow> = found.rows.into_iter().map(|row| (row.row, row)).collect();
        let asked = whole.rows.iter().filter(|row| is_asked(row, &self.outputs));
        let rows = asked.map(|row| found.remove(&row.row).unwrap_or_else(|| row.clone()));
        Scores {
            rows: rows.collect(),
            ..Scores::default()
        }
    }
}

fn outputs<'a>(request: &'a Request) -> impl Iterator<Item = &'a str> {
    request.pipeline.description.model.outputs.keys().map(String::as_str)
}

fn reads<'a>(request: &'a Request, output: &str) -> BTreeSet<&'a str> {
    request.pipeline.description.model.reads(output).collect()
}

fn column<'a>(request: &'a Request, input: &str) -> &'a str {
    &request.pipeline.description.inputs[input]
}

fn has(request: &Request, sample: &Sample, input: &str) -> bool {
    *sample.get(column(request, input)) != Value::Absent
}

/// Whether a row has a target for one of the outputs.
fn is_asked(row: &ScoredRow, outputs: &[String]) -> bool {
    outputs.iter().any(|output| row.losses.contains_key(output))
}

/// Sets of up to `most` of the inputs, each but a part of what some output reads.
fn sets(request: &Request, names: &[String], most: usize) -> Vec<Vec<String>> {
    let mut masks = BTreeSet::new();
    for output in outputs(request) {
        let read = reads(request, output);
        let places = names
            .iter()
            .enumerate()
            .filter(|(_, name)| read.contains(name.as_str()));
        let bits: Vec<u64> = places.map(|(place, _)| 1 << place).collect();
        let parts = (1..(1u64 << bits.len()).saturating_sub(1)).filter(|part| part.count_ones() as usize <= most);
        masks.extend(parts.map(|part| {
            let chosen = bits.iter().enumerate().filter(|(place, _)| part >> place & 1 == 1);
            chosen.map(|(_, bit)| bit).sum::<u64>()
        }));
    }
    let chosen = |mask: u64| {
        let names = names
            .iter()
            .enumerate()
            .filter(move |(place, _)| mask >> place & 1 == 1);
        names.map(|(_, name)| name.clone()).collect()
    };
    masks.into_iter().map(chosen).collect()
}

fn withhold(request: &Request, sample: &mut Sample, inputs: &[String]) {
    for input in inputs {
        sample.values.insert(column(request, input).into(), Value::Absent);
    }
}

/// Exchanges the values of an input between rows that have the same inputs and targets for the same outputs: between the
/// rows of one set, where several are measured. Rows whose medium is compared with others go on sharing it, those of other
/// kinds too, since media that several rows were given apart would be right for all of them.
fn exchange(request: &Request, samples: &mut [Sample], scored: &HashMap<usize, &ScoredRow>, input: &str, key: &Key) {
    let mut kinds: BTreeMap<(Vec<bool>, Vec<&String>), Vec<usize>> = BTreeMap::new();
    for (place, sample) in samples.iter().enumerate() {
        let inputs = request.pipeline.inputs().iter();
        let present = inputs.map(|input| has(request, sample, &input.name)).collect();
        let targets = scored[&sample.row].losses.keys().collect();
        kinds.entry((present, targets)).or_default().push(place);
    }
    let column = column(request, input);
    let mut generator = key.with("shuffled").with(input).generator();
    let mut given = BTreeMap::new();
    for places in kinds.into_values() {
        let shared = |place: usize| scored[&samples[place].row].media.get(input).copied().ok_or(place);
        let rows = places
            .iter()
            .map(|&place| (shared(place), samples[place].get(column).clone()));
        let values = shuffled(rows.collect(), &mut given, &mut generator);
        for (place, value) in places.into_iter().zip(values) {
            samples[place].values.insert(column.into(), value);
        }
    }
}

/// The number of a medium that rows share, or the place of a row that shares none.
type Shared = Result<usize, usize>;

/// What the rows of a kind have after an exchange of whole media; `given` is what was exchanged before.
fn shuffled(rows: Vec<(Shared, Value)>, given: &mut BTreeMap<Shared, Value>, generator: &mut impl Rng) -> Vec<Value> {
    let media: Vec<Shared> = rows.iter().map(|(medium, _)| *medium).collect();
    let new = rows.into_iter().filter(|(medium, _)| !given.contains_key(medium));
    let new: BTreeMap<Shared, Value> = new.collect();
    let mut values: Vec<Value> = new.values().cloned().collect();
    values.shuffle(generator);
    given.extend(new.into_keys().zip(values));
    media.iter().map(|medium| given[medium].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(media: &[usize], texts: &[&str]) -> Vec<(Shared, Value)> {
        let row = |(medium, text): (&usize, &&str)| (Ok(*medium), Value::Text(text.to_string()));
        media.iter().zip(texts).map(row).collect()
    }

    #[test]
    fn whole_media_are_exchanged() {
        let before = rows(&[7, 7, 2, 9, 9, 1, 0, 2], &["a", "a", "b", "c", "c", "d", "e", "b"]);
        let found = shuffled(before.clone(), &mut BTreeMap::new(), &mut Key::new(3).generator());
        let pair = |((medium, _), value): (&(Shared, Value), &Value)| (*medium, value.label());
        let pairs: BTreeSet<_> = before.iter().zip(&found).map(pair).collect();
        let values: BTreeSet<_> = pairs.iter().map(|(_, value)| value.clone()).collect();
        assert_eq!((pairs.len(), values.len()), (5, 5), "{pairs:?}");
        assert!(before.iter().zip(&found).any(|((_, before), found)| before != found));
    }

    #[test]
    fn a_medium_of_several_kinds_becomes_the_same_in_all() {
        let (media, texts) = ([0, 1, 2, 3, 4], ["a", "b", "c", "d", "e"]);
        let mut given = BTreeMap::new();
        let mut generator = Key::new(3).generator();
        let first = shuffled(rows(&media, &texts), &mut given, &mut generator);
        let mut later = rows(&media, &texts);
        later.push((Ok(5), Value::Text("f".into())));
        let second = shuffled(later, &mut given, &mut generator);
        assert_eq!((&second[..5], second[5].label()), (&first[..], Some("f".into())));
    }
}
