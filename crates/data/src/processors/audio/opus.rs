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
    use opus_decoder::OpusMultistreamDecoder;

    /// The longest packet: 120 ms.
    const MAX_SAMPLES: usize = 5760;

    /// A decoder with the output gain of its header.
    pub struct Opus {
        decoder: OpusMultistreamDecoder,
        channels: usize,
        gain: f32,
        interleaved: Vec<f32>,
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
            let stereo = [0, 1];
            let (streams, coupled, mapping) = match (fixed[18], &header[19..]) {
                (0, _) if matches!(channels, 1 | 2) => (1, channels - 1, &stereo[..channels]),
                (1, [streams, coupled, mapping @ ..]) if mapping.len() >= channels => {
                    (usize::from(*streams), usize::from(*coupled), &mapping[..channels])
                }
                _ => return Err(fault("a wrong header")),
            };
            let decoder = OpusMultistreamDecoder::new(SAMPLE_RATE, channels, streams, coupled, mapping)
                .map_err(|error| fault(&error.to_string()))?;
            // MP4 writes version 0 and its numbers the other way round.
            let gain = match fixed[8] {
                0 => i16::from_be_bytes([fixed[16], fixed[17]]),
                _ => i16::from_le_bytes([fixed[16], fixed[17]]),
            };
            Ok(Self {
                decoder,
                channels,
                // Decibels in 256ths.
                gain: 10_f32.powf(f32::from(gain) / (256.0 * 20.0)),
                interleaved: vec![0.0; MAX_SAMPLES * channels],
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
            let decoded = self.decoder.decode_float(packet, &mut self.interleaved, false);
            let length = decoded.map_err(|error| error.to_string())?;
            planes.resize(self.channels, Vec::new());
            for (channel, plane) in planes.iter_mut().enumerate() {
                let samples = self.interleaved.iter().skip(channel).step_by(self.channels);
                plane.clear();
                plane.extend(samples.take(length).map(|sample| sample * self.gain));
            }
            Ok(())
        }
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
