//! Outputs: the columns that hold what a model should answer, and the texts among them as tokens.

use crate::dataset::Draw;
use crate::{DataError, ErrorKind, Processor, Result, Sample, Value};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// One output of the model: its name, the column with its targets and, for an output that reads texts, how.
#[derive(Debug, Clone)]
pub struct OutputColumn {
    pub name: String,
    /// None for an output that is compared with nothing but the inputs themselves, or that is only asked.
    pub column: Option<String>,
    pub texts: Option<TextColumn>,
}

/// Texts that an output reads as tokens: those that it learns to write, or the candidates that it chooses from.
#[derive(Debug, Clone)]
pub struct TextColumn {
    pub column: String,
    pub processor: Processor,
    pub takes: Takes,
}

/// Which texts of a list an output reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Takes {
    /// One reference: another one in each epoch of training, the first one otherwise.
    One,
    /// Every candidate, of which the output's column says which is right.
    All,
    /// One text, however long.
    Whole,
}

/// What the rows of a batch should answer, for one output.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Targets {
    /// The raw values of the output's column.
    pub values: Vec<Value>,
    pub texts: Option<TargetTexts>,
}

/// Texts with their tokens, each distinct one once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetTexts {
    /// Without the tokens that begin and end a text.
    pub tokens: Vec<Vec<u32>>,
    pub texts: Vec<String>,
    /// For each row the places of its texts; none where the row has no text.
    pub of_row: Vec<Vec<usize>>,
}

impl Targets {
    /// Those of some rows of the batch.
    pub fn select(&self, rows: &[usize]) -> Self {
        let of_rows = |texts: &TargetTexts| {
            let of_row = |&row: &usize| -> RowTexts {
                let places = texts.of_row[row].iter();
                let text = |&place: &usize| (texts.texts[place].clone(), texts.tokens[place].clone());
                places.map(text).collect()
            };
            let chosen: Vec<RowTexts> = rows.iter().map(of_row).collect();
            TargetTexts::join(chosen.iter())
        };
        Self {
            values: rows.iter().map(|&row| self.values[row].clone()).collect(),
            texts: self.texts.as_ref().map(of_rows),
        }
    }
}

/// The texts of one row, read.
pub(crate) type RowTexts = Vec<(String, Vec<u32>)>;

/// How right each of `candidates` is, by a target that is the right one's text, its index counted from zero, or a list of
/// numbers, one for each; none where the target is absent.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a target that is none of the candidates, or does not give each of them a number.
pub fn relevances(target: &Value, candidates: &[impl AsRef<str>]) -> Result<Option<Vec<f64>>> {
    let count = candidates.len();
    let marked = |right: &dyn Fn(usize) -> bool| (0..count).map(|place| f64::from(right(place))).collect();
    let (found, values): (String, Vec<f64>) = match target {
        Value::Absent => return Ok(None),
        Value::Text(text) => (format!("`{text}`"), marked(&|place| candidates[place].as_ref() == text)),
        Value::Number(index) => (format!("the index {index}"), marked(&|place| place as f64 == *index)),
        Value::List(items) => {
            let usable = |item: &Value| match item {
                Value::Number(number) if *number >= 0.0 && number.is_finite() => Some(*number),
                _ => None,
            };
            let numbers: Option<Vec<f64>> = items.iter().map(usable).collect();
            let numbers = numbers.filter(|numbers| numbers.len() == count);
            (format!("a list of {}", items.len()), numbers.unwrap_or_default())
        }
        _ => ("another value".into(), Vec::new()),
    };
    if values.iter().any(|value| *value > 0.0) {
        return Ok(Some(values));
    }
    Err(DataError::new(
        ErrorKind::Invalid,
        format!(
            "expected the text or the index of one of the {count} candidates, or {count} numbers of which one is above \
             zero, found {found}; correct the row"
        ),
    ))
}

