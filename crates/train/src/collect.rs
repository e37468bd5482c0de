//! Collects what a report shows out of a run directory, and writes it.

use crate::checkpoint;
use crate::error::Result;
use crate::evaluation::Evaluation;
use crate::events::{Event, read_events};
use crate::facts::Facts;
use crate::metrics::{Intervals, Metrics};
use crate::plan::RunRows;
use crate::recipe::Recipe;
use crate::report::{
    Confusion, Control, EvaluationPoint, Example, ExampleInput, GroupReport, GroupsReport, HeatMap, OutputReport,
    ReportData, SplitReport, StepPoint, Summary, render,
};
use crate::sound;
use sensorium_data::split::Split;
use sensorium_data::{Feature, Modality, Sample, Value, files};
use sensorium_model::explain::{CELLS, occlusion};
use sensorium_model::tasks::{Answer, Task};
use sensorium_model::{Answers, Pipeline, RunDirectory, parameters};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Examples of each kind, right and wrong.
const EXAMPLES: usize = 6;

/// What a report is drawn from, beside the files of the run directory.
pub struct ReportSource<'a> {
    pub run: &'a RunDirectory,
    pub pipeline: &'a Pipeline,
    pub recipe: &'a Recipe,
    pub rows: &'a RunRows,
}

impl ReportSource<'_> {
    /// Writes `report.html`, and the examples that the run directory keeps.
    pub fn write(&self) -> Result<()> {
        crate::examples::choose(self.pipeline, &self.rows.dataset, &self.rows.splits)?.save(self.run)?;
        let page = render(&self.collect()?);
        Ok(files::write_atomically(&self.run.report(), page.as_bytes())?)
    }

    fn collect(&self) -> Result<ReportData> {
        let events = read_events(self.run)?;
        let recipe = match self.is_imported() {
            true => toml::to_string_pretty(self.recipe)
                .expect("a recipe is plain data")
                .into_bytes(),
            false => files::read(&self.run.recipe())?,
        };
        let splits = [Split::Test, Split::Validation, Split::Train].map(|split| split.to_string());
        let evaluations: Vec<Evaluation> = splits.iter().filter_map(|split| self.evaluation(split)).collect();
        let shown = evaluations.first().map(|evaluation| evaluation.split.clone());
        Ok(ReportData {
            name: self.pipeline.description.name.clone(),
            recipe: String::from_utf8_lossy(&recipe).into_owned(),
            generated_by: format!("sensorium {}", env!("CARGO_PKG_VERSION")),
            summary: self.summary()?,
            steps: events.iter().filter_map(step_point).collect(),
            evaluations: events.iter().filter_map(evaluation_point).collect(),
            splits: evaluations
                .iter()
                .map(|evaluation| self.split_report(evaluation))
                .collect(),
            examples: shown.map_or_else(|| Ok(Vec::new()), |split| self.examples(&split))?,
        })
    }

    /// Whether the run was made of a checkpoint, without a recipe.
    fn is_imported(&self) -> bool {
        !self.run.recipe().exists()
    }

    /// A stored evaluation; one that cannot be read is as good as none.
    fn evaluation(&self, split: &str) -> Option<Evaluation> {
        serde_json::from_slice(&std::fs::read(self.run.evaluation(split)).ok()?).ok()
    }

    fn split_report(&self, evaluation: &Evaluation) -> SplitReport {
        let Evaluation {
            metrics,
            intervals,
            controls,
            ..
        } = evaluation;
        let mut outputs = output_reports(metrics, intervals, controls);
        for output in &mut outputs {
            output.rows = evaluation.measured.get(&output.name).map(|rows| *rows as u64);
            let confusion = evaluation.confusion.get(&output.name);
            output.confusion = confusion.map(|confusion| Confusion {
                labels: confusion.labels.clone(),
                counts: confusion.counts.clone(),
            });
            let ours = format!("validation.{}.", output.name);
            output.stop = self.recipe.training.stop.metric.strip_prefix(&ours).map(String::from);
        }
        SplitReport {
            name: evaluation.split.clone(),
            rows: evaluation.rows as u64,
            skipped: evaluation.skipped as u64,
            outputs,
            groups: groups_report(evaluation),
        }
    }

    fn summary(&self) -> Result<Summary> {
        let state = match checkpoint::newest(self.run)? {
            Some(folder) => checkpoint::read_state(&folder)?,
            None => checkpoint::TrainerState::default(),
        };
        let quarantine = std::fs::read_to_string(self.run.quarantine()).unwrap_or_default();
        let facts = Facts::load(self.run);
        // A run that has no facts was trained by another version; its model may be frozen by now.
        let all = parameters(self.pipeline.model());
        let all: usize = all.values().map(|one| one.shape.iter().product::<usize>()).sum();
        Ok(Summary {
            parameters: facts.as_ref().map_or(all, |facts| facts.parameters) as u64,
            training_seconds: state.seconds,
            epochs: state.epoch + 1,
            steps: state.step,
            best_step: state.best.map(|best| best.step),
            stop_reason: match state.finished {
                _ if self.is_imported() => "imported".into(),
                Some(reason) => reason,
                None => "still in training".into(),
            },
            train_rows: self.rows.train_rows as u64,
            validation_rows: self.rows.splits.validation.len() as u64,
            test_rows: self.rows.splits.test.len() as u64,
            quarantined_rows: quarantine.lines().count() as u64,
            seed: self.recipe.seed,
            threads: facts.as_ref().map(|facts| facts.threads as u64),
            peak_memory_mb: facts.as_ref().and_then(|facts| facts.peak_memory_mb),
            command: facts.map(|facts| facts.command),
        })
    }

    fn examples(&self, split: &str) -> Result<Vec<Example>> {
        let text = std::fs::read_to_string(self.run.predictions(split)).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let mut lines: Vec<PredictionLine> = lines.collect();
        let samples = self.rows.dataset.samples();
        let place: HashMap<usize, &Sample> = samples.iter().map(|sample| (sample.row, sample)).collect();
        let task = |output: &str| self.pipeline.model().task(output);
        let mut outputs = self.recipe.outputs.keys();
        // What lies close to each other is neither right nor wrong.
        let Some(output) = outputs.find(|output| !matches!(task(output), Task::Align(_))) else {
            return Ok(Vec::new());
        };
        if let Task::Rank(_) = task(output) {
            lines.iter_mut().for_each(|line| line.keep_best(output));
        }
        let graded = is_graded(task(output));
        let mut examples = Vec::new();
        for line in choose(&lines, output, graded) {
            if let Some(sample) = place.get(&line.row) {
                let mut example = self.example(sample, line, output)?;
                // Of a text or a number only that it is the very one can be said.
                example.right = example.right.filter(|right| graded || *right);
                examples.push(example);
            }
        }
        Ok(examples)
    }

    fn example(&self, sample: &Sample, line: &PredictionLine, output: &str) -> Result<Example> {
        let answer = &line.outputs[output];
        let root = self.rows.dataset.root();
        let mut example = Example {
            row: line.row as u64,
            inputs: Vec::new(),
            output: output.to_string(),
            expected: match &answer.value {
                Answer::List(_) => vec![line.expected[output].join(", ")],
                _ => line.expected[output].clone(),
            },
            predicted: answer.value.to_string(),
            right: Some(line.is_right(output)),
            // That several tags are right together is never probable; what each is worth stands below.
            probability: answer.probability.filter(|_| !matches!(answer.value, Answer::List(_))),
            top: answer
                .top
                .iter()
                .map(|one| (one.value.clone(), one.probability))
                .collect(),
            heat: None,
        };
        for input in self.pipeline.inputs() {
            let value = sample.get(&input.column);
            let mut shown = ExampleInput {
                name: input.name.clone(),
                ..ExampleInput::default()
            };
            match (input.processor.modality(), value) {
                (_, Value::Absent) => {}
                (Modality::Audio | Modality::Video, value) => {
                    let feature = input.processor.prepare(value, root)?;
                    shown.png = feature.preview().map(|picture| picture.to_png());
                    shown.spectrum = matches!(feature, Feature::Audio(_));
                    shown.sound = shown.spectrum.then(|| sound::playable(value, root)).flatten();
                }
                (Modality::Text, value) => shown.text = value.label(),
                (Modality::Image, value) => {
                    if let Feature::Image(picture) = input.processor.prepare(value, root)? {
                        shown.png = Some(picture.to_png());
                    }
                    // A text has no alternatives whose probabilities could be compared.
                    let map = match is_graded(self.pipeline.model().task(output)) {
                        true => occlusion(self.pipeline, sample, root, &input.name, output)?,
                        false => None,
                    };
                    example.heat = example.heat.or(map.map(|map| HeatMap {
                        cells: CELLS,
                        falls: map.falls,
                        height: map.picture.height,
                        width: map.picture.width,
                    }));
                }
            }
            example.inputs.push(shown);
        }
        Ok(example)
    }
}

