//! A decoder that is asked token by token, and what it wrote as an answer.

use super::{Alternative, Answer, Decoded, Part, Prediction};
use crate::checkpoint::to_vec;
use crate::decoder::{Decoder, DecoderState, Vocabulary};
use crate::decoding::search::{DecodingConfig, Hypothesis, Row, Rules, Search, Stepper, Symbols};
use crate::error::Result;
use crate::tokens::Tokens;
use crate::writer::Writer;
use burn::tensor::Device;
use sensorium_data::random::Key;

/// What a decoder writes with, beside its source.
pub struct Writing<'a> {
    pub decoder: &'a Decoder,
    pub vocabulary: Vocabulary,
    pub decoding: &'a DecodingConfig,
    pub writer: &'a Writer,
    /// What the tokens keep to beside that.
    pub rules: Option<&'a dyn Rules>,
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
        let search = Search::new(self.decoding, &symbols, rows.collect())?;
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let mut sequences = Sequences {
            decoder: self.decoder,
            memory,
            capacity: longest + self.decoding.max_length + 1,
            device: device.clone(),
            state: None,
        };
        let found = search.run(&mut sequences).into_iter();
        Ok(found.map(|found| self.decoded(&found.unwrap_or_default())).collect())
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
