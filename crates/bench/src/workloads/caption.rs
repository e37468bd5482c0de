//! A convolutional encoder of 64 × 64 pictures and a Transformer decoder of 32 tokens, in training.

use super::{Step, training};
use crate::initial::{Initial, InitialError, cycle, made_up};
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use sensorium_kernels::{CrossEntropyOptions, cross_entropy, relu};
use sensorium_model::layers::{BatchNorm, Conv2d, DecoderBlock, Embedding, LayerNorm, Linear};
use sensorium_model::{Init, Layout, Pass, Tokens};

const BATCH: usize = 32;
const SIDE: usize = 64;
const CHANNELS: [usize; 5] = [3, 32, 64, 128, 256];
const WIDTH: usize = CHANNELS[4];
const LENGTH: usize = 32;
const VOCABULARY: usize = 4000;

/// Halves a plane, then one residual block.
#[derive(Module, Debug)]
struct Stage {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
}

impl Stage {
    fn new(input: usize, output: usize, init: &Init) -> Self {
        let conv = |index: usize| {
            let (from, stride) = if index == 0 { (input, 2) } else { (output, 1) };
            Conv2d::new(from, output, [3, 3], [stride; 2], &init.at("convs").at(index))
        };
        Self {
            convs: (0..3).map(conv).collect(),
            norms: (0..3)
                .map(|index| BatchNorm::new(output, &init.at("norms").at(index)))
                .collect(),
        }
    }

    fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let conv = |index: usize, x| self.norms[index].forward(self.convs[index].forward(x), pass);
        let x = relu(conv(0, x));
        let y = relu(conv(1, x.clone()));
        relu(x + conv(2, y))
    }
}

#[derive(Module, Debug)]
struct Captioner {
    stages: Vec<Stage>,
    embedding: Embedding,
    position: Param<Tensor<3>>,
    blocks: Vec<DecoderBlock>,
    norm: LayerNorm,
    head: Linear,
}

impl Captioner {
    fn new(init: &Init) -> Self {
        let stage = |index: usize| Stage::new(CHANNELS[index], CHANNELS[index + 1], &init.at("stages").at(index));
        let block = |index: usize| DecoderBlock::new(WIDTH, Some(WIDTH), 4, 0.0, &init.at("blocks").at(index));
        Self {
            stages: (0..4).map(stage).collect(),
            embedding: Embedding::new(VOCABULARY, WIDTH, &init.at("embedding")),
            position: init.normal("position", [1, LENGTH, WIDTH], 0.02),
            blocks: (0..4).map(block).collect(),
            norm: LayerNorm::new(WIDTH, &init.at("norm")),
            head: Linear::new(WIDTH, VOCABULARY, &init.at("head")),
        }
    }

    /// `image` [batch, 64, 64, 3] and `tokens` [batch, 32] → [batch · 32, vocabulary]
    fn forward(&self, image: Tensor<4>, tokens: Tensor<2, Int>, pass: &Pass) -> Tensor<2> {
        let plane = self
            .stages
            .iter()
            .fold(image, |plane, stage| stage.forward(plane, pass));
        let [batch, height, width, channels] = plane.dims();
        let memory = Tokens::full(plane.reshape([batch, height * width, channels]), Layout::Sequence);
        let x = self.embedding.forward(tokens) + self.position.val();
        let x = self
            .blocks
            .iter()
            .fold(x, |x, block| block.forward(x, Some(&memory), None, pass));
        let logits = self.head.forward(self.norm.forward(x));
        logits.reshape([batch * LENGTH, VOCABULARY])
    }
}

pub fn training(initial: Option<&Initial>) -> Result<Step, InitialError> {
    let mut model = Captioner::new(&Init::new(0, &training::device()));
    let mut image = made_up([BATCH, SIDE, SIDE, 3]);
    if let Some(initial) = initial {
        model = initial.apply(model, rename)?;
        image = initial.input("image", [BATCH, 3, SIDE, SIDE])?.permute([0, 2, 3, 1]);
    }
    let tokens: Tensor<2, Int> = cycle([BATCH, LENGTH], 37, VOCABULARY, 0);
    let targets = (tokens.clone() + 1)
        .remainder_scalar(VOCABULARY as i64)
        .reshape([BATCH * LENGTH]);
    Ok(training::steps(model, move |model, pass| {
        let logits = model.forward(image.clone(), tokens.clone(), pass);
        cross_entropy(logits, targets.clone(), CrossEntropyOptions::default())
    }))
}

/// From paths here to those of the exported file.
fn rename(path: &str) -> String {
    super::block_path(path)
        .replace(".convs.", ".conv")
        .replace(".norms.", ".norm")
}
