//! Randomness that depends on what it is for, never on the order of calls.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A key such as (seed, epoch, sample, operation). Equal keys give equal streams on every machine.
#[derive(Debug, Clone)]
pub struct Key(blake3::Hasher);

impl Key {
    pub fn new(seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        Self(hasher)
    }

    /// Narrows the key by a word: the name of an operation, or the identity of a medium.
    pub fn with(&self, part: &str) -> Self {
        let mut hasher = self.0.clone();
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
        Self(hasher)
    }

    /// Narrows the key by a number: an epoch, a step, an index.
    pub fn at(&self, index: u64) -> Self {
        let mut hasher = self.0.clone();
        hasher.update(b"#");
        hasher.update(&index.to_le_bytes());
        Self(hasher)
    }

    /// The generator of this key's stream.
    pub fn generator(&self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    fn first(key: Key) -> u64 {
        key.generator().random()
    }

    #[test]
    fn a_stream_depends_on_every_part_of_its_key() {
        let key = Key::new(1).with("crop").at(3);
        assert_eq!(first(key.clone()), first(Key::new(1).with("crop").at(3)));
        for other in [
            Key::new(2).with("crop").at(3),
            Key::new(1).with("flip").at(3),
            Key::new(1).with("crop").at(4),
            Key::new(1).with("cro").with("p").at(3),
        ] {
            assert_ne!(first(key.clone()), first(other));
        }
    }
}
