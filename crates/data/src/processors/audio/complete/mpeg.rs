//! MP3: a chain of frames (ISO/IEC 11172-3 and 13818-3), and what the Xing, Info, VBRI and LAME
//! headers in the first frame say of it.

use super::{Frame, Promise, before_tags, chain, damaged};
use crate::Result;

const NAME: &str = "MP3";
/// Samples by which every decoder of layer III lags behind.
const DECODER_DELAY: u64 = 529;

/// The frame of layer III at the start of `bytes`, by its header.
pub fn frame(bytes: &[u8]) -> Option<Frame> {
    let header = Header::parse(bytes).filter(|header| header.layer == 1)?;
    let [mpeg_one, mpeg_two] = BITRATES;
    let table = if header.version == 3 { mpeg_one } else { mpeg_two };
    let slots = if header.version == 3 { 144_000 } else { 72_000 };
    Some(Frame {
        bytes: (slots * table[header.bitrate] / header.sample_rate + header.padding) as usize,
        samples: if header.version == 3 { 1152 } else { 576 },
        sample_rate: header.sample_rate,
        channels: header.channels,
    })
}

/// The frame of layer II at the start of `bytes`, by its header; layer I has all but died out.
pub fn older_frame(bytes: &[u8]) -> Option<Frame> {
    const LAYER_TWO: [u32; 15] = [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
    let header = Header::parse(bytes).filter(|header| header.layer == 2)?;
    let table = if header.version == 3 { LAYER_TWO } else { BITRATES[1] };
    Some(Frame {
        bytes: (144_000 * table[header.bitrate] / header.sample_rate + header.padding) as usize,
        samples: 1152,
        sample_rate: header.sample_rate,
        channels: header.channels,
    })
}

/// Kilobits per second of layer III, MPEG 1 and MPEG 2.
const BITRATES: [[u32; 15]; 2] = [
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

struct Header {
    version: u8,
    layer: u8,
    bitrate: usize,
    sample_rate: u32,
    padding: u32,
    channels: u8,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let &[sync, kind, rates, mode] = bytes.first_chunk()?;
        let (version, layer) = (kind >> 3 & 3, kind >> 1 & 3);
        let (bitrate, rate) = (usize::from(rates >> 4), usize::from(rates >> 2 & 3));
        // Bit rate 0 is the free format, whose frame length is not written down anywhere.
        let valid = sync == 0xff && kind >= 0xe0 && version != 1 && layer != 0;
        if !valid || bitrate == 0 || bitrate == 15 || rate == 3 {
            return None;
        }
        let halvings = [2, 0, 1, 0][usize::from(version)];
        Some(Self {
            version,
            layer,
            bitrate,
            sample_rate: [44_100, 48_000, 32_000][rate] >> halvings,
            padding: u32::from(rates >> 1 & 1),
            channels: if mode >> 6 == 3 { 1 } else { 2 },
        })
    }
}

/// Follows the frames to the end of the file or to the tags there.
pub fn check(bytes: &[u8], start: usize) -> Result<Promise> {
    let range = start..before_tags(bytes, start);
    let (mut frames, mut samples, mut tag) = (0, 0, None);
    let end = chain(NAME, bytes, range, frame, |frame, content| {
        match Info::parse(frame, content) {
            // Such a frame holds no sound, wherever it lies: files are often joined end to end.
            Some(info) => tag = tag.or(Some((info, frames))),
            None => {
                frames += 1;
                samples += frame.samples;
            }
        }
    })?;
    let info = match tag {
        Some((info, 0)) => info,
        _ => Info::default(),
    };
    if info.frames.is_some_and(|promised| u64::from(promised) > frames) {
        let found = format!("{frames} frames where its header promises more");
        return Err(damaged(NAME, end, &found));
    }
    Ok(Promise {
        range: start..end,
        decoded: Some(samples),
        skip: info.delay,
        // Padding counts from the promised end, so it says nothing of what was joined behind it.
        padding: info.padding.min(samples),
        ..Promise::default()
    })
}

/// What the first frame says instead of sound.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Info {
    frames: Option<u32>,
    delay: u64,
    padding: u64,
}

impl Info {
    fn parse(frame: Frame, content: &[u8]) -> Option<Self> {
        let side = match (frame.samples, frame.channels) {
            (1152, 1) => 17,
            (1152, _) => 32,
            (_, 1) => 9,
            _ => 17,
        };
        let tag = content.get(4 + side..)?;
        if tag.starts_with(b"Xing") || tag.starts_with(b"Info") {
            return Self::xing(tag);
        }
        let tag = content.get(36..).filter(|tag| tag.starts_with(b"VBRI"))?;
        Some(Self {
            frames: Some(word(tag, 14)?),
            ..Self::default()
        })
    }

    /// Four optional fields, then the encoder's name and its delay and padding, twelve bits each.
    fn xing(tag: &[u8]) -> Option<Self> {
        let flags = word(tag, 4)?;
        let mut at = 8;
        let mut frames = None;
        for (flag, length) in [(1, 4), (2, 4), (4, 100), (8, 4)] {
            if flags & flag != 0 {
                if flag == 1 {
                    frames = Some(word(tag, at)?);
                }
                at += length;
            }
        }
        let known = tag
            .get(at..at + 4)
            .is_some_and(|name| [b"LAME", b"Lavf", b"Lavc"].contains(&name.try_into().unwrap_or(b"----")));
        let (delay, padding) = match word(tag, at + 20).filter(|_| known) {
            Some(word) => (u64::from(word >> 12 & 0xfff), u64::from(word & 0xfff)),
            None => {
                return Some(Self {
                    frames,
                    ..Self::default()
                });
            }
        };
        Some(Self {
            frames,
            delay: delay + DECODER_DELAY,
            padding: padding.saturating_sub(DECODER_DELAY),
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
