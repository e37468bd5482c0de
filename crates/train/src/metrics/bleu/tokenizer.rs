//! The tokenisers of BLEU, as sacrebleu has them: 13a (the mteval-v13a script of NIST), zh and char.

use super::super::words::{is_space, words};

/// How a text is cut into the words that BLEU counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BleuTokenizer {
    /// `13a`, for languages that part words by spaces.
    International,
    /// `zh`: every Chinese character is a word, and the rest is cut as in `13a`.
    Chinese,
    /// `char`: every character but white space is a word.
    Characters,
}

impl BleuTokenizer {
    /// The words of `text` with single spaces between them.
    pub fn tokenize(self, text: &str) -> String {
        let text = text.trim_end_matches(is_space);
        match self {
            Self::International => western(&format!(" {} ", unescaped(text))),
            Self::Chinese => western(&apart(text.trim_start_matches(is_space), is_chinese)),
            Self::Characters => joined(&apart(text, |_| true)),
        }
    }
}

fn joined(text: &str) -> String {
    words(text).collect::<Vec<_>>().join(" ")
}

/// Undoes what the NIST format adds to a text.
fn unescaped(text: &str) -> String {
    let text = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    let text = text.replace("&quot;", "\"").replace("&amp;", "&");
    text.replace("&lt;", "<").replace("&gt;", ">")
}

/// Sets spaces around every character that `alone` picks.
fn apart(text: &str, alone: impl Fn(char) -> bool) -> String {
    let mut spaced = String::with_capacity(2 * text.len());
    for character in text.chars() {
        match alone(character) {
            true => spaced.extend([' ', character, ' ']),
            false => spaced.push(character),
        }
    }
    spaced
}

/// The four rules for Western languages: symbols stand apart, full stops and commas unless between digits, and a dash
/// after a digit.
fn western(text: &str) -> String {
    let digit = |character: char| character.is_ascii_digit();
    let point = |character| matches!(character, '.' | ',');
    let text = apart(text, is_symbol);
    let text = spaced_pairs(&text, |left, right| !digit(left) && point(right), ["", " ", " "]);
    let text = spaced_pairs(&text, |left, right| point(left) && !digit(right), [" ", " ", ""]);
    joined(&spaced_pairs(
        &text,
        |left, right| digit(left) && right == '-',
        ["", " ", " "],
    ))
}

/// ASCII punctuation without the full stop, the comma, the dash and the apostrophe.
fn is_symbol(character: char) -> bool {
    character.is_ascii_punctuation() && !matches!(character, '.' | ',' | '-' | '\'')
}

/// Sets the texts of `around` before, between and after the characters of each pair that `picked` takes. Pairs do not
/// overlap: after one that is picked, the next begins behind it.
fn spaced_pairs(text: &str, picked: impl Fn(char, char) -> bool, around: [&str; 3]) -> String {
    let mut spaced = String::with_capacity(2 * text.len());
    let mut characters = text.chars().peekable();
    while let Some(left) = characters.next() {
        match characters.next_if(|&right| picked(left, right)) {
            None => spaced.push(left),
            Some(right) => {
                let [before, between, after] = around;
                spaced.extend([before, left.encode_utf8(&mut [0; 4]), between]);
                spaced.extend([right.encode_utf8(&mut [0; 4]), after]);
            }
        }
    }
    spaced
}

/// What sacrebleu takes for Chinese. Its list gives two blocks beyond 16 bits with four digits, which makes them U+2001 to
/// U+2A6D (with typographic punctuation, arrows and mathematics) and U+2F81 to U+2FA1.
fn is_chinese(character: char) -> bool {
    matches!(character,
        '\u{2001}'..='\u{2a6d}' | '\u{2e80}'..='\u{2fdf}' | '\u{2ff0}'..='\u{303f}' | '\u{3100}'..='\u{312f}'
        | '\u{31a0}'..='\u{31bf}' | '\u{31c0}'..='\u{31ef}' | '\u{3200}'..='\u{4db5}' | '\u{4e00}'..='\u{9fbb}'
        | '\u{f900}'..='\u{fa2d}' | '\u{fa30}'..='\u{fa6a}' | '\u{fa70}'..='\u{fad9}' | '\u{fe10}'..='\u{fe1f}'
        | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ffef}')
}

#[cfg(test)]
mod tests {
    use super::super::super::golden::{golden, text};
    use super::*;

    #[test]
    fn texts_are_cut_as_sacrebleu_cuts_them() {
        let file = golden("tokens");
        let cases = file.as_array().unwrap();
        assert!(cases.len() > 40);
        for case in cases {
            for (name, tokenizer) in [
                ("13a", BleuTokenizer::International),
                ("zh", BleuTokenizer::Chinese),
                ("char", BleuTokenizer::Characters),
            ] {
                assert_eq!(
                    tokenizer.tokenize(text(&case["text"])),
                    text(&case[name]),
                    "{name} of {case}"
                );
            }
        }
    }
}
