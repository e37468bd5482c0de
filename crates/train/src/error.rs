//! The one error of this crate.

use sensorium_data::DataError;
use sensorium_model::ModelError;

pub type Result<T, E = TrainError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The recipe, or an override on the command line, is wrong.
    #[error("{0}")]
    Recipe(String),
    /// A folder that is in the way.
    #[error("{0}")]
    Run(String),
    /// More rows are unreadable than the failure budget allows.
    #[error("{0}")]
    Budget(String),
    /// A loss or a gradient that is not a number: the weights were not touched.
    #[error("{0}")]
    NonFinite(String),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Model(#[from] ModelError),
}