impl OutputColumn {
    /// An output whose targets are no texts to be read.
    pub fn plain(name: impl Into<String>, column: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            column: Some(column.into()),
            texts: None,
        }
    }

    /// The texts of a row as tokens.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a value that is neither a text nor a list of texts, and for a target that is none of the
    /// candidates.
    pub(crate) fn read(&self, sample: &Sample, draw: Option<&Draw>) -> Result<RowTexts> {
        let Some(texts) = &self.texts else {
            return Ok(Vec::new());
        };
        let mut values = listed(sample.get(&texts.column))?;
        if texts.takes != Takes::All && values.len() > 1 {
            let chosen = match draw {
                Some(draw) => {
                    let key = draw.key.with("reference").with(&self.name);
                    key.at(sample.row as u64).generator().random_range(0..values.len())
                }
                None => 0,
            };
            values = vec![values.swap_remove(chosen)];
        }
        if texts.takes == Takes::All {
            relevances(self.target(sample), &values)?;
        }
        values.into_iter().map(|text| texts.read(text)).collect()
    }

    /// What the output should answer for a row.
    pub(crate) fn target<'a>(&self, sample: &'a Sample) -> &'a Value {
        self.column.as_ref().map_or(&Value::Absent, |column| sample.get(column))
    }
}

impl TextColumn {
    /// A text as it comes back from its tokens: cleaned and cut as the processor does it.
    ///
    /// # Errors
    /// What reading the text can refuse.
    pub fn written(&self, text: &str) -> Result<String> {
        let tokens = self.processor.text_tokens(text, true)?;
        Ok(self.processor.decode(&tokens).unwrap_or_default())
    }

    fn read(&self, text: String) -> Result<(String, Vec<u32>)> {
        let tokens = self.processor.text_tokens(&text, self.takes == Takes::Whole)?;
        Ok((text, tokens))
    }
}

/// The texts of a value: one, several or none.
fn listed(value: &Value) -> Result<Vec<String>> {
    match value {
        Value::Absent => Ok(Vec::new()),
        Value::List(items) => items.iter().map(text).collect(),
        value => Ok(vec![text(value)?]),
    }
}

fn text(value: &Value) -> Result<String> {
    value.label().ok_or_else(|| {
        DataError::new(
            ErrorKind::Invalid,
            "expected a text or a list of texts, found another value; correct the row or the output's column",
        )
    })
}

