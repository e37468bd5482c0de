//! Tokenizers of the `tokenizers` library, whose file is Hugging Face's `tokenizer.json`.

use super::super::super::invalid;
use super::super::SPECIAL_TOKENS;
use super::{LARGEST_VOCABULARY, SpecialTokens, damaged, limits, too_large};
use crate::shield::shielded;
use crate::{DataError, ErrorKind, Result};
use tokenizers::normalizers::Sequence;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::tokenizer::Encoding;
use tokenizers::{NormalizerWrapper, PostProcessor, PostProcessorWrapper, Token, Tokenizer};

/// What public vocabularies call their special tokens, the most telling name first.
const PADDING: [&str; 6] = [
    "[PAD]",
    "<pad>",
    "<|pad|>",
    "<PAD>",
    "<|finetune_right_pad_id|>",
    "<|endoftext|>",
];
const UNKNOWN: [&str; 3] = ["[UNK]", "<unk>", "<UNK>"];
const BEGIN: [&str; 6] = ["[BOS]", "<s>", "[CLS]", "<bos>", "<|begin_of_text|>", "<|startoftext|>"];
const END: [&str; 6] = ["[EOS]", "</s>", "[SEP]", "<eos>", "<|end_of_text|>", "<|endoftext|>"];
/// Stands for a text where the tokens that are set around texts are looked for.
const PLACE: u32 = u32::MAX;

/// A tokenizer with the file that it came from.
#[derive(Debug)]
pub struct LibraryTokenizer {
    tokenizer: Tokenizer,
    json: String,
    size: usize,
    special: SpecialTokens,
    before: Vec<u32>,
    behind: Vec<u32>,
}

impl LibraryTokenizer {
    /// Takes a tokenizer that was trained here from its file.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when this is no tokenizer, or one with other special tokens.
    pub fn trained(json: &str) -> Result<Self> {
        Self::new(parse(json)?)
    }

    /// # Errors
    /// [`ErrorKind::Damaged`] when the first tokens are not the special ones, or identifiers are left out.
    pub fn new(mut tokenizer: Tokenizer) -> Result<Self> {
        for (identifier, name) in SPECIAL_TOKENS.into_iter().enumerate() {
            if tokenizer.token_to_id(name) != Some(identifier as u32) {
                return Err(damaged(&format!("no token `{name}` with the identifier {identifier}")));
            }
        }
        let (tokens, size) = (tokenizer.get_vocab_size(true), size(&tokenizer)?);
        if size != tokens {
            let identifier = size - 1;
            return Err(damaged(&format!(
                "a token with the identifier {identifier} among {tokens} tokens"
            )));
        }
        // The words "[PAD]" in a text must not become padding. This setting is not stored with the
        // tokenizer.
        tokenizer.set_encode_special_tokens(true);
        let json = tokenizer.to_string(true).map_err(|error| damaged(&error.to_string()))?;
        let special = SpecialTokens {
            padding: 0,
            unknown: Some(1),
            begin: Some(2),
            end: Some(3),
        };
        let (before, behind) = (Vec::new(), Vec::new());
        Ok(Self {
            tokenizer,
            json,
            size,
            special,
            before,
            behind,
        })
    }

    /// Takes a public vocabulary from the content of its `tokenizer.json`.
    ///
    /// The names of special tokens in a text are text like any other. The file's own settings for cutting, padding and
    /// dropping out merges are left aside.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`], [`ErrorKind::TooLarge`] or [`ErrorKind::Unsupported`].
    pub fn public(json: String) -> Result<Self> {
        let document = limits::check(&json)?;
        let mut tokenizer = parse(&json)?;
        let size = size(&tokenizer)?;
        let frame = shielded(|| frame(&tokenizer)).unwrap_or_else(|| Err(damaged("a post-processor that fails")));
        let (before, behind) = frame?;
        if before.iter().chain(&behind).any(|&token| token as usize >= size) {
            return Err(damaged("a post-processor with tokens that the vocabulary lacks"));
        }
        tokenizer.with_post_processor(None::<PostProcessorWrapper>);
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| damaged(&error.to_string()))?;
        tokenizer.set_encode_special_tokens(true);
        let special = special(&tokenizer, &document, size);
        Ok(Self {
            tokenizer,
            json,
            size,
            special,
            before,
            behind,
        })
    }

    pub fn size(&self) -> usize {
        self.size
    }

    pub fn special(&self) -> SpecialTokens {
        self.special
    }

    pub fn token(&self, name: &str) -> Option<u32> {
        self.tokenizer
            .token_to_id(name)
            .filter(|&token| (token as usize) < self.size)
    }

    pub fn frame(&self) -> (&[u32], &[u32]) {
        (&self.before, &self.behind)
    }

    pub fn json(&self) -> &str {
        &self.json
    }

    /// The file of a tokenizer that was trained here with `steps` before it, and with a begin in front of each text.
    pub fn standalone(&self, steps: Vec<NormalizerWrapper>) -> tokenizers::Result<String> {
        let begin = SPECIAL_TOKENS[2];
        let frame = TemplateProcessing::builder()
            .try_single(format!("{begin} $A"))?
            .special_tokens(vec![(begin, 2)])
            .build()?;
        let mut tokenizer = self.tokenizer.clone();
        tokenizer.with_normalizer((!steps.is_empty()).then(|| Sequence::new(steps)))?;
        tokenizer.with_post_processor(Some(frame));
        tokenizer.to_string(true)
    }

    /// The token identifiers of a text, each below [`size`](Self::size).
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = shielded(|| self.tokenizer.encode_fast(text, false));
        let encoding = encoding.ok_or_else(|| refused("the tokenizer failed"))?;
        let tokens = encoding
            .map_err(|error| refused(&error.to_string()))?
            .get_ids()
            .to_vec();
        match tokens.iter().find(|&&token| token as usize >= self.size) {
            Some(token) => Err(refused(&format!(
                "the tokenizer gave {token}, which is none of its tokens"
            ))),
            None => Ok(tokens),
        }
    }

    pub fn decode(&self, tokens: &[u32]) -> String {
        // A decoder fails on no token that a text gave; for others there is no text.
        shielded(|| self.tokenizer.decode(tokens, true).unwrap_or_default()).unwrap_or_default()
    }
}

