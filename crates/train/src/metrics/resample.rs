//! Bootstrap intervals of any measure.

use super::{Intervals, Metrics};
use rand::RngExt;
use sensorium_data::random::Key;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

const RESAMPLES: u64 = 1000;

/// 95% percentile intervals (Efron 1979) of what `measure` makes of the groups that were drawn. As many of the `groups` are
/// drawn as there are, with replacement. A group holds rows that are not independent, such as the questions about one
/// picture. A metric that some resamples leave out has the interval of the others; nothing comes of no groups.
pub fn resample(groups: usize, key: &Key, mut measure: impl FnMut(&[usize]) -> Metrics) -> Intervals {
    if groups == 0 {
        return Intervals::new();
    }
    let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut drawn = vec![0; groups];
    for resample in 0..RESAMPLES {
        let mut generator = key.with("bootstrap").at(resample).generator();
        drawn.fill_with(|| generator.random_range(0..groups));
        for (name, value) in measure(&drawn) {
            samples.entry(name).or_default().push(value);
        }
    }
    let interval = |(name, values)| (name, percentiles(values));
    samples.into_iter().map(interval).collect()
}

/// [`resample`] for measures of sums, such as BLEU, error rates and means: `groups` holds the sum of each group's rows.
pub fn resample_sums<S>(groups: &[S], key: &Key, measure: impl Fn(&S) -> Metrics) -> Intervals
where
    S: Default + for<'a> AddAssign<&'a S>,
{
    resample(groups.len(), key, |drawn| {
        let mut sum = S::default();
        drawn.iter().for_each(|&group| sum += &groups[group]);
        measure(&sum)
    })
}

/// [`resample`] for measures that need all rows, such as medians and rank correlations. Large rows are given as references.
pub fn resample_rows<T: Copy>(groups: &[Vec<T>], key: &Key, measure: impl Fn(&[T]) -> Metrics) -> Intervals {
    let mut rows = Vec::new();
    resample(groups.len(), key, |drawn| {
        rows.clear();
        drawn.iter().for_each(|&group| rows.extend_from_slice(&groups[group]));
        measure(&rows)
    })
}

/// [`resample`] for measures that weigh rows, such as [`Tagging`](super::Tagging)'s: `groups` holds the group of each row, by
/// any number, and `measure` is given how often each row was drawn.
pub fn resample_weights(groups: &[usize], key: &Key, measure: impl Fn(&[u32]) -> Metrics) -> Intervals {
    let distinct: Vec<usize> = groups.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let places: Vec<usize> = groups
        .iter()
        .map(|group| distinct.partition_point(|other| other < group))
        .collect();
    let mut times = vec![0; distinct.len()];
    resample(distinct.len(), key, |drawn| {
        times.fill(0);
        drawn.iter().for_each(|&group| times[group] += 1);
        let weights: Vec<u32> = places.iter().map(|&group| times[group]).collect();
        measure(&weights)
    })
}

/// The values between which 95% lie.
fn percentiles(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    [at(0.025), at(0.975)]
}

#[cfg(test)]
mod tests {
    use super::super::{BleuStatistics, BleuTokenizer, EditCounts, Mean, Tagging, median_rank, word_edits};
    use super::*;

    fn named(name: &str, value: f64) -> Metrics {
        [(name.to_string(), value)].into()
    }

    fn check(found: &Intervals, name: &str, expected: [f64; 2], tolerance: f64) {
        for (found, expected) in found[name].into_iter().zip(expected) {
            assert!(
                (found - expected).abs() < tolerance,
                "{name}: {found} is not near {expected}"
            );
        }
    }

    /// 90 right of 100 independent rows: the normal interval is 0.90 ± 0.059. In groups of ten that are all right or all
    /// wrong there are ten independent values: ± 0.19, and the share ends at one.
    #[test]
    fn intervals_of_a_share_are_near_the_normal_ones() {
        let right = |row: usize| f64::from(row >= 10);
        let share = |sum: &Mean| named("share", sum.value());
        let single: Vec<Mean> = (0..100).map(|row| Mean::new(right(row))).collect();
        check(
            &resample_sums(&single, &Key::new(1), share),
            "share",
            [0.841, 0.959],
            0.02,
        );
        let rows: Vec<Vec<f64>> = (0..10).map(|group| vec![right(10 * group); 10]).collect();
        let mean = |rows: &[f64]| named("share", rows.iter().sum::<f64>() / rows.len() as f64);
        check(&resample_rows(&rows, &Key::new(1), mean), "share", [0.7, 1.0], 0.01);
    }

