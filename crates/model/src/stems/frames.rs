//! Every pixel of every frame is a token of its channels.

use crate::tokens::Tokens;
use burn::module::Module;
use burn::tensor::{Bool, Tensor};

#[derive(Module, Debug)]
pub struct FramesStem {
    channels: usize,
}

impl FramesStem {
    pub fn new(channels: usize) -> Self {
        Self { channels }
    }

    pub fn width(&self) -> usize {
        self.channels
    }

    /// [batch, frames, height, width, channels] → frames of height × width tokens.
    pub fn forward(&self, pixels: Tensor<5>, mask: &Tensor<2, Bool>) -> Tokens {
        let [batch, time, height, width, channels] = pixels.dims();
        let embeddings = pixels.reshape([batch, time * height * width, channels]);
        Tokens::frames(embeddings, mask, [height, width])
    }
}
