//! Videos: a file, a folder of pictures or an upload becomes a few frames of one size with their
//! times, then normalised floats.

pub(crate) mod animation;
mod audio;
pub(crate) mod complete;
mod config;
mod container;
pub(crate) mod format;
mod plan;
mod probe;
mod sampling;
mod source;
mod timeline;

pub use config::{Sampling, VideoConfig};

use super::Collated;
use super::image::patches::{self, Shots};
use super::image::{self, CHANNELS, Picture};
use crate::random::Key;
use crate::{DataError, Result};
use format::{Container, Format};
use rand::seq::SliceRandom;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// The frames of a video that are read before augmentation, equal for every use.
///
/// With [`Sampling::RandomSegment`] there are up to three times `frames` of them, of which
/// [`augment`] draws and [`collate`] otherwise takes the central ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// Of the configured size, never empty.
    pub frames: Vec<Picture>,
    /// When each frame is shown, in seconds from the video's first frame.
    pub timestamps: Vec<f32>,
    /// How much of the video was looked at, in seconds.
    pub duration: f32,
}

impl Clip {
    /// The same clip with its middle frame in the place of every frame: what can be seen without motion.
    pub fn still(&self) -> Self {
        let middle = self.frames[self.frames.len() / 2].clone();
        Self {
            frames: vec![middle; self.frames.len()],
            ..self.clone()
        }
    }

    /// The same frames in another order, drawn by `key`: what can be seen without the order.
    pub fn reordered(&self, key: &Key) -> Self {
        let mut clip = self.clone();
        clip.frames.shuffle(&mut key.generator());
        clip
    }
}

/// Several clips padded to one length.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoBatch {
    /// [media, frames, height, width, channels].
    pub shape: [usize; 5],
    /// Normalised pixels; zero behind the last frame of a clip.
    pub pixels: Vec<f32>,
    /// How many frames of each clip are real.
    pub lengths: Vec<usize>,
}

/// Reads the video at `path`, or the pictures of the folder there in the order of the numbers in
/// their names; every error carries the path.
///
/// # Errors
/// [`ErrorKind::Missing`](crate::ErrorKind::Missing), `Damaged` for what is cut, altered or no
/// video, `TooLarge` beyond the limits of size, length, memory and time, `Unsupported` for a kind
/// that is not read or when ffmpeg is not installed, and `Io`.
pub fn prepare_file(config: &VideoConfig, path: &Path) -> Result<Clip> {
    prepare_path(config, path).map_err(|error| error.at_path(path))
}

fn prepare_path(config: &VideoConfig, path: &Path) -> Result<Clip> {
    let metadata = source::metadata(path)?;
    if metadata.is_dir() {
        return prepare_frames(config, &source::pictures(path)?);
    }
    let (mut file, start) = source::open(path)?;
    match format::sniff(&start)? {
        Format::Animation(format) => {
            let bytes = source::read(file, metadata.len())?;
            animation::decode(config, format, &bytes)
        }
        Format::Container(container) => {
            complete::check(container, &mut file, metadata.len())?;
            container::decode(config, probe::Source { container, path })
        }
    }
}

/// Reads a video that came without a file.
///
/// # Errors
/// As [`prepare_file`].
pub fn prepare_bytes(config: &VideoConfig, bytes: &[u8]) -> Result<Clip> {
    match format::sniff(start(bytes))? {
        Format::Animation(format) => animation::decode(config, format, bytes),
        Format::Container(container) => {
            let path = whole_file(container, bytes)?;
            container::decode(
                config,
                probe::Source {
                    container,
                    path: path.path(),
                },
            )
        }
    }
}

/// Reads a list of pictures as the frames of a video, shown at the configured rate. Only the frames
/// that are used are opened.
///
/// # Errors
/// As for a picture, with the path of the frame; [`ErrorKind::Invalid`](crate::ErrorKind::Invalid)
/// for an empty list.
pub fn prepare_frames(config: &VideoConfig, paths: &[PathBuf]) -> Result<Clip> {
    if paths.is_empty() {
        return Err(super::invalid(
            "expected the frames of a video, found an empty list; name its pictures",
        ));
    }
    let rate = f64::from(config.frame_rate);
    let mut times: Vec<f64> = (0..paths.len()).map(|index| index as f64 / rate).collect();
    times.retain(|&time| time < f64::from(config.max_seconds));
    let end = times.len() as f64 / rate;
    let wanted = sampling::candidates(config, &times, end);
    let image = config.image();
    let frames = wanted.iter().map(|&index| image::prepare_file(&image, &paths[index]));
    Ok(Clip {
        frames: frames.collect::<Result<_>>()?,
        timestamps: wanted.iter().map(|&index| times[index] as f32).collect(),
        duration: end as f32,
    })
}

