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
mod average;
mod buffer;
mod columns;
mod convolution;
mod embedding;
mod gemm;
mod grouped;
mod held;
mod integers;
mod linear;
mod loss;
mod memory;
mod microkernel;
mod norm;
mod optimizer;
mod packed;
mod panels;
mod parallel;
mod pooling;
mod positions;
mod quantized;
mod rnn;
mod simd;
#[cfg(test)]
mod testing;
mod turns;
mod unpacked;

pub use activation::{gelu, gelu_tanh, leaky_relu, relu, relu6, sigmoid, silu, softplus, tanh};
pub use attention::{AttentionDropout, AttentionKind, AttentionOptions, KeyValueCache, attention};
pub use average::moving_average;
pub use convolution::{ConvOptions, conv1d, conv2d, conv3d};
pub use embedding::embedding;
pub use linear::{Epilogue, after, linear, linear_with};
pub use loss::{CrossEntropyOptions, cross_entropy, ctc_loss};
pub use memory::{keep_freed_memory, release_freed_memory};
pub use norm::{BatchNormOutput, batch_norm, batch_norm_evaluation, group_norm, layer_norm, rms_norm};
pub use optimizer::{AdamWOptions, AdamWSlot, adamw, gradient_norm};
pub use packed::{PackedWeight, Precision, linear_packed};
pub use parallel::{for_each_part, on_compute_threads};
pub use pooling::{PoolOptions, average_pool1d, average_pool2d, max_pool1d, max_pool2d};
pub use positions::{rotary, rotary_by, sinusoidal_positions};
pub use rnn::{gru, lstm};
pub use simd::log_sum_exp;
pub use turns::{TurnAxis, Turns};
