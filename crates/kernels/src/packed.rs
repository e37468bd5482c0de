//! Weights prepared once for inference: in the order that the kernels read them, in 32, 16, 8 or 4 bits.

use burn::backend::Flex;
use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};
use burn_flex::FlexTensor;
use half::f16;
use half::slice::HalfFloatSliceExt;
use std::sync::Arc;

use crate::activation::{GELU, RELU};
use crate::buffer::{contiguous, extents, floats, halves, tensor};
use crate::columns::add_columns;
use crate::gemm::multiply_and_finish;
use crate::grouped::GroupedPanels;
use crate::held::multiply_held;
use crate::integers::{IntegerPanels, multiply_integers};
use crate::linear::{Epilogue, after, follow, linear};
use crate::microkernel::COLUMNS;
use crate::panels::{Matrix, Panels};
use crate::parallel::{self, with_scratch};
use crate::quantized::QuantizedPanels;
use crate::unpacked::{Unpack, multiply_rows_unpacked, multiply_unpacked};

/// Rows from which it is worth the time to turn panels of 16-bit floats into wider ones first.
const MANY: usize = 64;

/// How a packed weight holds its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// As they are. Those of a weight that are the same in 16 bits, as most published ones are, lie in 16: half of the
    /// memory and of the time that reading takes, and the same results.
    Float32,
    /// Each output's weights, and each vector that they are multiplied with, as whole multiples of a scale of its own, about
    /// as fine as one part in 20,000 of its norm: half of the memory and up to twice the rate of 32 bits, and answers that
    /// differ by less than one in a thousand.
    Int16,
    /// Each output's weights as whole multiples, −127 to 127, of a 127th of the largest: a quarter of the memory, and of
    /// the time where reading the weights is what takes the time. Activations stay in 32 bits.
    Int8,
    /// Each 32 neighbouring weights of an output as whole multiples, −8 to 7, of an eighth of the largest: an eighth of the
    /// memory. Activations stay in 32 bits.
    Int4,
}

/// A weight [output, input] that takes the place of the original in inference, or in the training of other weights: it has no
/// gradient itself.
#[derive(Clone, Debug)]
pub struct PackedWeight {
    /// Clones share it.
    storage: Arc<Storage>,
    output: usize,
    input: usize,
}

#[derive(Clone, Debug)]
enum Storage {
    Float32(Panels),
    Float16(Panels<f16>),
    Int16(IntegerPanels),
    Int8(QuantizedPanels),
    Int4(GroupedPanels),
    /// The weight itself, on other devices than the CPU.
    Plain(Tensor<2>),
}

impl Storage {
    /// The weight [output, input] whose panel number `index` is written by `pack`, and whose row by `fill`.
    fn new(
        [output, input]: [usize; 2],
        precision: Precision,
        pack: impl Fn(usize, &mut [f32]) + Send + Sync,
        fill: impl Fn(usize, &mut [f32]) + Send + Sync,
    ) -> Self {
        match precision {
            Precision::Float32 => match Panels::exact(input, output, &pack) {
                Some(panels) => Self::Float16(panels),
                None => Self::Float32(Panels::from_fn(input, output, pack)),
            },
            Precision::Int16 => Self::Int16(IntegerPanels::from_columns(input, output, fill)),
            Precision::Int8 => Self::Int8(QuantizedPanels::from_fn(input, output, pack)),
            Precision::Int4 => Self::Int4(GroupedPanels::from_fn(input, output, pack)),
        }
    }
}

impl PackedWeight {
    /// Packs `weight` [output, input] of 32 or 16 bits. Other devices than the CPU keep it as it is, in full precision.
    pub fn new(weight: Tensor<2>, precision: Precision) -> Self {
        let [output, input] = weight.dims();
        let weight = weight.without_autodiff();
        if weight.device() != Device::flex() {
            return Self::of(Storage::Plain(weight.cast(FloatDType::F32)), [output, input]);
        }
        let narrow = weight.dtype() == DType::F16;
        let weight = primitive(if narrow { weight } else { weight.cast(FloatDType::F32) });
        if narrow {
            return Self::from_halves(halves(&weight), [output, input], precision);
        }
        let matrix = Matrix::new(floats(&weight), output, input);
        let pack = |index: usize, panel: &mut [f32]| Panels::pack(matrix.transposed(), index * COLUMNS, panel);
        let fill = |row: usize, line: &mut [f32]| line.copy_from_slice(&matrix.values[row * input..][..input]);
        Self::of(Storage::new([output, input], precision, pack, fill), [output, input])
    }

    fn of(storage: Storage, [output, input]: [usize; 2]) -> Self {
        let storage = Arc::new(storage);
        Self { storage, output, input }
    }

