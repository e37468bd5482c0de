//! Tokenizers trained here and stored in Hugging Face's `tokenizer.json` format.

use super::super::invalid;
use super::{MAX_TOKEN_CHARACTERS, SPECIAL_TOKENS, TokenizerConfig};
use crate::{DataError, ErrorKind, Result};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordlevel::{WordLevel, WordLevelTrainer};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer};

/// A pair of tokens seen only once is no pattern.
const MINIMUM_MERGE_COUNT: u64 = 2;

/// A tokenizer whose first identifiers are the special tokens.
#[derive(Debug)]
pub struct Vocabulary {
    tokenizer: Tokenizer,
    json: String,
}

impl Vocabulary {
    /// Trains on cleaned texts.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when a word vocabulary would hold no word.
    pub fn train(config: &TokenizerConfig, texts: Vec<String>) -> Result<Self> {
        let tokenizer = match *config {
            TokenizerConfig::Bpe { vocabulary } => train_bpe(vocabulary, texts),
            TokenizerConfig::Word {
                vocabulary,
                minimum_count,
            } => train_words(vocabulary, minimum_count, texts),
        };
        let vocabulary = Self::new(tokenizer.map_err(|error| invalid(error.to_string()))?)?;
        match vocabulary.size() > SPECIAL_TOKENS.len() {
            true => Ok(vocabulary),
            false => Err(invalid(
                "expected training texts with words in them, found none; check the column and \
                 the split, or lower \
                 `minimum_count`",
            )),
        }
    }

    /// # Errors
    /// [`ErrorKind::Damaged`] when this is no tokenizer, or one with other special tokens.
    pub fn from_json(json: &str) -> Result<Self> {
        Self::new(Tokenizer::from_bytes(json).map_err(|error| damaged(&error.to_string()))?)
    }

    fn new(mut tokenizer: Tokenizer) -> Result<Self> {
        for (identifier, name) in SPECIAL_TOKENS.into_iter().enumerate() {
            if tokenizer.token_to_id(name) != Some(identifier as u32) {
                return Err(damaged(&format!("no token `{name}` with the identifier {identifier}")));
            }
        }
        let size = tokenizer.get_vocab_size(true);
        if let Some((name, identifier)) = tokenizer
            .get_vocab(true)
            .into_iter()
            .find(|&(_, identifier)| identifier as usize >= size)
        {
            return Err(damaged(&format!(
                "a token `{name}` with the identifier {identifier} among {size} tokens"
            )));
        }
        // The words "[PAD]" in a text must not become padding. This setting is not stored with the
        // tokenizer.
        tokenizer.set_encode_special_tokens(true);
        let json = tokenizer.to_string(true).map_err(|error| damaged(&error.to_string()))?;
        Ok(Self { tokenizer, json })
    }

    pub fn size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    pub fn json(&self) -> &str {
        &self.json
    }

    /// The token identifiers of a cleaned text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .tokenizer
            .encode_fast(text, false)
            .map_err(|error| invalid(format!("expected a text, found one without tokens: {error}")))?;
        Ok(encoding.get_ids().to_vec())
    }
}

fn damaged(found: &str) -> DataError {
    let message = format!("expected a stored tokenizer, found {found}; restore the file or train again");
    DataError::new(ErrorKind::Damaged, message)
}

fn special_tokens() -> Vec<AddedToken> {
    SPECIAL_TOKENS.map(|name| AddedToken::from(name, true)).to_vec()
}

/// The space that is set before each text lets a word have one token wherever it stands.
fn train_bpe(vocabulary: usize, texts: Vec<String>) -> tokenizers::Result<Tokenizer> {
    let byte_level = ByteLevel::new(true, true, true);
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(byte_level));
    tokenizer.with_decoder(Some(byte_level));
    let trainer = BpeTrainer::builder()
        .show_progress(false)
        .special_tokens(special_tokens())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .vocab_size(vocabulary)
        .min_frequency(MINIMUM_MERGE_COUNT)
        .max_token_length(Some(MAX_TOKEN_CHARACTERS))
        .build();
    tokenizer.train(&mut TrainerWrapper::from(trainer), texts.into_iter())?;
    Ok(tokenizer)
}