/// The first audio stream of the video at `path` as a WAV file of 16 bits a sample with the stream's
/// own rate and channels; nothing where the video has no sound.
///
/// # Errors
/// As [`prepare_file`]; a folder has no sound.
pub fn audio_track(path: &Path) -> Result<Option<Vec<u8>>> {
    let track = || {
        let metadata = source::metadata(path)?;
        if metadata.is_dir() {
            return Ok(None);
        }
        let (mut file, start) = source::open(path)?;
        match format::sniff(&start)? {
            Format::Animation(_) => Ok(None),
            Format::Container(container) => {
                complete::check(container, &mut file, metadata.len())?;
                audio::track(container, path)
            }
        }
    };
    track().map_err(|error: DataError| error.at_path(path))
}

/// [`audio_track`] of a video that came without a file.
///
/// # Errors
/// As [`prepare_bytes`].
pub fn audio_track_of_bytes(bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    match format::sniff(start(bytes))? {
        Format::Animation(_) => Ok(None),
        Format::Container(container) => audio::track(container, whole_file(container, bytes)?.path()),
    }
}

fn start(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(format::START)]
}

/// The bytes of a whole container in a file, which ffmpeg needs to seek in.
fn whole_file(container: Container, bytes: &[u8]) -> Result<tempfile::NamedTempFile> {
    complete::check(container, std::io::Cursor::new(bytes), bytes.len() as u64)?;
    source::temporary(bytes)
}

/// The random part, for training only: draws the frames where there is a choice, then changes all
/// of them by the same draws. A clip that nothing changes is lent back.
pub fn augment<'a>(config: &VideoConfig, clip: &'a Clip, key: &Key) -> Cow<'a, Clip> {
    let chosen = sampling::choose(clip.frames.len(), config.frames as usize, Some(key));
    if chosen.is_none() && config.augment.is_empty() {
        return Cow::Borrowed(clip);
    }
    let chosen = chosen.unwrap_or_else(|| (0..clip.frames.len()).collect());
    let image = config.image();
    let frame = |&index: &usize| image::augment(&image, &clip.frames[index], key).into_owned();
    Cow::Owned(Clip {
        frames: chosen.iter().map(frame).collect(),
        timestamps: chosen.iter().map(|&index| clip.timestamps[index]).collect(),
        duration: clip.duration,
    })
}

/// Joins clips into one batch, in their order: of the configured number of frames, normalised as
/// pictures are, with zeros behind the last frame of a shorter clip.
///
/// # Panics
/// When a frame does not have the configured size.
pub fn collate<'a>(config: &VideoConfig, clips: impl ExactSizeIterator<Item = &'a Clip>) -> VideoBatch {
    let image = config.image();
    let frames = config.frames as usize;
    let shape = [clips.len(), frames, image.size.height(), image.size.width(), CHANNELS];
    let length: usize = shape[1..].iter().product();
    let mut pixels = Vec::with_capacity(shape[0] * length);
    let mut lengths = Vec::with_capacity(shape[0]);
    let tables = image::tables(&image);
    for clip in clips {
        let chosen = sampling::choose(clip.frames.len(), frames, None);
        let chosen = chosen.unwrap_or_else(|| (0..clip.frames.len()).collect());
        for &index in &chosen {
            image::normalize(&image, &tables, &clip.frames[index], &mut pixels);
        }
        lengths.push(chosen.len());
        pixels.resize(lengths.len() * length, 0.0);
    }
    VideoBatch { shape, pixels, lengths }
}

/// Joins clips into one batch of the patches of neighbouring frames.
///
/// # Panics
/// For frames that are not cut into patches.
pub fn collate_patches<'a>(config: &VideoConfig, clips: impl ExactSizeIterator<Item = &'a Clip>) -> Collated {
    let shots = |clip: &'a Clip| {
        let chosen = sampling::choose(clip.frames.len(), config.frames as usize, None);
        let pictures: Vec<&Picture> = match chosen {
            Some(chosen) => chosen.into_iter().map(|index| &clip.frames[index]).collect(),
            None => clip.frames.iter().collect(),
        };
        vec![Shots {
            apart: Some(clip.duration / pictures.len() as f32),
            pictures,
        }]
    };
    patches::collate(&config.image(), clips.map(shots))
}

/// What the tests of this folder share: the golden clips of `reference/video`.
#[cfg(test)]
mod samples {
    use super::super::image::{Picture, Resize, Size};
    use super::format::{Animation, Container};
    use super::{Sampling, VideoConfig};
    use proptest::prelude::ProptestConfig;
    use std::path::PathBuf;

