//! The letters of a checkpoint, as the files of `Wav2Vec2CTCTokenizer` tell them.

use super::TranscriptHead;
use crate::error::{ModelError, Result};
use sensorium_data::files;
use sensorium_data::processors::Letters;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The file of the tokens.
pub const VOCABULARY: &str = "vocab.json";
/// Those that may stand beside it: what is said of the tokens, and tokens that were added.
const SETTINGS: [&str; 2] = ["tokenizer_config.json", "special_tokens_map.json"];
const ADDED: &str = "added_tokens.json";
/// What reads a vocabulary letter by letter, under its old name too.
const CLASSES: [&str; 2] = ["Wav2Vec2CTCTokenizer", "Wav2Vec2Tokenizer"];
/// What special tokens are for and what they are called, in the order in which those are added that the vocabulary lacks.
const SPECIAL: [(&str, &str); 4] = [
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
    (BLANK, "<pad>"),
];
const UNKNOWN: &str = "unk_token";
const BLANK: &str = "pad_token";

impl TranscriptHead {
    /// The letters of `folder`, without the blank.
    ///
    /// # Errors
    /// For files that are missing or damaged, or do not fit the configuration, and for tokens that would be read otherwise here.
    pub fn letters(&self, folder: &Path) -> Result<Letters> {
        let path = folder.join(VOCABULARY);
        let tokens = parse::<BTreeMap<String, usize>>(&path, "tokens with their identifiers")?;
        let mut settings = Map::new();
        for name in SETTINGS {
            let path = folder.join(name);
            if path.exists() {
                // What the first says of a token goes before the second.
                let more = parse::<Map<String, Value>>(&path, "settings of a tokenizer")?;
                more.into_iter().for_each(|(name, value)| {
                    settings.entry(name).or_insert(value);
                });
            }
        }
        let added = folder.join(ADDED);
        let added = match added.exists() {
            true => parse::<BTreeMap<String, usize>>(&added, "tokens with their identifiers")?,
            false => BTreeMap::new(),
        };
        let known = Known { tokens, settings };
        known
            .letters(added, self)
            .map_err(|message| ModelError::file(&path, message))
    }
}

fn parse<T: DeserializeOwned>(path: &Path, expected: &str) -> Result<T> {
    serde_json::from_slice(&files::read(path)?)
        .map_err(|error| ModelError::file(path, format!("expected {expected}, found {error}")))
}

/// What the files say.
struct Known {
    tokens: BTreeMap<String, usize>,
    settings: Map<String, Value>,
}

impl Known {
    fn letters(mut self, added: BTreeMap<String, usize>, head: &TranscriptHead) -> Result<Letters, String> {
        self.check()?;
        let special = SPECIAL.map(|(kind, usual)| (kind, self.name(kind, usual)));
        self.add(added, &special);
        let of = |kind: &str| special.iter().find(|one| one.0 == kind).and_then(|one| one.1.clone());
        let unknown = of(UNKNOWN).unwrap_or_default();
        let blank = of(BLANK).and_then(|name| self.tokens.get(&name).copied());
        if blank != Some(head.blank) {
            let found = blank.map_or("none".into(), |token| token.to_string());
            return Err(format!(
                "{BLANK}: expected the token pad_token_id {}, which is the blank, found {found}",
                head.blank
            ));
        }
        let special: BTreeSet<String> = special.into_iter().filter_map(|(_, name)| name).collect();
        let delimiter = self.delimiter(head)?;
        let (tokens, nameless) = self.classes(&special, head)?;
        Ok(Letters {
            tokens,
            special: special.into_iter().chain(nameless).collect(),
            unknown,
            delimiter,
            space: self.text("replace_word_delimiter_char").unwrap_or(" ").into(),
            lowercase: self.settings.get("do_lower_case") == Some(&true.into()),
            cleaned: self.settings.get("clean_up_tokenization_spaces") == Some(&true.into()),
        })
    }

