//! Encoded bytes become samples.

use super::Waveform;
use crate::{DataError, ErrorKind, Result};

/// Reads 16-bit mono samples at 16,000 Hz.
pub fn decode(bytes: &[u8]) -> Result<Waveform> {
    let (pairs, []) = bytes.as_chunks::<2>() else {
        return Err(DataError::new(
            ErrorKind::Damaged,
            "expected a sound, found half a sample",
        ));
    };
    let samples = pairs.iter().map(|&pair| f32::from(i16::from_le_bytes(pair)) / 32_768.0);
    Ok(Waveform {
        sample_rate: 16_000,
        channels: vec![samples.collect()],
    })
}
