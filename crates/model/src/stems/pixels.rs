//! No patching: every pixel is a token of its channels.

use crate::tokens::{Layout, Tokens};
use burn::module::Module;
use burn::tensor::Tensor;

#[derive(Module, Debug)]
pub struct PixelsStem {
    channels: usize,
}

impl PixelsStem {
    pub fn new(channels: usize) -> Self {
        Self { channels }
    }

    pub fn width(&self) -> usize {
        self.channels
    }

    /// [batch, height, width, channels] → a grid of height × width tokens.
    pub fn forward(&self, pixels: Tensor<4>) -> Tokens {
        let [batch, height, width, channels] = pixels.dims();
        let embeddings = pixels.reshape([batch, height * width, channels]);
        Tokens::full(embeddings, Layout::Grid { height, width })
    }
}
