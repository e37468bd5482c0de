//! The tokens of an n-gram model and how a text is cut into them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The identifier of `<unk>`, which stands for every token that is not in the vocabulary.
pub const UNKNOWN: u32 = 0;
/// The identifier of `<s>`, which stands before every text.
pub const BEGIN: u32 = 1;
/// The identifier of `</s>`, which ends every text.
pub const END: u32 = 2;

pub(super) const SPECIAL: [&str; 3] = ["<unk>", "<s>", "</s>"];

/// How some programs write `<unk>`.
pub(super) const OTHER_UNKNOWN: &str = "<UNK>";

/// Stands for the space, because blanks separate the tokens of an ARPA file.
const SPACE: char = '\u{2581}';

/// What a token of an n-gram model is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// What stands between white space. The words `<s>`, `</s>`, `<unk>` and `<UNK>` are white space themselves.
    #[default]
    Word,
    /// One Unicode character. In ARPA files a space is `▁`, and other white space, control characters and `▁` itself
    /// are written as their hexadecimal code, such as `<0x0A>`; so no text is changed.
    Character,
}

impl Unit {
    /// Calls `each` with every token of a text in turn.
    pub fn split(self, text: &str, mut each: impl FnMut(&str)) {
        match self {
            Self::Word => text
                .split_whitespace()
                .filter(|word| !SPECIAL.contains(word) && *word != OTHER_UNKNOWN)
                .for_each(each),
            Self::Character => text.chars().for_each(|character| with_symbol(character, &mut each)),
        }
    }
}

/// Calls `each` with the token of a character.
fn with_symbol(character: char, each: &mut impl FnMut(&str)) {
    let mut buffer = [0; 4];
    match character {
        ' ' => each(SPACE.encode_utf8(&mut buffer)),
        SPACE => each(&escape(SPACE)),
        other if other.is_whitespace() || other.is_control() => each(&escape(other)),
        other => each(other.encode_utf8(&mut buffer)),
    }
}

fn escape(character: char) -> String {
    format!("<0x{:02X}>", u32::from(character))
}

/// Tokens and their identifiers; the first three are [`UNKNOWN`], [`BEGIN`] and [`END`].
#[derive(Debug, Clone, PartialEq)]
pub struct Vocabulary {
    unit: Unit,
    tokens: Vec<String>,
    identifiers: HashMap<String, u32>,
}

impl Vocabulary {
    /// The special tokens and then `tokens`, of which none may occur twice.
    pub(super) fn new(unit: Unit, tokens: impl IntoIterator<Item = String>) -> Self {
        let mut vocabulary = Self {
            unit,
            tokens: Vec::new(),
            identifiers: HashMap::new(),
        };
        for token in SPECIAL.map(str::to_string).into_iter().chain(tokens) {
            vocabulary.add(&token);
        }
        vocabulary
    }

    /// The identifier of a token, new or known.
    pub(super) fn add(&mut self, token: &str) -> u32 {
        self.find(token).unwrap_or_else(|| {
            let identifier = self.tokens.len() as u32;
            self.tokens.push(token.to_string());
            self.identifiers.insert(token.to_string(), identifier);
            identifier
        })
    }

    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The tokens, each at its identifier.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    pub(super) fn find(&self, token: &str) -> Option<u32> {
        self.identifiers.get(token).copied()
    }

    /// The identifier of a token as it stands in an ARPA file; [`UNKNOWN`] for others.
    pub fn identifier(&self, token: &str) -> u32 {
        self.find(token).unwrap_or(UNKNOWN)
    }

    /// The identifier of a character in a model of characters.
    pub fn character(&self, character: char) -> u32 {
        let mut identifier = UNKNOWN;
        with_symbol(character, &mut |token| identifier = self.identifier(token));
        identifier
    }

    /// The identifiers of a text's tokens, without [`BEGIN`] and [`END`].
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut identifiers = Vec::new();
        self.unit.split(text, |token| identifiers.push(self.identifier(token)));
        identifiers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(unit: Unit, text: &str, expected: &[&str]) {
        let mut tokens = Vec::new();
        unit.split(text, |token| tokens.push(token.to_string()));
        assert_eq!(tokens, expected);
    }

    #[test]
    fn a_text_is_cut_into_words_or_characters() {
        check(
            Unit::Word,
            " the\tsea \u{a0}is <s> wide<UNK> <UNK>\n",
            &["the", "sea", "is", "wide<UNK>"],
        );
        check(Unit::Character, "é a", &["é", "▁", "a"]);
        check(Unit::Character, "\n▁\u{a0}", &["<0x0A>", "<0x2581>", "<0xA0>"]);
        check(Unit::Character, "", &[]);
    }

    #[test]
    fn other_tokens_are_unknown() {
        let vocabulary = Vocabulary::new(Unit::Character, ["a", "▁"].map(str::to_string));
        assert_eq!(vocabulary.encode("a b"), [3, 4, UNKNOWN]);
        assert_eq!(vocabulary.character(' '), 4);
        assert_eq!(vocabulary.identifier("</s>"), END);
    }
}
