//! The settings of an image input, as a recipe writes them.

use super::super::{in_bounds, invalid};
use super::CHANNELS;
use super::patches::PatchesConfig;
use super::rand_augment::STRONGEST;
use crate::{DataError, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest side that pictures can be resized to, in pixels.
const MAX_SIDE: u32 = 4096;
/// The most tiles along one side of a picture.
const MOST_TILES: u32 = 16;

/// How pictures are read: decoded by content, oriented, made opaque, resized and normalised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImageConfig {
    /// The size that every picture is brought to, in pixels: one side of a square such as 64, or
    /// [height, width].
    pub size: Size,
    /// How a picture whose sides have another ratio is brought to the size.
    pub resize: Resize,
    /// How pixels are weighed where a picture is resampled.
    #[serde(skip_serializing_if = "is_bicubic")]
    pub interpolation: Interpolation,
    /// Whether a JPEG that is larger than needed is decoded whole.
    pub decode: Decode,
    /// The colour that shows through transparent parts: red, green and blue from 0 to 255.
    #[serde(skip_serializing_if = "is_white")]
    #[schemars(inner(range(min = 0, max = 255)))]
    pub ground: [u8; CHANNELS],
    /// How many pictures a row may list; where it is not set, a row has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub list: Option<u32>,
    /// What pictures are cut into whose sizes differ; only with `resize = { pixels = [least, most] }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patches: Option<PatchesConfig>,
    /// Whether pictures lose their colours: red, green and blue all become the luma (ITU-R BT.601).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub grayscale: bool,
    /// Random changes made to training pictures only, each at most once, in this order.
    pub augment: Vec<Augment>,
    /// Subtracted from red, green and blue after these are scaled to 0…1.
    #[schemars(inner(range(min = 0.0, max = 1.0)))]
    pub mean: [f32; CHANNELS],
    /// What red, green and blue are divided by after the mean is subtracted; above 0.
    #[schemars(inner(range(min = 0.001, max = 1000.0)))]
    pub deviation: [f32; CHANNELS],
}

/// White paper.
pub(in crate::processors) const WHITE: [u8; CHANNELS] = [255; CHANNELS];

/// Whether a ground is the usual one, which the settings that are stored with a model leave out.
pub(in crate::processors) fn is_white(ground: &[u8; CHANNELS]) -> bool {
    *ground == WHITE
}

impl Default for ImageConfig {
    fn default() -> Self {
        Self {
            size: Size::new(64, 64),
            resize: Resize::default(),
            interpolation: Interpolation::default(),
            decode: Decode::default(),
            ground: WHITE,
            list: None,
            patches: None,
            grayscale: false,
            augment: Vec::new(),
            mean: [0.5; CHANNELS],
            deviation: [0.5; CHANNELS],
        }
    }
}

impl ImageConfig {
    /// Checks the bounds of every setting.
    pub fn validate(&self) -> Result<()> {
        for channel in 0..CHANNELS {
            in_bounds("mean", self.mean[channel], 0.0..=1.0)?;
            in_bounds("deviation", self.deviation[channel], 0.001..=1000.0)?;
        }
        self.validate_resize()?;
        self.validate_patches()?;
        for (index, augment) in self.augment.iter().enumerate() {
            augment.validate()?;
            let same = |other: &Augment| other.name() == augment.name();
            if self.augment[..index].iter().any(same) {
                let message = format!("`{}` is listed twice; keep one of them", augment.name());
                return Err(invalid(message).in_field("augment"));
            }
        }
        Ok(())
    }

    fn validate_resize(&self) -> Result<()> {
        let longer = self.size.height.max(self.size.width);
        match self.resize {
            Resize::Stretch | Resize::Crop | Resize::Letterbox | Resize::Pixels(_) => Ok(()),
            Resize::Shortest(side) => in_bounds("resize.shortest", side, longer..=MAX_SIDE),
            Resize::Longest(side) => in_bounds("resize.longest", side, 1..=MAX_SIDE),
            Resize::Tiles(_) if self.size.height != self.size.width || !self.augment.is_empty() => {
                let message = "expected a square and nothing in `augment` beside tiles, found others";
                Err(invalid(message).in_field("resize.tiles"))
            }
            Resize::Tiles(side) => in_bounds("resize.tiles", side, 1..=MAX_SIDE.min(MOST_TILES * longer)),
        }
    }

