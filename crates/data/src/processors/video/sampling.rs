//! Which frames of a clip are read, and which of these are used.

use super::{Sampling, VideoConfig};
use crate::random::Key;
use rand::RngExt;

/// How many frames of each segment are read, and cached, for the random choice among them. An odd
/// number, so that one of them is the segment's centre.
const CANDIDATES: usize = 3;

/// The frames to read, in rising order without repetition, of a clip whose frames are shown at
/// `times` (rising, in seconds from the first) until `end`. Equal for every use of the clip.
pub fn candidates(config: &VideoConfig, times: &[f64], end: f64) -> Vec<usize> {
    let frames = config.frames as usize;
    match config.sampling {
        Sampling::Uniform => centres(times.len(), frames),
        Sampling::RandomSegment => centres(times.len(), CANDIDATES * frames),
        Sampling::Every(step) => (0..times.len()).step_by(step as usize).take(frames).collect(),
        Sampling::Rate(rate) => at_rate(times, end, f64::from(rate), frames),
        Sampling::Spread(rate) => spread(times.len(), end, f64::from(rate), frames),
        Sampling::Steps { rate, least, multiple } => {
            let wanted = (end * f64::from(rate)).max(f64::from(least));
            steps(times.len(), wanted, frames, multiple as usize)
        }
    }
}

/// As many frames as `rate` gives in `seconds`, `frames` at most, from the first one to the last one; without a second at each
/// end of a long clip, whose frames are taken to be equally far apart.
fn spread(length: usize, seconds: f64, rate: f64, frames: usize) -> Vec<usize> {
    let Some(last) = length.checked_sub(1) else {
        return Vec::new();
    };
    let wanted = ((rate * seconds).round_ties_even() as usize).clamp(1, frames);
    let second = length as f64 / seconds;
    let (from, to) = match seconds - 2.0 > frames as f64 * rate {
        true => (second as usize, ((length as f64 - second) as usize).min(last)),
        false => (0, last),
    };
    let (from, to) = if from < to { (from, to) } else { (0, last) };
    let step = (to - from) as f64 / (wanted.max(2) - 1) as f64;
    let place = |number: usize| match number + 1 == wanted && wanted > 1 {
        true => to,
        false => (number as f64 * step + from as f64) as usize,
    };
    let mut chosen: Vec<usize> = (0..wanted).map(place).collect();
    chosen.dedup();
    chosen
}

/// As many frames as are `wanted`, at most `frames`, whose number is a multiple of `multiple` where there are as many.
fn steps(length: usize, wanted: f64, frames: usize, multiple: usize) -> Vec<usize> {
    let whole = |count: usize| count / multiple * multiple;
    let most = whole(frames.min(length));
    let count = whole(wanted.min(most as f64) as usize).max(1).min(length);
    let step = length as f64 / count.max(1) as f64;
    // In numbers of 32 bits, as the original counts.
    (0..count)
        .map(|number| (number as f64 * step) as f32 as usize)
        .collect()
}

/// The centres of `segments` equal segments of `length` frames; all frames when there are fewer.
fn centres(length: usize, segments: usize) -> Vec<usize> {
    if length <= segments {
        return (0..length).collect();
    }
    (0..segments).map(|at| (2 * at + 1) * length / (2 * segments)).collect()
}

/// The frames that are shown at the moments 0, 1 / rate, 2 / rate, …
fn at_rate(times: &[f64], end: f64, rate: f64, frames: usize) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    for (index, &time) in times.iter().enumerate() {
        let next = times.get(index + 1).copied().unwrap_or(end);
        // The first moment at or after the frame appears; a hair allows for rounded times.
        let moment = (time * rate - 1e-3).ceil().max(0.0) / rate;
        if chosen.len() < frames && moment < next - 1e-3 / rate {
            chosen.push(index);
        }
    }
    chosen
}

