//! The report of a run: what its page holds.

mod charts;
mod confusion;
mod curves;
mod data;
mod evaluation;
mod examples;
mod groups;

pub use data::{
    Confusion, Control, EvaluationPoint, Example, ExampleInput, GroupReport, GroupsReport, HeatMap, OutputReport,
    ReportData, Sound, SplitReport, StepPoint, Summary,
};

use crate::page::format;
use serde::Serialize;

const TEMPLATES: [(&str, &str); 7] = [
    ("report.html", include_str!("report.html")),
    ("charts.html", include_str!("charts.html")),
    ("evaluation.html", include_str!("evaluation.html")),
    ("groups.html", include_str!("groups.html")),
    ("examples.html", include_str!("examples.html")),
    ("predictions.css", include_str!("predictions.css")),
    ("report.js", include_str!("report.js")),
];

/// What the template reads.
#[derive(Debug, Serialize)]
struct Page<'a> {
    name: &'a str,
    recipe: &'a str,
    command: Option<&'a str>,
    generated_by: &'a str,
    headlines: Vec<evaluation::Headline>,
    facts: Vec<(&'static str, String)>,
    charts: Vec<charts::Chart>,
    splits: Vec<evaluation::SplitView>,
    examples: Vec<examples::ExampleView>,
    tally: String,
}

/// Renders a self-contained HTML page. The same data give the same bytes.
pub fn render(data: &ReportData) -> String {
    crate::page::render(&TEMPLATES, page(data))
}

fn page(data: &ReportData) -> Page<'_> {
    Page {
        name: &data.name,
        recipe: &data.recipe,
        command: data.summary.command.as_deref(),
        generated_by: &data.generated_by,
        headlines: evaluation::headlines(data),
        facts: facts(&data.summary),
        charts: curves::charts(data),
        splits: data.splits.iter().map(evaluation::split).collect(),
        examples: examples::views(&data.examples),
        tally: examples::tally(&data.examples),
    }
}

