//! The headers of a tar archive (POSIX ustar and pax, GNU long names), one member at a time and from
//! any position, so that reading can go on where it stopped.

use super::{Members, confined, damaged, insert};
use crate::storage::{self, Packing, ReadAt, Stored};
use crate::{DataError, Result};
use std::path::PathBuf;
use std::sync::Arc;

const BLOCK: u64 = 512;
/// What the records before a member may take that name it, in bytes.
const MAX_EXTENSION: u64 = 1 << 20;

/// A member of a tar archive; folders are passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub path: PathBuf,
    /// Whether it is a file with its content in the archive: no link, device or sparse file.
    pub is_file: bool,
    /// Where its content starts, and its length in bytes.
    pub offset: u64,
    pub length: u64,
    /// Where the next header starts.
    pub next: u64,
}

/// The member whose header is the first one from `at` on; `None` at the end mark.
///
/// Fails with `Damaged` for a header that is cut or altered, a path that leads out of the archive,
/// content that goes beyond the file, or a file that ends without the end mark.
pub fn next_member(source: &dyn ReadAt, at: u64) -> Result<Option<Member>> {
    let mut at = at;
    let mut extended = Extended::default();
    loop {
        let Some(header) = Header::read(source, at)? else {
            return Ok(None);
        };
        let fail = |error: DataError| error.at_path(source.path()).at_offset(at);
        let length = extended.length.unwrap_or(header.length);
        let end = at.checked_add(BLOCK + length.min(source.length()));
        let end = end.filter(|end| *end <= source.length() && length <= source.length());
        let end = end.ok_or_else(|| fail(damaged("expected the whole member, found the end of the file")))?;
        let next = end.next_multiple_of(BLOCK).min(source.length());
        match header.kind {
            b'x' | b'L' => extended.read(source, &header, at).map_err(fail)?,
            // Global records and long names of links' targets say nothing that is needed here.
            b'g' | b'K' | b'5' => {}
            kind => {
                let name = extended.path.take().unwrap_or(header.name);
                return Ok(Some(Member {
                    path: confined(&name).map_err(fail)?,
                    is_file: matches!(kind, b'0' | 0 | b'7') && !extended.sparse,
                    offset: at + BLOCK,
                    length,
                    next,
                }));
            }
        }
        if header.kind == b'5' {
            extended = Extended::default();
        }
        at = next;
    }
}

/// Every file of the archive.
pub(super) fn members(source: &Arc<dyn ReadAt>) -> Result<Members> {
    let mut members = Members::new();
    let mut at = 0;
    while let Some(member) = next_member(&**source, at)? {
        if !member.is_file {
            let message = format!("expected files, found a link or device `{}`", member.path.display());
            return Err(damaged(&message).at_offset(at));
        }
        at = member.next;
        let stored = Stored {
            source: source.clone(),
            offset: member.offset,
            length: member.length,
            packing: Packing::Plain,
        };
        insert(&mut members, member.path, stored)?;
    }
    Ok(members)
}

/// What the 512 bytes before a member say.
struct Header {
    name: String,
    length: u64,
    kind: u8,
}

impl Header {
    /// `None` at the end mark, a block of zeros.
    fn read(source: &dyn ReadAt, at: u64) -> Result<Option<Self>> {
        let fail = |message| Err(damaged(message).at_path(source.path()).at_offset(at));
        if at == source.length() {
            return fail("expected a member or the end mark, found the end of the file: it may be cut");
        }
        let block = storage::read(source, at, BLOCK, BLOCK)?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The checksum counts its own field as blanks.
        let others = block[..148].iter().chain(&block[156..]);
        let sum = others.map(|byte| u64::from(*byte)).sum::<u64>() + 8 * u64::from(b' ');
        if number(&block[148..156]) != Some(sum) {
            return fail("expected the header of a member, found a wrong checksum; replace the archive");
        }
        let Some(length) = number(&block[124..136]) else {
            return fail("expected the length of a member, found no number; replace the archive");
        };
        let mut name = text(&block[..100]);
        if &block[257..263] == b"ustar\0" && block[345] != 0 {
            name = format!("{}/{name}", text(&block[345..500]));
        }
        Ok(Some(Self {
            name,
            length,
            kind: block[156],
        }))
    }
}

/// A number in octal digits, or in base 256 as GNU writes large ones.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let first = u64::from(field[0] & 0x7f);
        let add = |sum: u64, byte: &u8| sum.checked_mul(256)?.checked_add(u64::from(*byte));
        return field[1..].iter().try_fold(first, add);
    }
    let digits = std::str::from_utf8(field).ok()?;
    let digits = digits.trim_matches([' ', '\0']);
    match digits {
        "" => Some(0),
        digits => u64::from_str_radix(digits, 8).ok(),
    }
}

