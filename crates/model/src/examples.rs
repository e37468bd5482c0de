//! A few real inputs kept in the run directory, for people to try the model with.

use crate::run_directory::RunDirectory;
use sensorium_data::{Result, files};
use std::collections::BTreeMap;

/// Texts (by input name) and pictures (PNG files).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Examples {
    pub texts: Vec<BTreeMap<String, String>>,
    pub pictures: Vec<Vec<u8>>,
}

impl Examples {
    pub fn save(&self, run: &RunDirectory) -> Result<()> {
        let folder = run.examples();
        files::create_folder(&folder)?;
        for (index, picture) in self.pictures.iter().enumerate() {
            files::write_atomically(&folder.join(format!("{index}.png")), picture)?;
        }
        let texts = serde_json::to_vec_pretty(&self.texts).expect("texts are plain data");
        files::write_atomically(&folder.join("texts.json"), &texts)
    }

    /// What is there: a run without examples is served without them.
    pub fn load(run: &RunDirectory) -> Self {
        let folder = run.examples();
        let texts = std::fs::read(folder.join("texts.json")).unwrap_or_default();
        let picture = |index: usize| std::fs::read(folder.join(format!("{index}.png"))).ok();
        Self {
            texts: serde_json::from_slice(&texts).unwrap_or_default(),
            pictures: (0..).map_while(picture).collect(),
        }
    }
}
