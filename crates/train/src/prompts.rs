//! Texts that a decoder reads in front of what it writes: both have the same tokens.

use crate::error::{Result, TrainError};
use crate::recipe::Recipe;
use crate::sources::column;
use sensorium_data::processors::TextConfig;
use sensorium_data::{InputColumn, Processor, ProcessorConfig};
use sensorium_model::tasks::TaskConfig;

/// Lets each prompt be read as its output reads texts.
///
/// # Errors
/// For a prompt that is no text, and for one that the recipe wants to be read otherwise.
pub fn settle(recipe: &mut Recipe) -> Result<()> {
    let Recipe { inputs, outputs, .. } = recipe;
    for (name, output) in outputs {
        let TaskConfig::Generate(task) = &output.task else {
            continue;
        };
        let Some(input) = task.prompt.as_ref().and_then(|prompt| inputs.get_mut(prompt)) else {
            continue;
        };
        let wrong = |message: String| Err(TrainError::Recipe(format!("outputs.{name}.prompt: {message}")));
        let ProcessorConfig::Text(text) = &mut input.processor else {
            return wrong(format!(
                "expected an input that is a text, found {}",
                input.processor.modality()
            ));
        };
        if *text != TextConfig::default() && *text != task.text {
            return wrong("expected an input without settings of texts, which are those of this output".into());
        }
        *text = task.text.clone();
    }
    Ok(())
}

/// The columns whose texts have the tokens of the text `input`, because it prompts their outputs.
pub fn answers(recipe: &Recipe, input: &str) -> Vec<String> {
    let outputs = recipe.outputs.iter();
    let prompted = outputs.filter(|(_, output)| output.task.prompt().is_some_and(|prompt| prompt == input));
    prompted.map(|(name, output)| column(name, &output.column)).collect()
}

/// What reads the prompt of a task, where it has one.
pub fn processor(task: &TaskConfig, inputs: &[InputColumn]) -> Option<Processor> {
    let prompt = task.prompt()?;
    let input = inputs.iter().find(|input| input.name == *prompt)?;
    Some(input.processor.clone())
}
