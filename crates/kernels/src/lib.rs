//! Tensor operations of the models: fused on the CPU, burn's own operations elsewhere, one safe function each.
//!
//! Fused operations run for 32-bit floats on burn's Flex backend, with and without autodiff. Every parallel
//! reduction has a partition that follows from the problem alone, so that results have the same bits for any number
//! of threads.

// Kernels reach into disjoint parts of shared buffers and call SIMD instructions that were detected at run time.
#![allow(unsafe_code)]

mod activation;
mod attention;
mod autograd;
mod buffer;
mod columns;
mod conv2d;
mod gemm;
mod linear;
mod loss;
mod microkernel;
mod norm;
mod optimizer;
mod panels;
mod parallel;
mod rnn;
mod simd;
#[cfg(test)]
mod testing;

pub use activation::{gelu, relu};
pub use attention::attention;
pub use conv2d::{Conv2dOptions, conv2d};
pub use linear::linear;
pub use loss::cross_entropy;
pub use norm::{BatchNormOutput, batch_norm, layer_norm};
pub use optimizer::{AdamWOptions, AdamWSlot, adamw, gradient_norm};
pub use rnn::{gru, lstm};
