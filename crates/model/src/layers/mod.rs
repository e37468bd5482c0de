//! The layers that architectures are built from. Weights have PyTorch's layouts and names.

mod attention;
mod conv;
mod decoder_block;
mod dropout;
mod embedding;
mod linear;
mod memory;
mod named;
mod norm;
mod order;
mod positions;
mod rnn;
mod transformer;

pub use attention::MultiHeadAttention;
pub use conv::{Conv2d, DepthwiseConv1d};
pub use decoder_block::{BlockState, DecoderBlock};
pub use dropout::{Dropout, Rates};
pub use embedding::Embedding;
pub use linear::Linear;
pub use memory::Memory;
pub use named::Named;
pub use norm::{BatchNorm, LayerNorm, absorb_statistics};
pub use order::{Order, Within};
pub use positions::{PositionKind, Positions, rotary_turns, sinusoidal_positions};
pub use rnn::{Cell, Rnn};
pub use transformer::{BlockOptions, TransformerBlock};
