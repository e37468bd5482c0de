//! What property tests share: how many cases they try, and how golden files are damaged.

use proptest::prelude::*;

/// As many cases as `SENSORIUM_FUZZ_CASES` says, or `usual`.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("SENSORIUM_FUZZ_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    ProptestConfig::with_cases(cases.unwrap_or(usual))
}

/// One way to damage a file; places are fractions of its length.
#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    Set(f64, u8),
    Flip(f64, u8),
    Insert(f64, Vec<u8>),
    Remove(f64, usize),
    /// Bytes of one place written over another.
    Copy(f64, f64, usize),
    Cut(f64),
}

/// A few mutations, cuts being rare among them.
pub(crate) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let place = || prop_oneof![0.0..1.0f64, 0.9..1.0f64];
    let one = prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        4 => (place(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        2 => (place(), proptest::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        2 => (place(), 1..40usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        2 => (place(), place(), 1..40usize).prop_map(|(from, to, count)| Mutation::Copy(from, to, count)),
        1 => place().prop_map(Mutation::Cut),
    ];
    proptest::collection::vec(one, 1..5)
}

pub(crate) fn mutate(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        let at = |place: f64| (place * bytes.len() as f64) as usize;
        match mutation {
            _ if bytes.is_empty() => {}
            Mutation::Set(place, byte) => {
                let at = at(*place);
                bytes[at] = *byte;
            }
            Mutation::Flip(place, bit) => {
                let at = at(*place);
                bytes[at] ^= 1 << bit;
            }
            Mutation::Insert(place, inserted) => {
                let at = at(*place);
                bytes.splice(at..at, inserted.iter().copied());
            }
            Mutation::Remove(place, count) => {
                let at = at(*place);
                bytes.drain(at..bytes.len().min(at + count));
            }
            Mutation::Copy(from, to, count) => {
                let (from, to) = (at(*from), at(*to));
                let count = (*count).min(bytes.len() - from.max(to));
                bytes.copy_within(from..from + count, to);
            }
            Mutation::Cut(place) => bytes.truncate(at(*place)),
        }
    }
    bytes
}
