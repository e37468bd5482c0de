//! Benchmarks: fixed workloads to compare with other programs, products by shape, and rates of data preparation.

mod gemm;
mod initial;
mod measure;
mod preparation;
mod workloads;

pub use gemm::{GemmReport, ProductReport, gemm};
pub use initial::InitialError;
pub use measure::{Report, Spread, Timing};
pub use preparation::{PreparationReport, Rate, preparation, write_inputs};
pub use workloads::{Workload, run};
