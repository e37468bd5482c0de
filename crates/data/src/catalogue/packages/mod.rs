//! Packages through the user's own package clients, checked against known SHA-256 sums.
//!
//! A finished download is kept in `<home>/data/.downloads/SHA256` until the set that needs it is
//! complete, so that an interrupted fetch of several packages goes on where it stopped. A file that
//! somebody puts there by hand serves as well.

mod client;
mod run;

pub(super) use client::Client;
pub(super) use run::{Outcome, last_lines, run};

use super::Progress;
use super::lock::lock;
use crate::{DataError, ErrorKind, Result, files};
use run::size;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A client that has written nothing for this long is stopped.
const PATIENCE: Duration = Duration::from_secs(300);
/// What the clients write as they work, in the folder of the download.
const LOG: &str = "client.log";

/// A package, by the one file that is accepted for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Package {
    pub client: Client,
    pub name: &'static str,
    pub version: &'static str,
    /// Of the file, in hexadecimal.
    pub sha256: &'static str,
    /// The size of the file.
    pub bytes: u64,
}

/// The size of all files together.
pub(super) const fn bytes(packages: &[Package]) -> u64 {
    let (mut sum, mut index) = (0, 0);
    while index < packages.len() {
        sum += packages[index].bytes;
        index += 1;
    }
    sum
}

/// The verified files of a set's packages; no other fetch removes them meanwhile.
pub(super) struct Downloads {
    paths: Vec<PathBuf>,
    _locks: Vec<File>,
}

impl Downloads {
    /// Gets what is not there yet into `data/.downloads`.
    pub fn obtain(packages: &[Package], data: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Self> {
        if packages.is_empty() {
            return Ok(Self {
                paths: Vec::new(),
                _locks: Vec::new(),
            });
        }
        let folder = data.join(".downloads");
        files::create_folder(&folder)?;
        // In one order everywhere, so that two fetches never wait for each other.
        let mut order: Vec<&Package> = packages.iter().collect();
        order.sort_by_key(|package| package.sha256);
        let mut locks = Vec::new();
        for package in order {
            let path = folder.join(format!("{}.lock", package.sha256));
            locks.push(lock(&path, "waiting for another fetch of the same package", progress)?);
            package.obtain(package.client.programs(), &folder, PATIENCE, progress)?;
        }
        let paths = packages.iter().map(|package| folder.join(package.sha256)).collect();
        Ok(Self { paths, _locks: locks })
    }

    /// The files, in the order of the packages.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Removes the files once the set is complete.
    pub fn remove(self) {
        for path in &self.paths {
            // A file that stays behind costs room and nothing else.
            let _ = fs::remove_file(path);
        }
    }
}

impl Package {
    /// Puts the verified file at `folder/SHA256`.
    fn obtain(
        &self,
        programs: &[&[&str]],
        folder: &Path,
        patience: Duration,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let target = folder.join(self.sha256);
        if target.exists() {
            progress(Progress::new(
                &format!("checking {} {}", self.name, self.version),
                0,
                None,
            ));
            return self.check(&target).map_err(|mut error| {
                error.message.push_str(", or remove this one and fetch again");
                error.at_path(&target)
            });
        }
        let aside = folder.join(format!("{}.partial", self.sha256));
        // None of the clients goes on within a file that an interrupted call has left.
        if aside.exists() {
            fs::remove_dir_all(&aside).map_err(|error| DataError::io(&error, &aside))?;
        }
        files::create_folder(&aside)?;
        let arrived = self.ask(programs, &aside, patience, progress).and_then(|()| {
            let file = self.find(&aside)?;
            self.check(&file)?;
            Ok(file)
        });
        let result = match arrived {
            Ok(file) => fs::rename(&file, &target).map_err(|error| DataError::io(&error, &target)),
            Err(error) => Err(self.or_by_hand(error, &target)),
        };
        // What stays behind is removed by the next fetch.
        let _ = fs::remove_dir_all(&aside);
        result
    }

