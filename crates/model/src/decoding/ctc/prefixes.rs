//! The prefixes of a search: each is there once, and knows the prefix that it extends.

use super::scorer::Score;
use std::collections::HashMap;

/// The empty prefix.
pub(super) const EMPTY: u32 = 0;
/// No place in the beam.
pub(super) const NOWHERE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
pub(super) struct Prefix<State> {
    pub parent: u32,
    /// The last token; without meaning for the empty prefix.
    pub token: u32,
    /// Where the beam holds it, or [`NOWHERE`].
    pub place: u32,
    pub state: State,
    /// Of all its tokens.
    pub log_probability: f64,
    pub insertions: u32,
}

impl<State> Prefix<State> {
    fn new(parent: u32, token: u32, state: State) -> Self {
        Self {
            parent,
            token,
            place: NOWHERE,
            state,
            log_probability: 0.0,
            insertions: 0,
        }
    }
}

/// A prefix that left the beam may come back while a longer one is still there: then both must be found as one.
#[derive(Debug)]
pub(super) struct Prefixes<State> {
    all: Vec<Prefix<State>>,
    numbers: HashMap<(u32, u32), u32>,
}

impl<State: Copy> Prefixes<State> {
    pub fn new() -> Self {
        Self {
            all: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    /// Forgets all but the empty prefix.
    pub fn reset(&mut self, state: State) {
        self.all.clear();
        self.numbers.clear();
        self.all.push(Prefix::new(NOWHERE, NOWHERE, state));
    }

    pub fn get(&self, number: u32) -> &Prefix<State> {
        &self.all[number as usize]
    }

    pub fn put(&mut self, number: u32, place: u32) {
        self.all[number as usize].place = place;
    }

    /// The number of `parent` extended by `token`; `score` is asked for a prefix that is new.
    pub fn extend(&mut self, parent: u32, token: u32, score: impl FnOnce(State) -> (Score, State)) -> u32 {
        let next = self.all.len() as u32;
        let number = *self.numbers.entry((parent, token)).or_insert(next);
        if number == next {
            let before = self.all[parent as usize];
            let (score, state) = score(before.state);
            self.all.push(Prefix {
                log_probability: before.log_probability + f64::from(score.log_probability),
                insertions: before.insertions + score.insertions,
                ..Prefix::new(parent, token, state)
            });
        }
        number
    }

    pub fn tokens(&self, mut number: u32) -> Vec<u32> {
        let mut tokens = Vec::new();
        while number != EMPTY {
            tokens.push(self.get(number).token);
            number = self.get(number).parent;
        }
        tokens.reverse();
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_prefixes_are_one() {
        let mut prefixes = Prefixes::new();
        prefixes.reset(0);
        let score = |state| {
            let score = Score {
                log_probability: -0.5,
                insertions: 1,
            };
            (score, state + 1)
        };
        let a = prefixes.extend(EMPTY, 7, score);
        let ab = prefixes.extend(a, 3, score);
        assert_eq!(prefixes.extend(EMPTY, 7, |_| panic!("it is there already")), a);
        assert_eq!(prefixes.tokens(ab), [7, 3]);
        let found = prefixes.get(ab);
        assert_eq!((found.state, found.log_probability, found.insertions), (2, -1.0, 2));
    }
}
