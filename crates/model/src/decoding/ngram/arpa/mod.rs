//! The ARPA format of n-gram models: lines of `log10 probability`, n-gram and `log10 back-off weight`.

mod read;
mod write;
