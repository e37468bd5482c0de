//! The wanted frames of a container, decoded by ffmpeg and brought to their size one after another.

use super::super::image::{ImageConfig, Picture, resize};
use super::probe::{MARGIN, MAX_PIXELS, Source, Video, patience};
use super::sampling::candidates;
use super::{Clip, VideoConfig, plan};
use crate::ffmpeg::{Call, not_read};
use crate::{DataError, ErrorKind, Result};
use std::io::{BufReader, Read};

/// How far a seek may end before the key frame that it is meant for, in seconds.
const SEEK_MARGIN: f64 = 60.0;

/// Decodes what `config` wants of a file that is known to be whole.
///
/// # Errors
/// [`ErrorKind::Damaged`] when ffmpeg complains of anything or gives other than the wanted frames,
/// [`ErrorKind::TooLarge`], and [`ErrorKind::Unsupported`] when ffmpeg is not installed.
pub fn decode(config: &VideoConfig, source: Source) -> Result<Clip> {
    let max_seconds = f64::from(config.max_seconds);
    let mut video = source.video(max_seconds)?;
    let Some(&start) = video.times.first() else {
        return Err(damaged("a video stream without frames"));
    };
    video.times.retain(|&time| time - start < max_seconds);
    let end = (video.end - start).min(max_seconds);
    video.end = start + end;
    let times: Vec<f64> = video.times.iter().map(|time| time - start).collect();
    let wanted = candidates(config, &times, end);
    let frames = read(config, source, &video, &wanted)?;
    Ok(Clip {
        frames,
        timestamps: wanted.iter().map(|&index| times[index] as f32).collect(),
        duration: end as f32,
    })
}

/// The wanted frames, from parts of the stream where that is much cheaper.
fn read(config: &VideoConfig, source: Source, video: &Video, wanted: &[usize]) -> Result<Vec<Picture>> {
    if let Some(parts) = plan::parts(video, wanted) {
        let frames = parts
            .iter()
            .map(|part| run(config, source, video, &part.wanted, Some(part.start)));
        // A seek may end elsewhere than it should; then the stream is decoded from its start.
        if let Ok(frames) = frames.collect::<Result<Vec<_>>>() {
            return Ok(frames.into_iter().flatten().collect());
        }
    }
    run(config, source, video, wanted, None)
}

/// Decodes the `wanted` frames: from the key frame shown at `seek` to the last of them, or the whole
/// stream to its end, so that no damage stays unseen.
fn run(
    config: &VideoConfig,
    source: Source,
    video: &Video,
    wanted: &[usize],
    seek: Option<f64>,
) -> Result<Vec<Picture>> {
    let (from, until) = match (seek, wanted.last()) {
        (Some(key), Some(&last)) => (key, video.times[last] + SEEK_MARGIN),
        _ => (video.times[0], video.end + MARGIN),
    };
    // One frame more than there is, so that the decoder does not stop at the last wanted frame.
    let most = wanted.len() + usize::from(seek.is_none());
    let seek = seek.map(|key| {
        let after_start = format!("{:.6}", (key - video.start).max(0.0));
        ["-noaccurate_seek".to_string(), "-ss".to_string(), after_start]
    });
    let max_output = (wanted.len() as u64 + 1) * (3 * video.pixels + 64);
    let call = Call::ffmpeg(patience(until - from), max_output)?
        .with(["-xerror", "-copyts", "-filter_threads", "1", "-err_detect", "explode"])
        .with(seek.into_iter().flatten())
        .with(["-t".to_string(), format!("{:.3}", until - from)])
        .with(source.arguments())
        .with(["-map".to_string(), format!("0:{}", video.stream)])
        .with(["-vf".to_string(), filter(&video.times, wanted)])
        .with(["-frames:v".to_string(), most.to_string()])
        .with(["-r", "25", "-threads", "1", "-c:v", "ppm", "-f", "image2pipe", "pipe:1"]);
    let image = config.image();
    let finished = call.run(|output| {
        let mut output = BufReader::new(output);
        let mut frames = Vec::new();
        while let Some(frame) = read_frame(&mut output)? {
            frames.push(fit(frame, video.aspect, &image));
        }
        Ok(frames)
    })?;
    if !finished.said.is_empty() {
        return Err(damaged(&finished.said));
    }
    if finished.value.len() != wanted.len() {
        let found = format!("{} of the {} wanted frames", finished.value.len(), wanted.len());
        return Err(damaged(&found));
    }
    Ok(finished.value)
}

