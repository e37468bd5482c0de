//! Sensorium as a library: one import for the parts that the command line is made of.

pub use sensorium_data as data;
pub use sensorium_model as model;
pub use sensorium_serve as serve;
pub use sensorium_train as train;
