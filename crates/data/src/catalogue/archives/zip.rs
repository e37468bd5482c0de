//! Zip archives.

use super::{Limits, Member, Visit, confined, damaged, read, too_many};
use crate::{DataError, Result};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use zip::ZipArchive;

/// See [`super::each_file`].
pub(super) fn each_file(archive: &Path, limits: Limits, visit: Visit) -> Result<()> {
    let file = File::open(archive).map_err(|error| DataError::io(&error, archive))?;
    let mut zip = ZipArchive::new(BufReader::new(file))
        .map_err(|error| damaged(format!("expected a zip archive, found: {error}")))?;
    let count = zip.len();
    if count > limits.files {
        return Err(too_many(limits, &count.to_string()));
    }
    let mut left = limits.total_bytes;
    for index in 0..count {
        let mut file = zip
            .by_index(index)
            .map_err(|error| damaged(format!("entry {index}: {error}")))?;
        let path = confined(file.name())?;
        if file.is_dir() || file.is_symlink() {
            continue;
        }
        let bytes =
            read(&mut file, limits.file_bytes.min(left)).map_err(|error| error.in_field(&path.to_string_lossy()))?;
        left -= bytes.len() as u64;
        visit(Member {
            path,
            bytes,
            index,
            count: Some(count),
        })?;
    }
    Ok(())
}

/// Writes a zip archive for a test.
#[cfg(test)]
pub(in super::super) fn write(path: &Path, files: &[(&str, &[u8])]) {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
    for (name, bytes) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}
