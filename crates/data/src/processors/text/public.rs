//! A tokenizer that was trained here, in a file by which other programs make the same tokens of a text.

use super::{Normalization, TextConfig, TextProcessor, TokenizerConfig};
use crate::processors::{Fitted, Processor};
use std::borrow::Cow;
use tokenizers::NormalizerWrapper;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, NFC, NFD, NFKC, NFKD, Replace, Strip};

/// White space, as [`char::is_whitespace`] has it.
const SPACES: &str =
    r"[\x{09}-\x{0D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]+";
/// Control characters that are none, and byte-order marks.
const CONTROLS: &str = r"[\x{00}-\x{08}\x{0E}-\x{1F}\x{7F}-\x{84}\x{86}-\x{9F}\x{FEFF}]";
/// The punctuation marks of ASCII.
const MARKS: &str = r"[\x{21}-\x{2F}\x{3A}-\x{40}\x{5B}-\x{60}\x{7B}-\x{7E}]";
/// Accents behind their letters.
const ACCENTS: &str = r"\p{Mn}";

impl Processor {
    /// The content of a `tokenizer.json` by which other programs tokenise texts: a public vocabulary's own, and of one that was
    /// trained here a file that cleans texts as here, but for markup and the words of languages without spaces, and sets the begin
    /// in front of them. None of other modalities and of other layouts.
    pub fn tokenizer(&self) -> Option<Cow<'_, str>> {
        let Fitted::Text(text) = &self.fitted else {
            return None;
        };
        match &text.config().tokenizer {
            TokenizerConfig::Tiktoken { .. } => None,
            TokenizerConfig::File { .. } => Some(text.tokenizer_text().into()),
            _ => text.standalone().map(Cow::Owned),
        }
    }
}

impl TextProcessor {
    fn standalone(&self) -> Option<String> {
        let written = steps(&self.config).and_then(|steps| self.vocabulary.standalone(steps));
        written.expect("the library knows these steps")
    }
}

/// What happens to a text before it is cut into tokens, in the order of [`clean`](super::clean::clean).
fn steps(config: &TextConfig) -> tokenizers::Result<Vec<NormalizerWrapper>> {
    let replace = |pattern: &str, by: &str| Replace::new(ReplacePattern::Regex(pattern.into()), by);
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    if config.strip_control() {
        steps.push(replace(CONTROLS, "")?.into());
    }
    if config.strip_punctuation {
        steps.push(replace(MARKS, "")?.into());
    }
    if config.strip_accents {
        steps.extend([NFD.into(), replace(ACCENTS, "")?.into()]);
    }
    match config.normalization() {
        Normalization::Nfkc => steps.push(NFKC.into()),
        Normalization::Nfc => steps.push(NFC.into()),
        Normalization::Nfkd => steps.push(NFKD.into()),
        Normalization::Nfd => steps.push(NFD.into()),
        Normalization::None => {}
    }
    if config.collapse_whitespace() {
        steps.extend([replace(SPACES, " ")?.into(), Strip::new(true, true).into()]);
    }
    if config.lowercase() {
        steps.push(Lowercase.into());
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::super::SPECIAL_TOKENS;
    use super::*;
    use crate::ProcessorConfig;

    const TEXTS: [&str; 9] = [
        "Is the circle RED?",
        "  two\t spaces\u{85}\u{3000}and \u{a0} a line\nend ",
        "caf\u{e9} cafe\u{301} \u{212b}ngstr\u{f6}m \u{fb01}ne \u{ff26}ull",
        "zero\u{0}one\u{7f}two\u{feff}three\u{1c}four",
        "(a) [b] {c} ~d^ e_f `g` \\h @i #j",
        "Straße İstanbul ŽLUŤOUČKÝ",
        "日本 語 and 数字 ①",
        "",
        "\u{200b}thin\u{2009}hair\u{200a}line",
    ];

    /// The file is read as one that others made, without any cleaning here, and gives the same tokens behind a begin.
    fn check(config: TextConfig) {
        let config = ProcessorConfig::Text(config);
        let own = Processor::fit(&config, &TEXTS).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, own.tokenizer().unwrap().as_bytes()).unwrap();
        let file = TokenizerConfig::File {
            path: path.display().to_string(),
        };
        let public = ProcessorConfig::Text(TextConfig {
            tokenizer: file,
            ..TextConfig::default()
        });
        let public = Processor::fit(&public, &[]).unwrap();
        assert_eq!(public.frame(), Some((&[2][..], &[][..])));
        assert_eq!(public.tokenizer(), own.tokenizer());
        for text in TEXTS {
            let tokens = |processor: &Processor| match &processor.fitted {
                Fitted::Text(processor) => processor.encode_alone(text, true).unwrap(),
                _ => Vec::new(),
            };
            assert_eq!(tokens(&public), tokens(&own), "{text:?} with {config:?}");
        }
        for (id, name) in SPECIAL_TOKENS.iter().enumerate() {
            assert_eq!(public.token(name), Some(id as u32));
        }
    }

    #[test]
    fn other_programs_read_the_tokenizers_that_were_trained_here() {
        let plain = |tokenizer| TextConfig {
            tokenizer,
            ..TextConfig::default()
        };
        let minimum_count = 1;
        let (vocabulary, bpe) = (100, TokenizerConfig::Bpe { vocabulary: 300 });
        for tokenizer in [
            bpe.clone(),
            TokenizerConfig::Word {
                vocabulary,
                minimum_count,
            },
            TokenizerConfig::WordPiece { vocabulary },
            TokenizerConfig::Unigram { vocabulary },
            TokenizerConfig::Character {
                vocabulary,
                minimum_count,
            },
            TokenizerConfig::Byte,
        ] {
            check(plain(tokenizer));
        }
        for normalization in [
            Normalization::Nfc,
            Normalization::Nfd,
            Normalization::Nfkd,
            Normalization::None,
        ] {
            check(TextConfig {
                normalization: Some(normalization),
                lowercase: Some(false),
                ..plain(bpe.clone())
            });
        }
        check(TextConfig {
            strip_accents: true,
            strip_punctuation: true,
            ..plain(bpe.clone())
        });
        check(TextConfig {
            strip_control: Some(false),
            collapse_whitespace: Some(false),
            ..plain(bpe)
        });
    }
}