    /// Refuses other tokenizers, and vocabularies of several languages.
    fn check(&self) -> Result<(), String> {
        if let Some(found) = self.text("tokenizer_class").filter(|class| !CLASSES.contains(class)) {
            return Err(format!(
                "tokenizer_class: expected `{}`, found `{found}`, which is not known here",
                CLASSES[0]
            ));
        }
        match self.text("target_lang") {
            Some(found) => Err(format!(
                "target_lang: expected none, found `{found}`: vocabularies of several languages are not known here"
            )),
            None => Ok(()),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.settings.get(name)?.as_str()
    }

    /// What a special token is called: as it is usually where nothing is said, and nothing where it is said to be null.
    fn name(&self, kind: &str, usual: &str) -> Option<String> {
        match self.settings.get(kind) {
            None => Some(usual.into()),
            Some(Value::String(name)) => Some(name.clone()),
            Some(other) => other.get("content").and_then(Value::as_str).map(String::from),
        }
    }

    /// Takes up tokens that were added, and behind all of them the special ones that are still missing.
    fn add(&mut self, added: BTreeMap<String, usize>, special: &[(&str, Option<String>)]) {
        let decoded = self.settings.get("added_tokens_decoder").and_then(Value::as_object);
        let decoded = decoded.into_iter().flatten().filter_map(|(identifier, token)| {
            Some((token.get("content")?.as_str()?.to_string(), identifier.parse().ok()?))
        });
        let decoded: Vec<(String, usize)> = decoded.collect();
        for (name, identifier) in added.into_iter().chain(decoded) {
            self.tokens.entry(name).or_insert(identifier);
        }
        for name in special.iter().filter_map(|(_, name)| name.as_ref()) {
            let next = self.tokens.len();
            self.tokens.entry(name.clone()).or_insert(next);
        }
    }

    fn delimiter(&self, head: &TranscriptHead) -> Result<char, String> {
        let name = self.name("word_delimiter_token", "|").unwrap_or_default();
        let mut letters = name.chars();
        let known = self
            .tokens
            .get(&name)
            .is_some_and(|class| *class < head.classes && *class != head.blank);
        match (letters.next(), letters.next()) {
            (Some(letter), None) if known => Ok(letter),
            _ => Err(format!(
                "word_delimiter_token: expected one letter, a token of the vocabulary, found {name:?}"
            )),
        }
    }

    /// The token of each class but the blank, and the names of those that the vocabulary does not name.
    fn classes(&self, special: &BTreeSet<String>, head: &TranscriptHead) -> Result<(Vec<String>, Vec<String>), String> {
        let mut names = vec![None; head.classes];
        for (name, &class) in &self.tokens {
            match names.get_mut(class) {
                Some(slot @ None) => *slot = Some(name.clone()),
                Some(Some(other)) => {
                    return Err(format!(
                        "expected a token for each identifier, found `{other}` and `{name}` for {class}"
                    ));
                }
                // A special token that was added without a class is never given.
                None if special.contains(name) => {}
                None => {
                    return Err(format!(
                        "expected tokens below vocab_size {}, found `{name}` with the identifier {class}",
                        head.classes
                    ));
                }
            }
        }
        let mut nameless = Vec::new();
        let named = names.into_iter().enumerate().filter(|(class, _)| *class != head.blank);
        let tokens = named.map(|(class, name)| {
            name.unwrap_or_else(|| {
                nameless.push(format!("<{class}>"));
                format!("<{class}>")
            })
        });
        Ok((tokens.collect(), nameless))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::TranscribeConfig;
    use serde_json::json;

    fn letters(tokens: Value, settings: Value, [classes, blank]: [usize; 2]) -> Result<Letters, String> {
        let known = Known {
            tokens: serde_json::from_value(tokens).unwrap(),
            settings: serde_json::from_value(settings).unwrap(),
        };
        let task = TranscribeConfig::default();
        known.letters(BTreeMap::new(), &TranscriptHead { task, classes, blank })
    }

    fn check(tokens: Value, settings: Value, sizes: [usize; 2], expected: &[&str], special: &[&str]) {
        let found = letters(tokens, settings, sizes).unwrap();
        assert_eq!(found.tokens, expected);
        let written = found.tokens.iter().filter(|token| !found.special.contains(*token));
        assert_eq!(found.tokens.len() - written.count(), special.len());
        assert!(special.iter().all(|token| found.special.contains(*token)), "{found:?}");
    }

    #[test]
    fn the_blank_is_left_out_and_special_tokens_are_told_apart() {
        let tokens = json!({"<pad>": 0, "<s>": 1, "<unk>": 2, "|": 3, "A": 4});
        check(
            tokens.clone(),
            json!({}),
            [5, 0],
            &["<s>", "<unk>", "|", "A"],
            &["<s>", "<unk>"],
        );
        // The end is added behind them, and a class has no name.
        let expected = ["<s>", "<unk>", "|", "A", "</s>", "<6>"];
        check(
            tokens.clone(),
            json!({}),
            [7, 0],
            &expected,
            &["<s>", "<unk>", "</s>", "<6>"],
        );
        let ended = json!({"eos_token": null, "added_tokens_decoder": {"5": {"content": "Á"}}});
        check(
            tokens,
            ended,
            [6, 0],
            &["<s>", "<unk>", "|", "A", "Á"],
            &["<s>", "<unk>"],
        );
        let named = json!({"pad_token": {"content": "[PAD]"}, "unk_token": "[UNK]", "word_delimiter_token": "_"});
        let tokens = json!({"_": 0, "a": 1, "[UNK]": 2, "[PAD]": 3});
        check(tokens, named, [4, 3], &["_", "a", "[UNK]"], &["[UNK]"]);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let refused = |tokens: Value, settings: Value, words: &str| {
            let error = letters(tokens, settings, [4, 0]).unwrap_err();
            assert!(error.contains(words), "{error}");
        };
        let tokens = || json!({"<pad>": 0, "|": 1, "A": 2, "<unk>": 3});
        refused(
            tokens(),
            json!({"pad_token": "A"}),
            "pad_token: expected the token pad_token_id 0",
        );
        refused(
            tokens(),
            json!({"word_delimiter_token": "-"}),
            "word_delimiter_token: expected one letter",
        );
        refused(tokens(), json!({"target_lang": "eng"}), "target_lang: expected none");
        let phonemes = json!({"tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer"});
        refused(tokens(), phonemes, "tokenizer_class: expected `Wav2Vec2CTCTokenizer`");
        refused(
            json!({"<pad>": 0, "|": 1, "A": 9}),
            json!({}),
            "found `A` with the identifier 9",
        );
        refused(
            json!({"<pad>": 0, "|": 1, "A": 1}),
            json!({}),
            "found `A` and `|` for 1",
        );
    }
}
