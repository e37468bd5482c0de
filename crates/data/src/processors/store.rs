//! A fitted processor on disk: `NAME.json`, for text also `NAME.tokenizer.json` (or `NAME.tokenizer.tiktoken`), and the
//! hash of both.

use super::audio::AudioProcessor;
use super::text::{TextProcessor, TokenizerConfig};
use super::{Fitted, Processor, ProcessorConfig, invalid};
use crate::{DataError, ErrorKind, Result, files};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Enters every hash: raise it when the same configuration begins to give other features.
const VERSION: &str = "sensorium processor 1";

impl Processor {
    /// Writes `NAME.json` and, for text, the tokenizer's file into `folder`, which is made if it
    /// is missing. A file appears whole or not at all.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that is no plain file name; [`ErrorKind::Io`] with the
    /// path.
    pub fn save(&self, folder: &Path, name: &str) -> Result<()> {
        let config_path = place(folder, name, ".json")?;
        files::create_folder(folder)?;
        if let Fitted::Text(text) = &self.fitted {
            let tokenizer_path = place(folder, name, suffix(&text.config().tokenizer))?;
            files::write_atomically(&tokenizer_path, text.tokenizer_text().as_bytes())?;
        }
        files::write_atomically(&config_path, (pretty(&self.config()) + "\n").as_bytes())
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] or [`ErrorKind::Damaged`] with the path.
    pub fn load(folder: &Path, name: &str) -> Result<Self> {
        let config_path = place(folder, name, ".json")?;
        let text = read(&config_path)?;
        let config: ProcessorConfig =
            serde_json::from_str(&text).map_err(|error| damaged("a processor's settings", &error, &config_path))?;
        // An unknown word in the file would be read as a setting left at its default.
        if pretty(&config) + "\n" != text {
            let found = "a file that was altered";
            return Err(damaged(
                "a processor's settings as they were stored",
                &found,
                &config_path,
            ));
        }
        config.validate().map_err(|error| error.at_path(&config_path))?;
        let fitted = match config {
            ProcessorConfig::Image(config) => Fitted::Image(Arc::new(config)),
            ProcessorConfig::Audio(config) => Fitted::Audio(AudioProcessor::new(&config)?),
            ProcessorConfig::Video(config) => Fitted::Video(Arc::new(config)),
            ProcessorConfig::Text(config) => {
                let path = place(folder, name, suffix(&config.tokenizer))?;
                let text = TextProcessor::from_text(config, read(&path)?).map_err(|error| error.at_path(&path))?;
                Fitted::Text(Arc::new(text))
            }
        };
        Ok(Self { fitted })
    }

    /// The BLAKE3 hash, in hexadecimal, of all that decides what features this processor gives.
    /// Equal in every process, and before and after a save.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let tokenizer = match &self.fitted {
            Fitted::Image(_) | Fitted::Audio(_) | Fitted::Video(_) => "",
            Fitted::Text(text) => text.tokenizer_text(),
        };
        for part in [VERSION, &pretty(&self.config()), tokenizer] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

fn pretty(config: &ProcessorConfig) -> String {
    serde_json::to_string_pretty(config).expect("a configuration has string keys only")
}

/// How the name of a tokenizer's file ends.
fn suffix(tokenizer: &TokenizerConfig) -> &'static str {
    match tokenizer {
        TokenizerConfig::Tiktoken { .. } => ".tokenizer.tiktoken",
        _ => ".tokenizer.json",
    }
}

/// The path of one of a processor's files. Dots and separators are refused, so that no name leaves the folder or meets
/// the files of another name.
fn place(folder: &Path, name: &str, suffix: &str) -> Result<PathBuf> {
    if name.is_empty() || name.contains(['/', '\\', '.', '\0', ':']) {
        return Err(invalid(format!(
            "expected an input name without dots, colons and slashes to store a processor under, \
             found `{name}`; \
             rename the input"
        )));
    }
    Ok(folder.join(format!("{name}{suffix}")))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => DataError::new(
            ErrorKind::Missing,
            "expected a stored processor, found no file; is this a whole run folder?",
        )
        .at_path(path),
        std::io::ErrorKind::InvalidData => damaged("UTF-8 text", &error, path),
        _ => DataError::io(&error, path),
    })
}

