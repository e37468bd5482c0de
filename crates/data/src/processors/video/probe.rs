//! What a container says of its video stream: when each frame is shown, and the shape of a pixel.

use super::format::Container;
use crate::ffmpeg::{Call, not_read};
use crate::{DataError, ErrorKind, Result};
use serde::Deserialize;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// The largest frame, in pixels: the 8K of cinemas.
pub const MAX_PIXELS: u64 = 8192 * 4320;
/// The largest block of memory that a decoder may ask for, in bytes.
const MAX_BLOCK: u64 = 1 << 30;
/// The longest list of frames, in bytes of JSON: about a million frames.
const MAX_LIST: u64 = 64 << 20;
/// How long either program may take for a file of no length.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is read beyond the last second of interest, in seconds: frames are stored in another order
/// than they are shown in.
pub const MARGIN: f64 = 5.0;

/// A file, and the one demultiplexer that may read it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    pub container: Container,
    pub path: &'a Path,
}

/// A video stream.
#[derive(Debug, PartialEq)]
pub struct Video {
    /// Its number in the file.
    pub stream: u32,
    /// When the file starts, in seconds: what a seek counts from.
    pub start: f64,
    /// When each frame is shown, in seconds, rising without repetition.
    pub times: Vec<f64>,
    /// When the key frames are shown, as far as this is known.
    pub keys: Vec<f64>,
    /// When the last of them vanishes.
    pub end: f64,
    /// The area of a stored frame in pixels.
    pub pixels: u64,
    /// The width of a pixel divided by its height, after turning as the file says.
    pub aspect: f64,
}

impl Source<'_> {
    /// The arguments for either program that name the file and bound what is opened for it: no
    /// other file, no address, no playlist and no other format.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut name = OsString::from("file:");
        name.push(self.path);
        let text = |it: &str| OsString::from(it);
        vec![
            text("-protocol_whitelist"),
            text("file"),
            text("-max_pixels"),
            text(&MAX_PIXELS.to_string()),
            text("-max_alloc"),
            text(&MAX_BLOCK.to_string()),
            text("-threads"),
            text("1"),
            text("-f"),
            text(self.container.demuxer()),
            text("-i"),
            name,
        ]
    }

    /// What ffprobe says of the wanted `entries`.
    pub fn ask(&self, entries: &str, more: &[&str], seconds: f64) -> Result<Report> {
        let call = Call::ffprobe(patience(seconds), MAX_LIST)?
            .with(["-of", "json=compact=1", "-show_entries", entries])
            .with(more)
            .with(self.arguments());
        let finished = call.run(|output| {
            let mut json = Vec::new();
            output.read_to_end(&mut json).map_err(|error| not_read(&error))?;
            Ok(json)
        })?;
        serde_json::from_slice(&finished.value).map_err(|error| {
            let message =
                format!("expected ffprobe to describe the file, found: {error}; replace the file or update ffmpeg");
            DataError::new(ErrorKind::Damaged, message)
        })
    }

    /// The first video stream that is not a cover picture, as far as `max_seconds` after its start.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when there is none, or when it is shorter than the file declares.
    pub fn video(&self, max_seconds: f64) -> Result<Video> {
        const STREAM: &str = "stream=index,codec_name,width,height,time_base,duration,sample_aspect_ratio:\
            stream_side_data=rotation:format=start_time,duration,nb_streams";
        let interval = format!("%+{}", max_seconds + MARGIN);
        let some = ["-select_streams", "V", "-read_intervals", &interval];
        let entries = format!("packet=stream_index,pts,duration,flags:{STREAM}");
        let mut report = self.ask(&entries, &some, max_seconds)?;
        let stream = report.streams.first().ok_or_else(|| no_video(self.container))?.clone();
        let tick = ratio(&stream.time_base, '/').ok_or_else(|| no_video(self.container))?;
        report.packets.retain(|packet| packet.stream_index == stream.index);
        let listed = match stream.codec_name.as_deref() {
            // Its packets may hold frames that are decoded and never shown.
            Some("vp8") => None,
            _ => shown_packets(&report.packets),
        };
        let (mut shown, keys) = match listed {
            Some(shown) => (shown, keys(&report.packets, tick)),
            None => {
                let entries = "frame=stream_index,best_effort_timestamp";
                let frames = self.ask(entries, &some, max_seconds)?.frames;
                let frames = frames.iter().filter(|frame| frame.stream_index == stream.index);
                // Times that are guessed from the start are others after a seek.
                (shown_frames(frames), Vec::new())
            }
        };
        shown.sort_unstable();
        shown.dedup();
        let video = Video {
            stream: stream.index,
            start: report.format.start(),
            times: shown.iter().map(|&pts| pts as f64 * tick).collect(),
            keys,
            end: end(&shown, &report.packets) * tick,
            pixels: u64::from(stream.width) * u64::from(stream.height),
            aspect: stream.aspect(),
        };
        self.check_duration(&stream, &report.format, &video, max_seconds)?;
        Ok(video)
    }

    /// Whether the frames fill the time that the file declares. Streams declare none; where there
    /// are several, the file's time may be that of another.
    fn check_duration(&self, stream: &Stream, format: &Format, video: &Video, max_seconds: f64) -> Result<()> {
        let declares = matches!(self.container, Container::Mp4 | Container::Matroska | Container::Avi);
        let whole = seconds(&format.duration).filter(|_| format.nb_streams == 1);
        let found = video.end - video.times.first().copied().unwrap_or(video.end);
        for declared in [stream.seconds(), whole].into_iter().flatten().filter(|_| declares) {
            let (expected, given) = (declared.min(max_seconds), found.min(max_seconds));
            // Players disagree about the first and the last frame.
            if (expected - given).abs() > 1.0 + 0.05 * expected {
                let message = format!(
                    "expected the {declared:.1} s that the file declares, found frames for {found:.1} s; \
                     replace the file"
                );
                return Err(DataError::new(ErrorKind::Damaged, message));
            }
        }
        Ok(())
    }
}

