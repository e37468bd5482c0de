//! `facts.json`: what a training took, which nothing else tells afterwards.

use crate::checkpoint::TrainerState;
use crate::error::Result;
use crate::page::format;
use crate::plan::Plan;
use sensorium_data::files;
use sensorium_model::RunDirectory;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Characters that a shell leaves alone, beside letters and digits.
const PLAIN: &str = "_-./=:,+@%";

/// What belongs beside the results of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// What began the training, as one would type it again.
    pub command: String,
    /// Of this program.
    pub version: String,
    pub seed: u64,
    /// Compute threads of the last sitting.
    pub threads: usize,
    /// Trainable ones.
    pub parameters: usize,
    pub train_rows: usize,
    pub validation_rows: usize,
    pub test_rows: usize,
    /// Epochs begun.
    pub epochs: u64,
    pub steps: u64,
    /// Of training, over all sittings.
    pub minutes: f64,
    /// The most memory that a sitting has held, in MiB; none where the system does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory_mb: Option<f64>,
}

impl Facts {
    /// What this process knows of the run.
    pub fn new(plan: &Plan, state: &TrainerState, parameters: usize) -> Self {
        Self {
            command: command(std::env::args_os().map(|word| word.to_string_lossy().into_owned())),
            version: env!("CARGO_PKG_VERSION").into(),
            seed: plan.recipe.seed,
            threads: rayon::current_num_threads(),
            parameters,
            train_rows: plan.train_rows,
            validation_rows: plan.splits.validation.len(),
            test_rows: plan.splits.test.len(),
            epochs: state.epoch + 1,
            steps: state.step,
            minutes: state.seconds / 60.0,
            peak_memory_mb: peak_memory_mb(),
        }
    }

    /// Those of a run; none where it has none that can be read.
    pub fn load(run: &RunDirectory) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(run.facts()).ok()?).ok()
    }

    /// Writes them into the run, joined with those of earlier sittings.
    pub fn save(self, run: &RunDirectory) -> Result<()> {
        let facts = self.after(Self::load(run));
        let text = serde_json::to_vec_pretty(&facts).expect("facts are plain data");
        Ok(files::write_atomically(&run.facts(), &text)?)
    }

    /// The command is that of the first sitting, the memory that of the largest. Time adds up in the trainer's state.
    fn after(self, earlier: Option<Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        let memory = self.peak_memory_mb.into_iter().chain(earlier.peak_memory_mb);
        Self {
            peak_memory_mb: memory.reduce(f64::max),
            command: earlier.command,
            ..self
        }
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64, one: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{} {one}s", format::count(count)),
        };
        write!(
            out,
            "{} from {} in {} and {}, {} on {}",
            plural(self.parameters as u64, "parameter"),
            plural(self.train_rows as u64, "row"),
            plural(self.epochs, "epoch"),
            plural(self.steps, "step"),
            format::duration(self.minutes * 60.0),
            plural(self.threads as u64, "thread"),
        )?;
        if let Some(memory) = self.peak_memory_mb {
            write!(out, " with {memory:.0} MB of memory at most")?;
        }
        write!(out, "; seed {}, sensorium {}", self.seed, self.version)
    }
}

/// The most memory that this process has held, in MiB; none where the system does not say.
pub fn peak_memory_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

/// A command line as one would type it, the program by its name alone.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let words = arguments.skip(1).map(|word| quoted(&word));
    std::iter::once("sensorium".to_string())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || PLAIN.contains(character);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sitting_goes_on_from_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDirectory::new(folder.path());
        let facts = |command: &str, minutes: f64, peak_memory_mb: Option<f64>| Facts {
            command: command.into(),
            minutes,
            peak_memory_mb,
            ..Facts::default()
        };
        let check = |facts: Facts, command: &str, minutes: f64, memory: Option<f64>| {
            facts.save(&run).unwrap();
            let found = Facts::load(&run).unwrap();
            let found = (found.command.as_str(), found.minutes, found.peak_memory_mb);
            assert_eq!(found, (command, minutes, memory));
        };
        assert_eq!(Facts::load(&run), None);
        check(facts("first", 1.0, None), "first", 1.0, None);
        check(facts("second", 2.0, Some(300.0)), "first", 2.0, Some(300.0));
        check(facts("third", 3.0, Some(200.0)), "first", 3.0, Some(300.0));
    }

    #[test]
    fn a_command_can_be_typed_again() {
        let check = |words: &[&str], expected: &str| {
            assert_eq!(command(words.iter().map(ToString::to_string)), expected);
        };
        check(&["/usr/bin/sensorium", "train", "r.toml"], "sensorium train r.toml");
        check(
            &["s", "train", "my recipe.toml", "--set", "name=\"it's\"", ""],
            r#"sensorium train 'my recipe.toml' --set 'name="it'\''s"' ''"#,
        );
    }

    #[test]
    fn facts_read_well() {
        let facts = Facts {
            version: "0.1.0".into(),
            seed: 5,
            threads: 1,
            parameters: 240_123,
            train_rows: 36,
            epochs: 10,
            steps: 60,
            minutes: 0.55,
            peak_memory_mb: Some(184.2),
            ..Facts::default()
        };
        let expected = "240,123 parameters from 36 rows in 10 epochs and 60 steps, 33.0 s on 1 thread with 184 MB of \
                        memory at most; seed 5, sensorium 0.1.0";
        assert_eq!(facts.to_string(), expected);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_is_told_in_mebibytes() {
        let before = peak_memory_mb().unwrap();
        let held = std::hint::black_box(vec![1u8; 64 << 20]);
        let after = peak_memory_mb().unwrap();
        assert!(
            before > 1.0 && (64.0..4096.0).contains(&after),
            "{before} {after} {}",
            held.len()
        );
    }
}
