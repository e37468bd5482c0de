//! One joint Transformer over a class token and the tokens of all inputs.

use super::adapter::Adapter;
use crate::encoder::EncodedInput;
use crate::error::Result;
use crate::init::Init;
use crate::layers::{LayerNorm, Named, TransformerBlock};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens};
use crate::trunks::TransformerConfig;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
pub struct ConcatFusion {
    inputs: Named<Adapter>,
    /// [width]
    class_token: Param<Tensor<1>>,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    width: usize,
}

impl ConcatFusion {
    pub fn new(config: &TransformerConfig, inputs: &[(&str, usize)], init: &Init) -> Result<Self> {
        config.check("fusion")?;
        let TransformerConfig {
            width,
            layers,
            heads,
            dropout,
        } = *config;
        let adapter = |&(name, input): &(&str, usize)| {
            (
                name.to_string(),
                Adapter::new(input, width, &init.at("inputs").at(name)),
            )
        };
        let block = |index| TransformerBlock::new(width, width, heads, dropout, &init.at("blocks").at(index));
        Ok(Self {
            inputs: inputs.iter().map(adapter).collect(),
            class_token: init.normal("class_token", [width], 1.0),
            blocks: (0..layers).map(block).collect(),
            norm: LayerNorm::new(width, &init.at("norm")),
            width,
        })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// All tokens of all inputs in one sequence; the class token's state is the summary and no part of it.
    pub fn forward(&self, inputs: Vec<EncodedInput>, pass: &Pass) -> Tokens {
        let parts: Vec<Tokens> = self
            .inputs
            .iter()
            .zip(inputs)
            .map(|((_, adapter), input)| adapter.forward(input))
            .collect();
        let rows = parts[0].embeddings.dims()[0];
        let class = self.class_token.val().reshape([1, 1, self.width]);
        let class = Tokens::full(class.expand([rows, 1, self.width]), Layout::Sequence);
        let mut tokens = join(std::iter::once(class).chain(parts).collect());
        for block in &self.blocks {
            tokens = block.forward(tokens, pass);
        }
        let states = self.norm.forward(tokens.embeddings);
        let length = states.dims()[1] - 1;
        let summary = states.clone().narrow(1, 0, 1).reshape([rows, self.width]);
        let mask = tokens.mask.narrow(1, 1, length);
        Tokens::new(states.narrow(1, 1, length), mask, Layout::Sequence).with_summary(summary)
    }
}

/// Sequences one after the other.
pub fn join(parts: Vec<Tokens>) -> Tokens {
    let (embeddings, masks) = parts.into_iter().map(|part| (part.embeddings, part.mask)).unzip();
    Tokens::new(Tensor::cat(embeddings, 1), Tensor::cat(masks, 1), Layout::Sequence)
}
