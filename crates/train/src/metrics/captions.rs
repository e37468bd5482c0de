//! The words of captions, for the measures that come with the COCO captions.

use unicode_categories::UnicodeCategories;

/// Endings that the Penn Treebank writes as words of their own.
const ENDINGS: [&str; 7] = ["n't", "'s", "'m", "'d", "'re", "'ve", "'ll"];

/// The words of a caption with single spaces between them: what COCO's evaluation does with Stanford's tokeniser of the
/// Penn Treebank, in rules of our own.
///
/// - Lower case; ’ is an apostrophe.
/// - Letters, digits and marks make words. An apostrophe, a hyphen, an underscore or a slash between them stays, and so does
///   a full stop, a comma or a colon between digits. (Stanford's also keeps the full stops of `mr.` and `u.s.`)
/// - `n't 's 'm 'd 're 've 'll` at a word's end are words of their own, and `cannot` is two.
/// - All other punctuation goes, brackets too (which COCO means to remove, but its list has their names in capitals).
/// - `& % # @ * /` and every symbol (currency, mathematics, emoji) are words. So is each Chinese ideograph.
pub fn caption_words(text: &str) -> String {
    let text = text.to_lowercase().replace(['’', '‘'], "'");
    let characters: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut word = String::new();
    for (place, &character) in characters.iter().enumerate() {
        let before = place.checked_sub(1).map(|place| characters[place]);
        let after = characters.get(place + 1).copied();
        match kind(character, before, after) {
            Kind::Part => word.push(character),
            Kind::Word => {
                finish(&mut word, &mut found);
                found.push(character.to_string());
            }
            Kind::Gap => finish(&mut word, &mut found),
        }
    }
    finish(&mut word, &mut found);
    found.join(" ")
}

/// What a character is in its place.
enum Kind {
    Part,
    Word,
    Gap,
}

fn kind(character: char, before: Option<char>, after: Option<char>) -> Kind {
    let both = |test: fn(char) -> bool| before.is_some_and(test) && after.is_some_and(test);
    match character {
        _ if is_ideograph(character) => Kind::Word,
        _ if is_letter(character) => Kind::Part,
        '\'' | '-' | '_' | '/' if both(is_letter) => Kind::Part,
        '.' | ',' | ':' if both(|other| other.is_ascii_digit()) => Kind::Part,
        '&' | '%' | '#' | '@' | '*' | '/' => Kind::Word,
        '`' => Kind::Gap,
        _ if character.is_symbol() => Kind::Word,
        _ => Kind::Gap,
    }
}

/// Letters, digits, and the marks and joiners that stand on or between them.
fn is_letter(character: char) -> bool {
    !is_ideograph(character) && (character.is_alphanumeric() || character.is_mark() || character == '\u{200d}')
}

fn is_ideograph(character: char) -> bool {
    matches!(character, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

/// Takes the word that was gathered, in its parts.
fn finish(word: &mut String, found: &mut Vec<String>) {
    let word = std::mem::take(word);
    let ending = ENDINGS
        .into_iter()
        .find_map(|ending| Some((word.strip_suffix(ending)?, ending)));
    match ending {
        _ if word.is_empty() => (),
        _ if word == "cannot" => found.extend(["can", "not"].map(String::from)),
        Some((stem, ending)) if !stem.is_empty() => found.extend([stem.to_string(), ending.to_string()]),
        _ => found.push(word),
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{golden, hostile, text};
    use super::*;
    use proptest::prelude::*;

    fn check(caption: &str, expected: &str) {
        assert_eq!(caption_words(caption), expected);
    }

    /// Stanford's PTBTokenizer 3.4.1 with COCO's list of punctuation, on captions without brackets and abbreviations.
    #[test]
    fn ordinary_captions_are_cut_as_for_coco() {
        let file = golden("caption_words");
        let cases = file.as_array().unwrap();
        assert!(cases.len() > 30);
        for case in cases {
            check(text(&case["caption"]), text(&case["words"]));
        }
    }

    #[test]
    fn what_coco_leaves_open_follows_the_rules() {
        check("", "");
        check("(Two) [red] {birds}", "two red birds");
        check("一只猫在睡觉。", "一 只 猫 在 睡 觉");
        check("a 👍 emoji", "a 👍 emoji");
        check("'tis the dogs' 'bone'", "tis the dogs bone");
        check("n't 's don't's", "n't s don't 's");
    }

    proptest! {
        #[test]
        fn words_are_parted_by_single_spaces(caption in hostile()) {
            let words = caption_words(&caption);
            prop_assert!(!words.contains("  ") && words.trim() == words);
        }
    }
}
