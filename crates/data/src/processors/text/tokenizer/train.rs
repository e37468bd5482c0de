//! Tokenizers trained on a column's texts: the same texts give the same bytes in every process.

use super::super::super::invalid;
use super::super::SPECIAL_TOKENS;
use super::library::LibraryTokenizer;
use super::{MAX_TOKEN_CHARACTERS, TokenizerConfig, unigram, word_piece};
use crate::Result;
use crate::shield::shielded;
use rayon::prelude::*;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordlevel::{WordLevel, WordLevelTrainer};
use tokenizers::normalizer::SplitDelimiterBehavior;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    AddedToken, DecoderWrapper, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer,
};

/// Texts whose words are counted together.
const CHUNK: usize = 256;

/// The map that the library's models are built from.
pub(super) type Vocab = tokenizers::models::bpe::Vocab;

/// A pair of tokens seen only once is no pattern.
const MINIMUM_MERGE_COUNT: u64 = 2;

/// Trains on cleaned texts.
///
/// # Errors
/// [`Invalid`](crate::ErrorKind::Invalid) when the texts hold nothing that could be a token.
pub fn train(config: &TokenizerConfig, texts: Vec<String>) -> Result<LibraryTokenizer> {
    let trained = shielded(|| match *config {
        TokenizerConfig::Bpe { vocabulary } => bpe(vocabulary, texts),
        TokenizerConfig::Word {
            vocabulary,
            minimum_count,
        } => words(vocabulary, minimum_count, texts),
        TokenizerConfig::WordPiece { vocabulary } => word_piece::train(vocabulary, texts),
        TokenizerConfig::Unigram { vocabulary } => unigram::train(vocabulary, texts),
        TokenizerConfig::Character {
            vocabulary,
            minimum_count,
        } => characters(vocabulary, minimum_count, texts),
        TokenizerConfig::Byte => bytes(),
        TokenizerConfig::File { .. } | TokenizerConfig::Tiktoken { .. } => {
            unreachable!("a public vocabulary is read, not trained")
        }
    });
    let trained = trained.ok_or_else(|| invalid("expected training texts, found some that the trainer fails on"))?;
    let tokenizer = LibraryTokenizer::new(trained.map_err(|error| invalid(error.to_string()))?)?;
    match tokenizer.size() > SPECIAL_TOKENS.len() {
        true => Ok(tokenizer),
        false => Err(invalid(
            "expected training texts with words in them, found none; check the column and \
             the split, or lower \
             `minimum_count`",
        )),
    }
}

pub(super) fn special_tokens() -> Vec<AddedToken> {
    SPECIAL_TOKENS.map(|name| AddedToken::from(name, true)).to_vec()
}

/// How often each word occurs that `pre_tokenizer` finds in the texts, in alphabetical order.
pub(super) fn count_words(
    pre_tokenizer: &(impl PreTokenizer + Sync),
    texts: &[String],
) -> tokenizers::Result<BTreeMap<String, u64>> {
    let parts = texts.par_chunks(CHUNK).map(|texts| {
        let mut counts = BTreeMap::new();
        texts
            .iter()
            .try_for_each(|text| add_words(pre_tokenizer, text, &mut counts))?;
        Ok(counts)
    });
    parts.try_reduce(BTreeMap::new, |mut all, part| {
        for (word, count) in part {
            *all.entry(word).or_default() += count;
        }
        Ok(all)
    })
}

fn add_words(
    pre_tokenizer: &impl PreTokenizer,
    text: &str,
    counts: &mut BTreeMap<String, u64>,
) -> tokenizers::Result<()> {
    let mut words = PreTokenizedString::from(text);
    pre_tokenizer.pre_tokenize(&mut words)?;
    for (word, _, _) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
        match counts.get_mut(word) {
            Some(count) => *count += 1,
            None => drop(counts.insert(word.to_string(), 1)),
        }
    }
    Ok(())
}

/// The most frequent characters of the words, at most `limit` of them; ties by code.
pub(super) fn frequent_characters(words: &BTreeMap<String, u64>, limit: usize) -> BTreeSet<char> {
    let mut counts: BTreeMap<char, u64> = BTreeMap::new();
    for (word, count) in words {
        word.chars()
            .for_each(|character| *counts.entry(character).or_default() += count);
    }
    let mut characters: Vec<(char, u64)> = counts.into_iter().collect();
    characters.sort_by_key(|&(character, count)| (Reverse(count), character));
    characters
        .into_iter()
        .take(limit)
        .map(|(character, _)| character)
        .collect()
}

