//! Vocabularies of byte strings that are merged in the order of their ranks: tiktoken's files.

use super::super::super::invalid;
use super::{LARGEST_VOCABULARY, SpecialTokens, damaged, too_large};
use crate::{DataError, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fancy_regex::Regex;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// The largest file in bytes; that of o200k has 3.6 million.
const MAX_BYTES: usize = 64 << 20;
/// The longest token in bytes; that of o200k has 128.
const LONGEST_TOKEN: usize = 4096;
/// No rank, and no neighbour.
const NONE: u32 = u32::MAX;

/// The longest word, in bytes, whose parts are looked through for each merge.
const SHORT_WORD: usize = 64;

/// The rank of each token by its bytes.
type Ranks = FxHashMap<Box<[u8]>, u32>;

/// How the public vocabularies cut texts into words, by name.
const PATTERNS: [(&str, &str); 3] = [
    (
        "gpt2",
        r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    ),
    (
        "cl100k_base",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    ),
    (
        "o200k_base",
        concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ),
    ),
];

/// The pattern of a known name, or a regular expression of the recipe's own.
pub fn compile(pattern: &str) -> Result<Regex> {
    let known = PATTERNS.iter().find(|(name, _)| *name == pattern);
    Regex::new(known.map_or(pattern, |(_, pattern)| pattern)).map_err(|error| {
        invalid(format!(
            "expected gpt2, cl100k_base, o200k_base or a regular expression, found one that is not: {error}; correct it"
        ))
    })
}

/// A vocabulary of byte strings, whose ranks are both their identifiers and the order of the merges.
#[derive(Debug)]
pub struct RankTokenizer {
    pattern: Regex,
    ranks: Ranks,
    /// The bytes of each identifier; none for special tokens and for gaps.
    bytes: Vec<Option<Box<[u8]>>>,
    special: SpecialTokens,
    text: String,
}

impl RankTokenizer {
    /// Reads the content of a `.tiktoken` file: on each line a token in base 64 and its rank.
    ///
    /// # Errors
    /// [`Damaged`](crate::ErrorKind::Damaged) at the byte of a bad line, or when one of the 256 bytes has no rank;
    /// [`TooLarge`](crate::ErrorKind::TooLarge); [`Invalid`](crate::ErrorKind::Invalid) for a special token that is also a rank.
    pub fn new(text: String, pattern: &str, special: &BTreeMap<String, u32>) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(too_large("bytes", MAX_BYTES, text.len()));
        }
        let ranks = parse(&text)?;
        if let Some(byte) = (0..=u8::MAX).find(|byte| !ranks.contains_key(&[*byte][..])) {
            return Err(damaged(&format!("no rank for the byte {byte}")));
        }
        let largest = ranks.values().chain(special.values()).max().copied().unwrap_or(0);
        let mut bytes = vec![None; largest as usize + 1];
        for (token, &rank) in &ranks {
            if bytes[rank as usize].replace(token.clone()).is_some() {
                return Err(damaged(&format!("two tokens of rank {rank}")));
            }
        }
        if let Some((name, identifier)) = special
            .iter()
            .find(|(_, identifier)| bytes[**identifier as usize].is_some())
        {
            let message = format!("expected identifiers beyond the ranks, found {identifier} for `{name}`; correct it");
            return Err(invalid(message).in_field("tokenizer.special"));
        }
        let (pattern, special) = (compile(pattern)?, special_tokens(special));
        Ok(Self {
            pattern,
            ranks,
            bytes,
            special,
            text,
        })
    }

    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    pub fn special(&self) -> SpecialTokens {
        self.special
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The token identifiers of a text, in which the names of special tokens are text like any other.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when the pattern goes back and forth in the text beyond its limit.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = Vec::with_capacity(text.len() / 3);
        let mut merges = Merges::default();
        for word in self.pattern.find_iter(text) {
            let word = word.map_err(|error| refused(&error))?.as_str().as_bytes();
            match self.ranks.get(word) {
                Some(&token) => tokens.push(token),
                None => merges.run(word, &self.ranks, &mut tokens),
            }
        }
        Ok(tokens)
    }

    /// The bytes of the tokens as text, with a replacement character for what is no UTF-8.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let bytes = tokens
            .iter()
            .filter_map(|&token| self.bytes.get(token as usize)?.as_deref());
        String::from_utf8_lossy(&bytes.flatten().copied().collect::<Vec<u8>>()).into_owned()
    }
}

fn refused(error: &fancy_regex::Error) -> DataError {
    invalid(format!(
        "expected a text that the tokenizer's pattern cuts into words, found one that it fails on ({error}); change the \
         pattern"
    ))
}