/// Lets the wanted frames through, which are known by the moments that they are shown at; converts
/// them with the precise arithmetic of swscale, and numbers them at 25 a second so that none is
/// repeated or left out to keep a rate.
fn filter(times: &[f64], wanted: &[usize]) -> String {
    let border = |index: usize| match index {
        0 => times[0] - 1e3,
        index if index == times.len() => times[index - 1] + 1e3,
        index => (times[index - 1] + times[index]) / 2.0,
    };
    let moments = wanted.iter().map(|&at| {
        // Of neighbours that lie a thousandth of a second apart the border is still told exactly.
        format!("between(t\\,{:.6}\\,{:.6})", border(at), border(at + 1) - 1e-6)
    });
    let moments: Vec<String> = moments.collect();
    format!(
        "select={},scale=flags=bicubic+accurate_rnd+full_chroma_int,format=rgb24,settb=1/25,setpts=N",
        moments.join("+")
    )
}

/// The next picture of a stream of binary PPM files, or nothing at its end.
fn read_frame(output: &mut impl Read) -> Result<Option<Picture>> {
    let Some([kind, width, height, depth]) = read_header(output)? else {
        return Ok(None);
    };
    let (Ok(width), Ok(height)) = (width.parse::<u32>(), height.parse::<u32>()) else {
        return Err(damaged("a frame without a size"));
    };
    let area = u64::from(width) * u64::from(height);
    if kind != "P6" || depth != "255" || area == 0 || area > MAX_PIXELS {
        return Err(damaged("a frame of another kind"));
    }
    let mut pixels = vec![0; 3 * area as usize];
    output.read_exact(&mut pixels).map_err(|error| not_read(&error))?;
    Ok(Some(Picture {
        height: height as usize,
        width: width as usize,
        pixels,
    }))
}

/// The four words of a header, each with one blank behind it, or nothing at the end of the stream.
fn read_header(output: &mut impl Read) -> Result<Option<[String; 4]>> {
    let mut words: [String; 4] = Default::default();
    for (index, word) in words.iter_mut().enumerate() {
        loop {
            let mut byte = [0];
            let count = output.read(&mut byte).map_err(|error| not_read(&error))?;
            match (count, byte[0]) {
                (0, _) if index == 0 && word.is_empty() => return Ok(None),
                (0, _) => return Err(damaged("half a frame")),
                (_, b' ' | b'\n') => break,
                _ if word.len() == 10 => return Err(damaged("a frame without a header")),
                (_, byte) => word.push(byte as char),
            }
        }
    }
    Ok(Some(words))
}

/// Makes the pixels square by lengthening their shorter side, then brings the frame to its size.
fn fit(frame: Picture, aspect: f64, image: &ImageConfig) -> Picture {
    const LONGEST: f64 = 16_384.0;
    if (aspect - 1.0).abs() < 1e-3 {
        return resize::resize(frame.into(), image);
    }
    let width = (frame.width as f64 * aspect.max(1.0)).round().min(LONGEST) as usize;
    let height = (frame.height as f64 / aspect.min(1.0)).round().min(LONGEST) as usize;
    resize::resize(resize::stretch(&frame, height, width).into(), image)
}

fn damaged(found: &str) -> DataError {
    let message = format!("expected a video that decodes to its end, found {found}; replace the file");
    DataError::new(ErrorKind::Damaged, message)
}

#[cfg(test)]
mod tests {
    use super::super::format::Container;
    use super::super::samples::{CONTAINERS, cases, config, golden, golden_path, number, with_ffmpeg};
    use super::super::{Sampling, prepare_bytes, prepare_file};
    use super::*;
    use crate::processors::image::{Resize, Size};
    use proptest::prelude::*;

    /// The numbers that the frames of a golden clip show.
    fn numbers(config: &VideoConfig, name: &str) -> (Vec<usize>, Clip) {
        let clip = prepare_file(config, &golden_path(name)).unwrap_or_else(|error| panic!("{error}"));
        (clip.frames.iter().map(number).collect(), clip)
    }

