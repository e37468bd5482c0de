//! What is said in one window: decoded again and again, more and more freely, until the text is credible (Radford et al.
//! 2022, section 4.5).

use super::rules::SpeechRules;
use super::tokens::{Purpose, SpeechTokens};
use crate::checkpoint::to_vec;
use crate::decoder::DecoderState;
use crate::decoding::search::{
    BeamConfig, DecodingConfig, Ending, Hypothesis, MethodConfig, Row, SampleConfig, Search, Step, Symbols,
};
use crate::error::Result;
use crate::tasks::Generate;
use crate::tokens::Tokens;
use crate::writer::Writer;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use sensorium_data::random::Key;
use sensorium_kernels::log_sum_exp;
use std::io::Write;

/// The temperatures of the attempts; the first one is a search.
const TEMPERATURES: [f64; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
/// How many texts an attempt by chance draws.
const DRAWN: usize = 5;
/// A text that can be packed this many times smaller repeats itself.
const MOST_REPEATED: f64 = 2.4;
/// A text whose tokens have a lower mean log-probability is not believed.
const LEAST_PROBABLE: f64 = -1.0;
/// A window in which nothing is said is more probable to be one than this.
const NO_SPEECH: f64 = 0.6;
/// The run of tokens that the last attempt at a text that repeats itself must not write twice.
pub(crate) const LONGEST_REPEAT: usize = 3;

/// What turns windows into tokens.
#[derive(Clone, Copy)]
pub struct Listener<'a> {
    pub generate: &'a Generate,
    pub speech: &'a SpeechTokens,
    pub writer: &'a Writer,
    /// How many texts grow side by side in a search.
    pub beam: usize,
    pub purpose: Purpose,
}

/// What is told the text of a search that goes on, and says whether it should.
pub type Notice<'n> = dyn FnMut(&str) -> bool + Send + 'n;

/// What was heard in a window.
#[derive(Debug, Clone)]
pub struct Heard {
    /// With times.
    pub tokens: Vec<u32>,
    /// The mean log-probability of its tokens and its end.
    pub log_probability: f64,
    /// How freely it was decoded.
    pub temperature: f64,
    /// How many times smaller the text can be packed.
    repeated: f64,
    /// Whether it came to its end, and was not cut.
    ended: bool,
}

/// A decoder that has read what stands before the text of a window.
struct Opening {
    state: DecoderState,
    /// Of the first token, [vocabulary].
    logits: Vec<f32>,
    /// The probability that nothing is said.
    no_speech: f64,
    /// How many tokens it has read.
    length: usize,
}

