//! The layers that architectures are built from. Weights have PyTorch's layouts and names.

mod attention;
mod conv;
mod decoder_block;
mod dropout;
mod embedding;
mod linear;
mod named;
mod norm;
mod rnn;
mod transformer;

pub use attention::MultiHeadAttention;
pub use conv::Conv2d;
pub use decoder_block::{BlockState, DecoderBlock};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use linear::Linear;
pub use named::Named;
pub use norm::{BatchNorm, LayerNorm, absorb_statistics};
pub use rnn::{Cell, Rnn};
pub use transformer::{TransformerBlock, sinusoidal_positions};
