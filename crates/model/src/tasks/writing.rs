//! A decoder that is asked token by token, and what it wrote as an answer.

use super::{Alternative, Answer, Decoded, Part, Prediction};
use crate::checkpoint::to_vec;
use crate::decoder::{Decoder, DecoderState, Vocabulary};
use crate::decoding::search::{DecodingConfig, Ending, Hypothesis, Row, Rules, Search, Stepper, Symbols};
use crate::error::Result;
use crate::tokens::{Tokens, plain};
use crate::transcription::window::repeats;
use crate::writer::Writer;
use burn::tensor::{Device, Int, Tensor};
use sensorium_data::random::Key;
use std::collections::BTreeMap;

/// What a decoder writes with, beside its source.
pub struct Writing<'a> {
    pub decoder: &'a Decoder,
    pub vocabulary: Vocabulary,
    pub decoding: &'a DecodingConfig,
    pub writer: &'a Writer,
    /// What the tokens keep to beside that.
    pub rules: Option<&'a dyn Rules>,
    /// The run of tokens that a text must not hold twice when it is written once more, because it goes round and comes to no
    /// end.
    pub again: Option<usize>,
    /// Whether an answer is what its prompt goes on with, the space between both included; one that has a form of its own is
    /// without.
    pub continues: bool,
    /// What ends an answer too, of a vocabulary whose every token may stand in one; none where the vocabulary is not of that
    /// kind.
    pub ends: Option<&'a [u32]>,
}

impl Writing<'_> {
    /// One answer for each prompt; `memory` holds as many sequences, `rows` their numbers in the manifest. Those with prompts
    /// of one length go through the decoder together.
    ///
    /// # Errors
    /// Settings or a constraint that leave no answer.
    pub fn write(
        &self,
        prompts: &[Vec<u32>],
        memory: Option<Tokens>,
        rows: &[usize],
        device: &Device,
    ) -> Result<Vec<Decoded>> {
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, prompt) in prompts.iter().enumerate() {
            by_length.entry(prompt.len()).or_default().push(place);
        }
        if by_length.len() == 1 {
            return self.write_alike(prompts, memory, rows, device);
        }
        let mut answers: BTreeMap<usize, Decoded> = BTreeMap::new();
        for places in by_length.into_values() {
            let prompts: Vec<Vec<u32>> = places.iter().map(|&place| prompts[place].clone()).collect();
            let rows: Vec<usize> = places.iter().map(|&place| rows[place]).collect();
            let memory = memory.clone().map(|memory| memory.select(indices(&places, device)));
            let written = self.write_alike(&prompts, memory, &rows, device)?;
            answers.extend(places.into_iter().zip(written));
        }
        Ok(answers.into_values().collect())
    }

    /// As [`Self::write`] behind prompts of one length.
    fn write_alike(
        &self,
        prompts: &[Vec<u32>],
        memory: Option<Tokens>,
        rows: &[usize],
        device: &Device,
    ) -> Result<Vec<Decoded>> {
        let mut written = self.search(self.decoding, prompts, memory.clone(), rows, device)?;
        let endless: Vec<usize> = (0..rows.len()).filter(|&row| self.is_endless(&written[row])).collect();
        if let Some(no_repeat_ngram) = self.again.filter(|_| !endless.is_empty()) {
            let decoding = DecodingConfig {
                no_repeat_ngram,
                ..self.decoding.clone()
            };
            let memory = memory.map(|memory| memory.select(indices(&endless, device)));
            let prompts: Vec<Vec<u32>> = endless.iter().map(|&row| prompts[row].clone()).collect();
            let numbers: Vec<usize> = endless.iter().map(|&row| rows[row]).collect();
            let again = self.search(&decoding, &prompts, memory, &numbers, device)?;
            for (row, found) in endless.into_iter().zip(again) {
                written[row] = found;
            }
        }
        let answers = written.iter().zip(prompts);
        Ok(answers.map(|(found, prompt)| self.decoded(found, prompt)).collect())
    }

    /// Whether the best text repeats itself until it was cut.
    fn is_endless(&self, found: &[Hypothesis]) -> bool {
        let cut = found.first().filter(|best| best.ending != Ending::End);
        cut.is_some_and(|best| repeats(&self.writer.text(&best.tokens)))
    }

    /// The texts that are found for each prompt, the best one first.
    fn search(
        &self,
        decoding: &DecodingConfig,
        prompts: &[Vec<u32>],
        memory: Option<Tokens>,
        rows: &[usize],
        device: &Device,
    ) -> Result<Vec<Vec<Hypothesis>>> {
        let symbols = self.symbols();
        let key = Key::new(0).with("decoding");
        let row = |(prompt, &row): (&'_ Vec<u32>, &usize)| (prompt.clone(), key.at(row as u64));
        let prepared: Vec<(Vec<u32>, Key)> = prompts.iter().zip(rows).map(row).collect();
        let rows = prepared.iter().map(|(prompt, key)| Row {
            prompt,
            key: key.clone(),
            constraint: self.writer.constraint.as_deref(),
            rules: self.rules,
        });
        let search = Search::new(decoding, &symbols, rows.collect())?;
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let mut sequences = Sequences {
            decoder: self.decoder,
            memory,
            capacity: longest + decoding.max_length + 1,
            device: device.clone(),
            state: None,
            end: self.vocabulary.end,
            ends: self.ends.unwrap_or_default(),
        };
        let found = search.run(&mut sequences).into_iter();
        Ok(found.map(Result::unwrap_or_default).collect())
    }

    fn symbols(&self) -> Symbols {
        if self.ends.is_some() {
            return Symbols {
                vocabulary: self.vocabulary.size,
                end: self.vocabulary.end,
                forbidden: Vec::new(),
            };
        }
        let special = self.writer.processor.special_tokens();
        let special = special.into_iter().flat_map(|special| {
            let others = [special.unknown, special.begin, special.end];
            others.into_iter().flatten().chain([special.padding])
        });
        let end = self.vocabulary.end;
        let mut forbidden: Vec<u32> = special
            .chain([self.vocabulary.begin])
            .filter(|&token| token != end)
            .collect();
        forbidden.sort_unstable();
        forbidden.dedup();
        Symbols {
            vocabulary: self.vocabulary.size,
            end,
            forbidden,
        }
    }

    /// The best hypothesis with its tokens, and the others as alternatives; an empty text where there is none.
    fn decoded(&self, found: &[Hypothesis], prompt: &[u32]) -> Decoded {
        let Some(best) = found.first() else {
            return Prediction::new(Answer::Text(String::new()), None).into();
        };
        let parts = best.tokens.iter().zip(&best.log_probabilities);
        let continues = self.continues && self.writer.constraint.is_none();
        let text = |one: &Hypothesis| match continues {
            true => self.writer.continuation(prompt, &one.tokens),
            false => self.writer.text(&one.tokens),
        };
        let alternative = |one: &Hypothesis| Alternative {
            value: text(one),
            probability: one.log_probability.exp(),
        };
        Prediction {
            top: match found.len() {
                1 => Vec::new(),
                _ => found.iter().map(alternative).collect(),
            },
            tokens: parts
                .map(|(&token, &probability)| Part {
                    text: self.writer.processor.decode(&[token]).unwrap_or_default(),
                    probability: f64::from(probability).exp(),
                    frames: None,
                })
                .collect(),
            ..Prediction::new(Answer::Text(text(best)), Some(best.log_probability.exp()))
        }
        .into()
    }
}

fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    Tensor::from_ints(rows.as_slice(), &plain(device))
}

/// Sequences that a decoder continues.
struct Sequences<'a> {
    decoder: &'a Decoder,
    memory: Option<Tokens>,
    capacity: usize,
    device: Device,
    state: Option<DecoderState>,
    end: u32,
    /// What stands for `end` too.
    ends: &'a [u32],
}

impl Sequences<'_> {
    /// Gives the end the logit of the likeliest of all ends, whichever of them it is: a search knows one end alone.
    fn with_one_end(&self, logits: Tensor<2>) -> Vec<f32> {
        let [_, size] = logits.dims();
        let mut logits = to_vec(logits);
        for row in logits.chunks_exact_mut(size) {
            for &other in self.ends {
                let logit = std::mem::replace(&mut row[other as usize], f32::NEG_INFINITY);
                let end = &mut row[self.end as usize];
                *end = end.max(logit);
            }
        }
        logits
    }

    fn state(&mut self) -> &mut DecoderState {
        self.state.as_mut().expect("a search begins with its prompts")
    }
}

impl Stepper for Sequences<'_> {
    /// The prompts are of one length.
    fn start(&mut self, prompts: &[&[u32]]) -> Vec<f32> {
        let memory = self.memory.take();
        let start = |memory: Option<&Tokens>| self.decoder.start(prompts.len(), memory, self.capacity, &self.device);
        self.state = Some(start(memory.as_ref()));
        let decoder = self.decoder;
        let logits = decoder.read(prompts, self.state());
        self.with_one_end(logits)
    }

    fn step(&mut self, parents: &[usize], tokens: &[u32]) -> Vec<f32> {
        let decoder = self.decoder;
        let state = self.state();
        state.reorder(parents);
        let logits = decoder.step(tokens, state);
        self.with_one_end(logits)
    }
}