/// Merges the most frequent pairs of neighbours in `words`, `alphabet` being there from the start.
pub(super) fn merge(vocabulary: usize, alphabet: impl IntoIterator<Item = char>) -> BpeTrainer {
    BpeTrainer::builder()
        .show_progress(false)
        .initial_alphabet(alphabet.into_iter().collect())
        .vocab_size(vocabulary)
        .min_frequency(MINIMUM_MERGE_COUNT)
        .max_token_length(Some(MAX_TOKEN_CHARACTERS))
        .build()
}

/// The space that is set before each text lets a word have one token wherever it stands.
fn bpe(vocabulary: usize, texts: Vec<String>) -> tokenizers::Result<Tokenizer> {
    let byte_level = ByteLevel::new(true, true, true);
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(byte_level));
    let steps = vec![byte_level.into(), DecoderWrapper::Strip(Strip::new(' ', 1, 0))];
    tokenizer.with_decoder(Some(Sequence::new(steps)));
    let mut trainer = merge(vocabulary, ByteLevel::alphabet());
    trainer.special_tokens = special_tokens();
    tokenizer.train(&mut TrainerWrapper::from(trainer), texts.into_iter())?;
    Ok(tokenizer)
}

fn words(vocabulary: usize, minimum_count: u64, texts: Vec<String>) -> tokenizers::Result<Tokenizer> {
    let mut tokenizer = Tokenizer::new(word_level()?);
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    train_word_level(&mut tokenizer, vocabulary, minimum_count, texts)?;
    Ok(tokenizer)
}

/// A word that is one character long is a character.
fn characters(vocabulary: usize, minimum_count: u64, texts: Vec<String>) -> tokenizers::Result<Tokenizer> {
    let mut tokenizer = Tokenizer::new(word_level()?);
    let each = SplitPattern::Regex(r"[\s\S]".into());
    tokenizer.with_pre_tokenizer(Some(Split::new(each, SplitDelimiterBehavior::Isolated, false)?));
    tokenizer.with_decoder(Some(Fuse::default()));
    train_word_level(&mut tokenizer, vocabulary, minimum_count, texts)?;
    Ok(tokenizer)
}

fn word_level() -> tokenizers::Result<WordLevel> {
    WordLevel::builder().unk_token(SPECIAL_TOKENS[1].to_string()).build()
}

fn train_word_level(
    tokenizer: &mut Tokenizer,
    vocabulary: usize,
    minimum_count: u64,
    texts: Vec<String>,
) -> tokenizers::Result<()> {
    let trainer = WordLevelTrainer::builder()
        .show_progress(false)
        .special_tokens(special_tokens())
        .vocab_size(vocabulary)
        .min_frequency(minimum_count)
        .build()?;
    tokenizer.train(&mut TrainerWrapper::from(trainer), texts.into_iter())?;
    Ok(())
}

/// Byte b has the identifier 4 + b.
fn bytes() -> tokenizers::Result<Tokenizer> {
    let names = SPECIAL_TOKENS
        .into_iter()
        .map(String::from)
        .chain((0..=255).map(byte_name));
    let vocabulary = (0..).zip(names).map(|(identifier, name)| (name, identifier));
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.collect::<Vocab>(), Vec::new())
        .build()?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.add_special_tokens(special_tokens())?;
    let byte_level = ByteLevel::new(false, true, false);
    tokenizer.with_pre_tokenizer(Some(byte_level));
    tokenizer.with_decoder(Some(byte_level));
    Ok(tokenizer)
}

