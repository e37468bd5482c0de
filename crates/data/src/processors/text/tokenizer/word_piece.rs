//! WordPiece vocabularies: pairs of pieces merged by count, as Hugging Face's trainer does it.
//!
//! That trainer numbers the characters behind the first of a word in the order of a hash map, and breaks ties by number.
//! Here each character has two letters of a private alphabet instead, one for the start of a word and one for the rest, so
//! that the byte-pair trainer, which sorts its alphabet, gives the same merges every time.

use super::super::SPECIAL_TOKENS;
use super::train::{Vocab, count_words, frequent_characters, merge, special_tokens};
use std::collections::BTreeMap;
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{Tokenizer, Trainer};

/// Marks a piece that does not begin a word.
const PREFIX: &str = "##";
/// The two planes of private characters.
const FIRST: u32 = 0xf_0000;
const REST: u32 = 0x10_0000;
const MAX_CHARACTERS: usize = 0xfffe;

pub fn train(vocabulary: usize, texts: Vec<String>) -> tokenizers::Result<Tokenizer> {
    let words = count_words(&BertPreTokenizer, &texts)?;
    let room = vocabulary - SPECIAL_TOKENS.len();
    let alphabet = Alphabet::new(&words, (room / 2).clamp(1, MAX_CHARACTERS));
    let pieces = pieces(room, &words, &alphabet)?;
    let names = SPECIAL_TOKENS.into_iter().map(String::from).chain(pieces);
    let vocabulary: Vocab = names.take(vocabulary).zip(0..).collect();
    let model = WordPiece::builder()
        .vocab(vocabulary)
        .unk_token(SPECIAL_TOKENS[1].into())
        .build()?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.add_special_tokens(special_tokens())?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_decoder(Some(WordPieceDecoder::new(PREFIX.into(), true)));
    Ok(tokenizer)
}

/// All characters, those that stand behind the first of a word, then what was merged, in the order of the merges.
fn pieces(room: usize, words: &BTreeMap<String, u64>, alphabet: &Alphabet) -> tokenizers::Result<Vec<String>> {
    let mut trainer = merge(room, (0..alphabet.characters.len()).map(|index| private(FIRST, index)));
    let copies = words
        .iter()
        .filter_map(|(word, &count)| Some((alphabet.hide(word)?, count)));
    let copies = copies.flat_map(|(word, count)| (0..count).map(move |_| word.clone()));
    trainer.feed(copies, |word| Ok(vec![word.to_string()]))?;
    let mut trained = BPE::default();
    trainer.train(&mut trained)?;
    let by_identifier: BTreeMap<u32, String> = trained.get_vocab().into_iter().map(|(name, id)| (id, name)).collect();
    Ok(by_identifier.values().map(|piece| alphabet.show(piece)).collect())
}

/// The characters in order; their places are their private letters.
struct Alphabet {
    characters: Vec<char>,
}

impl Alphabet {
    fn new(words: &BTreeMap<String, u64>, limit: usize) -> Self {
        let characters = frequent_characters(words, limit);
        Self {
            characters: characters.into_iter().collect(),
        }
    }

    /// The word in private letters; nothing where one of its characters is too rare to have any.
    fn hide(&self, word: &str) -> Option<String> {
        let letter = |(place, character): (usize, char)| {
            let index = self.characters.binary_search(&character).ok()?;
            Some(private(if place == 0 { FIRST } else { REST }, index))
        };
        word.chars().enumerate().map(letter).collect()
    }

    fn show(&self, piece: &str) -> String {
        let prefix = if piece.chars().next().is_some_and(|letter| letter as u32 >= REST) {
            PREFIX
        } else {
            ""
        };
        let character = |letter: char| self.characters[(letter as u32 & 0xffff) as usize];
        prefix.chars().chain(piece.chars().map(character)).collect()
    }
}

fn private(plane: u32, index: usize) -> char {
    char::from_u32(plane + index as u32).expect("both planes hold characters up to their last two places")
}