    /// Every one of 30 frames; those of "mpeg2…" at 25 a second, frame n of "variable…" at n² / 100
    /// seconds (in the GIF at n² / 10), and the others at 10 a second.
    pub const CONTAINERS: [(&str, Container); 20] = [
        ("h264.mp4", Container::Mp4),
        ("h264_fragments.mp4", Container::Mp4),
        ("turned.mp4", Container::Mp4),
        ("tone.mp4", Container::Mp4),
        ("hevc.mp4", Container::Mp4),
        ("mpeg4.mp4", Container::Mp4),
        ("h264.mkv", Container::Matroska),
        ("variable.mkv", Container::Matroska),
        ("wide.mkv", Container::Matroska),
        ("vp8.webm", Container::Matroska),
        ("hidden.webm", Container::Matroska),
        ("vp9.webm", Container::Matroska),
        ("av1.webm", Container::Matroska),
        ("h264.avi", Container::Avi),
        ("mpeg4.avi", Container::Avi),
        ("motion_jpeg.avi", Container::Avi),
        ("theora.ogv", Container::Ogg),
        ("mpeg2.ts", Container::TransportStream),
        ("h264.ts", Container::TransportStream),
        ("mpeg2.mpg", Container::ProgramStream),
    ];

    pub const ANIMATIONS: [(&str, Animation); 4] = [
        ("animated.gif", Animation::Gif),
        ("variable.gif", Animation::Gif),
        ("animated.png", Animation::Apng),
        ("animated.webp", Animation::WebP),
    ];

    pub fn golden_path(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../reference/video")
            .join(name)
    }

    pub fn golden(name: &str) -> Vec<u8> {
        std::fs::read(golden_path(name)).unwrap()
    }

    /// How the tests read clips: unchanged but for pixels that are not square.
    pub fn config(sampling: Sampling, frames: u32) -> VideoConfig {
        VideoConfig {
            frames,
            sampling,
            size: Size::new(48, 64),
            resize: Resize::Stretch,
            ..VideoConfig::default()
        }
    }

    /// The number that a golden frame shows in its 4 × 2 blocks.
    pub fn number(frame: &Picture) -> usize {
        let white = |block: usize| {
            let row = frame.height * (2 * (block / 4) + 1) / 4;
            let column = frame.width * (2 * (block % 4) + 1) / 8;
            usize::from(frame.pixels[3 * (row * frame.width + column)] > 128)
        };
        (0..8).map(|block| white(block) << block).sum()
    }

    /// How many mutated inputs a property test reads, which the environment may raise for all of
    /// them; `most` bounds those that start programs.
    pub fn cases(usual: u32, most: u32) -> ProptestConfig {
        let asked = std::env::var("SENSORIUM_FUZZ_CASES")
            .ok()
            .and_then(|it| it.parse().ok());
        ProptestConfig::with_cases(asked.unwrap_or(usual).min(most))
    }

