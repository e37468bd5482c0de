//! Axes: from numbers to places, with round ticks.

/// A linear axis from `low` to `high`, which always differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
    pub step: f64,
}

impl Scale {
    /// Covers the finite `values` exactly, with about `ticks` round steps; 0 to 1 without any.
    pub fn tight(values: impl Iterator<Item = f64>, ticks: usize) -> Self {
        let finite = values.filter(|value| value.is_finite());
        let range = finite.fold(None, |range: Option<(f64, f64)>, value| {
            let (low, high) = range.unwrap_or((value, value));
            Some((low.min(value), high.max(value)))
        });
        let (low, high) = range.unwrap_or((0.0, 1.0));
        let smallest = f64::max(1e-12, high.abs() * 1e-9);
        // Half of each end first: the difference of two huge numbers could be infinite.
        let (low, high) = if high / 2.0 - low / 2.0 > smallest {
            (low.max(-f64::MAX / 4.0), high.min(f64::MAX / 4.0))
        } else if low == 0.0 {
            (0.0, 1.0)
        } else {
            (low - low.abs() / 2.0, low + low.abs() / 2.0)
        };
        Self {
            low,
            high,
            step: nice_step((high - low) / ticks.max(1) as f64),
        }
    }

    /// Like [`Scale::tight`], widened to whole ticks.
    pub fn round(values: impl Iterator<Item = f64>, ticks: usize) -> Self {
        let Self { low, high, step } = Self::tight(values, ticks);
        Self {
            low: (low / step).floor() * step,
            high: (high / step - 1e-9).ceil() * step,
            step,
        }
    }

    /// Without ticks between whole numbers, for axes that count something.
    pub fn whole(self) -> Self {
        Self {
            step: self.step.max(1.0),
            ..self
        }
    }

    /// The share of the way from `low` to `high`, which may lie outside 0 to 1.
    pub fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// The round values on the axis.
    pub fn ticks(&self) -> Vec<f64> {
        let first = (self.low / self.step - 1e-6).ceil();
        let last = (self.high / self.step + 1e-6).floor();
        (0..=(last - first).max(0.0) as usize)
            .map(|index| (first + index as f64) * self.step)
            .collect()
    }
}

/// The 1, 2 or 5 times a power of ten nearest above `step`.
fn nice_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let digit = step / power;
    let nice = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|one| digit <= one * 1.0001)
        .unwrap_or(10.0);
    nice * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f64], low: f64, high: f64, ticks: usize) {
        let scale = Scale::round(values.iter().copied(), 5);
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1e-300);
        assert!(near(scale.low, low) && near(scale.high, high), "{values:?}: {scale:?}");
        assert_eq!(scale.ticks().len(), ticks, "{values:?}: {:?}", scale.ticks());
        assert!(scale.ticks().iter().all(|tick| tick.is_finite()));
    }

    #[test]
    fn ends_are_round_and_never_equal() {
        check(&[0.0, 2.34], 0.0, 2.5, 6);
        check(&[0.61, 0.987], 0.6, 1.0, 5);
        check(&[0.0, 1e-3], 0.0, 1e-3, 6);
        check(&[], 0.0, 1.0, 6);
        check(&[0.0], 0.0, 1.0, 6);
        check(&[f64::NAN, f64::INFINITY], 0.0, 1.0, 6);
        check(&[4.0, 4.0, f64::NAN], 2.0, 6.0, 5);
    }

    #[test]
    fn extremes_stay_finite() {
        for values in [[f64::MIN, f64::MAX], [0.0, f64::MIN_POSITIVE], [1e300, 1e300]] {
            let scale = Scale::round(values.into_iter(), 5);
            let ends = [scale.low, scale.high, scale.step];
            assert!(ends.iter().all(|one| one.is_finite()), "{scale:?}");
            assert!(scale.high > scale.low && scale.ticks().len() < 20, "{scale:?}");
        }
    }

    #[test]
    fn a_tight_scale_keeps_its_ends() {
        let scale = Scale::tight([0.0, 2731.0].into_iter(), 6);
        assert_eq!((scale.low, scale.high), (0.0, 2731.0));
        assert_eq!(scale.ticks(), [0.0, 500.0, 1000.0, 1500.0, 2000.0, 2500.0]);
        assert_eq!(Scale::tight([0.0, 2.0].into_iter(), 6).whole().ticks(), [0.0, 1.0, 2.0]);
    }
}
