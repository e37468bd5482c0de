//! How pictures are read, as the `preprocessor_config.json` of a checkpoint says.

use sensorium_data::processors::{ImageConfig, Interpolation, Resize, Sampling, Size, VideoConfig};
use serde::Deserialize;
use serde_json::{Value, json};

/// Where a configuration holds it once both are read, and what is said of sounds.
pub(super) const KEY: &str = "image_processor";
/// The files that say it, of their own or in a part, which has another name of sounds.
pub(super) const FILES: [(&str, Option<&str>); 3] = [
    ("preprocessor_config.json", None),
    ("processor_config.json", Some(KEY)),
    ("processor_config.json", Some("feature_extractor")),
];
/// Where it holds how videos are read, which some checkpoints say beside pictures.
pub(super) const VIDEO_KEY: &str = "video_processor";
/// The files that say this, of their own or in a part.
pub(super) const VIDEOS: [(&str, Option<&str>); 2] = [
    ("video_preprocessor_config.json", None),
    ("processor_config.json", Some(VIDEO_KEY)),
];
/// What pixels are scaled by.
const RESCALED: f64 = 1.0 / 255.0;
const LARGEST: u32 = 4096;
/// From this side on ConvNeXt's processor sees whole pictures.
const WHOLE: u32 = 384;

/// What is read of it; a value may be missing or null.
#[derive(Deserialize)]
struct Public {
    do_resize: Option<bool>,
    size: Option<Sides>,
    resample: Option<u32>,
    do_center_crop: Option<bool>,
    crop_size: Option<Sides>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
    /// Of ConvNeXt's processor: the share of what is scaled that is cut out of its middle.
    crop_pct: Option<f64>,
    do_image_splitting: Option<bool>,
    max_image_size: Option<Sides>,
}

/// What is read of videos.
#[derive(Deserialize)]
struct PublicVideo {
    video_sampling: Option<VideoSampling>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
}

#[derive(Deserialize)]
struct VideoSampling {
    fps: f32,
    max_frames: u32,
    video_size: Sides,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a number of pixels, {\"height\", \"width\"}, {\"shortest_edge\"} or {\"longest_edge\"}"
)]
enum Sides {
    One(u32),
    Both { height: u32, width: u32 },
    Shortest { shortest_edge: u32 },
    Longest { longest_edge: u32 },
}

/// What an architecture's own processor does where the file does not tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Usual {
    /// Both sides are scaled on their own, with this interpolation.
    Stretch(Interpolation),
    /// The shortest side is scaled to a length, and the middle is cut out.
    Crop,
    /// The longest side is scaled to a length, and tiles are read beside the whole.
    Tiles,
}

/// What `config` says of pictures.
///
/// # Errors
/// For a configuration that says nothing of them, and for what would be computed otherwise here.
pub(super) fn read(config: &Value, usual: Usual) -> Result<ImageConfig, String> {
    let (_, public) = public(config)?;
    public.image(usual).map_err(wrong)
}

/// What `config` says of pictures, and of it how their colours are read, and the pixels weighed where they are resampled.
///
/// # Errors
/// As [`read`].
pub(super) fn colours(config: &Value) -> Result<(&Value, ImageConfig), String> {
    let (value, public) = public(config)?;
    Ok((value, public.colours(Usual::Crop).map_err(wrong)?))
}

fn wrong(message: String) -> String {
    format!("preprocessor_config.json: {message}")
}

fn public(config: &Value) -> Result<(&Value, Public), String> {
    let Some(value) = config.get(KEY) else {
        return Err("expected preprocessor_config.json beside it, found none; fetch it too".into());
    };
    let public = serde_json::from_value(value.clone()).map_err(|error| wrong(error.to_string()))?;
    Ok((value, public))
}

/// What `config` says of videos whose frames are read as pictures are that `image` brings to their size, each whole; none where
/// it does not say which of them are read.
///
/// # Errors
/// For what would be computed otherwise here.
pub(super) fn video(config: &Value, image: &ImageConfig) -> Result<Option<VideoConfig>, String> {
    let wrong = |message: String| format!("video_sampling: {message}");
    let Some(value) = [VIDEO_KEY, KEY].iter().find_map(|key| config.get(key)) else {
        return Ok(None);
    };
    let public: PublicVideo = serde_json::from_value(value.clone()).map_err(|error| wrong(error.to_string()))?;
    let Some(sampling) = public.video_sampling else {
        return Ok(None);
    };
    let Sides::Longest { longest_edge: longest } = sampling.video_size else {
        return Err(wrong(
            "expected a longest side, `longest_edge`, in `video_size`, found others".into(),
        ));
    };
    let video = VideoConfig {
        frames: sampling.max_frames,
        sampling: Sampling::Spread(sampling.fps),
        size: image.size,
        resize: Resize::Longest(longest),
        interpolation: image.interpolation,
        mean: public.image_mean.unwrap_or(image.mean),
        deviation: public.image_std.unwrap_or(image.deviation),
        ..VideoConfig::default()
    };
    video.validate().map_err(|error| wrong(error.to_string()))?;
    Ok(Some(video))
}

