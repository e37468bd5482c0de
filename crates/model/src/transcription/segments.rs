//! What the tokens of a window say, and when (`transcribe.py` of openai-whisper).

use super::tokens::SpeechTokens;

/// A stretch of a window in which something is said.
#[derive(Debug, PartialEq)]
pub struct Piece {
    /// Its ends in seconds from the start of the window.
    pub span: [f64; 2],
    /// With the times around it.
    pub tokens: Vec<u32>,
}

/// The pieces of a window, and how far they reach.
#[derive(Debug, PartialEq)]
pub struct Pieces {
    pub pieces: Vec<Piece>,
    /// Where the next window begins, in seconds from the start of this one: behind it, or where a piece was left open.
    pub next: f64,
    /// The last time that the tokens name, if that is not the start.
    pub last: Option<f64>,
}

impl Pieces {
    /// Of the tokens of a window of so many seconds.
    pub fn new(tokens: &[u32], speech: &SpeechTokens, seconds: f64) -> Self {
        let time = |token: u32| speech.seconds(token).min(seconds);
        let is_time = |place: usize| speech.is_time(tokens[place]);
        let last = tokens
            .iter()
            .rfind(|&&token| speech.is_time(token))
            .map(|&token| time(token));
        let last = last.filter(|last| *last > 0.0);
        let mut ends: Vec<usize> = (1..tokens.len()).filter(|&at| is_time(at - 1) && is_time(at)).collect();
        let Some(&last_pair) = ends.last() else {
            let piece = Piece {
                span: [0.0, last.unwrap_or(seconds)],
                tokens: tokens.to_vec(),
            };
            return Self {
                pieces: vec![piece],
                next: seconds,
                last,
            };
        };
        // One time at the end says that nothing follows; two of them open the next piece.
        let closed = is_time(tokens.len() - 1) && !is_time(tokens.len() - 2);
        ends.extend(closed.then_some(tokens.len()));
        let starts = [0].into_iter().chain(ends.iter().copied());
        let piece = |(start, &end): (usize, &usize)| Piece {
            span: [tokens[start], tokens[end - 1]].map(|token| if speech.is_time(token) { time(token) } else { 0.0 }),
            tokens: tokens[start..end].to_vec(),
        };
        Self {
            pieces: starts.zip(&ends).map(piece).collect(),
            next: if closed { seconds } else { time(tokens[last_pair - 1]) },
            last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tests::tokens;
    use super::*;

    /// Words are below 10; 20 + n is the time n · 20 ms, in a window of two seconds.
    fn check(written: &[u32], expected: &[([f64; 2], &[u32])], next: f64, last: Option<f64>) {
        let found = Pieces::new(written, &tokens(), 2.0);
        let pieces = expected.iter().map(|(span, tokens)| Piece {
            span: *span,
            tokens: tokens.to_vec(),
        });
        let pieces = pieces.collect();
        assert_eq!(found, Pieces { pieces, next, last }, "{written:?}");
    }

    #[test]
    fn pairs_of_times_part_what_is_said() {
        check(
            &[20, 1, 70, 70, 2, 95],
            &[([0.0, 1.0], &[20, 1, 70]), ([1.0, 1.5], &[70, 2, 95])],
            2.0,
            Some(1.5),
        );
        // What is left open is heard again from there.
        check(&[20, 1, 70, 70, 2], &[([0.0, 1.0], &[20, 1, 70])], 1.0, Some(1.0));
        check(&[20, 1, 70, 95], &[([0.0, 1.0], &[20, 1, 70])], 1.0, Some(1.5));
    }

    #[test]
    fn without_pairs_there_is_one_piece() {
        check(&[20, 1, 70], &[([0.0, 1.0], &[20, 1, 70])], 2.0, Some(1.0));
        check(&[20, 1], &[([0.0, 2.0], &[20, 1])], 2.0, None);
        check(&[20, 1, 520], &[([0.0, 2.0], &[20, 1, 520])], 2.0, Some(2.0));
    }
}
