//! Masks over time and frequency (SpecAugment, Park et al. 2019).

use super::super::in_bounds;
use super::spectrum::Spectrogram;
use crate::Result;
use crate::random::Key;
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MAX_WIDTH: usize = 100_000;
const MAX_COUNT: usize = 100;
/// How many masks the paper's policy for LibriSpeech draws (LD).
const COUNT: usize = 2;
/// The largest share of a clip that one time mask covers in the paper's policies for Switchboard.
const SHARE: f64 = 0.2;

/// One random change of a training spectrum. What is masked becomes the mean of the clip, so that the
/// mask says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpectrumAugment {
    /// Hides runs of frames of up to this many.
    TimeMask(TimeMask),
    /// Hides bands of up to this many bins, the same in every channel.
    FrequencyMask(FrequencyMask),
}

/// Masks over all bins of some frames.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "WrittenTimeMask")]
pub struct TimeMask {
    /// The largest number of frames of one mask, 1 to 100,000.
    pub width: usize,
    /// The number of masks, 1 to 100.
    pub count: usize,
    /// The largest share of a clip that one mask covers.
    pub share: f64,
}

/// Masks over all frames of some bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenFrequencyMask")]
pub struct FrequencyMask {
    /// The largest number of bins of one mask, 1 to 100,000.
    pub width: usize,
    /// The number of masks, 1 to 100.
    pub count: usize,
}

/// A time mask as it stands in a recipe.
#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a number of frames such as 40, or { width = 40, count = 2, share = 0.2 }"
)]
#[schemars(rename = "TimeMask")]
enum WrittenTimeMask {
    /// The largest number of frames of each of two masks.
    Width(#[schemars(range(min = 1, max = 100_000))] usize),
    /// Masks of a chosen number.
    Table {
        /// The largest number of frames of one mask.
        #[schemars(range(min = 1, max = 100_000))]
        width: usize,
        /// The number of masks.
        #[serde(default = "default_count")]
        #[schemars(range(min = 1, max = 100))]
        count: usize,
        /// The largest share of a clip that one mask covers.
        #[serde(default = "default_share")]
        #[schemars(range(min = 0.0, max = 1.0))]
        share: f64,
    },
}

/// A frequency mask as it stands in a recipe.
#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a number of bins such as 27, or { width = 27, count = 2 }"
)]
#[schemars(rename = "FrequencyMask")]
enum WrittenFrequencyMask {
    /// The largest number of bins of each of two masks.
    Width(#[schemars(range(min = 1, max = 100_000))] usize),
    /// Masks of a chosen number.
    Table {
        /// The largest number of bins of one mask.
        #[schemars(range(min = 1, max = 100_000))]
        width: usize,
        /// The number of masks.
        #[serde(default = "default_count")]
        #[schemars(range(min = 1, max = 100))]
        count: usize,
    },
}

fn default_count() -> usize {
    COUNT
}

fn default_share() -> f64 {
    SHARE
}

impl From<WrittenTimeMask> for TimeMask {
    fn from(written: WrittenTimeMask) -> Self {
        match written {
            WrittenTimeMask::Width(width) => Self {
                width,
                count: COUNT,
                share: SHARE,
            },
            WrittenTimeMask::Table { width, count, share } => Self { width, count, share },
        }
    }
}

impl From<WrittenFrequencyMask> for FrequencyMask {
    fn from(written: WrittenFrequencyMask) -> Self {
        match written {
            WrittenFrequencyMask::Width(width) => Self { width, count: COUNT },
            WrittenFrequencyMask::Table { width, count } => Self { width, count },
        }
    }
}

impl JsonSchema for TimeMask {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        WrittenTimeMask::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        WrittenTimeMask::json_schema(generator)
    }
}

impl JsonSchema for FrequencyMask {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        WrittenFrequencyMask::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        WrittenFrequencyMask::json_schema(generator)
    }
}

