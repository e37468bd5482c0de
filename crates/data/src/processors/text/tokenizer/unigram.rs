//! Unigram vocabularies (Kudo 2018), trained by expectation and maximisation with Hugging Face's trainer.
//!
//! That trainer adds numbers in the order of a hash map and by the number of threads. Here it is given the words in
//! alphabetical order on one thread, and what it still leaves to chance is put in order afterwards.

use super::super::SPECIAL_TOKENS;
use super::train::{count_words, frequent_characters, special_tokens};
use crate::shield::shielded;
use std::collections::BTreeMap;
use tokenizers::Tokenizer;
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::normalizer::SplitDelimiterBehavior;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

/// What stands for a space, so that pieces spell their text.
const SPACE: char = '▁';
/// Longer words, in characters, are no words, and would take time by their square.
const LONGEST_WORD: usize = 128;
/// A word of its own that is set behind all others, once or more often: the library that looks for repeated parts fails
/// on some few texts, and with another end a text is another one.
const LAST: &str = "\u{10ffff}";
const ATTEMPTS: usize = 16;
/// By how much the trainer raises the score of one character over the last that it had lost on the way.
const STEP: f64 = 0.0001;

pub fn train(vocabulary: usize, texts: Vec<String>) -> tokenizers::Result<Tokenizer> {
    let metaspace = Metaspace::new(SPACE, PrependScheme::Always, true);
    // The special tokens are pieces as well; a text that spells one must not become it.
    let brackets = Split::new(
        SplitPattern::String("[".into()),
        SplitDelimiterBehavior::Isolated,
        false,
    )?;
    let steps = Sequence::new(vec![metaspace.clone().into(), brackets.into()]);
    let mut words = count_words(&steps, &texts)?;
    words.retain(|word, _| word.chars().count() <= LONGEST_WORD);
    let pieces = pieces(vocabulary, words)?;
    let special = SPECIAL_TOKENS.into_iter().map(|name| (name.to_string(), 0.0));
    let model = Unigram::from(special.chain(pieces).collect(), Some(1), false)?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.add_special_tokens(special_tokens())?;
    tokenizer.with_pre_tokenizer(Some(steps));
    tokenizer.with_decoder(Some(metaspace));
    Ok(tokenizer)
}

/// Pieces with their scores, the most probable first.
fn pieces(vocabulary: usize, mut words: BTreeMap<String, u64>) -> tokenizers::Result<Vec<(String, f64)>> {
    let room = vocabulary - SPECIAL_TOKENS.len();
    words.remove(LAST);
    let characters = frequent_characters(&words, room);
    words.retain(|word, _| word.chars().all(|character| characters.contains(&character)));
    if words.is_empty() {
        return Err("expected training texts with words in them, found none; check the column and the split".into());
    }
    let trainer = UnigramTrainer::builder()
        .show_progress(false)
        .vocab_size(vocabulary as u32 + 1)
        .special_tokens(special_tokens())
        .unk_token(Some(SPECIAL_TOKENS[1].into()))
        .build()?;
    let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let words: Vec<_> = words.into_iter().map(|(word, number)| (word, count(number))).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let attempt = |ends: usize| {
        let sentences = words.iter().cloned().chain(vec![(LAST.to_string(), 1); ends]).collect();
        let mut model = Unigram::default();
        let trained = pool.install(|| shielded(|| trainer.do_train(sentences, &mut model)))?;
        Some(trained.map(|_| model))
    };
    let model = (1..=ATTEMPTS)
        .find_map(attempt)
        .ok_or("expected training texts, found some that the trainer fails on")??;
    let mut pieces = in_order(model.iter().skip(SPECIAL_TOKENS.len()).cloned().collect());
    pieces.retain(|(piece, _)| piece != LAST);
    Ok(best(pieces, room))
}

/// Gives the characters that had been lost their scores in alphabetical order: the trainer does it in the order of a
/// hash map. They have the lowest score of all, and one step more each.
fn in_order(mut pieces: Vec<(String, f64)>) -> Vec<(String, f64)> {
    let lowest = pieces.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
    let characters = (0..pieces.len()).filter(|&place| is_character(&pieces[place].0));
    let mut characters: Vec<usize> = characters.collect();
    characters.sort_by(|&left, &right| pieces[left].1.total_cmp(&pieces[right].1));
    let (mut lost, mut score, mut penalty) = (Vec::new(), lowest, 0.0);
    for place in characters {
        if pieces[place].1 > score {
            penalty += STEP;
            score = lowest + penalty;
        }
        if pieces[place].1 == score {
            lost.push(place);
        }
    }
    let scores: Vec<f64> = lost.iter().map(|&place| pieces[place].1).collect();
    lost.sort_by(|&left, &right| pieces[left].0.cmp(&pieces[right].0));
    for (place, score) in lost.into_iter().zip(scores) {
        pieces[place].1 = score;
    }
    pieces
}

/// All characters and the most probable of the other pieces, as many as there is `room` for; ties by alphabet.
fn best(mut pieces: Vec<(String, f64)>, room: usize) -> Vec<(String, f64)> {
    let by_score = |left: &(String, f64), right: &(String, f64)| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0));
    pieces.sort_by(|left, right| {
        is_character(&right.0)
            .cmp(&is_character(&left.0))
            .then(by_score(left, right))
    });
    pieces.truncate(room);
    pieces.sort_by(by_score);
    pieces
}

fn is_character(piece: &str) -> bool {
    piece.chars().nth(1).is_none()
}
