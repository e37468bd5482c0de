//! WAV (Multimedia Programming Interface 1.0, RF64 as in EBU Tech 3306): chunks, and the plain
//! encodings of samples, converted exactly.

use super::complete::{Walk, damaged};
use super::waveform::Waveform;
use crate::{DataError, ErrorKind, Result};
use std::ops::Range;

const NAME: &str = "WAV";

/// A walked file: what its header says and where its samples lie.
pub struct Wave {
    format: u16,
    pub channels: u16,
    pub sample_rate: u32,
    bits: u16,
    block: u16,
    /// Samples per channel, where the header counts them.
    pub samples: Option<u64>,
    pub data: Range<usize>,
    /// Where the format chunk lies.
    header: Range<usize>,
}

/// How a plain sample is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    U8,
    I16,
    I24,
    I32,
    F32,
    F64,
    ALaw,
    MuLaw,
}

impl Wave {
    /// Follows the chunks to the end of the file.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where a chunk is cut, or the format or the data is missing.
    pub fn walk(bytes: &[u8], start: usize) -> Result<Self> {
        let mut walk = Walk::new(NAME, bytes, start..bytes.len());
        walk.skip(4)?;
        let size = u32::from_le_bytes(walk.take()?);
        walk.skip(4)?;
        let (mut format, mut data, mut samples, mut wide) = (None, None, None, None);
        while walk.left() > 1 {
            let kind: [u8; 4] = walk.take()?;
            let claimed = u64::from(u32::from_le_bytes(walk.take()?));
            let open = claimed == u64::from(u32::MAX);
            let length = match (&kind, wide) {
                (b"data", Some(wide)) if open => wide,
                // A writer that could not go back left the length open: the data ends with the file.
                (b"data", None) if open || (claimed == 0 && size == 0) => walk.left() as u64,
                _ => claimed,
            };
            let mut content = walk
                .inner(length)
                .map_err(|_| damaged(NAME, bytes.len(), "fewer bytes than its chunk has"))?;
            match &kind {
                b"ds64" => wide = Some(wide_data(&mut content)?),
                b"fmt " => format = Some(Self::format(content)?),
                b"fact" if content.left() >= 4 => samples = Some(u64::from(u32::from_le_bytes(content.take()?))),
                b"data" => data = data.or(Some(content.at..content.end)),
                _ => {}
            }
            if length % 2 == 1 && walk.left() > 0 {
                walk.skip(1)?;
            }
        }
        let wave = format.ok_or_else(|| damaged(NAME, start, "no format chunk"))?;
        let data = data.ok_or_else(|| damaged(NAME, bytes.len(), "no data chunk"))?;
        Ok(Self { samples, data, ..wave })
    }

    fn format(mut content: Walk) -> Result<Self> {
        let header = content.at..content.end;
        let mut short = || Ok::<u16, DataError>(u16::from_le_bytes(content.take()?));
        let (mut format, channels) = (short()?, short()?);
        let (low, high) = (short()?, short()?);
        let (_, _, block, bits) = (short()?, short()?, short()?, short()?);
        if format == 0xfffe {
            // The extension's size, valid bits and speakers, then a GUID that starts with the format.
            let _ = (short()?, short()?, short()?, short()?);
            format = short()?;
        }
        Ok(Self {
            format,
            channels,
            sample_rate: u32::from(high) << 16 | u32::from(low),
            bits,
            block,
            samples: None,
            data: 0..0,
            header,
        })
    }

    /// Whether the samples come in ADPCM blocks, which another decoder reads.
    pub fn is_adpcm(&self) -> bool {
        matches!(self.format, 2 | 17)
    }

    /// Samples per channel of whole ADPCM blocks.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when the data is not whole blocks.
    pub fn adpcm_samples(&self) -> Result<u64> {
        let channels = u64::from(self.channels).max(1);
        let (header, first) = if self.format == 2 { (7, 2) } else { (4, 1) };
        let content = u64::from(self.block)
            .checked_sub(header * channels)
            .filter(|_| self.bits == 4);
        let content = content.ok_or_else(|| damaged(NAME, self.data.start, "blocks of a wrong size"))?;
        let blocks = self.data.len() as u64 / u64::from(self.block);
        if !(self.data.len() as u64).is_multiple_of(u64::from(self.block)) {
            return Err(damaged(NAME, self.data.end, "a block that is cut"));
        }
        Ok(blocks * (2 * content / channels + first))
    }

    /// The shortest header that says the same of the data.
    pub fn plain_header(&self, bytes: &[u8]) -> Vec<u8> {
        let format = &bytes[self.header.clone()];
        // Without what may follow the extension whose size stands behind the first 16 bytes.
        let extension = format
            .get(16..18)
            .map_or(0, |size| usize::from(u16::from_le_bytes([size[0], size[1]])));
        let format = &format[..format.len().min(18 + extension)];
        let padding = &[0][..format.len() % 2];
        let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let whole = size(4 + 8 + format.len() + padding.len() + 8 + self.data.len());
        let parts: [&[u8]; 8] = [
            b"RIFF",
            &whole,
            b"WAVEfmt ",
            &size(format.len()),
            format,
            padding,
            b"data",
            &size(self.data.len()),
        ];
        parts.concat()
    }

