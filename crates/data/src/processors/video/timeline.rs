//! How many frames a GIF, APNG or animated WebP has, how long each is shown, and whether the file is
//! there to its end; without decoding.

use super::format::Animation;
use crate::{DataError, ErrorKind, Result};

/// The frames that an animation's own structure lists.
#[derive(Debug, Default, PartialEq)]
pub struct Timeline {
    /// How long each frame is shown, in seconds.
    pub delays: Vec<f64>,
    /// The largest area of each frame, in pixels.
    pub areas: Vec<u64>,
}

impl Timeline {
    /// When each frame appears, in seconds from the first, and when the last vanishes.
    pub fn times(&self) -> (Vec<f64>, f64) {
        let mut end = 0.0;
        let mut times = Vec::with_capacity(self.delays.len());
        for delay in &self.delays {
            times.push(end);
            end += delay;
        }
        (times, end)
    }

    fn push(&mut self, seconds: f64, width: u64, height: u64) {
        // Browsers show a frame of no time for a tenth of a second.
        self.delays.push(if seconds <= 0.01 { 0.1 } else { seconds });
        self.areas.push(width * height);
    }
}

/// Walks over the blocks or chunks to the end marker.
///
/// # Errors
/// [`ErrorKind::Damaged`] with the offset at which the walk ran out of bytes or frames;
/// [`ErrorKind::Unsupported`] for a still picture.
pub fn read(format: Animation, bytes: &[u8]) -> Result<Timeline> {
    let mut walk = Walk { bytes, at: 0 };
    let mut timeline = Timeline::default();
    let whole = match format {
        Animation::Gif => walk.gif(&mut timeline),
        Animation::Apng => walk.apng(&mut timeline),
        Animation::WebP => walk.webp(&mut timeline),
    };
    if whole.is_none() {
        let message = format!(
            "expected a whole animated {}, found one that is cut or altered; replace the file",
            format.name()
        );
        return Err(DataError::new(ErrorKind::Damaged, message).at_offset(walk.at.min(bytes.len()) as u64));
    }
    if timeline.delays.is_empty() {
        let message = format!(
            "expected a video, found a {} that is a still picture; make the input an image, or drop the row",
            format.name()
        );
        return Err(DataError::new(ErrorKind::Unsupported, message));
    }
    Ok(timeline)
}