impl Listener<'_> {
    /// What is said in the encoded window `memory`; `previous` are the tokens of what was said before. The language is
    /// detected where none is given. Nothing is heard where nothing is said. `notice` is told what each attempt writes, and
    /// ends them all by false; what is heard is then of no use.
    ///
    /// # Errors
    /// Where the model's logits are no distribution.
    pub fn hear(
        &self,
        memory: &Tokens,
        previous: &[u32],
        language: &mut Option<Language>,
        key: &Key,
        notice: &mut Notice,
    ) -> Result<Option<Heard>> {
        let opening = self.open(memory, previous, language);
        let heard = self.attempts(&opening, key, notice)?;
        let silent = opening.no_speech > NO_SPEECH && heard.log_probability <= LEAST_PROBABLE;
        Ok((!silent).then_some(heard))
    }

    /// What the search finds, whether it is credible or not.
    #[cfg(test)]
    pub fn first_attempt(&self, memory: &Tokens, previous: &[u32], language: &mut Option<Language>) -> Result<Heard> {
        let opening = self.open(memory, previous, language);
        self.attempt(&opening, (TEMPERATURES[0], 0), &Key::new(0), &mut |_| true)
    }

    /// Reads what was said before, the start, and what is to be written.
    fn open(&self, memory: &Tokens, previous: &[u32], language: &mut Option<Language>) -> Opening {
        let mut opening = self.begin(memory, previous);
        let detect = || {
            let (token, code) = self.speech.detect(&opening.logits);
            let code = code.to_string();
            Language { token, code }
        };
        let command = self
            .speech
            .command(language.get_or_insert_with(detect).token, self.purpose);
        if !command.is_empty() {
            opening.logits = to_vec(self.generate.decoder().read(&[&command], &mut opening.state));
            opening.length += command.len();
        }
        opening
    }

    /// Reads what was said before, and the start: behind it stand the languages, and whether anything is said.
    fn begin(&self, memory: &Tokens, previous: &[u32]) -> Opening {
        let decoder = self.generate.decoder();
        let begin = (!previous.is_empty()).then_some(self.speech.previous);
        let prompt: Vec<u32> = begin
            .into_iter()
            .chain(previous.iter().copied())
            .chain([self.speech.start])
            .collect();
        let mut state = decoder.start(1, Some(memory), self.places(), &memory.embeddings.device());
        let logits = to_vec(decoder.read(&[&prompt], &mut state));
        let no_speech = f64::from(logits[self.speech.no_speech as usize] - log_sum_exp(&logits)).exp();
        Opening {
            state,
            logits,
            no_speech,
            length: prompt.len(),
        }
    }

    fn places(&self) -> usize {
        let places = self.generate.decoder().places();
        places.expect("a decoder of speech has learned its places")
    }

    /// The most tokens of what was said before that are read again.
    pub fn most_previous(&self) -> usize {
        self.places() / 2 - 1
    }

    /// The first text that is credible, or the best one of all.
    fn attempts(&self, opening: &Opening, key: &Key, notice: &mut Notice) -> Result<Heard> {
        let mut tried: Vec<Heard> = Vec::new();
        for (attempt, temperature) in (0..).zip(TEMPERATURES) {
            let heard = self.attempt(opening, (temperature, 0), &key.at(attempt), notice)?;
            let nothing_said = opening.no_speech > NO_SPEECH && heard.log_probability < LEAST_PROBABLE;
            if nothing_said || heard.is_credible() {
                return Ok(heard);
            }
            tried.push(heard);
        }
        match best(&tried) {
            Some(best) => Ok(best.clone()),
            None => self.attempt(opening, (TEMPERATURES[0], LONGEST_REPEAT), key, notice),
        }
    }

    fn attempt(
        &self,
        opening: &Opening,
        (temperature, no_repeat_ngram): (f64, usize),
        key: &Key,
        notice: &mut Notice,
    ) -> Result<Heard> {
        let room = self.places() - opening.length;
        let config = DecodingConfig {
            method: self.method(temperature),
            max_length: room.min(self.places() / 2),
            no_repeat_ngram,
            ..DecodingConfig::default()
        };
        let found = self.search(opening, &config, key, notice)?;
        let best = found.into_iter().max_by(|a, b| mean(a).total_cmp(&mean(b)));
        Ok(best.map_or_else(Heard::nothing, |best| {
            let text = self.text(&self.said(&best.tokens));
            Heard {
                log_probability: mean(&best),
                temperature,
                repeated: repeated(&text),
                ended: best.ending == Ending::End,
                tokens: best.tokens,
            }
        }))
    }

    fn method(&self, temperature: f64) -> MethodConfig {
        match (temperature == 0.0, self.beam) {
            (true, 1) => MethodConfig::Greedy,
            // All that are found are compared by the mean of their tokens.
            (true, width) => MethodConfig::Beam(BeamConfig {
                width,
                length_penalty: 1.0,
                best: width,
                patience: Some(1.0),
                ..BeamConfig::default()
            }),
            (false, _) => MethodConfig::Sample(SampleConfig {
                temperature,
                samples: DRAWN,
                ..SampleConfig::default()
            }),
        }
    }

    fn search(
        &self,
        opening: &Opening,
        config: &DecodingConfig,
        key: &Key,
        notice: &mut Notice,
    ) -> Result<Vec<Hypothesis>> {
        let vocabulary = self.generate.vocabulary();
        let symbols = Symbols {
            vocabulary: vocabulary.size,
            end: vocabulary.end,
            forbidden: Vec::new(),
        };
        let rules: SpeechRules = self.generate.rules(self.speech, true);
        let row = Row {
            prompt: &[vocabulary.begin],
            key: key.clone(),
            constraint: None,
            rules: Some(&rules),
        };
        let mut search = Search::new(config, &symbols, vec![row])?;
        let mut state = opening.state.clone();
        let mut next = search.advance(&opening.logits).map(|step| self.step(step, &mut state));
        while let Some(logits) = next {
            if !notice(self.text(&self.said(search.leading(0))).trim()) {
                search.stop(0);
                break;
            }
            next = search.advance(&logits).map(|step| self.step(step, &mut state));
        }
        search.finish().remove(0)
    }

    fn step(&self, step: Step, state: &mut DecoderState) -> Vec<f32> {
        state.reorder(step.parents);
        to_vec(self.generate.decoder().step(step.tokens, state))
    }

    /// The tokens of what is said, without times.
    pub fn said(&self, tokens: &[u32]) -> Vec<u32> {
        let end = self.generate.vocabulary().end;
        tokens.iter().copied().filter(|&token| token < end).collect()
    }

    /// The text of what is said, with the space in front of it.
    pub fn text(&self, said: &[u32]) -> String {
        self.writer.processor.decode(said).unwrap_or_default()
    }
}

