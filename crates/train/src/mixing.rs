//! Mixup and CutMix in a recipe: what they mean for a batch, and for which recipes they make sense.

use crate::error::{Result, TrainError};
use crate::recipe::Recipe;
use sensorium_data::{Mixing, ProcessorConfig};
use sensorium_model::tasks::TaskConfig;

/// How the recipe's training batches are blended.
pub fn of(recipe: &Recipe) -> Option<Mixing> {
    let mixing = Mixing {
        mixup: recipe.training.mixup,
        cutmix: recipe.training.cutmix,
    };
    (mixing != Mixing::default()).then_some(mixing)
}

/// Refuses recipes in which blended pictures would stand beside inputs or answers that cannot be blended.
pub fn check(recipe: &Recipe) -> Result<()> {
    let field = match (recipe.training.mixup, recipe.training.cutmix) {
        (Some(_), _) => "training.mixup",
        (None, Some(_)) => "training.cutmix",
        (None, None) => return Ok(()),
    };
    let pictures = recipe.inputs.len() == 1
        && recipe
            .inputs
            .values()
            .all(|input| matches!(input.processor, ProcessorConfig::Image(_)));
    if !pictures {
        let inputs: Vec<&str> = recipe.inputs.keys().map(String::as_str).collect();
        return Err(TrainError::Recipe(format!(
            "{field}: expected pictures as the only input, because nothing else can be blended, found the inputs {}; \
             leave {field} out",
            inputs.join(", ")
        )));
    }
    match recipe.outputs.iter().find(|(_, output)| !is_blended(&output.task)) {
        None => Ok(()),
        Some((name, _)) => Err(TrainError::Recipe(format!(
            "{field}: expected outputs that are labels, because the losses of two rows are blended, found \
             outputs.{name} of another task; leave {field} out"
        ))),
    }
}

/// Whether the loss of a task can be taken against the targets of two rows.
fn is_blended(task: &TaskConfig) -> bool {
    match task {
        TaskConfig::Classify(_) | TaskConfig::Tag(_) | TaskConfig::Regress(_) => true,
        TaskConfig::Generate(_) | TaskConfig::Transcribe(_) | TaskConfig::LanguageModel(_) => false,
        TaskConfig::Align(_) | TaskConfig::Rank(_) | TaskConfig::Embed(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_recipe(text: &str, words: Option<&str>) {
        let recipe: Recipe = crate::config::parse(text, "recipe.toml", &[]).unwrap();
        match (check(&recipe), words) {
            (Ok(()), None) => {}
            (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{error}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn only_pictures_with_labels_are_blended() {
        let image = "[inputs.image]\nmodality = \"image\"\n";
        let text = "[inputs.question]\nmodality = \"text\"\n";
        let labels = "[outputs.label]\ntask = \"classify\"\n";
        let training = "[training]\nmixup = 0.2\ncutmix = 1.0\n";
        check_recipe(&[image, labels, training].concat(), None);
        check_recipe(&[text, labels].concat(), None);
        check_recipe(
            &[image, text, labels, training].concat(),
            Some("training.mixup: expected pictures"),
        );
        check_recipe(
            &[text, labels, "[training]\ncutmix = 1"].concat(),
            Some("training.cutmix: expected pictures"),
        );
    }

    #[test]
    fn the_recipe_says_how() {
        let recipe = |training: &str| -> Recipe {
            let text = format!(
                "[inputs.image]\nmodality = \"image\"\n[outputs.label]\ntask = \"classify\"\n[training]\n{training}"
            );
            crate::config::parse(&text, "recipe.toml", &[]).unwrap()
        };
        assert_eq!(of(&recipe("")), None);
        let expected = Mixing {
            mixup: None,
            cutmix: Some(1.0),
        };
        assert_eq!(of(&recipe("cutmix = 1.0")), Some(expected));
        let wrong =
            "[inputs.image]\nmodality = \"image\"\n[outputs.label]\ntask = \"classify\"\n[training]\nmixup = 0.0";
        assert!(crate::config::parse::<Recipe>(wrong, "recipe.toml", &[]).is_err());
    }
}
