//! When each word of a window is said: by the heads of the decoder that look at what they write down (`timing.py` of
//! openai-whisper).

mod path;
mod split;

use super::tokens::Purpose;
use super::window::{Language, Listener};
use crate::checkpoint::to_vec;
use crate::tokens::Tokens;
use path::Attended;
use sensorium_kernels::log_sum_exp;
use serde::Serialize;
use split::{Spelt, join_punctuation};

/// Places of the memory in a second.
const PLACES: f64 = 50.0;
/// The longest median of a word's length that is believed, in seconds.
const LONGEST_MEDIAN: f64 = 0.7;
/// What a time of a word may differ from that of its stretch, in seconds.
const TOLERANCE: f64 = 0.5;
/// Behind and before these, a word that is too long is held to be a pause.
const SENTENCE_ENDS: &str = ".。!！?？";

/// A word, and from when to when it is said, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Word {
    /// With the space in front of it.
    pub word: String,
    pub start: f64,
    pub end: f64,
    /// The mean of its tokens' probabilities.
    pub probability: f64,
}

/// A word on its way: times are seconds from the start of its window.
#[derive(Debug, Clone)]
pub(super) struct Timed {
    pub spelt: Spelt,
    pub span: [f64; 2],
    pub probability: f64,
}

/// The words of a window, by the stretches of its text.
pub(super) struct Words {
    stretches: std::vec::IntoIter<Vec<Timed>>,
    /// The median of their lengths, in seconds.
    median: f64,
}

impl Listener<'_> {
    /// The words of the `texts` that follow one another in an encoded window of so many seconds.
    pub(super) fn words(&self, memory: &Tokens, texts: &[Vec<u32>], language: &Language, seconds: f64) -> Words {
        Words::new(self.timed(memory, texts, language, seconds))
    }

    /// The same as the heads have it.
    pub(super) fn timed(
        &self,
        memory: &Tokens,
        texts: &[Vec<u32>],
        language: &Language,
        seconds: f64,
    ) -> Vec<Vec<Timed>> {
        let places = ((seconds * PLACES) as usize).clamp(1, memory.mask.dims()[1]);
        let (begins, probabilities) = self.begins(memory, &texts.concat(), language, places);
        let mut first = 0;
        let mut timed = |spelt: Spelt| {
            let last = first + spelt.tokens;
            let probability = probabilities[first..last].iter().sum::<f64>() / spelt.tokens as f64;
            let span = [begins[first], begins[last]].map(|place| place as f64 / PLACES);
            first = last;
            Timed {
                spelt,
                span,
                probability,
            }
        };
        let texts = texts.iter();
        let spelt = texts.map(|tokens| split::words(tokens, &language.code, |tokens| self.text(tokens)));
        spelt.map(|words| words.into_iter().map(&mut timed).collect()).collect()
    }

    /// The place at which each token of a text and its end begin, and the probability of each token.
    fn begins(&self, memory: &Tokens, text: &[u32], language: &Language, places: usize) -> (Vec<usize>, Vec<f64>) {
        let command = self.speech.command(language.token, Purpose::Transcribe);
        let vocabulary = self.generate.vocabulary();
        let before = 1 + command.len();
        let tokens = [
            &[self.speech.start],
            &command[..],
            &[self.speech.no_times],
            text,
            &[vocabulary.end],
        ]
        .concat();
        let (logits, scores) = self.generate.decoder().regard(&tokens, memory);
        let attended = Attended {
            heads: self.heads(&scores, places),
            tokens: tokens.len(),
            places,
        };
        let logits = to_vec(logits);
        let probability = |(place, &token): (usize, &u32)| {
            // Only what may stand in a text counts.
            let logits = &logits[(before + place) * vocabulary.size..][..vocabulary.end as usize];
            f64::from(logits[token as usize] - log_sum_exp(logits)).exp()
        };
        let probabilities = text.iter().enumerate().map(probability).collect();
        (attended.begins([before, tokens.len() - 1]), probabilities)
    }

    /// The scores [tokens, places] of the heads that look at what they write down: those that the model names, or all of
    /// the upper half of its layers.
    fn heads(&self, scores: &[burn::tensor::Tensor<4>], places: usize) -> Vec<Vec<f32>> {
        let known = |&[layer, head]: &[usize; 2]| scores.get(layer).is_some_and(|one| head < one.dims()[1]);
        let named: Vec<[usize; 2]> = self.speech.alignment.iter().copied().filter(known).collect();
        let upper = (scores.len() / 2..scores.len()).flat_map(|layer| {
            let heads = scores[layer].dims()[1];
            (0..heads).map(move |head| [layer, head])
        });
        let chosen = if named.is_empty() { upper.collect() } else { named };
        let of_head = |[layer, head]: [usize; 2]| {
            let one = scores[layer].clone().narrow(1, head, 1).narrow(3, 0, places);
            to_vec(one)
        };
        chosen.into_iter().map(of_head).collect()
    }
}

