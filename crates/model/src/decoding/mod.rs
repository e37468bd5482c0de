//! Decoding: from what a model says of each next token or frame to answers.

pub mod ctc;
pub mod ngram;
pub mod search;
