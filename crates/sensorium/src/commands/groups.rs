//! The table of an evaluation by the values of a column.

use sensorium_train::{Evaluation, Group, Intervals, Metrics};

/// Metrics that fit side by side on a terminal.
const COLUMNS: usize = 4;

/// For each output the groups with rows, values and intervals, and under each group its controls; nothing where the rows were
/// measured as a whole only.
pub fn table(evaluation: &Evaluation) -> String {
    let Some(column) = &evaluation.by else {
        return String::new();
    };
    let mut text = String::new();
    for (output, metrics) in &evaluation.metrics {
        // The parts of a metric, such as the directions of a search, are left to the JSON document.
        let names: Vec<&str> = metrics
            .keys()
            .map(String::as_str)
            .filter(|name| !name.contains('.'))
            .collect();
        for names in names.chunks(COLUMNS) {
            let head = [
                &[format!("{output} by {column}"), "rows".into()],
                &names.iter().map(ToString::to_string).collect::<Vec<_>>()[..],
            ];
            let mut lines = vec![head.concat()];
            let measured = evaluation
                .groups
                .iter()
                .filter(|(_, group)| group.metrics.contains_key(output));
            measured.for_each(|(value, group)| lines.extend(group_lines(value, group, output, names)));
            text += &format!("\n{}", aligned(&lines));
        }
    }
    text
}

fn group_lines(value: &str, group: &Group, output: &str, names: &[&str]) -> Vec<Vec<String>> {
    let line = |name: String, rows: String, cell: &dyn Fn(&str) -> Option<String>| {
        let cells = names.iter().map(|name| cell(name).unwrap_or_default());
        [name, rows].into_iter().chain(cells).collect()
    };
    let number = |metrics: &Metrics, name: &str| metrics.get(name).map(|value| format!("{value:.4}"));
    let interval =
        |intervals: &Intervals, name: &str| intervals.get(name).map(|[low, high]| format!("{low:.4}–{high:.4}"));
    let (metrics, intervals) = (&group.metrics[output], &group.intervals[output]);
    let mut lines = vec![
        line(format!("  {value}"), group.rows.to_string(), &|name| {
            number(metrics, name)
        }),
        line("    95% interval".into(), String::new(), &|name| {
            interval(intervals, name)
        }),
    ];
    let controls = group
        .controls
        .iter()
        .filter_map(|(control, outputs)| Some((control, outputs.get(output)?)));
    lines.extend(
        controls.map(|(control, metrics)| line(format!("    {control}"), String::new(), &|name| number(metrics, name))),
    );
    lines
}

/// The first column to the left, the others to the right, each as wide as it must be.
fn aligned(lines: &[Vec<String>]) -> String {
    let width = |place: usize| lines.iter().map(|line| line[place].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(place, (cell, &width))| match place {
                0 => format!("{cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            });
        text += cells.collect::<String>().trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn metrics(accuracy: f64) -> BTreeMap<String, Metrics> {
        let found = [("accuracy".to_string(), accuracy), ("a_to_b.mrr".to_string(), 1.0)];
        [("answer".to_string(), found.into())].into()
    }

    fn group(rows: usize, accuracy: f64, without: f64) -> Group {
        Group {
            rows,
            metrics: metrics(accuracy),
            intervals: [("answer".to_string(), [("accuracy".to_string(), [0.5, 1.0])].into())].into(),
            controls: [("without:history".to_string(), metrics(without))].into(),
        }
    }

    #[test]
    fn groups_and_their_controls_stand_in_columns() {
        let evaluation = Evaluation {
            run: "run".into(),
            split: "test".into(),
            rows: 12_010,
            skipped: 0,
            measured: BTreeMap::new(),
            metrics: metrics(0.9),
            intervals: BTreeMap::new(),
            confusion: BTreeMap::new(),
            controls: BTreeMap::new(),
            by: Some("follow_up".into()),
            groups: [
                ("no".into(), group(12_000, 1.0, 0.75)),
                ("yes".into(), group(10, 0.9, 0.5)),
            ]
            .into(),
        };
        let expected = [
            "",
            "answer by follow_up   rows       accuracy",
            "  no                 12000         1.0000",
            "    95% interval            0.5000–1.0000",
            "    without:history                0.7500",
            "  yes                   10         0.9000",
            "    95% interval            0.5000–1.0000",
            "    without:history                0.5000",
        ];
        assert_eq!(table(&evaluation).lines().collect::<Vec<_>>(), expected);
        assert_eq!(table(&Evaluation { by: None, ..evaluation }), "");
    }
}
