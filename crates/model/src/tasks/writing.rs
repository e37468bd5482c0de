//! A decoder that is asked token by token, and what it wrote as an answer.

use super::{Alternative, Answer, Decoded, Part, Prediction};
use crate::checkpoint::to_vec;
use crate::decoder::{Decoder, DecoderState, Vocabulary};
use crate::decoding::search::{DecodingConfig, Ending, Hypothesis, Row, Rules, Search, Stepper, Symbols};
use crate::error::Result;
use crate::tokens::{Tokens, plain};
use crate::writer::Writer;
use burn::tensor::{Device, Int, Tensor};
use sensorium_data::random::Key;

/// What a decoder writes with, beside its source.
pub struct Writing<'a> {
    pub decoder: &'a Decoder,
    pub vocabulary: Vocabulary,
    pub decoding: &'a DecodingConfig,
    pub writer: &'a Writer,
    /// What the tokens keep to beside that.
    pub rules: Option<&'a dyn Rules>,
    /// The run of tokens that a text must not hold twice when it is written once more, because it came to no end.
    pub again: Option<usize>,
}

impl Writing<'_> {
    /// One answer for each prompt; `memory` holds as many sequences, `rows` their numbers in the manifest.
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
        let mut written = self.search(self.decoding, prompts, memory.clone(), rows, device)?;
        let endless: Vec<usize> = (0..rows.len()).filter(|&row| is_endless(&written[row])).collect();
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
        Ok(written.iter().map(|found| self.decoded(found)).collect())
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
        };
        let found = search.run(&mut sequences).into_iter();
        Ok(found.map(Result::unwrap_or_default).collect())
    }

    fn symbols(&self) -> Symbols {
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
    fn decoded(&self, found: &[Hypothesis]) -> Decoded {
        let Some(best) = found.first() else {
            return Prediction::new(Answer::Text(String::new()), None).into();
        };
        let parts = best.tokens.iter().zip(&best.log_probabilities);
        let alternative = |one: &Hypothesis| Alternative {
            value: self.writer.text(&one.tokens),
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
            ..Prediction::new(
                Answer::Text(self.writer.text(&best.tokens)),
                Some(best.log_probability.exp()),
            )
        }
        .into()
    }
}

/// Whether the best text was cut where it is as long as allowed.
fn is_endless(found: &[Hypothesis]) -> bool {
    found.first().is_some_and(|best| best.ending != Ending::End)
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
}

impl Sequences<'_> {
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
        to_vec(decoder.read(prompts, self.state()))
    }

    fn step(&mut self, parents: &[usize], tokens: &[u32]) -> Vec<f32> {
        let decoder = self.decoder;
        let state = self.state();
        state.reorder(parents);
        to_vec(decoder.step(tokens, state))
    }
}
