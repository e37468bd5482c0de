//! Which rows train the model, which choose it and which measure it.

use crate::random::Key;
use crate::{DataError, ErrorKind, Result, Sample, Value};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// One of the three uses of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    Train,
    Validation,
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

impl FromStr for Split {
    type Err = DataError;

    /// Reads `train`, `validation` (also `val`, `valid`, `dev`) or `test`, in any case.
    fn from_str(text: &str) -> Result<Self> {
        match text.trim().to_lowercase().as_str() {
            "train" => Ok(Self::Train),
            "validation" | "val" | "valid" | "dev" => Ok(Self::Validation),
            "test" => Ok(Self::Test),
            _ => Err(DataError::new(
                ErrorKind::Invalid,
                format!("expected `train`, `validation` or `test`, found `{text}`"),
            )),
        }
    }
}

/// How rows are divided: by a column of the manifest, or by drawn fractions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected { column = \"NAME\" } or { train = 0.9, validation = 0.05, test = 0.05, \
                 group = \"NAME\" } (group may be left out) or { hold_out = \"NAME\", values = [\"VALUE\"] }"
)]
pub enum SplitConfig {
    /// The manifest says it itself.
    Column {
        /// The column that holds `train`, `validation` or `test`; rows with another word are left
        /// out of all three.
        column: String,
    },
    /// Each group of rows is drawn by a hash, so that rows added later move no other row. The
    /// fractions are therefore met on average, not to the row.
    Ratio {
        /// The fraction of groups that train the model.
        train: f64,
        /// The fraction of groups that choose the best checkpoint.
        #[serde(default)]
        validation: f64,
        /// The fraction of groups that measure the model.
        #[serde(default)]
        test: f64,
        /// The column whose equal values stay together, so that near-copies never straddle a
        /// split. Without it every row is drawn alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// What the model has never seen measures it: rows with some values of a column are the test split.
    HoldOut {
        /// The column; rows without a value in it are left out of all splits.
        hold_out: String,
        /// The values that only the test split has.
        values: Vec<String>,
        /// The fraction of the other groups that choose the best checkpoint.
        #[serde(default = "default_validation")]
        #[schemars(range(min = 0.0, max = 0.9))]
        validation: f64,
        /// The column whose equal values stay together. Without it every row is drawn alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
}

fn default_validation() -> f64 {
    0.05
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self::Ratio {
            train: 0.9,
            validation: 0.05,
            test: 0.05,
            group: None,
        }
    }
}

impl SplitConfig {
    /// The column `split` where the manifest has one, and else the default fractions.
    pub fn for_columns(columns: &[String]) -> Self {
        match columns.iter().find(|column| *column == "split") {
            Some(column) => Self::Column { column: column.clone() },
            None => Self::default(),
        }
    }
}

/// Indices into the samples that were divided, each in exactly one list, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Splits {
    pub train: Vec<usize>,
    pub validation: Vec<usize>,
    pub test: Vec<usize>,
    /// Rows whose split column holds another word, or nothing.
    pub other: Vec<usize>,
}

impl Splits {
    pub fn get(&self, split: Split) -> &[usize] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    fn push(&mut self, index: usize, split: Option<Split>) {
        let list = match split {
            Some(Split::Train) => &mut self.train,
            Some(Split::Validation) => &mut self.validation,
            Some(Split::Test) => &mut self.test,
            None => &mut self.other,
        };
        list.push(index);
    }
}

/// Says of each row alone which split it belongs to.
#[derive(Debug, Clone)]
pub struct Divider {
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    Column(String),
    Ratio {
        fractions: Fractions,
        group: Option<String>,
        key: Key,
    },
    HoldOut {
        column: String,
        values: Vec<String>,
        rest: Box<Rule>,
    },
}