fn facts(summary: &Summary) -> Vec<(&'static str, String)> {
    let missing = || format::MISSING.to_string();
    let stop = if summary.stop_reason.is_empty() {
        missing()
    } else {
        summary.stop_reason.clone()
    };
    let memory = |mb: f64| {
        if mb.is_finite() {
            format!("{mb:.0} MB")
        } else {
            missing()
        }
    };
    let rows = [
        ("Validation rows", format::count(summary.validation_rows)),
        ("Test rows", format::count(summary.test_rows)),
        ("Quarantined rows", format::count(summary.quarantined_rows)),
    ];
    let mut facts = vec![("Parameters", format::count(summary.parameters))];
    // An imported run was trained elsewhere.
    if summary.steps == 0 {
        facts.extend(rows);
        facts.push(("Training", stop));
        return facts;
    }
    facts.extend([
        ("Training time", format::duration(summary.training_seconds)),
        ("Epochs", format::count(summary.epochs)),
        ("Steps", format::count(summary.steps)),
        ("Best step", summary.best_step.map_or_else(missing, format::count)),
        ("Training rows", format::count(summary.train_rows)),
    ]);
    facts.extend(rows);
    facts.extend(summary.peak_memory_mb.map(|mb| ("Peak memory", memory(mb))));
    facts.extend(summary.threads.map(|threads| ("Threads", format::count(threads))));
    facts.push(("Seed", summary.seed.to_string()));
    facts.push(("Stopped because", stop));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::testing::{BREAKOUTS, HOSTILE, check_page};

    fn full(label: &str) -> ReportData {
        let metrics = || [("accuracy".to_string(), 0.75), (label.to_string(), f64::NAN)].into();
        let output = OutputReport {
            name: label.into(),
            rows: Some(2),
            metrics: metrics(),
            intervals: [("accuracy".to_string(), [0.7, 0.8])].into(),
            controls: vec![Control {
                name: label.into(),
                metrics: metrics(),
            }],
            confusion: Some(Confusion {
                labels: vec![label.into(), "no".into()],
                counts: vec![vec![3, 1], vec![0, 4]],
            }),
            stop: None,
        };
        let example = |predicted: &str| Example {
            row: 7,
            inputs: vec![
                ExampleInput {
                    name: label.into(),
                    text: None,
                    png: Some(b"\x89PNG".to_vec()),
                    ..ExampleInput::default()
                },
                ExampleInput {
                    name: "question".into(),
                    text: Some(label.into()),
                    ..ExampleInput::default()
                },
                ExampleInput {
                    name: "voice".into(),
                    sound: Some(Sound {
                        kind: "audio/ogg".into(),
                        bytes: b"OggS".to_vec(),
                    }),
                    ..ExampleInput::default()
                },
                ExampleInput {
                    name: "speech".into(),
                    ..ExampleInput::default()
                },
            ],
            output: label.into(),
            expected: vec![label.into()],
            predicted: predicted.into(),
            probability: Some(0.5),
            right: Some(predicted == label),
            top: vec![(label.into(), 0.5), ("no".into(), f64::NAN)],
            heat: Some(HeatMap {
                cells: 1,
                falls: vec![0.4],
                height: 64,
                width: 64,
            }),
        };
        let groups = GroupsReport {
            column: label.into(),
            groups: vec![GroupReport {
                value: label.into(),
                rows: 1234,
                outputs: vec![output.clone()],
            }],
        };
        ReportData {
            name: label.into(),
            recipe: format!("name = '{label}'"),
            generated_by: label.into(),
            summary: Summary {
                stop_reason: label.into(),
                steps: 500,
                best_step: Some(2),
                peak_memory_mb: Some(812.0),
                seed: 1234,
                threads: Some(2),
                command: Some(format!("sensorium train {label}")),
                ..Summary::default()
            },
            steps: (0..500)
                .map(|step| StepPoint {
                    step,
                    loss: 1.0 / step as f64,
                    ..StepPoint::default()
                })
                .collect(),
            evaluations: vec![EvaluationPoint {
                step: 2,
                epoch: 1,
                metrics: metrics(),
            }],
            splits: vec![SplitReport {
                name: label.into(),
                rows: 8,
                skipped: 1,
                outputs: vec![output],
                groups: Some(groups),
            }],
            examples: vec![example("no"), example(label)],
        }
    }

    fn check(data: &ReportData, present: &[&str], absent: &[&str]) {
        check_page(&render(data), present, absent);
    }

    #[test]
    fn everything_is_escaped() {
        check(&full(HOSTILE), &["&lt;script&gt;alert(&#x27;x&#x27;)"], &BREAKOUTS);
    }

    #[test]
    fn every_part_is_on_the_page() {
        let present = [
            "<title>easy</title>",
            "75.0%",
            "70.0% to 80.0%",
            "Peak memory",
            "812 MB",
            "<dt>Seed</dt><dd>1234</dd>",
            "<dt>Threads</dt><dd>2</dd>",
            "<code>sensorium train easy</code>",
            "<h4>By easy</h4>",
            "<td class=\"number muted\">1,234</td>",
            "easy taken for no: 1 of 4 rows (25.0%)",
            "how much the answer’s probability falls when this part is hidden",
            "data:image/png;base64,iVBORw==",
            "wrong",
            "right",
            "absent",
            ";base64,T2dnUw==\"></audio>",
            "1 wrong, 1 right",
            "name = &#x27;easy&#x27;",
            "1 value was not a finite number",
            "prefers-color-scheme: dark",
        ];
        check(&full("easy"), &present, &[]);
    }

    #[test]
    fn empty_parts_are_left_out_or_said() {
        let empty = ReportData {
            name: "empty".into(),
            ..ReportData::default()
        };
        check(
            &empty,
            &["No training steps were recorded", "No split was evaluated"],
            // What was trained elsewhere has no training to tell of.
            &["Examples", "Training time", "Stopped because"],
        );
        let split = SplitReport {
            name: "test".into(),
            outputs: vec![OutputReport {
                name: "answer".into(),
                ..OutputReport::default()
            }],
            ..SplitReport::default()
        };
        let hollow = ReportData {
            splits: vec![split],
            ..empty
        };
        check(
            &hollow,
            &["No metrics were measured", "0 rows"],
            &["No split was evaluated"],
        );
    }

    #[test]
    fn one_point_is_drawn() {
        let data = ReportData {
            steps: vec![StepPoint::default()],
            ..ReportData::default()
        };
        check(&data, &["h0\""], &["No training steps were recorded"]);
    }

    #[test]
    fn the_same_data_give_the_same_bytes() {
        assert_eq!(render(&full("easy")), render(&full("easy")));
    }
}