    /// Packs the row-major weight [output, input].
    fn from_halves(weight: &[f16], [output, input]: [usize; 2], precision: Precision) -> Self {
        match precision {
            Precision::Float32 => {
                let panels = Panels::from_columns(weight, input, output);
                Self::of(Storage::Float16(panels), [output, input])
            }
            _ => Self::from_rows(output, input, precision, |row, line| {
                weight[row * input..][..input].convert_to_f32_slice(line);
            }),
        }
    }

    /// Packs the weight [output, input] whose row number `row` is written by `fill(row, values)`, so that it is never
    /// held as a whole beside its packed form.
    pub fn from_rows(
        output: usize,
        input: usize,
        precision: Precision,
        fill: impl Fn(usize, &mut [f32]) + Send + Sync,
    ) -> Self {
        let pack = |index: usize, panel: &mut [f32]| {
            let rows = COLUMNS.min(output - index * COLUMNS);
            let mut values = vec![0.0; rows * input];
            for (row, values) in values.chunks_exact_mut(input.max(1)).enumerate() {
                fill(index * COLUMNS + row, values);
            }
            Panels::pack(Matrix::new(&values, rows, input).transposed(), 0, panel);
        };
        Self::of(Storage::new([output, input], precision, pack, &fill), [output, input])
    }

    /// The number of outputs.
    pub fn output(&self) -> usize {
        self.output
    }

    /// The number of inputs.
    pub fn input(&self) -> usize {
        self.input
    }

    /// Rows of the weight, [rows, input]: an embedding whose table is also the output layer's weight.
    ///
    /// # Panics
    /// If a row is not one of the weight's.
    pub fn rows(&self, rows: &[usize]) -> Tensor<2> {
        if let Some(row) = rows.iter().find(|row| **row >= self.output) {
            panic!("row {row} of a packed weight with {} rows", self.output);
        }
        if let Storage::Plain(weight) = &*self.storage {
            return plain_rows(weight, rows);
        }
        let mut values = vec![0.0; rows.len() * self.input];
        for (&row, line) in rows.iter().zip(values.chunks_mut(self.input.max(1))) {
            self.unpack_row(row, line);
        }
        Tensor::from_data(TensorData::new(values, [rows.len(), self.input]), &Device::flex())
    }

    /// The numbers that the packed ones stand for, [output, input] in row-major order, on the CPU.
    pub fn whole(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.output * self.input];
        let rows = (COLUMNS * self.input).max(1);
        parallel::for_each_part(&mut values, rows, |panel, part| match &*self.storage {
            Storage::Int8(panels) => turn(panels, panel, part),
            Storage::Int4(panels) => turn(panels, panel, part),
            _ => {
                for (lane, line) in part.chunks_mut(self.input).enumerate() {
                    self.unpack_row(panel * COLUMNS + lane, line);
                }
            }
        });
        values
    }

    fn unpack_row(&self, row: usize, line: &mut [f32]) {
        let (panel, lane) = (row / COLUMNS, row % COLUMNS);
        let fill = |line: &mut [f32], values: &mut dyn Iterator<Item = f32>| {
            line.iter_mut().zip(values).for_each(|(to, value)| *to = value);
        };
        match &*self.storage {
            Storage::Float32(panels) => fill(
                line,
                &mut panels.panel(panel, 0).iter().skip(lane).step_by(COLUMNS).copied(),
            ),
            Storage::Float16(panels) => {
                let column = panels.panel(panel, 0).iter().skip(lane).step_by(COLUMNS);
                fill(line, &mut column.map(|value| value.to_f32_const()));
            }
            Storage::Int16(panels) => fill(line, &mut panels.column(row)),
            Storage::Int8(panels) => fill(line, &mut panels.column(panel, lane)),
            Storage::Int4(panels) => line.copy_from_slice(&panels.column(row)),
            Storage::Plain(_) => unreachable!("a weight elsewhere is not packed"),
        }
    }

    /// x·Wᵀ + b of a contiguous `x` [rows, input], [rows, output]; `finish(place, part)` is called for every part of a row.
    pub(crate) fn multiply(
        &self,
        x: &FlexTensor,
        bias: Option<&[f32]>,
        finish: impl Fn(usize, &mut [f32]) + Send + Sync,
    ) -> Vec<f32> {
        let [rows, columns] = extents(x);
        let left = Matrix::new(floats(x), rows, columns);
        match &*self.storage {
            Storage::Float32(panels) => multiply_and_finish(left, panels, bias, finish),
            Storage::Float16(panels) if rows < MANY => multiply_and_finish(left, panels, bias, finish),
            Storage::Float16(panels) => multiply_rows_unpacked(left, panels, bias, finish),
            Storage::Int16(panels) => multiply_integers(left, panels, bias, finish),
            Storage::Int8(panels) => multiply_unpacked(left, panels, bias, finish),
            Storage::Int4(panels) => multiply_unpacked(left, panels, bias, finish),
            Storage::Plain(_) => unreachable!("a weight elsewhere is not packed"),
        }
    }
}