/// The frames to use of `read` frames: of each of `frames` groups one that `key` draws, or without
/// a key the centre; nothing to choose when no more than `frames` were read.
pub fn choose(read: usize, frames: usize, key: Option<&Key>) -> Option<Vec<usize>> {
    if read <= frames {
        return None;
    }
    let mut generator = key.map(|key| key.with("segment").generator());
    let mut one = |group: usize| {
        let (start, end) = (group * read / frames, (group + 1) * read / frames);
        match &mut generator {
            Some(generator) => generator.random_range(start..end),
            None => (start + end - 1) / 2,
        }
    };
    Some((0..frames).map(&mut one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn config(sampling: Sampling, frames: u32) -> VideoConfig {
        VideoConfig {
            sampling,
            frames,
            ..Default::default()
        }
    }

    /// A clip of `length` frames at 10 a second.
    fn check(sampling: Sampling, frames: u32, length: usize, expected: &[usize]) {
        let times: Vec<f64> = (0..length).map(|index| index as f64 / 10.0).collect();
        assert_eq!(
            candidates(&config(sampling, frames), &times, length as f64 / 10.0),
            expected,
            "{sampling:?} {frames} of {length}"
        );
    }

    #[test]
    fn each_sampling_reads_its_frames() {
        check(Sampling::Uniform, 4, 8, &[1, 3, 5, 7]);
        check(Sampling::Uniform, 3, 10, &[1, 5, 8]);
        check(Sampling::Uniform, 1, 5, &[2]);
        check(Sampling::Uniform, 8, 3, &[0, 1, 2]);
        check(Sampling::RandomSegment, 2, 12, &[1, 3, 5, 7, 9, 11]);
        check(Sampling::RandomSegment, 2, 5, &[0, 1, 2, 3, 4]);
        check(Sampling::Every(3), 4, 100, &[0, 3, 6, 9]);
        check(Sampling::Every(3), 4, 7, &[0, 3, 6]);
        check(Sampling::Rate(2.0), 4, 100, &[0, 5, 10, 15]);
        check(Sampling::Rate(2.0), 4, 11, &[0, 5, 10]);
        check(Sampling::Rate(100.0), 3, 5, &[0, 1, 2]);
        check(Sampling::Rate(3.0), 4, 100, &[0, 3, 6, 10]);
        check(Sampling::Uniform, 4, 0, &[]);
        check(Sampling::Spread(1.0), 4, 12, &[0]);
        check(Sampling::Spread(1.0), 4, 35, &[0, 11, 22, 34]);
        check(Sampling::Spread(1.0), 4, 60, &[0, 19, 39, 59]);
        check(Sampling::Spread(1.0), 4, 61, &[10, 23, 37, 51]);
        check(Sampling::Spread(30.0), 4, 3, &[0, 1, 2]);
        check(Sampling::Spread(1.0), 4, 0, &[]);
        let steps = |rate| Sampling::Steps {
            rate,
            least: 4,
            multiple: 2,
        };
        check(steps(2.0), 8, 24, &[0, 6, 12, 18]);
        check(steps(2.0), 8, 60, &[0, 7, 15, 22, 30, 37, 45, 52]);
        check(steps(2.0), 9, 60, &[0, 7, 15, 22, 30, 37, 45, 52]);
        check(steps(2.0), 8, 27, &[0, 6, 13, 20]);
        check(steps(2.0), 8, 3, &[0, 1]);
        check(steps(2.0), 8, 1, &[0]);
        check(steps(2.0), 8, 0, &[]);
    }

    #[test]
    fn a_rate_counts_seconds_and_not_frames() {
        let times = [0.0, 0.1, 0.9, 1.0, 1.1, 3.5, 3.6];
        let config = config(Sampling::Rate(1.0), 9);
        assert_eq!(candidates(&config, &times, 3.7), [0, 3, 4]);
        assert_eq!(candidates(&config, &times, 4.5), [0, 3, 4, 6]);
    }

    #[test]
    fn evaluation_uses_the_centres_that_uniform_sampling_reads() {
        for length in [24, 30, 31, 100, 777] {
            let times = vec![0.0; length];
            let read = candidates(&config(Sampling::RandomSegment, 8), &times, 1.0);
            let used = choose(read.len(), 8, None).unwrap();
            let used: Vec<usize> = used.into_iter().map(|at| read[at]).collect();
            assert_eq!(used, candidates(&config(Sampling::Uniform, 8), &times, 1.0));
        }
    }

    #[test]
    fn training_draws_every_candidate_of_every_segment() {
        let mut seen = std::collections::BTreeSet::new();
        for index in 0..60 {
            let key = Key::new(1).at(index);
            let used = choose(12, 4, Some(&key)).unwrap();
            assert_eq!(choose(12, 4, Some(&key)).unwrap(), used);
            for (segment, at) in used.into_iter().enumerate() {
                assert_eq!(at / 3, segment);
                seen.insert(at);
            }
        }
        assert_eq!(seen.len(), 12);
        assert_eq!(choose(4, 4, Some(&Key::new(1))), None);
    }

    proptest! {
        #[test]
        fn frames_rise_and_stay_within_the_bounds(
            frames in 1u32..40, length in 0usize..300, which in 0usize..6, step in 1u32..9, seed in 0u64..9,
        ) {
            let samplings = [
                Sampling::Uniform,
                Sampling::RandomSegment,
                Sampling::Every(step),
                Sampling::Rate(step as f32 * 0.7),
                Sampling::Spread(step as f32 * 0.7),
                Sampling::Steps {
                    rate: step as f32 * 0.7,
                    least: step,
                    multiple: 2,
                },
            ];
            let times: Vec<f64> = (0..length).map(|index| (index * index) as f64 / 100.0).collect();
            let read = candidates(&config(samplings[which], frames), &times, (length * length) as f64 / 100.0);
            prop_assert!(read.is_sorted_by(|a, b| a < b));
            prop_assert!(read.iter().all(|&at| at < length));
            prop_assert_eq!(read.is_empty(), length == 0);
            let used = choose(read.len(), frames as usize, Some(&Key::new(seed)));
            let used = used.unwrap_or((0..read.len()).collect());
            prop_assert!(used.is_sorted_by(|a, b| a < b));
            prop_assert!(used.len() <= frames as usize && used.iter().all(|&at| at < read.len()));
        }
    }
}
