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
    pub column: String,
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
    /// Every candidate.
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

/// The texts of one row, read.
pub(crate) type RowTexts = Vec<(String, Vec<u32>)>;

impl OutputColumn {
    /// An output whose targets are no texts to be read.
    pub fn plain(name: impl Into<String>, column: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            column: column.into(),
            texts: None,
        }
    }

    /// The texts of a row as tokens.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a value that is neither a text nor a list of texts.
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
        values.into_iter().map(|text| texts.read(text)).collect()
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
        let sample = Sample {
            row: 3,
            values: BTreeMap::from([("caption".into(), value)]),
        };
        let draw = epoch.map(|epoch| Draw {
            key: Key::new(1).at(epoch),
            modality_dropout: 0.0,
            mixing: None,
        });
        let texts = output(takes).read(&sample, draw.as_ref())?;
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

    #[test]
    fn equal_texts_are_held_once() {
        let row = |texts: &[&str]| -> RowTexts { texts.iter().map(|text| (text.to_string(), vec![9])).collect() };
        let rows = [row(&["yes", "no"]), row(&[]), row(&["no"])];
        let joined = TargetTexts::join(rows.iter());
        assert_eq!(joined.texts, ["yes", "no"]);
        assert_eq!(joined.of_row, [vec![0, 1], vec![], vec![1]]);
    }
}
