//! The cleaning of texts before they are tokenised, in training and in use.

use super::{Normalization, TextConfig};
use unicode_normalization::UnicodeNormalization;

/// Removes control characters, brings the text to its normal form, collapses white space to single
/// spaces, cuts after `limit` characters and, where asked for, lowers capitals. Reads no further
/// than the limit needs.
pub fn clean(text: &str, config: &TextConfig, limit: usize) -> String {
    let kept = text.chars().filter(|&character| is_kept(character));
    let cleaned = match config.normalization {
        Normalization::Nfc => collapse(kept.nfc(), limit),
        Normalization::Nfkc => collapse(kept.nfkc(), limit),
    };
    match config.lowercase {
        true => cleaned.to_lowercase(),
        false => cleaned,
    }
}

/// White space stays although tabs and line ends are control characters; byte-order marks go.
fn is_kept(character: char) -> bool {
    character.is_whitespace() || !(character.is_control() || character == '\u{feff}')
}

/// Single spaces for runs of white space, none at the ends.
fn collapse(characters: impl Iterator<Item = char>, limit: usize) -> String {
    let mut text = String::new();
    let mut space = false;
    let mut count = 0;
    for character in characters {
        if character.is_whitespace() {
            space = !text.is_empty();
            continue;
        }
        if count >= limit {
            break;
        }
        if std::mem::take(&mut space) {
            text.push(' ');
            count += 1;
        }
        text.push(character);
        count += 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, limit: usize, expected: &str) {
        assert_eq!(clean(text, &TextConfig::default(), limit), expected, "{text:?}");
    }

    #[test]
    fn texts_are_cleaned() {
        check("  What\tIS\r\n this?  ", 99, "what is this?");
        check("a\u{0}b\u{7f}c\u{85}d", 99, "abc d");
        check("\u{feff}ﬁne\u{a0}Ｗｉｄｅ", 99, "fine wide");
        check("e\u{301}", 99, "é");
        check("\u{3000}\u{2003}", 99, "");
        check("abcdef", 3, "abc");
        check("a b", 1, "a");
    }

    #[test]
    fn each_step_can_be_chosen() {
        let config = TextConfig {
            lowercase: false,
            normalization: Normalization::Nfc,
            ..TextConfig::default()
        };
        assert_eq!(clean("ﬁne E\u{301}", &config, 99), "ﬁne É");
    }

    proptest::proptest! {
        #[test]
        fn cleaned_texts_are_short_and_have_single_spaces(text in "\\PC{0,40}|.{0,40}", limit in 0usize..30) {
            let config = TextConfig { lowercase: false, ..TextConfig::default() };
            let cleaned = clean(&text, &config, limit);
            // A space and the character behind it are added together.
            assert!(cleaned.chars().count() <= limit + 1);
            assert!(!cleaned.contains("  ") && cleaned.trim() == cleaned);
            assert!(!cleaned.contains(char::is_control));
        }
    }
}
