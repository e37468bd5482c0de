//! What the finished model achieves on each split: metrics, their intervals and the controls.

use super::confusion::{self, ConfusionView};
use super::data::{Control, OutputReport, ReportData, SplitReport};
use super::groups::{self, GroupsView};
use crate::page::format;
use serde::Serialize;

/// The metric that speaks for an output, the first of these that it has.
const HEADLINES: [&str; 11] = [
    "cider",
    "cer",
    "map",
    "accuracy",
    "macro_f1",
    "wer",
    "mrr",
    "recall@1",
    "auroc",
    "rouge_l",
    "perplexity",
];

#[derive(Debug, Clone, Serialize)]
pub struct SplitView {
    pub name: String,
    pub rows: String,
    /// Rows left out, or empty where there are none.
    pub skipped: String,
    pub outputs: Vec<OutputView>,
}

#[derive(Debug, Clone, Serialize)]
pub struct OutputView {
    pub name: String,
    /// Those of the split's rows that it is measured on; none where that is all.
    pub rows: Option<String>,
    pub metrics: Vec<MetricView>,
    pub controls: Option<ControlsView>,
    pub confusion: Option<ConfusionView>,
    pub groups: Option<GroupsView>,
}

/// A metric as text, and as shares of its bar for those that end at 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricView {
    pub name: String,
    pub value: String,
    /// `96.1% to 96.9%`, or empty without an interval.
    pub interval: String,
    pub bar: Option<Bar>,
}

