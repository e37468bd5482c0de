//! Brings each input's tokens to the common width and marks where they come from.

use crate::encoder::EncodedInput;
use crate::init::Init;
use crate::layers::{Linear, Named, Positions};
use crate::tokens::{Layout, Tokens};
use crate::trunks::TransformerConfig;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use sensorium_kernels::Turns;

/// What every fusion of tokens begins with.
#[derive(Module, Debug)]
pub struct Adapter {
    projection: Linear,
    /// What all tokens of this input share, [width].
    origin: Param<Tensor<1>>,
}

/// Tokens and, where positions are rotary, by what their queries and keys turn.
pub struct Placed {
    pub tokens: Tokens,
    pub turns: Option<Turns>,
}

impl Adapter {
    fn new(input: usize, width: usize, init: &Init) -> Self {
        let projection = Linear::new(input, width, &init.at("projection"));
        Self {
            projection,
            origin: init.normal("origin", [width], 1.0),
        }
    }

    /// The rows' tokens with their positions and the input's own vector added.
    fn forward(&self, input: EncodedInput, positions: &Positions) -> Placed {
        let tokens = input.tokens();
        let x = self.projection.forward(tokens.embeddings);
        let [_, length, width] = x.dims();
        let embeddings = positions.add(x, tokens.layout) + self.origin.val().reshape([1, 1, width]);
        Placed {
            turns: positions.turns(tokens.layout, length),
            tokens: Tokens {
                embeddings,
                summary: None,
                ..tokens
            },
        }
    }
}

/// One adapter for each of the `inputs`, which are names and widths.
pub fn adapters(inputs: &[(&str, usize)], width: usize, init: &Init) -> Named<Adapter> {
    let adapter = |&(name, input): &(&str, usize)| {
        let init = init.at("inputs").at(name);
        (name.to_string(), Adapter::new(input, width, &init))
    };
    inputs.iter().map(adapter).collect()
}

/// The positions of all inputs' tokens, each by its place in its own medium.
pub fn positions(config: &TransformerConfig, init: &Init) -> Positions {
    let head = config.width / config.heads;
    Positions::new(config.positions, [config.width, head], &[], &init.at("positions"))
}

/// The tokens of every input, in the adapters' order.
pub fn place(adapters: &Named<Adapter>, inputs: Vec<EncodedInput>, positions: &Positions) -> Vec<Placed> {
    let pairs = adapters.iter().zip(inputs);
    pairs
        .map(|((_, adapter), input)| adapter.forward(input, positions))
        .collect()
}

/// Sequences one after the other.
pub fn join(parts: Vec<Placed>) -> Placed {
    let turns: Option<Vec<Turns>> = parts.iter().map(|part| part.turns.clone()).collect();
    let tensors = parts.into_iter().map(|part| (part.tokens.embeddings, part.tokens.mask));
    let (embeddings, masks) = tensors.unzip();
    Placed {
        tokens: Tokens::new(Tensor::cat(embeddings, 1), Tensor::cat(masks, 1), Layout::Sequence),
        turns: turns.map(|turns| Turns::join(&turns)),
    }
}
