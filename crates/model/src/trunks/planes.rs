//! Tokens folded into the line, the plane or the frames that they lie on, for convolutions.

use crate::layers::Dropout;
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens};
use burn::tensor::{Bool, Tensor};

/// Values [batch × frames, height, width, channels]; a line is one plane of height one.
pub struct Planes {
    pub values: Tensor<4>,
    pub mask: Mask,
}

/// What is real: every place of a grid, some places of a line [batch, width], some frames [batch, frames].
pub enum Mask {
    Plane,
    Line(Tensor<2, Bool>),
    Frames(Tensor<2, Bool>),
}

impl Planes {
    /// The tokens where they lie.
    pub fn fold(tokens: Tokens) -> Self {
        let [batch, length, channels] = tokens.embeddings.dims();
        let ([count, height, width], mask) = match tokens.layout {
            Layout::Sequence => ([batch, 1, length], Mask::Line(tokens.mask)),
            Layout::Grid { height, width } => ([batch, height, width], Mask::Plane),
            Layout::Frames { time, height, width } => {
                let frames = tokens.frame_mask(height * width);
                ([batch * time, height, width], Mask::Frames(frames))
            }
        };
        let values = tokens.embeddings.reshape([count, height, width, channels]);
        Self { values, mask }
    }

    /// The values with zeros where they are padding.
    pub fn zero_padding(self) -> Self {
        let shape = match &self.mask {
            Mask::Plane => return self,
            Mask::Line(mask) => [mask.dims()[0], 1, mask.dims()[1], 1],
            Mask::Frames(mask) => [mask.dims()[0] * mask.dims()[1], 1, 1, 1],
        };
        let (Mask::Line(mask) | Mask::Frames(mask)) = &self.mask else {
            return self;
        };
        let weights = mask.clone().float().reshape(shape);
        Self {
            values: self.values * weights,
            mask: self.mask,
        }
    }

    /// The values before plus their change, where `dropout` lets it through: sample by sample, whatever its frames.
    pub fn change(before: Tensor<4>, after: Self, dropout: &Dropout, pass: &Pass) -> Self {
        let [count, height, width, channels] = before.dims();
        let samples = match &after.mask {
            Mask::Plane => count,
            Mask::Line(mask) | Mask::Frames(mask) => mask.dims()[0],
        };
        let whole = |values: Tensor<4>| values.reshape([samples, count / samples * height, width, channels]);
        let values = dropout.join(whole(before), whole(after.values), pass);
        Self {
            values: values.reshape([count, height, width, channels]),
            ..after
        }
    }

    /// Back to a sequence for each sample.
    pub fn into_tokens(self) -> Tokens {
        let [count, height, width, channels] = self.values.dims();
        match self.mask {
            Mask::Plane => {
                let embeddings = self.values.reshape([count, height * width, channels]);
                Tokens::full(embeddings, Layout::Grid { height, width })
            }
            Mask::Line(mask) => {
                let embeddings = self.values.reshape([count, height * width, channels]);
                Tokens::new(embeddings, mask, Layout::Sequence)
            }
            Mask::Frames(frames) => {
                let [batch, time] = frames.dims();
                let embeddings = self.values.reshape([batch, time * height * width, channels]);
                Tokens::frames(embeddings, &frames, [height, width])
            }
        }
    }
}