/// Lets `value`, the content of the file, say how pictures are brought to their size.
///
/// # Errors
/// For a way to do so that the file has no words for.
pub(super) fn write(image: &ImageConfig, value: &mut Value) -> Result<(), String> {
    let (height, width) = (image.size.height(), image.size.width());
    let both = json!({"height": height, "width": width});
    let shortest = match image.resize {
        Resize::Stretch => None,
        Resize::Shortest(side) => Some(side as usize),
        // A square is covered by a picture whose shortest side is as long.
        Resize::Crop if height == width => Some(height),
        Resize::Crop | Resize::Letterbox | Resize::Longest(_) | Resize::Tiles(_) | Resize::Pixels(_) => {
            let message = "resize: expected `stretch` or `shortest`, or `crop` to a square, found what";
            return Err(format!("{message} preprocessor_config.json has no words for"));
        }
    };
    if value
        .as_object_mut()
        .is_some_and(|value| value.shift_remove("crop_pct").is_some())
    {
        value["image_processor_type"] = "BitImageProcessor".into();
    }
    value["do_resize"] = true.into();
    value["size"] = shortest.map_or(both.clone(), |side| json!({"shortest_edge": side}));
    value["do_center_crop"] = shortest.is_some().into();
    if shortest.is_some() {
        value["crop_size"] = both;
    }
    value["resample"] = match image.interpolation {
        Interpolation::Lanczos => 1.into(),
        Interpolation::Bilinear => 2.into(),
        Interpolation::Bicubic => 3.into(),
    };
    Ok(())
}

impl Public {
    fn image(&self, usual: Usual) -> Result<ImageConfig, String> {
        let (resize, size) = self.resize(usual)?;
        let image = ImageConfig {
            size,
            resize,
            ..self.colours(usual)?
        };
        image.validate().map_err(|error| error.to_string())?;
        Ok(image)
    }

    fn colours(&self, usual: Usual) -> Result<ImageConfig, String> {
        self.check()?;
        let (mean, deviation) = match self.do_normalize.unwrap_or(true) {
            true => (
                given(self.image_mean, "image_mean")?,
                given(self.image_std, "image_std")?,
            ),
            false => ([0.0; 3], [1.0; 3]),
        };
        Ok(ImageConfig {
            interpolation: self.interpolation(usual)?,
            mean,
            deviation,
            ..ImageConfig::default()
        })
    }

    fn check(&self) -> Result<(), String> {
        let steps = [("do_resize", self.do_resize), ("do_rescale", self.do_rescale)];
        if let Some((name, _)) = steps.iter().find(|(_, step)| *step == Some(false)) {
            return Err(format!("{name}: expected true, found false, which is not known here"));
        }
        match self.rescale_factor {
            Some(factor) if (factor / RESCALED - 1.0).abs() > 1e-6 => {
                Err(format!("rescale_factor: expected 1/255, found {factor}"))
            }
            _ => Ok(()),
        }
    }

    fn interpolation(&self, usual: Usual) -> Result<Interpolation, String> {
        match (self.resample, usual) {
            (Some(1), _) | (None, Usual::Tiles) => Ok(Interpolation::Lanczos),
            (Some(2), _) => Ok(Interpolation::Bilinear),
            (Some(3), _) | (None, Usual::Crop) => Ok(Interpolation::Bicubic),
            (None, Usual::Stretch(interpolation)) => Ok(interpolation),
            (Some(other), _) => Err(format!(
                "resample: expected 1 (Lanczos), 2 (bilinear) or 3 (bicubic), found {other}, which is not known here"
            )),
        }
    }

