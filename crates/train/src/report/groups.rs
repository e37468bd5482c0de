//! What the model achieves on the rows of each value of a column.

use super::data::{Control, GroupReport, GroupsReport, OutputReport};
use super::evaluation::{ControlCell, control_cell, metric, ordered};
use crate::page::format;
use serde::Serialize;

#[derive(Debug, Clone, Serialize)]
pub struct GroupsView {
    pub column: String,
    pub metrics: Vec<String>,
    /// Each group, and behind it its controls.
    pub rows: Vec<GroupView>,
}

#[derive(Debug, Clone, Serialize)]
pub struct GroupView {
    pub name: String,
    /// None for a control of the group above.
    pub rows: Option<String>,
    pub cells: Vec<ControlCell>,
}

/// The groups that were measured on an output; none where there are none.
pub fn view(groups: &GroupsReport, output: &str) -> Option<GroupsView> {
    let measured: Vec<(&GroupReport, &OutputReport)> = groups
        .groups
        .iter()
        .filter_map(|group| Some((group, group.outputs.iter().find(|one| one.name == output)?)))
        .collect();
    let (_, first) = measured.first()?;
    // The parts of a metric, such as the directions of a search, would make too many columns.
    let names: Vec<&str> = ordered(first).into_iter().filter(|name| !name.contains('.')).collect();
    Some(GroupsView {
        column: groups.column.clone(),
        metrics: names.iter().map(|name| format::words(name)).collect(),
        rows: measured
            .into_iter()
            .flat_map(|(group, output)| lines(group, output, &names))
            .collect(),
    })
}

fn lines(group: &GroupReport, output: &OutputReport, names: &[&str]) -> Vec<GroupView> {
    let own = Control {
        name: group.value.clone(),
        metrics: output.metrics.clone(),
    };
    let all: Vec<&Control> = std::iter::once(&own).chain(&output.controls).collect();
    let line = |control: &&Control| {
        let is_group = std::ptr::eq(*control, &own);
        let cell = |name: &&str| {
            let mut cell = control_cell(name, control, &all);
            if is_group {
                cell.change = metric(output, name).interval;
            }
            cell
        };
        GroupView {
            name: if is_group {
                control.name.clone()
            } else {
                format::words(&control.name)
            },
            rows: is_group.then(|| format::count(group.rows)),
            cells: names.iter().map(cell).collect(),
        }
    };
    all.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(value: &str, output: &str, accuracy: f64, without: f64) -> GroupReport {
        let metrics = |accuracy: f64| [("accuracy".into(), accuracy), ("a_to_b.mrr".into(), 0.5)].into();
        GroupReport {
            value: value.into(),
            rows: 1234,
            outputs: vec![OutputReport {
                name: output.into(),
                metrics: metrics(accuracy),
                intervals: [("accuracy".into(), [0.9, 0.96])].into(),
                controls: vec![Control {
                    name: "without:history".into(),
                    metrics: metrics(without),
                }],
                rows: None,
                confusion: None,
                stop: None,
            }],
        }
    }

    #[test]
    fn a_group_stands_above_its_controls() {
        let groups = vec![
            group("no", "answer", 0.95, 0.95),
            group("other", "caption", 0.1, 0.1),
            group("yes", "answer", 0.93, 0.5),
        ];
        let view = view(
            &GroupsReport {
                column: "follow_up".into(),
                groups,
            },
            "answer",
        )
        .unwrap();
        assert_eq!(view.metrics, ["accuracy"]);
        let found: Vec<[&str; 4]> = view
            .rows
            .iter()
            .map(|row| {
                let [cell] = &row.cells[..] else { panic!("{row:?}") };
                [&row.name, row.rows.as_deref().unwrap_or("-"), &cell.value, &cell.change]
            })
            .collect();
        let expected = [
            ["no", "1,234", "95.0%", "90.0% to 96.0%"],
            ["without history", "-", "95.0%", "+0.0"],
            ["yes", "1,234", "93.0%", "90.0% to 96.0%"],
            ["without history", "-", "50.0%", "−43.0"],
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_output_without_groups_has_no_view() {
        assert!(view(&GroupsReport::default(), "answer").is_none());
    }
}
