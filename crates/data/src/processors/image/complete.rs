//! Whether an encoded picture is there to its end. Decoders fill what is missing with grey; a cut
//! file is an error.

use crate::{DataError, ErrorKind, Result};
use image::ImageFormat;

/// Walks the container of a JPEG, PNG, GIF or WebP to its end marker, without decoding; the
/// decoders of the other formats notice a cut themselves.
///
/// # Errors
/// [`ErrorKind::Damaged`] with the offset at which the walk ran out of bytes.
pub fn check(format: ImageFormat, bytes: &[u8]) -> Result<()> {
    let mut walk = Walk { bytes, at: 0 };
    let end = match format {
        ImageFormat::Jpeg => walk.jpeg(),
        ImageFormat::Png => walk.png(),
        ImageFormat::Gif => walk.gif(),
        ImageFormat::WebP => walk.webp(),
        _ => Some(()),
    };
    end.ok_or_else(|| {
        let message = format!(
            "expected a whole {} picture, found one that is cut or altered: its end is missing; \
             replace the file",
            super::decode::name(format)
        );
        DataError::new(ErrorKind::Damaged, message).at_offset(walk.at.min(bytes.len()) as u64)
    })
}

/// A place in the bytes; every step gives `None` beyond their end.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count)?;
        (self.at <= self.bytes.len()).then_some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.bytes.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(taken)
    }

    /// Segments behind markers (ITU T.81, annex B) up to the end-of-image marker. Thumbnails lie
    /// inside segments, so their end marker is not met.
    fn jpeg(&mut self) -> Option<()> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            self.at += rest.iter().position(|&byte| byte == 0xff)? + 1;
            match self.byte()? {
                0xd9 => return Some(()),
                // A stuffed byte, a restart marker or the start of the image: no length follows.
                0x00 | 0x01 | 0xd0..=0xd8 => {}
                // A fill byte, which may be the first byte of the marker.
                0xff => self.at -= 1,
                _ => {
                    let length = u16::from_be_bytes(self.take()?);
                    self.skip((length as usize).checked_sub(2)?)?;
                }
            }
        }
    }

    /// Chunks of length, type, data and checksum (PNG, section 5.3) up to `IEND`.
    fn png(&mut self) -> Option<()> {
        self.skip(8)?;
        loop {
            let length = u32::from_be_bytes(self.take()?);
            let kind: [u8; 4] = self.take()?;
            self.skip((length as usize).checked_add(4)?)?;
            if &kind == b"IEND" {
                return Some(());
            }
        }
    }

    /// Blocks (GIF89a, section 17 onwards) up to the trailer.
    fn gif(&mut self) -> Option<()> {
        self.skip(10)?;
        self.color_table()?;
        loop {
            match self.byte()? {
                0x3b => return Some(()),
                0x21 => self.skip(1)?,
                0x2c => {
                    self.skip(8)?;
                    self.local_color_table()?;
                    self.skip(1)?;
                }
                // Some writers leave a second terminator behind a block.
                0x00 => continue,
                _ => return None,
            }
            self.sub_blocks()?;
        }
    }

    /// The flags, two bytes of the screen descriptor, and the global colour table.
    fn color_table(&mut self) -> Option<()> {
        let flags = self.byte()?;
        self.skip(2 + table_length(flags))
    }

    fn local_color_table(&mut self) -> Option<()> {
        let flags = self.byte()?;
        self.skip(table_length(flags))
    }

    fn sub_blocks(&mut self) -> Option<()> {
        loop {
            match self.byte()? {
                0 => return Some(()),
                length => self.skip(length as usize)?,
            }
        }
    }

    /// The RIFF header states the length of all that follows it; a padding byte at the end counts
    /// too.
    fn webp(&mut self) -> Option<()> {
        self.skip(4)?;
        let length = u32::from_le_bytes(self.take()?) as usize;
        self.skip(length)
    }
}

/// The bytes of a GIF colour table behind `flags`.
fn table_length(flags: u8) -> usize {
    match flags & 0x80 {
        0 => 0,
        _ => 3 << ((flags & 7) + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `bytes` are whole, and one byte less is not.
    fn check_whole(format: ImageFormat, bytes: &[u8]) {
        assert!(check(format, bytes).is_ok());
        assert!(check(format, &[bytes, b"more"].concat()).is_ok());
        let error = check(format, &bytes[..bytes.len() - 1]).unwrap_err();
        assert_eq!(
            (error.kind, error.offset.is_some()),
            (ErrorKind::Damaged, true),
            "{error}"
        );
    }

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end_of_a_jpeg() {
        let start = b"\xff\xd8\xff\xe1\x00\x06\xff\xd8\xff\xd9";
        assert!(check(ImageFormat::Jpeg, start).is_err());
        check_whole(ImageFormat::Jpeg, &[&start[..], b"\xff\xd9"].concat());
    }

    #[test]
    fn stuffed_bytes_restarts_and_fill_bytes_are_not_the_end_of_a_jpeg() {
        let scan = b"\xff\xd8\xff\xda\x00\x02\x12\xff\x00\xd9\xff\xd0\x34\xff\xff\xd9";
        check_whole(ImageFormat::Jpeg, scan);
    }

    #[test]
    fn an_end_inside_of_a_block_is_not_the_end_of_a_gif() {
        let gif = b"GIF89a\x01\0\x01\0\0\0\0\x21\xfe\x02\x3b\x3b\x00\x3b";
        check_whole(ImageFormat::Gif, gif);
    }

    #[test]
    fn lengths_beyond_the_end_are_not_followed() {
        let png = b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIDATxxxx";
        assert!(check(ImageFormat::Png, png).is_err());
        assert!(check(ImageFormat::WebP, b"RIFF\xff\xff\xff\xffWEBP").is_err());
    }
}
