//! Vocabularies of letters, by which wav2vec 2.0 writes texts (`Wav2Vec2CTCTokenizer` of `transformers`), as a `tokenizer.json`.

use super::{TokenizerConfig, damaged};
use crate::Result;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What the stored file is called in its settings.
const PATH: &str = "tokenizer.json";
/// What is joined with the word in front of it where texts are cleaned up, each with what becomes of it.
const CLEANED: [[&str; 2]; 10] = [
    [" .", "."],
    [" ?", "?"],
    [" !", "!"],
    [" ,", ","],
    [" ' ", "'"],
    [" n't", "n't"],
    [" 'm", "'m"],
    [" 's", "'s"],
    [" 've", "'ve"],
    [" 're", "'re"],
];

/// Tokens that are letters, or written as they are where they are several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Letters {
    /// Each token's place is its identifier.
    pub tokens: Vec<String>,
    /// Those that are no part of a text.
    pub special: BTreeSet<String>,
    /// The token that stands for a letter without one; where it is none of the tokens, such texts are refused.
    pub unknown: String,
    /// The token that stands for a space.
    pub delimiter: char,
    /// What it is written as.
    pub space: String,
    /// Whether texts are read and written in small letters, whatever those of the tokens are.
    pub lowercase: bool,
    /// Whether punctuation is joined with the word in front of it where a text is written.
    pub cleaned: bool,
}

/// The settings and the content of the file for `letters`.
///
/// # Errors
/// [`Damaged`](crate::ErrorKind::Damaged) for small letters whose capitals are other tokens, and for small letters beside
/// tokens of several.
pub fn letters(letters: &Letters) -> Result<(TokenizerConfig, String)> {
    let content = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added(letters),
        "normalizer": normalizer(letters),
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated", "invert": false},
        "post_processor": null,
        "decoder": decoder(letters),
        "model": {"type": "WordLevel", "vocab": vocabulary(letters)?, "unk_token": letters.unknown},
    });
    Ok((TokenizerConfig::File { path: PATH.into() }, content.to_string()))
}

impl Letters {
    /// Whether a token is one of several letters that texts are made of.
    fn is_long(&self, token: &str) -> bool {
        token.chars().nth(1).is_some() && !self.special.contains(token)
    }
}

/// The tokens by the form in which texts have them.
fn vocabulary(letters: &Letters) -> Result<Map<String, Value>> {
    let mut vocabulary = Map::new();
    for (identifier, token) in letters.tokens.iter().enumerate() {
        if letters.lowercase && letters.is_long(token) {
            return Err(damaged(&format!(
                "`{token}`, of several letters, beside `do_lower_case`"
            )));
        }
        let form = match letters.lowercase && !letters.special.contains(token) {
            true => token.to_lowercase(),
            false => token.clone(),
        };
        if vocabulary.insert(form, identifier.into()).is_some() {
            return Err(damaged(&format!(
                "`{token}` twice, in small letters and in capital ones"
            )));
        }
    }
    Ok(vocabulary)
}

/// Tokens that are looked for before a text is cut into letters; special ones are only known not to be written.
fn added(letters: &Letters) -> Vec<Value> {
    let of_note = |token: &String| letters.special.contains(token) || letters.is_long(token);
    let added = |(identifier, token): (usize, &String)| {
        let special = letters.special.contains(token);
        json!({
            "id": identifier, "content": token, "single_word": false, "lstrip": !special, "rstrip": !special,
            "normalized": false, "special": special
        })
    };
    let tokens = letters.tokens.iter().enumerate();
    tokens.filter(|(_, token)| of_note(token)).map(added).collect()
}

fn normalizer(letters: &Letters) -> Value {
    let delimited = json!({"type": "Replace", "pattern": {"String": " "}, "content": letters.delimiter.to_string()});
    let steps = match letters.lowercase {
        true => vec![json!({"type": "Lowercase"}), delimited],
        false => vec![delimited],
    };
    json!({"type": "Sequence", "normalizers": steps})
}

fn decoder(letters: &Letters) -> Value {
    // The whole token: one of several letters may hold the delimiter.
    let delimiter = format!(r"\A\x{{{:X}}}\z", u32::from(letters.delimiter));
    let mut steps = vec![
        json!({"type": "Replace", "pattern": {"Regex": delimiter}, "content": letters.space}),
        json!({"type": "Fuse"}),
    ];
    if letters.cleaned {
        let cleaned = CLEANED.map(|[from, to]| json!({"type": "Replace", "pattern": {"String": from}, "content": to}));
        steps.extend(cleaned);
    }
    json!({"type": "Sequence", "decoders": steps})
}

#[cfg(test)]
mod tests {
    use super::super::Vocabulary;
    use super::*;

    fn of(tokens: &[&str]) -> Letters {
        Letters {
            tokens: tokens.iter().map(|token| token.to_string()).collect(),
            special: BTreeSet::from(["<unk>".into(), "</s>".into()]),
            unknown: "<unk>".into(),
            delimiter: '|',
            space: " ".into(),
            ..Letters::default()
        }
    }

    fn fitted(one: &Letters) -> Vocabulary {
        let (config, content) = letters(one).unwrap();
        Vocabulary::stored(&config, content).unwrap()
    }

    const TOKENS: [&str; 7] = ["<unk>", "|", "A", "B", "'", "</s>", "."];

    #[test]
    fn letters_are_read_and_written() {
        let vocabulary = fitted(&of(&TOKENS));
        assert_eq!(vocabulary.size(), 7);
        assert_eq!(vocabulary.encode("AB  A").unwrap(), [2, 3, 1, 1, 2]);
        assert_eq!(vocabulary.encode("a é\n").unwrap(), [0, 1, 0, 0]);
        assert_eq!(vocabulary.decode(&[2, 3, 3, 1, 1, 2, 0, 5]), "ABB  A");
        assert_eq!(vocabulary.special().unknown, Some(0));
        // The name of a special token is a text like any other.
        assert_eq!(vocabulary.encode("</s>").unwrap(), [0; 4]);
    }

    #[test]
    fn small_letters_stand_for_capitals() {
        let vocabulary = fitted(&Letters {
            lowercase: true,
            ..of(&TOKENS)
        });
        assert_eq!(vocabulary.encode("aB A").unwrap(), [2, 3, 1, 2]);
        assert_eq!(vocabulary.decode(&[2, 3, 1, 2]), "ab a");
        let refused = |token: &str, words: &str| {
            let one = Letters {
                lowercase: true,
                ..of(&["A", token])
            };
            let error = letters(&one).unwrap_err();
            assert!(error.message.contains(words), "{error}");
        };
        refused("a", "`a` twice");
        refused("CH", "`CH`, of several letters");
    }

    #[test]
    fn tokens_of_several_letters_are_found_first() {
        let vocabulary = fitted(&of(&["A", "H", "AH", "|", "A|"]));
        assert_eq!(vocabulary.encode("AHHA").unwrap(), [2, 1, 0]);
        assert_eq!(vocabulary.decode(&[2, 3, 4]), "AH A|");
        let error = vocabulary.encode("Z").unwrap_err();
        assert!(error.message.contains("cannot"), "{error}");
    }

    #[test]
    fn punctuation_is_joined_where_texts_are_cleaned() {
        let tokens = [2, 1, 6, 1, 4, 1, 3];
        assert_eq!(fitted(&of(&TOKENS)).decode(&tokens), "A . ' B");
        let cleaned = Letters {
            cleaned: true,
            ..of(&TOKENS)
        };
        assert_eq!(fitted(&cleaned).decode(&tokens), "A.'B");
    }
}
