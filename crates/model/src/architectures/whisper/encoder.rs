//! How Whisper's encoder begins (Radford et al. 2022): two convolutions over a spectrogram, of which the second halves it.

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::tokens::{Layout, Tokens, shrink_mask};
use burn::module::{Module, Param};
use burn::tensor::{Bool, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::{ConvOptions, conv1d, gelu};
use serde::{Deserialize, Serialize};

const KERNEL: usize = 3;
/// The frames that become one token.
const STRIDE: usize = 2;

/// Two convolutions over a spectrogram with GELU behind each, of which the second halves the sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhisperStemConfig {
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
    /// The most tokens that the trunk knows places for; a sound has at most twice as many frames.
    #[schemars(range(min = 1, max = 65_536))]
    pub places: usize,
    /// Whether the convolutions hear what stands behind a sound, which is no part of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hears_behind: bool,
}

#[derive(Module, Debug)]
pub struct WhisperStem {
    first: Conv,
    second: Conv,
    #[module(skip)]
    places: usize,
    #[module(skip)]
    hears_behind: bool,
}

/// A convolution with `same` padding.
#[derive(Module, Debug)]
struct Conv {
    /// [output, input, kernel]
    weight: Param<Tensor<3>>,
    /// [output]
    bias: Param<Tensor<1>>,
    #[module(skip)]
    stride: usize,
}

impl WhisperStem {
    /// A frame has `bins` numbers, the longest sound `frames`.
    ///
    /// # Errors
    /// For sounds of more frames than there are places for.
    pub fn new(config: &WhisperStemConfig, [bins, frames]: [usize; 2], init: &Init) -> Result<Self> {
        if frames.div_ceil(STRIDE) > config.places {
            let (most, hundredths) = (STRIDE * config.places, frames as f64 / 100.0);
            let message = format!(
                "expected sounds of at most {most} frames, found {frames} ({hundredths} seconds); lower `max_seconds`"
            );
            return Err(ModelError::config("max_seconds", message));
        }
        Ok(Self {
            first: Conv::new(bins, config.width, 1, &init.at("first")),
            second: Conv::new(config.width, config.width, STRIDE, &init.at("second")),
            places: config.places,
            hears_behind: config.hears_behind,
        })
    }

    pub fn width(&self) -> usize {
        self.second.bias.dims()[0]
    }

    /// The most tokens that the trunk knows places for.
    pub fn places(&self) -> usize {
        self.places
    }

    /// [batch, frames, bins] → a sequence of ⌈frames / 2⌉ tokens, none of them behind the last place.
    pub fn forward(&self, values: Tensor<3>, mask: Tensor<2, Bool>) -> Tokens {
        let [_, frames, _] = values.dims();
        let frames = frames.min(STRIDE * self.places);
        let tokens = Tokens::new(values.narrow(1, 0, frames), mask.narrow(1, 0, frames), Layout::Sequence);
        self.convolve(&self.second, self.convolve(&self.first, tokens))
    }

    /// Zeros take the place of padding, so that none of it reaches a real token, but where it is heard.
    fn convolve(&self, conv: &Conv, tokens: Tokens) -> Tokens {
        conv.forward(match self.hears_behind {
            true => tokens,
            false => tokens.zero_padding(),
        })
    }
}

impl Conv {
    /// PyTorch's initialisation.
    fn new(input: usize, output: usize, stride: usize, init: &Init) -> Self {
        let bound = 1.0 / ((input * KERNEL) as f64).sqrt();
        Self {
            weight: init.uniform("weight", [output, input, KERNEL], bound),
            bias: init.uniform("bias", [output], bound),
            stride,
        }
    }

    fn forward(&self, tokens: Tokens) -> Tokens {
        let options = ConvOptions {
            stride: [self.stride],
            padding: [KERNEL / 2],
            ..ConvOptions::default()
        };
        let embeddings = gelu(conv1d(
            tokens.embeddings,
            self.weight.val(),
            Some(self.bias.val()),
            options,
        ));
        Tokens::new(embeddings, shrink_mask(tokens.mask, self.stride), Layout::Sequence)
    }
}
