//! Features: one decoded medium, and several of them padded to a batch.

use super::{AudioFeature, Clip, Picture};
use crate::Modality;

/// One decoded medium before augmentation: small enough to be cached, equal for every use.
#[derive(Debug, Clone, PartialEq)]
pub enum Feature {
    Image(Picture),
    /// Several pictures that one row lists.
    Pictures(Vec<Picture>),
    /// Token identifiers, never empty.
    Text(Vec<u32>),
    Audio(AudioFeature),
    Video(Clip),
}

impl Feature {
    pub(super) fn modality(&self) -> Modality {
        match self {
            Self::Image(_) | Self::Pictures(_) => Modality::Image,
            Self::Text(_) => Modality::Text,
            Self::Audio(_) => Modality::Audio,
            Self::Video(_) => Modality::Video,
        }
    }

    /// The memory that this feature takes, in bytes.
    pub fn size(&self) -> usize {
        let pictures = |pictures: &[Picture]| pictures.iter().map(|picture| picture.pixels.len()).sum();
        match self {
            Self::Image(picture) => picture.pixels.len(),
            Self::Pictures(several) => pictures(several),
            Self::Text(tokens) => tokens.len() * 4,
            Self::Audio(AudioFeature::Waveform(waveform)) => 4 * waveform.channels.len() * waveform.length(),
            Self::Audio(AudioFeature::Spectrogram(spectrogram)) => 4 * spectrogram.values.len(),
            Self::Video(clip) => pictures(&clip.frames),
        }
    }
}

/// Several features of one input, padded to a common shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Collated {
    /// Normalised pixels, shape [media, height, width, channels].
    Image { shape: [usize; 4], pixels: Vec<f32> },
    /// Normalised pixels of pictures in tiles, of each those of its rows and columns and then the whole, or this alone where
    /// there is one row of one column; padded with zeros, shape [media, tiles, height, width, channels]. `grids` counts the
    /// rows and columns of each picture of each medium.
    Tiles {
        shape: [usize; 5],
        pixels: Vec<f32>,
        grids: Vec<Vec<[usize; 2]>>,
    },
    /// Normalised pixels of patches, those of each square of `square` × `square` of them one after the other; padded with zeros,
    /// shape [media, patches, numbers]. `grids` has the pictures or the video of each medium.
    Patches {
        shape: [usize; 3],
        values: Vec<f32>,
        square: usize,
        grids: Vec<Vec<PatchGrid>>,
    },
    /// Token identifiers padded with the vocabulary's padding, shape [media, length]; `lengths` counts the real ones
    /// of each medium.
    Text {
        shape: [usize; 2],
        tokens: Vec<i32>,
        lengths: Vec<usize>,
    },
    /// Spectra or samples padded with zeros, shape [media, frames, bins]; `lengths` counts the real frames of each
    /// medium.
    Audio {
        shape: [usize; 3],
        values: Vec<f32>,
        lengths: Vec<usize>,
    },
    /// Normalised pixels padded with zeros, shape [media, frames, height, width, channels]; `lengths` counts the real
    /// frames of each medium.
    Video {
        shape: [usize; 5],
        pixels: Vec<f32>,
        lengths: Vec<usize>,
    },
}

/// How the squares of patches of a picture or of a video lie, row by row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PatchGrid {
    /// The groups of frames of a video; one of a picture.
    pub time: usize,
    pub rows: usize,
    pub columns: usize,
    /// From one group of frames to the next; zero of a picture.
    pub seconds: f32,
}

impl PatchGrid {
    /// How many squares there are.
    pub fn squares(&self) -> usize {
        self.time * self.rows * self.columns
    }
}

/// What an encoder must know about the features it will read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureShape {
    Image {
        height: usize,
        width: usize,
        channels: usize,
    },
    /// Pictures or videos of any size: the most patches of one, the channels, frames and side of a patch, and the side of a square
    /// in patches.
    Patches {
        most: usize,
        channels: usize,
        frames: usize,
        side: usize,
        square: usize,
    },
    /// `vocabulary` counts all token identifiers; `max_length` is in tokens.
    Text { vocabulary: usize, max_length: usize },
    /// `bins` are numbers of a frame: bands, coefficients or the channels of raw samples.
    Audio { bins: usize, max_frames: usize },
    Video {
        frames: usize,
        height: usize,
        width: usize,
        channels: usize,
    },
}

pub(super) fn heard(feature: &Feature) -> &AudioFeature {
    match feature {
        Feature::Audio(sound) => sound,
        other => panic!("an audio processor was given a {} feature", other.modality()),
    }
}

pub(super) fn clip(feature: &Feature) -> &Clip {
    match feature {
        Feature::Video(clip) => clip,
        other => panic!("a video processor was given a {} feature", other.modality()),
    }
}

pub(super) fn pictures(feature: &Feature) -> &[Picture] {
    match feature {
        Feature::Image(picture) => std::slice::from_ref(picture),
        Feature::Pictures(pictures) => pictures,
        other => panic!("an image processor was given a {} feature", other.modality()),
    }
}

pub(super) fn tokens(feature: &Feature) -> &[u32] {
    match feature {
        Feature::Text(tokens) => tokens,
        other => panic!("a text processor was given an {} feature", other.modality()),
    }
}