/// The text before the first zero byte.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// What the records before a header say about its member.
#[derive(Default)]
struct Extended {
    path: Option<String>,
    length: Option<u64>,
    sparse: bool,
}

impl Extended {
    fn read(&mut self, source: &dyn ReadAt, header: &Header, at: u64) -> Result<()> {
        let content = storage::read(source, at + BLOCK, header.length, MAX_EXTENSION)?;
        if header.kind == b'L' {
            self.path = Some(text(&content));
            return Ok(());
        }
        let mut rest = &content[..];
        while !rest.is_empty() {
            let (key, value, after) = record(rest).ok_or_else(|| damaged("expected pax records, found other bytes"))?;
            match key {
                "path" => self.path = Some(value.to_string()),
                "size" => self.length = Some(value.parse().map_err(|_| damaged("expected a pax size"))?),
                key => self.sparse |= key.starts_with("GNU.sparse"),
            }
            rest = after;
        }
        Ok(())
    }
}

/// One pax record, `LENGTH KEY=VALUE\n`, and what comes after it.
fn record(bytes: &[u8]) -> Option<(&str, &str, &[u8])> {
    let blank = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
    let record = bytes.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let key = std::str::from_utf8(&record[..equals]).ok()?;
    // A value of another key may hold any bytes.
    let value = std::str::from_utf8(&record[equals + 1..]).unwrap_or_default();
    Some((key, value, &bytes[length..]))
}

/// Writes a tar archive for a test.
#[cfg(test)]
pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::storage::Part;

    fn part(bytes: Vec<u8>) -> Part {
        Part {
            path: "a.tar".into(),
            start: 0,
            bytes,
        }
    }

    fn list(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
        let source = part(bytes.to_vec());
        let (mut at, mut found) = (0, Vec::new());
        while let Some(member) = next_member(&source, at)? {
            let content = storage::read(&source, member.offset, member.length, 1 << 20)?;
            found.push((member.path.display().to_string(), content));
            assert!(member.next > at);
            at = member.next;
        }
        Ok(found)
    }

    fn check(bytes: &[u8], expected: &[(&str, &[u8])]) {
        let found = list(bytes).unwrap();
        let found: Vec<_> = found.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn members_come_with_long_names_and_any_length() {
        let long = format!("{}/b.txt", "folder".repeat(40));
        let files: [(&str, &[u8]); 4] = [("a", b"1"), (&long, b"22"), ("c/d", &[3; 512]), ("e", b"")];
        check(&archive(&files), &files);
        let mut pax = ::tar::Builder::new(Vec::new());
        pax.append_pax_extensions([("path", "ü/long.png".as_bytes()), ("comment", b"\xff")])
            .unwrap();
        let mut header = ::tar::Header::new_ustar();
        header.set_size(3);
        header.set_path("short").unwrap();
        header.set_cksum();
        pax.append(&header, &b"xyz"[..]).unwrap();
        check(&pax.into_inner().unwrap(), &[("ü/long.png", b"xyz")]);
    }

    fn check_refused(name: &str, kind: ::tar::EntryType, part_of_message: &str) {
        let mut header = ::tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_cksum();
        let bytes = [header.as_bytes().as_slice(), &[0; 1024]].concat();
        let source: Arc<dyn ReadAt> = Arc::new(part(bytes));
        let error = members(&source).unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::Damaged, Some(0)));
        assert!(error.message.contains(part_of_message), "{error}");
    }

    #[test]
    fn links_and_paths_that_lead_out_are_refused() {
        for name in ["../a", "a/../../b", "/etc/a", "a\\..\\b"] {
            check_refused(name, ::tar::EntryType::Regular, "leads out");
        }
        check_refused("a", ::tar::EntryType::Symlink, "link");
        check_refused("a", ::tar::EntryType::Link, "link");
        check_refused("a", ::tar::EntryType::Block, "device");
    }

    #[test]
    fn every_cut_before_the_end_mark_is_damaged() {
        let whole = archive(&[("a.png", &[1; 600]), ("b.png", &[2; 10])]);
        let end = whole.len() - 1024;
        for cut in 0..end + 512 {
            assert_eq!(
                list(&whole[..cut]).unwrap_err().kind,
                ErrorKind::Damaged,
                "cut at {cut}"
            );
        }
        assert_eq!(list(&whole[..end + 512]).unwrap().len(), 2);
    }

    #[test]
    fn a_changed_byte_of_a_header_is_noticed() {
        let whole = archive(&[("a.png", &[1; 600])]);
        for at in 0..500 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert!(list(&bytes).is_err(), "byte {at}");
        }
    }
}