/// How long a program may take for so many seconds of video.
pub fn patience(seconds: f64) -> Duration {
    PATIENCE + Duration::from_secs_f64(2.0 * seconds.clamp(0.0, 100_000.0))
}

fn no_video(container: Container) -> DataError {
    let message = format!(
        "expected a video, found a {} file without a video stream; replace the file",
        container.name()
    );
    DataError::new(ErrorKind::Damaged, message)
}

/// When the packets' frames are shown, or nothing when a packet does not say. What is shown before
/// the first key frame cannot be decoded, and an edit list may hide more.
fn shown_packets(packets: &[Packet]) -> Option<Vec<i64>> {
    let key = packets.iter().find(|packet| packet.flags.starts_with('K'))?.pts?;
    let shown = packets.iter().filter(|packet| !packet.flags.contains('D'));
    let times: Option<Vec<i64>> = shown.map(|packet| packet.pts).collect();
    times.map(|mut times| {
        times.retain(|&pts| pts >= key);
        times
    })
}

/// When the last frame vanishes: after the time that its packet states, or the time that the frame
/// before it was shown for.
fn end(shown: &[i64], packets: &[Packet]) -> f64 {
    let last = shown.last().copied().unwrap_or_default();
    let stated = packets.iter().filter(|packet| packet.pts == Some(last));
    let before = shown.len().checked_sub(2).map(|at| last.saturating_sub(shown[at]));
    let length = stated.filter_map(|packet| packet.duration).next().or(before);
    last as f64 + length.unwrap_or(0) as f64
}

/// When the key frames are shown, in seconds of `tick` each.
fn keys(packets: &[Packet], tick: f64) -> Vec<f64> {
    let keys = packets.iter().filter(|packet| packet.flags.starts_with('K'));
    let mut keys: Vec<f64> = keys.filter_map(|packet| Some(packet.pts? as f64 * tick)).collect();
    keys.sort_unstable_by(f64::total_cmp);
    keys
}

/// When the decoded frames are shown. The last of them may carry no time, and follow at the pace of
/// those before, as ffmpeg has it.
fn shown_frames<'a>(frames: impl Iterator<Item = &'a Frame>) -> Vec<i64> {
    let mut times: Vec<i64> = Vec::new();
    for frame in frames {
        let guess = match times[..] {
            [.., before, last] => last.saturating_add(last.saturating_sub(before).max(1)),
            [last] => last.saturating_add(1),
            [] => 0,
        };
        times.push(frame.best_effort_timestamp.unwrap_or(guess));
    }
    times
}

/// The answer of ffprobe.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Report {
    packets: Vec<Packet>,
    frames: Vec<Frame>,
    pub streams: Vec<Stream>,
    format: Format,
}

#[derive(Debug, Deserialize)]
struct Packet {
    stream_index: u32,
    pts: Option<i64>,
    duration: Option<i64>,
    #[serde(default)]
    flags: String,
}

