//! Long texts are cut before they are tokenised, which is the slow part, and their tokens are cut to the length.

use super::Truncate;
use crate::Result;

/// Characters of a text for each token that is wanted, at first; more where they gave too few.
const CHARACTERS: usize = 8;
/// Tokens beside a cut in the text may be others than in the whole text, and are not used.
const MARGIN: usize = 16;
/// How far from its place a cut may be moved to stand at white space, in bytes.
const REACH: usize = 64;

/// At most `limit` tokens of a text. `encode` reads a text, or a part of it that is not much longer than what is kept.
pub fn tokens(
    text: &str,
    truncate: Truncate,
    limit: usize,
    encode: impl Fn(&str) -> Result<Vec<u32>>,
) -> Result<Vec<u32>> {
    match truncate {
        Truncate::End => first(text, limit, &encode),
        Truncate::Start => last(text, limit, &encode),
        Truncate::Middle => {
            let mut tokens = first(text, limit + 1, &encode)?;
            if tokens.len() > limit {
                tokens.truncate(limit - limit / 2);
                tokens.extend(last(text, limit / 2, &encode)?);
            }
            Ok(tokens)
        }
    }
}

fn first(text: &str, wanted: usize, encode: &impl Fn(&str) -> Result<Vec<u32>>) -> Result<Vec<u32>> {
    let mut bytes = (wanted + MARGIN) * CHARACTERS;
    loop {
        let part = &text[..place(text, bytes)];
        let mut tokens = encode(part)?;
        if part.len() == text.len() || tokens.len() >= wanted + MARGIN {
            tokens.truncate(wanted);
            return Ok(tokens);
        }
        bytes *= 4;
    }
}

fn last(text: &str, wanted: usize, encode: &impl Fn(&str) -> Result<Vec<u32>>) -> Result<Vec<u32>> {
    let mut bytes = (wanted + MARGIN) * CHARACTERS;
    loop {
        let part = match text.len().checked_sub(bytes) {
            Some(at) => &text[place(text, at)..],
            None => text,
        };
        let tokens = encode(part)?;
        if part.len() == text.len() || tokens.len() >= wanted + MARGIN {
            return Ok(tokens[tokens.len().saturating_sub(wanted)..].to_vec());
        }
        bytes *= 4;
    }
}

/// A place near byte `at` where a word ends, or at least a character.
fn place(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    let bytes = text.as_bytes();
    let low = at.saturating_sub(REACH).max(1);
    let word_ends = |at: &usize| bytes[*at].is_ascii_whitespace() && !bytes[at - 1].is_ascii_whitespace();
    let space = (low..=at).rev().find(word_ends);
    space.unwrap_or_else(|| text.floor_char_boundary(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// One token for each word: its length; for long ones more, as pieces of words would be.
    fn words(text: &str) -> Vec<u32> {
        let pieces = |word: &str| match word.len() {
            0 => vec![],
            length => vec![length as u32; length.div_ceil(50)],
        };
        text.split_whitespace().flat_map(pieces).collect()
    }

    fn check(text: &str, truncate: Truncate, limit: usize) {
        let read = Cell::new(0);
        let cut = tokens(text, truncate, limit, |part| {
            read.set(read.get() + part.len());
            Ok(words(part))
        });
        let all = words(text);
        let tail = all.len().saturating_sub(limit);
        let expected = match truncate {
            _ if tail == 0 => all,
            Truncate::End => all[..limit].to_vec(),
            Truncate::Start => all[tail..].to_vec(),
            Truncate::Middle => [&all[..limit - limit / 2], &all[all.len() - limit / 2..]].concat(),
        };
        assert_eq!(cut.unwrap(), expected, "{truncate:?} {limit}");
        assert!(read.get() <= 4 * text.len() + 4096);
        let word = text.len() / (expected.len() + 1);
        if word < 8 {
            assert!(read.get() <= 64 * (limit + 64), "{} bytes were read", read.get());
        }
    }

    #[test]
    fn the_tokens_that_are_kept_are_those_of_the_whole_text() {
        let sentence = "a bb ccc dddd eeeee ffffff ggggggg ";
        let texts = ["".into(), "one two".into(), sentence.repeat(40), sentence.repeat(4000)];
        let sparse = format!("{}a{}b", " ".repeat(50_000), " ".repeat(50_000));
        for text in texts.iter().chain([&sparse]) {
            for truncate in [Truncate::End, Truncate::Start, Truncate::Middle] {
                for limit in [1, 2, 7, 256] {
                    check(text, truncate, limit);
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_cut_between_characters(text in ".{0,400}|[ a日🙂]{0,900}", at in 0usize..3000) {
            let place = place(&text, at);
            assert!(text.is_char_boundary(place) && place <= at.min(text.len()) && at.min(text.len()) - place <= REACH + 4);
            for truncate in [Truncate::End, Truncate::Start, Truncate::Middle] {
                let count = tokens(&text, truncate, 5, |part| Ok(part.chars().map(u32::from).collect())).unwrap().len();
                assert_eq!(count, text.chars().count().min(5));
            }
        }
    }
}
