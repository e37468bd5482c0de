//! How pictures and videos of any size are read, as the files beside a checkpoint say.

use super::super::preprocessor;
use sensorium_data::processors::{ImageConfig, PatchesConfig, Resize, Sampling, Size, VideoConfig};
use serde::Deserialize;
use serde_json::Value;

/// The least and the most pixels of a picture, and of a frame, where no file says them.
const OF_PICTURE: [u32; 2] = [56 * 56, 28 * 28 * 1280];
const OF_FRAME: [u32; 2] = [128 * 28 * 28, 28 * 28 * 768];
/// Frames a second, and the least and the most of a video, where no file says them.
const RATE: f32 = 2.0;
const FRAMES: [u32; 2] = [4, 768];

/// What is read of pictures or videos.
#[derive(Deserialize)]
struct Public {
    size: Option<Pixels>,
    min_pixels: Option<u32>,
    max_pixels: Option<u32>,
    patch_size: Option<u32>,
    merge_size: Option<u32>,
    temporal_patch_size: Option<u32>,
}

/// What they call sides are numbers of pixels.
#[derive(Deserialize)]
struct Pixels {
    shortest_edge: Option<u32>,
    longest_edge: Option<u32>,
}

/// What is read of videos beside it.
#[derive(Deserialize)]
struct PublicVideo {
    fps: Option<f32>,
    min_frames: Option<u32>,
    max_frames: Option<u32>,
    num_frames: Option<u32>,
    cap_pixels_per_frame: Option<bool>,
}

/// How both are read that are cut into `patches`.
///
/// # Errors
/// For a configuration that says nothing of pictures, and for what would be computed otherwise here.
pub fn read(config: &Value, patches: PatchesConfig) -> Result<(ImageConfig, VideoConfig), String> {
    let (value, colours) = preprocessor::colours(config)?;
    let wrong = |message: String| format!("preprocessor_config.json: {message}");
    let picture = sized(value, OF_PICTURE, patches, &colours).map_err(wrong)?;
    let wrong = |message: String| format!("video_preprocessor_config.json: {message}");
    let given = config.get(preprocessor::VIDEO_KEY);
    let nothing = Value::Object(serde_json::Map::new());
    let frame = sized(given.unwrap_or(&nothing), OF_FRAME, patches, &colours).map_err(wrong)?;
    let public = PublicVideo::deserialize(given.unwrap_or(&nothing)).map_err(|error| wrong(error.to_string()))?;
    let video = public.video(&frame, patches).map_err(wrong)?;
    Ok((picture, video))
}

/// A picture or frame with the number of pixels that `value` says, or as `usual`.
fn sized(value: &Value, usual: [u32; 2], patches: PatchesConfig, colours: &ImageConfig) -> Result<ImageConfig, String> {
    let public = Public::deserialize(value).map_err(|error| error.to_string())?;
    let same = [
        ("patch_size", public.patch_size, patches.side),
        ("merge_size", public.merge_size, patches.square),
        ("temporal_patch_size", public.temporal_patch_size, patches.frames),
    ];
    for (name, found, expected) in same {
        if let Some(found) = found.filter(|found| *found != expected) {
            return Err(format!("{name}: expected {expected} as in config.json, found {found}"));
        }
    }
    let (least, most) = public
        .size
        .map_or((None, None), |size| (size.shortest_edge, size.longest_edge));
    let pixels = [
        public.min_pixels.or(least).unwrap_or(usual[0]),
        public.max_pixels.or(most).unwrap_or(usual[1]),
    ];
    let side = patches.side * patches.square;
    let image = ImageConfig {
        size: Size::new(side, side),
        resize: Resize::Pixels(pixels),
        patches: Some(patches),
        ..colours.clone()
    };
    image.validate().map_err(|error| error.to_string())?;
    Ok(image)
}

impl PublicVideo {
    fn video(&self, frame: &ImageConfig, patches: PatchesConfig) -> Result<VideoConfig, String> {
        if let Some(found) = self.num_frames {
            return Err(format!(
                "num_frames: expected none, found {found}, which is not known here"
            ));
        }
        if self.cap_pixels_per_frame == Some(true) {
            return Err("cap_pixels_per_frame: expected false, found true, which is not known here".into());
        }
        let video = VideoConfig {
            frames: self.max_frames.unwrap_or(FRAMES[1]),
            sampling: Sampling::Steps {
                rate: self.fps.unwrap_or(RATE),
                least: self.min_frames.unwrap_or(FRAMES[0]),
                multiple: patches.frames,
            },
            size: frame.size,
            resize: frame.resize,
            patches: frame.patches,
            interpolation: frame.interpolation,
            mean: frame.mean,
            deviation: frame.deviation,
            ..VideoConfig::default()
        };
        video.validate().map_err(|error| error.to_string())?;
        Ok(video)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PATCHES: PatchesConfig = PatchesConfig {
        side: 14,
        square: 2,
        frames: 2,
    };

    fn config(changes: Value, video: Value) -> Value {
        let mut picture = json!({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1], "patch_size": 14});
        picture
            .as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        json!({ preprocessor::KEY: picture, preprocessor::VIDEO_KEY: video })
    }

    #[test]
    fn numbers_of_pixels_have_two_names() {
        let pixels = |changes: Value| read(&config(changes, json!({})), PATCHES).unwrap().0.resize;
        assert_eq!(pixels(json!({})), Resize::Pixels(OF_PICTURE));
        assert_eq!(
            pixels(json!({"min_pixels": 3136, "max_pixels": 12_845_056})),
            Resize::Pixels([3136, 12_845_056])
        );
        assert_eq!(
            pixels(json!({"size": {"shortest_edge": 800, "longest_edge": 9000}})),
            Resize::Pixels([800, 9000])
        );
    }

    #[test]
    fn videos_are_read_as_their_file_says() {
        let (_, video) = read(&config(json!({}), json!({"fps": 1.0, "max_frames": 16})), PATCHES).unwrap();
        assert_eq!(
            (video.frames, video.resize, video.mean),
            (16, Resize::Pixels(OF_FRAME), [0.5, 0.4, 0.3])
        );
        let steps = Sampling::Steps {
            rate: 1.0,
            least: 4,
            multiple: 2,
        };
        assert_eq!(video.sampling, steps);
        let mut alone = config(json!({}), json!({}));
        alone.as_object_mut().unwrap().remove(preprocessor::VIDEO_KEY);
        assert_eq!(read(&alone, PATCHES).unwrap().1.frames, 768);
    }

    #[test]
    fn what_would_be_read_otherwise_is_refused_by_name() {
        for (changes, video, words) in [
            (
                json!({"merge_size": 3}),
                json!({}),
                "preprocessor_config.json: merge_size: expected 2",
            ),
            (json!({"do_resize": false}), json!({}), "do_resize: expected true"),
            (json!({"max_pixels": 1}), json!({}), "resize.pixels"),
            (
                json!({}),
                json!({"num_frames": 8}),
                "video_preprocessor_config.json: num_frames",
            ),
            (
                json!({}),
                json!({"cap_pixels_per_frame": true}),
                "cap_pixels_per_frame: expected false",
            ),
            (json!({}), json!({"max_frames": 5000}), "frames"),
        ] {
            let error = read(&config(changes, video), PATCHES).unwrap_err();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
