//! Tar archives: gzipped ones, and those inside Debian packages.

use super::{Limits, Member, Visit, confined, damaged, read, too_many};
use crate::{DataError, ErrorKind, Result};
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What the headers of an archive may add to its files, for each file.
const OVERHEAD: u64 = 64 << 10;

/// See [`super::each_file`].
pub(super) fn each_file_of_gzip(archive: &Path, limits: Limits, visit: Visit) -> Result<()> {
    let file = File::open(archive).map_err(|error| DataError::io(&error, archive))?;
    each_file(&mut GzDecoder::new(BufReader::new(file)), limits, visit)
}

/// See [`super::each_file`]. The program that unpacks Debian packages writes the tar archive of
/// the installed files to a pipe; it never touches the disk.
pub(super) fn each_file_of_debian(archive: &Path, limits: Limits, visit: Visit) -> Result<()> {
    let mut unpacking = Unpacking(unpack(archive)?);
    let mut out = unpacking.0.stdout.take().expect("the output is a pipe");
    each_file(&mut out, limits, visit)?;
    let status = unpacking.0.wait().map_err(|error| DataError::io(&error, archive))?;
    match status.success() {
        true => Ok(()),
        false => Err(damaged(format!(
            "expected a Debian package, found that `dpkg-deb` ended with {status}"
        ))),
    }
}

/// A child that does not outlive its handle.
struct Unpacking(Child);

impl Drop for Unpacking {
    fn drop(&mut self) {
        // A child that has ended cannot be stopped, and need not be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn unpack(archive: &Path) -> Result<Child> {
    let mut command = Command::new("dpkg-deb");
    command.arg("--fsys-tarfile").arg(archive);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.spawn().map_err(|error| {
        let message = format!(
            "expected to run `dpkg-deb`, which unpacks Debian packages, found: {error}; install dpkg \
             and fetch again"
        );
        DataError::new(ErrorKind::Fetch, message)
    })
}

fn each_file(stream: &mut dyn Read, limits: Limits, visit: Visit) -> Result<()> {
    let most = limits
        .total_bytes
        .saturating_add((limits.files as u64).saturating_mul(OVERHEAD));
    let mut archive = tar::Archive::new(stream.take(most));
    let broken = |error: std::io::Error| damaged(format!("expected a tar archive, found: {error}"));
    let mut left = limits.total_bytes;
    for (index, entry) in archive.entries().map_err(broken)?.enumerate() {
        let mut entry = entry.map_err(broken)?;
        if index >= limits.files {
            return Err(too_many(limits, "more"));
        }
        let path = confined(&String::from_utf8_lossy(&entry.path_bytes()))?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let bytes =
            read(&mut entry, limits.file_bytes.min(left)).map_err(|error| error.in_field(&path.to_string_lossy()))?;
        left -= bytes.len() as u64;
        visit(Member {
            path,
            bytes,
            index,
            count: None,
        })?;
    }
    // What lies behind the last file holds the checksum of the compression.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(broken)?;
    Ok(())
}

#[cfg(test)]
fn tar_bytes(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        // Written by hand, because the library refuses the names that a test must try.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

#[cfg(test)]
fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Writes a gzipped tar archive for a test.
#[cfg(test)]
pub(in super::super) fn write(path: &Path, files: &[(&str, &[u8])]) {
    std::fs::write(path, gzip(&tar_bytes(files))).unwrap();
}

/// Writes a Debian package for a test: an `ar` archive of three parts.
#[cfg(test)]
pub(super) fn write_debian(path: &Path, files: &[(&str, &[u8])]) {
    let control: &[u8] = b"Package: a\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: a\n";
    let parts = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", gzip(&tar_bytes(&[("./control", control)]))),
        ("data.tar.gz", gzip(&tar_bytes(files))),
    ];
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in parts {
        out.extend(
            format!(
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
                0,
                0,
                0,
                "100644",
                bytes.len()
            )
            .bytes(),
        );
        out.extend(&bytes);
        out.resize(out.len().next_multiple_of(2), b'\n');
    }
    std::fs::write(path, out).unwrap();
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, each_file};

    #[test]
    fn links_are_left_out() {
        let mut tar = tar::Builder::new(Vec::new());
        for (kind, name) in [(tar::EntryType::Symlink, "soft"), (tar::EntryType::Link, "hard")] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(0);
            tar.append_link(&mut header, name, "/etc/passwd").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        std::fs::write(&path, super::gzip(&tar.into_inner().unwrap())).unwrap();
        let limits = Limits {
            files: 2,
            file_bytes: 1,
            total_bytes: 1,
        };
        each_file(&path, limits, &mut |member| panic!("{:?}", member.path)).unwrap();
    }
}