impl Words {
    fn new(mut stretches: Vec<Vec<Timed>>) -> Self {
        let all = stretches.iter().flatten();
        let mut lengths: Vec<f64> = all.map(|word| word.span[1] - word.span[0]).collect();
        lengths.retain(|length| *length > 0.0);
        let median = median(lengths).min(LONGEST_MEDIAN);
        for words in &mut stretches {
            shorten(words, 2.0 * median);
            join_punctuation(words);
            words.retain(|word| !word.spelt.text.is_empty());
        }
        Self {
            stretches: stretches.into_iter(),
            median,
        }
    }

    /// The words of the next stretch, which is said from one time to another in the window, which begins at `start`.
    pub(super) fn take(&mut self, [from, to]: [f64; 2], start: f64) -> Vec<Word> {
        let mut words = self.stretches.next().unwrap_or_default();
        if let Some(first) = words.first_mut() {
            let [begin, end] = &mut first.span;
            if from < *end && from - TOLERANCE > *begin {
                *begin = from.min(*end - self.median).max(0.0);
            }
        }
        if let Some(last) = words.last_mut() {
            let [begin, end] = &mut last.span;
            if to > *begin && to + TOLERANCE < *end {
                *end = to.max(*begin + self.median);
            }
        }
        let word = |timed: Timed| Word {
            word: timed.spelt.text,
            start: super::hundredths(start + timed.span[0]),
            end: super::hundredths(start + timed.span[1]),
            probability: timed.probability,
        };
        words.into_iter().map(word).collect()
    }
}

fn median(mut lengths: Vec<f64>) -> f64 {
    lengths.sort_by(f64::total_cmp);
    match lengths.len() {
        0 => 0.0,
        count if count % 2 == 1 => lengths[count / 2],
        count => (lengths[count / 2 - 1] + lengths[count / 2]) / 2.0,
    }
}

/// Words beside the end of a sentence take no longer than `most`: what goes beyond is a pause.
fn shorten(words: &mut [Timed], most: f64) {
    let ends = |word: &Timed| SENTENCE_ENDS.contains(word.spelt.text.as_str());
    for place in 1..words.len() {
        let [begin, end] = words[place].span;
        if end - begin <= most {
            continue;
        }
        if ends(&words[place]) {
            words[place].span[1] = begin + most;
        } else if ends(&words[place - 1]) {
            words[place].span[0] = end - most;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(stretches: &[&[(&str, f64, f64)]]) -> Words {
        let timed = |&(text, begin, end): &(&str, f64, f64)| Timed {
            spelt: Spelt {
                text: text.into(),
                tokens: 1,
            },
            span: [begin, end],
            probability: 0.5,
        };
        let stretches = stretches.iter();
        Words::new(stretches.map(|words| words.iter().map(timed).collect()).collect())
    }

    fn spans(words: Vec<Word>) -> Vec<(String, f64, f64)> {
        words
            .into_iter()
            .map(|word| (word.word, word.start, word.end))
            .collect()
    }

    #[test]
    fn words_belong_to_their_stretches() {
        let mut words = timed(&[
            &[(" One", 0.0, 0.4), (".", 0.4, 0.5)],
            &[(" Two", 1.0, 1.4), (" three", 1.4, 1.8)],
        ]);
        let first = spans(words.take([0.0, 0.5], 30.0));
        assert_eq!(first, [(" One.".to_string(), 30.0, 30.4)]);
        let second = spans(words.take([1.0, 1.8], 30.0));
        assert_eq!(
            second,
            [(" Two".to_string(), 31.0, 31.4), (" three".to_string(), 31.4, 31.8)]
        );
        assert!(words.take([0.0, 1.0], 0.0).is_empty());
    }

    #[test]
    fn pauses_are_no_part_of_words() {
        // The median is 0.4: behind the end of a sentence a word takes 0.8 at most.
        let mut words = timed(&[&[(" a", 0.0, 0.4), (".", 0.4, 0.8), (" b", 0.8, 4.8), (" c", 4.8, 5.2)]]);
        let found = spans(words.take([0.0, 5.2], 0.0));
        assert_eq!(found[1], (" b".to_string(), 4.0, 4.8));
        // The ends of a stretch are believed rather than those of words that are too long.
        let mut words = timed(&[&[(" a", 0.0, 3.0), (" b", 3.0, 3.4), (" c", 3.4, 9.0)]]);
        let found = spans(words.take([2.5, 4.0], 0.0));
        assert_eq!((found[0].1, found[2].2), (2.3, 4.1));
    }
}
