//! Tokens joined to words (`tokenizer.py` and `timing.py` of openai-whisper).

use super::Timed;

/// The languages that are written without spaces.
const UNSPACED: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];
/// What a tokenizer writes for bytes that are no text yet.
const INCOMPLETE: char = '\u{fffd}';
/// Python's punctuation, of which the original asks for a part: a full stop begins a word, three of them do not.
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
/// What belongs to the word behind it, and to the word before it.
const OPENING: &str = "\"'“¿([{-";
const CLOSING: &str = "\"'.。,，!！?？:：”)]}、";

/// A word with the space in front of it, and how many tokens it is written with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spelt {
    pub text: String,
    pub tokens: usize,
}

/// The words of a text; where no spaces part them, the letters.
pub fn words(tokens: &[u32], language: &str, decode: impl Fn(&[u32]) -> String) -> Vec<Spelt> {
    let letters = letters(tokens, decode);
    if UNSPACED.contains(&language) {
        return letters;
    }
    let mut words: Vec<Spelt> = Vec::new();
    for letter in letters {
        let begins = letter.text.starts_with(' ') || is_punctuation(letter.text.trim());
        match words.last_mut().filter(|_| !begins) {
            Some(word) => {
                word.text += &letter.text;
                word.tokens += letter.tokens;
            }
            None => words.push(letter),
        }
    }
    words
}

/// As few tokens together as make whole letters.
fn letters(tokens: &[u32], decode: impl Fn(&[u32]) -> String) -> Vec<Spelt> {
    let all: Vec<char> = decode(tokens).chars().collect();
    let (mut letters, mut start, mut written) = (Vec::new(), 0, 0);
    for end in 1..=tokens.len() {
        let text = decode(&tokens[start..end]);
        let gap = text.chars().position(|letter| letter == INCOMPLETE);
        // The text itself may hold the sign.
        let whole = gap.is_none_or(|gap| all.get(written + gap) == Some(&INCOMPLETE));
        if whole || end == tokens.len() {
            written += text.chars().count();
            letters.push(Spelt {
                text,
                tokens: end - start,
            });
            start = end;
        }
    }
    letters
}

/// Nothing at all is one, too.
fn is_punctuation(text: &str) -> bool {
    PUNCTUATION.contains(text)
}

/// Joins what opens to the word behind it, and what closes to the word before it: what was joined is left empty.
pub fn join_punctuation(words: &mut [Timed]) {
    let mut behind = words.len().saturating_sub(1);
    for place in (0..behind).rev() {
        let text = &words[place].spelt.text;
        if text.starts_with(' ') && OPENING.contains(text.trim()) {
            let opening = std::mem::take(&mut words[place].spelt);
            let word = &mut words[behind].spelt;
            word.text.insert_str(0, &opening.text);
            word.tokens += opening.tokens;
        } else {
            behind = place;
        }
    }
    let mut before = 0;
    for place in 1..words.len() {
        if CLOSING.contains(&words[place].spelt.text) {
            let closing = std::mem::take(&mut words[place].spelt);
            let word = &mut words[before].spelt;
            word.text += &closing.text;
            word.tokens += closing.tokens;
        } else {
            before = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token is a byte.
    fn decode(tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().map(|&token| token as u8).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn check(text: &str, language: &str, expected: &[&str]) {
        let tokens: Vec<u32> = text.bytes().map(u32::from).collect();
        let found = words(&tokens, language, decode);
        let texts: Vec<&str> = found.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(texts, expected);
        let bytes: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        assert_eq!(found.iter().map(|word| word.tokens).collect::<Vec<_>>(), bytes);
    }

    #[test]
    fn words_begin_with_spaces_and_signs() {
        check(" Příliš, ano", "cs", &[" Příliš", ",", " ano"]);
        check("a-b", "en", &["a", "-b"]);
        check("你好", "zh", &["你", "好"]);
        check("", "en", &[]);
    }

    #[test]
    fn signs_belong_to_words() {
        let check = |texts: &[&str], expected: &[&str]| {
            let timed = |text: &&str| Timed {
                spelt: Spelt {
                    text: text.to_string(),
                    tokens: 1,
                },
                span: [0.0, 1.0],
                probability: 1.0,
            };
            let mut words: Vec<Timed> = texts.iter().map(timed).collect();
            join_punctuation(&mut words);
            let found: Vec<&str> = words.iter().map(|word| word.spelt.text.as_str()).collect();
            assert_eq!(found, expected);
            assert_eq!(words.iter().map(|word| word.spelt.tokens).sum::<usize>(), texts.len());
        };
        check(&[" He", " \"", "No", "!", "\""], &[" He", "", " \"No!\"", "", ""]);
        check(&[" one", ",", " two", "."], &[" one,", "", " two.", ""]);
        check(&[], &[]);
    }
}
