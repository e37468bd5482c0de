//! Measures of predictions against targets.

mod classification;

pub use classification::{Confusion, Outcome};
use std::collections::BTreeMap;

/// Values by the metric's contract name.
pub type Metrics = BTreeMap<String, f64>;

/// Low and high ends by the metric's name.
pub type Intervals = BTreeMap<String, [f64; 2]>;