    fn resize(&self, usual: Usual) -> Result<(Resize, Size), String> {
        if usual == Usual::Tiles {
            return self.tiles();
        }
        if let (Some(share), Some(Sides::Shortest { shortest_edge: side })) = (self.crop_pct, self.size) {
            return part(side, share);
        }
        let crops = self.do_center_crop.unwrap_or(usual == Usual::Crop);
        let crop = crops.then(|| given(self.crop_size, "crop_size")).transpose()?;
        let crop = crop.map(|crop| rectangle(crop, "crop_size")).transpose()?;
        let size = given(self.size, "size")?;
        let shortest = match (size, usual) {
            (Sides::Shortest { shortest_edge: side }, _) | (Sides::One(side), Usual::Crop) => Some(side),
            _ => None,
        };
        match (shortest, crop) {
            (Some(side), Some(crop)) => Ok((Resize::Shortest(side), crop)),
            (Some(_), None) => Err(
                "do_center_crop: expected true beside a shortest side in `size`, found false: pictures would \
                                    differ in size"
                    .into(),
            ),
            (None, crop) => {
                let size = rectangle(size, "size")?;
                match crop.filter(|crop| *crop != size) {
                    None => Ok((Resize::Stretch, size)),
                    Some(_) => Err(
                        "crop_size: expected the height and width of `size`, found others, which is not known here"
                            .into(),
                    ),
                }
            }
        }
    }
}

impl Public {
    /// The way of Idefics3: tiles of one size beside the whole picture, or this alone.
    fn tiles(&self) -> Result<(Resize, Size), String> {
        let longest = |sides: Option<Sides>, name: &str| match given(sides, name)? {
            Sides::Longest { longest_edge: side } if (1..=LARGEST).contains(&side) => Ok(side),
            Sides::Longest { longest_edge: side } => {
                Err(format!("{name}: expected 1 to {LARGEST} pixels, found {side}"))
            }
            _ => Err(format!("{name}: expected a longest side, `longest_edge`, found others")),
        };
        let (longest, side) = (
            longest(self.size, "size")?,
            longest(self.max_image_size, "max_image_size")?,
        );
        let resize = match self.do_image_splitting.unwrap_or(true) {
            true => Resize::Tiles(longest),
            false => Resize::Longest(longest),
        };
        Ok((resize, Size::new(side, side)))
    }
}

/// The way of ConvNeXt: a square that is this share of the shortest side.
fn part(side: u32, share: f64) -> Result<(Resize, Size), String> {
    if !(share > 0.0 && share <= 1.0) {
        return Err(format!(
            "crop_pct: expected a share above 0 and at most 1, found {share}"
        ));
    }
    let size = rectangle(Sides::One(side), "size")?;
    match side < WHOLE {
        true => Ok((Resize::Shortest((f64::from(side) / share) as u32), size)),
        false => Ok((Resize::Stretch, size)),
    }
}

fn given<T: Copy>(value: Option<T>, name: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("{name}: expected a value, found none"))
}

