//! The learning rate over the steps: a linear warm-up, then a shape.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ScheduleConfig {
    pub kind: ScheduleKind,
    /// Steps over which the rate rises from zero.
    pub warmup_steps: u64,
    /// The share of the rate that is left at the end, for `cosine` and `linear`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub final_fraction: f64,
    /// For `step`: the rate is multiplied by `factor` each time this many steps have passed.
    #[schemars(range(min = 1))]
    pub step_every: u64,
    #[schemars(range(min = 0.0, max = 1.0))]
    pub factor: f64,
}

/// The shape after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Half a cosine wave (Loshchilov and Hutter 2017).
    Cosine,
    Linear,
    Step,
    Constant,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::Cosine,
            warmup_steps: 100,
            final_fraction: 0.0,
            step_every: 1000,
            factor: 0.1,
        }
    }
}

impl ScheduleConfig {
    /// The factor of the learning rate for the zero-based `step` out of `total`.
    pub fn factor_at(&self, step: u64, total: u64) -> f64 {
        if step < self.warmup_steps {
            return (step + 1) as f64 / (self.warmup_steps + 1) as f64;
        }
        let past = (step - self.warmup_steps) as f64;
        let span = total.saturating_sub(self.warmup_steps).max(1) as f64;
        let progress = (past / span).min(1.0);
        let decay = |shape: f64| self.final_fraction + (1.0 - self.final_fraction) * shape;
        match self.kind {
            ScheduleKind::Cosine => decay(0.5 * (1.0 + (std::f64::consts::PI * progress).cos())),
            ScheduleKind::Linear => decay(1.0 - progress),
            ScheduleKind::Step => self.factor.powf((past / self.step_every as f64).floor()),
            ScheduleKind::Constant => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: ScheduleKind, expected: [f64; 4]) {
        let config = ScheduleConfig {
            kind,
            warmup_steps: 10,
            final_fraction: 0.1,
            step_every: 50,
            factor: 0.5,
        };
        let found = [4, 10, 60, 110].map(|step| config.factor_at(step, 110));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{kind:?}: {found} is not {expected}");
        }
    }

    #[test]
    fn each_shape_starts_after_the_warm_up_and_ends_where_it_should() {
        let rising = 5.0 / 11.0;
        check(ScheduleKind::Cosine, [rising, 1.0, 0.55, 0.1]);
        check(ScheduleKind::Linear, [rising, 1.0, 0.55, 0.1]);
        check(ScheduleKind::Step, [rising, 1.0, 0.5, 0.25]);
        check(ScheduleKind::Constant, [rising, 1.0, 1.0, 1.0]);
    }
}
