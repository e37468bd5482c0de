//! `--precision`: how finely a model that answers holds its weights.

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Precision {
    /// As they are
    Float32,
    /// In half of the memory, and multiplied at twice the rate; answers differ by about one part in a thousand
    Int16,
    /// In a quarter of the memory
    Int8,
    /// In an eighth of the memory
    Int4,
}

impl From<Precision> for sensorium_model::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Float32 => Self::Float32,
            Precision::Int16 => Self::Int16,
            Precision::Int8 => Self::Int8,
            Precision::Int4 => Self::Int4,
        }
    }
}