    #[test]
    fn every_container_gives_exactly_the_wanted_frames() {
        if !with_ffmpeg() {
            return;
        }
        for (sampling, frames, expected) in [
            (Sampling::Uniform, 5, &[3, 9, 15, 21, 27][..]),
            (Sampling::Every(7), 30, &[0, 7, 14, 21, 28]),
        ] {
            for (name, _) in CONTAINERS.iter().filter(|(name, _)| *name != "turned.mp4") {
                let (found, clip) = numbers(&config(sampling, frames), name);
                assert_eq!(found, expected, "{name}");
                let rate = if name.starts_with("mpeg2") { 25.0 } else { 10.0 };
                for (&index, &time) in expected.iter().zip(&clip.timestamps) {
                    let expected = match *name {
                        "variable.mkv" => (index * index) as f32 / 100.0,
                        _ => index as f32 / rate,
                    };
                    assert!((time - expected).abs() < 2e-3, "{name}: {:?}", clip.timestamps);
                }
                let duration = if *name == "variable.mkv" { 8.6 } else { 30.0 / rate };
                assert!((clip.duration - duration).abs() < 0.3, "{name}: {}", clip.duration);
            }
        }
    }

    #[test]
    fn every_frame_of_a_clip_can_be_asked_for() {
        if !with_ffmpeg() {
            return;
        }
        let all: Vec<usize> = (0..30).collect();
        for name in [
            "h264.mp4",
            "hevc.mp4",
            "mpeg4.avi",
            "hidden.webm",
            "mpeg2.mpg",
            "variable.mkv",
        ] {
            assert_eq!(numbers(&config(Sampling::Uniform, 64), name).0, all, "{name}");
        }
    }

    #[test]
    fn a_rate_and_a_limit_count_seconds() {
        if !with_ffmpeg() {
            return;
        }
        let mut config = config(Sampling::Rate(2.0), 64);
        assert_eq!(numbers(&config, "h264.mp4").0, [0, 5, 10, 15, 20, 25]);
        // Frame n is shown at n² / 100 seconds.
        assert_eq!(numbers(&config, "variable.mkv").0[..5], [0, 7, 10, 12, 14]);
        config.max_seconds = 1.2;
        let (found, clip) = numbers(&config, "h264.mp4");
        assert_eq!((found, clip.duration), (vec![0, 5, 10], 1.2));
    }

    #[test]
    fn a_turned_video_stands_upright_and_wide_pixels_are_wide() {
        if !with_ffmpeg() {
            return;
        }
        let mut config = config(Sampling::Every(5), 2);
        (config.size, config.resize) = (Size::new(64, 48), Resize::Letterbox);
        let clip = prepare_file(&config, &golden_path("turned.mp4")).unwrap();
        // Frame 5 is white in blocks 0 and 2 of its upper row, which lies at the left side here.
        let white = |row: usize, column: usize| clip.frames[1].pixels[3 * (row * 48 + column)] > 128;
        let found: Vec<bool> = [8, 24, 40, 56]
            .iter()
            .flat_map(|&row| [white(row, 12), white(row, 36)])
            .collect();
        assert_eq!(found, [false, false, true, false, false, false, true, false]);
        config.size = Size::new(48, 128);
        let clip = prepare_file(&config, &golden_path("wide.mkv")).unwrap();
        let columns: Vec<bool> = (0..4)
            .map(|at| clip.frames[1].pixels[3 * (12 * 128 + 32 * at + 16)] > 128)
            .collect();
        assert_eq!(columns, [true, false, true, false]);
    }

    #[test]
    fn an_upload_reads_as_its_file_does() {
        if !with_ffmpeg() {
            return;
        }
        let config = config(Sampling::Uniform, 3);
        let file = prepare_file(&config, &golden_path("vp9.webm")).unwrap();
        assert_eq!(prepare_bytes(&config, &golden("vp9.webm")).unwrap(), file);
    }

    #[test]
    fn few_frames_of_a_long_video_are_decoded_from_their_key_frames() {
        if !with_ffmpeg() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        for (name, container) in [("long.mkv", Container::Matroska), ("long.mp4", Container::Mp4)] {
            let path = folder.path().join(name);
            // Frame n shows n modulo 256.
            let frames = "nullsrc=s=64x48:r=25,format=yuv420p,geq=cb=128:cr=128:\
                lum='16+219*mod(floor(N/pow(2\\,floor(X/16)+4*floor(Y/24)))\\,2)',trim=end_frame=1400";
            let made = Call::ffmpeg(patience(60.0), 0)
                .unwrap()
                .with([
                    "-f", "lavfi", "-i", frames, "-c:v", "mpeg4", "-g", "20", "-bf", "2", "-q:v", "3",
                ])
                .with([&path]);
            made.run(|_| Ok(())).unwrap();
            let source = Source { container, path: &path };
            let video = source.video(600.0).unwrap();
            let parts = plan::parts(&video, &[350, 1050]).unwrap();
            assert_eq!(parts.len(), 2);
            let config = config(Sampling::Uniform, 2);
            let frames = |part: &plan::Part| run(&config, source, &video, &part.wanted, Some(part.start)).unwrap();
            let found: Vec<Picture> = parts.iter().flat_map(frames).collect();
            assert_eq!(
                found.iter().map(number).collect::<Vec<_>>(),
                [350 % 256, 1050 % 256],
                "{name}"
            );
            let clip = prepare_file(&config, &path).unwrap();
            assert_eq!(
                (clip.frames, &clip.timestamps[..]),
                (found, &[14.0, 42.0][..]),
                "{name}"
            );
        }
    }

