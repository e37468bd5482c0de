//! Benchmarks: fixed workloads to compare with other programs, products by shape, and rates of data preparation.

mod initial;
mod measure;
mod workloads;

pub use initial::InitialError;
pub use measure::{Report, Spread};
pub use workloads::{Workload, run};