/// A language by its token, where the model has one for it, and its code.
#[derive(Debug, Clone)]
pub struct Language {
    pub token: Option<u32>,
    pub code: String,
}

impl Heard {
    fn nothing() -> Self {
        Self {
            tokens: Vec::new(),
            log_probability: 0.0,
            temperature: 0.0,
            repeated: 0.0,
            ended: false,
        }
    }

    fn repeats(&self) -> bool {
        self.repeated > MOST_REPEATED
    }

    fn is_probable(&self) -> bool {
        self.log_probability >= LEAST_PROBABLE
    }

    fn is_credible(&self) -> bool {
        !self.repeats() && self.is_probable()
    }
}

/// The best of texts of which none is credible: a probable one that repeats itself and comes to its end, as speech does
/// that repeats itself, before improbable ones that do not. None where all of them only go round.
fn best(tried: &[Heard]) -> Option<&Heard> {
    let most_probable = |one: &&Heard, other: &&Heard| one.log_probability.total_cmp(&other.log_probability);
    let ended = tried.iter().filter(|heard| heard.is_probable() && heard.ended);
    let other = || tried.iter().filter(|heard| !heard.repeats());
    ended.max_by(most_probable).or_else(|| other().max_by(most_probable))
}

/// The mean log-probability of a text's tokens and its end.
fn mean(found: &Hypothesis) -> f64 {
    found.log_probability / (found.tokens.len() + 1) as f64
}

/// Whether a text repeats itself.
pub(crate) fn repeats(text: &str) -> bool {
    repeated(text) > MOST_REPEATED
}

/// How many times smaller a text becomes when it is packed.
fn repeated(text: &str) -> f64 {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
    let packed = packer.write_all(text.as_bytes()).and_then(|()| packer.finish());
    let packed = packed.expect("memory takes all that is written");
    text.len() as f64 / packed.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_repeats_itself_can_be_packed() {
        assert!(repeated("A ship leaves the harbour while it rains.") < 1.0);
        assert!(repeated(&"and then ".repeat(20)) > MOST_REPEATED);
        assert_eq!(repeated(""), 0.0);
    }

    #[test]
    fn speech_that_repeats_itself_is_told_from_a_text_that_goes_round() {
        let heard = |log_probability: f64, repeated: f64, ended: bool| Heard {
            log_probability,
            repeated,
            ended,
            ..Heard::nothing()
        };
        let check = |tried: &[Heard], expected: Option<f64>| {
            assert_eq!(best(tried).map(|heard| heard.log_probability), expected, "{tried:?}");
        };
        let (round, said, improbable) = (heard(-0.1, 9.0, false), heard(-0.4, 4.0, true), heard(-1.5, 1.2, true));
        check(&[round.clone(), said.clone(), improbable.clone()], Some(-0.4));
        check(&[round.clone(), improbable, heard(-1.2, 4.0, true)], Some(-1.5));
        check(&[round.clone(), said, heard(-0.3, 4.0, true)], Some(-0.3));
        check(&[round], None);
    }
}
