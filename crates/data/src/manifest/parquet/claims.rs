//! What a Parquet file claims about its sizes, held against the file before memory is taken.

use super::thrift::{Event, walk};
use crate::storage::{self, ReadAt};
use crate::{DataError, ErrorKind, Result};

const MAGIC: &[u8] = b"PAR1";
/// The largest footer, in bytes.
const MAX_FOOTER: u64 = 256 << 20;
/// The largest header of a page, in bytes.
const MAX_HEADER: u64 = 1 << 20;
/// The nesting of columns.
const MAX_NESTING: usize = 32;
/// The largest unpacked page: what is modest, and what one packed byte may add, in bytes.
const PAGE: (i64, i64, i64) = (64 << 20, 200, 1 << 30);
/// The values of one column in one row group, those of lists counted one by one.
const MAX_VALUES: i64 = 64 << 20;

/// Checks the footer's structure and the tree of columns.
pub(super) fn check_footer(source: &dyn ReadAt) -> Result<()> {
    let length = source.length();
    let tail = storage::read(source, length.saturating_sub(8), 8.min(length), 8)?;
    let Some((size, magic)) = tail.split_first_chunk().filter(|_| length >= 12) else {
        return Err(damaged("expected a Parquet file, found fewer than 12 bytes"));
    };
    if magic == b"PARE" {
        let message = "expected a Parquet file that is not encrypted; decrypt it";
        return Err(DataError::new(ErrorKind::Unsupported, message));
    }
    let size = u64::from(u32::from_le_bytes(*size));
    if magic != MAGIC || size > length - 12 {
        return Err(damaged(
            "expected a Parquet file, found no footer at its end: it is cut or of another type",
        ));
    }
    let footer = storage::read(source, length - 8 - size, size, MAX_FOOTER)?;
    let (mut columns, mut children) = (Vec::new(), 0);
    let walked = walk(&footer, &mut |event| match event {
        Event::Number([2, 5], count) => children = count,
        Event::End([2]) => columns.push(std::mem::take(&mut children)),
        _ => {}
    });
    match walked.is_some() && is_tree(&columns) {
        true => Ok(()),
        false => Err(damaged("expected a Parquet footer, found forged sizes or columns")),
    }
}

/// Whether the numbers of children, parents first, are those of a tree that is not too deep.
fn is_tree(columns: &[i64]) -> bool {
    let mut left = vec![1i64];
    for children in columns {
        while left.last() == Some(&0) {
            left.pop();
        }
        let Some(last) = left.last_mut() else {
            return false;
        };
        *last -= 1;
        left.push(*children);
        if *children < 0 || *children as usize > columns.len() || left.len() > MAX_NESTING {
            return false;
        }
    }
    left.iter().all(|left| *left == 0)
}

/// Checks the headers of the pages that lie in `length` bytes from `start` on.
pub(super) fn check_pages(source: &dyn ReadAt, start: u64, length: u64) -> Result<()> {
    let end = start.checked_add(length).filter(|end| *end <= source.length());
    let end = end.ok_or_else(|| damaged("expected pages, found the end of the file"))?;
    let (mut at, mut values) = (start, 0i64);
    while at < end {
        let page = Page::read(source, at, end)?;
        let fits = page.packed >= 0 && (page.packed as u64) <= end - at - page.header;
        let (modest, ratio, most) = PAGE;
        if !fits || page.values < 0 || page.unpacked < 0 {
            return Err(damaged("expected a page, found forged sizes").at_offset(at));
        }
        values = values.saturating_add(page.values);
        if page.unpacked > most.min(modest + ratio * page.packed) || values > MAX_VALUES.min(64 * end as i64) {
            let message = format!(
                "expected pages of at most {most} bytes and {MAX_VALUES} values in a row group, found a page of {} \
                 bytes or too many values",
                page.unpacked
            );
            return Err(DataError::new(ErrorKind::TooLarge, message).at_offset(at));
        }
        at += page.header + page.packed as u64;
    }
    Ok(())
}

/// What the header of a page claims.
#[derive(Default)]
struct Page {
    header: u64,
    packed: i64,
    unpacked: i64,
    values: i64,
}

impl Page {
    fn read(source: &dyn ReadAt, at: u64, end: u64) -> Result<Self> {
        // Most headers are short; statistics may make one long.
        for limit in [256, 1 << 14, MAX_HEADER] {
            let bytes = storage::read(source, at, limit.min(end - at), MAX_HEADER)?;
            let mut page = Self::default();
            let walked = walk(&bytes, &mut |event| match event {
                Event::Number([2], size) => page.unpacked = size,
                Event::Number([3], size) => page.packed = size,
                Event::Number([5 | 7 | 8, 1], count) => page.values = count,
                _ => {}
            });
            if let Some(header) = walked {
                page.header = header as u64;
                return Ok(page);
            }
        }
        Err(damaged("expected the header of a page, found other bytes").at_offset(at))
    }
}

pub(super) fn damaged(message: &str) -> DataError {
    DataError::new(ErrorKind::Damaged, format!("{message}; replace the file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_must_be_a_shallow_tree() {
        assert!(is_tree(&[2, 0, 1, 0]));
        assert!(is_tree(&[0]));
        for forged in [&[1][..], &[0, 0], &[2, 0], &[-1], &[1 << 40, 0], &[1; 40]] {
            assert!(!is_tree(forged), "{forged:?}");
        }
        let chain: Vec<i64> = std::iter::repeat_n(1, 40).chain([0]).collect();
        assert!(!is_tree(&chain));
    }

    /// A number as Thrift writes it.
    fn number(value: i64) -> Vec<u8> {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        let mut bytes = Vec::new();
        while rest > 0x7f {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    }

    /// A page header: the type, the unpacked and the packed size, and in field 5 the count of values.
    fn header(unpacked: i64, packed: i64, values: i64) -> Vec<u8> {
        let fields: [&[u8]; 5] = [
            &[0x15, 0, 0x15],
            &number(unpacked),
            &[0x15],
            &number(packed),
            &[0x2c, 0x15],
        ];
        [fields.concat(), number(values), vec![0, 0]].concat()
    }

    fn check(unpacked: i64, packed: i64, values: i64, expected: Result<(), ErrorKind>) {
        let mut bytes = header(unpacked, packed, values);
        bytes.extend([0; 100]);
        let length = bytes.len() as u64;
        let part = storage::Part {
            path: "a.parquet".into(),
            start: 0,
            bytes,
        };
        let found = check_pages(&part, 0, length - 100 + packed.clamp(0, 100) as u64);
        assert_eq!(
            found.map_err(|error| error.kind),
            expected,
            "{unpacked} {packed} {values}"
        );
    }

    #[test]
    fn the_sizes_of_a_page_are_claims() {
        check(1000, 100, 100, Ok(()));
        check(1000, 101, 100, Err(ErrorKind::Damaged));
        check(-1, 100, 100, Err(ErrorKind::Damaged));
        check(1000, -1, 100, Err(ErrorKind::Damaged));
        check(1000, 100, -5, Err(ErrorKind::Damaged));
        check(100 << 20, 100, 100, Err(ErrorKind::TooLarge));
        check(1000, 100, 1 << 30, Err(ErrorKind::TooLarge));
    }
}
