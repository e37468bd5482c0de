//! The parts of a prompt, and as many of their tokens as there is room for.

use super::dialogue::Turn;
use crate::Result;

/// A part of a prompt.
#[derive(Debug, PartialEq)]
pub enum Part {
    Text(String),
    Token(u32),
}

/// Parts one after the other; texts that touch are one.
#[derive(Default)]
pub struct Parts(pub Vec<Part>);

impl Parts {
    pub fn text(&mut self, text: &str) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(before)) => before.push_str(text),
            _ => self.0.push(Part::Text(text.into())),
        }
    }

    pub fn tokens(&mut self, tokens: &[u32]) {
        self.0.extend(tokens.iter().map(|&token| Part::Token(token)));
    }
}

/// The first of the last turns that have no more than `limit` tokens, each counted by itself.
pub fn first_that_may_fit(
    turns: &[Turn],
    limit: usize,
    tokens: impl Fn(&str, usize) -> Result<Vec<u32>>,
) -> Result<usize> {
    let mut count = 0;
    for (place, turn) in turns.iter().enumerate().rev() {
        let answer = turn.answer.as_deref().unwrap_or_default();
        count += tokens(&turn.question, limit)?.len() + tokens(answer, limit)?.len();
        if count > limit {
            return Ok((place + 1).min(turns.len() - 1));
        }
    }
    Ok(0)
}

/// All tokens; none where there are more than `limit`.
pub fn whole(
    parts: &[Part],
    end: &[Part],
    limit: usize,
    tokens: impl Fn(&str, usize) -> Result<Vec<u32>>,
) -> Result<Option<Vec<u32>>> {
    let mut joined = Parts::default();
    for part in parts.iter().chain(end) {
        match part {
            Part::Text(text) => joined.text(text),
            Part::Token(token) => joined.tokens(&[*token]),
        }
    }
    let mut found = Vec::new();
    for part in &joined.0 {
        match part {
            Part::Text(text) => found.extend(tokens(text, limit + 1)?),
            Part::Token(token) => found.push(*token),
        }
        if found.len() > limit {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

/// At most `limit` tokens, of which those of texts are left out that stand last, but none of `end` and no other medium; a token
/// of the last text is kept where `says_something`.
pub fn cut(
    parts: &[Part],
    end: &[Part],
    (says_something, limit): (bool, usize),
    tokens: impl Fn(&str, usize) -> Result<Vec<u32>>,
) -> Result<Vec<u32>> {
    let all = |part: &Part| match part {
        Part::Text(text) => tokens(text, limit),
        Part::Token(token) => Ok(vec![*token]),
    };
    let end: Vec<u32> = end.iter().map(all).collect::<Result<Vec<_>>>()?.concat();
    let mut found = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let Part::Text(text) = part else {
            found.extend(all(part)?);
            continue;
        };
        let behind = &parts[place + 1..];
        let media = behind.iter().filter(|part| matches!(part, Part::Token(_))).count();
        let least = usize::from(says_something);
        let kept = if media < behind.len() { least } else { 0 };
        let room = limit.saturating_sub(found.len() + end.len() + media + kept);
        match room.max(if behind.is_empty() { least } else { 0 }) {
            0 => {}
            room => found.extend(tokens(text, room)?),
        }
    }
    Ok([found, end].concat())
}