    /// Lets the first client that works on this machine download into `folder`.
    fn ask(
        &self,
        programs: &[&[&str]],
        folder: &Path,
        patience: Duration,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let log = folder.join(LOG);
        if let Some((name, content)) = self.client.input(self) {
            let path = folder.join(name);
            fs::write(&path, content).map_err(|error| DataError::io(&error, &path))?;
        }
        for program in programs {
            self.report(0, progress);
            let mut measure = || {
                let arrived = size(folder);
                self.report(arrived, progress);
                arrived
            };
            let mut command = self.client.command(program, self, folder);
            match run(&mut command, &log, patience, &mut measure)? {
                Outcome::Absent => continue,
                Outcome::Finished(status) if status.success() => {
                    self.report(self.bytes, progress);
                    return Ok(());
                }
                Outcome::Finished(status) => {
                    let said = last_lines(&log);
                    // This Python has no pip, but another one may have put `pip3` on the path.
                    if !said.contains("No module named pip") {
                        return Err(self.failed(program, &format!("{status}: {said}")));
                    }
                }
                Outcome::Stalled => {
                    let found = format!("nothing new for {} s", patience.as_secs());
                    return Err(self.failed(program, &found));
                }
            }
        }
        Err(DataError::new(ErrorKind::Fetch, self.client.absent()))
    }

    fn report(&self, arrived: u64, progress: &mut dyn FnMut(Progress)) {
        progress(Progress {
            stage: format!("downloading {} {}", self.name, self.version),
            done: arrived.min(self.bytes),
            total: Some(self.bytes),
        });
    }

    fn failed(&self, program: &[&str], found: &str) -> DataError {
        let message = format!(
            "expected `{}` to get {} {}, found {found}; {}",
            program.join(" "),
            self.name,
            self.version,
            self.client.advice()
        );
        DataError::new(ErrorKind::Fetch, message)
    }

    /// Adds the way that needs no client.
    fn or_by_hand(&self, mut error: DataError, target: &Path) -> DataError {
        let name = self.name.rsplit('/').next().unwrap_or(self.name);
        let way = format!(
            ", or put the file of {name} {} with SHA-256 {} at {}; then fetch again",
            self.version,
            self.sha256,
            target.display()
        );
        error.message.push_str(&way);
        error
    }

    fn find(&self, folder: &Path) -> Result<PathBuf> {
        let refused = |error: std::io::Error| DataError::io(&error, folder);
        for entry in fs::read_dir(folder).map_err(refused)? {
            let path = entry.map_err(refused)?.path();
            if path.to_string_lossy().ends_with(self.client.suffix()) {
                return Ok(path);
            }
        }
        let message = format!(
            "expected the client to leave a {} file of {} {}, found none",
            self.client.suffix(),
            self.name,
            self.version
        );
        Err(DataError::new(ErrorKind::Fetch, message))
    }

