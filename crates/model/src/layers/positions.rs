//! What tells attention where a token stands: waves, learned vectors, or rotations of queries and keys.

use crate::init::Init;
use crate::tokens::{Layout, plain};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use schemars::JsonSchema;
use sensorium_kernels::{TurnAxis, Turns};
use serde::{Deserialize, Serialize};

/// How attention knows the places of tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PositionKind {
    /// Sines and cosines added to the tokens; parts of the width for the rows and columns of a grid, and for time.
    #[default]
    Sinusoidal,
    /// A learned vector for each place of a sequence, or for each row, column and time, added to the tokens.
    Learned,
    /// Queries and keys turn by their places; parts of each head for the rows and columns of a grid, and for time.
    Rotary,
}

/// The positions of one stack of attention layers.
#[derive(Module, Debug)]
pub struct Positions {
    /// A learned vector for each coordinate of each axis, [extent, width]; none where positions are not learned.
    axes: Vec<Param<Tensor<2>>>,
    #[module(skip)]
    kind: PositionKind,
    /// Pairs of columns in a head.
    #[module(skip)]
    pairs: usize,
}

impl Positions {
    /// `extents` are the largest that the tokens' axes have; `head` is the width of a head.
    pub fn new(kind: PositionKind, [width, head]: [usize; 2], extents: &[usize], init: &Init) -> Self {
        let table = |(axis, &extent): (usize, &usize)| init.normal(&format!("axes.{axis}"), [extent, width], 0.02);
        let learned = (kind == PositionKind::Learned).then_some(extents);
        Self {
            axes: learned.unwrap_or_default().iter().enumerate().map(table).collect(),
            kind,
            pairs: head / 2,
        }
    }

    /// `x` [batch, length, width] with what positions add to the tokens.
    pub fn add(&self, x: Tensor<3>, layout: Layout) -> Tensor<3> {
        let [_, length, width] = x.dims();
        match self.kind {
            PositionKind::Sinusoidal => {
                let waves = sinusoidal_positions(layout, length, width, &plain(&x.device()));
                x + waves
            }
            PositionKind::Learned => x + self.learned(&extents(layout, length)),
            PositionKind::Rotary => x,
        }
    }

    /// By what queries and keys turn.
    pub fn turns(&self, layout: Layout, length: usize) -> Option<Turns> {
        (self.kind == PositionKind::Rotary).then(|| rotary_turns(layout, length, self.pairs))
    }

    /// The sum of each place's vectors, [1, length, width].
    fn learned(&self, extents: &[usize]) -> Tensor<3> {
        let vectors = |(axis, &extent): (&Param<Tensor<2>>, &usize)| {
            let table = axis.val();
            let width = table.dims()[1];
            table.narrow(0, 0, extent).reshape([1, extent, width])
        };
        let product = |outer: Tensor<3>, inner: Tensor<3>| {
            let ([_, rows, width], [_, columns, _]) = (outer.dims(), inner.dims());
            (outer.reshape([rows, 1, width]) + inner).reshape([1, rows * columns, width])
        };
        let axes = self.axes.iter().zip(extents).map(vectors);
        axes.reduce(product).expect("tokens have at least one axis")
    }
}

/// Sine and cosine positions, [1, length, width] (Vaswani et al. 2017). A grid has its rows in the first half of the
/// width and its columns in the second; frames have time, row and column in a third each.
pub fn sinusoidal_positions(layout: Layout, length: usize, width: usize, device: &Device) -> Tensor<3> {
    let coordinates = coordinates(&extents(layout, length));
    let shares = shares(width, coordinates.len());
    let mut values = Vec::with_capacity(length * width);
    for place in 0..length {
        for (axis, share) in coordinates.iter().zip(&shares) {
            wave(axis[place], *share, &mut values);
        }
    }
    Tensor::from_data(TensorData::new(values, [1, length, width]), device)
}

/// Rotary positions for heads of `pairs` pairs of columns: along a sequence as Su et al. 2021 have them; the rows of a
/// grid in the first half of the pairs and its columns in the second, and time, row and column in a third each, with
/// the shorter waves that Heo et al. 2024 found better for axes of few places.
pub fn rotary_turns(layout: Layout, length: usize, pairs: usize) -> Turns {
    let base = match layout {
        Layout::Sequence | Layout::Squares { .. } => 10_000.0,
        Layout::Grid { .. } | Layout::Frames { .. } => 100.0,
    };
    let coordinates = coordinates(&extents(layout, length));
    let shares = shares(pairs, coordinates.len());
    let axes = coordinates.into_iter().zip(shares);
    let axes: Vec<TurnAxis> = axes
        .map(|(coordinates, pairs)| TurnAxis { coordinates, pairs })
        .collect();
    Turns::new(&axes, base)
}

