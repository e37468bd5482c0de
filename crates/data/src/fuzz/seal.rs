//! Sums that are made right again, so that what lies below them is read.

use super::parts::{self, parts};
use crate::processors::audio::complete::ogg;

/// Makes the sums of a file right.
pub type Seal = fn(&mut [u8]);

pub fn none(_: &mut [u8]) {}

/// The CRC-32 of each chunk.
pub fn png(bytes: &mut [u8]) {
    for part in parts(parts::png, bytes).into_iter().skip(1) {
        let mut sum = flate2::Crc::new();
        sum.update(&bytes[part.start + 4..part.end - 4]);
        bytes[part.end - 4..part.end].copy_from_slice(&sum.sum().to_be_bytes());
    }
}

/// The CRC-32 of each page.
pub fn ogg(bytes: &mut [u8]) {
    for part in parts(parts::ogg, bytes) {
        ogg::seal(&mut bytes[part.start..part.end]);
    }
}

/// The sum of each header, wherever one stands.
pub fn tar(bytes: &mut [u8]) {
    for block in bytes
        .chunks_exact_mut(512)
        .filter(|block| block[257..].starts_with(b"ustar"))
    {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:07o}\0").as_bytes());
    }
}

/// No digest of all samples, and the sums of each frame and of its header.
pub fn flac(bytes: &mut [u8]) {
    if bytes.len() > 42 {
        bytes[26..42].fill(0);
    }
    for part in parts(parts::flac, bytes) {
        let frame = &mut bytes[part.start..part.end];
        if frame[0] != 0xff || frame.len() < 18 {
            continue;
        }
        let header = flac_header(frame);
        frame[header] = sum_of_bits(&frame[..header], 8, 0x07) as u8;
        let end = frame.len() - 2;
        let sum = sum_of_bits(&frame[..end], 16, 0x8005);
        frame[end..].copy_from_slice(&sum.to_be_bytes());
    }
}

/// The bytes before the sum of a frame's header (RFC 9639, section 9.1).
fn flac_header(frame: &[u8]) -> usize {
    let (block, rate) = (frame[2] >> 4, frame[2] & 15);
    let number = frame[4].leading_ones().clamp(1, 7) as usize;
    let block = match block {
        6 => 1,
        7 => 2,
        _ => 0,
    };
    let rate = match rate {
        12 => 1,
        13 | 14 => 2,
        _ => 0,
    };
    4 + number + block + rate
}

/// A CRC of 8 or 16 bits that starts at zero, its highest bit first.
fn sum_of_bits(bytes: &[u8], width: u32, polynomial: u16) -> u16 {
    let top = 1u16 << (width - 1);
    let mask = u16::MAX >> (16 - width);
    let bit = |sum: u16, _| {
        if sum & top == 0 {
            sum << 1
        } else {
            (sum << 1) ^ polynomial
        }
    };
    let byte = |sum: u16, byte: &u8| (0..8).fold(sum ^ u16::from(*byte) << (width - 8), bit) & mask;
    bytes.iter().fold(0, byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sealing a whole file changes nothing but what `allowed` clears.
    fn check(name: &str, seal: Seal, allowed: std::ops::Range<usize>) {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference");
        let mut expected = std::fs::read(folder.join(name)).unwrap();
        let mut sealed = expected.clone();
        seal(&mut sealed);
        expected[allowed].fill(0);
        assert!(sealed == expected, "{name}");
    }

    #[test]
    fn a_whole_file_has_its_seals() {
        check("pictures/palette.png", png, 0..0);
        check("audio/mono.ogg", ogg, 0..0);
        check("audio/s16.flac", flac, 26..42);
        let whole = crate::archive::tar::archive(&[("a.png", &[1; 600])]);
        let mut sealed = whole.clone();
        tar(&mut sealed);
        assert!(sealed == whole);
    }
}