/// A line of a predictions file.
#[derive(Deserialize)]
struct PredictionLine {
    row: usize,
    expected: BTreeMap<String, Vec<String>>,
    outputs: Answers,
}

impl PredictionLine {
    /// Of a ranking only its best candidate.
    fn keep_best(&mut self, output: &str) {
        if let Some(answer) = self.outputs.get_mut(output)
            && let Answer::List(order) = &answer.value
        {
            answer.value = Answer::Text(order.first().cloned().unwrap_or_default());
        }
    }

    fn is_right(&self, output: &str) -> bool {
        let expected = &self.expected[output];
        match &self.outputs[output].value {
            Answer::Text(text) => expected.contains(text),
            Answer::List(items) => items.iter().collect::<BTreeSet<_>>() == expected.iter().collect(),
            Answer::Number(_) | Answer::Vector(_) => false,
        }
    }
}

/// Whether an answer of this task is right or wrong, and nothing between.
fn is_graded(task: &Task) -> bool {
    match task {
        Task::Classify(_) | Task::Tag(_) | Task::Rank(_) => true,
        Task::Regress(_) | Task::Generate(_) | Task::Transcribe(_) | Task::LanguageModel(_) => false,
        Task::Align(_) | Task::Embed(_) => false,
    }
}

/// Of graded answers the wrong ones that were the surest, and right ones of as many different labels as there are; of others
/// those of rows from all over the split.
fn choose<'a>(lines: &'a [PredictionLine], output: &str, graded: bool) -> Vec<&'a PredictionLine> {
    let known = lines.iter().filter(|line| {
        line.expected.get(output).is_some_and(|expected| !expected.is_empty()) && line.outputs.contains_key(output)
    });
    let known: Vec<&PredictionLine> = known.collect();
    let expected = |line: &PredictionLine| line.expected[output].clone();
    if !graded {
        let (fresh, _) = first_of_each(known, expected);
        let count = fresh.len().min(2 * EXAMPLES);
        return (0..count).map(|place| fresh[place * fresh.len() / count]).collect();
    }
    let answer = |line: &PredictionLine| line.outputs[output].value.to_string();
    let (right, mut wrong): (Vec<_>, Vec<_>) = known.into_iter().partition(|line| line.is_right(output));
    let surety = |line: &PredictionLine| line.outputs[output].probability.unwrap_or_default();
    wrong.sort_by(|a, b| surety(b).total_cmp(&surety(a)));
    // Rows that share a medium often share their mistake, too, and would be all that is shown.
    let (mut chosen, repeated) = first_of_each(wrong, |line| (expected(line), answer(line)));
    chosen.extend(repeated);
    chosen.truncate(EXAMPLES);
    let (fresh, _) = first_of_each(right, answer);
    chosen.extend(fresh.into_iter().take(EXAMPLES));
    chosen
}