/// A place in the bytes; every step gives `None` beyond their end.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?);
        self.at = self.at.saturating_add(count);
        taken
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// Blocks (GIF89a, section 17 onwards); an image follows the control block with its delay.
    fn gif(&mut self, timeline: &mut Timeline) -> Option<()> {
        self.take(10)?;
        let flags = self.byte()?;
        self.take(2 + color_table(flags))?;
        let mut delay = 0;
        loop {
            match self.byte()? {
                0x3b => return Some(()),
                0x21 => {
                    if self.byte()? == 0xf9 {
                        let [_, _, low, high] = self.bytes.get(self.at..)?.first_chunk().copied()?;
                        delay = u16::from_le_bytes([low, high]);
                    }
                }
                0x2c => {
                    let [_, _, _, _, width, wide, height, high, flags] = self.array()?;
                    self.take(color_table(flags) + 1)?;
                    let [width, height] = [[width, wide], [height, high]].map(u16::from_le_bytes);
                    timeline.push(f64::from(delay) / 100.0, width.into(), height.into());
                    delay = 0;
                }
                // Some writers leave a second terminator behind a block.
                0x00 => continue,
                _ => return None,
            }
            self.sub_blocks()?;
        }
    }

    fn sub_blocks(&mut self) -> Option<()> {
        loop {
            match self.byte()? {
                0 => return Some(()),
                length => self.take(length.into())?,
            };
        }
    }

    /// Chunks of length, type, data and checksum (PNG 3rd edition, section 11.3.6) up to `IEND`; as
    /// many frame controls as the animation control declares.
    fn apng(&mut self, timeline: &mut Timeline) -> Option<()> {
        self.take(8)?;
        let mut declared = 0;
        loop {
            let length = u32::from_be_bytes(self.array()?);
            let kind: [u8; 4] = self.array()?;
            let data = self.take(length as usize)?;
            self.take(4)?;
            match &kind {
                b"acTL" => declared = u32::from_be_bytes(*data.first_chunk()?),
                b"fcTL" => {
                    let number = |at: usize| Some(u32::from_be_bytes(*data.get(at..)?.first_chunk()?));
                    let (width, height, delay) = (number(4)?, number(8)?, number(20)?);
                    // A denominator of zero stands for hundredths of a second.
                    let (count, parts) = (delay >> 16, delay & 0xffff);
                    let parts = if parts == 0 { 100 } else { parts };
                    timeline.push(f64::from(count) / f64::from(parts), width.into(), height.into());
                }
                b"IEND" if declared as usize == timeline.delays.len() => return Some(()),
                b"IEND" => return None,
                _ => {}
            }
        }
    }

    /// RIFF chunks (RFC 9649); a frame's chunk states its size and its time.
    fn webp(&mut self, timeline: &mut Timeline) -> Option<()> {
        self.take(4)?;
        let length = u32::from_le_bytes(self.array()?) as usize;
        let end = self.at.checked_add(length).filter(|&end| end <= self.bytes.len());
        let Some(end) = end else {
            self.at = self.bytes.len();
            return None;
        };
        self.take(4)?;
        while self.at < end {
            let kind: [u8; 4] = self.array()?;
            let length = u32::from_le_bytes(self.array()?) as usize;
            let data = self.take(length)?;
            if &kind == b"ANMF" {
                let number = |at: usize| {
                    let [low, middle, high] = *data.get(at..)?.first_chunk()?;
                    Some(u32::from_le_bytes([low, middle, high, 0]))
                };
                let (width, height, delay) = (number(6)?, number(9)?, number(12)?);
                timeline.push(f64::from(delay) / 1000.0, u64::from(width) + 1, u64::from(height) + 1);
            }
            // A chunk of odd length is padded.
            self.at += length % 2;
        }
        (self.at <= self.bytes.len()).then_some(())
    }
}

/// The bytes of a GIF colour table behind `flags`.
fn color_table(flags: u8) -> usize {
    match flags & 0x80 {
        0 => 0,
        _ => 3 << ((flags & 7) + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{ANIMATIONS, golden};
    use super::*;

    #[test]
    fn every_frame_is_listed_with_its_time() {
        for (name, format) in ANIMATIONS {
            let timeline = read(format, &golden(name)).unwrap();
            let (times, end) = timeline.times();
            assert_eq!(times.len(), 30, "{name}");
            for (index, &time) in times.iter().enumerate() {
                let expected = match name {
                    "variable.gif" => (index * index) as f64 / 10.0,
                    _ => index as f64 / 10.0,
                };
                assert!((time - expected).abs() < 1e-9, "{name}: frame {index} at {time}");
            }
            assert!(end > times[29], "{name}");
            assert!(timeline.areas.iter().all(|&area| area > 0 && area <= 64 * 48), "{name}");
        }
    }

    #[test]
    fn every_cut_is_noticed() {
        for (name, format) in ANIMATIONS {
            let bytes = golden(name);
            for length in 0..bytes.len() {
                let error = read(format, &bytes[..length]).unwrap_err();
                assert_eq!(error.kind, ErrorKind::Damaged, "{name}: {length} of {}", bytes.len());
                assert!(error.offset.is_some());
            }
        }
    }

    #[test]
    fn a_still_picture_is_no_video() {
        let still = image::DynamicImage::new_rgb8(2, 2);
        for (format, encoding) in [
            (Animation::Apng, image::ImageFormat::Png),
            (Animation::WebP, image::ImageFormat::WebP),
        ] {
            let mut bytes = std::io::Cursor::new(Vec::new());
            still.write_to(&mut bytes, encoding).unwrap();
            let error = read(format, bytes.get_ref()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unsupported);
            assert!(error.message.contains("a still picture"), "{error}");
        }
    }

    #[test]
    fn a_missing_frame_is_noticed() {
        let mut bytes = golden("animated.png");
        let at = bytes.windows(4).position(|it| it == b"acTL").unwrap();
        bytes[at + 7] += 1;
        assert_eq!(read(Animation::Apng, &bytes).unwrap_err().kind, ErrorKind::Damaged);
    }
}
