//! A batch after its encoders and the fusion: what the tasks read.

use crate::encoder::EncodedInput;
use crate::source::Source;
use crate::tokens::{Tokens, plain};
use burn::tensor::{Int, Tensor};
use sensorium_data::processors::PatchGrid;
use sensorium_data::{Batch, Collated, InputBatch, Targets};
use std::collections::BTreeMap;

/// The tokens of the rows that outputs answer.
pub struct Encoded<'a> {
    pub batch: &'a Batch,
    /// The places in the batch of the rows that each output answers, in ascending order.
    pub(crate) rows: BTreeMap<String, Vec<usize>>,
    /// Those inputs that an output reads by themselves.
    pub(crate) inputs: BTreeMap<String, EncodedInput>,
    /// Present where an output reads it.
    pub(crate) fused: Option<Fused>,
}

/// The joined tokens of some rows.
pub(crate) struct Fused {
    pub tokens: Tokens,
    /// Their places in the batch, in ascending order.
    pub rows: Vec<usize>,
}

/// What one task reads of an encoded batch.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    pub encoded: &'a Encoded<'a>,
    pub source: &'a Source,
    /// The places in the batch of the rows that are read.
    pub rows: &'a [usize],
    /// What the output should answer in these rows; a prediction has no values, and texts only where it chooses from them.
    pub targets: Option<&'a Targets>,
}

/// The pictures of one input, of which a video's frames are some.
pub enum Pictures {
    OneSize {
        /// How many each sequence of tokens has room for, tiles and wholes.
        most: usize,
        /// Of each row the rows and columns of tiles of each of its pictures, one of one where a picture is read whole.
        of_rows: Vec<Vec<[usize; 2]>>,
    },
    /// Of each row how the patches of its pictures, or of its video, lie.
    AnySize { of_rows: Vec<Vec<PatchGrid>> },
}

impl Encoded<'_> {
    /// The places in the batch of the rows that an output answers.
    pub fn rows(&self, output: &str) -> &[usize] {
        &self.rows[output]
    }

    /// The tokens of a source, one sequence for each of `rows`.
    ///
    /// # Panics
    /// When no output of the model reads `source` in these rows.
    pub fn tokens(&self, source: &Source, rows: &[usize]) -> Tokens {
        match source {
            Source::Fusion => self.fused().at(rows),
            Source::Input(name) => self.input(name).at(rows).tokens(),
        }
    }

    fn fused(&self) -> &Fused {
        self.fused.as_ref().expect("a model with this source has a fusion")
    }

    /// One input by itself.
    ///
    /// # Panics
    /// When no output of the model reads it alone.
    pub(crate) fn input(&self, name: &str) -> &EncodedInput {
        &self.inputs[name]
    }
}

impl Fused {
    fn at(&self, rows: &[usize]) -> Tokens {
        if self.rows == rows {
            return self.tokens.clone();
        }
        let place = |row: &usize| self.rows.binary_search(row).expect("a row that is read was fused") as i64;
        let places: Vec<i64> = rows.iter().map(place).collect();
        let device = plain(&self.tokens.embeddings.device());
        self.tokens
            .clone()
            .select(Tensor::<1, Int>::from_ints(places.as_slice(), &device))
    }
}

impl Reading<'_> {
    /// The tokens that the task reads, one sequence for each row.
    pub fn tokens(&self) -> Tokens {
        self.encoded.tokens(self.source, self.rows)
    }

    /// The tokens of one input, of which those are padding that stand for what a row does not have.
    pub fn present_tokens(&self, input: &str) -> Tokens {
        let input = self.encoded.input(input).at(self.rows);
        let present = input.present();
        let tokens = input.tokens();
        let present = present.expand(tokens.mask.dims());
        Tokens {
            mask: tokens.mask.bool_and(present),
            ..tokens
        }
    }

    /// One vector for each row, [rows, width].
    pub fn pooled(&self) -> Tensor<2> {
        match self.source {
            Source::Fusion => self.tokens().pooled(),
            Source::Input(name) => self.encoded.input(name).at(self.rows).pooled(),
        }
    }

    /// The tokens of the text that each row has as the input `input`, as it stands; none in rows that have none.
    ///
    /// # Panics
    /// When the input is no text.
    pub fn text(&self, input: &str) -> Vec<Vec<u32>> {
        let InputBatch { media, medium_of_row } = &self.encoded.batch.inputs[input];
        let Some(media) = media else {
            return vec![Vec::new(); self.rows.len()];
        };
        let Collated::Text { shape, tokens, lengths } = media else {
            panic!("`{input}` is read as a text");
        };
        let text = |medium: usize| {
            let tokens = &tokens[medium * shape[1]..][..lengths[medium]];
            tokens.iter().map(|&token| token as u32).collect()
        };
        let rows = self.rows.iter().map(|&row| medium_of_row[row]);
        rows.map(|medium| medium.map(text).unwrap_or_default()).collect()
    }

    /// The pictures of the input `input` in each row; a sound has the place of one that is read whole.
    pub fn pictures(&self, input: &str) -> Pictures {
        let InputBatch { media, medium_of_row } = &self.encoded.batch.inputs[input];
        fn of_rows<T: Clone>(rows: &[Option<usize>], of_media: &[Vec<T>]) -> Vec<Vec<T>> {
            let of_row = |medium: &Option<usize>| medium.map_or(Vec::new(), |medium| of_media[medium].clone());
            rows.iter().map(of_row).collect()
        }
        let rows: Vec<Option<usize>> = self.rows.iter().map(|&row| medium_of_row[row]).collect();
        let (most, of_media): (_, Vec<Vec<[usize; 2]>>) = match media {
            Some(Collated::Patches { grids, .. }) => {
                return Pictures::AnySize {
                    of_rows: of_rows(&rows, grids),
                };
            }
            Some(Collated::Tiles { shape, grids, .. }) => (shape[1], grids.clone()),
            Some(Collated::Video { lengths, .. }) => {
                let most = lengths.iter().copied().max().unwrap_or(1);
                (most, lengths.iter().map(|&length| vec![[1; 2]; length]).collect())
            }
            Some(Collated::Image { shape, .. }) => (1, vec![vec![[1; 2]]; shape[0]]),
            Some(Collated::Audio { lengths, .. }) => (1, vec![vec![[1; 2]]; lengths.len()]),
            Some(Collated::Text { .. }) | None => (1, Vec::new()),
        };
        Pictures::OneSize {
            most,
            of_rows: of_rows(&rows, &of_media),
        }
    }

    /// The numbers of the rows in the manifest.
    pub fn numbers(&self) -> Vec<usize> {
        self.rows.iter().map(|&row| self.encoded.batch.rows[row]).collect()
    }
}
