//! What a description of a model must fulfil before anything is built from it.

use crate::config::{ModelConfig, OutputConfig};
use crate::error::{ModelError, Result};
use crate::source::Source;
use crate::tasks::TaskConfig;

impl ModelConfig {
    /// Every source must be there, and every input must be read.
    pub(crate) fn check_sources(&self) -> Result<()> {
        let known: Vec<&str> = self.inputs.keys().map(String::as_str).collect();
        let unknown = |key: String, input: &str| {
            let message = format!("no input is called `{input}`; the inputs are {}", known.join(", "));
            ModelError::config(key, message)
        };
        let mut read: Vec<&str> = self.joined().map(String::as_str).collect();
        for input in self.fusion.inputs.iter().flatten() {
            if !self.inputs.contains_key(input) {
                return Err(unknown("fusion.inputs".into(), input));
            }
        }
        for (name, output) in &self.outputs {
            for input in output.alone() {
                if !self.inputs.contains_key(input) {
                    let key = output.task.inputs().map_or("from", |_| "inputs");
                    return Err(unknown(format!("outputs.{name}.{key}"), input));
                }
                read.push(input.as_str());
            }
            if let Some(prompt) = output.task.prompt() {
                if !self.inputs.contains_key(prompt) {
                    return Err(unknown(format!("outputs.{name}.prompt"), prompt));
                }
                read.push(prompt);
            }
            self.check_length(name, output)?;
        }
        match known.iter().find(|input| !read.contains(input)) {
            None => Ok(()),
            Some(input) => {
                let message = "no output reads this input; leave it out, or let an output read `fusion`";
                Err(ModelError::config(format!("inputs.{input}"), message))
            }
        }
    }

    /// A transcript is read off a sequence, of which each token may say one token of the text.
    fn check_length(&self, name: &str, output: &OutputConfig) -> Result<()> {
        let transcribes = matches!(output.task, TaskConfig::Transcribe(_));
        if !(transcribes && output.from == Source::Fusion && self.fusion.kind.is_one_token()) {
            return Ok(());
        }
        let message = "a transcript is read off a sequence, but this fusion makes one token of a row; read one input with \
                       from = \"inputs.NAME\", or join the inputs by `concat`, `cross_attention` or `bottleneck`";
        Err(ModelError::config(format!("outputs.{name}.from"), message))
    }
}