    fn check_refused(bytes: &[u8], kind: ErrorKind, words: &str) {
        let Err(error) = prepare_bytes(&config(Sampling::Uniform, 4), bytes) else {
            panic!("not refused: {words}");
        };
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(words), "{error}");
    }

    /// A copy of `bytes` with a field behind the first `mark` changed.
    fn forged(bytes: &[u8], mark: &[u8], offset: usize, value: &[u8]) -> Vec<u8> {
        let at = bytes.windows(mark.len()).position(|it| it == mark).unwrap() + offset;
        let mut bytes = bytes.to_vec();
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    }

    #[test]
    fn zeroed_media_are_damaged() {
        if !with_ffmpeg() {
            return;
        }
        for (name, _) in CONTAINERS {
            let mut bytes = golden(name);
            let (start, length) = (bytes.len() * 2 / 5, bytes.len() / 2);
            bytes[start..start + length].fill(0);
            check_refused(&bytes, ErrorKind::Damaged, "expected");
        }
    }

    #[test]
    fn forged_headers_are_refused() {
        if !with_ffmpeg() {
            return;
        }
        let mp4 = golden("h264.mp4");
        check_refused(
            &forged(&mp4, b"mdhd", 16, &[0x0f, 0, 0, 0]),
            ErrorKind::Damaged,
            "that the file declares",
        );
        check_refused(
            &forged(&mp4, b"stts", 12, &[0, 0, 0, 1]),
            ErrorKind::Damaged,
            "expected",
        );
        check_refused(
            &forged(&golden("motion_jpeg.avi"), b"strh", 40, &[0xff, 0xff, 0, 0]),
            ErrorKind::Damaged,
            "declares",
        );
        let huge = forged(&golden("motion_jpeg.avi"), b"\xff\xc0", 5, &[0xff, 0xff, 0xff, 0xff]);
        check_refused(&huge, ErrorKind::Damaged, "expected");
        check_refused(&golden("tone.m4a"), ErrorKind::Damaged, "without a video stream");
    }

    #[test]
    fn frames_are_picked_by_the_moments_around_them() {
        let found = filter(&[0.0, 0.1, 0.3], &[0, 2]);
        assert!(
            found.starts_with("select=between(t\\,-1000.000000\\,0.049999)+between(t\\,0.200000\\,1000.299999),"),
            "{found}"
        );
    }

    proptest! {
        #![proptest_config(cases(2000, 20_000))]
        #[test]
        fn any_output_gives_frames_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80), start in 0usize..20) {
            let header = b"P6\n2 1\n255\nabcdefP6\n";
            let bytes = [&header[..start], &bytes].concat();
            if let Ok(Some(frame)) = read_frame(&mut &bytes[..]) {
                prop_assert_eq!(frame.pixels.len(), 3 * frame.width * frame.height);
            }
        }
    }

    proptest! {
        #![proptest_config(cases(40, 60))]
        #[test]
        fn any_change_of_a_container_gives_a_clip_or_an_error(
            which in 0usize..CONTAINERS.len(),
            changes in proptest::collection::vec((any::<u32>(), any::<u8>()), 1..6),
        ) {
            if with_ffmpeg() {
                let (name, container) = CONTAINERS[which];
                let mut bytes = golden(name);
                for (place, value) in changes {
                    let place = place as usize % bytes.len();
                    bytes[place] = value;
                }
                // Ogg files have checksums, which no change would pass.
                if container != Container::Ogg {
                    match prepare_bytes(&config(Sampling::Uniform, 4), &bytes) {
                        Ok(clip) => prop_assert!((1..=4).contains(&clip.frames.len())),
                        Err(error) => prop_assert!(error.message.contains("expected"), "{}", error),
                    }
                }
            }
        }
    }
}
