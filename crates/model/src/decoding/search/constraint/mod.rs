//! Answers of a given form: an automaton over tokens, made from a list or from a grammar.

mod grammar;
mod list;

use crate::error::Result;
use sensorium_data::{DataError, ErrorKind};

/// The distance of a state from which no answer can be completed.
const NEVER: u32 = u32::MAX;

/// The answers that decoding may give. A state is a prefix, or several that can go on in the same ways; the first one
/// is the empty prefix. Only steps after which an answer can still be completed are kept, so there are no dead ends.
#[derive(Debug, Clone)]
pub struct Constraint {
    /// The steps of state s are `steps[starts[s]..starts[s + 1]]`.
    starts: Vec<usize>,
    /// (token, next state), by token.
    steps: Vec<(u32, u32)>,
    /// The fewest tokens that complete an answer from each state: 0 where one may end.
    distances: Vec<u32>,
    /// The tokens of all answers, sorted.
    alphabet: Vec<u32>,
}

impl Constraint {
    /// The state before the first token.
    pub(super) const START: u32 = 0;

    /// The fewest tokens of any answer.
    pub fn shortest(&self) -> usize {
        self.distances[0] as usize
    }

    /// The tokens that answers consist of, sorted.
    pub fn alphabet(&self) -> &[u32] {
        &self.alphabet
    }

    /// Whether `tokens` are an answer.
    pub fn accepts(&self, tokens: &[u32]) -> bool {
        let end = tokens
            .iter()
            .try_fold(Self::START, |state, &token| self.next(state, token));
        end.is_some_and(|state| self.may_end(state))
    }

    /// Whether an answer may end in `state`.
    pub(super) fn may_end(&self, state: u32) -> bool {
        self.distances[state as usize] == 0
    }

    /// The tokens that may follow in `state` such that at most `room` more complete an answer.
    pub(super) fn followers(&self, state: u32, room: usize) -> impl Iterator<Item = u32> {
        let near = move |step: &&(u32, u32)| self.distances[step.1 as usize] as usize <= room;
        self.steps(state).iter().filter(near).map(|step| step.0)
    }

    /// The state that `token` leads to from `state`.
    pub(super) fn next(&self, state: u32, token: u32) -> Option<u32> {
        let steps = self.steps(state);
        let index = steps.binary_search_by_key(&token, |step| step.0);
        index.ok().map(|index| steps[index].1)
    }

    fn steps(&self, state: u32) -> &[(u32, u32)] {
        let state = state as usize;
        &self.steps[self.starts[state]..self.starts[state + 1]]
    }

    /// From all steps of every state and whether an answer may end there.
    fn new(steps: Vec<Vec<(u32, u32)>>, ends: &[bool]) -> Result<Self> {
        let distances = distances(&steps, ends);
        if distances[0] == NEVER {
            return Err(invalid(
                "expected at least one answer that the vocabulary can spell, found none",
            ));
        }
        let (mut starts, mut kept) = (vec![0], Vec::new());
        for mut steps in steps {
            steps.retain(|step| distances[step.1 as usize] != NEVER);
            steps.sort_unstable();
            kept.append(&mut steps);
            starts.push(kept.len());
        }
        let mut alphabet: Vec<u32> = kept.iter().map(|step| step.0).collect();
        alphabet.sort_unstable();
        alphabet.dedup();
        Ok(Self {
            starts,
            steps: kept,
            distances,
            alphabet,
        })
    }
}

/// How many tokens each state is from the nearest end, found breadth first along the steps backwards.
fn distances(steps: &[Vec<(u32, u32)>], ends: &[bool]) -> Vec<u32> {
    let mut before = vec![Vec::new(); steps.len()];
    for (state, steps) in (0u32..).zip(steps) {
        let mut next: Vec<u32> = steps.iter().map(|step| step.1).collect();
        next.sort_unstable();
        next.dedup();
        for next in next {
            before[next as usize].push(state);
        }
    }
    let mut distances: Vec<u32> = ends.iter().map(|&end| if end { 0 } else { NEVER }).collect();
    let mut queue: Vec<usize> = (0..ends.len()).filter(|&state| ends[state]).collect();
    let mut done = 0;
    while let Some(&state) = queue.get(done) {
        done += 1;
        for &previous in &before[state] {
            let previous = previous as usize;
            if distances[previous] == NEVER {
                distances[previous] = distances[state] + 1;
                queue.push(previous);
            }
        }
    }
    distances
}

fn invalid(message: impl Into<String>) -> crate::ModelError {
    DataError::new(ErrorKind::Invalid, message)
        .in_field("constraint")
        .into()
}
