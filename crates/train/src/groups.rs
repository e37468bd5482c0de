//! The rows of each value of a column, measured by themselves.

use crate::error::{Result, TrainError};
use crate::evaluation::Request;
use crate::measure;
use crate::metrics::{Intervals, Metrics};
use crate::score::ScoredRow;
use sensorium_data::random::Key;
use sensorium_data::{Dataset, Value};
use sensorium_model::tasks::Task;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A column with more values is hardly one that divides the rows into kinds.
const MOST_VALUES: usize = 50;

/// The group of the rows that have no value.
const NO_VALUE: &str = "(none)";

/// The rows of one value of a column, measured as if they were all. Outputs that none of them has a target for are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub rows: usize,
    pub metrics: BTreeMap<String, Metrics>,
    /// 95% bootstrap intervals.
    pub intervals: BTreeMap<String, Intervals>,
    /// The same metrics with an input withheld or shuffled.
    pub controls: BTreeMap<String, BTreeMap<String, Metrics>>,
}

/// Which value of a column each row has.
#[derive(Debug, Clone)]
pub struct Grouping {
    column: String,
    of_row: HashMap<usize, String>,
}

impl Grouping {
    /// By `column` of the samples at `indices`. `columns` are those of the manifest, to be told where it is none of them.
    ///
    /// # Errors
    /// For a column that does not exist, holds media or has more than 50 values.
    pub fn new(column: &str, columns: &[String], dataset: &Dataset, indices: &[usize]) -> Result<Self> {
        let wrong = |message: String| Err(TrainError::Recipe(format!("--by {column}: {message}")));
        if !columns.iter().any(|known| known == column) {
            let known = columns.join(", ");
            return wrong(format!("the rows have no such column; their columns are {known}"));
        }
        let samples = indices.iter().map(|&index| &dataset.samples()[index]);
        let named = samples.map(|sample| Some((sample.row, name(sample.get(column))?)));
        let Some(of_row) = named.collect::<Option<HashMap<usize, String>>>() else {
            return wrong("expected a column of texts, numbers or lists of them, found media".into());
        };
        let values = of_row.values().collect::<BTreeSet<_>>().len();
        if values > MOST_VALUES {
            return wrong(format!(
                "expected a column of at most {MOST_VALUES} values, found {values} in these rows; name one that divides \
                 them into kinds"
            ));
        }
        Ok(Self {
            column: column.to_string(),
            of_row,
        })
    }

    pub fn column(&self) -> &str {
        &self.column
    }

    fn value(&self, row: &ScoredRow) -> &str {
        &self.of_row[&row.row]
    }

    /// Shows the rows of each value, in their order.
    fn each(&self, rows: &mut [ScoredRow], visit: &mut dyn FnMut(&str, &[ScoredRow])) {
        rows.sort_by(|a, b| self.value(a).cmp(self.value(b)));
        for rows in rows.chunk_by(|a, b| self.value(a) == self.value(b)) {
            visit(self.value(&rows[0]), rows);
        }
        rows.sort_by_key(|row| row.row);
    }
}

/// What a value is called; none for a medium.
fn name(value: &Value) -> Option<String> {
    match value {
        Value::Absent => Some(NO_VALUE.into()),
        Value::List(items) => {
            let names: Option<Vec<String>> = items.iter().map(name).collect();
            names.map(|names| names.join(", "))
        }
        value => value.label(),
    }
}

impl Request<'_> {
    /// The metrics of each group; `media` holds the number of each row's medium.
    pub(crate) fn measure_groups(
        &self,
        by: &Grouping,
        rows: &mut [ScoredRow],
        media: &HashMap<usize, usize>,
    ) -> BTreeMap<String, Group> {
        let mut groups = BTreeMap::new();
        by.each(rows, &mut |value, rows| {
            let media: Vec<usize> = rows.iter().map(|row| media[&row.row]).collect();
            let mut group = Group {
                rows: rows.len(),
                ..Group::default()
            };
            for (output, task) in self.tasks(rows) {
                let key = Key::new(self.seed).with(output);
                let measured = measure::measure(task, output, rows, &media, &key);
                group.metrics.insert(output.into(), measured.metrics);
                group.intervals.insert(output.into(), measured.intervals);
            }
            groups.insert(value.to_string(), group);
        });
        groups
    }

    /// Adds to each group what is left of its metrics under a control, for the outputs that it concerns.
    pub(crate) fn measure_control(
        &self,
        by: &Grouping,
        (control, outputs): (&str, &[String]),
        rows: &mut [ScoredRow],
        groups: &mut BTreeMap<String, Group>,
    ) {
        by.each(rows, &mut |value, rows| {
            let metrics = self
                .tasks(rows)
                .filter(|(output, _)| outputs.iter().any(|concerned| concerned == output));
            let metrics = metrics.map(|(output, task)| (output.to_string(), measure::metrics(task, output, rows)));
            let group = groups.entry(value.to_string()).or_default();
            group.controls.insert(control.to_string(), metrics.collect());
        });
    }

    /// The outputs that some of the rows have a target for.
    fn tasks<'a>(&'a self, rows: &'a [ScoredRow]) -> impl Iterator<Item = (&'a str, &'a Task)> {
        let tasks = self.pipeline.model().tasks().iter();
        let known = |row: &ScoredRow, output: &str| row.losses.get(output).is_some_and(|(_, targets)| *targets > 0);
        tasks.filter(move |(output, _)| rows.iter().any(|row| known(row, output)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sensorium_data::Sample;
    use std::path::PathBuf;

    fn dataset(values: Vec<Value>) -> Dataset {
        let sample = |(row, value)| Sample {
            row,
            values: [("kind".to_string(), value)].into(),
        };
        let samples = values.into_iter().enumerate().map(sample).collect();
        Dataset::new(samples, PathBuf::new(), Vec::new(), Vec::new())
    }

    fn grouping(column: &str, values: Vec<Value>) -> Result<Grouping> {
        let indices: Vec<usize> = (0..values.len()).collect();
        Grouping::new(column, &["image".into(), "kind".into()], &dataset(values), &indices)
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn rows_are_shown_by_their_value_and_put_back() {
        let list = Value::List(vec![text("b"), Value::Number(1.0)]);
        let values = vec![text("b"), Value::Number(2.0), Value::Absent, list, text("b")];
        let grouping = grouping("kind", values).unwrap();
        let mut rows: Vec<ScoredRow> = (0..5).map(ScoredRow::empty).collect();
        let mut found = Vec::new();
        let numbers = |rows: &[ScoredRow]| rows.iter().map(|row| row.row).collect::<Vec<_>>();
        grouping.each(&mut rows, &mut |value, rows| {
            found.push((value.to_string(), numbers(rows)))
        });
        let expected = [
            ("(none)", vec![2]),
            ("2", vec![1]),
            ("b", vec![0, 4]),
            ("b, 1", vec![3]),
        ];
        assert_eq!(found, expected.map(|(value, rows)| (value.to_string(), rows)));
        assert_eq!(numbers(&rows), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn what_divides_nothing_is_refused() {
        let check = |column: &str, values: Vec<Value>, words: &str| {
            let error = grouping(column, values).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        check("colour", vec![text("a")], "their columns are image, kind");
        check("kind", vec![Value::Bytes([1].into())], "found media");
        let many = |count: u32| (0..count).map(|number| Value::Number(number.into())).collect();
        check("kind", many(51), "at most 50 values, found 51");
        assert!(grouping("kind", many(50)).is_ok());
    }
}
