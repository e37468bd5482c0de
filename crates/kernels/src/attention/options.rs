//! What an attention hides and drops.

use burn::tensor::{Bool, Tensor};

/// Options of [`attention`](crate::attention): by default every query sees every key.
#[derive(Clone, Debug, Default)]
pub struct AttentionOptions {
    /// [batch, keys], true where a key is real.
    pub mask: Option<Tensor<2, Bool>>,
    pub kind: AttentionKind,
    pub dropout: Option<AttentionDropout>,
    /// Added to the scores of each head by how far a key stands from a query, [heads, queries + keys − 1]: to that of query i
    /// and key j its number j − i + queries − 1 (Raffel et al. 2020, 2.1).
    pub bias: Option<Tensor<2>>,
    /// What products of queries and keys are multiplied by; 1 / √width by default.
    pub scale: Option<f64>,
}

impl AttentionOptions {
    /// Attention to the keys that are real.
    pub fn padded(mask: Tensor<2, Bool>) -> Self {
        Self {
            mask: Some(mask),
            ..Self::default()
        }
    }

    /// The same where a mask may be missing, because all keys are real.
    pub fn masked(mask: Option<Tensor<2, Bool>>) -> Self {
        Self {
            mask,
            ..Self::default()
        }
    }

    /// Attention to the keys up to the query's own.
    pub fn causal() -> Self {
        Self {
            kind: AttentionKind::Causal,
            ..Self::default()
        }
    }
}

/// Which keys a query may see by its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttentionKind {
    /// All of them.
    #[default]
    Full,
    /// Query i sees keys up to i + keys − queries, so that the last query sees all.
    Causal,
    /// As many keys at the start are seen by every query, later ones as in `Causal` (Raffel et al. 2020).
    Prefix(usize),
}

impl AttentionKind {
    /// The number of keys that a query sees, always the first ones; it never falls from one query to the next.
    pub fn seen(self, query: usize, queries: usize, keys: usize) -> usize {
        let causal = (query + 1 + keys).saturating_sub(queries);
        match self {
            Self::Full => keys,
            Self::Causal => causal.min(keys),
            Self::Prefix(length) => causal.max(length).min(keys),
        }
    }
}

/// Zeroes weights and scales the rest to keep their mean (Srivastava et al. 2014).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionDropout {
    /// The probability that a weight is zeroed, below 1.
    pub rate: f64,
    /// Which weights are zeroed follows from the seed and their place in [batch, heads, queries, keys] alone.
    pub seed: u64,
}
