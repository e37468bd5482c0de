//! FLAC (RFC 9639): metadata blocks, then frames to the end of the file.

use super::{Promise, Walk, before_tags};
use crate::Result;

const NAME: &str = "FLAC";

/// The kind of the block that describes the stream, and its length.
const STREAM_INFO: (u8, usize) = (0, 34);

/// Walks the metadata and reads the number of samples; the frames' own sums and the digest of the
/// samples are checked while decoding. Tags, pictures and cue sheets are not handed on: whatever is
/// wrong with them says nothing of the sound.
pub fn check(bytes: &[u8], start: usize) -> Result<Promise> {
    let end = before_tags(bytes, start);
    let mut walk = Walk::new(NAME, bytes, start..end);
    walk.skip(4)?;
    let mut info = None;
    loop {
        let header = walk.u32()?;
        let [kind, ..] = header.to_be_bytes();
        let block = walk.inner(u64::from(header & 0xff_ffff))?;
        if (kind & 0x7f, block.left()) == STREAM_INFO {
            info = info.or(Some(block));
        }
        if kind & 0x80 != 0 {
            break;
        }
    }
    let mut info = info.ok_or_else(|| walk.fault("no description of its stream"))?;
    let head = [b"fLaC\x80\0\0\x22", info.rest()].concat();
    info.skip(10)?;
    let samples = info.u64()? & 0xf_ffff_ffff;
    Ok(Promise {
        head,
        range: walk.at..end,
        decoded: Some(samples).filter(|&samples| samples > 0),
        dense: true,
        ..Promise::default()
    })
}
