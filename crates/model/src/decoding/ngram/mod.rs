//! N-gram language models over words or characters: training, ARPA files, and scores for a search.
//!
//! Smoothing is interpolated modified Kneser–Ney (Chen and Goodman 1998, "An empirical study of smoothing techniques for
//! language modeling"), with the choices of KenLM's `lmplz` (Heafield et al. 2013), whose files are
//! the golden ones.

mod arpa;
mod config;
mod count;
mod kneser_ney;
mod model;
#[cfg(test)]
mod tests;
mod trie;
mod vocabulary;

pub use config::NgramConfig;
pub use model::{Evaluation, NgramModel, State};
pub use vocabulary::{BEGIN, END, UNKNOWN, Unit, Vocabulary};
