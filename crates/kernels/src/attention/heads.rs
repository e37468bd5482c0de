//! The matrices of single heads in buffers of [batch, heads, length, width].

use burn_flex::{FlexTensor, Layout};

use crate::buffer::{contiguous, extents, tensor};
use crate::panels::Matrix;

/// `tensor` as it is if every head is a matrix with contiguous rows, else a contiguous copy. Both layouts that models
/// use, [batch, heads, length, width] and a view of [batch, length, heads, width], are read in place.
pub fn readable(tensor: &FlexTensor) -> FlexTensor {
    let strides = tensor.layout().strides();
    let [.., length, width] = extents::<4>(tensor);
    let rows = width <= 1 || strides[3] == 1;
    let apart = length <= 1 || strides[2] >= width as isize;
    if rows && apart && strides.iter().all(|&stride| stride > 0) {
        tensor.clone()
    } else {
        contiguous(tensor)
    }
}

/// A view [batch, heads, length, width] whose rows are contiguous.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    values: &'a [f32],
    length: usize,
    width: usize,
    /// Elements between batch rows, heads and positions.
    strides: [usize; 3],
    /// Where each batch row lies, if not in order.
    places: Option<&'a [usize]>,
}

impl<'a> Heads<'a> {
    /// A view of a readable tensor.
    pub fn of(tensor: &'a FlexTensor) -> Self {
        let [_, _, length, width] = extents(tensor);
        let layout = tensor.layout();
        Self {
            values: &tensor.storage::<f32>()[layout.start_offset()..],
            length,
            width,
            strides: [0, 1, 2].map(|axis| layout.strides()[axis] as usize),
            places: None,
        }
    }

    /// The first `length` positions of a buffer [batch, heads, capacity, width].
    pub fn filled(values: &'a [f32], [heads, capacity, width]: [usize; 3], length: usize) -> Self {
        Self {
            values,
            length,
            width,
            strides: [heads * capacity * width, capacity * width, width],
            places: None,
        }
    }

    /// Batch row i is what lies at `places[i]`.
    pub fn at(self, places: &'a [usize]) -> Self {
        Self {
            places: Some(places),
            ..self
        }
    }

    /// The matrix [length, width] of one head.
    pub fn head(&self, batch: usize, head: usize) -> Matrix<'a> {
        let place = self.places.map_or(batch, |places| places[batch]);
        Matrix {
            values: &self.values[place * self.strides[0] + head * self.strides[1]..],
            rows: self.length,
            columns: self.width,
            row_stride: self.strides[2],
            column_stride: 1,
        }
    }
}

/// `rows` rows of a matrix from `first`.
pub fn part(matrix: Matrix, first: usize, rows: usize) -> Matrix {
    Matrix {
        values: &matrix.values[(first * matrix.row_stride).min(matrix.values.len())..],
        rows,
        ..matrix
    }
}

/// A row of a matrix with contiguous rows.
pub fn line(matrix: Matrix<'_>, row: usize) -> &[f32] {
    &matrix.values[matrix.at(row, 0)..][..matrix.columns]
}

/// A tensor [batch, heads, length, width] over `values` [batch, length, heads, width], so that joining the heads again
/// copies nothing.
pub fn from_rows(values: Vec<f32>, [batch, heads, length, width]: [usize; 4]) -> FlexTensor {
    let rows = tensor(values, [batch, length, heads, width]);
    let layout: Layout = rows.layout().transpose(1, 2);
    rows.with_layout(layout)
}
