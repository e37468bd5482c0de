//! Models: the common token representation, encoders, fusion, tasks, checkpoints and the prediction pipeline.

pub mod checkpoint;
pub mod decoding;
mod device;
mod encoder;
mod error;
mod examples;
pub mod explain;
pub mod fusion;
mod init;
pub mod layers;
mod media;
mod model;
mod parameters;
mod pass;
mod pipeline;
mod run_directory;
pub mod stems;
pub mod tasks;
mod tokens;
pub mod trunks;

pub use burn::tensor::Device;
pub use device::DeviceKind;
pub use encoder::EncoderConfig;
pub use error::{Mismatch, ModelError, Result};
pub use examples::Examples;
pub use init::Init;
pub use layers::absorb_statistics;
pub use model::{Model, ModelConfig, OutputConfig, Outputs};
pub use parameters::{Parameter, exchange_parameters, gradients, map_parameters, parameters};
pub use pass::Pass;
pub use pipeline::{Answers, Pipeline};
pub use run_directory::{Description, RunDirectory};
pub use sensorium_kernels::{keep_freed_memory, on_compute_threads};
pub use tokens::{Layout, Tokens};