/// The first line of each kind, and all others.
fn first_of_each<K: Ord>(
    lines: Vec<&PredictionLine>,
    kind: impl Fn(&PredictionLine) -> K,
) -> (Vec<&PredictionLine>, Vec<&PredictionLine>) {
    let mut seen = BTreeSet::new();
    lines.into_iter().partition(|line| seen.insert(kind(line)))
}

fn step_point(event: &Event) -> Option<StepPoint> {
    let Event::Step(step) = event else { return None };
    Some(StepPoint {
        step: step.step,
        epoch: step.epoch,
        loss: step.loss,
        learning_rate: step.learning_rate,
        gradient_norm: step.gradient_norm,
    })
}

fn evaluation_point(event: &Event) -> Option<EvaluationPoint> {
    let Event::Evaluation(evaluation) = event else {
        return None;
    };
    Some(EvaluationPoint {
        step: evaluation.step,
        epoch: evaluation.epoch,
        metrics: evaluation.metrics.clone(),
    })
}

fn groups_report(evaluation: &Evaluation) -> Option<GroupsReport> {
    let groups = evaluation.groups.iter().map(|(value, group)| GroupReport {
        value: value.clone(),
        rows: group.rows as u64,
        outputs: output_reports(&group.metrics, &group.intervals, &group.controls),
    });
    Some(GroupsReport {
        column: evaluation.by.clone()?,
        groups: groups.collect(),
    })
}