#[derive(Debug, Deserialize)]
struct Frame {
    stream_index: u32,
    best_effort_timestamp: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Format {
    nb_streams: u32,
    start_time: Option<String>,
    duration: Option<String>,
}

impl Format {
    fn start(&self) -> f64 {
        let written = self.start_time.as_ref().and_then(|it| it.parse().ok());
        written.unwrap_or(0.0)
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Stream {
    pub index: u32,
    codec_name: Option<String>,
    width: u32,
    height: u32,
    time_base: String,
    duration: Option<String>,
    sample_aspect_ratio: Option<String>,
    side_data_list: Vec<SideData>,
    pub sample_rate: Option<String>,
    pub channels: u32,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct SideData {
    rotation: Option<f64>,
}

impl Stream {
    fn seconds(&self) -> Option<f64> {
        seconds(&self.duration)
    }

    /// The width of a pixel divided by its height, within bounds that keep hostile values small.
    fn aspect(&self) -> f64 {
        let written = self.sample_aspect_ratio.as_ref().and_then(|it| ratio(it, ':'));
        let aspect = written.unwrap_or(1.0).clamp(0.1, 10.0);
        let rotation = self.side_data_list.iter().find_map(|data| data.rotation);
        let quarters = (rotation.unwrap_or(0.0) / 90.0).round();
        if quarters.abs() % 2.0 == 1.0 {
            1.0 / aspect
        } else {
            aspect
        }
    }
}

fn seconds(written: &Option<String>) -> Option<f64> {
    let seconds: f64 = written.as_ref()?.parse().ok()?;
    (seconds > 0.0 && seconds.is_finite()).then_some(seconds)
}

/// A positive ratio of two numbers.
fn ratio(written: &str, between: char) -> Option<f64> {
    let (above, below) = written.split_once(between)?;
    let (above, below): (f64, f64) = (above.parse().ok()?, below.parse().ok()?);
    (above > 0.0 && below > 0.0).then(|| above / below)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{CONTAINERS, golden_path, with_ffmpeg};
    use super::*;

    fn video(name: &str, container: Container) -> Video {
        let path = golden_path(name);
        Source { container, path: &path }
            .video(600.0)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[test]
    fn every_container_lists_every_frame_with_its_time() {
        if !with_ffmpeg() {
            return;
        }
        for (name, container) in CONTAINERS {
            let video = video(name, container);
            assert_eq!((video.times.len(), video.pixels), (30, 64 * 48), "{name}");
            let rate = if name.starts_with("mpeg2") { 25.0 } else { 10.0 };
            for (index, time) in video.times.iter().enumerate() {
                let time = time - video.times[0];
                let expected = match name {
                    "variable.mkv" => (index * index) as f64 / 100.0,
                    _ => index as f64 / rate,
                };
                assert!((time - expected).abs() < 2e-3, "{name}: frame {index} at {time}");
            }
            assert!(video.end > video.times[29], "{name}");
            assert_eq!(video.aspect, if name == "wide.mkv" { 2.0 } else { 1.0 }, "{name}");
        }
    }

    #[test]
    fn pixels_that_are_not_square_turn_with_the_picture() {
        let aspect = |ratio: &str, rotation| {
            let stream = Stream {
                sample_aspect_ratio: Some(ratio.to_string()),
                side_data_list: vec![SideData { rotation }],
                ..Stream::default()
            };
            stream.aspect()
        };
        assert_eq!(aspect("2:1", None), 2.0);
        assert_eq!(aspect("2:1", Some(-90.0)), 0.5);
        assert_eq!(aspect("2:1", Some(180.0)), 2.0);
        assert_eq!(aspect("0:1", None), 1.0);
        assert_eq!(aspect("N/A", Some(90.0)), 1.0);
        assert_eq!(aspect("100000:1", None), 10.0);
    }

    #[test]
    fn frames_without_a_time_follow_at_the_pace_of_those_before() {
        let frame = |best_effort_timestamp| Frame {
            stream_index: 0,
            best_effort_timestamp,
        };
        let frames = [Some(2), Some(5), None, None].map(frame);
        assert_eq!(shown_frames(frames.iter()), [2, 5, 8, 11]);
        assert_eq!(shown_frames([frame(None), frame(None)].iter()), [0, 1]);
        assert_eq!(
            shown_frames([frame(Some(i64::MAX)), frame(None)].iter()),
            [i64::MAX, i64::MAX]
        );
    }

    #[test]
    fn frames_before_the_first_key_frame_are_not_shown() {
        let packet = |pts: Option<i64>, flags: &str| Packet {
            stream_index: 0,
            pts,
            duration: None,
            flags: flags.to_string(),
        };
        let packets = [
            packet(Some(4), "K_"),
            packet(Some(2), "__"),
            packet(Some(5), "__"),
            packet(Some(6), "_D"),
        ];
        assert_eq!(shown_packets(&packets), Some(vec![4, 5]));
        assert_eq!(shown_packets(&[packet(Some(4), "K_"), packet(None, "__")]), None);
        assert_eq!(shown_packets(&[]), None);
    }

    #[test]
    fn a_file_without_a_moving_picture_is_no_video() {
        if !with_ffmpeg() {
            return;
        }
        for name in ["tone.m4a", "cover.m4a"] {
            let path = golden_path(name);
            let source = Source {
                container: Container::Mp4,
                path: &path,
            };
            let error = source.video(9.0).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Damaged);
            assert!(error.message.contains("without a video stream"), "{error}");
        }
    }
}
