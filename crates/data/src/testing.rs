//! How many cases property tests try.

use proptest::prelude::*;

/// As many cases as `SENSORIUM_FUZZ_CASES` says, or `usual`.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("SENSORIUM_FUZZ_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    ProptestConfig::with_cases(cases.unwrap_or(usual))
}
