//! The learning curves: which charts a run gets.

use super::charts::{Chart, Series, Subject, chart, smooth};
use super::data::{EvaluationPoint, ReportData, StepPoint};
use crate::page::format;
use std::collections::BTreeSet;

/// More lines than this in one chart cannot be told apart by colour.
const LINES: usize = 6;

/// A line of fewer points than this shows them.
const FEW: usize = 30;

/// Charts of what was recorded, in reading order: loss, metrics, learning rate, gradient norm.
pub fn charts(data: &ReportData) -> Vec<Chart> {
    let mut charts = Vec::new();
    charts.extend(loss(data));
    charts.extend(metrics(data));
    charts.extend(step_chart(data, "Learning rate", |point| point.learning_rate, false));
    charts.extend(step_chart(data, "Gradient norm", |point| point.gradient_norm, true));
    charts
}

/// The training loss, raw and smoothed, with the evaluated losses over it.
fn loss(data: &ReportData) -> Option<Chart> {
    let mut lines = smoothed(&data.steps, "training loss", |point| point.loss);
    let names = metric_names(&data.evaluations);
    let losses = names.iter().filter(|name| is_loss(name)).take(LINES - 1);
    for (index, name) in losses.enumerate() {
        lines.push(evaluated(&data.evaluations, name, name.replace('.', " "), index + 1));
    }
    let best_step = data.summary.best_step;
    let subject = Subject {
        title: "Loss".into(),
        share: false,
        from_zero: true,
        best_step,
    };
    (!lines.is_empty()).then(|| chart(&subject, &lines))
}

/// Metrics between 0 and 1 share one chart; each other one gets its own.
fn metrics(data: &ReportData) -> Vec<Chart> {
    let names = metric_names(&data.evaluations);
    let names = names.into_iter().filter(|name| !is_loss(name));
    let (shares, others): (Vec<&str>, Vec<&str>) = names.partition(|name| is_accuracy_like(&data.evaluations, name));
    let best_step = data.summary.best_step;
    let mut charts = Vec::new();
    for group in shares.chunks(LINES) {
        let lines = group.iter().enumerate();
        let lines: Vec<Series> = lines
            .map(|(index, name)| evaluated(&data.evaluations, name, title(name), index))
            .collect();
        let low = lines.iter().flat_map(|line| &line.points).any(|point| point[1] < 0.5);
        let title = if let [only] = group {
            title(only)
        } else {
            "Metrics".into()
        };
        let subject = Subject {
            title: capital(&title),
            share: true,
            from_zero: low,
            best_step,
        };
        charts.push(chart(&subject, &lines));
    }
    for name in others.into_iter().take(LINES) {
        let line = evaluated(&data.evaluations, name, title(name), 0);
        let subject = Subject {
            title: capital(&title(name)),
            share: false,
            from_zero: false,
            best_step,
        };
        charts.push(chart(&subject, &[line]));
    }
    charts
}

fn step_chart(data: &ReportData, title: &str, value: fn(&StepPoint) -> f64, smoothing: bool) -> Option<Chart> {
    let lines = match smoothing {
        true => smoothed(&data.steps, &title.to_lowercase(), value),
        false => vec![Series {
            name: title.to_lowercase(),
            style: "line-0".into(),
            points: points(&data.steps, value),
            dots: data.steps.len() <= FEW,
            backdrop: false,
        }],
    };
    let subject = Subject {
        title: title.into(),
        from_zero: true,
        ..Subject::default()
    };
    (!data.steps.is_empty()).then(|| chart(&subject, &lines))
}

fn points(steps: &[StepPoint], value: fn(&StepPoint) -> f64) -> Vec<[f64; 2]> {
    steps.iter().map(|point| [point.step as f64, value(point)]).collect()
}

/// The raw values as a backdrop with their moving average over it.
fn smoothed(steps: &[StepPoint], name: &str, value: fn(&StepPoint) -> f64) -> Vec<Series> {
    if steps.is_empty() {
        return Vec::new();
    }
    let raw = points(steps, value);
    let average = Series {
        name: format!("{name}, moving average"),
        style: "line-0".into(),
        points: smooth(&raw, steps.len() / 40),
        dots: steps.len() <= FEW,
        backdrop: false,
    };
    let name = "each step".into();
    vec![
        Series {
            name,
            style: "raw".into(),
            points: raw,
            dots: false,
            backdrop: true,
        },
        average,
    ]
}

fn evaluated(points: &[EvaluationPoint], metric: &str, name: String, colour: usize) -> Series {
    let values = points
        .iter()
        .filter_map(|point| Some([point.step as f64, *point.metrics.get(metric)?]))
        .collect();
    Series {
        name,
        style: format!("line-{colour}"),
        points: values,
        dots: true,
        backdrop: false,
    }
}

fn metric_names(points: &[EvaluationPoint]) -> BTreeSet<&str> {
    points
        .iter()
        .flat_map(|point| point.metrics.keys())
        .map(String::as_str)
        .collect()
}

fn is_loss(metric: &str) -> bool {
    format::last(metric) == "loss"
}

fn is_accuracy_like(points: &[EvaluationPoint], metric: &str) -> bool {
    let values = points.iter().filter_map(|point| point.metrics.get(metric));
    let bounded = |value: &f64| !value.is_finite() || (0.0..=1.0).contains(value);
    format::last(metric) != "bits_per_byte" && values.into_iter().all(bounded)
}

/// `validation.answer.macro_f1` → `validation answer macro F1`.
fn title(metric: &str) -> String {
    metric.split('.').map(format::words).collect::<Vec<_>>().join(" ")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(steps: u64, metrics: &[&str]) -> ReportData {
        let step = |step| StepPoint {
            step,
            loss: 1.0 / step as f64,
            ..StepPoint::default()
        };
        let evaluation = |step: u64| EvaluationPoint {
            step,
            metrics: metrics.iter().map(|name| (name.to_string(), 0.5)).collect(),
            ..EvaluationPoint::default()
        };
        ReportData {
            steps: (1..=steps).map(step).collect(),
            evaluations: (1..=steps).map(evaluation).collect(),
            ..ReportData::default()
        }
    }

    fn check(data: &ReportData, expected: &[(&str, usize)]) {
        let charts = charts(data);
        let found: Vec<_> = charts.iter().map(|one| (one.title.as_str(), one.lines.len())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_run_gets_the_charts_it_recorded() {
        check(&data(0, &[]), &[]);
        check(
            &data(1, &[]),
            &[("Loss", 2), ("Learning rate", 1), ("Gradient norm", 2)],
        );
        check(
            &data(
                9,
                &["validation.loss", "validation.answer.accuracy", "validation.x.macro_f1"],
            ),
            &[("Loss", 3), ("Metrics", 2), ("Learning rate", 1), ("Gradient norm", 2)],
        );
    }

    #[test]
    fn unbounded_metrics_get_charts_of_their_own() {
        let mut data = data(2, &["validation.caption.cider", "validation.caption.bleu4"]);
        data.steps.clear();
        data.evaluations[1]
            .metrics
            .insert("validation.caption.cider".into(), 1.2);
        check(
            &data,
            &[("Validation caption BLEU-4", 1), ("Validation caption CIDEr", 1)],
        );
    }

    #[test]
    fn many_metrics_are_spread_over_charts() {
        let names: Vec<String> = (0..8).map(|index| format!("validation.o{index}.accuracy")).collect();
        let mut data = data(2, &names.iter().map(String::as_str).collect::<Vec<_>>());
        data.steps.clear();
        check(&data, &[("Metrics", 6), ("Metrics", 2)]);
    }
}
