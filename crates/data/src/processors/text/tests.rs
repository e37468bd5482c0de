//! What holds for every tokenizer: texts within bounds, and the way back.

use super::*;
use proptest::prelude::*;

impl TextProcessor {
    /// The tokens of a text of which it is not known what it asks about.
    pub(super) fn plain(&self, text: &str) -> Result<Vec<u32>> {
        self.encode(text, &Shown::default())
    }

    fn plain_turns(&self, turns: &[Value]) -> Result<Vec<u32>> {
        self.encode_turns(turns, &Shown::default())
    }
}

const END: u32 = 3;
const TEXTS: [&str; 3] = ["What colour is the circle?", "is the circle red", "the the the"];

fn processor(tokenizer: TokenizerConfig, max_length: usize) -> TextProcessor {
    let config = TextConfig {
        tokenizer,
        max_length,
        ..TextConfig::default()
    };
    TextProcessor::fit(&config, &TEXTS).unwrap()
}

fn bpe() -> TokenizerConfig {
    TokenizerConfig::Bpe { vocabulary: 300 }
}

fn word() -> TokenizerConfig {
    TokenizerConfig::Word {
        vocabulary: 10_000,
        minimum_count: 1,
    }
}

/// Every tokenizer that is trained, or needs no training.
fn trained() -> [TokenizerConfig; 6] {
    let minimum_count = 1;
    [
        bpe(),
        word(),
        TokenizerConfig::WordPiece { vocabulary: 100 },
        TokenizerConfig::Unigram { vocabulary: 100 },
        TokenizerConfig::Character {
            vocabulary: 100,
            minimum_count,
        },
        TokenizerConfig::Byte,
    ]
}

/// A golden file.
fn golden(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/tokenizers/");
    std::fs::read_to_string(format!("{folder}{name}")).unwrap()
}

/// How many kinds of public vocabularies there are.
const PUBLIC: usize = 6;

/// One public vocabulary of each kind.
fn public() -> [TextProcessor; PUBLIC] {
    let file = |name: &str| {
        let path = format!("{}/../../reference/tokenizers/{name}", env!("CARGO_MANIFEST_DIR"));
        let tokenizer = TokenizerConfig::File { path };
        let config = TextConfig {
            tokenizer,
            max_length: 32,
            ..TextConfig::default()
        };
        TextProcessor::fit(&config, &[]).unwrap()
    };
    let [bert, gpt2, unigram, llama, words] =
        ["bert.json", "gpt2.json", "unigram.json", "llama.json", "words.json"].map(file);
    [bert, gpt2, unigram, llama, words, tiktoken()]
}

fn tiktoken() -> TextProcessor {
    let tokenizer = TokenizerConfig::Tiktoken {
        path: "ranks.tiktoken".into(),
        pattern: "cl100k_base".into(),
        special: [("<|endoftext|>".to_string(), 1000)].into(),
    };
    let config = TextConfig {
        tokenizer,
        max_length: 32,
        ..TextConfig::default()
    };
    TextProcessor::from_text(config, golden("ranks.tiktoken")).unwrap()
}

#[test]
fn words_are_numbered_by_count_then_alphabet() {
    let processor = processor(word(), 256);
    for (text, expected) in [
        ("the", vec![4]),
        ("  THE\tcircle\n", vec![4, 5]),
        ("circle is", vec![5, 6]),
        ("red?", vec![9, 7]),
        ("blue the", vec![1, 4]),
    ] {
        assert_eq!(processor.plain(text).unwrap(), expected, "{text}");
    }
    assert_eq!(processor.vocabulary(), 11);
}

#[test]
fn a_text_without_content_is_the_end_token() {
    for tokenizer in trained() {
        let processor = processor(tokenizer, 4);
        for text in ["", " \n\t ", "\u{0}\u{7}", "\u{feff}"] {
            assert_eq!(processor.plain(text).unwrap(), [END], "{text:?}");
        }
    }
}

#[test]
fn no_text_is_unknown_to_byte_level_tokens() {
    for processor in [processor(bpe(), 256), processor(TokenizerConfig::Byte, 256)] {
        for text in ["naïve café", "日本語のテキスト", "🙂🏳️‍🌈", "\u{10ffff}", "ß"] {
            let tokens = processor.plain(text).unwrap();
            assert!(tokens.iter().all(|&token| token > END), "{text}: {tokens:?}");
            assert_eq!(processor.decode(&tokens), text);
        }
    }
    assert_eq!(
        processor(TokenizerConfig::Byte, 9).plain("aé\u{10ffff}").unwrap(),
        [101, 199, 173, 248, 147, 195, 195]
    );
}

#[test]
fn the_names_of_special_tokens_are_text_like_any_other() {
    for tokenizer in trained() {
        let config = TextConfig {
            tokenizer,
            lowercase: Some(false),
            ..TextConfig::default()
        };
        let processor = TextProcessor::fit(&config, &["a [PAD] b", "[PAD] [EOS]"]).unwrap();
        for name in SPECIAL_TOKENS {
            let tokens = processor.plain(&format!("a {name} b")).unwrap();
            assert!(
                tokens.iter().all(|&token| token != 0 && token != END),
                "{name}: {tokens:?}"
            );
            assert!(tokens.len() >= 5, "{name}: {tokens:?}");
        }
    }
}