fn refused(reason: &str) -> DataError {
    invalid(format!(
        "expected a text that this vocabulary can express, found one that it cannot ({reason}); change the text or the \
         tokenizer"
    ))
}

fn parse(json: &str) -> Result<Tokenizer> {
    let tokenizer =
        shielded(|| Tokenizer::from_bytes(json)).ok_or_else(|| damaged("parts that contradict each other"))?;
    tokenizer.map_err(|error| damaged(&error.to_string()))
}

/// One more than the largest identifier.
fn size(tokenizer: &Tokenizer) -> Result<usize> {
    let largest = tokenizer.get_vocab(true).into_values().max();
    let size = largest.ok_or_else(|| damaged("no tokens"))? as usize + 1;
    match size > LARGEST_VOCABULARY {
        true => Err(too_large("identifiers", LARGEST_VOCABULARY, size)),
        false => Ok(size),
    }
}

/// The tokens that the post-processor sets before and behind a text.
fn frame(tokenizer: &Tokenizer) -> Result<(Vec<u32>, Vec<u32>)> {
    let Some(processor) = tokenizer.get_post_processor() else {
        return Ok((Vec::new(), Vec::new()));
    };
    let place = Token::new(PLACE, "text".into(), (0, 4));
    let framed = processor.process(Encoding::from_tokens(vec![place], 0), None, true);
    let framed = framed.map_err(|error| damaged(&error.to_string()))?;
    let mut parts = framed.get_ids().split(|&token| token == PLACE).map(<[u32]>::to_vec);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(before), Some(behind), None) => Ok((before, behind)),
        _ => Err(DataError::new(
            ErrorKind::Unsupported,
            "expected a post-processor that gives the text once, found another; take it out of the file",
        )),
    }
}

/// What the file says, or else what the names of its tokens say. Where nothing tells the padding it is the end, or zero.
fn special(tokenizer: &Tokenizer, document: &serde_json::Value, size: usize) -> SpecialTokens {
    let named = |names: &[&str]| names.iter().find_map(|name| tokenizer.token_to_id(name));
    let model = &document["model"];
    let number = |value: &serde_json::Value| value.as_u64().filter(|&id| id < size as u64).map(|id| id as u32);
    let unknown = model["unk_token"].as_str().and_then(|name| tokenizer.token_to_id(name));
    let end = named(&END);
    SpecialTokens {
        padding: number(&document["padding"]["pad_id"])
            .or(named(&PADDING))
            .or(end)
            .unwrap_or(0),
        unknown: unknown.or(number(&model["unk_id"])).or(named(&UNKNOWN)),
        begin: named(&BEGIN),
        end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_damaged(identifier: &str, words: &str) {
        let json = r#"{"model":{"type":"WordLevel","unk_token":"[UNK]",
            "vocab":{"[PAD]":0,"[UNK]":1,"[BOS]":2,"[EOS]":3,"word":WHERE}}}"#;
        let error = LibraryTokenizer::trained(&json.replace("WHERE", identifier)).unwrap_err();
        assert!(error.message.contains(words), "{error}");
    }

    #[test]
    fn a_tokenizer_with_a_gap_in_its_identifiers_is_damaged() {
        check_damaged("9", "identifier 9 among 5 tokens");
        check_damaged("4294967295", "at most 1000000 identifiers");
        check_damaged("3", "identifier 3 among 5 tokens");
    }
}
