//! wav2vec 2.0's blocks (Baevski et al. 2020), behind places that a convolution over the tokens tells.

use super::super::bert::{self, BertTrunkConfig, Pool};
use super::super::towers::{self, BlocksConfig};
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{Activation, Dropout, LayerNorm, Order};
use crate::pass::Pass;
use crate::tokens::Tokens;
use crate::trunks::Space;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use schemars::JsonSchema;
use sensorium_kernels::{ConvOptions, Precision, conv1d, gelu};
use serde::{Deserialize, Serialize};

/// Blocks over a sequence, to whose tokens a convolution over many of them is added first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Wav2Vec2TrunkConfig {
    /// The width of a token, a multiple of `heads` and of `groups`.
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
    #[schemars(range(min = 1, max = 128))]
    pub layers: usize,
    #[schemars(range(min = 1, max = 128))]
    pub heads: usize,
    /// The width of the hidden layer of the feed-forward network.
    #[schemars(range(min = 1, max = 65_536))]
    pub hidden: usize,
    /// Added to the variance in each normalisation.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon: f64,
    /// The tokens that the convolution in front of the blocks sees at once.
    #[schemars(range(min = 1, max = 1024))]
    pub kernel: usize,
    /// The parts of the width that it reads each on their own.
    #[schemars(range(min = 1, max = 8192))]
    pub groups: usize,
    /// Whether norms stand in front of attention and feed-forward networks, and one behind the last block, instead of behind
    /// the residuals, and one in front of the first block.
    #[serde(default)]
    pub norm_first: bool,
    /// Dropout of the tokens in front of the blocks, and of what each attention and each feed-forward network adds.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
}

#[derive(Module, Debug)]
pub struct Wav2Vec2Trunk {
    positions: Positions,
    norm_before: Option<LayerNorm>,
    dropout: Dropout,
    blocks: Blocks,
    norm: Option<LayerNorm>,
    #[module(skip)]
    width: usize,
}

/// By where their norms stand.
#[derive(Module, Debug)]
enum Blocks {
    Before(Vec<towers::Block>),
    Behind(Vec<bert::Block>),
}

/// A convolution whose weight is told by its directions and lengths (Salimans and Kingma 2016).
#[derive(Module, Debug)]
struct Positions {
    /// Of the weights at each place of the kernel, [kernel]
    length: Param<Tensor<1>>,
    /// [width, width / groups, kernel]
    direction: Param<Tensor<3>>,
    /// [width]
    bias: Param<Tensor<1>>,
    #[module(skip)]
    groups: usize,
}

impl Wav2Vec2TrunkConfig {
    /// What it has in common with the blocks of towers.
    pub fn blocks(&self) -> BlocksConfig {
        BlocksConfig {
            width: self.width,
            layers: self.layers,
            heads: self.heads,
            hidden: self.hidden,
            epsilon: self.epsilon,
            activation: Activation::Gelu,
            layer_scale: false,
            dropout: self.dropout,
            drop_path: 0.0,
        }
    }

    /// And with BERT's, which have their norms behind.
    fn behind(&self) -> BertTrunkConfig {
        BertTrunkConfig {
            width: self.width,
            layers: self.layers,
            heads: self.heads,
            hidden: self.hidden,
            epsilon: self.epsilon,
            dropout: self.dropout,
            pool: Pool::default(),
        }
    }

    /// The numbers that the tensors hold.
    pub fn parameters(&self) -> u128 {
        let [width, kernel, groups] = [self.width, self.kernel, self.groups].map(|size| size as u128);
        let filters = width.saturating_mul(width / groups.max(1)).saturating_mul(kernel);
        let positions = filters.saturating_add(kernel + width);
        self.blocks().parameters().saturating_add(positions + 2 * width)
    }
}

