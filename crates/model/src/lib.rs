//! Models: the common token representation, encoders, fusion, tasks, checkpoints and the prediction pipeline.

mod adapters;
pub mod architectures;
mod check;
pub mod checkpoint;
pub mod decoder;
pub mod decoding;
pub mod depth;
mod device;
mod encoded;
mod encoder;
mod error;
mod examples;
pub mod explain;
mod float;
pub mod fusion;
mod held;
mod init;
pub mod layers;
mod media;
mod model;
mod parameters;
mod parts;
mod pass;
mod pipeline;
pub mod retrieval;
mod run_directory;
mod source;
pub mod stems;
pub mod tasks;
mod tensor_file;
mod tokens;
pub mod transcription;
pub mod trunks;
mod writer;

pub use adapters::LoraConfig;
pub use burn::tensor::Device;
pub use device::DeviceKind;
pub use encoded::{Encoded, Reading};
pub use encoder::{EncoderConfig, PretrainedConfig};
pub use error::{Mismatch, ModelError, Result};
pub use examples::Examples;
pub use init::Init;
pub use layers::absorb_statistics;
pub use model::{Model, ModelConfig, OutputConfig};
pub use parameters::{
    Parameter, exchange_parameters, freeze_parameters, gradients, map_parameters, parameters, shapes,
};
pub use parts::Part;
pub use pass::{Pass, Statistics};
pub use pipeline::{Answers, BATCH_SIZE, Pipeline};
pub use run_directory::{Description, RunDirectory, TextDescription};
pub use sensorium_kernels::{Precision, keep_freed_memory, on_compute_threads, release_freed_memory};
pub use source::Source;
pub use tokens::{Layout, Tokens};
pub use writer::{Writer, Writers};
