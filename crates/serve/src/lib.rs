//! Serves trained models over HTTP: a JSON and multipart API, a batching queue and a web page.
//!
//! The routes know nothing of tensors: what computes stands behind [`Engine`].

mod body;
mod engine;
mod error;
mod given;
mod guard;
mod inputs;
mod media;
mod options;
mod page;
mod pipeline;
mod queue;
mod routes;
mod server;
mod turns;
mod wire;

pub use engine::Engine;
pub use error::ServeError;
pub use options::Options;
pub use pipeline::PipelineEngine;
pub use server::{Server, run, serve};
pub use wire::{
    Description, InputDescription, InputValue, Inputs, ItemError, Modality, Output, OutputDescription, Outputs, Part,
    Ranked, Turn,
};