#[test]
fn a_long_text_is_cut() {
    let all = trained().map(|tokenizer| processor(tokenizer, 32));
    for mut processor in all.into_iter().chain(public()) {
        for (unit, truncate) in ["the circle ", "a", "\u{301}", "\u{0}", "ﷺ", "! ", " ", "a\n", "日本"]
            .into_iter()
            .flat_map(|unit| [Truncate::End, Truncate::Start, Truncate::Middle].map(|truncate| (unit, truncate)))
        {
            processor.config.truncate = truncate;
            let text = unit.repeat(200_000 / unit.len() + 1);
            let tokens = processor.plain(&text).unwrap();
            assert!((1..=32).contains(&tokens.len()), "{unit:?}");
        }
    }
}

#[test]
fn a_cut_before_tokenising_changes_no_token_that_is_kept() {
    let text = "the circle is the colour red? what ".repeat(200);
    for tokenizer in trained() {
        let all = processor(tokenizer.clone(), 65_536).plain(&text).unwrap();
        let mut short = processor(tokenizer, 17);
        let mut cut = |truncate| {
            short.config.truncate = truncate;
            short.plain(&text).unwrap()
        };
        let end = all.len();
        assert_eq!(cut(Truncate::End), all[..17]);
        assert_eq!(cut(Truncate::Start), all[end - 17..]);
        assert_eq!(cut(Truncate::Middle), [&all[..9], &all[end - 8..]].concat());
    }
}

#[test]
fn shorter_texts_are_padded_on_the_right() {
    let texts: [&[u32]; 3] = [&[5, 6], &[7], &[8, 9, 10]];
    assert_eq!(
        collate(texts.into_iter(), 0),
        Collated::Text {
            shape: [3, 3],
            tokens: vec![5, 6, 0, 7, 0, 0, 8, 9, 10],
            lengths: vec![2, 1, 3],
        }
    );
    let empty = Collated::Text {
        shape: [0, 0],
        tokens: vec![],
        lengths: vec![],
    };
    assert_eq!(collate(std::iter::empty(), 0), empty);
}

#[test]
fn decoded_tokens_spell_the_cleaned_text() {
    for (tokenizer, expected) in trained().into_iter().zip([
        "what colour? the red circle",
        "what colour ? the red circle",
        "what colour? the red circle",
        "what colour? the red circle",
        "what colour? the red circle",
        "what colour? the red circle",
    ]) {
        let processor = processor(tokenizer, 256);
        let tokens = processor.plain(" What COLOUR?\nthe red circle").unwrap();
        assert_eq!(
            processor.decode(&tokens),
            expected,
            "{:?}",
            processor.config().tokenizer
        );
        assert_eq!(
            processor.decode(&[&[0, 2], &tokens[..], &[3, 0, 0, 999_999]].concat()),
            expected
        );
        assert_eq!(processor.decode(&[]), "");
    }
}

#[test]
fn too_few_texts_are_an_error_that_says_so() {
    for tokenizer in trained() {
        let enough = matches!(tokenizer, TokenizerConfig::Bpe { .. } | TokenizerConfig::Byte);
        for texts in [&[] as &[&str], &["", " \n"]] {
            let config = TextConfig {
                tokenizer: tokenizer.clone(),
                ..TextConfig::default()
            };
            match TextProcessor::fit(&config, texts) {
                Ok(_) => assert!(enough, "{tokenizer:?}"),
                Err(error) => assert!(error.message.contains("expected training texts with words"), "{error}"),
            }
        }
    }
}

#[test]
fn a_dialogue_keeps_its_last_turns() {
    let mut processor = processor(word(), 8);
    let turn =
        |question: &str, answer: &str| Value::List(vec![Value::Text(question.into()), Value::Text(answer.into())]);
    let turns = [
        turn("what is the colour?", "red"),
        turn("is the circle red", "the"),
        turn("is the", "red"),
    ];
    let tokens = |text: &str| processor.plain(text).unwrap();
    assert_eq!(
        processor.plain_turns(&turns).unwrap(),
        tokens("is the circle red the is the red")
    );
    assert_eq!(
        processor.plain_turns(&turns[..1]).unwrap(),
        tokens("what is the colour? red")
    );
    assert_eq!(processor.plain_turns(&[]).unwrap(), [END]);
    let long = [turn("red", "red"), turn(&"the circle ".repeat(5000), "is red")];
    assert_eq!(processor.plain_turns(&long).unwrap(), tokens(&"the circle ".repeat(4)));
    let many = vec![turn("the", "circle"); 50_000];
    assert_eq!(processor.plain_turns(&many).unwrap(), tokens(&"the circle ".repeat(4)));
    processor.config.html = true;
    let open = [turn("the", "circle <!--"), turn("is", "<b>red")];
    assert_eq!(
        processor.plain_turns(&open).unwrap(),
        processor.plain("the circle is red").unwrap()
    );
    processor.config.dialogue.turns = Some(1);
    assert_eq!(
        processor.plain_turns(&turns).unwrap(),
        processor.plain("is the red").unwrap()
    );
}