/// How byte-level tokenizers write a byte (Radford et al. 2019): itself where it is a printable Latin-1 character, else
/// the next of the characters from 256 on.
fn byte_name(byte: u8) -> String {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..);
    let code = match printable(byte) {
        true => u32::from(byte),
        false => 256 + (0..byte).filter(|&before| !printable(before)).count() as u32,
    };
    char::from_u32(code).map(String::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use rand::RngExt;
    use std::process::Command;

    const CONFIGS: [TokenizerConfig; 6] = [
        TokenizerConfig::Bpe { vocabulary: 700 },
        TokenizerConfig::Word {
            vocabulary: 200,
            minimum_count: 2,
        },
        TokenizerConfig::WordPiece { vocabulary: 300 },
        TokenizerConfig::Unigram { vocabulary: 200 },
        TokenizerConfig::Character {
            vocabulary: 200,
            minimum_count: 2,
        },
        TokenizerConfig::Byte,
    ];

    /// Texts of few letters, so that many pairs occur equally often and one token arises in several
    /// ways; some characters are rare.
    fn ambiguous_texts() -> Vec<String> {
        let mut generator = crate::random::Key::new(5).generator();
        let mut text = |place: u32| {
            let letter = |draw: u32| b"aaabbc  "[draw as usize % 8] as char;
            let text: String = (0..60).map(|_| letter(generator.random())).collect();
            text + &String::from_iter(char::from_u32(0x4e00 + place / 3))
        };
        (0..200).map(&mut text).collect()
    }

    fn trained(config: &TokenizerConfig) -> String {
        train(config, ambiguous_texts()).unwrap().json().to_string()
    }

    #[test]
    fn training_twice_gives_the_same_bytes() {
        for config in CONFIGS {
            let first = trained(&config);
            for _ in 0..8 {
                assert!(trained(&config) == first, "{config:?}");
            }
        }
    }

    /// Set in the child process of the test below, where it only prints.
    const CHILD: &str = "SENSORIUM_TEST_PRINT_TOKENIZER_HASH";

    #[test]
    fn training_in_another_process_gives_the_same_bytes() {
        let own = CONFIGS
            .map(|config| blake3::hash(trained(&config).as_bytes()).to_string())
            .concat();
        if std::env::var_os(CHILD).is_some() {
            println!("{own}");
            return;
        }
        let name = "processors::text::tokenizer::train::tests::training_in_another_process_gives_the_same_bytes";
        for threads in ["1", "4"] {
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", name, "--nocapture"])
                .env(CHILD, "1")
                .env("RAYON_NUM_THREADS", threads)
                .output()
                .unwrap();
            let printed = String::from_utf8_lossy(&output.stdout);
            assert!(printed.contains(&own), "{threads} threads: {printed}");
        }
    }

    #[test]
    fn a_vocabulary_has_the_size_asked_for() {
        for (config, size) in CONFIGS.into_iter().zip([700, 200, 300, 200, 75, 260]) {
            let tokenizer = train(&config, ambiguous_texts()).unwrap();
            assert!(
                (size * 2 / 3..=size).contains(&tokenizer.size()),
                "{config:?}: {}",
                tokenizer.size()
            );
        }
        for vocabulary in [6, 7, 20] {
            for config in [
                TokenizerConfig::WordPiece { vocabulary },
                TokenizerConfig::Unigram { vocabulary },
            ] {
                let size = train(&config, ambiguous_texts()).map_or(0, |tokenizer| tokenizer.size());
                assert!(
                    size <= vocabulary && (vocabulary < 20 || size == 20),
                    "{config:?}: {size}"
                );
            }
        }
    }

    #[test]
    fn frequent_words_are_pieces_of_their_own() {
        let texts = vec!["unbelievable things are unbelievable".to_string(); 9];
        for (config, space) in [
            (TokenizerConfig::Bpe { vocabulary: 400 }, "\u{120}"),
            (TokenizerConfig::WordPiece { vocabulary: 200 }, ""),
        ] {
            let tokenizer = train(&config, texts.clone()).unwrap();
            let name = format!("\"{space}unbelievable\"");
            assert!(tokenizer.json().contains(&name), "{config:?}");
        }
    }

    #[test]
    fn words_with_rare_characters_teach_no_pieces() {
        let texts = ["ab ab ab", "é"].map(String::from).to_vec();
        let json = train(&TokenizerConfig::WordPiece { vocabulary: 9 }, texts)
            .unwrap()
            .json()
            .to_string();
        assert!(
            json.contains("\"##b\"") && json.contains("\"ab\"") && !json.contains('é'),
            "{json}"
        );
    }

    #[test]
    fn no_texts_make_a_byte_vocabulary_but_no_word_vocabulary() {
        assert_eq!(train(&CONFIGS[0], vec![]).unwrap().size(), 260);
        let error = train(&CONFIGS[1], vec!["once".to_string()]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.message.contains("minimum_count"), "{error}");
    }
}
