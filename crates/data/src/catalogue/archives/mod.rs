//! Archives from elsewhere: confined paths, bounded sizes, links left out.
//!
//! Zip archives (wheels), gzipped tar archives (npm packages and source distributions) and Debian
//! packages all show their files to one visitor; which of them a file is, its first bytes say.

mod tar;
mod zip;

#[cfg(test)]
pub(super) use tar::write as write_tar_gz;
#[cfg(test)]
pub(super) use zip::write as write_zip;

use crate::archive::confined;
use crate::{DataError, ErrorKind, Result};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What an archive may hold at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub files: usize,
    /// Bytes of one unpacked file.
    pub file_bytes: u64,
    /// Bytes of all unpacked files.
    pub total_bytes: u64,
}

/// A file of an archive.
pub(super) struct Member {
    /// Relative, and below the folder it is joined to.
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    /// The place of the file in the archive.
    pub index: usize,
    /// The number of places, where the archive says it.
    pub count: Option<usize>,
}

/// What is called with each file.
pub(super) type Visit<'a> = &'a mut dyn FnMut(Member) -> Result<()>;

/// Calls `visit` with each file of an archive, in its order. Folders and links are left out.
///
/// Fails with `Damaged` for a path that leads out of the archive or a wrong checksum, with
/// `TooLarge` beyond `limits`, and with `Unsupported` for another kind of file.
pub(super) fn each_file(archive: &Path, limits: Limits, visit: Visit) -> Result<()> {
    let mut magic = [0; 8];
    let mut file = File::open(archive).map_err(|error| DataError::io(&error, archive))?;
    let length = fill(&mut file, &mut magic).map_err(|error| DataError::io(&error, archive))?;
    let result = match &magic[..length] {
        [b'P', b'K', ..] => zip::each_file(archive, limits, visit),
        [0x1f, 0x8b, ..] => tar::each_file_of_gzip(archive, limits, visit),
        b"!<arch>\n" => tar::each_file_of_debian(archive, limits, visit),
        _ => Err(DataError::new(
            ErrorKind::Unsupported,
            "expected a zip archive, a gzipped tar archive or a Debian package, found another kind \
             of file",
        )),
    };
    result.map_err(|error| error.at_path(archive))
}

/// The content of the files with these paths, in this order.
///
/// Fails as [`each_file`] does, and with `Damaged` where a file is not in the archive.
pub(super) fn files<const COUNT: usize>(
    archive: &Path,
    limits: Limits,
    paths: [&str; COUNT],
) -> Result<[Vec<u8>; COUNT]> {
    let mut found: [Option<Vec<u8>>; COUNT] = std::array::from_fn(|_| None);
    each_file(archive, limits, &mut |member| {
        if let Some(place) = paths.iter().position(|path| Path::new(path) == member.path) {
            found[place] = Some(member.bytes);
        }
        Ok(())
    })?;
    if let Some(lacking) = found.iter().position(Option::is_none) {
        let message = format!("expected the file `{}` in the archive, found none", paths[lacking]);
        return Err(damaged(message).at_path(archive));
    }
    Ok(found.map(Option::unwrap_or_default))
}

fn fill(file: &mut File, bytes: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// The content of an entry; its claimed size is not trusted.
fn read(file: &mut impl Read, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match file.take(limit + 1).read_to_end(&mut bytes) {
        Err(error) => Err(damaged(format!("expected a whole file, found: {error}"))),
        Ok(size) if size as u64 > limit => {
            let message = format!("expected at most {limit} unpacked bytes, found more");
            Err(DataError::new(ErrorKind::TooLarge, message))
        }
        Ok(_) => Ok(bytes),
    }
}

fn too_many(limits: Limits, found: &str) -> DataError {
    let message = format!("expected at most {} files, found {found}", limits.files);
    DataError::new(ErrorKind::TooLarge, message)
}

fn damaged(message: String) -> DataError {
    DataError::new(ErrorKind::Damaged, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    type Write = fn(&Path, &[(&str, &[u8])]);
    const WRITERS: [Write; 3] = [write_zip, write_tar_gz, tar::write_debian];
    const LIMITS: Limits = Limits {
        files: 3,
        file_bytes: 1000,
        total_bytes: 1500,
    };

    /// Reads an archive back; a Debian package only where the program that unpacks it is there.
    fn visit(path: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut seen = BTreeMap::new();
        each_file(path, LIMITS, &mut |member| {
            seen.insert(member.path.to_str().unwrap().to_string(), member.bytes);
            Ok(())
        })?;
        Ok(seen)
    }

    #[test]
    fn named_files_come_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        write_zip(&path, &[("a/b", b"1"), ("c", b"2"), ("d", b"3")]);
        assert_eq!(files(&path, LIMITS, ["d", "a/b"]).unwrap(), [b"3", b"1"]);
        let error = files(&path, LIMITS, ["d", "b"]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Damaged);
        assert!(error.message.contains("`b`"), "{error}");
    }

    fn has_dpkg() -> bool {
        std::process::Command::new("dpkg-deb").arg("--version").output().is_ok()
    }

    fn check(files: &[(&str, &[u8])], expected: Result<usize, ErrorKind>) {
        for (place, write) in WRITERS.iter().enumerate() {
            if place == 2 && !has_dpkg() {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("archive");
            write(&path, files);
            match visit(&path) {
                Ok(seen) => {
                    assert_eq!(Ok(seen.len()), expected, "{files:?}");
                    assert!(files.iter().all(|(name, bytes)| seen[*name] == *bytes));
                }
                Err(error) => {
                    assert_eq!(error.path.as_ref(), Some(&path));
                    assert_eq!(Err(error.kind), expected, "archive {place}: {error}");
                }
            }
        }
    }

    #[test]
    fn files_come_with_their_paths_and_bytes() {
        check(&[("a", b"1"), ("b/c.txt", b"")], Ok(2));
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        for name in ["../a", "a/../../b", "a/../b", "/etc/a", "a\\..\\..\\b"] {
            check(&[(name, b"1")], Err(ErrorKind::Damaged));
        }
    }

    #[test]
    fn sizes_are_bounded_by_what_is_unpacked() {
        check(&[("a", &[0; 1000])], Ok(1));
        check(&[("a", &[0; 1001])], Err(ErrorKind::TooLarge));
        check(&[("a", &[0; 1000]), ("b", &[0; 501])], Err(ErrorKind::TooLarge));
        check(
            &[("a", b""), ("b", b""), ("c", b""), ("d", b"")],
            Err(ErrorKind::TooLarge),
        );
    }

    #[test]
    fn a_cut_or_altered_archive_is_an_error() {
        let noise: Vec<u8> = (0..900u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        for write in &WRITERS[..2] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("archive");
            write(&path, &[("a", &noise)]);
            let whole = std::fs::read(&path).unwrap();
            for cut in 0..whole.len() {
                std::fs::write(&path, &whole[..cut]).unwrap();
                assert!(visit(&path).is_err(), "cut at {cut}");
            }
            let mut altered = whole.clone();
            altered[whole.len() / 2] ^= 0xff;
            std::fs::write(&path, &altered).unwrap();
            assert!(visit(&path).is_err());
        }
    }

    #[test]
    fn another_kind_of_file_is_unsupported() {
        let folder = tempfile::tempdir().unwrap();
        for bytes in [&b""[..], b"\x7fELF", b"!<arch>"] {
            let path = folder.path().join("archive");
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(visit(&path).unwrap_err().kind, ErrorKind::Unsupported);
        }
    }
}