#[test]
fn a_public_vocabulary_sets_its_own_tokens_around_a_text() {
    for (processor, special) in public().into_iter().zip([
        (0, Some(1), Some(2), Some(3)),
        (0, None, None, Some(0)),
        (1, Some(2), Some(0), Some(3)),
        (2, Some(0), Some(1), Some(2)),
        (0, Some(1), None, None),
        (1000, None, None, Some(1000)),
    ]) {
        let SpecialTokens {
            padding,
            unknown,
            begin,
            end,
        } = processor.special();
        assert_eq!((padding, unknown, begin, end), special);
        let tokens = processor.plain("").unwrap();
        assert!(!tokens.is_empty());
        assert!(
            processor.plain(&"word ".repeat(999)).unwrap().starts_with(&tokens[..1])
                || processor.vocabulary.frame().0.is_empty()
        );
    }
}

#[test]
fn a_frame_needs_room() {
    let config = |max_length| TextConfig {
        tokenizer: TokenizerConfig::File {
            path: "bert.json".into(),
        },
        max_length,
        ..TextConfig::default()
    };
    let error = TextProcessor::from_text(config(2), golden("bert.json")).unwrap_err();
    assert_eq!(error.field.as_deref(), Some("max_length"), "{error}");
    let processor = TextProcessor::from_text(config(3), golden("bert.json")).unwrap();
    assert_eq!(processor.plain("one two three").unwrap().len(), 3);
}

/// Settings of every kind, drawn.
fn settings() -> impl Strategy<Value = TextConfig> {
    let truncate = prop_oneof![Just(Truncate::End), Just(Truncate::Start), Just(Truncate::Middle)];
    let forms = [
        Normalization::Nfc,
        Normalization::Nfkc,
        Normalization::Nfd,
        Normalization::Nfkd,
        Normalization::None,
    ];
    let segment =
        prop_oneof![4 => Just(None), 1 => Just(Some(Segment::Chinese)), 1 => Just(Some(Segment::ChineseDictionary))];
    let flags = any::<[bool; 5]>();
    (
        1..40usize,
        truncate,
        proptest::sample::select(forms.to_vec()),
        segment,
        flags,
    )
        .prop_map(
            |(max_length, truncate, form, segment, [html, lowercase, strip_accents, strip_control, collapse])| {
                TextConfig {
                    max_length,
                    truncate,
                    html,
                    lowercase: Some(lowercase),
                    normalization: Some(form),
                    strip_accents,
                    strip_control: Some(strip_control),
                    collapse_whitespace: Some(collapse),
                    segment,
                    ..TextConfig::default()
                }
            },
        )
}

proptest! {
    #![proptest_config(crate::testing::cases(500))]
    #[test]
    fn any_text_with_any_settings_gives_tokens_within_bounds(
        text in "(<b>|&amp;|\\[PAD\\]|<s>|the |[一-三]|[a-z ]|\\PC|.){0,60}",
        settings in settings(),
        kind in 0..6 + PUBLIC,
        noise in proptest::collection::vec(0..1200u32, 0..9),
    ) {
        let mut processor = match trained().into_iter().nth(kind) {
            Some(tokenizer) => processor(tokenizer, 40),
            None => public().into_iter().nth(kind - 6).unwrap(),
        };
        let (before, behind) = processor.vocabulary.frame();
        let frame = before.len() + behind.len();
        let tokenizer = processor.config.tokenizer.clone();
        processor.room = settings.max_length;
        processor.config = TextConfig { tokenizer, ..settings.clone() };
        let tokens = processor.plain(&text).unwrap();
        assert!((1..=settings.max_length + frame).contains(&tokens.len()));
        assert!(tokens.iter().all(|&token| (token as usize) < processor.vocabulary()));
        processor.decode(&tokens);
        processor.decode(&noise);
    }

    #[test]
    fn known_characters_come_back(text in "[a-z]{1,9}( [a-z?.,]{1,9}){0,5}", kind in 0..4usize) {
        let texts = ["the quick brown fox jumps over the lazy dog. yes? no, ", "every letter at least twice", &text];
        let kinds = [
            TokenizerConfig::Bpe { vocabulary: 400 },
            TokenizerConfig::Unigram { vocabulary: 120 },
            TokenizerConfig::Character { vocabulary: 100, minimum_count: 1 },
            TokenizerConfig::Byte,
        ];
        let config = TextConfig { tokenizer: kinds[kind].clone(), ..TextConfig::default() };
        let processor = TextProcessor::fit(&config, &texts).unwrap();
        assert_eq!(processor.decode(&processor.plain(&text).unwrap()), text);
    }
}
