//! When tokens are spoken, by what heads of attention look at while they are written (`timing.py` of openai-whisper).

/// Places that the median of a weight is taken over.
const MEDIAN: usize = 7;

/// How several heads attend from the tokens of a text to the places of a sound.
pub struct Attended {
    /// Of each head, the scores [tokens, places].
    pub heads: Vec<Vec<f32>>,
    pub tokens: usize,
    pub places: usize,
}

impl Attended {
    /// The place at which each of the tokens of the half-open range `text` begins, never falling.
    pub fn begins(mut self, text: [usize; 2]) -> Vec<usize> {
        let (tokens, places) = (self.tokens, self.places);
        let mut mean = vec![0.0; tokens * places];
        for scores in &mut self.heads {
            scores.chunks_exact_mut(places).for_each(softmax);
            standardise(scores, places);
            for (mean, scores) in mean.chunks_exact_mut(places).zip(scores.chunks_exact(places)) {
                let smooth = (0..places).map(|place| median(scores, place));
                mean.iter_mut().zip(smooth).for_each(|(mean, value)| *mean += value);
            }
        }
        cheapest_path(&mean[text[0] * places..text[1] * places], places)
    }
}

fn softmax(scores: &mut [f32]) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter_mut().for_each(|score| *score = (*score - most).exp());
    let sum: f32 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// Brings what all tokens give to a place to a mean of zero and a deviation of one.
fn standardise(weights: &mut [f32], places: usize) {
    let count = (weights.len() / places) as f32;
    for place in 0..places {
        let column = || weights[place..].iter().step_by(places);
        let mean = column().sum::<f32>() / count;
        let variance = column().map(|weight| (weight - mean).powi(2)).sum::<f32>() / count;
        let deviation = variance.sqrt().max(f32::MIN_POSITIVE);
        let column = weights[place..].iter_mut().step_by(places);
        column.for_each(|weight| *weight = (*weight - mean) / deviation);
    }
}

/// The median around a place, with what lies beyond the ends as in a mirror.
fn median(values: &[f32], place: usize) -> f32 {
    let reach = MEDIAN / 2;
    if values.len() <= reach {
        return values[place];
    }
    let last = values.len() as isize - 1;
    let mut window: [f32; MEDIAN] = std::array::from_fn(|index| {
        let at = (place + index) as isize - reach as isize;
        values[(last - (last - at.abs()).abs()) as usize]
    });
    window.sort_by(f32::total_cmp);
    window[reach]
}

/// Where each row begins on the path through `gains` [rows, places] from the first corner to the last one that gains most:
/// dynamic time warping (Sakoe and Chiba 1978).
fn cheapest_path(gains: &[f32], places: usize) -> Vec<usize> {
    let rows = gains.len() / places;
    let width = places + 1;
    let mut costs = vec![f32::INFINITY; (rows + 1) * width];
    let mut steps = vec![Step::Place; (rows + 1) * width];
    costs[0] = 0.0;
    for row in 1..=rows {
        steps[row * width] = Step::Row;
        for place in 1..=places {
            let at = row * width + place;
            let (both, row_before, place_before) = (costs[at - width - 1], costs[at - width], costs[at - 1]);
            let (cost, step) = if both < row_before && both < place_before {
                (both, Step::Both)
            } else if row_before < both && row_before < place_before {
                (row_before, Step::Row)
            } else {
                (place_before, Step::Place)
            };
            costs[at] = cost - gains[(row - 1) * places + place - 1];
            steps[at] = step;
        }
    }
    let mut begins = vec![0; rows];
    let (mut row, mut place) = (rows, places);
    while row > 0 {
        begins[row - 1] = place.saturating_sub(1);
        match steps[row * width + place] {
            Step::Both => (row, place) = (row - 1, place - 1),
            Step::Row => row -= 1,
            Step::Place => place -= 1,
        }
    }
    begins
}

/// From where a path came.
#[derive(Debug, Clone, Copy)]
enum Step {
    Both,
    Row,
    Place,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_begin_where_they_gain() {
        let check = |gains: &[&[f32]], expected: &[usize]| {
            assert_eq!(cheapest_path(&gains.concat(), gains[0].len()), expected, "{gains:?}");
        };
        check(&[&[1.0, 1.0, -1.0, -1.0], &[-1.0, -1.0, 1.0, 1.0]], &[0, 2]);
        check(
            &[&[9.0, -1.0, -1.0], &[-1.0, 9.0, -1.0], &[-1.0, -1.0, 9.0]],
            &[0, 1, 2],
        );
        // More rows than places stand in one place together.
        check(&[&[1.0], &[1.0], &[1.0]], &[0, 0, 0]);
    }

    #[test]
    fn medians_are_taken_as_in_a_mirror() {
        let values = [5.0, 1.0, 9.0, 3.0, 7.0];
        // 3 9 1 5 1 9 3, and 1 9 3 7 3 9 1.
        assert_eq!((median(&values, 0), median(&values, 4)), (3.0, 3.0));
        // 1 5 1 9 3 7 3.
        assert_eq!(median(&values, 2), 3.0);
        assert_eq!(median(&values[..3], 1), 1.0);
    }

    #[test]
    fn a_place_that_all_tokens_look_at_says_nothing() {
        let mut weights = vec![0.5, 0.1, 0.5, 0.3];
        standardise(&mut weights, 2);
        assert_eq!(&weights[..1], &[0.0]);
        assert!(
            (weights[1] + 1.0).abs() < 1e-5 && (weights[3] - 1.0).abs() < 1e-5,
            "{weights:?}"
        );
    }
}