fn parse(text: &str) -> Result<Ranks> {
    let mut ranks = Ranks::default();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if !line.trim().is_empty() {
            let (token, rank) = entry(line).map_err(|error| error.at_offset(offset))?;
            if ranks.insert(token, rank).is_some() {
                return Err(damaged("a token that was there before").at_offset(offset));
            }
        }
        offset += line.len() as u64;
    }
    Ok(ranks)
}

fn entry(line: &str) -> Result<(Box<[u8]>, u32)> {
    let bad = || damaged("a line that is not a token in base 64, a space and a rank");
    let (token, rank) = line.trim().split_once(' ').ok_or_else(bad)?;
    // Whisper's file lists a token without bytes, as padding alone.
    let token = match token.trim_end_matches('=') {
        "" => Vec::new(),
        _ => STANDARD.decode(token).map_err(|_| bad())?,
    };
    let rank: u32 = rank.parse().map_err(|_| bad())?;
    if token.len() > LONGEST_TOKEN {
        return Err(too_large("bytes in a token", LONGEST_TOKEN, token.len()));
    }
    if rank as usize >= LARGEST_VOCABULARY {
        return Err(too_large("ranks", LARGEST_VOCABULARY, rank as usize));
    }
    Ok((token.into(), rank))
}

/// By the names that tiktoken's own vocabularies and their descendants use; the end serves as padding.
fn special_tokens(special: &BTreeMap<String, u32>) -> SpecialTokens {
    let named = |names: &[&str]| names.iter().find_map(|name| special.get(*name).copied());
    let end = named(&["<|endoftext|>", "<|end_of_text|>", "<|eos|>", "</s>", "[EOS]"]);
    SpecialTokens {
        padding: named(&["<|pad|>", "<pad>", "[PAD]"]).or(end).unwrap_or(0),
        unknown: None,
        begin: named(&["<|startoftext|>", "<|begin_of_text|>", "<|bos|>", "<s>", "[BOS]"]),
        end,
    }
}

/// A word's parts while neighbours are merged, the lowest rank first and the leftmost of equals; kept between words for
/// its memory.
#[derive(Default)]
struct Merges {
    /// Of the part that starts at a byte: where the next one starts, and the one before.
    next: Vec<u32>,
    before: Vec<u32>,
    /// The rank of a part and its next one together.
    rank: Vec<u32>,
    queue: BinaryHeap<Reverse<(u32, u32)>>,
    /// Of a short word: where each part starts, and its rank together with the next one.
    parts: Vec<(usize, u32)>,
}

impl Merges {
    /// Appends the tokens of `word`.
    fn run(&mut self, word: &[u8], ranks: &Ranks, tokens: &mut Vec<u32>) {
        match word.len() <= SHORT_WORD {
            true => self.run_short(word, ranks, tokens),
            false => self.run_long(word, ranks, tokens),
        }
    }

    /// Looks through all parts for each merge: time by the square of the length, and little of it.
    fn run_short(&mut self, word: &[u8], ranks: &Ranks, tokens: &mut Vec<u32>) {
        let together = |parts: &[(usize, u32)], at: usize| {
            let end = parts.get(at + 2).map_or(word.len() + 1, |(start, _)| *start);
            let bytes = word.get(parts[at].0..end);
            bytes.and_then(|bytes| ranks.get(bytes).copied()).unwrap_or(NONE)
        };
        let parts = &mut self.parts;
        parts.clear();
        // One more part begins at the end, so that each has a next one.
        parts.extend((0..=word.len()).map(|start| (start, NONE)));
        for at in 0..word.len() {
            parts[at].1 = together(parts, at);
        }
        while let Some((at, _)) = parts
            .iter()
            .enumerate()
            .filter(|(_, part)| part.1 != NONE)
            .min_by_key(|(_, part)| part.1)
        {
            parts.remove(at + 1);
            parts[at].1 = together(parts, at);
            if at > 0 {
                parts[at - 1].1 = together(parts, at - 1);
            }
        }
        tokens.extend(
            parts
                .windows(2)
                .filter_map(|pair| ranks.get(&word[pair[0].0..pair[1].0])),
        );
    }

    /// Keeps the pairs in a queue: time n log n.
    fn run_long(&mut self, word: &[u8], ranks: &Ranks, tokens: &mut Vec<u32>) {
        let length = word.len() as u32;
        self.next = (1..=length).collect();
        self.before = (0..length).map(|at| at.wrapping_sub(1)).collect();
        self.rank = vec![NONE; word.len()];
        self.queue.clear();
        (0..length).for_each(|at| self.weigh(at, word, ranks));
        while let Some(Reverse((rank, at))) = self.queue.pop() {
            // An entry whose part was merged or has another neighbour by now is out of date.
            if self.rank[at as usize] == rank {
                self.join(at, word, ranks);
            }
        }
        let mut at = 0;
        while at < length {
            let next = self.next[at as usize];
            // Each byte has a rank, and only what has one is merged.
            tokens.extend(ranks.get(&word[at as usize..next as usize]));
            at = next;
        }
    }

