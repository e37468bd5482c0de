//! One stem, trunk, fusion and task: its recipe, and what the recipe check must say of it.

use crate::rows::{BARS, PLACED};
use crate::table::{FUSIONS, PLACED_FUSIONS, PUBLIC, Reads, STEMS, Stem, TASKS, TRUNKS, Task};
use sensorium_data::Home;
use sensorium_train::{Plan, Recipe, config};
use std::path::Path;

#[derive(Debug, Clone, Copy)]
pub struct Combination {
    pub stem: Stem,
    pub trunk: &'static str,
    pub fusion: &'static str,
    pub task: &'static Task,
}

/// The whole product, but for what would build the same model twice: a task that reads no fusion comes with one of them,
/// and one that reads no encoder with one trunk. Fusions with other positions meet each stem, for they read its layout.
pub fn all() -> Vec<Combination> {
    let all = TASKS.iter().flat_map(|task| match task.reads {
        Reads::Place | Reads::MediumFused => product(&TRUNKS, &FUSIONS, task),
        Reads::Medium | Reads::Caption => product(&TRUNKS, &FUSIONS[..1], task),
        Reads::Raw => product(&TRUNKS[..1], &FUSIONS[..1], task),
    });
    let placed = product(&TRUNKS[..1], &PLACED_FUSIONS, &TASKS[0]);
    all.chain(placed).collect()
}

/// Each public architecture with one fusion and one task.
pub fn public() -> impl Iterator<Item = Combination> {
    PUBLIC.iter().map(|(stem, trunk)| Combination {
        stem: *stem,
        trunk,
        fusion: FUSIONS[0],
        task: &TASKS[0],
    })
}

fn product(trunks: &[&'static str], fusions: &[&'static str], task: &'static Task) -> Vec<Combination> {
    let encoders = STEMS
        .iter()
        .flat_map(|stem| trunks.iter().map(move |trunk| (stem, trunk)));
    let joined = encoders.flat_map(|encoder| fusions.iter().map(move |fusion| (encoder, fusion)));
    let combination = |((stem, trunk), fusion): ((&Stem, &&'static str), &&'static str)| Combination {
        stem: *stem,
        trunk,
        fusion,
        task,
    };
    joined.map(combination).collect()
}

impl Combination {
    pub fn name(&self) -> String {
        let Self {
            stem,
            trunk,
            fusion,
            task,
        } = self;
        format!("{} | {trunk} | {fusion} | {}", stem.name, task.name)
    }

    /// How the recipe check names the key and the reason of a combination that makes no sense.
    pub fn refusal(&self) -> Option<&'static str> {
        if self.task.reads != Reads::Raw {
            // In the order in which they are found.
            let found = self.source_refusal().or_else(|| self.trunk_refusal());
            return found.or_else(|| self.fusion_refusal());
        }
        (self.stem.modality != "text").then_some("outputs.answer.from: expected one input that is a text")
    }

    fn trunk_refusal(&self) -> Option<&'static str> {
        let line = matches!(self.stem.modality, "text" | "audio");
        let video = self.stem.modality == "video";
        let refused = [
            (
                self.trunk.contains("conformer") && !line,
                "inputs.medium.trunk.kind: a conformer convolves along a sequence",
            ),
            (
                self.trunk.contains("causal") && !line,
                "inputs.medium.trunk.causal: only a text or a sound has tokens in one order",
            ),
            (
                self.trunk.contains("factorised") && !video,
                "inputs.medium.trunk.space_time: `factorised` attention is for the frames of a video",
            ),
        ];
        refused.into_iter().find_map(|(wrong, reason)| wrong.then_some(reason))
    }

    fn source_refusal(&self) -> Option<&'static str> {
        let one_token = self.fusion.contains("\"gated\"") || self.fusion.contains("\"late\"");
        let wrong = self.task.output.contains("from = \"fusion\"") && one_token;
        wrong.then_some("outputs.answer.from: a transcript is read off a sequence")
    }

    fn fusion_refusal(&self) -> Option<&'static str> {
        let refused = [
            (
                self.task.reads == Reads::MediumFused && self.fusion.contains("cross_attention"),
                "fusion.kind: cross_attention joins at least two inputs",
            ),
            (
                self.task.reads == Reads::MediumFused && self.fusion.contains("grounded"),
                "fusion.kind: grounded joins two inputs",
            ),
            (
                self.fusion.contains("learned"),
                "fusion.positions: a fusion takes `sinusoidal` or `rotary` positions",
            ),
        ];
        refused.into_iter().find_map(|(wrong, reason)| wrong.then_some(reason))
    }

    /// What the recipe check makes of it.
    pub fn plan(&self, folder: &Path) -> Result<Plan, String> {
        let recipe: Recipe = config::parse(&self.recipe(), "recipe.toml", &[]).map_err(|error| error.to_string())?;
        let home = Home::from_environment();
        Plan::new(recipe, folder, "toy", &home, &mut |_| {}).map_err(|error| error.to_string())
    }

    fn recipe(&self) -> String {
        let (manifest, beside) = match self.task.reads {
            Reads::Place => (PLACED, text_input("place")),
            Reads::Caption => (BARS, text_input("caption")),
            Reads::MediumFused | Reads::Medium | Reads::Raw => (BARS, String::new()),
        };
        let Self {
            stem,
            trunk,
            fusion,
            task,
        } = self;
        let Stem {
            modality,
            settings,
            stem,
            ..
        } = stem;
        let output = task.output;
        format!(
            r#"
            fusion = {fusion}
            [data]
            manifest = "{manifest}"
            [inputs.medium]
            modality = "{modality}"
            {settings}
            stem = {stem}
            trunk = {trunk}
            {beside}
            [outputs.answer]
            {output}
            [training]
            optimizer = {{ kind = "adamw", learning_rate = 5e-3 }}
            "#
        )
    }
}

fn text_input(name: &str) -> String {
    format!(
        r#"
        [inputs.{name}]
        modality = "text"
        tokenizer = {{ kind = "word" }}
        trunk = {{ kind = "rnn", width = 8 }}
        "#
    )
}
