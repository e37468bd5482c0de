//! Mutated files for every decoder: each is read or refused with words that help, in bounded time
//! and memory, and no code of this crate panics.
//!
//! `SENSORIUM_FUZZ_CASES` says how many inputs each decoder gets in place of 20,000,
//! `SENSORIUM_FUZZ_SEED` which ones, `SENSORIUM_FUZZ_ONLY` that only the decoder of this name is
//! tried, and `SENSORIUM_FUZZ_CASE` that only the input of this number is.

mod decoders;
mod mutate;
mod parts;
mod seal;
mod watch;

use crate::random::Key;
use crate::{ErrorKind, Result};
use decoders::Decoder;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Inputs for each decoder where nothing else is said.
const CASES: u64 = 20_000;
/// What an input may take to compute.
const PATIENCE: Duration = Duration::from_secs(10);
/// After this an input is taken for one that never ends.
const ENDLESS: Duration = Duration::from_secs(120);
/// What all threads together may hold, in megabytes.
const MEMORY: u64 = 4000;
/// Failures of one decoder that are told.
const TOLD: usize = 5;

struct Settings {
    cases: u64,
    seed: u64,
    only: Option<String>,
    case: Option<u64>,
}

impl Settings {
    fn from_environment() -> Self {
        let word = |name: &str| std::env::var(format!("SENSORIUM_FUZZ_{name}")).ok();
        let number = |name: &str| word(name).map(|word| word.parse().unwrap_or_else(|_| panic!("{name}: {word}")));
        Self {
            cases: number("CASES").unwrap_or(CASES),
            seed: number("SEED").unwrap_or(1),
            only: word("ONLY"),
            case: number("CASE"),
        }
    }

    fn input(&self, decoder: &Decoder, case: u64) -> Vec<u8> {
        mutate::input(decoder, &Key::new(self.seed).with(decoder.name).at(case))
    }
}

/// What became of a decoder's inputs.
#[derive(Default)]
struct Tally {
    cases: u64,
    good: u64,
    /// By the kind of error.
    refused: BTreeMap<&'static str, u64>,
    /// Panics of libraries that were caught and became errors, by their places.
    faults: BTreeMap<String, u64>,
    slowest: (Duration, u64),
    /// How many took more than a second.
    slow: u64,
    failures: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.good += other.good;
        self.slow += other.slow;
        self.slowest = self.slowest.max(other.slowest);
        self.failures.extend(other.failures);
        for (kind, count) in other.refused {
            *self.refused.entry(kind).or_default() += count;
        }
        for (place, count) in other.faults {
            *self.faults.entry(place).or_default() += count;
        }
    }

    fn count(&mut self, decoder: &Decoder, settings: &Settings, case: u64) {
        let bytes = settings.input(decoder, case);
        let start = watch::thread_time();
        let (outcome, faults) = watch::faults(|| catch_unwind(AssertUnwindSafe(|| (decoder.read)(&bytes))));
        let time = watch::thread_time().saturating_sub(start);
        self.cases += 1;
        self.slowest = self.slowest.max((time, case));
        self.slow += u64::from(time > Duration::from_secs(1));
        if let Some(fault) = fault(&outcome.as_ref().ok(), &faults, time) {
            self.failures.push(settings.replay(decoder, case, &fault));
        }
        match outcome {
            Ok(Ok(())) => self.good += 1,
            Ok(Err(error)) => *self.refused.entry(error.kind.code()).or_default() += 1,
            Err(_) => {}
        }
        for place in faults {
            *self.faults.entry(place).or_default() += 1;
        }
    }
}

/// What is wrong with the way in which an input was treated.
fn fault(outcome: &Option<&Result<()>>, faults: &[String], time: Duration) -> Option<String> {
    let ours = faults.iter().find(|place| place.starts_with("crates/"));
    match outcome {
        _ if ours.is_some() => ours.map(|place| format!("a panic of ours at {place}")),
        None => Some(format!("a panic that nothing caught: {faults:?}")),
        _ if time > PATIENCE => Some(format!("{time:.1?} of computing")),
        Some(Err(error)) if error.kind == ErrorKind::Io || !error.message.contains("expected") => {
            Some(format!("an error that does not help: {error:?}"))
        }
        _ => None,
    }
}

