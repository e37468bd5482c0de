//! Heads that tell labels apart, as configurations of `transformers` describe them.

use crate::tasks::{ClassifyConfig, HeadConfig, HiddenActivation, TagConfig, TaskConfig};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What the name of a model ends with whose head tells the labels of texts apart.
pub(super) const OF_TEXTS: &str = "ForSequenceClassification";
/// And those of pictures.
pub(super) const OF_PICTURES: &str = "ForImageClassification";
/// Where the head has its last layer.
pub(super) const OUTPUT: &str = "output.";

/// A head that tells labels apart, over the summary of an encoder.
#[derive(Debug, Clone)]
pub struct LabelHead {
    /// By class.
    pub labels: Vec<String>,
    /// Whether any number of them may hold, instead of one.
    pub several: bool,
    /// The width of a layer before the last one, with the hyperbolic tangent behind it; none where there is no such layer.
    pub hidden: Option<usize>,
}

/// What is read of a `config.json`.
#[derive(Deserialize)]
struct Public {
    id2label: Option<BTreeMap<usize, String>>,
    problem_type: Option<String>,
}

impl LabelHead {
    /// One layer that tells one of `labels`, which are in the order of their classes.
    pub fn linear(labels: Vec<String>) -> Self {
        Self {
            labels,
            several: false,
            hidden: None,
        }
    }

    /// The same behind a layer of `width`.
    pub fn behind(self, width: usize) -> Self {
        Self {
            hidden: Some(width),
            ..self
        }
    }

    /// The head of a configuration whose model is called `…kind`; none of another model, and of one that gives a number.
    ///
    /// # Errors
    /// For classes without a label, and for a problem that is not known here.
    pub fn read(config: &serde_json::Value, kind: &str) -> Result<Option<Self>, String> {
        let mut names = config["architectures"].as_array().into_iter().flatten();
        if !names.any(|name| name.as_str().is_some_and(|name| name.ends_with(kind))) {
            return Ok(None);
        }
        let public = Public::deserialize(config).map_err(|error| error.to_string())?;
        let several = match public.problem_type.as_deref() {
            None | Some("single_label_classification") => false,
            Some("multi_label_classification") => true,
            Some("regression") => return Ok(None),
            Some(other) => {
                return Err(format!(
                    "problem_type: expected `single_label_classification`, `multi_label_classification` or `regression`, found \
                     `{other}`, which is not known here"
                ));
            }
        };
        let labels = public.id2label.unwrap_or_default();
        let labels = in_order(labels)?.unwrap_or_else(|| ["LABEL_0", "LABEL_1"].map(String::from).to_vec());
        let head = Self {
            several,
            ..Self::linear(labels)
        };
        // `transformers` takes one class for a number.
        Ok(Some(head).filter(|head| several || head.labels.len() > 1))
    }

    /// The task that answers by it.
    pub fn task(&self) -> TaskConfig {
        let head = HeadConfig {
            hidden: Some(self.hidden.unwrap_or(0)),
            activation: match self.hidden {
                Some(_) => HiddenActivation::Tanh,
                None => HiddenActivation::default(),
            },
            dropout: 0.0,
        };
        match self.several {
            true => TaskConfig::Tag(TagConfig {
                head,
                ..TagConfig::default()
            }),
            false => TaskConfig::Classify(ClassifyConfig {
                head,
                ..ClassifyConfig::default()
            }),
        }
    }

    /// The classes in the order of their labels.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        order.sort_by_key(|class| &self.labels[*class]);
        order
    }

    /// The labels in their order.
    pub fn sorted(&self) -> Vec<String> {
        self.order()
            .into_iter()
            .map(|class| self.labels[class].clone())
            .collect()
    }
}

/// The labels by class; none where there are none.
///
/// # Errors
/// Where a class has none.
pub(super) fn in_order(labels: BTreeMap<usize, String>) -> Result<Option<Vec<String>>, String> {
    if !labels.keys().copied().eq(0..labels.len()) {
        return Err("id2label: expected a label for each class from 0 on, found a gap".into());
    }
    let labels: Vec<String> = labels.into_values().collect();
    Ok(Some(labels).filter(|labels| !labels.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(config: Value) -> Result<Option<(Vec<String>, bool)>, String> {
        let head = LabelHead::read(&config, OF_TEXTS)?;
        Ok(head.map(|head| (head.sorted(), head.several)))
    }

    fn check(config: Value, labels: &[&str], several: bool) {
        let labels = labels.iter().map(|label| label.to_string()).collect();
        assert_eq!(read(config).unwrap(), Some((labels, several)));
    }

    #[test]
    fn a_head_is_what_the_configuration_says() {
        let names = json!(["BertForSequenceClassification"]);
        check(json!({"architectures": names}), &["LABEL_0", "LABEL_1"], false);
        let labels = json!({"0": "sad", "1": "angry", "2": "happy"});
        let config = |problem: Value| json!({"architectures": names, "id2label": labels, "problem_type": problem});
        let sorted = ["angry", "happy", "sad"];
        check(config(Value::Null), &sorted, false);
        check(config(json!("single_label_classification")), &sorted, false);
        check(config(json!("multi_label_classification")), &sorted, true);
        let one = json!({"architectures": names, "id2label": {"0": "toxic"}});
        let mut tag = one.clone();
        tag["problem_type"] = json!("multi_label_classification");
        check(tag, &["toxic"], true);
        // Numbers, and heads of other kinds.
        for config in [
            one,
            config(json!("regression")),
            json!({"architectures": ["BertForTokenClassification"], "id2label": labels}),
            json!({"architectures": null, "id2label": labels}),
        ] {
            assert_eq!(read(config.clone()).unwrap(), None, "{config}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        let names = json!(["RobertaForSequenceClassification"]);
        let error = read(json!({"architectures": names, "problem_type": "ranking"})).unwrap_err();
        assert!(error.contains("problem_type") && error.contains("`ranking`"), "{error}");
        let error = read(json!({"architectures": names, "id2label": {"0": "a", "2": "b"}})).unwrap_err();
        assert!(error.contains("id2label") && error.contains("gap"), "{error}");
    }
}