/// What was measured of each output, without its confusion.
fn output_reports(
    metrics: &BTreeMap<String, Metrics>,
    intervals: &BTreeMap<String, Intervals>,
    controls: &BTreeMap<String, BTreeMap<String, Metrics>>,
) -> Vec<OutputReport> {
    let output = |(name, metrics): (&String, &Metrics)| {
        let controls = controls.iter().filter_map(|(control, outputs)| {
            Some(Control {
                name: control.clone(),
                metrics: outputs.get(name)?.clone(),
            })
        });
        OutputReport {
            name: name.clone(),
            rows: None,
            metrics: metrics.clone(),
            intervals: intervals.get(name).cloned().unwrap_or_default(),
            controls: controls.collect(),
            confusion: None,
            stop: None,
        }
    };
    metrics.iter().map(output).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sensorium_model::tasks::Prediction;

    /// Lines of (expected, given, its probability) and the rows that are chosen of them.
    fn check(lines: &[(&str, &str, f64)], graded: bool, expected: &[usize]) {
        let line = |(row, (expected, given, probability)): (usize, &(&str, &str, f64))| PredictionLine {
            row,
            expected: [("answer".to_string(), vec![expected.to_string()])].into(),
            outputs: [(
                "answer".to_string(),
                Prediction::new(Answer::Text(given.to_string()), Some(*probability)),
            )]
            .into(),
        };
        let lines: Vec<PredictionLine> = lines.iter().enumerate().map(line).collect();
        let rows: Vec<usize> = choose(&lines, "answer", graded).iter().map(|line| line.row).collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn sure_mistakes_of_different_kinds_come_first() {
        let sure = ("a", "b", 0.9);
        let lines = [
            sure,
            sure,
            ("a", "c", 0.5),
            ("b", "b", 0.9),
            ("b", "b", 0.8),
            ("c", "c", 0.2),
        ];
        check(&lines, true, &[0, 2, 1, 3, 5]);
        check(&[sure; 20], true, &[0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn texts_are_chosen_from_everywhere() {
        check(&[("a", "x", 0.9), ("a", "y", 0.1), ("b", "b", 0.5)], false, &[0, 2]);
        let names: Vec<String> = (0..24).map(|number| format!("{number}")).collect();
        let lines: Vec<(&str, &str, f64)> = names.iter().map(|name| (name.as_str(), "x", 0.5)).collect();
        check(&lines, false, &(0..12).map(|place| place * 2).collect::<Vec<_>>());
    }
}
