//! Media in, features out: samples, processors, manifests, splits, the catalogue and the batch loader.
//!
//! Names no tensor type: a batch leaves here as flat vectors with their shapes.

mod archive;
mod cache;
pub mod catalogue;
pub mod check;
mod dataset;
mod error;
mod ffmpeg;
pub mod files;
#[cfg(test)]
mod fuzz;
mod groups;
mod home;
mod loader;
pub mod manifest;
mod mixing;
mod modality;
pub mod processors;
pub mod random;
mod sample;
mod sampler;
pub mod shards;
mod sharing;
mod shield;
pub mod split;
pub mod storage;
mod targets;
#[cfg(test)]
mod testing;

pub use cache::FeatureCache;
pub use dataset::{Batch, ClipControl, Dataset, Draw, InputBatch, InputColumn, identity};
pub use error::{DataError, ErrorKind, Result};
pub use home::Home;
pub use loader::{Loader, Prepared};
pub use manifest::Manifest;
pub use mixing::{Mixed, Mixing};
pub use modality::Modality;
pub use processors::{Collated, Feature, Processor, ProcessorConfig};
pub use sample::{Sample, Value};
pub use sampler::Sampler;
pub use shards::{ShardIndex, ShardSet, ShardStream, TrainingStream};
pub use storage::Stored;
pub use targets::{OutputColumn, Takes, TargetTexts, Targets, TextColumn, relevances};
