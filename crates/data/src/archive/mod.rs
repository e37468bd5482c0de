//! Archives from elsewhere: confined paths, bounded sizes, members by position.

pub mod gzip;
pub mod tar;
pub mod zip;

use crate::storage::{self, ReadAt, Stored};
use crate::{DataError, ErrorKind, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The members that one archive may have.
const MAX_MEMBERS: usize = 1 << 22;

/// The regular files of an archive by their paths.
pub type Members = BTreeMap<PathBuf, Stored>;

/// Whether the path names a tar archive, packed or not.
pub fn is_tar(path: &Path) -> bool {
    has_ending(path, &[".tar", ".tar.gz", ".tgz"])
}

/// Whether the path names an archive of a kind that is read.
pub fn is_archive(path: &Path) -> bool {
    is_tar(path) || has_ending(path, &[".zip"])
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    endings.iter().any(|ending| name.ends_with(ending))
}

/// Opens a file for reading by position; one that ends in `.gz` or `.tgz` is unpacked first.
pub fn open(path: &Path) -> Result<Arc<dyn ReadAt>> {
    let file = storage::open(path)?;
    match has_ending(path, &[".gz", ".tgz"]) {
        true => gzip::unpack(file),
        false => Ok(file),
    }
}

/// Lists the files of the zip or tar archive at `path`, which `source` is.
///
/// Fails with `Damaged` for a path that leads out of the archive, a link or cut bytes, and with
/// `TooLarge` for more members than fit in memory.
pub fn members(path: &Path, source: &Arc<dyn ReadAt>) -> Result<Members> {
    let listed = match is_tar(path) {
        true => tar::members(source),
        false => zip::members(source),
    };
    listed.map_err(|error| error.at_path(path))
}

fn insert(members: &mut Members, path: PathBuf, stored: Stored) -> Result<()> {
    if members.len() == MAX_MEMBERS {
        let message = format!("expected at most {MAX_MEMBERS} members, found more; divide the archive");
        return Err(DataError::new(ErrorKind::TooLarge, message));
    }
    let offset = stored.offset;
    match members.insert(path, stored) {
        None => Ok(()),
        Some(_) => Err(damaged("expected every path once, found one twice").at_offset(offset)),
    }
}

/// The path of a member, unless it would lead out of the folder it is unpacked into.
pub fn confined(name: &str) -> Result<PathBuf> {
    let mut path = PathBuf::new();
    let parts = || name.split(['/', '\\']);
    if name.starts_with(['/', '\\']) || name.contains('\0') || parts().any(|part| part == "..") {
        return Err(damaged(&format!(
            "expected paths inside the archive, found `{name}`, which leads out of it; do not use \
             this archive"
        )));
    }
    path.extend(parts().filter(|part| !part.is_empty() && *part != "."));
    Ok(path)
}

fn damaged(message: &str) -> DataError {
    DataError::new(ErrorKind::Damaged, message)
}
