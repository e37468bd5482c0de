//! A feature as the bytes of a file: a mark, the checksum of the rest, its kind, its numbers.

use crate::Feature;
use crate::processors::{AudioFeature, Clip, Picture, Spectrogram, Waveform};

const MARK: &[u8; 8] = b"feature1";
/// The mark and a BLAKE3 checksum.
const HEADER: usize = 8 + 32;

/// The file of a feature; none for a text, which is not kept.
pub(super) fn write(feature: &Feature) -> Option<Vec<u8>> {
    let mut writer = Writer(vec![0; HEADER]);
    match feature {
        Feature::Text(_) => return None,
        Feature::Image(picture) => writer.kind(0).picture(picture),
        Feature::Audio(AudioFeature::Waveform(waveform)) => writer.kind(1).waveform(waveform),
        Feature::Audio(AudioFeature::Spectrogram(spectrogram)) => writer.kind(2).spectrogram(spectrogram),
        Feature::Video(clip) => writer.kind(3).clip(clip),
        Feature::Pictures(pictures) => writer.kind(4).pictures(pictures),
    }
    let mut bytes = writer.0;
    let checksum = *blake3::hash(&bytes[HEADER..]).as_bytes();
    bytes[..8].copy_from_slice(MARK);
    bytes[8..HEADER].copy_from_slice(&checksum);
    Some(bytes)
}

/// The feature of a file; none for one that is cut, altered or of another version.
pub(super) fn read(bytes: &[u8]) -> Option<Feature> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    if &header[..8] != MARK || header[8..] != blake3::hash(rest).as_bytes()[..] {
        return None;
    }
    let mut reader = Reader(rest);
    let feature = match reader.byte()? {
        0 => Feature::Image(reader.picture()?),
        1 => Feature::Audio(AudioFeature::Waveform(reader.waveform()?)),
        2 => Feature::Audio(AudioFeature::Spectrogram(reader.spectrogram()?)),
        3 => Feature::Video(reader.clip()?),
        4 => Feature::Pictures(reader.pictures()?),
        _ => return None,
    };
    reader.0.is_empty().then_some(feature)
}

/// Numbers are little-endian; a list is its length and its values.
struct Writer(Vec<u8>);

impl Writer {
    fn kind(&mut self, kind: u8) -> &mut Self {
        self.0.push(kind);
        self
    }

    fn length(&mut self, length: usize) {
        self.0.extend((length as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend(bytes);
    }

    fn floats(&mut self, values: &[f32]) {
        self.length(values.len());
        self.0.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    fn picture(&mut self, picture: &Picture) {
        self.length(picture.height);
        self.length(picture.width);
        self.bytes(&picture.pixels);
    }

    fn waveform(&mut self, waveform: &Waveform) {
        self.length(waveform.sample_rate as usize);
        self.length(waveform.channels.len());
        waveform.channels.iter().for_each(|channel| self.floats(channel));
    }

    fn spectrogram(&mut self, spectrogram: &Spectrogram) {
        self.length(spectrogram.frames);
        self.length(spectrogram.bins);
        self.floats(&[spectrogram.silence]);
        self.floats(&spectrogram.values);
    }

    fn pictures(&mut self, pictures: &[Picture]) {
        self.length(pictures.len());
        pictures.iter().for_each(|picture| self.picture(picture));
    }

    fn clip(&mut self, clip: &Clip) {
        self.pictures(&clip.frames);
        self.floats(&clip.timestamps);
        self.floats(&[clip.duration]);
    }
}

/// What is left of a file's bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn length(&mut self) -> Option<usize> {
        let bytes = self.take(8)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = self.length()?;
        Some(self.take(length)?.to_vec())
    }

    fn floats(&mut self) -> Option<Vec<f32>> {
        let length = self.length()?.checked_mul(4)?;
        let values = self.take(length)?.as_chunks::<4>().0;
        Some(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
    }

    fn float(&mut self) -> Option<f32> {
        match self.floats()?[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    fn picture(&mut self) -> Option<Picture> {
        Some(Picture {
            height: self.length()?,
            width: self.length()?,
            pixels: self.bytes()?,
        })
    }

    fn waveform(&mut self) -> Option<Waveform> {
        let sample_rate = u32::try_from(self.length()?).ok()?;
        let channels = self.length()?;
        Some(Waveform {
            sample_rate,
            channels: (0..channels).map(|_| self.floats()).collect::<Option<_>>()?,
        })
    }

    fn spectrogram(&mut self) -> Option<Spectrogram> {
        let (frames, bins) = (self.length()?, self.length()?);
        let silence = self.float()?;
        Some(Spectrogram {
            frames,
            bins,
            values: self.floats()?,
            silence,
        })
    }

    fn pictures(&mut self) -> Option<Vec<Picture>> {
        let count = self.length()?;
        (0..count).map(|_| self.picture()).collect()
    }

    fn clip(&mut self) -> Option<Clip> {
        Some(Clip {
            frames: self.pictures()?,
            timestamps: self.floats()?,
            duration: self.float()?,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn picture(shade: u8) -> Picture {
        Picture {
            height: 2,
            width: 3,
            pixels: (0..18).map(|place| place ^ shade).collect(),
        }
    }

    fn features() -> [Feature; 5] {
        [
            Feature::Image(picture(3)),
            Feature::Audio(AudioFeature::Waveform(Waveform {
                sample_rate: 16_000,
                channels: vec![vec![0.5, -0.25], vec![f32::MIN_POSITIVE, 1.0]],
            })),
            Feature::Audio(AudioFeature::Spectrogram(Spectrogram {
                frames: 2,
                bins: 1,
                values: vec![1.5, -2.0],
                silence: -1.5,
            })),
            Feature::Video(Clip {
                frames: vec![picture(1), picture(2)],
                timestamps: vec![0.0, 0.04],
                duration: 0.08,
            }),
            Feature::Pictures(vec![picture(4), picture(5)]),
        ]
    }

    #[test]
    fn a_feature_comes_back_equal_and_a_text_is_not_kept() {
        for feature in features() {
            assert_eq!(read(&write(&feature).unwrap()), Some(feature));
        }
        assert_eq!(write(&Feature::Text(vec![1])), None);
    }

    proptest::proptest! {
        #[test]
        fn an_altered_file_is_no_feature(which in 0usize..5, cut in 0usize..400, place in 0usize..400, bit in 0u8..8) {
            let mut bytes = write(&features()[which]).unwrap();
            let cut_length = cut % bytes.len();
            assert_eq!(read(&bytes[..cut_length]), None);
            let place = place % bytes.len();
            bytes[place] ^= 1 << bit;
            assert_eq!(read(&bytes), None);
        }

        #[test]
        fn any_bytes_with_a_true_checksum_are_a_feature_or_none(rest in proptest::collection::vec(0u8..5, 0..60)) {
            let bytes = [MARK.as_slice(), blake3::hash(&rest).as_bytes(), &rest].concat();
            if let Some(feature) = read(&bytes) {
                assert_eq!(write(&feature).unwrap(), bytes);
            }
        }
    }
}
