//! Whether a stream is decoded from its start to its end, or only near the wanted frames.

use super::probe::Video;

/// What it costs to start ffmpeg once more, in frames that could be decoded meanwhile.
const START: usize = 100;
/// How much cheaper it must be to decode parts only: a stream that is decoded whole has no damage
/// that stays unseen.
const GAIN: usize = 4;

/// A part of a stream: from a key frame to the last of the wanted frames behind it.
#[derive(Debug, PartialEq)]
pub struct Part {
    /// When the key frame is shown, in seconds.
    pub start: f64,
    /// The wanted frames, by their place in the stream.
    pub wanted: Vec<usize>,
}

/// The parts to decode of a long stream of which few frames are wanted; nothing when all of it is
/// to be decoded.
pub fn parts(video: &Video, wanted: &[usize]) -> Option<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut cost = 0;
    for &index in wanted {
        let key = video
            .keys
            .partition_point(|&key| key <= video.times[index])
            .checked_sub(1)?;
        let start = video.keys[key];
        match parts.last_mut() {
            Some(part) if part.start == start => part.wanted.push(index),
            _ => parts.push(Part {
                start,
                wanted: vec![index],
            }),
        }
    }
    for part in &parts {
        let first = video.times.partition_point(|&time| time < part.start);
        cost += START + part.wanted.last()? - first.min(*part.wanted.last()?);
    }
    (GAIN * cost < video.times.len()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of 10 frames a second with a key frame every `distance`.
    fn video(length: usize, distance: usize) -> Video {
        let time = |index: usize| index as f64 / 10.0;
        Video {
            stream: 0,
            start: 0.0,
            times: (0..length).map(time).collect(),
            keys: (0..length).step_by(distance.max(1)).map(time).collect(),
            end: time(length),
            pixels: 1,
            aspect: 1.0,
        }
    }

    #[test]
    fn few_frames_of_a_long_stream_are_decoded_from_their_key_frames() {
        let found = parts(&video(10_000, 50), &[1000, 1020, 5049]).unwrap();
        let expected = [
            Part {
                start: 100.0,
                wanted: vec![1000, 1020],
            },
            Part {
                start: 500.0,
                wanted: vec![5049],
            },
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn short_streams_many_frames_and_rare_key_frames_are_decoded_whole() {
        assert_eq!(parts(&video(300, 10), &[100, 200]), None);
        assert_eq!(
            parts(&video(10_000, 50), &(0..100).map(|at| 100 * at).collect::<Vec<_>>()),
            None
        );
        assert_eq!(parts(&video(10_000, 9000), &[100, 8000]), None);
        let mut late = video(10_000, 50);
        late.keys.remove(0);
        assert_eq!(parts(&late, &[10]), None);
        late.keys.clear();
        assert_eq!(parts(&late, &[5000]), None);
    }
}