    fn check(&self, file: &Path) -> Result<()> {
        let found = sha256(file)?;
        if found == self.sha256 {
            return Ok(());
        }
        let message = format!(
            "expected {} {} with SHA-256 {}, found {found}: another file under this name; use the \
             official index",
            self.name, self.version, self.sha256
        );
        Err(DataError::new(ErrorKind::Fetch, message))
    }
}

/// The SHA-256 of a file, in hexadecimal.
fn sha256(path: &Path) -> Result<String> {
    let refused = |error: std::io::Error| DataError::io(&error, path);
    let mut file = File::open(path).map_err(refused)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        match file.read(&mut block).map_err(refused)? {
            0 => break,
            count => hasher.update(&block[..count]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const WHEEL: Package = Package {
        client: Client::Wheel,
        name: "tiny",
        version: "1.0",
        // Of the text "wheel".
        sha256: "ba59926159d2aa256eb8739b8da7e2b574b960e1202c6d624cbe981cef996c91",
        bytes: 5,
    };
    const DEBIAN: Package = Package {
        client: Client::Debian,
        ..WHEEL
    };

    /// Asks stand-ins for a client: shell scripts that run in the folder to download into.
    fn obtain(package: &Package, scripts: &[&str], folder: &Path, patience: Duration) -> Result<()> {
        let mut programs = vec![vec!["/nowhere/python3"]];
        programs.extend(scripts.iter().map(|script| vec!["/bin/sh", "-c", script]));
        let programs: Vec<&[&str]> = programs.iter().map(Vec::as_slice).collect();
        package.obtain(&programs, folder, patience, &mut |_| {})
    }

    fn check_error(package: &Package, scripts: &[&str], patience: Duration, part: &str) {
        let folder = tempfile::tempdir().unwrap();
        let error = obtain(package, scripts, folder.path(), patience).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Fetch);
        assert!(error.message.contains(part), "{error}");
        assert!(
            error
                .message
                .contains(&format!("put the file of tiny 1.0 with SHA-256 {}", WHEEL.sha256))
        );
        assert!(!folder.path().join(WHEEL.sha256).exists());
    }

    #[test]
    fn a_client_that_cannot_be_used_says_what_to_do() {
        let absent = "echo No module named pip >&2; exit 1";
        let retried = "echo WARNING: 1; echo WARNING: 2; echo ERROR; exit 1";
        check_error(&WHEEL, &[], PATIENCE, "install Python 3 with pip");
        check_error(&WHEEL, &[absent], PATIENCE, "install Python 3 with pip");
        check_error(
            &WHEEL,
            &["echo ERROR: no network >&2; exit 3"],
            PATIENCE,
            "ERROR: no network",
        );
        check_error(&WHEEL, &[retried], PATIENCE, ": WARNING: 2; ERROR;");
        check_error(
            &WHEEL,
            &["exec sleep 60"],
            Duration::from_millis(100),
            "nothing new for",
        );
        check_error(&DEBIAN, &[], PATIENCE, "on Debian or Ubuntu");
        check_error(
            &DEBIAN,
            &["echo E: Unable to locate; exit 100"],
            PATIENCE,
            "apt-get update",
        );
        check_error(
            &WHEEL,
            &["printf whee1 > tiny.whl"],
            PATIENCE,
            "another file under this name",
        );
    }

    #[test]
    fn the_next_client_is_asked_where_one_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let scripts = ["echo No module named pip >&2; exit 1", "printf wheel > tiny.whl"];
        obtain(&WHEEL, &scripts, folder.path(), PATIENCE).unwrap();
        assert_eq!(fs::read(folder.path().join(WHEEL.sha256)).unwrap(), b"wheel");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_there_is_verified_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join(WHEEL.sha256);
        fs::write(&target, "wheel").unwrap();
        obtain(&WHEEL, &[], folder.path(), PATIENCE).unwrap();
        fs::write(&target, "whee1").unwrap();
        let error = obtain(&WHEEL, &[], folder.path(), PATIENCE).unwrap_err();
        assert_eq!(error.path, Some(target));
        assert!(error.message.contains("remove this one"), "{error}");
    }

    #[test]
    fn what_an_interrupted_call_has_left_is_no_download() {
        let folder = tempfile::tempdir().unwrap();
        let aside = folder.path().join(format!("{}.partial", WHEEL.sha256));
        fs::create_dir(&aside).unwrap();
        fs::write(aside.join("tiny.whl"), "whe").unwrap();
        let script = "test -e tiny.whl && exit 2; printf whe > tiny.whl; exit 1";
        let error = obtain(&WHEEL, &[script], folder.path(), PATIENCE).unwrap_err();
        assert!(error.message.contains("exit status: 1"), "{error}");
        assert!(!aside.exists());
        obtain(&WHEEL, &["printf wheel > tiny.whl"], folder.path(), PATIENCE).unwrap();
        assert_eq!(fs::read(folder.path().join(WHEEL.sha256)).unwrap(), b"wheel");
    }

    #[test]
    fn progress_counts_the_bytes_that_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let script = "printf wh > tiny.whl; sleep 0.5; printf eel >> tiny.whl";
        let mut seen = Vec::new();
        let programs: [&[&str]; 1] = [&["/bin/sh", "-c", script]];
        let mut progress = |progress: Progress| seen.push((progress.done, progress.total));
        WHEEL.obtain(&programs, folder.path(), PATIENCE, &mut progress).unwrap();
        assert_eq!(seen.first(), Some(&(0, Some(5))));
        assert!(seen.contains(&(2, Some(5))), "{seen:?}");
        assert_eq!(seen.last(), Some(&(5, Some(5))));
    }

    #[test]
    fn downloads_come_in_the_order_of_the_packages_and_go_at_the_end() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join(".downloads");
        fs::create_dir(&folder).unwrap();
        // Of the text "a", which sorts behind the other.
        let sha256 = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
        let other = Package { sha256, ..DEBIAN };
        fs::write(folder.join(WHEEL.sha256), "wheel").unwrap();
        fs::write(folder.join(sha256), "a").unwrap();
        let downloads = Downloads::obtain(&[other, WHEEL], data.path(), &mut |_| {}).unwrap();
        assert_eq!(downloads.paths(), [folder.join(sha256), folder.join(WHEEL.sha256)]);
        downloads.remove();
        assert!(!folder.join(sha256).exists() && !folder.join(WHEEL.sha256).exists());
        assert_eq!(bytes(&[other, WHEEL]), 10);
    }
}
