//! The common representation: every modality becomes a batch of embedding sequences with a validity mask.

use crate::checkpoint::to_vec;
use burn::tensor::{Bool, Device, Int, Tensor};
use std::sync::Arc;

/// How the positions of a token sequence lie in the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Sequence,
    /// Row by row over a plane; a grid has no padding.
    Grid {
        height: usize,
        width: usize,
    },
    /// Plane after plane; a frame is real or padding as a whole.
    Frames {
        time: usize,
        height: usize,
        width: usize,
    },
    /// The patches of pictures of any size, those of each square of `side` × `side` of them one after the other.
    Squares {
        side: usize,
    },
}

/// Where each real token of some sequences stands in time and on a plane: its frame, row and column.
pub type Places = Arc<Vec<Arc<Vec<[usize; 3]>>>>;

impl Layout {
    /// The number of tokens that this layout has room for; any number of a sequence.
    fn length(self) -> Option<usize> {
        match self {
            Self::Sequence | Self::Squares { .. } => None,
            Self::Grid { height, width } => Some(height * width),
            Self::Frames { time, height, width } => Some(time * height * width),
        }
    }
}

/// Embeddings with their mask, checked when made.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// [batch, length, width]
    pub embeddings: Tensor<3>,
    /// [batch, length], true = real
    pub mask: Tensor<2, Bool>,
    pub layout: Layout,
    /// A pooled vector of each sequence, [batch, width]: a last state or a class token.
    pub summary: Option<Tensor<2>>,
    /// Where tokens stand whose layout does not tell it.
    pub places: Option<Places>,
}

impl Tokens {
    /// # Panics
    /// When the shapes of `embeddings`, `mask` and `layout` disagree.
    pub fn new(embeddings: Tensor<3>, mask: Tensor<2, Bool>, layout: Layout) -> Self {
        let [batch, length, _] = embeddings.dims();
        assert_eq!(mask.dims(), [batch, length], "a mask has one value for each token");
        if let Some(expected) = layout.length() {
            assert_eq!(expected, length, "{layout:?} has {expected} tokens");
        }
        Self {
            embeddings,
            mask,
            layout,
            summary: None,
            places: None,
        }
    }

    /// Tokens of which every one is real.
    pub fn full(embeddings: Tensor<3>, layout: Layout) -> Self {
        let [batch, length, _] = embeddings.dims();
        let mask = Tensor::<2>::ones([batch, length], &plain(&embeddings.device())).bool();
        Self::new(embeddings, mask, layout)
    }

    pub fn with_summary(mut self, summary: Tensor<2>) -> Self {
        assert_eq!(
            summary.dims()[0],
            self.embeddings.dims()[0],
            "one summary for each sequence"
        );
        self.summary = Some(summary);
        self
    }

    pub fn with_places(mut self, places: Places) -> Self {
        assert_eq!(places.len(), self.mask.dims()[0], "places for each sequence");
        self.places = Some(places);
        self
    }

    pub fn width(&self) -> usize {
        self.embeddings.dims()[2]
    }

    /// One vector for each sequence, [batch, width]: the summary, or the mean of the real tokens.
    pub fn pooled(&self) -> Tensor<2> {
        match &self.summary {
            Some(summary) => summary.clone(),
            None => self.mean(),
        }
    }

    fn mean(&self) -> Tensor<2> {
        let [batch, length, width] = self.embeddings.dims();
        let weights = self.mask.clone().float().reshape([batch, length, 1]);
        let count = weights.clone().sum_dim(1).clamp_min(1.0);
        ((self.embeddings.clone() * weights).sum_dim(1) / count).reshape([batch, width])
    }

    /// Tokens of whole frames, [batch, time × plane, width], from the mask of the frames [batch, time].
    pub fn frames(embeddings: Tensor<3>, frames: &Tensor<2, Bool>, plane: [usize; 2]) -> Self {
        let [batch, time] = frames.dims();
        let [height, width] = plane;
        let places = height * width;
        let spread = frames
            .clone()
            .int()
            .reshape([batch, time, 1])
            .expand([batch, time, places]);
        let mask = spread.reshape([batch, time * places]).bool();
        Self::new(embeddings, mask, Layout::Frames { time, height, width })
    }

    /// The sequences of each row one behind the other; padding stays where it is.
    ///
    /// # Panics
    /// Without any.
    pub fn side_by_side(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let (embeddings, masks) = parts.into_iter().map(|part| (part.embeddings, part.mask)).unzip();
        Self::new(Tensor::cat(embeddings, 1), Tensor::cat(masks, 1), Layout::Sequence)
    }

