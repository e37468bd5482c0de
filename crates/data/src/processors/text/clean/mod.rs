//! The cleaning of texts before they are tokenised, in training and in use.

#[cfg(feature = "chinese")]
mod chinese;
mod html;

use super::{Normalization, TextConfig};
use std::borrow::Cow;
use unicode_categories::UnicodeCategories;
use unicode_normalization::UnicodeNormalization;

/// Takes the markup out of a text that has some. Needs the whole text: what a part of a page means depends on what
/// stands before it.
pub fn without_markup<'a>(text: &'a str, config: &TextConfig) -> Cow<'a, str> {
    match config.html {
        true => html::text(text),
        false => Cow::Borrowed(text),
    }
}

/// Does what is asked for: takes out control characters, punctuation and accents, brings the text to its normal form, collapses white
/// space, lowers capitals, and sets spaces between the words of languages that have none, and before the first one.
pub fn clean(text: &str, config: &TextConfig) -> String {
    let strip = config.strip_control();
    let marks = config.strip_punctuation;
    let kept = text
        .chars()
        .filter(|&character| !strip || is_kept(character))
        .filter(|character| !(marks && character.is_ascii_punctuation()));
    let cleaned = match text.is_ascii() {
        // These have no accents and only one form.
        true => spaced(kept, config),
        false if config.strip_accents => {
            let bare = kept.nfd().filter(|character| !character.is_mark_nonspacing());
            normalized(bare, config)
        }
        false => normalized(kept, config),
    };
    let cased = match config.lowercase() {
        true => cleaned.to_lowercase(),
        false => cleaned,
    };
    let text = separated(cased, config);
    match config.leading_space && text.starts_with(|first: char| !first.is_whitespace()) {
        true => format!(" {text}"),
        false => text,
    }
}

fn normalized(characters: impl Iterator<Item = char>, config: &TextConfig) -> String {
    match config.normalization() {
        Normalization::Nfc => spaced(characters.nfc(), config),
        Normalization::Nfkc => spaced(characters.nfkc(), config),
        Normalization::Nfd => spaced(characters.nfd(), config),
        Normalization::Nfkd => spaced(characters.nfkd(), config),
        Normalization::None => spaced(characters, config),
    }
}

/// White space stays although tabs and line ends are control characters; byte-order marks go.
fn is_kept(character: char) -> bool {
    character.is_whitespace() || !(character.is_control() || character == '\u{feff}')
}

fn spaced(characters: impl Iterator<Item = char>, config: &TextConfig) -> String {
    match config.collapse_whitespace() {
        true => collapse(characters),
        false => characters.collect(),
    }
}

/// Single spaces for runs of white space, none at the ends.
fn collapse(characters: impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    let mut space = false;
    for character in characters {
        if character.is_whitespace() {
            space = !text.is_empty();
            continue;
        }
        if std::mem::take(&mut space) {
            text.push(' ');
        }
        text.push(character);
    }
    text
}

#[cfg(feature = "chinese")]
fn separated(text: String, config: &TextConfig) -> String {
    match config.segment {
        Some(segment) => chinese::separate(&text, segment),
        None => text,
    }
}

/// Without the dictionary a configuration that asks for words is refused by its `validate`.
#[cfg(not(feature = "chinese"))]
fn separated(text: String, _: &TextConfig) -> String {
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        check_with(TextConfig::default(), text, expected);
    }

    fn check_with(config: TextConfig, text: &str, expected: &str) {
        let cleaned = clean(&without_markup(text, &config), &config);
        assert_eq!(cleaned, expected, "{text:?} with {config:?}");
    }

    fn with(normalization: Normalization) -> TextConfig {
        TextConfig {
            lowercase: Some(false),
            normalization: Some(normalization),
            ..TextConfig::default()
        }
    }

    #[test]
    fn texts_are_cleaned() {
        check("  What\tIS\r\n this?  ", "what is this?");
        check("a\u{0}b\u{7f}c\u{85}d", "abc d");
        check("\u{feff}ﬁne\u{a0}Ｗｉｄｅ", "fine wide");
        check("e\u{301}", "é");
        check("\u{3000}\u{2003}", "");
    }

    #[test]
    fn each_normal_form_can_be_chosen() {
        for (form, expected) in [
            (Normalization::Nfc, "ﬁne É 각"),
            (Normalization::Nfkc, "fine É 각"),
            (Normalization::Nfd, "ﬁne E\u{301} \u{1100}\u{1161}\u{11a8}"),
            (Normalization::Nfkd, "fine E\u{301} \u{1100}\u{1161}\u{11a8}"),
            (Normalization::None, "ﬁne E\u{301} 각"),
        ] {
            check_with(with(form), "ﬁne E\u{301} 각", expected);
        }
    }

    #[test]
    fn each_other_step_can_be_chosen() {
        let config = TextConfig {
            strip_accents: true,
            ..with(Normalization::Nfc)
        };
        check_with(
            config,
            "Élan vital, Čeština; Ångström, ß ø 각 हिन्दी",
            "Elan vital, Cestina; Angstrom, ß ø 각 हिनदी",
        );
        let config = TextConfig {
            strip_control: Some(false),
            collapse_whitespace: Some(false),
            ..with(Normalization::None)
        };
        check_with(config, " A\u{0}\u{feff}\n\n b ", " A\u{0}\u{feff}\n\n b ");
        let config = TextConfig {
            strip_punctuation: true,
            ..TextConfig::default()
        };
        check_with(config, "The  DOG's — no, \"that's\" it!", "the dogs — no thats it");
        let config = TextConfig {
            html: true,
            ..TextConfig::default()
        };
        check_with(config, "<h1>Caf&eacute;</h1><p>&Amacr; <b>b</b>c", "café ā bc");
        let spaced = TextConfig {
            leading_space: true,
            ..with(Normalization::Nfc)
        };
        check_with(spaced.clone(), " Two words", " Two words");
        check_with(spaced, "", "");
    }

    proptest::proptest! {
        #[test]
        fn cleaned_texts_have_single_spaces_and_no_control_characters(text in "\\PC{0,40}|.{0,40}") {
            let cleaned = clean(&text, &with(Normalization::Nfkc));
            assert!(!cleaned.contains("  ") && cleaned.trim() == cleaned);
            assert!(!cleaned.contains(char::is_control));
        }
    }
}