fn rectangle(sides: Sides, name: &str) -> Result<Size, String> {
    let (height, width) = match sides {
        Sides::One(side) => (side, side),
        Sides::Both { height, width } => (height, width),
        Sides::Shortest { .. } | Sides::Longest { .. } => {
            return Err(format!("{name}: expected a height and a width, found one side"));
        }
    };
    match [height, width].iter().all(|side| (1..=LARGEST).contains(side)) {
        true => Ok(Size::new(height, width)),
        false => Err(format!(
            "{name}: expected 1 to {LARGEST} pixels, found {height}×{width}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(changes: Value, usual: Usual) -> Result<ImageConfig, String> {
        let mut content =
            json!({"size": 24, "crop_size": 24, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1]});
        let changes = changes.as_object().unwrap().clone();
        content.as_object_mut().unwrap().extend(changes);
        read(&json!({ KEY: content }), usual)
    }

    #[test]
    fn the_processor_is_what_the_file_says() {
        let expected = ImageConfig {
            size: Size::new(24, 24),
            resize: Resize::Shortest(24),
            mean: [0.5, 0.4, 0.3],
            deviation: [0.2, 0.2, 0.1],
            ..ImageConfig::default()
        };
        assert_eq!(image(json!({}), Usual::Crop).unwrap(), expected);
        let crop = json!({"size": {"shortest_edge": 30}, "crop_size": {"height": 20, "width": 24}, "resample": 3});
        let cut = ImageConfig {
            size: Size::new(20, 24),
            resize: Resize::Shortest(30),
            ..expected.clone()
        };
        assert_eq!(image(crop, Usual::Crop).unwrap(), cut);
        let stretched = ImageConfig {
            resize: Resize::Stretch,
            interpolation: Interpolation::Bilinear,
            mean: [0.0; 3],
            deviation: [1.0; 3],
            ..expected
        };
        assert_eq!(
            image(json!({"do_normalize": false}), Usual::Stretch(Interpolation::Bilinear)).unwrap(),
            stretched
        );
    }

    #[test]
    fn a_share_of_the_shortest_side_is_cut_out() {
        let check = |side: u32, resize| {
            let given = json!({"size": {"shortest_edge": side}, "crop_pct": 0.875, "crop_size": null});
            let mut found = image(given.clone(), Usual::Crop).unwrap();
            assert_eq!((found.resize, found.size), (resize, Size::new(side, side)));
            // Another size is told as the processor does that has words for it.
            (found.size, found.resize) = (Size::new(20, 20), Resize::Shortest(24));
            let mut written = given;
            write(&found, &mut written).unwrap();
            assert_eq!(written["image_processor_type"], "BitImageProcessor");
            assert_eq!(image(written, Usual::Crop).unwrap(), found);
        };
        check(224, Resize::Shortest(256));
        check(384, Resize::Stretch);
        let error = image(json!({"size": {"shortest_edge": 24}, "crop_pct": 0.0}), Usual::Crop).unwrap_err();
        assert!(error.contains("crop_pct: expected a share"), "{error}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let check = |resize, expected, usual| {
            let mut content = json!({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1]});
            let image = ImageConfig {
                size: Size::new(20, 20),
                resize,
                mean: [0.5, 0.4, 0.3],
                deviation: [0.2, 0.2, 0.1],
                ..ImageConfig::default()
            };
            write(&image, &mut content).unwrap();
            let expected = ImageConfig {
                resize: expected,
                ..image
            };
            assert_eq!(read(&json!({ KEY: content }), usual).unwrap(), expected);
        };
        for usual in [Usual::Stretch(Interpolation::Bilinear), Usual::Crop] {
            check(Resize::Stretch, Resize::Stretch, usual);
            check(Resize::Shortest(24), Resize::Shortest(24), usual);
            check(Resize::Crop, Resize::Shortest(20), usual);
        }
        let letterbox = ImageConfig {
            resize: Resize::Letterbox,
            ..ImageConfig::default()
        };
        assert!(write(&letterbox, &mut json!({})).unwrap_err().contains("resize"));
    }

    #[test]
    fn tiles_are_read_unless_the_file_leaves_them_out() {
        let given = json!({"size": {"longest_edge": 96}, "max_image_size": {"longest_edge": 32}});
        let with = |name: &str, value: Value| {
            let mut given = given.clone();
            given[name] = value;
            image(given, Usual::Tiles)
        };
        let found = with("do_image_splitting", Value::Null).unwrap();
        assert_eq!((found.resize, found.size), (Resize::Tiles(96), Size::new(32, 32)));
        assert_eq!(found.interpolation, Interpolation::Lanczos);
        let found = with("do_image_splitting", json!(false)).unwrap();
        assert_eq!((found.resize, found.size), (Resize::Longest(96), Size::new(32, 32)));
        for (name, value, words) in [
            (
                "size",
                json!({"height": 96, "width": 96}),
                "size: expected a longest side",
            ),
            (
                "max_image_size",
                json!({"longest_edge": 5000}),
                "max_image_size: expected 1 to 4096",
            ),
            ("max_image_size", Value::Null, "max_image_size: expected a value"),
            ("max_image_size", json!({"longest_edge": 4}), "resize.tiles"),
        ] {
            let error = with(name, value).unwrap_err();
            assert!(error.contains(words), "{name}: {error}");
        }
    }

    #[test]
    fn what_would_be_read_otherwise_is_refused_by_name() {
        for (changes, words) in [
            (json!({"do_resize": false}), "do_resize: expected true"),
            (json!({"do_rescale": false}), "do_rescale: expected true"),
            (json!({"rescale_factor": 0.5}), "rescale_factor: expected 1/255"),
            (json!({"resample": 0}), "resample: expected 1 (Lanczos), 2 (bilinear)"),
            (json!({"do_center_crop": false}), "do_center_crop: expected true"),
            (json!({"size": null}), "size: expected a value"),
            (json!({"size": 20}), "resize.shortest"),
            (json!({"crop_size": 0}), "crop_size: expected 1 to 4096"),
            (
                json!({"size": {"height": 32, "width": 32}}),
                "crop_size: expected the height",
            ),
            (json!({"image_mean": null}), "image_mean: expected a value"),
        ] {
            let error = image(changes.clone(), Usual::Crop).unwrap_err();
            let named = error.starts_with("preprocessor_config.json: ") && error.contains(words);
            assert!(named, "{changes}: {error}");
        }
        let error = read(&json!({}), Usual::Crop).unwrap_err();
        assert!(error.contains("preprocessor_config.json"), "{error}");
    }
}
