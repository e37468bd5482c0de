//! From the probabilities of parts to stretches of speech (`get_speech_timestamps` of silero-vad, with the settings that
//! faster-whisper has for it).

use super::network::PART;

/// Samples in a second.
const RATE: f64 = 16_000.0;
/// Speech begins where it is more probable than this, and ends where it is less probable than that.
const BEGINS: f32 = 0.5;
const ENDS: f32 = 0.35;
/// A shorter pause, in seconds, is part of a stretch.
const PAUSE: f64 = 2.0;
/// What is heard before and behind speech, in seconds.
const AROUND: f64 = 0.4;

/// From when to when somebody speaks, in seconds, in a recording of so many samples.
pub fn stretches(probabilities: &[f32], samples: usize) -> Vec<[f64; 2]> {
    let length = samples as f64 / RATE;
    // Pauses are longer than what is heard around speech, so that stretches stay apart.
    let widen = |[start, end]: [f64; 2]| [(start - AROUND).max(0.0), (end + AROUND).min(length)];
    spoken(probabilities, length).into_iter().map(widen).collect()
}

/// The same, without what is around.
fn spoken(probabilities: &[f32], length: f64) -> Vec<[f64; 2]> {
    let (mut found, mut start, mut end) = (Vec::new(), None, None);
    for (part, &probability) in probabilities.iter().enumerate() {
        let now = (part * PART) as f64 / RATE;
        if probability >= BEGINS {
            start = start.or(Some(now));
            end = None;
        }
        let Some(began) = start.filter(|_| probability < ENDS) else {
            continue;
        };
        let ended = *end.get_or_insert(now);
        if now - ended >= PAUSE {
            found.push([began, ended]);
            (start, end) = (None, None);
        }
    }
    found.extend(start.map(|began| [began, length]));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts are 32 ms long.
    fn check(parts: &[(f32, usize)], expected: &[[f64; 2]]) {
        let parts = parts.iter();
        let probabilities: Vec<f32> = parts
            .flat_map(|&(value, count)| std::iter::repeat_n(value, count))
            .collect();
        let found = stretches(&probabilities, probabilities.len() * PART);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        let near = |a: &[f64; 2], b: &[f64; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(found.iter().zip(expected).all(|(a, b)| near(a, b)), "{found:?}");
    }

    #[test]
    fn long_pauses_part_what_is_said() {
        check(&[(0.1, 200)], &[]);
        check(&[(0.9, 100)], &[[0.0, 3.2]]);
        // A pause of 1.6 s is part of a stretch, one of 6.4 s is not.
        let long = [
            (0.1, 50),
            (0.9, 25),
            (0.1, 50),
            (0.9, 25),
            (0.1, 200),
            (0.9, 25),
            (0.1, 100),
        ];
        check(&long, &[[1.2, 5.2], [10.8, 12.4]]);
        // What is between the two bounds neither begins nor ends speech.
        check(&[(0.4, 50), (0.9, 1), (0.4, 99)], &[[1.2, 4.8]]);
    }
}