/// The axes of `length` tokens, the slowest first.
fn extents(layout: Layout, length: usize) -> Vec<usize> {
    match layout {
        Layout::Sequence | Layout::Squares { .. } => vec![length],
        Layout::Grid { height, width } => vec![height, width],
        Layout::Frames { time, height, width } => vec![time, height, width],
    }
}

/// The coordinates of every place along each axis.
fn coordinates(extents: &[usize]) -> Vec<Vec<usize>> {
    let length: usize = extents.iter().product();
    let along = |axis: usize| {
        let inner: usize = extents[axis + 1..].iter().product();
        (0..length).map(|place| place / inner % extents[axis]).collect()
    };
    (0..extents.len()).map(along).collect()
}

/// `whole` in as many equal parts as there are axes; the last has what is left over.
fn shares(whole: usize, axes: usize) -> Vec<usize> {
    let mut shares = vec![whole / axes; axes];
    shares[axes - 1] += whole % axes;
    shares
}

fn wave(position: usize, width: usize, values: &mut Vec<f32>) {
    for channel in 0..width {
        let rate = 10_000f64.powf(-((channel / 2 * 2) as f64) / width as f64);
        let angle = position as f64 * rate;
        values.push(if channel % 2 == 0 { angle.sin() } else { angle.cos() } as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;

    /// What positions add to place `place` of zeros, by the tables and waves that `expected` adds up.
    fn check(
        kind: PositionKind,
        layout: Layout,
        largest: &[usize],
        place: usize,
        expected: impl Fn(&Positions) -> Vec<f32>,
    ) {
        const WIDTH: usize = 6;
        let device = Device::flex();
        let positions = Positions::new(kind, [WIDTH, WIDTH], largest, &Init::new(1, &device));
        let length = extents(layout, 5).iter().product();
        let zeros = Tensor::<3>::zeros([2, length, WIDTH], &device);
        let found = to_vec(positions.add(zeros, layout));
        for sample in found.chunks(length * WIDTH) {
            assert_eq!(
                sample[place * WIDTH..][..WIDTH],
                expected(&positions),
                "{kind:?} {layout:?}"
            );
        }
        assert_eq!(positions.turns(layout, length).is_some(), kind == PositionKind::Rotary);
    }

    /// The sum of the rows of each axis's table.
    fn rows(coordinates: &'static [usize]) -> impl Fn(&Positions) -> Vec<f32> {
        move |positions| {
            let axes = positions.axes.iter().zip(coordinates);
            let rows = axes.map(|(table, &row)| to_vec(table.val())[row * 6..][..6].to_vec());
            rows.reduce(|sum, row| sum.iter().zip(row).map(|(a, b)| a + b).collect())
                .expect("an axis")
        }
    }

    fn waves(parts: &'static [(usize, usize)]) -> impl Fn(&Positions) -> Vec<f32> {
        move |_| {
            let mut values = Vec::new();
            parts
                .iter()
                .for_each(|&(position, width)| wave(position, width, &mut values));
            values
        }
    }

    #[test]
    fn every_axis_of_the_tokens_has_its_part() {
        let grid = Layout::Grid { height: 2, width: 3 };
        let frames = Layout::Frames {
            time: 2,
            height: 2,
            width: 3,
        };
        check(PositionKind::Learned, Layout::Sequence, &[9], 4, rows(&[4]));
        check(PositionKind::Learned, grid, &[2, 3], 5, rows(&[1, 2]));
        check(PositionKind::Learned, frames, &[4, 2, 3], 10, rows(&[1, 1, 1]));
        check(PositionKind::Sinusoidal, Layout::Sequence, &[9], 4, waves(&[(4, 6)]));
        check(PositionKind::Sinusoidal, grid, &[2, 3], 5, waves(&[(1, 3), (2, 3)]));
        check(
            PositionKind::Sinusoidal,
            frames,
            &[4, 2, 3],
            10,
            waves(&[(1, 2), (1, 2), (1, 2)]),
        );
        check(PositionKind::Rotary, frames, &[4, 2, 3], 10, |_| vec![0.0; 6]);
    }
}