/// Percentages of a bar's length.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bar {
    pub length: String,
    pub low: String,
    pub span: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct ControlsView {
    pub metrics: Vec<String>,
    pub rows: Vec<ControlView>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ControlView {
    pub name: String,
    pub everything: bool,
    pub cells: Vec<ControlCell>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ControlCell {
    pub value: String,
    /// The change against everything; of everything itself the interval, or nothing.
    pub change: String,
    /// The bar's length in percent.
    pub bar: String,
}

/// The number at the top of the page.
#[derive(Debug, Clone, Serialize)]
pub struct Headline {
    pub split: String,
    pub rows: String,
    pub output: String,
    pub metric: MetricView,
    /// The same metric under each control: name and value.
    pub controls: Vec<(String, String)>,
}

/// One headline for each output of the test split, or of the last split without one.
pub fn headlines(data: &ReportData) -> Vec<Headline> {
    let test = data.splits.iter().find(|split| split.name == "test");
    let Some(split) = test.or(data.splits.last()) else {
        return Vec::new();
    };
    split
        .outputs
        .iter()
        .filter_map(|output| headline(split, output))
        .collect()
}

fn headline(split: &SplitReport, output: &OutputReport) -> Option<Headline> {
    let name = *ordered(output).first()?;
    let control = |control: &Control| {
        let value = control.metrics.get(name)?;
        Some((format::words(&control.name), format::metric(name, *value)))
    };
    Some(Headline {
        split: split.name.clone(),
        rows: format::count(output.rows.unwrap_or(split.rows)),
        output: output.name.clone(),
        metric: metric(output, name),
        controls: output.controls.iter().filter_map(control).collect(),
    })
}

pub fn split(split: &SplitReport) -> SplitView {
    let skipped = if split.skipped == 0 {
        String::new()
    } else {
        format::count(split.skipped)
    };
    SplitView {
        name: split.name.clone(),
        rows: format::count(split.rows),
        skipped,
        outputs: split.outputs.iter().map(|one| output(split, one)).collect(),
    }
}

fn output(split: &SplitReport, output: &OutputReport) -> OutputView {
    let fewer = output.rows.filter(|rows| *rows < split.rows);
    OutputView {
        name: output.name.clone(),
        rows: fewer.map(format::count),
        metrics: ordered(output).into_iter().map(|name| metric(output, name)).collect(),
        controls: controls(output),
        confusion: output.confusion.as_ref().and_then(confusion::view),
        groups: split
            .groups
            .as_ref()
            .and_then(|groups| groups::view(groups, &output.name)),
    }
}

/// The output's metrics, the one that speaks for it first.
pub fn ordered(output: &OutputReport) -> Vec<&str> {
    let rank = |name: &&str| match output.stop.as_deref() == Some(*name) {
        true => 0,
        false => HEADLINES
            .iter()
            .position(|one| one == name)
            .map_or(usize::MAX, |place| place + 1),
    };
    let mut names: Vec<&str> = output.metrics.keys().map(String::as_str).collect();
    names.sort_by_key(rank);
    names
}

pub fn metric(output: &OutputReport, name: &str) -> MetricView {
    let value = output.metrics.get(name).copied().unwrap_or(f64::NAN);
    let interval = output.intervals.get(name).copied();
    let interval = interval.filter(|ends| ends.iter().all(|end| end.is_finite()));
    let text = |ends: [f64; 2]| format!("{} to {}", format::metric(name, ends[0]), format::metric(name, ends[1]));
    MetricView {
        name: format::words(name),
        value: format::metric(name, value),
        interval: interval.map(text).unwrap_or_default(),
        bar: bar(name, value, interval.unwrap_or([value, value])),
    }
}

/// A bar for metrics that end at 1; a loss below 1 is not part of a whole.
fn bar(name: &str, value: f64, [low, high]: [f64; 2]) -> Option<Bar> {
    let ends_at_one =
        format::is_share(name) || matches!(format::last(name), "auroc" | "mrr" | "ndcg" | "bleu4" | "rouge_l");
    let percent = |share: f64| format!("{:.2}", share.clamp(0.0, 1.0) * 100.0);
    (ends_at_one && (0.0..=1.0).contains(&value)).then(|| Bar {
        length: percent(value),
        low: percent(low),
        span: percent(high.min(1.0) - low.max(0.0)),
    })
}

fn controls(output: &OutputReport) -> Option<ControlsView> {
    if output.controls.is_empty() || output.metrics.is_empty() {
        return None;
    }
    let names = ordered(output);
    let everything = Control {
        name: "everything".into(),
        metrics: output.metrics.clone(),
    };
    let all: Vec<&Control> = std::iter::once(&everything).chain(&output.controls).collect();
    let row = |(index, control): (usize, &&Control)| ControlView {
        name: format::words(&control.name),
        everything: index == 0,
        cells: names.iter().map(|name| control_cell(name, control, &all)).collect(),
    };
    let rows = all.iter().enumerate().map(row).collect();
    Some(ControlsView {
        metrics: names.into_iter().map(format::words).collect(),
        rows,
    })
}

/// Bars of one metric share a scale: 0 to 1 where all values fit it, else 0 to the largest.
pub fn control_cell(name: &str, control: &Control, all: &[&Control]) -> ControlCell {
    let of = |control: &Control| control.metrics.get(name).copied().unwrap_or(f64::NAN);
    let largest = all.iter().map(|one| of(one)).filter(|value| value.is_finite());
    let largest = largest.fold(1.0, f64::max);
    let value = of(control);
    let share = if value.is_finite() {
        (value / largest).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let change = value - of(all[0]);
    let change = match std::ptr::eq(control, all[0]) || !change.is_finite() {
        true => String::new(),
        false if format::is_share(name) => signed(format!("{:+.1}", change * 100.0)),
        false => signed(format!("{change:+.3}")),
    };
    ControlCell {
        value: format::metric(name, value),
        change,
        bar: format!("{:.1}", share * 100.0),
    }
}

fn signed(text: String) -> String {
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> OutputReport {
        let metrics = |accuracy, perplexity| {
            [
                ("perplexity".to_string(), perplexity),
                ("accuracy".to_string(), accuracy),
            ]
            .into()
        };
        OutputReport {
            name: "answer".into(),
            rows: Some(1234),
            metrics: metrics(0.965, 2.0),
            intervals: [("accuracy".into(), [0.961, 0.969])].into(),
            controls: vec![
                Control {
                    name: "without:image".into(),
                    metrics: metrics(0.67, 8.0),
                },
                Control {
                    name: "shuffled:image".into(),
                    metrics: metrics(f64::NAN, 4.0),
                },
            ],
            confusion: None,
            stop: None,
        }
    }

    #[test]
    fn the_headline_is_accuracy_on_test() {
        let split = |name: &str| SplitReport {
            name: name.into(),
            rows: 9673,
            outputs: vec![sample()],
            ..SplitReport::default()
        };
        let splits = vec![split("test"), split("validation")];
        let found = &headlines(&ReportData {
            splits,
            ..ReportData::default()
        })[0];
        assert_eq!((found.split.as_str(), found.metric.value.as_str()), ("test", "96.5%"));
        assert_eq!(found.rows, format::count(1234));
        assert_eq!(found.metric.interval, "96.1% to 96.9%");
        assert_eq!(found.controls[0], ("without image".into(), "67.0%".into()));
        let found = headlines(&ReportData::default());
        assert!(found.is_empty());
    }

    #[test]
    fn controls_are_set_against_everything() {
        let view = controls(&sample()).unwrap();
        let check = |row: usize, column: usize, value: &str, change: &str, bar: &str| {
            let cell = &view.rows[row].cells[column];
            assert_eq!([&cell.value, &cell.change, &cell.bar], [value, change, bar]);
        };
        assert_eq!(view.metrics, ["accuracy", "perplexity"]);
        check(0, 0, "96.5%", "", "96.5");
        check(1, 0, "67.0%", "−29.5", "67.0");
        check(2, 0, "–", "", "0.0");
        check(0, 1, "2.000", "", "25.0");
        check(1, 1, "8.000", "+6.000", "100.0");
    }

    #[test]
    fn rows_are_told_of_outputs_that_only_some_have_a_target_for() {
        let rows = |all: u64| {
            let split = SplitReport {
                rows: all,
                ..SplitReport::default()
            };
            output(&split, &sample()).rows
        };
        assert_eq!(rows(1234), None);
        assert_eq!(rows(9673), Some(format::count(1234)));
    }

    #[test]
    fn mean_average_precision_speaks_for_tags_unless_another_stopped_the_training() {
        let tags = OutputReport {
            metrics: ["accuracy", "macro_f1", "map"]
                .map(|name| (name.to_string(), 0.5))
                .into(),
            ..OutputReport::default()
        };
        assert_eq!(ordered(&tags), ["map", "accuracy", "macro_f1"]);
        let stopped = OutputReport {
            stop: Some("macro_f1".into()),
            ..tags
        };
        assert_eq!(ordered(&stopped), ["macro_f1", "map", "accuracy"]);
    }

    #[test]
    fn an_output_without_anything_is_an_empty_view() {
        let view = output(&SplitReport::default(), &OutputReport::default());
        assert!(view.metrics.is_empty() && view.controls.is_none() && view.confusion.is_none());
    }
}
