//! GPT-2 124M (Radford et al. 2019) decoding greedily with a cache of keys and values.

use super::Step;
use crate::initial::{Initial, InitialError, made_up, made_up_number};
use burn::tensor::{Device, Tensor, TensorData};
use sensorium_kernels::{Epilogue, PackedWeight, Precision, linear_packed, release_freed_memory};
use sensorium_model::Init;
use sensorium_model::layers::{LayerNorm, TransformerBlock};

const WIDTH: usize = 768;
const HEADS: usize = 12;
const DEPTH: usize = 12;
const VOCABULARY: usize = 50_257;
const POSITIONS: usize = 1024;
const PROMPT: usize = 16;
const TOKENS: usize = 64;

struct LanguageModel {
    /// [vocabulary, width]: the embedding and the output layer.
    embedding: PackedWeight,
    /// [positions, width]
    position: Tensor<2>,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
}

impl LanguageModel {
    fn new(initial: Option<&Initial>, precision: Precision) -> Result<Self, InitialError> {
        let init = Init::new(0, &Device::flex());
        // Each block is packed before the next exists, so that the originals are never held together.
        let block = |index: usize| {
            let init = init.at("blocks").at(index);
            let block = TransformerBlock::new(WIDTH, WIDTH, HEADS, 0.0, &init);
            let rename = |path: &str| super::block_path(&format!("blocks.{index}.{path}"));
            let block = match initial {
                Some(initial) => initial.apply(block, rename)?,
                None => block,
            };
            let block = block.pack(precision);
            release_freed_memory();
            Ok(block)
        };
        let norm = LayerNorm::new(WIDTH, &init.at("norm"));
        let norm = match initial {
            Some(initial) => initial.apply(norm, |path| format!("norm.{path}"))?,
            None => norm,
        };
        let blocks = (0..DEPTH).map(block).collect::<Result<_, _>>()?;
        Ok(Self {
            blocks,
            embedding: embedding(initial, precision)?,
            position: position(initial)?,
            norm,
        })
    }

    /// The token after a prompt and [`TOKENS`] − 1 greedy ones.
    fn decode(&self) -> usize {
        let device = Device::flex();
        let cache = |block: &TransformerBlock| block.cache(1, PROMPT + TOKENS, &device);
        let mut caches: Vec<_> = self.blocks.iter().map(cache).collect();
        let (mut tokens, mut position): (Vec<usize>, usize) = ((0..PROMPT).collect(), 0);
        for _ in 0..TOKENS {
            let length = tokens.len();
            let x = self.embedding.rows(&tokens) + self.position.clone().narrow(0, position, length);
            let blocks = self.blocks.iter().zip(&mut caches);
            let x = blocks.fold(x.reshape([1, length, WIDTH]), |x, (block, cache)| {
                block.decode(x, cache)
            });
            let last = self.norm.forward(x.narrow(1, length - 1, 1).reshape([1, WIDTH]));
            let logits = linear_packed(last, &self.embedding, None, Epilogue::Nothing);
            position += length;
            tokens = vec![largest(logits)];
        }
        tokens[0]
    }
}

fn largest(logits: Tensor<2>) -> usize {
    let values: Vec<f32> = logits.into_data().try_to_vec().expect("32-bit floats");
    let larger = |best: usize, (index, value): (usize, &f32)| if *value > values[best] { index } else { best };
    values.iter().enumerate().fold(0, larger)
}

/// Packed row by row, so that the table is never held twice. Made-up rows are windows of one short sequence.
fn embedding(initial: Option<&Initial>, precision: Precision) -> Result<PackedWeight, InitialError> {
    const STARTS: usize = 1 << 16;
    if let Some(initial) = initial {
        let values = initial.values("embedding.weight", VOCABULARY * WIDTH)?;
        return Ok(PackedWeight::from_rows(VOCABULARY, WIDTH, precision, |row, line| {
            line.copy_from_slice(&values[row * WIDTH..(row + 1) * WIDTH]);
        }));
    }
    let values: Vec<f32> = (0..STARTS + WIDTH).map(made_up_number).collect();
    Ok(PackedWeight::from_rows(VOCABULARY, WIDTH, precision, |row, line| {
        line.copy_from_slice(&values[row..row + WIDTH]);
    }))
}

fn position(initial: Option<&Initial>) -> Result<Tensor<2>, InitialError> {
    let Some(initial) = initial else {
        return Ok(made_up([POSITIONS, WIDTH]));
    };
    let values = initial.values("position.weight", POSITIONS * WIDTH)?;
    let data = TensorData::new(values.to_vec(), [POSITIONS, WIDTH]);
    Ok(Tensor::from_data(data, &Device::flex()))
}

/// The result of a step is the last token.
pub fn decoding(initial: Option<&Initial>, precision: Precision) -> Result<Step, InitialError> {
    let model = LanguageModel::new(initial, precision)?;
    Ok(Box::new(move || model.decode() as f64))
}