impl Settings {
    fn replay(&self, decoder: &Decoder, case: u64, fault: &str) -> String {
        format!(
            "{}: {fault}; SENSORIUM_FUZZ_SEED={} SENSORIUM_FUZZ_ONLY='{}' SENSORIUM_FUZZ_CASE={case} cargo test \
             --release -p sensorium-data --lib fuzz:: -- --nocapture",
            decoder.name, self.seed, decoder.name
        )
    }

    /// Tries all inputs of one decoder on all cores.
    fn try_all(&self, decoder: &Decoder) -> Tally {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (first, end) = self.case.map_or((0, self.cases), |case| (case, case + 1));
        let next = AtomicU64::new(first);
        let running: Vec<Mutex<Option<(u64, Instant)>>> = (0..threads).map(|_| Mutex::default()).collect();
        let work = |slot: &Mutex<Option<(u64, Instant)>>| {
            let mut tally = Tally::default();
            loop {
                let case = next.fetch_add(1, Ordering::Relaxed);
                if case >= end {
                    break;
                }
                *slot.lock().unwrap() = Some((case, Instant::now()));
                tally.count(decoder, self, case);
            }
            *slot.lock().unwrap() = None;
            tally
        };
        std::thread::scope(|scope| {
            // Where a stack overflows the program ends with the name of the thread.
            let named = |slot| {
                let builder = std::thread::Builder::new().name(format!("{} inputs", decoder.name));
                builder.spawn_scoped(scope, move || work(slot)).unwrap()
            };
            let workers: Vec<_> = running.iter().map(named).collect();
            while !workers.iter().all(|worker| worker.is_finished()) {
                std::thread::sleep(Duration::from_millis(20));
                running.iter().for_each(|slot| self.end_if_endless(decoder, slot));
            }
            let tallies = workers.into_iter().map(|worker| worker.join().unwrap());
            tallies.fold(Tally::default(), |mut sum, tally| {
                sum.add(tally);
                sum
            })
        })
    }

    /// A thread cannot be stopped from outside, so the program ends with the input's number.
    fn end_if_endless(&self, decoder: &Decoder, slot: &Mutex<Option<(u64, Instant)>>) {
        if let Some((case, start)) = *slot.lock().unwrap()
            && start.elapsed() > ENDLESS
        {
            eprintln!("{}", self.replay(decoder, case, "no end"));
            std::process::exit(101);
        }
    }
}

fn print(decoder: &Decoder, tally: &Tally, peak: u64) {
    let refused: u64 = tally.refused.values().sum();
    let faults: u64 = tally.faults.values().sum();
    println!(
        "{:16} {:8} cases {:8} good {:8} refused {:6} faults {:6} ms slowest (case {}) {:3} over 1 s {:5} MB",
        decoder.name,
        tally.cases,
        tally.good,
        refused,
        faults,
        tally.slowest.0.as_millis(),
        tally.slowest.1,
        tally.slow,
        peak,
    );
    for (place, count) in &tally.faults {
        println!("    {count} × {place}");
    }
}

#[test]
fn mutated_files_are_read_or_refused() {
    let settings = Settings::from_environment();
    let mut failures = Vec::new();
    let is_wanted = |decoder: &Decoder| settings.only.as_ref().is_none_or(|only| only == decoder.name);
    for decoder in decoders::all().into_iter().filter(is_wanted) {
        watch::reset_peak();
        let mut tally = settings.try_all(&decoder);
        let peak = watch::peak();
        if peak > MEMORY {
            tally.failures.push(format!("{}: {peak} MB of memory", decoder.name));
        }
        print(&decoder, &tally, peak);
        // Inputs that are all refused, or all read, would test little.
        if settings.case.is_none() && tally.good == 0 {
            tally.failures.push(format!("{}: no input is read", decoder.name));
        }
        failures.extend(tally.failures.into_iter().take(TOLD));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
