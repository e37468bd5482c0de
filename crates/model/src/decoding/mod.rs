//! From probabilities to tokens: n-gram language models and the decoding of connectionist temporal classification.

pub mod ctc;
pub mod ngram;
