//! Readers and decoders of the libraries behind one face, and the bytes they read from.

use super::opus::Opus;
use super::probe::Container;
use std::borrow::Cow;
use std::io::{Cursor, Read, Seek, SeekFrom};
use symphonia::core::codecs::audio::well_known::{CODEC_ID_OPUS, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::{Error, Result};
use symphonia::core::formats::{FormatOptions, FormatReader, Track};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadBytes};
use symphonia::core::packet::Packet;
use symphonia::default::formats::{AdtsReader, FlacReader, IsoMp4Reader, MkvReader, MpaReader, OggReader, WavReader};

/// Bytes in memory that can be read a bounded number of times, so that no reader turns in a circle.
pub struct Source<'a> {
    bytes: Cursor<Cow<'a, [u8]>>,
    /// Reads and seeks that are left, and bytes that may still be read.
    calls: u64,
    budget: u64,
}

impl<'a> Source<'a> {
    /// Opens the reader of `container` on `bytes`.
    pub fn open(container: Container, bytes: Cow<'a, [u8]>) -> Result<Box<dyn FormatReader + 'a>> {
        let length = bytes.len() as u64;
        let source = Self {
            bytes: Cursor::new(bytes),
            calls: length + (64 << 10),
            budget: 16 * length + (16 << 20),
        };
        let mut stream = MediaSourceStream::new(Box::new(source), Default::default());
        let options = FormatOptions::default();
        Ok(match container {
            Container::Wave => Box::new(WavReader::try_new(stream, options)?),
            Container::Flac => Box::new(FlacReader::try_new(stream, options)?),
            Container::Mp3 => Box::new(MpaReader::try_new(stream, options)?),
            Container::Adts => Box::new(AdtsReader::try_new(stream, options)?),
            Container::Ogg => Box::new(OggReader::try_new(stream, options)?),
            Container::Matroska => Box::new(MkvReader::try_new(stream, options)?),
            Container::Mp4 => {
                // This reader expects to stand behind the first box's length.
                stream.read_quad_bytes()?;
                Box::new(IsoMp4Reader::try_new(stream, options)?)
            }
        })
    }

    fn spend(&mut self, bytes: u64) -> std::io::Result<()> {
        let left = self.calls.checked_sub(1).zip(self.budget.checked_sub(bytes));
        (self.calls, self.budget) = left.ok_or(std::io::ErrorKind::QuotaExceeded)?;
        Ok(())
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.spend(count as u64)?;
        Ok(count)
    }
}

impl Seek for Source<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.spend(0)?;
        self.bytes.seek(to)
    }
}

impl MediaSource for Source<'_> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.bytes.get_ref().len() as u64)
    }
}

/// A decoder of packets.
pub enum Codec {
    Symphonia {
        decoder: Box<dyn AudioDecoder>,
        sample_rate: u32,
    },
    Opus(Opus),
}

impl Codec {
    /// The decoder of a track.
    pub fn new(track: &Track) -> Result<Self> {
        let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
        let parameters = parameters.ok_or(Error::Unsupported("no known codec"))?;
        if parameters.codec == CODEC_ID_OPUS {
            let header = parameters.extra_data.as_deref().unwrap_or_default();
            return Opus::new(header)
                .map(Self::Opus)
                .map_err(|_| Error::Unsupported("Opus"));
        }
        // Vorbis begins with half a window that is no sound, and ends as its page says. The delay and
        // padding of other codecs are in the promise of the container.
        let gapless = parameters.codec == CODEC_ID_VORBIS;
        let options = AudioDecoderOptions::default().gapless(gapless).verify(true);
        let decoder = symphonia::default::get_codecs().make_audio_decoder(parameters, &options)?;
        Ok(Self::Symphonia {
            decoder,
            sample_rate: 0,
        })
    }

    /// The rate of what was decoded last.
    pub fn sample_rate(&self) -> u32 {
        match self {
            Self::Symphonia { sample_rate, .. } => *sample_rate,
            Self::Opus(opus) => opus.sample_rate(),
        }
    }

    /// Decodes one packet to a plane for each channel.
    pub fn decode(&mut self, packet: &Packet, planes: &mut Vec<Vec<f32>>) -> Result<()> {
        match self {
            Self::Symphonia { decoder, sample_rate } => {
                let decoded = decoder.decode(packet)?;
                *sample_rate = decoded.spec().rate();
                decoded.copy_to_vecs_planar(planes);
                Ok(())
            }
            Self::Opus(opus) => opus
                .decode(&packet.data, planes)
                .map_err(|_| Error::DecodeError("a wrong Opus packet")),
        }
    }

    /// Whether the samples have the digest that the file gives, where it gives one.
    pub fn verified(&mut self) -> bool {
        match self {
            Self::Symphonia { decoder, .. } => decoder.finalize().verify_ok != Some(false),
            Self::Opus(_) => true,
        }
    }
}