/// Writes the rows of a weight that lie in the panel number `index`.
fn turn(panels: &impl Unpack, index: usize, rows: &mut [f32]) {
    let depth = panels.depth();
    with_scratch(depth * COLUMNS, |panel| {
        panels.unpack(index, panel);
        for (lane, row) in rows.chunks_mut(depth).enumerate() {
            let column = panel.chunks_exact(COLUMNS).map(|line| line[lane]);
            row.iter_mut().zip(column).for_each(|(to, value)| *to = value);
        }
    });
}

fn plain_rows(weight: &Tensor<2>, rows: &[usize]) -> Tensor<2> {
    let indices: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    let indices = Tensor::from_data(TensorData::from(indices.as_slice()), &weight.device());
    weight.clone().select(0, indices)
}

fn primitive<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    let tensor = tensor.without_autodiff().try_into_primitive::<Flex>();
    contiguous(&tensor.expect("the tensor was found to live on Flex"))
}

/// [`linear_with`](crate::linear_with) for a packed weight: `x` [.., input] → [.., output], with `bias` [output]. Of these `x`
/// has a gradient, and what the epilogue adds.
pub fn linear_packed<const D: usize>(
    x: Tensor<D>,
    weight: &PackedWeight,
    bias: Option<Tensor<1>>,
    epilogue: Epilogue<D>,
) -> Tensor<D> {
    let mut shape = x.dims();
    if let Storage::Plain(weight) = &*weight.storage {
        return follow(linear(x, weight.clone(), bias), epilogue);
    }
    assert!(
        x.dtype() == DType::F32 && shape[D - 1] == weight.input,
        "a packed weight of {} inputs takes 32-bit floats [.., {}], found {:?} {shape:?}",
        weight.input,
        weight.input,
        x.dtype()
    );
    let rows = shape[..D - 1].iter().product::<usize>();
    shape[D - 1] = weight.output;
    let (x, bias) = (x.reshape([rows, weight.input]), bias.map(primitive));
    if x.is_autodiff() {
        return after(multiply_held(x, weight, bias).reshape(shape), epilogue);
    }
    let x = primitive(x);
    let other = match &epilogue {
        Epilogue::Add(other) => Some(primitive(other.clone())),
        _ => None,
    };
    let finish = |place: usize, line: &mut [f32]| match &epilogue {
        Epilogue::Nothing => {}
        Epilogue::Gelu => GELU.in_place(line),
        Epilogue::Relu => RELU.in_place(line),
        Epilogue::Add(_) => {
            let other = other.as_ref().map(floats).unwrap_or_default();
            add_columns(&other[place..place + line.len()], line);
        }
    };
    let y = weight.multiply(&x, bias.as_ref().map(floats), finish);
    Tensor::<2>::from_primitive::<Flex>(tensor(y, [rows, weight.output])).reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, elements, same_bits, values};

    /// The weight's numbers after rounding to multiples of a 127th of each row's largest.
    fn in_8_bits(weight: &[f32], input: usize) -> Vec<f32> {
        let rows = weight.chunks(input).map(|row| {
            let scale = row.iter().fold(0f32, |most, value| most.max(value.abs())) / 127.0;
            row.iter().map(move |value| (value * (1.0 / scale)).round() * scale)
        });
        rows.flatten().collect()
    }

    /// The same after rounding to multiples of an eighth of the largest of 32 neighbours, of which the largest is −8.
    fn in_4_bits(weight: &[f32], input: usize) -> Vec<f32> {
        let groups = weight.chunks(input).flat_map(|row| row.chunks(32)).map(|group| {
            let farther = |a: &&f32, b: &&f32| a.abs().total_cmp(&b.abs());
            let scale = f16::from_f32(group.iter().max_by(farther).unwrap() / -8.0).to_f32();
            group
                .iter()
                .map(move |value| (value * (1.0 / scale)).round().clamp(-8.0, 7.0) * scale)
        });
        groups.flatten().collect()
    }

    fn check_packed([rows, input, output]: [usize; 3], weight: &[f32], precision: Precision) {
        let device = Device::flex();
        let x = values(1, rows * input);
        let (bias, other) = (values(3, output), values(4, rows * output));
        let matrix = |values: &[f32], shape: [usize; 2]| Tensor::<1>::from_floats(values, &device).reshape(shape);
        let exact = match precision {
            Precision::Float32 | Precision::Int16 => weight.to_vec(),
            Precision::Int8 => in_8_bits(weight, input),
            Precision::Int4 => in_4_bits(weight, input),
        };
        // Of 16 bits the rounding is what is allowed for.
        let tolerance = if precision == Precision::Int16 { 1e-3 } else { 1e-5 };
        let packed = PackedWeight::new(matrix(weight, [output, input]), precision);
        for epilogue in 0..3 {
            let run = || {
                let epilogue = match epilogue {
                    0 => Epilogue::Nothing,
                    1 => Epilogue::Relu,
                    _ => Epilogue::Add(matrix(&other, [rows, output])),
                };
                let bias = Tensor::<1>::from_floats(bias.as_slice(), &device);
                elements(linear_packed(matrix(&x, [rows, input]), &packed, Some(bias), epilogue))
            };
            let expected: Vec<f64> = (0..rows * output)
                .map(|index| {
                    let (row, column) = (index / output, index % output);
                    let terms =
                        (0..input).map(|at| f64::from(x[row * input + at]) * f64::from(exact[column * input + at]));
                    let y = terms.sum::<f64>() + f64::from(bias[column]);
                    match epilogue {
                        0 => y,
                        1 => y.max(0.0),
                        _ => y + f64::from(other[index]),
                    }
                })
                .collect();
            close("packed", &same_bits(run), &expected, tolerance);
        }
        let found = elements(packed.rows(&[output - 1, 0]));
        let expected = [&exact[(output - 1) * input..], &exact[..input]].concat();
        let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
        close("rows", &found, &expected, tolerance);
        let exact: Vec<f64> = exact.into_iter().map(f64::from).collect();
        close("whole", &packed.whole(), &exact, tolerance);
    }

    #[test]
    fn packed_weights_match_their_definition() {
        for shape in [
            [1, 1, 1],
            [1, 300, 100],
            [3, 7, 17],
            [9, 40, 70],
            [30, 65, 33],
            [1, 520, 2100],
            [MANY + 3, 65, 70],
        ] {
            let [_, input, output] = shape;
            let weight = values(2, output * input);
            let short: Vec<f32> = weight.iter().map(|value| f16::from_f32(*value).to_f32()).collect();
            check_packed(shape, &weight, Precision::Float32);
            check_packed(shape, &short, Precision::Float32);
            check_packed(shape, &weight, Precision::Int16);
            check_packed(shape, &weight, Precision::Int8);
            check_packed(shape, &weight, Precision::Int4);
        }
    }

    #[test]
    fn numbers_lie_in_16_bits_where_that_changes_none() {
        let packed = |last: f32| {
            let weight = [[0.5, -0.0, 65504.0], [2f32.powi(-24), 1.0, last]];
            let weight = Tensor::<2>::from_floats(weight, &Device::flex());
            PackedWeight::new(weight, Precision::Float32)
        };
        assert!(matches!(*packed(0.25).storage, Storage::Float16(_)));
        for wide in [0.1, 65505.0, f32::NAN, 1e-9] {
            assert!(matches!(*packed(wide).storage, Storage::Float32(_)), "{wide}");
        }
    }

    #[test]
    fn a_weight_of_16_bits_is_packed_as_one_of_32() {
        let device = Device::flex();
        for (output, input) in [(33, 19), (48, 64), (5, 8), (16, 1)] {
            let weight = Tensor::<1>::from_floats(values(7, output * input).as_slice(), &device);
            let weight = weight.reshape([output, input]).cast(FloatDType::F16);
            let x = || Tensor::<1>::from_floats(values(8, 4 * input).as_slice(), &device).reshape([4, input]);
            for precision in [Precision::Float32, Precision::Int16, Precision::Int8, Precision::Int4] {
                let product = |weight: Tensor<2>| {
                    let packed = PackedWeight::new(weight, precision);
                    let rows = elements(packed.rows(&[output - 1, 0]));
                    (rows, elements(linear_packed(x(), &packed, None, Epilogue::Nothing)))
                };
                let expected = product(weight.clone().cast(FloatDType::F32));
                assert_eq!(product(weight.clone()), expected, "{output} × {input}, {precision:?}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "row 3 of a packed weight with 3 rows")]
    fn a_row_beyond_the_weight_is_refused() {
        PackedWeight::new(Tensor::ones([3, 2], &Device::flex()), Precision::Float32).rows(&[3]);
    }

    #[test]
    fn a_row_of_zeros_stays_zero_in_few_bits() {
        for precision in [Precision::Int16, Precision::Int8, Precision::Int4] {
            let weight = PackedWeight::new(Tensor::zeros([2, 3], &Device::flex()), precision);
            let y = linear_packed(
                Tensor::<2>::ones([1, 3], &Device::flex()),
                &weight,
                None,
                Epilogue::Nothing,
            );
            assert_eq!(elements(y), [0.0, 0.0]);
        }
    }
}