impl Wav2Vec2Trunk {
    /// `input` is the stem's width.
    ///
    /// # Errors
    /// For tokens that are no sequence, for another width than the stem's, and for heads or groups that do not divide it.
    pub fn new(config: &Wav2Vec2TrunkConfig, input: usize, space: Space, init: &Init) -> Result<Self> {
        if !space.is_line() {
            let message =
                "a wav2vec2 reads a sequence: a sound, behind the stem `wav2vec2` or `convolution`, or a text";
            return Err(ModelError::config("trunk.kind", message));
        }
        if !config.width.is_multiple_of(config.groups) {
            let message = format!(
                "expected a divisor of the width {}, found {}",
                config.width, config.groups
            );
            return Err(ModelError::config("trunk.groups", message));
        }
        config.blocks().check_input(input)?;
        let norm = |name: &str| config.blocks().norm(&init.at(name));
        Ok(Self {
            positions: Positions::new(config, &init.at("positions")),
            norm_before: (!config.norm_first).then(|| norm("norm_before")),
            dropout: Dropout::new(config.dropout, &init.at("dropout")),
            blocks: match config.norm_first {
                true => Blocks::Before(config.blocks().build(input, init)?),
                false => Blocks::Behind(config.behind().build(init)),
            },
            norm: config.norm_first.then(|| norm("norm")),
            width: config.width,
        })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        let blocks = match self.blocks {
            Blocks::Before(blocks) => {
                let blocks = blocks.into_iter().map(|block| block.pack(precision));
                Blocks::Before(blocks.collect())
            }
            Blocks::Behind(blocks) => {
                let blocks = blocks.into_iter().map(|block| block.pack(precision));
                Blocks::Behind(blocks.collect())
            }
        };
        Self { blocks, ..self }
    }

    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let tokens = self.positions.forward(tokens);
        let x = normalised(self.norm_before.as_ref(), tokens.embeddings);
        let tokens = Tokens {
            embeddings: self.dropout.forward(x, pass),
            summary: None,
            ..tokens
        };
        let tokens = match &self.blocks {
            Blocks::Before(blocks) => Tokens {
                embeddings: blocks.iter().fold(tokens.embeddings, |x, block| {
                    block.forward(x, &tokens.mask, &Order::default(), pass)
                }),
                ..tokens
            },
            Blocks::Behind(blocks) => blocks.iter().fold(tokens, |tokens, block| block.forward(tokens, pass)),
        };
        Tokens {
            embeddings: normalised(self.norm.as_ref(), tokens.embeddings),
            ..tokens
        }
    }
}

fn normalised(norm: Option<&LayerNorm>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}

impl Positions {
    /// As the original is drawn.
    fn new(config: &Wav2Vec2TrunkConfig, init: &Init) -> Self {
        let (width, kernel) = (config.width, config.kernel);
        let depth = width / config.groups;
        let deviation = 2.0 / ((kernel * width) as f64).sqrt();
        Self {
            length: init.constant([kernel], (deviation * ((width * depth) as f64).sqrt()) as f32),
            direction: init.normal("direction", [width, depth, kernel], deviation),
            bias: init.constant([width], 0.0),
            groups: config.groups,
        }
    }

    /// [width, width / groups, kernel]
    fn weight(&self) -> Tensor<3> {
        let direction = self.direction.val();
        let [width, depth, kernel] = direction.dims();
        let squares = (direction.clone() * direction.clone()).reshape([width * depth, kernel]);
        let norms = squares.sum_dim(0).sqrt().reshape([kernel]);
        direction * (self.length.val() / norms).reshape([1, 1, kernel])
    }

    /// Tokens and what is around them; padding is zero before, so that it never reaches a real token.
    fn forward(&self, tokens: Tokens) -> Tokens {
        let tokens = tokens.zero_padding();
        let weight = self.weight();
        let [_, length, _] = tokens.embeddings.dims();
        let options = ConvOptions {
            padding: [weight.dims()[2] / 2],
            groups: self.groups,
            ..ConvOptions::default()
        };
        let around = conv1d(tokens.embeddings.clone(), weight, Some(self.bias.val()), options);
        // An even kernel gives one more.
        let around = gelu(around.narrow(1, 0, length));
        Tokens {
            embeddings: tokens.embeddings + around,
            ..tokens
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;
    use burn::tensor::Device;
    use serde_json::json;

    fn build(name: &str, value: serde_json::Value, space: Space) -> Result<Wav2Vec2Trunk> {
        let mut config = json!({
            "width": 8, "layers": 1, "heads": 2, "hidden": 12, "epsilon": 1e-5, "kernel": 4, "groups": 2
        });
        config[name] = value;
        let config: Wav2Vec2TrunkConfig = serde_json::from_value(config).unwrap();
        Wav2Vec2Trunk::new(&config, 8, space, &Init::new(1, &Device::flex()))
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let line = Space::Line { length: 9 };
        build("norm_first", true.into(), line).unwrap();
        let plane = Space::Plane { height: 3, width: 3 };
        for (name, value, space, words) in [
            ("groups", 3, line, "divisor of the width 8"),
            ("heads", 3, line, "multiple of 3 heads"),
            ("width", 16, line, "width of the stem"),
            ("heads", 2, plane, "reads a sequence"),
        ] {
            let error = build(name, value.into(), space).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn lengths_of_weights_are_those_that_are_told() {
        let trunk = build("layers", 1.into(), Space::Line { length: 9 }).unwrap();
        let weight = trunk.positions.weight();
        let squares = (weight.clone() * weight).reshape([32, 4]).sum_dim(0).sqrt();
        for (found, expected) in to_vec(squares).iter().zip(to_vec(trunk.positions.length.val())) {
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        }
    }
}
