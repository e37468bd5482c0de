//! Features in memory, up to a number of bytes.

use crate::Feature;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

const POISONED: &str = "a thread that panicked while it held the cache has already ended the run";

#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    held: RwLock<Held>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    /// By input and identity.
    features: HashMap<(String, Arc<str>), Arc<Feature>>,
}

impl Memory {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            held: RwLock::default(),
        }
    }

    pub fn get(&self, input: &str, identity: &Arc<str>) -> Option<Arc<Feature>> {
        let key = (input.to_string(), identity.clone());
        self.held.read().expect(POISONED).features.get(&key).cloned()
    }

    /// Keeps the feature if it fits; what is held is never put out, so that an epoch in random order finds as much as
    /// it can.
    pub fn insert(&self, input: &str, identity: &Arc<str>, feature: &Arc<Feature>) {
        let mut held = self.held.write().expect(POISONED);
        let bytes = feature.size() + identity.len();
        let key = (input.to_string(), identity.clone());
        if held.bytes + bytes <= self.limit && held.features.insert(key, feature.clone()).is_none() {
            held.bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_held() {
        let memory = Memory::new(100);
        let feature = |tokens: usize| Arc::new(Feature::Text(vec![7; tokens]));
        for (identity, tokens, held) in [("a", 20, true), ("b", 20, false), ("c", 4, true), ("d", 1, false)] {
            let identity = identity.into();
            memory.insert("text", &identity, &feature(tokens));
            assert_eq!(memory.get("text", &identity).is_some(), held, "{identity}");
            assert!(memory.get("other", &identity).is_none());
        }
    }
}
