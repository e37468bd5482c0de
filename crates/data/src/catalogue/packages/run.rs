//! Runs a package client: watched while it works, stopped when it stalls or is no longer wanted.

use super::super::child::Running;
use crate::{DataError, ErrorKind, Result};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often a running client is looked at.
const TICK: Duration = Duration::from_millis(20);
/// How often the files that it writes are measured.
const MEASURED: Duration = Duration::from_millis(200);

pub(in super::super) enum Outcome {
    /// The program is not installed.
    Absent,
    Finished(ExitStatus),
    /// Nothing was written for as long as the caller had patience.
    Stalled,
}

/// Runs a program with its output in the file `log`; a pipe could fill up and stop it.
///
/// `measure` is asked now and then how many bytes have arrived, until the program ends or the
/// answer has stayed the same for `patience`.
pub(in super::super) fn run(
    command: &mut Command,
    log: &Path,
    patience: Duration,
    measure: &mut dyn FnMut() -> u64,
) -> Result<Outcome> {
    let refused = |error: io::Error| DataError::io(&error, log);
    let out = File::create(log).map_err(refused)?;
    let errors = out.try_clone().map_err(refused)?;
    let mut child = match command.stdin(Stdio::null()).stdout(out).stderr(errors).spawn() {
        Ok(child) => Running(child),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Outcome::Absent),
        Err(error) => return Err(not_started(command, &error)),
    };
    let (mut arrived, mut since, mut measured) = (0, Instant::now(), Instant::now());
    loop {
        let ended = child.0.try_wait().map_err(|error| not_started(command, &error))?;
        if let Some(status) = ended {
            return Ok(Outcome::Finished(status));
        }
        if measured.elapsed() >= MEASURED.min(patience) {
            measured = Instant::now();
            let now = measure();
            if now != arrived {
                (arrived, since) = (now, Instant::now());
            } else if since.elapsed() >= patience {
                return Ok(Outcome::Stalled);
            }
        }
        std::thread::sleep(TICK);
    }
}

fn not_started(command: &Command, error: &io::Error) -> DataError {
    let program = command.get_program().to_string_lossy();
    let message = format!("expected to run `{program}`, found: {error}; check its permissions");
    DataError::new(ErrorKind::Fetch, message)
}

/// The bytes of all files below `folder`. What vanishes while it is being measured counts nothing.
pub(super) fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// The end of what a client said, on one line. Of the warnings, which are one per retry, the last.
pub(in super::super) fn last_lines(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_warning = |line: &str| line.starts_with("WARNING");
    let warning = lines.iter().rposition(|line| is_warning(line));
    let told = lines
        .iter()
        .enumerate()
        .filter(|(n, line)| Some(*n) == warning || !is_warning(line));
    let told: Vec<&str> = told.map(|(_, line)| *line).collect();
    told[told.len().saturating_sub(4)..].join("; ")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, folder: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).current_dir(folder);
        command
    }

    /// Runs a script in a folder of its own, which is also what is measured.
    fn check(script: &str, patience: u64, expected: fn(&Outcome) -> bool) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = shell(script, folder.path());
        let log = folder.path().join("log");
        let patience = Duration::from_millis(patience);
        let outcome = run(&mut command, &log, patience, &mut || size(folder.path())).unwrap();
        assert!(expected(&outcome), "{script}");
    }

    #[test]
    fn a_client_may_take_its_time_while_bytes_arrive() {
        check(
            "exit 3",
            5000,
            |outcome| matches!(outcome, Outcome::Finished(status) if status.code() == Some(3)),
        );
        check("exec sleep 60", 100, |outcome| matches!(outcome, Outcome::Stalled));
        let steady = "for n in 1 2 3 4 5 6 7 8; do echo $n >> file; sleep 0.1; done";
        check(
            steady,
            500,
            |outcome| matches!(outcome, Outcome::Finished(status) if status.success()),
        );
    }

    #[test]
    fn a_client_ends_when_the_fetch_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = shell("echo $$ > pid; exec sleep 60", folder.path());
        let log = folder.path().join("log");
        let given_up = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut measure = || match fs::read_to_string(folder.path().join("pid")) {
                Ok(pid) if pid.ends_with('\n') => panic!("cancelled"),
                _ => 0,
            };
            run(&mut command, &log, Duration::from_secs(60), &mut measure).map(|_| ())
        }));
        assert!(given_up.is_err());
        let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists());
    }

    #[test]
    fn folders_are_measured_to_their_depth() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/c"), [0; 5]).unwrap();
        fs::write(folder.path().join("d"), [0; 2]).unwrap();
        assert_eq!(size(folder.path()), 7);
        assert_eq!(size(&folder.path().join("absent")), 0);
    }
}