impl Divider {
    /// `seed` decides between equal fractions.
    ///
    /// Fails with `Invalid` where the fractions are negative or do not sum to 1.
    pub fn new(config: &SplitConfig, seed: u64) -> Result<Self> {
        let rule = match config {
            SplitConfig::Column { column } => Rule::Column(column.clone()),
            SplitConfig::Ratio {
                train,
                validation,
                test,
                group,
            } => Rule::Ratio {
                fractions: Fractions::new(*train, *validation, *test)?,
                group: group.clone(),
                key: Key::new(seed).with("split"),
            },
            SplitConfig::HoldOut {
                hold_out,
                values,
                validation,
                group,
            } => Rule::HoldOut {
                column: hold_out.clone(),
                values: values.clone(),
                rest: Box::new(Rule::Ratio {
                    fractions: Fractions::new(1.0 - validation, *validation, 0.0)?,
                    group: group.clone(),
                    key: Key::new(seed).with("split"),
                }),
            },
        };
        Ok(Self { rule })
    }

    /// None for a row whose split column holds another word, or nothing.
    pub fn assign(&self, sample: &Sample) -> Option<Split> {
        self.rule.assign(sample)
    }

    /// The column that rows are divided by.
    pub fn column(&self) -> Option<&str> {
        match &self.rule {
            Rule::Column(column) => Some(column),
            Rule::Ratio { group, .. } => group.as_deref(),
            Rule::HoldOut { column, .. } => Some(column),
        }
    }
}

impl Rule {
    fn assign(&self, sample: &Sample) -> Option<Split> {
        match self {
            Self::Column(column) => sample.get(column).label()?.parse().ok(),
            Self::Ratio { fractions, group, key } => Some(fractions.draw(&group_key(key, sample, group.as_deref()))),
            Self::HoldOut { column, values, rest } => match values.contains(&sample.get(column).label()?) {
                true => Some(Split::Test),
                false => rest.assign(sample),
            },
        }
    }
}

/// Divides `samples` as `config` says; `seed` decides between equal fractions.
///
/// Fails with `Missing` where no sample has the column and `Invalid` where the fractions are
/// negative or do not sum to 1.
pub fn split(samples: &[Sample], config: &SplitConfig, seed: u64) -> Result<Splits> {
    let divider = Divider::new(config, seed)?;
    divider.column().map_or(Ok(()), |column| require(samples, column))?;
    let mut splits = Splits::default();
    for (index, sample) in samples.iter().enumerate() {
        splits.push(index, divider.assign(sample));
    }
    Ok(splits)
}

/// Fractions of a whole; what the other two leave is `test`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fractions {
    train: f64,
    validation: f64,
    test: f64,
}

impl Fractions {
    pub(crate) fn new(train: f64, validation: f64, test: f64) -> Result<Self> {
        let parts = [train, validation, test];
        let sum: f64 = parts.iter().sum();
        // A comparison with NaN is false, so that NaN is refused too.
        match parts.iter().all(|part| *part >= 0.0) && (sum - 1.0).abs() <= 1e-6 {
            true => Ok(Self {
                train,
                validation,
                test,
            }),
            false => Err(DataError::new(
                ErrorKind::Invalid,
                format!(
                    "expected fractions of at least 0 that sum to 1, found train = {train}, \
                     validation = {validation}, test = {test} (sum {sum})"
                ),
            )
            .in_field("split")),
        }
    }

    /// The split of whatever `key` stands for.
    pub(crate) fn draw(&self, key: &Key) -> Split {
        let drawn: f64 = key.generator().random();
        if drawn < self.train {
            Split::Train
        } else if drawn < self.train + self.validation {
            Split::Validation
        } else if self.test > 0.0 {
            Split::Test
        } else if self.validation > 0.0 {
            // The fractions may sum to a little less than 1, and no row may fall into an empty one.
            Split::Validation
        } else {
            Split::Train
        }
    }
}

