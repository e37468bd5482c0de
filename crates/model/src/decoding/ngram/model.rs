//! The model itself: what a token adds to a text's log probability, one token after another.

use super::NgramConfig;
use super::count::count;
use super::kneser_ney::{Smoothed, smooth};
use super::trie::{ROOT, Trie};
use super::vocabulary::{BEGIN, END, UNKNOWN, Unit, Vocabulary};
use crate::Result;
use std::f32::consts::LN_10;

/// What a model knows of the tokens so far: the longest n-gram at their end that it could extend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State(u32);

/// An n-gram language model with back-off (Katz 1987): about 20 bytes for each n-gram.
#[derive(Debug, Clone, PartialEq)]
pub struct NgramModel {
    pub(super) vocabulary: Vocabulary,
    pub(super) trie: Trie,
    /// Common logarithms, as in an ARPA file: of each n-gram's last token after the others.
    pub(super) log10: Vec<f32>,
    /// Common logarithms of the weights of the n-grams below the highest order.
    pub(super) back_offs: Vec<f32>,
}

impl NgramModel {
    /// Trains on texts, each of which begins with `<s>` and ends with `</s>`.
    ///
    /// The order falls to that of the longest n-gram that is there. Where the counts give no discounts, as in small or
    /// artificial texts, an order's are 0.5, 1 and 1.5.
    ///
    /// # Errors
    /// A setting out of its range, no token in the texts, or more tokens or n-grams than 32 bits number.
    pub fn train<'a>(config: &NgramConfig, texts: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        config.validate()?;
        let counted = count(config, texts)?;
        let Smoothed {
            trie,
            probabilities,
            back_offs,
        } = smooth(config, &counted)?;
        let kept = counted.vocabulary.tokens()[3..counted.kept].iter().cloned();
        // The sum may end one rounding above 1.
        let log10 = |values: Vec<f64>| values.iter().map(|value| value.log10().min(0.0) as f32).collect();
        Ok(Self {
            vocabulary: Vocabulary::new(config.unit, kept),
            trie,
            log10: log10(probabilities),
            back_offs: log10(back_offs),
        })
    }

    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    pub fn unit(&self) -> Unit {
        self.vocabulary.unit()
    }

    /// The number of tokens in the longest n-gram.
    pub fn order(&self) -> usize {
        self.trie.order()
    }

    /// The number of n-grams of each order from 1.
    pub fn sizes(&self) -> Vec<usize> {
        (1..=self.order()).map(|order| self.trie.nodes(order).len()).collect()
    }

    /// The state at the beginning of a text.
    pub fn begin(&self) -> State {
        self.after(BEGIN)
    }

    /// The state that knows nothing, such as in the middle of a text.
    pub fn empty(&self) -> State {
        State(ROOT)
    }

    /// The natural log probability of `token`, and the state after it. Identifiers beyond the vocabulary are unknown.
    pub fn score(&self, state: State, token: u32) -> (f32, State) {
        let mut node = state.0;
        let mut weight = 0.0;
        loop {
            match self.trie.child(node, token) {
                Some(child) => return ((weight + self.log10[child as usize]) * LN_10, self.after(child)),
                None => weight += self.back_offs[node as usize],
            }
            node = self.trie.suffix(node);
        }
    }

    /// The natural log probability that the text ends here.
    pub fn end(&self, state: State) -> f32 {
        self.score(state, END).0
    }

    /// An n-gram of the highest order has no extension: its suffix may have.
    fn after(&self, node: u32) -> State {
        match self.back_offs.get(node as usize) {
            Some(_) => State(node),
            None => State(self.trie.suffix(node)),
        }
    }

    /// The log probability of texts, each with its end.
    pub fn evaluate<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Evaluation {
        let mut evaluation = Evaluation::default();
        for text in texts {
            self.add(text, &mut evaluation);
        }
        evaluation
    }

    fn add(&self, text: &str, evaluation: &mut Evaluation) {
        let mut state = self.begin();
        let tokens = self.vocabulary.encode(text);
        for &token in &tokens {
            let (log_probability, next) = self.score(state, token);
            evaluation.log_probability += f64::from(log_probability);
            state = next;
        }
        evaluation.log_probability += f64::from(self.end(state));
        evaluation.tokens += tokens.len() as u64 + 1;
        evaluation.unknown += tokens.iter().filter(|&&token| token == UNKNOWN).count() as u64;
        evaluation.bytes += text.len() as u64;
        evaluation.characters += text.chars().count() as u64;
    }
}

/// How well a model predicts texts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evaluation {
    /// Natural, of all tokens and of the end of each text.
    pub log_probability: f64,
    /// Tokens and ends of texts.
    pub tokens: u64,
    /// How many of the tokens are not in the vocabulary.
    pub unknown: u64,
    pub bytes: u64,
    pub characters: u64,
}

impl Evaluation {
    /// The inverse of the geometric mean of the tokens' probabilities; not a number without tokens.
    pub fn perplexity(&self) -> f64 {
        (-self.log_probability / self.tokens as f64).exp()
    }

    /// Comparable between models of words, characters and bytes if no token is unknown; words leave out white space.
    pub fn bits_per_byte(&self) -> f64 {
        -self.log_probability / std::f64::consts::LN_2 / self.bytes as f64
    }

    pub fn bits_per_character(&self) -> f64 {
        -self.log_probability / std::f64::consts::LN_2 / self.characters as f64
    }
}
