//! Rows of a table looked up by index.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor};
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, extents, floats, fused, integers, tensor};
use crate::columns::row_chunk;
use crate::parallel;

/// `table` [rows, width] at `indices` [batch, length] → [batch, length, width].
///
/// # Panics
/// If an index is not a row of the table.
pub fn embedding(table: Tensor<2>, indices: Tensor<2, Int>) -> Tensor<3> {
    if !fused(&table) {
        return plain(table, indices);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::table_rows(
        table.into_dispatch(),
        indices.into_dispatch(),
    ))
}

fn plain(table: Tensor<2>, indices: Tensor<2, Int>) -> Tensor<3> {
    let ([batch, length], [_, width]) = (indices.dims(), table.dims());
    let rows = table.select(0, indices.reshape([batch * length]));
    rows.reshape([batch, length, width])
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn table_rows(table: FloatTensor<Self>, indices: IntTensor<Self>) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn table_rows(table: FlexTensor, indices: FlexTensor) -> FlexTensor {
        forward(&table, &indices).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn table_rows(table: FloatTensor<Self>, indices: IntTensor<Self>) -> FloatTensor<Self> {
        record::<C, Saved, 1>([table], |[table], _| forward(&table, &indices))
    }
}

#[derive(Clone, Debug)]
struct Saved {
    /// The extents of the table.
    table: [usize; 2],
    indices: Vec<usize>,
}

fn forward(table: &FlexTensor, indices: &FlexTensor) -> (FlexTensor, Saved) {
    let table = contiguous(table);
    let ([rows, width], [batch, length]) = (extents(&table), extents(indices));
    let indices: Vec<usize> = integers(indices)
        .into_iter()
        .enumerate()
        .map(|(place, index)| {
            let row = usize::try_from(index).ok().filter(|&row| row < rows);
            row.unwrap_or_else(|| {
                panic!(
                    "embedding: index {index} at [{}, {}] is not one of the table's {rows} rows: check that the \
                     vocabulary belongs to the model",
                    place / length,
                    place % length,
                )
            })
        })
        .collect();
    let (values, chunk) = (floats(&table), row_chunk(width));
    let output = parallel::fill(indices.len() * width, chunk, |task, part| {
        let indices = &indices[task * chunk / width..];
        for (output, &row) in part.chunks_exact_mut(width).zip(indices) {
            output.copy_from_slice(&values[row * width..][..width]);
        }
    });
    let saved = Saved {
        table: [rows, width],
        indices,
    };
    (tensor(output, [batch, length, width]), saved)
}

impl Gradient<1> for Saved {
    fn gradients(self, dy: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let ([rows, width], dy) = (self.table, contiguous(&dy));
        let (dy, chunk) = (floats(&dy), row_chunk(width));
        let places = by_row(&self.indices, rows);
        let first = |row: usize| places.partition_point(|&place| self.indices[place] < row);
        // A task owns whole rows of the table, and adds what belongs to each in the order of the places.
        let gradient = parallel::fill(rows * width, chunk, |task, part| {
            part.fill(0.0);
            let start = task * chunk / width;
            let places = &places[first(start)..first(start + part.len() / width)];
            for &place in places {
                let sum = &mut part[(self.indices[place] - start) * width..][..width];
                for (sum, value) in sum.iter_mut().zip(&dy[place * width..][..width]) {
                    *sum += value;
                }
            }
        });
        [Some(tensor(gradient, [rows, width]))]
    }
}

/// The places of `indices` in the order of their rows, those of one row in their own order (a counting sort).
fn by_row(indices: &[usize], rows: usize) -> Vec<usize> {
    let mut next = vec![0; rows + 1];
    for &row in indices {
        next[row + 1] += 1;
    }
    for row in 0..rows {
        next[row + 1] += next[row];
    }
    let mut places = vec![0; indices.len()];
    for (place, &row) in indices.iter().enumerate() {
        places[next[row]] = place;
        next[row] += 1;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, elements, same_bits, values};
    use burn::tensor::{Device, TensorData};

    fn tokens([batch, length]: [usize; 2], rows: usize, device: &Device) -> Tensor<2, Int> {
        let tokens: Vec<i64> = (0..batch * length).map(|place| (place * place % rows) as i64).collect();
        Tensor::from_data(TensorData::new(tokens, [length, batch]), device).transpose()
    }

    fn check_embedding(shape: [usize; 2], rows: usize, width: usize, strided: bool) {
        let run = |leaves: &[Tensor<1>], layer: fn(Tensor<2>, Tensor<2, Int>) -> Tensor<3>| {
            let table = leaves[0].clone();
            let table = if strided {
                table.reshape([width, rows]).transpose()
            } else {
                table.reshape([rows, width])
            };
            let tokens = tokens(shape, rows, &table.device());
            layer(table, tokens).reshape([shape[0] * shape[1] * width])
        };
        check(
            &[values(1, rows * width)],
            |leaves| run(leaves, embedding),
            |leaves| run(leaves, plain),
            |leaves| {
                let value = |index: usize| {
                    let (place, c) = (index / width, index % width);
                    let place = place % shape[1] * shape[0] + place / shape[1];
                    let row = place * place % rows;
                    leaves[0][if strided { c * rows + row } else { row * width + c }]
                };
                (0..shape[0] * shape[1] * width).map(value).collect()
            },
        );
    }

    #[test]
    fn embedding_matches_its_reference() {
        for (shape, rows, width) in [([1, 1], 1, 1), ([2, 3], 5, 4), ([3, 7], 4, 17), ([2, 20], 50, 3)] {
            check_embedding(shape, rows, width, false);
            check_embedding(shape, rows, width, true);
        }
    }

    #[test]
    fn large_tables_have_the_same_bits_on_any_number_of_threads() {
        let (rows, width, shape) = (3000, 33, [7, 900]);
        let pattern = values(2, shape[0] * shape[1] * width);
        let gradient = same_bits(|| {
            let device = Device::flex().autodiff();
            let table = Tensor::<2>::ones([rows, width], &device).require_grad();
            let rows = embedding(table.clone(), tokens(shape, rows, &device)).reshape([-1]);
            let gradients = (rows * Tensor::<1>::from_floats(pattern.as_slice(), &device))
                .sum()
                .backward();
            elements(table.grad(&gradients).unwrap())
        });
        let total = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>();
        assert!((total(&gradient) - total(&pattern)).abs() < 1e-2);
    }

    #[test]
    fn no_indices_give_no_rows() {
        let device = Device::flex();
        let tokens = Tensor::<2, Int>::zeros([2, 0], &device);
        assert_eq!(embedding(Tensor::ones([3, 4], &device), tokens).dims(), [2, 0, 4]);
    }

    #[test]
    #[should_panic(expected = "index 3 at [1, 0] is not one of the table's 3 rows")]
    fn an_index_outside_the_table_is_named() {
        let device = Device::flex();
        let tokens = Tensor::<2, Int>::from_ints([[0, 1], [3, 2]], &device);
        embedding(Tensor::ones([3, 4], &device), tokens);
    }
}
