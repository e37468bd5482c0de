//! Contiguous `f32` slices in and out of Flex tensors.

use burn::tensor::{Bytes, DType, Device, Shape, Tensor};
use burn_flex::{FlexTensor, Layout};
use half::f16;

/// Whether the fused operations apply: 32-bit floats on the Flex backend.
pub fn fused<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && tensor.device() == Device::flex()
}

/// `tensor` with its elements in row-major order without gaps, copied only if they are not.
pub fn contiguous(tensor: &FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() {
        tensor.clone()
    } else {
        tensor.to_contiguous()
    }
}

/// The elements of a contiguous tensor of 32-bit floats.
pub fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor
        .as_slice()
        .expect("a fused operation makes its inputs contiguous 32-bit floats first")
}

/// The elements of a contiguous tensor of 16-bit floats.
pub fn halves(tensor: &FlexTensor) -> &[f16] {
    tensor
        .as_slice()
        .expect("the caller found 16-bit floats and made them contiguous")
}

/// A tensor that owns `values` in row-major order.
pub fn tensor(values: Vec<f32>, shape: impl Into<Vec<usize>>) -> FlexTensor {
    let shape = Shape::from(shape.into());
    assert_eq!(
        values.len(),
        shape.num_elements(),
        "a buffer must fill its shape {shape:?}"
    );
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape), DType::F32)
}

/// The extents of a tensor's axes.
pub fn extents<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    let shape = tensor.layout().shape();
    shape
        .as_slice()
        .try_into()
        .expect("the public function fixes the number of axes")
}

/// The elements of a tensor of integers, in row-major order.
pub fn integers(tensor: &FlexTensor) -> Vec<i64> {
    macro_rules! widen {
        ($kind:ty) => {{
            let tensor = contiguous(tensor);
            let values: Option<&[$kind]> = tensor.as_slice();
            let values = values.expect("the type was matched and the tensor made contiguous");
            values.iter().map(|&value| i64::from(value)).collect()
        }};
    }
    match tensor.dtype() {
        DType::I64 => widen!(i64),
        DType::I32 => widen!(i32),
        DType::I16 => widen!(i16),
        DType::I8 => widen!(i8),
        DType::U32 => widen!(u32),
        DType::U16 => widen!(u16),
        DType::U8 => widen!(u8),
        other => {
            panic!("expected integers of at most 63 bits, found {other:?}: cast the tensor to i64")
        }
    }
}

/// The elements of a tensor of truth values, in row-major order.
pub fn booleans(tensor: &FlexTensor) -> Vec<bool> {
    let tensor = contiguous(tensor);
    let offsets = tensor.layout().contiguous_offsets();
    let (start, end) = offsets.expect("the tensor was made contiguous above");
    tensor.storage::<u8>()[start..end]
        .iter()
        .map(|&value| value != 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;
    use burn::tensor::{Bool, Int};

    #[test]
    fn views_are_read_in_row_major_order() {
        let device = Device::flex();
        let floats = Tensor::<2>::from_floats([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &device);
        let view = floats.narrow(1, 1, 2).transpose().try_into_primitive::<Flex>().unwrap();
        assert_eq!(super::floats(&contiguous(&view)), [2.0, 5.0, 3.0, 6.0]);
        let row = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &device).narrow(0, 1, 1);
        let row = row.try_into_primitive::<Flex>().unwrap();
        assert_eq!(super::floats(&contiguous(&row)), [3.0, 4.0]);
        let integers = Tensor::<2, Int>::from_ints([[1, -2], [3, 4]], &device).transpose();
        let integers = integers.try_into_primitive::<Flex>().unwrap();
        assert_eq!(super::integers(&integers), [1, 3, -2, 4]);
        let truths = Tensor::<2, Bool>::from_bool([[true, false], [false, false]], &device);
        let truths = truths.narrow(0, 0, 1).try_into_primitive::<Flex>().unwrap();
        assert_eq!(booleans(&truths), [true, false]);
    }
}
