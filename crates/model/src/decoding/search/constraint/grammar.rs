//! A regular grammar over characters, lifted to the tokens whose texts spell it.

use super::{Constraint, invalid};
use crate::error::Result;
use regex_automata::dfa::Automaton;
use regex_automata::dfa::dense::{Builder, Config, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind, dfa::StartKind};
use sensorium_data::{DataError, ErrorKind};
use std::collections::HashMap;

/// What an automaton of bytes may occupy, in bytes.
const MEMORY: usize = 16 << 20;
/// The most tokens that are tried, over all states: some seconds.
const TRIALS: usize = 1 << 28;
/// The most steps that are found.
const STEPS: usize = 1 << 23;

type Bytes = DFA<Vec<u32>>;

impl Constraint {
    /// The texts that `pattern`, a regular expression without look-around at words, matches as a whole, however tokens
    /// spell them. `texts[t]` is the text of token t in UTF-8, which may be a part of a character. Tokens with an empty
    /// text are not used; the end and other special tokens must have one.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for a pattern that is none, or that the tokens cannot spell;
    /// [`TooLarge`](ErrorKind::TooLarge) for one with too many states, which are some ten thousand for as many tokens.
    pub fn grammar<T: AsRef<[u8]>>(pattern: &str, texts: &[T]) -> Result<Self> {
        let bytes = automaton(pattern)?;
        let tokens = Tokens::new(texts);
        let begin = start::Config::new().anchored(Anchored::Yes);
        let begin = bytes.start_state(&begin).map_err(|error| invalid(error.to_string()))?;
        let mut states = vec![begin];
        let mut numbers = HashMap::from([(begin, Self::START)]);
        let (mut steps, mut count) = (Vec::new(), 0);
        while let Some(&state) = states.get(steps.len()) {
            let mut found = Vec::new();
            tokens.walk(&bytes, state, |token, next| {
                let number = *numbers.entry(next).or_insert(states.len() as u32);
                if number as usize == states.len() {
                    states.push(next);
                }
                found.push((token, number));
            });
            count += found.len();
            if states.len() * tokens.sorted.len() > TRIALS || count > STEPS {
                return Err(too_large(pattern));
            }
            steps.push(found);
        }
        let ends = states
            .iter()
            .map(|&state| bytes.is_match_state(bytes.next_eoi_state(state)));
        Self::new(steps, &ends.collect::<Vec<_>>())
    }
}

/// A deterministic automaton of the bytes of whole matches.
fn automaton(pattern: &str) -> Result<Bytes> {
    let config = Config::new()
        .accelerate(false)
        .minimize(false)
        .start_kind(StartKind::Anchored)
        // All ways to match are followed, not only the one that a search would prefer.
        .match_kind(MatchKind::All)
        .dfa_size_limit(Some(MEMORY))
        .determinize_size_limit(Some(MEMORY));
    let limit = thompson::Config::new().nfa_size_limit(Some(MEMORY));
    let nfa = thompson::Compiler::new().configure(limit).build(pattern);
    let nfa = nfa.map_err(|error| refused(pattern, error.size_limit().is_some(), &error))?;
    let bytes = Builder::new().configure(config).build_from_nfa(&nfa);
    bytes.map_err(|error| refused(pattern, error.is_size_limit_exceeded(), &error))
}

fn refused(pattern: &str, too_long: bool, error: &dyn std::error::Error) -> crate::ModelError {
    match too_long {
        true => too_large(pattern),
        false => invalid(format!(
            "expected a regular expression, found {pattern:?}: {}",
            reason(error)
        )),
    }
}

/// The innermost cause, which is the one that names the fault.
fn reason(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), reason)
}

fn too_large(pattern: &str) -> crate::ModelError {
    let start: String = pattern.chars().take(40).collect();
    let message = format!("the pattern that begins with {start:?} needs too many states; use a narrower one");
    DataError::new(ErrorKind::TooLarge, message)
        .in_field("constraint")
        .into()
}

/// The tokens that have a text, in the order of their texts.
struct Tokens<'a> {
    /// (text, token, bytes that the text shares with the one before)
    sorted: Vec<(&'a [u8], u32, usize)>,
}

impl<'a> Tokens<'a> {
    fn new<T: AsRef<[u8]>>(texts: &'a [T]) -> Self {
        let all = (0u32..).zip(texts).map(|(token, text)| (text.as_ref(), token, 0));
        let mut sorted: Vec<(&[u8], u32, usize)> = all.filter(|(text, ..)| !text.is_empty()).collect();
        sorted.sort_unstable();
        for index in 1..sorted.len() {
            let (before, text) = (sorted[index - 1].0, sorted[index].0);
            sorted[index].2 = before.iter().zip(text).take_while(|(a, b)| a == b).count();
        }
        Self { sorted }
    }