    fn encoding(&self) -> Result<Encoding> {
        Ok(match (self.format, self.bits) {
            (1, 1..=8) => Encoding::U8,
            (1, 9..=16) => Encoding::I16,
            (1, 17..=24) if self.block == 4 * self.channels => Encoding::I32,
            (1, 17..=24) => Encoding::I24,
            (1, 25..=32) => Encoding::I32,
            (3, 32) => Encoding::F32,
            (3, 64) => Encoding::F64,
            (6, 8) => Encoding::ALaw,
            (7, 8) => Encoding::MuLaw,
            (format, bits) => {
                let message = format!(
                    "expected WAV samples of 8 to 32 bits, floats, A-law, mu-law or ADPCM, found format {format} of \
                     {bits} bits; convert it to FLAC"
                );
                return Err(DataError::new(ErrorKind::Unsupported, message));
            }
        })
    }

    /// Samples per channel of a plain encoding.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for another encoding, [`ErrorKind::Damaged`] for data that is not
    /// whole samples.
    pub fn plain_samples(&self) -> Result<u64> {
        let width = self.encoding()?.width() * usize::from(self.channels);
        if width == 0 || !self.data.len().is_multiple_of(width) {
            return Err(damaged(NAME, self.data.end, "data that is not whole samples"));
        }
        Ok((self.data.len() / width) as u64)
    }

    /// Converts the samples of a plain encoding.
    ///
    /// # Errors
    /// Those of [`plain_samples`](Self::plain_samples), and [`ErrorKind::Damaged`] for a sample that
    /// is no finite number.
    pub fn decode(&self, bytes: &[u8]) -> Result<Waveform> {
        let (length, encoding) = (self.plain_samples()? as usize, self.encoding()?);
        let (data, count) = (&bytes[self.data.clone()], usize::from(self.channels));
        let channels = match encoding {
            Encoding::U8 => planes(data, count, length, |[byte]| (f32::from(byte) - 128.0) / 128.0),
            Encoding::I16 => planes(data, count, length, |pair| scaled(i16::from_le_bytes(pair))),
            Encoding::I24 => planes(data, count, length, |[low, middle, high]| {
                (i32::from_le_bytes([0, low, middle, high]) >> 8) as f32 / 8_388_608.0
            }),
            Encoding::I32 => planes(data, count, length, |four| {
                i32::from_le_bytes(four) as f32 / 2_147_483_648.0
            }),
            Encoding::F32 => planes(data, count, length, f32::from_le_bytes),
            Encoding::F64 => planes(data, count, length, |eight| f64::from_le_bytes(eight) as f32),
            Encoding::ALaw => planes(data, count, length, |[byte]| scaled(a_law(byte))),
            Encoding::MuLaw => planes(data, count, length, |[byte]| scaled(mu_law(byte))),
        };
        if matches!(encoding, Encoding::F32 | Encoding::F64) {
            let bad = channels
                .iter()
                .filter_map(|plane| plane.iter().position(|sample| !sample.is_finite()))
                .min();
            if let Some(frame) = bad {
                let at = self.data.start + frame * count * encoding.width();
                return Err(damaged(NAME, at, "a sample that is no finite number"));
            }
        }
        Ok(Waveform {
            sample_rate: self.sample_rate,
            channels,
        })
    }
}

impl Encoding {
    /// Bytes of a sample.
    fn width(self) -> usize {
        match self {
            Self::U8 | Self::ALaw | Self::MuLaw => 1,
            Self::I16 => 2,
            Self::I24 => 3,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// The length of the data in the chunk of wide lengths.
fn wide_data(content: &mut Walk) -> Result<u64> {
    content.skip(8)?;
    Ok(u64::from_le_bytes(content.take()?))
}

/// Interleaved samples of N bytes become one plane for each channel.
fn planes<const N: usize>(data: &[u8], count: usize, length: usize, sample: impl Fn([u8; N]) -> f32) -> Vec<Vec<f32>> {
    let (samples, _) = data.as_chunks::<N>();
    if count == 1 {
        return vec![samples.iter().map(|&bytes| sample(bytes)).collect()];
    }
    let plane = |channel: usize| {
        let mut plane = Vec::with_capacity(length);
        plane.extend(samples.iter().skip(channel).step_by(count).map(|&bytes| sample(bytes)));
        plane
    };
    (0..count).map(plane).collect()
}

fn scaled(value: i16) -> f32 {
    f32::from(value) / 32_768.0
}

/// ITU-T G.711, A-law, as 16 bits.
fn a_law(byte: u8) -> i16 {
    let bits = byte ^ 0x55;
    let (exponent, mantissa) = (bits >> 4 & 7, i16::from(bits & 15) << 4);
    let value = match exponent {
        0 => mantissa + 8,
        _ => (mantissa + 0x108) << (exponent - 1),
    };
    if bits & 0x80 != 0 { value } else { -value }
}

/// ITU-T G.711, mu-law, as 16 bits.
fn mu_law(byte: u8) -> i16 {
    let bits = !byte;
    let value = ((i16::from(bits & 15) << 3) + 0x84) << (bits >> 4 & 7);
    if bits & 0x80 != 0 { 0x84 - value } else { value - 0x84 }
}