/// The key of a row's group; a row without a group is one of its own.
fn group_key(key: &Key, sample: &Sample, group: Option<&str>) -> Key {
    let mut name = Vec::new();
    match group.map_or(&Value::Absent, |column| sample.get(column)) {
        Value::Absent => key.with("row").at(sample.row as u64),
        value => {
            identify(value, &mut name);
            let digest = blake3::hash(&name);
            key.with("group").with(digest.to_hex().as_str())
        }
    }
}

/// Appends bytes that differ for every two values that differ.
fn identify(value: &Value, out: &mut Vec<u8>) {
    let mut part = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend((bytes.len() as u64).to_le_bytes());
        out.extend(bytes);
    };
    match value {
        Value::Absent => part(b'-', &[]),
        // A number and its text are the same name: one table may hold both.
        Value::Text(text) => part(b't', text.as_bytes()),
        Value::Number(number) => part(b't', number.to_string().as_bytes()),
        Value::Bytes(bytes) => part(b'b', bytes),
        Value::Stored(stored) => part(b's', stored.place().as_bytes()),
        Value::List(items) => {
            part(b'[', &(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| identify(item, out));
        }
    }
}

fn require(samples: &[Sample], column: &str) -> Result<()> {
    if samples.is_empty() || samples.iter().any(|sample| sample.values.contains_key(column)) {
        return Ok(());
    }
    let columns: BTreeSet<&str> = samples
        .iter()
        .flat_map(|sample| sample.values.keys().map(String::as_str))
        .collect();
    let columns: Vec<&str> = columns.into_iter().collect();
    let message = format!(
        "expected a column `{column}` to split by, found the columns {}; name one of them, or give \
         fractions",
        columns.join(", ")
    );
    Err(DataError::new(ErrorKind::Missing, message).in_field(column))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples(column: &str, values: &[Value]) -> Vec<Sample> {
        let sample = |(row, value): (usize, &Value)| Sample {
            row,
            values: [(column.to_string(), value.clone())].into(),
        };
        values.iter().enumerate().map(sample).collect()
    }

    fn ratio(train: f64, validation: f64, test: f64, group: Option<&str>) -> SplitConfig {
        SplitConfig::Ratio {
            train,
            validation,
            test,
            group: group.map(String::from),
        }
    }

    #[test]
    fn held_out_values_are_the_test_split_and_no_value_is_none() {
        let values = ["red", "blue", "green", "blue"].map(|value| Value::Text(value.into()));
        let values = [&values[..], &[Value::Absent]].concat();
        let config = SplitConfig::HoldOut {
            hold_out: "color".into(),
            values: vec!["blue".into()],
            validation: 0.0,
            group: None,
        };
        let splits = split(&samples("color", &values), &config, 1).unwrap();
        assert_eq!(splits.test, [1, 3]);
        assert_eq!(splits.train, [0, 2]);
        assert_eq!(splits.other, [4]);
    }

    #[test]
    fn a_column_names_the_split_in_any_of_its_words() {
        let words = ["train", " Val", "dev", "valid", "validation", "TEST", "extra"];
        let mut values: Vec<Value> = words.iter().map(|w| Value::Text(w.to_string())).collect();
        values.push(Value::Absent);
        let config = SplitConfig::Column { column: "fold".into() };
        let splits = split(&samples("fold", &values), &config, 1).unwrap();
        assert_eq!(splits.train, [0]);
        assert_eq!(splits.validation, [1, 2, 3, 4]);
        assert_eq!(splits.test, [5]);
        assert_eq!(splits.other, [6, 7]);
    }

    #[test]
    fn a_missing_column_is_an_error_that_names_the_others() {
        let rows = samples("fold", &[Value::Number(1.0)]);
        let column = SplitConfig::Column { column: "split".into() };
        for config in [column, ratio(1.0, 0.0, 0.0, Some("scene"))] {
            let error = split(&rows, &config, 1).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Missing);
            assert!(error.message.contains("fold"), "{error}");
        }
    }

    #[test]
    fn fractions_must_be_a_division_of_the_whole() {
        for (train, validation, test) in [(0.9, 0.2, 0.0), (1.1, -0.1, 0.0), (f64::NAN, 0.5, 0.5), (0.5, 0.4, 0.0)] {
            let error = split(&[], &ratio(train, validation, test, None), 1).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Invalid);
        }
        assert!(split(&[], &ratio(0.9, 0.05, 0.05 + 1e-7, None), 1).is_ok());
    }

    #[test]
    fn fractions_are_met_on_average_and_the_seed_matters() {
        let rows = samples("x", &vec![Value::Absent; 20_000]);
        let drawn = split(&rows, &SplitConfig::default(), 1).unwrap();
        assert!(
            (drawn.validation.len() as f64 - 1000.0).abs() < 150.0,
            "{}",
            drawn.validation.len()
        );
        assert!((drawn.test.len() as f64 - 1000.0).abs() < 150.0, "{}", drawn.test.len());
        assert_ne!(drawn, split(&rows, &SplitConfig::default(), 2).unwrap());
        let whole = split(&rows, &ratio(1.0, 0.0, 0.0, None), 1).unwrap();
        assert_eq!(whole.train.len(), rows.len());
    }

    #[test]
    fn the_configuration_reads_both_forms_and_nothing_else() {
        let read = |json: &str| serde_json::from_str::<SplitConfig>(json);
        assert_eq!(
            read("{\"column\":\"s\"}").unwrap(),
            SplitConfig::Column { column: "s".into() }
        );
        assert_eq!(
            read("{\"train\":0.8,\"test\":0.2,\"group\":\"g\"}").unwrap(),
            ratio(0.8, 0.0, 0.2, Some("g"))
        );
        assert_eq!(read("{\"train\":1}").unwrap(), ratio(1.0, 0.0, 0.0, None));
        for wrong in ["{\"colum\":\"s\"}", "{\"train\":1,\"valid\":0}", "\"split\"", "{}"] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("{ column ="), "{error}");
        }
        let columns = ["image".to_string(), "split".to_string()];
        assert_eq!(
            SplitConfig::for_columns(&columns),
            SplitConfig::Column { column: "split".into() }
        );
        assert_eq!(SplitConfig::for_columns(&columns[..1]), SplitConfig::default());
    }

    fn group_values() -> impl Strategy<Value = Vec<Value>> {
        let value = prop_oneof![
            Just(Value::Absent),
            (0..40u8).prop_map(|n| Value::Text(format!("scene {n}"))),
            (0..9u8).prop_map(|n| Value::Number(f64::from(n))),
            (0..3u8).prop_map(|n| Value::List(vec![Value::Number(f64::from(n)); n.into()])),
            (0..3u8).prop_map(|n| Value::Bytes([n].into())),
        ];
        proptest::collection::vec(value, 1..120)
    }

    proptest! {
        #[test]
        fn rows_are_in_one_list_each_and_groups_stay_together(
            values in group_values(), more in group_values(), seed: u64,
        ) {
            let config = ratio(0.5, 0.2, 0.3, Some("scene"));
            let rows = samples("scene", &values);
            let splits = split(&rows, &config, seed).unwrap();
            let lists = [&splits.train, &splits.validation, &splits.test];
            let mut all: Vec<usize> = lists.iter().flat_map(|list| list.iter().copied()).collect();
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..rows.len()));
            for (place, list) in lists.iter().enumerate() {
                for other in lists[place + 1..].iter().flat_map(|list| list.iter()) {
                    let shared = list.iter().any(|index| {
                        values[*index] != Value::Absent && values[*index] == values[*other]
                    });
                    prop_assert!(!shared);
                }
            }
            let longer = samples("scene", &[values, more].concat());
            let again = split(&longer, &config, seed).unwrap();
            for (before, after) in lists.iter().zip([&again.train, &again.validation, &again.test]) {
                let kept = after.iter().copied().filter(|index| *index < rows.len());
                prop_assert!(kept.eq(before.iter().copied()));
            }
        }
    }
}