    /// Calls `found` for each token that the automaton can take in `state`, with the state that it leads to.
    fn walk(&self, bytes: &Bytes, state: StateID, mut found: impl FnMut(u32, StateID)) {
        // The states after each byte of a text; a shared beginning is walked once.
        let mut path = vec![state];
        for &(text, token, shared) in &self.sorted {
            path.truncate(shared + 1);
            let mut last = path[path.len() - 1];
            for &byte in &text[path.len() - 1..] {
                last = bytes.next_state(last, byte);
                path.push(last);
            }
            if !bytes.is_dead_state(last) && !bytes.is_quit_state(last) {
                found(token, last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex_automata::dfa::regex::Regex;

    fn texts() -> Vec<&'static str> {
        vec!["", "a", "b", "ab", "ba", "c", "é", "0", "12", "-"]
    }

    fn spelled(tokens: &[u32]) -> String {
        tokens.iter().map(|&token| texts()[token as usize]).collect()
    }

    fn check(pattern: &str, accepted: &[&[u32]], refused: &[&[u32]]) {
        let constraint = Constraint::grammar(pattern, &texts()).unwrap();
        for tokens in accepted {
            assert!(constraint.accepts(tokens), "{pattern} takes {:?}", spelled(tokens));
        }
        for tokens in refused {
            assert!(
                !constraint.accepts(tokens),
                "{pattern} does not take {:?}",
                spelled(tokens)
            );
        }
    }

    #[test]
    fn tokens_spell_what_the_pattern_matches() {
        check(
            "(ab)+",
            &[&[3], &[1, 2], &[3, 1, 2], &[1, 4, 2]],
            &[&[], &[1], &[3, 1], &[0, 3]],
        );
        check("a|ab|b*", &[&[], &[1], &[3], &[1, 2], &[2, 2, 2]], &[&[4], &[1, 2, 2]]);
        check("-?[0-9]+", &[&[7], &[9, 8, 7]], &[&[9], &[7, 9], &[1]]);
        check(".", &[&[6], &[1]], &[&[3], &[6, 6]]);
        check("^a$|(?:b$)", &[&[1], &[2]], &[&[3]]);
        check("a+?", &[&[1], &[1, 1]], &[&[]]);
    }

    #[test]
    fn tokens_may_be_parts_of_characters() {
        let bytes: [&[u8]; 4] = [b"", &[0xc3], &[0xa9], b"e"];
        let constraint = Constraint::grammar("é|e", &bytes).unwrap();
        assert!(constraint.accepts(&[1, 2]) && constraint.accepts(&[3]));
        assert!(!constraint.accepts(&[1]) && !constraint.accepts(&[1, 3]));
    }

    #[test]
    fn what_tokens_cannot_complete_is_left_out() {
        // No token has an x, so after c there is no end.
        let constraint = Constraint::grammar("a|cx", &texts()).unwrap();
        assert_eq!(constraint.alphabet(), [1]);
        assert!(Constraint::grammar("xyz", &texts()).is_err());
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (pattern, word) in [
            ("(", "unclosed group"),
            (r"\bab\b", "word"),
            ("[a&&b]", "found none"),
            (r"\pL{1000}", "too many states"),
            ("(a|b)*a(a|b){30}", "too many states"),
        ] {
            let error = Constraint::grammar(pattern, &texts()).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    proptest! {
        #[test]
        fn tokens_are_accepted_as_their_text_is(
            pattern in prop::sample::select(vec!["(a|b)*c?", "(ab|ba|c)+", "[^a]{1,3}", "a*(é|c)a*", "(0|12)-?b{2}"]),
            tokens in prop::collection::vec(1u32..10, 0..6),
        ) {
            let constraint = Constraint::grammar(pattern, &texts()).unwrap();
            let whole = Regex::new(&format!("^(?:{pattern})$")).unwrap();
            prop_assert_eq!(constraint.accepts(&tokens), whole.is_match(spelled(&tokens).as_bytes()));
        }

        #[test]
        fn no_pattern_is_a_panic(pattern in r"[ab().*+?|\[\]^${},0-9\\pdwL-]{0,12}") {
            let _ = Constraint::grammar(&pattern, &texts());
        }
    }
}
