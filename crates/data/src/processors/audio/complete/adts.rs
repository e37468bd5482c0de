//! AAC without a container: a chain of ADTS frames (ISO/IEC 13818-7, annex B).

use super::{Frame, Promise, before_tags, chain};
use crate::Result;

const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
];

/// The frame at the start of `bytes`, by its header.
pub fn frame(bytes: &[u8]) -> Option<Frame> {
    let header: &[u8; 7] = bytes.first_chunk()?;
    if header[0] != 0xff || header[1] & 0xf6 != 0xf0 {
        return None;
    }
    let length = usize::from(header[3] & 3) << 11 | usize::from(header[4]) << 3 | usize::from(header[5] >> 5);
    let least = if header[1] & 1 == 0 { 9 } else { 7 };
    Some(Frame {
        bytes: Some(length).filter(|&length| length > least)?,
        samples: 1024 * (u64::from(header[6] & 3) + 1),
        sample_rate: *SAMPLE_RATES.get(usize::from(header[2] >> 2 & 15))?,
        channels: header[2] << 2 & 4 | header[3] >> 6,
    })
}

/// Follows the frames to the end of the file or to the tags there.
pub fn check(bytes: &[u8], start: usize) -> Result<Promise> {
    let range = start..before_tags(bytes, start);
    let mut samples = 0;
    let end = chain("AAC", bytes, range, frame, |frame, _| samples += frame.samples)?;
    Ok(Promise {
        range: start..end,
        decoded: Some(samples),
        ..Promise::default()
    })
}
