//! One joint Transformer over a class token and the tokens of all inputs.

use super::adapter::{Adapter, Placed, adapters, join, place, positions};
use crate::encoder::EncodedInput;
use crate::error::Result;
use crate::init::Init;
use crate::layers::{LayerNorm, Named, Order, Positions, TransformerBlock};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens};
use crate::trunks::TransformerConfig;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
pub struct ConcatFusion {
    inputs: Named<Adapter>,
    positions: Positions,
    /// [width]
    class_token: Param<Tensor<1>>,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    width: usize,
}

impl ConcatFusion {
    pub fn new(config: &TransformerConfig, inputs: &[(&str, usize)], init: &Init) -> Result<Self> {
        config.check_fusion()?;
        let width = config.width;
        let block = |index| TransformerBlock::with(config.block(index), &init.at("blocks").at(index));
        Ok(Self {
            inputs: adapters(inputs, width, init),
            positions: positions(config, init),
            class_token: init.normal("class_token", [width], 1.0),
            blocks: (0..config.layers).map(block).collect(),
            norm: LayerNorm::new(width, &init.at("norm")),
            width,
        })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// All tokens of all inputs in one sequence; the class token's state is the summary and no part of it.
    pub fn forward(&self, inputs: Vec<EncodedInput>, pass: &Pass) -> Tokens {
        let parts = place(&self.inputs, inputs, &self.positions);
        let rows = parts[0].tokens.embeddings.dims()[0];
        let joined = join(std::iter::once(self.class(rows)).chain(parts).collect());
        let order = Order {
            turns: joined.turns,
            ..Order::default()
        };
        let blocks = self.blocks.iter();
        let tokens = blocks.fold(joined.tokens, |tokens, block| block.ordered(tokens, &order, pass));
        let states = self.norm.forward(tokens.embeddings);
        let length = states.dims()[1] - 1;
        let summary = states.clone().narrow(1, 0, 1).reshape([rows, self.width]);
        let mask = tokens.mask.narrow(1, 1, length);
        Tokens::new(states.narrow(1, 1, length), mask, Layout::Sequence).with_summary(summary)
    }

    /// The class token, the only one of its sequence.
    fn class(&self, rows: usize) -> Placed {
        let token = self.class_token.val().reshape([1, 1, self.width]);
        Placed {
            tokens: Tokens::full(token.expand([rows, 1, self.width]), Layout::Sequence),
            turns: self.positions.turns(Layout::Sequence, 1),
        }
    }
}
