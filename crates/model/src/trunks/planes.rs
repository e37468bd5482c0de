//! Tokens folded into the line, the plane or the frames that they lie on, for convolutions.

use crate::layers::Dropout;
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens, plain};
use burn::tensor::{Bool, Int, Tensor};

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

impl Mask {
    /// The places of a line, or the frames, that are real, counted through the batch; none where all are.
    fn real(&self) -> Option<Vec<i64>> {
        let (Self::Line(mask) | Self::Frames(mask)) = self else {
            return None;
        };
        let real: Vec<bool> = mask.clone().into_data().iter::<bool>().collect();
        let all = real.iter().all(|real| *real);
        (!all).then(|| (0..).zip(real).filter_map(|(row, real)| real.then_some(row)).collect())
    }
}

impl Planes {
    /// The tokens where they lie.
    pub fn fold(tokens: Tokens) -> Self {
        let [batch, length, channels] = tokens.embeddings.dims();
        let ([count, height, width], mask) = match tokens.layout {
            Layout::Sequence | Layout::Squares { .. } => ([batch, 1, length], Mask::Line(tokens.mask)),
            Layout::Grid { height, width } => ([batch, height, width], Mask::Plane),
            Layout::Frames { time, height, width } => {
                let frames = tokens.frame_mask(height * width);
                ([batch * time, height, width], Mask::Frames(frames))
            }
        };
        let values = tokens.embeddings.reshape([count, height, width, channels]);
        Self { values, mask }
    }

    /// The values after a function of all of them.
    pub fn map(self, change: impl FnOnce(Tensor<4>) -> Tensor<4>) -> Self {
        Self {
            values: change(self.values),
            ..self
        }
    }

    /// The values after a function that sees the real ones only, as [real, 1, places, channels]; zeros are the others.
    pub fn map_real(self, change: impl FnOnce(Tensor<4>) -> Tensor<4>) -> Self {
        let Some(real) = self.mask.real() else {
            return self.map(change);
        };
        let [count, height, width, channels] = self.values.dims();
        let places = match self.mask {
            Mask::Line(_) => 1,
            Mask::Plane | Mask::Frames(_) => height * width,
        };
        let all = count * height * width / places;
        let device = self.values.device();
        let index = |places: Vec<i64>| Tensor::<1, Int>::from_ints(places.as_slice(), &plain(&device));
        let mut back = vec![0; all];
        for (at, &row) in (1..).zip(&real) {
            back[row as usize] = at;
        }
        self.map(|values| {
            let values = values.reshape([all, 1, places, channels]).select(0, index(real));
            let zero = Tensor::zeros([1, 1, places, channels], &plain(&device));
            let values = Tensor::cat(vec![zero, change(values)], 0).select(0, index(back));
            values.reshape([count, height, width, channels])
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;
    use burn::tensor::Device;

    fn check(mask: Mask, shape: [usize; 4], seen: [usize; 4], expected: &[f32]) {
        let values = Tensor::<1>::from_floats([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &Device::flex());
        let planes = Planes {
            values: values.reshape(shape),
            mask,
        };
        let changed = planes.map_real(|real| {
            assert_eq!(real.dims(), seen);
            real * 10.0
        });
        assert_eq!(changed.values.dims(), shape);
        assert_eq!(to_vec(changed.values), expected);
    }

    #[test]
    fn padding_is_not_seen_and_stays_zero() {
        let mask = |rows: [[bool; 3]; 2]| Tensor::<2, Bool>::from_data(rows, &Device::flex());
        let some = [[true, true, false], [false, true, false]];
        check(
            Mask::Line(mask(some)),
            [2, 1, 3, 1],
            [3, 1, 1, 1],
            &[10.0, 20.0, 0.0, 0.0, 50.0, 0.0],
        );
        check(
            Mask::Frames(mask(some)),
            [6, 1, 1, 1],
            [3, 1, 1, 1],
            &[10.0, 20.0, 0.0, 0.0, 50.0, 0.0],
        );
        let all = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0];
        check(Mask::Line(mask([[true; 3]; 2])), [2, 1, 3, 1], [2, 1, 3, 1], &all);
        check(Mask::Plane, [1, 3, 2, 1], [1, 3, 2, 1], &all);
    }
}
