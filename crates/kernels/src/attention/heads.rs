//! The matrices of single heads in tensors [batch, heads, length, width].

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

/// The matrix [length, width] of one head of a readable tensor.
pub fn head(tensor: &FlexTensor, batch: usize, head: usize) -> Matrix<'_> {
    let [_, _, rows, columns] = extents(tensor);
    let layout = tensor.layout();
    let stride = |axis: usize| layout.strides()[axis] as usize;
    let start = layout.start_offset() + batch * stride(0) + head * stride(1);
    Matrix {
        values: &tensor.storage::<f32>()[start..],
        rows,
        columns,
        row_stride: stride(2),
        column_stride: 1,
    }
}

/// A tensor [batch, heads, length, width] over `values` [batch, length, heads, width], so that joining the heads again
/// copies nothing.
pub fn from_rows(values: Vec<f32>, [batch, heads, length, width]: [usize; 4]) -> FlexTensor {
    let rows = tensor(values, [batch, length, heads, width]);
    let layout: Layout = rows.layout().transpose(1, 2);
    rows.with_layout(layout)
}
