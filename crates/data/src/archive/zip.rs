//! The directory of a zip archive: where each file lies and how it is packed.

use super::{MAX_MEMBERS, Members, confined, damaged, insert};
use crate::shield::shielded;
use crate::storage::{Cursor, Packing, ReadAt, Stored};
use crate::{DataError, ErrorKind, Result};
use std::io::BufReader;
use std::sync::Arc;
use zip::read::ZipFile;
use zip::{CompressionMethod, ZipArchive};

/// Every file of the archive; sizes are claims until a file is read.
pub(super) fn members(source: &Arc<dyn ReadAt>) -> Result<Members> {
    // A reader's fault ends the work on this archive, not the program.
    let listed = shielded(|| list(source));
    listed.unwrap_or_else(|| Err(damaged("expected a zip archive; the reader failed on its bytes")))
}

fn list(source: &Arc<dyn ReadAt>) -> Result<Members> {
    let unreadable = |error| damaged(&format!("expected a zip archive, found: {error}; replace it"));
    let reader = BufReader::new(Cursor::new(source.clone(), 0));
    let mut zip = ZipArchive::new(reader).map_err(unreadable)?;
    if zip.len() > MAX_MEMBERS {
        let message = format!("expected at most {MAX_MEMBERS} members, found {}", zip.len());
        return Err(DataError::new(ErrorKind::TooLarge, message));
    }
    let mut members = Members::new();
    for index in 0..zip.len() {
        let file = zip.by_index_raw(index).map_err(unreadable)?;
        let path = confined(file.name())?;
        if !file.is_dir() {
            insert(&mut members, path, stored(source, &file)?)?;
        }
    }
    Ok(members)
}

fn stored(source: &Arc<dyn ReadAt>, file: &ZipFile<'_, impl std::io::Read>) -> Result<Stored> {
    if file.is_symlink() {
        return Err(damaged(&format!("expected files, found the link `{}`", file.name())));
    }
    let packing = match file.compression() {
        CompressionMethod::Stored => Packing::Plain,
        CompressionMethod::Deflated => Packing::Deflated {
            length: file.size(),
            checksum: file.crc32(),
        },
        other => return Err(unsupported(file.name(), &format!("one packed by {other}"))),
    };
    let offset = file
        .data_start()
        .ok_or_else(|| damaged("expected the place of a file"))?;
    let length = file.compressed_size();
    if offset.checked_add(length).is_none_or(|end| end > source.length()) {
        return Err(damaged("expected a whole file, found the end of the archive").in_field(file.name()));
    }
    match file.encrypted() {
        true => Err(unsupported(file.name(), "one with a password")),
        false => Ok(Stored {
            source: source.clone(),
            offset,
            length,
            packing,
        }),
    }
}

fn unsupported(name: &str, found: &str) -> DataError {
    let message = format!("expected a file that is stored or deflated, found {found}; pack the archive anew");
    DataError::new(ErrorKind::Unsupported, message).in_field(name)
}