    /// The same draws, whether sums, rows or weights are asked for.
    #[test]
    fn all_forms_draw_the_same_groups() {
        let values: Vec<f64> = (0..40).map(|row| f64::from(row * row % 17)).collect();
        let groups: Vec<usize> = (0..40).map(|row| row % 8).collect();
        let far: Vec<usize> = groups.iter().map(|group| group * 1_000_000_000).collect();
        let of = |group: usize| (0..40).filter(move |row| row % 8 == group);
        let rows: Vec<Vec<f64>> = (0..8).map(|group| of(group).map(|row| values[row]).collect()).collect();
        let mut sums = vec![Mean::default(); 8];
        (0..40).for_each(|row| sums[groups[row]] += &Mean::new(values[row]));
        let key = Key::new(3);
        let by_sums = resample_sums(&sums, &key, |sum| named("mean", sum.value()));
        let by_rows = resample_rows(&rows, &key, |rows| {
            named("mean", rows.iter().sum::<f64>() / rows.len() as f64)
        });
        let by_weights = resample_weights(&far, &key, |weights| {
            let sum: f64 = values
                .iter()
                .zip(weights)
                .map(|(value, &weight)| value * f64::from(weight))
                .sum();
            named("mean", sum / f64::from(weights.iter().sum::<u32>()))
        });
        check(&by_rows, "mean", by_sums["mean"], 1e-12);
        check(&by_weights, "mean", by_sums["mean"], 1e-12);
        assert_ne!(
            by_sums,
            resample_sums(&sums, &Key::new(4), |sum| named("mean", sum.value()))
        );
    }

    #[test]
    fn every_measure_has_an_interval_around_its_value() {
        let texts: Vec<[String; 2]> = (0..60)
            .map(|row| [format!("a b c d e f{row}"), format!("a b c d e f{}", row / 2 * 2)])
            .collect();
        let key = Key::new(5);
        let around = |found: Intervals, name: &str, value: f64| {
            let [low, high] = found[name];
            assert!(
                low <= value && value <= high && low < high,
                "{name}: {value} in {low}..={high}"
            );
        };
        let bleu: Vec<_> = texts
            .iter()
            .map(|[left, right]| BleuStatistics::new(left, &[right], BleuTokenizer::International))
            .collect();
        let mut corpus = BleuStatistics::default();
        bleu.iter().for_each(|row| corpus += row);
        around(
            resample_sums(&bleu, &key, |sum| named("bleu4", sum.corpus())),
            "bleu4",
            corpus.corpus(),
        );
        let counts: Vec<_> = texts.iter().map(|[left, right]| word_edits(left, right)).collect();
        around(
            resample_sums(&counts, &key, |sum: &EditCounts| named("wer", sum.rate())),
            "wer",
            30.0 / 360.0,
        );
        let ranks: Vec<Vec<usize>> = (1..60).map(|rank| vec![rank]).collect();
        around(
            resample_rows(&ranks, &key, |ranks| named("median_rank", median_rank(ranks))),
            "median_rank",
            30.0,
        );
        let truths: Vec<Vec<bool>> = (0..60).map(|row| vec![row % 3 == 0]).collect();
        let scores: Vec<Vec<f64>> = (0..60).map(|row| vec![f64::from(row * 7 % 11 - row % 3)]).collect();
        let tagging = Tagging::new(&scores, &truths);
        let rows: Vec<usize> = (0..60).collect();
        let map = |weights: &[u32]| {
            tagging
                .mean_average_precision(weights)
                .map(|value| named("map", value))
                .unwrap_or_default()
        };
        around(resample_weights(&rows, &key, map), "map", map(&[1; 60])["map"]);
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert!(resample(0, &Key::new(1), |_| named("a", 1.0)).is_empty());
        assert!(resample_weights(&[], &Key::new(1), |_| named("a", 1.0)).is_empty());
        let some = resample(3, &Key::new(1), |drawn| {
            if drawn[0] == 0 { named("a", 1.0) } else { Metrics::new() }
        });
        assert_eq!(some["a"], [1.0, 1.0]);
    }
}