    /// Whether the tests that need ffmpeg are to be run.
    ///
    /// # Panics
    /// When it is not installed, and `SENSORIUM_WITHOUT_FFMPEG` does not say that this is known.
    pub fn with_ffmpeg() -> bool {
        if std::env::var_os("SENSORIUM_WITHOUT_FFMPEG").is_some() {
            return false;
        }
        let call = crate::ffmpeg::Call::ffmpeg(std::time::Duration::from_secs(1), 1);
        if let Err(error) = call {
            panic!("{error}; or set SENSORIUM_WITHOUT_FFMPEG to leave these tests out");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{config, golden_path};
    use super::*;
    use crate::ErrorKind;
    use crate::processors::image::{Augment, Size};

    /// A clip of 2 × 2 pixels whose frame n has the value n everywhere.
    fn clip(frames: u8) -> Clip {
        let frame = |value| Picture {
            height: 2,
            width: 2,
            pixels: vec![value; 12],
        };
        Clip {
            frames: (0..frames).map(frame).collect(),
            timestamps: (0..frames).map(f32::from).collect(),
            duration: f32::from(frames),
        }
    }

    fn small(frames: u32) -> VideoConfig {
        VideoConfig {
            frames,
            size: Size::new(2, 2),
            mean: [0.0; 3],
            deviation: [1.0 / 255.0; 3],
            ..VideoConfig::default()
        }
    }

    #[test]
    fn a_batch_is_padded_with_zeros_behind_each_clip() {
        let clips = [clip(2), clip(3), clip(9)];
        let batch = collate(&small(3), clips.iter());
        assert_eq!((batch.shape, batch.lengths), ([3, 3, 2, 2, 3], vec![2, 3, 3]));
        let firsts: Vec<f32> = batch.pixels.chunks(12).map(|frame| frame[0].round()).collect();
        // Of more frames than are wanted the centres of equal groups are taken.
        assert_eq!(firsts, [0.0, 1.0, 0.0, 0.0, 1.0, 2.0, 1.0, 4.0, 7.0]);
        assert!(
            batch
                .pixels
                .chunks(12)
                .all(|frame| frame.iter().all(|value| value.round() == frame[0].round()))
        );
    }

    #[test]
    fn frames_are_drawn_by_the_key_and_carry_their_times() {
        let long = clip(9);
        let drawn: Vec<Clip> = (0..20)
            .map(|at| augment(&small(3), &long, &Key::new(1).at(at)).into_owned())
            .collect();
        for clip in &drawn {
            let values: Vec<f32> = clip.frames.iter().map(|frame| f32::from(frame.pixels[0])).collect();
            assert_eq!(values, clip.timestamps);
            assert_eq!(clip.duration, 9.0);
        }
        assert!(drawn.iter().any(|other| *other != drawn[0]));
        let short = clip(3);
        assert!(matches!(augment(&small(3), &short, &Key::new(1)), Cow::Borrowed(_)));
    }

    #[test]
    fn all_frames_of_a_clip_change_alike() {
        let mut config = config(Sampling::Uniform, 2);
        config.augment = vec![
            Augment::Flip,
            Augment::Rotate(30.0),
            Augment::Crop(0.5),
            Augment::Color(0.4),
        ];
        let frame = prepare_file(&config, &golden_path("animated.gif"))
            .unwrap()
            .frames
            .remove(1);
        let twice = Clip {
            frames: vec![frame.clone(), frame.clone()],
            timestamps: vec![0.0, 1.0],
            duration: 2.0,
        };
        let changed = augment(&config, &twice, &Key::new(5)).into_owned();
        assert_eq!(changed.frames[0], changed.frames[1]);
        assert_ne!(changed.frames[0], frame);
    }

    #[test]
    fn a_folder_and_a_list_of_pictures_are_videos() {
        let folder = tempfile::tempdir().unwrap();
        let frames = clip(12).frames;
        let paths: Vec<PathBuf> = (0..12).map(|at| folder.path().join(format!("frame{at}.png"))).collect();
        for (frame, path) in frames.iter().zip(&paths) {
            std::fs::write(path, frame.to_png()).unwrap();
        }
        let mut config = small(3);
        config.frame_rate = 4.0;
        let clip = prepare_file(&config, folder.path()).unwrap();
        let values: Vec<u8> = clip.frames.iter().map(|frame| frame.pixels[0]).collect();
        assert_eq!(
            (values, &clip.timestamps[..], clip.duration),
            (vec![2, 6, 10], &[0.5, 1.5, 2.5][..], 3.0)
        );
        assert_eq!(prepare_frames(&config, &paths).unwrap(), clip);
        let reversed: Vec<PathBuf> = paths.iter().rev().cloned().collect();
        assert_eq!(prepare_frames(&config, &reversed).unwrap().frames[0].pixels[0], 9);
        std::fs::write(&paths[6], b"not a picture").unwrap();
        let error = prepare_file(&config, folder.path()).unwrap_err();
        assert_eq!((error.kind, error.path), (ErrorKind::Damaged, Some(paths[6].clone())));
        assert_eq!(prepare_frames(&config, &[]).unwrap_err().kind, ErrorKind::Invalid);
    }

    #[test]
    fn what_is_no_video_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes, kind) in [
            ("empty.mp4", &b""[..], ErrorKind::Damaged),
            (
                "list.mp4",
                b"ffconcat version 1.0\nfile /etc/passwd\n",
                ErrorKind::Damaged,
            ),
            ("list.m3u8", b"#EXTM3U\nhttp://127.0.0.1/\n", ErrorKind::Damaged),
            ("cut.gif", b"GIF89a\x01", ErrorKind::Damaged),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let error = prepare_file(&small(2), &path).unwrap_err();
            assert_eq!((error.kind, error.path), (kind, Some(path)), "{name}");
            assert_eq!(prepare_bytes(&small(2), bytes).unwrap_err().kind, kind, "{name}");
        }
        let empty = tempfile::tempdir().unwrap();
        let error = prepare_file(&small(2), empty.path()).unwrap_err();
        assert_eq!(
            (error.kind, error.path.as_deref()),
            (ErrorKind::Invalid, Some(empty.path()))
        );
        let missing = folder.path().join("none.webm");
        assert_eq!(prepare_file(&small(2), &missing).unwrap_err().kind, ErrorKind::Missing);
    }
}
