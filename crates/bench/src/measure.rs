//! Time and memory of a repeated step.

use sensorium_kernels::on_compute_threads;
use serde::Serialize;
use std::hint::black_box;
use std::time::Instant;

/// What `sensorium bench WORKLOAD --json` prints.
#[derive(Debug, Serialize)]
pub struct Report {
    pub workload: String,
    pub threads: usize,
    pub steps: usize,
    pub seconds_per_step: Spread,
    /// From the start of the process to the end of the first step.
    pub first_step_seconds: f64,
    /// In MiB, NaN where the system does not say.
    pub peak_rss_mb: f64,
    /// The result of every step, the first included: a loss, or a number that stands for the output.
    pub loss: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of at least one number.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => (values[middle - 1] + values[middle]) / 2.0,
            _ => values[middle],
        };
        Self {
            median,
            min: values[0],
            max: values[values.len() - 1],
        }
    }
}

/// Time of one run among several.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Timing {
    pub runs: usize,
    pub seconds: Spread,
}

/// Calls `run` once without counting it, then at least five times and until `least` seconds of it were counted; what
/// it takes from `prepare` and what is done with its result are not counted.
pub fn repeat<T, R>(least: f64, mut prepare: impl FnMut() -> T, mut run: impl FnMut(T) -> R) -> Timing {
    let mut once = || {
        let input = prepare();
        let start = Instant::now();
        let result = run(input);
        let seconds = start.elapsed().as_secs_f64();
        drop(black_box(result));
        seconds
    };
    once();
    let (mut seconds, mut total) = (Vec::new(), 0.0);
    while seconds.len() < 5 || total < least {
        seconds.push(once());
        total += seconds[seconds.len() - 1];
    }
    Timing {
        runs: seconds.len(),
        seconds: Spread::of(seconds),
    }
}

/// Runs one step that is not counted, then `steps` that are.
pub fn measure(workload: &str, steps: usize, mut step: impl FnMut() -> f64 + Send) -> Report {
    let mut step = || on_compute_threads(&mut step);
    let mut loss = vec![step()];
    let first_step_seconds = seconds_since_start();
    let mut seconds = Vec::with_capacity(steps);
    for _ in 0..steps {
        let start = Instant::now();
        loss.push(step());
        seconds.push(start.elapsed().as_secs_f64());
    }
    Report {
        workload: workload.to_string(),
        threads: rayon::current_num_threads(),
        steps,
        seconds_per_step: Spread::of(seconds),
        first_step_seconds,
        peak_rss_mb: sensorium_train::peak_memory_mb().unwrap_or(f64::NAN),
        loss,
    }
}

/// Seconds since this process was started, NaN where the system does not say.
fn seconds_since_start() -> f64 {
    let read = || {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let started: f64 = stat.rsplit(')').next()?.split_whitespace().nth(19)?.parse().ok()?;
        let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
        let now: f64 = uptime.split_whitespace().next()?.parse().ok()?;
        // The kernel counts in hundredths of a second on every platform that it shows this file on.
        Some(now - started / 100.0)
    };
    read().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_ones() {
        let spread = Spread::of(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!((spread.median, spread.min, spread.max), (2.5, 1.0, 4.0));
        assert_eq!(Spread::of(vec![7.0]).median, 7.0);
    }

    #[test]
    fn runs_are_repeated_until_they_took_long_enough() {
        let sleep = std::time::Duration::from_millis(2);
        let timing = repeat(0.02, || sleep, std::thread::sleep);
        assert!((5..=10).contains(&timing.runs), "{timing:?}");
        assert!(timing.seconds.min >= 0.002);
        let unprepared = repeat(0.0, || std::thread::sleep(sleep), |()| ());
        assert!(
            unprepared.runs == 5 && unprepared.seconds.median < 0.002,
            "{unprepared:?}"
        );
    }

    #[test]
    fn every_step_is_reported_and_the_first_is_not_timed() {
        let mut count = 0.0;
        let report = measure("count", 3, || {
            count += 1.0;
            count
        });
        assert_eq!(report.loss, [1.0, 2.0, 3.0, 4.0]);
        assert!(report.peak_rss_mb > 1.0 && report.first_step_seconds >= 0.0);
    }
}