impl SpectrumAugment {
    /// The word in recipes, which is also the key of its random draws.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TimeMask(_) => "time_mask",
            Self::FrequencyMask(_) => "frequency_mask",
        }
    }

    /// Checks the bounds of every setting.
    pub fn validate(&self) -> Result<()> {
        let (field, width, count) = match self {
            Self::TimeMask(mask) => ("augment.time_mask", mask.width, mask.count),
            Self::FrequencyMask(mask) => ("augment.frequency_mask", mask.width, mask.count),
        };
        in_bounds(&format!("{field}.width"), width, 1..=MAX_WIDTH)?;
        in_bounds(&format!("{field}.count"), count, 1..=MAX_COUNT)?;
        match self {
            Self::TimeMask(mask) => in_bounds(&format!("{field}.share"), mask.share, 0.0..=1.0),
            Self::FrequencyMask(_) => Ok(()),
        }
    }

    /// Draws the masks and writes `fill` under them. A frame holds `channels` times as many bins as
    /// one channel.
    pub fn apply(&self, spectrogram: &mut Spectrogram, channels: usize, fill: f32, key: &Key) {
        let mut generator = key.with(self.name()).generator();
        let (frames, bins) = (spectrogram.frames, spectrogram.bins / channels);
        let mut draw = |length: usize, widest: usize| {
            let width = generator.random_range(0..=widest.min(length));
            let start = generator.random_range(0..=length - width);
            start..start + width
        };
        match self {
            Self::TimeMask(mask) => {
                let widest = mask.width.min((frames as f64 * mask.share) as usize);
                for _ in 0..mask.count {
                    let hidden = draw(frames, widest);
                    spectrogram.values[hidden.start * spectrogram.bins..hidden.end * spectrogram.bins].fill(fill);
                }
            }
            Self::FrequencyMask(mask) => {
                for _ in 0..mask.count {
                    let hidden = draw(bins, mask.width);
                    let channels = spectrogram.values.chunks_exact_mut(bins);
                    channels.for_each(|bins| bins[hidden.clone()].fill(fill));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDDEN: f32 = -1.0;

    /// Which values a mask hides, [frames, bins].
    fn hidden(mask: SpectrumAugment, [frames, bins]: [usize; 2], channels: usize, key: u64) -> Vec<Vec<bool>> {
        let values = vec![1.0; frames * bins];
        let silence = 0.0;
        let mut spectrogram = Spectrogram {
            frames,
            bins,
            values,
            silence,
        };
        mask.apply(&mut spectrogram, channels, HIDDEN, &Key::new(key));
        let rows = spectrogram.values.chunks_exact(bins);
        rows.map(|row| row.iter().map(|&value| value == HIDDEN).collect())
            .collect()
    }

    /// The lengths of the runs of hidden places.
    fn runs(hidden: &[bool]) -> Vec<usize> {
        let parts = hidden.split(|&hidden| !hidden);
        parts.map(<[bool]>::len).filter(|&length| length > 0).collect()
    }

    #[test]
    fn a_time_mask_hides_whole_frames_up_to_its_width() {
        let mask = SpectrumAugment::TimeMask(TimeMask {
            width: 7,
            count: 1,
            share: 1.0,
        });
        let mut widths = [0; 8];
        for key in 0..400 {
            let rows = hidden(mask, [30, 4], 1, key);
            assert!(rows.iter().all(|row| row.iter().all(|&it| it == row[0])));
            let frames: Vec<bool> = rows.iter().map(|row| row[0]).collect();
            widths[runs(&frames).first().copied().unwrap_or(0)] += 1;
            assert!(runs(&frames).len() <= 1);
        }
        assert!(widths.iter().all(|&count| count > 20), "{widths:?}");
    }

    #[test]
    fn a_time_mask_leaves_the_share_of_short_clips() {
        let mask = SpectrumAugment::TimeMask(TimeMask {
            width: 100,
            count: 1,
            share: 0.25,
        });
        let most = |frames| {
            let count = |key| hidden(mask, [frames, 1], 1, key).iter().filter(|row| row[0]).count();
            (0..200).map(count).max().unwrap()
        };
        assert_eq!((most(40), most(8), most(3), most(1)), (10, 2, 0, 0));
    }

    #[test]
    fn a_frequency_mask_hides_the_same_bins_of_every_frame_and_channel() {
        let mask = SpectrumAugment::FrequencyMask(FrequencyMask { width: 3, count: 2 });
        let mut most = 0;
        for key in 0..200 {
            let rows = hidden(mask, [5, 12], 2, key);
            assert!(rows.iter().all(|row| *row == rows[0] && row[..6] == row[6..]));
            most = most.max(rows[0][..6].iter().filter(|&&hidden| hidden).count());
        }
        assert_eq!(most, 6);
    }

    #[test]
    fn masks_read_as_recipes_write_them() {
        let check = |json: &str, expected: SpectrumAugment| {
            let mask: SpectrumAugment = serde_json::from_str(json).unwrap();
            assert_eq!(mask, expected);
            let stored = serde_json::to_string(&mask).unwrap();
            assert_eq!(serde_json::from_str::<SpectrumAugment>(&stored).unwrap(), expected);
        };
        let time = |width, count, share| SpectrumAugment::TimeMask(TimeMask { width, count, share });
        let frequency = |width, count| SpectrumAugment::FrequencyMask(FrequencyMask { width, count });
        check(r#"{"time_mask":40}"#, time(40, 2, 0.2));
        check(
            r#"{"time_mask":{"width":100,"count":10,"share":0.05}}"#,
            time(100, 10, 0.05),
        );
        check(r#"{"frequency_mask":27}"#, frequency(27, 2));
        check(r#"{"frequency_mask":{"width":15}}"#, frequency(15, 2));
        let error = serde_json::from_str::<SpectrumAugment>(r#"{"time_mask":"wide"}"#).unwrap_err();
        assert!(error.to_string().contains("a number of frames such as 40"), "{error}");
    }
}