    /// The mask of the frames, [batch, time], of tokens that are `places` to a frame.
    pub fn frame_mask(&self, places: usize) -> Tensor<2, Bool> {
        let [batch, length] = self.mask.dims();
        let mask = self.mask.clone().int().reshape([batch, length / places, places]);
        mask.narrow(2, 0, 1).reshape([batch, length / places]).bool()
    }

    /// The embeddings with zeros where a token is padding.
    pub fn zero_padding(self) -> Self {
        let [batch, length, _] = self.embeddings.dims();
        let weights = self.mask.clone().float().reshape([batch, length, 1]);
        Self {
            embeddings: self.embeddings * weights,
            ..self
        }
    }

    /// The mean of every `count` neighbouring tokens of a sequence, which is real where all of them are; what is left at the end
    /// is dropped.
    pub fn averaged(self, count: usize) -> Self {
        if count == 1 {
            return self;
        }
        let [batch, length, width] = self.embeddings.dims();
        let kept = length / count;
        let embeddings = self.embeddings.narrow(1, 0, kept * count);
        let real = self.mask.narrow(1, 0, kept * count).int();
        Self::new(
            embeddings
                .reshape([batch, kept, count, width])
                .mean_dim(2)
                .reshape([batch, kept, width]),
            real.reshape([batch, kept, count])
                .min_dim(2)
                .reshape([batch, kept])
                .bool(),
            Layout::Sequence,
        )
    }

    /// The sequences at `index` [rows], in its order.
    pub fn select(self, index: Tensor<1, Int>) -> Self {
        let of = |places: Places| {
            let rows = index.clone().into_data();
            Arc::new(rows.iter::<i64>().map(|row| places[row as usize].clone()).collect())
        };
        Self {
            places: self.places.map(of),
            embeddings: self.embeddings.select(0, index.clone()),
            mask: self.mask.int().select(0, index.clone()).bool(),
            layout: self.layout,
            summary: self.summary.map(|summary| summary.select(0, index)),
        }
    }

    /// Adds a sequence whose only real token, and whose summary, is `token` [width].
    pub fn append(self, token: Tensor<1>) -> Self {
        let [_, length, width] = self.embeddings.dims();
        let device = plain(&self.embeddings.device());
        let first = token.clone().reshape([1, 1, width]);
        let rest = Tensor::<3>::zeros([1, length - 1, width], &device);
        let sequence = if length > 1 {
            Tensor::cat(vec![first, rest], 1)
        } else {
            first
        };
        let positions = Tensor::<1, Int>::arange(0..length as i64, &device);
        let mask = positions.equal_elem(0).reshape([1, length]);
        Self {
            embeddings: Tensor::cat(vec![self.embeddings, sequence], 0),
            mask: Tensor::cat(vec![self.mask, mask], 0),
            layout: self.layout,
            places: None,
            summary: self
                .summary
                .map(|summary| Tensor::cat(vec![summary, token.reshape([1, width])], 0)),
        }
    }
}

/// The real tokens of each sequence, from its mask [batch, length].
pub(crate) fn lengths(mask: &Tensor<2, Bool>) -> Vec<usize> {
    let counts = to_vec(mask.clone().float().sum_dim(1));
    counts.into_iter().map(|count| count as usize).collect()
}

/// The mask of what a convolution of this stride leaves: an output is real where the centre of its kernel is.
pub(crate) fn shrink_mask(mask: Tensor<2, Bool>, stride: usize) -> Tensor<2, Bool> {
    if stride == 1 {
        return mask;
    }
    let length = mask.dims()[1] as i64;
    let centres = Tensor::<1, Int>::arange_step(0..length, stride, &mask.device());
    mask.int().select(1, centres).bool()
}

/// Constants need no gradient: they live on the device without its autodiff association.
pub(crate) fn plain(device: &Device) -> Device {
    device.clone().without_autodiff()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    #[test]
    fn means_of_neighbours_are_real_where_all_of_them_are() {
        let device = Device::flex();
        let x =
            Tensor::<1>::from_floats([1.0, 3.0, 5.0, 9.0, 7.0, 2.0, 4.0, 6.0, 8.0, 0.0], &device).reshape([2, 5, 1]);
        let real = [true, true, true, true, true, true, true, true, false, false];
        let mask = Tensor::from_data(TensorData::new(real.to_vec(), [2, 5]), &device);
        let tokens = Tokens::new(x, mask, Layout::Sequence);
        let found = tokens.clone().averaged(2);
        assert_eq!(found.embeddings.dims(), [2, 2, 1]);
        assert_eq!(lengths(&found.mask), [2, 1]);
        assert_eq!(to_vec(found.embeddings), [2.0, 7.0, 3.0, 7.0]);
        assert_eq!(to_vec(tokens.clone().averaged(1).embeddings), to_vec(tokens.embeddings));
    }
}
