//! The normal form of transcripts, for error rates that leave spelling aside.

use super::words::{is_space, words};
use unicode_categories::UnicodeCategories;
use unicode_normalization::UnicodeNormalization;

/// `text` in Unicode's NFKC and in lower case, with single spaces. Apostrophes go without a trace; all other punctuation
/// (Unicode's categories P) becomes a space. Symbols, accents and numbers stay as they are. Give both the reference and
/// the hypothesis in this form, or neither.
pub fn plain_transcript(text: &str) -> String {
    let lower = text.nfkc().collect::<String>().to_lowercase();
    let spoken = lower
        .chars()
        .filter(|character| !matches!(character, '\'' | '’' | '‘' | 'ʼ'));
    let spaced = spoken.map(|character| match character.is_punctuation() || is_space(character) {
        true => ' ',
        false => character,
    });
    // Once more, for what a sign parted may be one character now.
    let composed: String = spaced.nfkc().collect();
    words(&composed).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::golden::hostile;
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(plain_transcript(text), expected);
    }

    #[test]
    fn capitals_punctuation_and_forms_go() {
        check("  Don’t -- it's a well-known\tFACT!  ", "dont its a well known fact");
        check("¿Qué? «Да», ÉTÉ; ﬁn Ⅳ ＡＢ", "qué да été fin iv ab");
        check("5 + 3 = 8 €, 3.5%", "5 + 3 = 8 € 3 5");
        check("你好，世界。", "你好 世界");
        check("e\u{301}te\u{301} हिन्दी।", "été हिन्दी");
        check("…", "");
        check("e'\u{301} ΛΌΓΟΣ", "é λόγος");
    }

    proptest! {
        #[test]
        fn the_normal_form_of_a_normal_form_is_itself(text in hostile()) {
            let plain = plain_transcript(&text);
            prop_assert_eq!(plain_transcript(&plain), plain);
        }
    }
}