    /// The mean colour, which normalisation brings to zero within the half of a step.
    pub(super) fn mean_color(&self) -> [u8; CHANNELS] {
        self.mean.map(|mean| (mean * 255.0).round() as u8)
    }
}

/// A picture's height and width in pixels, each from 1 to 4096.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenSize", into = "WrittenSize")]
pub struct Size {
    height: u32,
    width: u32,
}

impl Size {
    /// # Panics
    /// When a side is not from 1 to 4096.
    pub fn new(height: u32, width: u32) -> Self {
        Self::try_from(WrittenSize::Rectangle([height, width])).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn height(self) -> usize {
        self.height as usize
    }

    pub fn width(self) -> usize {
        self.width as usize
    }
}

/// A size as it stands in a recipe.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected one side in pixels such as 64, or [height, width]")]
#[schemars(rename = "Size")]
enum WrittenSize {
    /// The side of a square, in pixels.
    Square(#[schemars(range(min = 1, max = 4096))] u32),
    /// [height, width], in pixels.
    Rectangle(#[schemars(inner(range(min = 1, max = 4096)))] [u32; 2]),
}

impl TryFrom<WrittenSize> for Size {
    type Error = DataError;

    fn try_from(written: WrittenSize) -> Result<Self> {
        let [height, width] = match written {
            WrittenSize::Square(side) => [side, side],
            WrittenSize::Rectangle(sides) => sides,
        };
        in_bounds("size", height, 1..=MAX_SIDE)?;
        in_bounds("size", width, 1..=MAX_SIDE)?;
        Ok(Self { height, width })
    }
}

impl From<Size> for WrittenSize {
    fn from(Size { height, width }: Size) -> Self {
        match height == width {
            true => Self::Square(height),
            false => Self::Rectangle([height, width]),
        }
    }
}

impl JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        WrittenSize::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        WrittenSize::json_schema(generator)
    }
}

/// How a picture is brought to another ratio of sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Both sides are scaled on their own; nothing is lost, shapes are distorted.
    Stretch,
    /// The picture is scaled to cover the size, and what stands out is cut off evenly.
    #[default]
    Crop,
    /// The picture is scaled to fit the size, and the rest is filled with the mean colour.
    Letterbox,
    /// The picture is scaled until its shortest side has so many pixels, at least as many as the longer side of the
    /// size, and the size is cut out of its centre: torchvision's `Resize` and `CenterCrop`.
    Shortest(#[schemars(range(min = 1, max = 4096))] u32),
    /// The picture is scaled until its longest side has so many pixels, the other one rounded up to an even number, and then
    /// both sides are stretched to the size: Idefics3's way without tiles.
    Longest(#[schemars(range(min = 1, max = 4096))] u32),
    /// As `longest`, and then both sides are stretched to whole multiples of the size, which is a square: as many tiles are
    /// read, row by row, and behind them the whole picture, stretched to the size (Laurençon et al. 2024).
    #[schemars(skip)]
    Tiles(u32),
    /// Both sides are scaled to whole multiples of the size, which is the side of a square of patches, so that a picture keeps its
    /// own size as far as that is between two numbers of pixels (Wang et al. 2024).
    Pixels(#[schemars(inner(range(min = 1, max = 16_777_216)))] [u32; 2]),
}

/// How pixels are weighed where a picture is resampled; over more of them where it becomes smaller, as Pillow does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// By the cubic of Keys (1981).
    #[default]
    Bicubic,
    /// By their distance alone: softer.
    Bilinear,
    /// By Lanczos' windowed sinc over three pixels to each side: sharper.
    Lanczos,
}

/// Whether an interpolation is the usual one, which the settings that are stored with a model leave out.
pub(in crate::processors) fn is_bicubic(interpolation: &Interpolation) -> bool {
    *interpolation == Interpolation::Bicubic
}

/// How exactly pictures are decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decode {
    /// All pixels are decoded before the picture is resized.
    #[default]
    Exact,
    /// A JPEG is decoded at a half, a quarter or an eighth of its size while both sides stay at or above the target:
    /// faster, and slightly softer or sharper, as with Pillow's `draft`. Other formats are decoded exactly.
    Fast,
}

/// One random change of a training picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Augment {
    /// Mirrors left and right in half of the cases.
    Flip,
    /// Mirrors top and bottom in half of the cases.
    VerticalFlip,
    /// Turns by an angle drawn evenly from minus to plus this many degrees; border pixels fill the
    /// corners.
    Rotate(#[schemars(range(min = 0.0, max = 180.0))] f32),
    /// Cuts out at least this share of the area, with sides in a ratio from 3/4 to 4/3 of the
    /// picture's own, and enlarges it to the whole.
    Crop(#[schemars(range(min = 0.01, max = 1.0))] f32),
    /// Changes brightness, contrast and saturation, each by a factor drawn evenly from 1 minus to 1
    /// plus this.
    Color(#[schemars(range(min = 0.0, max = 1.0))] f32),
    /// Takes the colours away with this probability: every channel becomes the luma of ITU-R BT.601, as Pillow computes
    /// it.
    Grayscale(#[schemars(range(min = 0.0, max = 1.0))] f64),
    /// Fills a rectangle with the mean colour with this probability: 2 to 33% of the area, with sides in a ratio from 0.3 to
    /// 3.3 (random erasing, Zhong et al. 2020).
    Erase(#[schemars(range(min = 0.0, max = 1.0))] f64),
    /// Moves right or left and down or up, each by up to this many pixels; border pixels fill what becomes free.
    Shift(#[schemars(range(min = 1, max = 4096))] u32),
    /// Applies a few operations drawn from fourteen, all of one strength (RandAugment, Cubuk et al. 2019); operations and
    /// strengths are torchvision's.
    RandAugment {
        /// How many operations are drawn.
        #[schemars(range(min = 1, max = 14))]
        operations: u32,
        /// Their strength; 9 is usual.
        #[schemars(range(min = 0, max = 30))]
        magnitude: u32,
    },
}

impl Augment {
    /// The word in recipes, which is also the key of its random draws.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flip => "flip",
            Self::VerticalFlip => "vertical_flip",
            Self::Rotate(_) => "rotate",
            Self::Crop(_) => "crop",
            Self::Color(_) => "color",
            Self::Grayscale(_) => "grayscale",
            Self::Erase(_) => "erase",
            Self::Shift(_) => "shift",
            Self::RandAugment { .. } => "rand_augment",
        }
    }

    fn validate(self) -> Result<()> {
        match self {
            Self::Flip | Self::VerticalFlip => Ok(()),
            Self::Rotate(degrees) => in_bounds("augment.rotate", degrees, 0.0..=180.0),
            Self::Crop(area) => in_bounds("augment.crop", area, 0.01..=1.0),
            Self::Color(strength) => in_bounds("augment.color", strength, 0.0..=1.0),
            Self::Grayscale(probability) => in_bounds("augment.grayscale", probability, 0.0..=1.0),
            Self::Erase(probability) => in_bounds("augment.erase", probability, 0.0..=1.0),
            Self::Shift(pixels) => in_bounds("augment.shift", pixels, 1..=MAX_SIDE),
            Self::RandAugment { operations, magnitude } => {
                in_bounds("augment.rand_augment.operations", operations, 1..=14)?;
                in_bounds("augment.rand_augment.magnitude", magnitude, 0..=STRONGEST)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Reads a configuration and writes it again.
    fn check(written: serde_json::Value, expected: ImageConfig) {
        let config: ImageConfig = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(config, expected);
        let stored = serde_json::to_value(&config).unwrap();
        for (field, value) in written.as_object().unwrap() {
            assert_eq!(stored[field], *value);
        }
        assert_eq!(serde_json::from_value::<ImageConfig>(stored).unwrap(), expected);
    }

    #[test]
    fn a_configuration_reads_as_recipes_write_it() {
        check(json!({}), ImageConfig::default());
        let size = |height, width| ImageConfig {
            size: Size::new(height, width),
            ..Default::default()
        };
        check(json!({"size": 224}), size(224, 224));
        check(json!({"size": [48, 32]}), size(48, 32));
        let augment = vec![
            Augment::Flip,
            Augment::Rotate(10.0),
            Augment::Crop(0.5),
            Augment::Color(0.25),
            Augment::VerticalFlip,
            Augment::Grayscale(0.1),
            Augment::Erase(0.3),
            Augment::Shift(4),
            Augment::RandAugment {
                operations: 2,
                magnitude: 9,
            },
        ];
        check(
            json!({"augment": ["flip", {"rotate": 10.0}, {"crop": 0.5}, {"color": 0.25}, "vertical_flip",
                {"grayscale": 0.1}, {"erase": 0.3}, {"shift": 4},
                {"rand_augment": {"operations": 2, "magnitude": 9}}],
                "resize": "letterbox", "interpolation": "bilinear", "decode": "fast", "ground": [0, 128, 255]}),
            ImageConfig {
                augment,
                resize: Resize::Letterbox,
                interpolation: Interpolation::Bilinear,
                decode: Decode::Fast,
                ground: [0, 128, 255],
                ..Default::default()
            },
        );
    }

    #[test]
    fn a_shortest_side_is_at_least_as_long_as_the_size() {
        let config = |side: u32| {
            let written = json!({"size": [48, 32], "resize": {"shortest": side}});
            serde_json::from_value::<ImageConfig>(written).unwrap()
        };
        assert_eq!(config(48).resize, Resize::Shortest(48));
        assert!(config(48).validate().is_ok());
        for side in [47, 5000] {
            let error = config(side).validate().unwrap_err();
            assert_eq!(error.field.as_deref(), Some("resize.shortest"), "{error}");
        }
    }

    #[test]
    fn tiles_are_squares_of_pictures_as_they_are_and_not_too_many() {
        let config = |changes: serde_json::Value| {
            let mut written = json!({"size": 32, "resize": {"tiles": 128}});
            written
                .as_object_mut()
                .unwrap()
                .extend(changes.as_object().unwrap().clone());
            serde_json::from_value::<ImageConfig>(written).unwrap()
        };
        assert!(config(json!({})).validate().is_ok());
        for changes in [
            json!({"size": [32, 16]}),
            json!({"augment": ["flip"]}),
            json!({"resize": {"tiles": 513}}),
            json!({"resize": {"tiles": 0}}),
        ] {
            let error = config(changes).validate().unwrap_err();
            assert_eq!(error.field.as_deref(), Some("resize.tiles"), "{error}");
        }
    }

    #[test]
    fn a_whole_number_of_degrees_is_a_number() {
        let augment: Augment = serde_json::from_value(json!({"rotate": 10})).unwrap();
        assert_eq!(augment, Augment::Rotate(10.0));
    }

    #[test]
    fn a_wrong_size_says_what_is_accepted() {
        for (size, message) in [
            (json!(0), "from 1 to 4096, found 0"),
            (json!([64, 5000]), "from 1 to 4096, found 5000"),
            (
                json!("big"),
                "expected one side in pixels such as 64, or [height, width]",
            ),
            (json!([1, 2, 3]), "[height, width]"),
        ] {
            let error = serde_json::from_value::<ImageConfig>(json!({"size": size})).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn the_schema_knows_the_bounds_of_a_size() {
        let schema = schemars::schema_for!(ImageConfig).to_value();
        let text = schema["$defs"]["Size"].to_string();
        assert!(text.contains("4096") && text.contains("minItems"), "{text}");
    }
}