fn damaged(expected: &str, found: &dyn std::fmt::Display, path: &Path) -> DataError {
    let message = format!("expected {expected}, found {found}; restore the file or train again");
    DataError::new(ErrorKind::Damaged, message).at_path(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    fn fit(json: &str, texts: &[&str]) -> Processor {
        Processor::fit(&serde_json::from_str(json).unwrap(), texts).unwrap()
    }

    const TEXTS: [&str; 3] = ["What colour is the circle?", "Is there a circle?", "what shape is it"];
    const IMAGE: &str = r#"{"modality":"image","size":[8,6],"augment":["flip",{"rotate":10},{"crop":0.9}],
        "mean":[0.485,0.456,0.406]}"#;
    const BPE: &str = r#"{"modality":"text","tokenizer":{"kind":"bpe","vocabulary":300},"max_length":12}"#;
    const WORD: &str = r#"{"modality":"text","tokenizer":{"kind":"word","vocabulary":9},"lowercase":false}"#;

    #[test]
    fn a_stored_processor_comes_back_equal() {
        for (json, name) in [(IMAGE, "image"), (BPE, "question"), (WORD, "ein Wort")] {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path().join("processors");
            let before = fit(json, &TEXTS);
            before.save(&folder, name).unwrap();
            let after = Processor::load(&folder, name).unwrap();
            assert_eq!(after.config(), before.config());
            assert_eq!(after.hash(), before.hash());
            assert_eq!(after.shape(), before.shape());
            let value = Value::Text("Is the CIRCLE ünique, [PAD]?".to_string());
            if json != IMAGE {
                let feature = after.prepare(&value, &folder).unwrap();
                assert_eq!(feature, before.prepare(&value, &folder).unwrap());
            }
            after.save(&folder, "again").unwrap();
            for suffix in [".json", ".tokenizer.json"] {
                let file = |name: &str| std::fs::read(folder.join(format!("{name}{suffix}"))).ok();
                assert_eq!(file(name), file("again"));
                assert_eq!(file(name).is_some(), suffix == ".json" || json != IMAGE);
            }
        }
    }

    #[test]
    fn a_public_vocabulary_is_stored_with_the_run() {
        let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference/tokenizers");
        let file = r#"{"modality":"text","tokenizer":{"kind":"file","path":"words.json"}}"#;
        let ranks = r#"{"modality":"text","tokenizer":{"kind":"tiktoken","path":"ranks.tiktoken","pattern":"gpt2"}}"#;
        for (json, original, stored) in [
            (file, "words.json", "x.tokenizer.json"),
            (ranks, "ranks.tiktoken", "x.tokenizer.tiktoken"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::copy(reference.join(original), folder.path().join(original)).unwrap();
            let mut config: ProcessorConfig = serde_json::from_str(json).unwrap();
            config.resolve(folder.path());
            let before = Processor::fit(&config, &[]).unwrap();
            std::fs::remove_file(folder.path().join(original)).unwrap();
            let missing = Processor::fit(&config, &[]).unwrap_err();
            assert_eq!(missing.kind, ErrorKind::Missing, "{missing}");
            before.save(folder.path(), "x").unwrap();
            assert!(folder.path().join(stored).exists());
            let after = Processor::load(folder.path(), "x").unwrap();
            assert_eq!(
                (after.hash(), after.special_tokens()),
                (before.hash(), before.special_tokens())
            );
            assert_eq!(
                after.config(),
                serde_json::from_str(json).unwrap(),
                "no folder is part of a run"
            );
            let value = Value::Text("The quick brown fox".into());
            let feature = after.prepare(&value, folder.path()).unwrap();
            assert_eq!(feature, before.prepare(&value, folder.path()).unwrap());
        }
    }

    #[test]
    fn the_hash_depends_on_settings_and_tokenizer_and_stays_what_it_was() {
        let image = fit(r#"{"modality":"image"}"#, &[]);
        assert_eq!(image.hash(), fit(r#"{"modality":"image","size":64}"#, &[]).hash());
        assert_ne!(image.hash(), fit(r#"{"modality":"image","size":65}"#, &[]).hash());
        assert_ne!(fit(BPE, &TEXTS).hash(), fit(BPE, &TEXTS[1..]).hash());
        assert_eq!(image.hash(), GOLDEN_HASH);
    }
    const GOLDEN_HASH: &str = "9cc2f0fcc2ee7f0e9a6182716aa40734f1edfea1bf9ada34f879ac8814230f9c";

    /// What loading says after `damage` was done to a stored text processor.
    fn check_damage(damage: impl Fn(&Path), kind: ErrorKind, file: &str) {
        let folder = tempfile::tempdir().unwrap();
        fit(BPE, &TEXTS).save(folder.path(), "x").unwrap();
        damage(folder.path());
        let error = Processor::load(folder.path(), "x").unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(error.path.as_deref(), Some(&*folder.path().join(file)), "{error}");
    }

    #[test]
    fn a_missing_or_damaged_file_is_named() {
        let remove = |name: &'static str| move |folder: &Path| std::fs::remove_file(folder.join(name)).unwrap();
        let write = |name: &'static str, text: &'static str| {
            move |folder: &Path| std::fs::write(folder.join(name), text).unwrap()
        };
        check_damage(remove("x.json"), ErrorKind::Missing, "x.json");
        check_damage(remove("x.tokenizer.json"), ErrorKind::Missing, "x.tokenizer.json");
        check_damage(write("x.json", "{"), ErrorKind::Damaged, "x.json");
        check_damage(
            write("x.tokenizer.json", "{\"model\":"),
            ErrorKind::Damaged,
            "x.tokenizer.json",
        );
        let other = r#"{"model":{"type":"WordLevel","vocab":{"[UNK]":0},"unk_token":"[UNK]"}}"#;
        check_damage(write("x.tokenizer.json", other), ErrorKind::Damaged, "x.tokenizer.json");
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        for name in ["", "..", "a/b", "a.tokenizer", "/a", "a\\b"] {
            assert_eq!(
                Processor::load(Path::new("."), name).unwrap_err().kind,
                ErrorKind::Invalid
            );
        }
    }
}