impl TargetTexts {
    /// Joins the texts of all rows.
    pub(crate) fn join<'a>(rows: impl Iterator<Item = &'a RowTexts>) -> Self {
        let mut joined = Self::default();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for row in rows {
            let place = |(text, tokens): &'a (String, Vec<u32>)| {
                *places.entry(text).or_insert_with(|| {
                    joined.tokens.push(tokens.clone());
                    joined.texts.push(text.clone());
                    joined.tokens.len() - 1
                })
            };
            let places = row.iter().map(place).collect();
            joined.of_row.push(places);
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProcessorConfig;
    use crate::random::Key;
    use std::collections::BTreeMap;

    fn output(takes: Takes) -> OutputColumn {
        let config: ProcessorConfig =
            serde_json::from_value(serde_json::json!({"modality": "text", "tokenizer": {"kind": "word"}})).unwrap();
        let processor = Processor::fit(&config, &["a frog", "a green frog"]).unwrap();
        let texts = TextColumn {
            column: "caption".into(),
            processor,
            takes,
        };
        OutputColumn {
            texts: Some(texts),
            ..OutputColumn::plain("caption", "caption")
        }
    }

    fn read(takes: Takes, value: Value, epoch: Option<u64>) -> Result<Vec<String>> {
        let target = Value::Absent;
        read_against(takes, value, target, epoch)
    }

    fn read_against(takes: Takes, value: Value, target: Value, epoch: Option<u64>) -> Result<Vec<String>> {
        let sample = Sample {
            row: 3,
            values: BTreeMap::from([("caption".into(), value), ("target".into(), target)]),
        };
        let draw = epoch.map(|epoch| Draw {
            key: Key::new(1).at(epoch),
            modality_dropout: 0.0,
            mixing: None,
        });
        let output = OutputColumn {
            column: Some("target".into()),
            ..output(takes)
        };
        let texts = output.read(&sample, draw.as_ref())?;
        Ok(texts.into_iter().map(|(text, _)| text).collect())
    }

    #[test]
    fn one_reference_is_drawn_for_each_epoch_and_the_first_is_read_otherwise() {
        let list = || Value::List(["a frog", "a green frog"].map(|text| Value::Text(text.into())).to_vec());
        assert_eq!(read(Takes::One, list(), None).unwrap(), ["a frog"]);
        assert_eq!(read(Takes::All, list(), None).unwrap(), ["a frog", "a green frog"]);
        let drawn: std::collections::BTreeSet<String> = (0..20)
            .flat_map(|epoch| read(Takes::One, list(), Some(epoch)).unwrap())
            .collect();
        assert_eq!(drawn.len(), 2);
        assert_eq!(
            read(Takes::One, list(), Some(7)).unwrap(),
            read(Takes::One, list(), Some(7)).unwrap()
        );
    }

    #[test]
    fn an_absent_text_is_none_and_what_is_no_text_is_refused() {
        assert!(read(Takes::One, Value::Absent, None).unwrap().is_empty());
        let error = read(Takes::One, Value::Bytes([1].as_slice().into()), None).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
    }

    fn check_relevances(target: Value, expected: Option<&[f64]>) {
        let candidates = || Value::List(["no", "yes", "1"].map(|text| Value::Text(text.into())).to_vec());
        let texts = ["no", "yes", "1"];
        match (relevances(&target, &texts), expected) {
            (Ok(found), expected) => assert_eq!(found.as_deref(), expected),
            (Err(error), expected) => assert!(expected.is_none() && error.kind == ErrorKind::Invalid, "{error}"),
        }
        let read = read_against(Takes::All, candidates(), target.clone(), None);
        assert_eq!(
            read.is_ok(),
            expected.is_some() || target == Value::Absent,
            "{target:?}"
        );
    }

    #[test]
    fn a_target_is_one_of_the_candidates_or_rates_them_all() {
        let numbers = |values: &[f64]| Value::List(values.iter().map(|value| Value::Number(*value)).collect());
        check_relevances(Value::Text("yes".into()), Some(&[0.0, 1.0, 0.0]));
        check_relevances(Value::Number(1.0), Some(&[0.0, 1.0, 0.0]));
        check_relevances(numbers(&[0.0, 0.5, 1.0]), Some(&[0.0, 0.5, 1.0]));
        check_relevances(Value::Absent, None);
        for wrong in [
            Value::Text("maybe".into()),
            Value::Number(3.0),
            Value::Number(0.5),
            Value::Number(-1.0),
            numbers(&[1.0, 0.0]),
            numbers(&[0.0; 3]),
            numbers(&[1.0, -1.0, 0.0]),
            numbers(&[1.0, f64::NAN, 0.0]),
        ] {
            assert!(relevances(&wrong, &["no", "yes", "1"]).is_err(), "{wrong:?}");
            check_relevances(wrong, None);
        }
    }

    #[test]
    fn equal_texts_are_held_once() {
        let row = |texts: &[&str]| -> RowTexts { texts.iter().map(|text| (text.to_string(), vec![9])).collect() };
        let rows = [row(&["yes", "no"]), row(&[]), row(&["no"])];
        let joined = TargetTexts::join(rows.iter());
        assert_eq!(joined.texts, ["yes", "no"]);
        assert_eq!(joined.of_row, [vec![0, 1], vec![], vec![1]]);
        let all = Targets {
            values: [1.0, 2.0, 3.0].map(Value::Number).to_vec(),
            texts: Some(joined),
        };
        let some = all.select(&[2, 1]);
        assert_eq!(some.values, [Value::Number(3.0), Value::Number(2.0)]);
        assert_eq!(some.texts.unwrap(), TargetTexts::join([row(&["no"]), row(&[])].iter()));
    }
}
