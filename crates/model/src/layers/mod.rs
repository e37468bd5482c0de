//! The layers that architectures are built from. Weights have PyTorch's layouts and names.

mod activation;
mod attention;
mod conv;
mod decoder_block;
mod dropout;
mod embedding;
mod grouped_attention;
mod linear;
mod llama_block;
mod memory;
mod named;
mod norm;
mod order;
mod positions;
mod rms_norm;
mod rnn;
mod transformer;

pub use activation::Activation;
pub use attention::MultiHeadAttention;
pub use conv::{Conv2d, DepthwiseConv1d};
pub use decoder_block::{BlockState, DecoderBlock, DecoderBlockOptions, Norms};
pub use dropout::{Dropout, Rates};
pub use embedding::Embedding;
pub use grouped_attention::{AttentionBias, GroupedAttention, GroupedAttentionOptions};
pub use linear::Linear;
pub use llama_block::{LlamaBlock, LlamaBlockOptions};
pub use memory::Memory;
pub use named::Named;
pub use norm::{BatchNorm, EPSILON, LayerNorm, absorb_statistics};
pub use order::{Order, Within};
pub use positions::{PositionKind, Positions, rotary_turns, sinusoidal_positions};
pub use rms_norm::RmsNorm;
pub use rnn::{Cell, Rnn};
pub use transformer::{BlockOptions, TransformerBlock};