fn train_words(vocabulary: usize, minimum_count: u64, texts: Vec<String>) -> tokenizers::Result<Tokenizer> {
    let model = WordLevel::builder().unk_token(SPECIAL_TOKENS[1].to_string()).build()?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    let trainer = WordLevelTrainer::builder()
        .show_progress(false)
        .special_tokens(special_tokens())
        .vocab_size(vocabulary)
        .min_frequency(minimum_count)
        .build()?;
    tokenizer.train(&mut TrainerWrapper::from(trainer), texts.into_iter())?;
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;
    use std::process::Command;

    const CONFIGS: [TokenizerConfig; 2] = [
        TokenizerConfig::Bpe { vocabulary: 700 },
        TokenizerConfig::Word {
            vocabulary: 200,
            minimum_count: 2,
        },
    ];

    /// Texts of few letters, so that many pairs occur equally often and one token arises in several
    /// ways.
    fn ambiguous_texts() -> Vec<String> {
        let mut generator = crate::random::Key::new(5).generator();
        let mut text = || {
            let letter = |draw: u32| b"aaabbc  "[draw as usize % 8] as char;
            (0..60).map(|_| letter(generator.random())).collect()
        };
        (0..200).map(|_| text()).collect()
    }

    fn train(config: &TokenizerConfig) -> String {
        Vocabulary::train(config, ambiguous_texts()).unwrap().json().to_string()
    }

    #[test]
    fn training_twice_gives_the_same_bytes() {
        for config in CONFIGS {
            let first = train(&config);
            for _ in 0..8 {
                assert!(train(&config) == first, "{config:?}");
            }
        }
    }

    /// Set in the child process of the test below, where it only prints.
    const CHILD: &str = "SENSORIUM_TEST_PRINT_TOKENIZER_HASH";

    #[test]
    fn training_in_another_process_gives_the_same_bytes() {
        let own = CONFIGS
            .map(|config| blake3::hash(train(&config).as_bytes()).to_string())
            .concat();
        if std::env::var_os(CHILD).is_some() {
            println!("{own}");
            return;
        }
        let name = "processors::text::tokenizer::tests::training_in_another_process_gives_the_same_bytes";
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
    fn a_vocabulary_has_the_size_asked_for_and_begins_with_the_special_tokens() {
        for (config, size) in CONFIGS.into_iter().zip([700, 200]) {
            let vocabulary = Vocabulary::train(&config, ambiguous_texts()).unwrap();
            assert!(vocabulary.size() <= size);
            assert!(vocabulary.size() > size / 2, "{}", vocabulary.size());
            for (identifier, name) in SPECIAL_TOKENS.into_iter().enumerate() {
                assert_eq!(vocabulary.tokenizer.token_to_id(name), Some(identifier as u32));
            }
        }
    }

    #[test]
    fn tokens_spell_the_text() {
        let vocabulary = Vocabulary::train(&CONFIGS[0], ambiguous_texts()).unwrap();
        for text in ["abba cab", "naïve 🙂", "a  b"] {
            let tokens = vocabulary.encode(text).unwrap();
            assert_eq!(vocabulary.tokenizer.decode(&tokens, true).unwrap().trim(), text);
        }
    }

    #[test]
    fn a_tokenizer_with_a_gap_in_its_identifiers_is_damaged() {
        let json = r#"{"model":{"type":"WordLevel","unk_token":"[UNK]",
            "vocab":{"[PAD]":0,"[UNK]":1,"[BOS]":2,"[EOS]":3,"word":WHERE}}}"#;
        assert!(Vocabulary::from_json(&json.replace("WHERE", "4")).is_ok());
        let error = Vocabulary::from_json(&json.replace("WHERE", "9")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Damaged);
        assert!(error.message.contains("identifier 9 among 5 tokens"), "{error}");
    }

    #[test]
    fn no_texts_make_a_byte_vocabulary_but_no_word_vocabulary() {
        assert_eq!(Vocabulary::train(&CONFIGS[0], vec![]).unwrap().size(), 260);
        let error = Vocabulary::train(&CONFIGS[1], vec!["once".to_string()]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.message.contains("minimum_count"), "{error}");
    }
}