    /// Merges the part at `at` with its next one.
    fn join(&mut self, at: u32, word: &[u8], ranks: &Ranks) {
        let taken = self.next[at as usize];
        self.rank[taken as usize] = NONE;
        let next = self.next[taken as usize];
        self.next[at as usize] = next;
        if let Some(before) = self.before.get_mut(next as usize) {
            *before = at;
        }
        self.weigh(at, word, ranks);
        let before = self.before[at as usize];
        if before != NONE {
            self.weigh(before, word, ranks);
        }
    }

    /// Looks up what the part at `at` and its next one give together.
    fn weigh(&mut self, at: u32, word: &[u8], ranks: &Ranks) {
        let next = self.next[at as usize];
        let end = self.next.get(next as usize);
        let rank = end.and_then(|&end| ranks.get(&word[at as usize..end as usize]).copied());
        self.rank[at as usize] = rank.unwrap_or(NONE);
        if let Some(rank) = rank {
            self.queue.push(Reverse((rank, at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The 256 bytes and some merges of a, b and c.
    fn ranks() -> Ranks {
        let bytes = (0..=255u8).map(|byte| vec![byte]);
        let merges = ["ab", "bc", "aa", "abc", "cab", "aaa", "bcbc", "abab", "aaaa"].map(|it| it.as_bytes().to_vec());
        let tokens = bytes.chain(merges).map(Vec::into_boxed_slice);
        tokens.zip(0..).collect()
    }

    fn check(text: &str, pattern: &str, special: &[(&str, u32)], kind: &str, words: &str) {
        let special = special
            .iter()
            .map(|(name, identifier)| (name.to_string(), *identifier))
            .collect();
        let error = RankTokenizer::new(text.into(), pattern, &special).unwrap_err();
        assert_eq!(error.kind.code(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn damaged_files_are_refused_at_their_line() {
        let all: String = (0..=255u8)
            .map(|byte| format!("{} {byte}\n", STANDARD.encode([byte])))
            .collect();
        let with = |line: &str| format!("{all}{line}");
        assert!(RankTokenizer::new(all.clone(), "gpt2", &BTreeMap::new()).is_ok());
        assert_eq!(
            RankTokenizer::new(with("= 256"), "gpt2", &BTreeMap::new())
                .unwrap()
                .size(),
            257
        );
        check("", "gpt2", &[], "damaged", "no rank for the byte 0");
        for line in ["YWI=", "YWI= x", "?? 300", "YWI= -1", " 300", "YWI= 5 6"] {
            check(&with(line), "gpt2", &[], "damaged", &format!("(at byte {})", all.len()));
        }
        check(&with("YWI= 255"), "gpt2", &[], "damaged", "two tokens of rank 255");
        check(&with("YQ== 300"), "gpt2", &[], "damaged", "there before");
        check(&with("YWI= 1000000"), "gpt2", &[], "too_large", "1000000");
        check(&all, "gpt2", &[("<|endoftext|>", 97)], "invalid", "<|endoftext|>");
        check(&all, "(", &[], "invalid", "regular expression");
    }

    #[test]
    fn a_pattern_that_runs_away_is_an_error() {
        let all: String = (0..=255u8)
            .map(|byte| format!("{} {byte}\n", STANDARD.encode([byte])))
            .collect();
        let tokenizer = RankTokenizer::new(all, r"(a|b|ab)*(?>c)|.", &BTreeMap::new()).unwrap();
        assert_eq!(tokenizer.encode("aac").unwrap(), [97, 97, 99]);
        let error = tokenizer.encode(&"ab".repeat(60)).unwrap_err();
        assert!(error.message.contains("the tokenizer's pattern"), "{error}");
    }

    proptest! {
        #![proptest_config(crate::testing::cases(2000))]
        #[test]
        fn short_and_long_words_are_merged_alike(word in "[abc]{0,60}|[a-dé]{0,30}") {
            let (ranks, mut merges) = (ranks(), Merges::default());
            let (mut short, mut long) = (Vec::new(), Vec::new());
            merges.run_short(word.as_bytes(), &ranks, &mut short);
            merges.run_long(word.as_bytes(), &ranks, &mut long);
            assert_eq!(short, long);
        }
    }
}
