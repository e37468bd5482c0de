//! What a feature looks like to people: a picture for a report.

use super::image::CHANNELS;
use super::{AudioFeature, Feature, Picture, Spectrogram};

/// Frames of a video that are shown side by side.
const FRAMES: usize = 8;
/// The widest spectrum that is shown, in pixels.
const WIDEST: usize = 1000;

impl Feature {
    /// A picture as it is, the first one of several, the frames of a video side by side, the spectra of a sound with time to the right and
    /// frequency upwards; nothing for texts and raw samples.
    pub fn preview(&self) -> Option<Picture> {
        match self {
            Self::Image(picture) => Some(picture.clone()),
            Self::Pictures(pictures) => pictures.first().cloned(),
            Self::Video(clip) => Some(strip(&clip.frames)),
            Self::Audio(AudioFeature::Spectrogram(spectrogram)) => spectrum(spectrogram),
            Self::Audio(AudioFeature::Waveform(_)) | Self::Text(_) => None,
        }
    }
}

fn strip(frames: &[Picture]) -> Picture {
    let count = frames.len().min(FRAMES);
    let shown: Vec<&Picture> = (0..count).map(|place| &frames[place * frames.len() / count]).collect();
    let (height, width) = (frames[0].height, frames[0].width);
    let line = |row: usize| {
        let range = row * width * CHANNELS..(row + 1) * width * CHANNELS;
        shown
            .iter()
            .flat_map(move |frame| frame.pixels[range.clone()].iter().copied())
    };
    Picture {
        height,
        width: width * count,
        pixels: (0..height).flat_map(line).collect(),
    }
}

/// Black is the lowest value and white the highest; long sounds show every few frames.
fn spectrum(sound: &Spectrogram) -> Option<Picture> {
    let (low, high) = sound.values.iter().fold((f32::MAX, f32::MIN), |(low, high), value| {
        (low.min(*value), high.max(*value))
    });
    if sound.frames == 0 || sound.bins == 0 {
        return None;
    }
    let width = sound.frames.min(WIDEST);
    let grey = |row: usize, column: usize| {
        let frame = column * sound.frames / width;
        let value = sound.values[frame * sound.bins + (sound.bins - 1 - row)];
        (255.0 * (value - low) / (high - low).max(f32::MIN_POSITIVE)) as u8
    };
    let places = (0..sound.bins).flat_map(|row| (0..width).map(move |column| (row, column)));
    Some(Picture {
        height: sound.bins,
        width,
        pixels: places.flat_map(|(row, column)| [grey(row, column); CHANNELS]).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processors::Clip;

    #[test]
    fn the_frames_of_a_video_stand_side_by_side() {
        let frame = |shade: u8| Picture {
            height: 2,
            width: 1,
            pixels: vec![shade; 6],
        };
        let clip = Clip {
            frames: vec![frame(1), frame(2)],
            timestamps: vec![0.0, 1.0],
            duration: 2.0,
        };
        let strip = Feature::Video(clip).preview().unwrap();
        assert_eq!((strip.height, strip.width), (2, 2));
        assert_eq!(strip.pixels, [1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2]);
    }

    #[test]
    fn a_spectrum_has_time_to_the_right_and_frequency_upwards() {
        let sound = Spectrogram {
            frames: 3,
            bins: 2,
            values: vec![0.0, 1.0, 0.0, 2.0, 0.0, 4.0],
            silence: 0.0,
        };
        let picture = spectrum(&sound).unwrap();
        assert_eq!((picture.height, picture.width), (2, 3));
        let greys: Vec<u8> = picture.pixels.iter().step_by(CHANNELS).copied().collect();
        assert_eq!(greys, [63, 127, 255, 0, 0, 0]);
    }
}
