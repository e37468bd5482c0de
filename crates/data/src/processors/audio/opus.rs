//! Opus packets (RFC 6716) behind the header of Ogg, Matroska or MP4 (RFC 7845, section 5.1).

use crate::Result;
#[cfg(feature = "opus")]
pub use decoder::Opus;

/// The rate at which Opus is always decoded.
#[cfg(feature = "opus")]
const SAMPLE_RATE: u32 = 48_000;

#[cfg(feature = "opus")]
mod decoder {
    use super::{Result, SAMPLE_RATE};
    use crate::{DataError, ErrorKind};
    use ruopus::MultistreamDecoder;

    /// A decoder with the output gain of its header.
    pub struct Opus {
        decoder: MultistreamDecoder,
        channels: usize,
        gain: f32,
    }

    impl Opus {
        /// Reads the identification header.
        pub fn new(header: &[u8]) -> Result<Self> {
            let fault = |found: &str| {
                let message = format!("expected whole Opus audio, found {found}; replace the file");
                DataError::new(ErrorKind::Damaged, message)
            };
            let fixed: &[u8; 19] = header
                .first_chunk()
                .filter(|fixed| fixed.starts_with(b"OpusHead"))
                .ok_or_else(|| fault("no header"))?;
            let channels = usize::from(fixed[9]);
            let (streams, coupled, mapping) = layout(fixed[18], channels, &header[19..])
                .filter(is_sound)
                .ok_or_else(|| fault("a wrong header"))?;
            // MP4 writes version 0 and its numbers the other way round.
            let gain = match fixed[8] {
                0 => i16::from_be_bytes([fixed[16], fixed[17]]),
                _ => i16::from_le_bytes([fixed[16], fixed[17]]),
            };
            Ok(Self {
                decoder: MultistreamDecoder::with_rate(SAMPLE_RATE, streams, coupled, mapping),
                channels,
                // Decibels in 256ths.
                gain: 10_f32.powf(f32::from(gain) / (256.0 * 20.0)),
            })
        }

        pub fn sample_rate(&self) -> u32 {
            SAMPLE_RATE
        }

        /// Decodes one packet to a plane for each channel.
        pub fn decode(&mut self, packet: &[u8], planes: &mut Vec<Vec<f32>>) -> Result<(), String> {
            if packet.is_empty() {
                return Err("an empty packet".to_string());
            }
            let interleaved = self.decoder.decode_packet(packet).map_err(|error| error.to_string())?;
            planes.resize(self.channels, Vec::new());
            for (channel, plane) in planes.iter_mut().enumerate() {
                let samples = interleaved.iter().skip(channel).step_by(self.channels);
                plane.clear();
                plane.extend(samples.map(|sample| sample * self.gain));
            }
            Ok(())
        }
    }

    /// The numbers of streams and of pairs among them, and the decoded channel that each channel is.
    type Layout<'a> = (usize, usize, &'a [u8]);

    /// The layout of a mapping family; what family 0 leaves out, the others write behind the header.
    fn layout(family: u8, channels: usize, rest: &[u8]) -> Option<Layout<'_>> {
        match (family, rest) {
            (0, _) if matches!(channels, 1 | 2) => Some((1, channels - 1, &[0, 1][..channels])),
            (1, [streams, coupled, mapping @ ..]) => {
                let mapping = mapping.get(..channels)?;
                Some((usize::from(*streams), usize::from(*coupled), mapping))
            }
            _ => None,
        }
    }

    /// Whether there are as many decoded channels as the mapping speaks of; 255 is silence.
    fn is_sound(&(streams, coupled, mapping): &Layout) -> bool {
        let decoded = streams + coupled;
        let known = |&channel: &u8| channel == 255 || usize::from(channel) < decoded;
        streams > 0 && coupled <= streams && decoded <= 255 && !mapping.is_empty() && mapping.iter().all(known)
    }
}

#[cfg(all(test, feature = "opus"))]
mod tests {
    use super::*;

    /// A header of `channels` channels with what a mapping family writes behind it.
    fn check(channels: u8, family: u8, rest: &[u8], accepted: bool) {
        let fixed = [1, channels, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, family];
        let header = [&b"OpusHead"[..], &fixed, rest].concat();
        assert_eq!(Opus::new(&header).is_ok(), accepted, "{channels} {family} {rest:?}");
    }

    #[test]
    fn only_layouts_that_make_sense_are_decoded() {
        check(1, 0, &[], true);
        check(2, 0, &[], true);
        check(3, 0, &[], false);
        check(0, 0, &[], false);
        check(4, 1, &[2, 2, 0, 1, 2, 3], true);
        check(2, 1, &[1, 0, 0, 255], true);
        check(4, 1, &[2, 2, 0, 1, 2], false);
        check(4, 1, &[2, 2, 0, 1, 2, 4], false);
        check(4, 1, &[2, 3, 0, 1, 2, 3], false);
        check(1, 1, &[0, 0, 255], false);
        check(1, 1, &[200, 100, 0], false);
        check(0, 1, &[1, 0], false);
        check(2, 2, &[], false);
    }
}

/// What stands in the decoder's place where the program was built without it.
#[cfg(not(feature = "opus"))]
pub enum Opus {}

#[cfg(not(feature = "opus"))]
impl Opus {
    pub fn new(_header: &[u8]) -> Result<Self> {
        let message =
            "expected audio that this program was built to read, found Opus; build it with the feature `opus`";
        Err(crate::DataError::new(crate::ErrorKind::Unsupported, message))
    }

    pub fn sample_rate(&self) -> u32 {
        match *self {}
    }

    pub fn decode(&mut self, _packet: &[u8], _planes: &mut Vec<Vec<f32>>) -> Result<(), String> {
        match *self {}
    }
}
