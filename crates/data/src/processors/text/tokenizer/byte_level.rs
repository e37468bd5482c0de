//! Lists of tokens in the letters that GPT-2 has for bytes (Radford et al. 2019), as lines of tiktoken.

use super::{TokenizerConfig, damaged};
use crate::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

/// What the stored file is called in its settings.
const PATH: &str = "vocabulary.tiktoken";
/// How texts are cut into words.
const PATTERN: &str = "gpt2";

/// The settings and the content of tiktoken's file for `tokens`, of which each one's place is its identifier and its rank.
/// Special tokens that are times, such as `<|0.02|>`, are left out: no text is made of them.
///
/// # Errors
/// [`Damaged`](crate::ErrorKind::Damaged) for a token in other letters.
pub fn byte_level(tokens: &[String]) -> Result<(TokenizerConfig, String)> {
    let bytes = bytes_of_letters();
    let (mut special, mut content) = (BTreeMap::new(), String::new());
    for (identifier, token) in (0u32..).zip(tokens) {
        if let Some(name) = special_name(token) {
            if !name.starts_with(|first: char| first.is_ascii_digit()) {
                special.insert(token.clone(), identifier);
            }
            continue;
        }
        let spelled: Option<Vec<u8>> = token.chars().map(|letter| bytes.get(&letter).copied()).collect();
        let spelled = spelled.ok_or_else(|| damaged(&format!("the token {token:?} in other letters than GPT-2's")))?;
        let encoded = match spelled.is_empty() {
            true => "=".into(),
            false => STANDARD.encode(spelled),
        };
        writeln!(content, "{encoded} {identifier}").expect("a string takes all that is written");
    }
    let tokenizer = TokenizerConfig::Tiktoken {
        path: PATH.into(),
        pattern: PATTERN.into(),
        special,
    };
    Ok((tokenizer, content))
}

/// What stands between the marks of a special token.
fn special_name(token: &str) -> Option<&str> {
    token.strip_prefix("<|")?.strip_suffix("|>")
}

/// Printable bytes are their own letters; the others have those from U+0100 on, in order.
fn bytes_of_letters() -> HashMap<char, u8> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let (own, others): (Vec<u8>, Vec<u8>) = (0..=u8::MAX).partition(printable);
    let own = own.into_iter().map(|byte| (char::from(byte), byte));
    own.chain(('\u{100}'..).zip(others)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Vocabulary;
    use super::*;

    fn tokens(more: &[&str]) -> Vec<String> {
        let mut letters: Vec<(u8, char)> = bytes_of_letters()
            .into_iter()
            .map(|(letter, byte)| (byte, letter))
            .collect();
        letters.sort_unstable();
        let letters = letters.into_iter().map(|(_, letter)| letter.to_string());
        letters.chain(more.iter().map(|token| token.to_string())).collect()
    }

    #[test]
    fn a_list_reads_and_writes_texts() {
        let list = tokens(&["he", "Ġhe", "", "<|endoftext|>", "<|en|>", "<|0.00|>", "<|0.02|>"]);
        let (config, content) = byte_level(&list).unwrap();
        let vocabulary = Vocabulary::stored(&config, content).unwrap();
        assert_eq!(vocabulary.encode("he hé").unwrap(), [256, 32, 104, 0xc3, 0xa9]);
        assert_eq!(vocabulary.encode("he he").unwrap(), [256, 257]);
        assert_eq!(vocabulary.decode(&[256, 257, 0xc3, 259, 0xa9, 258, 300]), "he heé");
        assert_eq!((vocabulary.special().end, vocabulary.size()), (Some(259), 261));
    }

    #[test]
    fn other_letters_are_refused() {
        let error = byte_level(&tokens(&["a b"])).unwrap_err();
        assert!(error.message.contains("\"a b\""), "{error}");
    }
}
