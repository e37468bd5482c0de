//! A walk over the compact Thrift structures of a Parquet file, before a library trusts their claims.
//!
//! The format is <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

/// Deeper structures are no part of any Parquet file.
const DEPTH: usize = 24;

/// What a walk comes upon; a path holds the numbers of the fields that lead there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event<'a> {
    Number(&'a [i16], i64),
    /// A structure ends.
    End(&'a [i16]),
}

/// Walks the structure at the start of `bytes` and gives its length; `None` for a claim that goes
/// beyond the bytes, or for bytes of another kind.
pub(super) fn walk(bytes: &[u8], visit: &mut dyn FnMut(Event)) -> Option<usize> {
    let mut walk = Walk {
        bytes,
        path: Vec::new(),
        visit,
    };
    walk.structure(0)?;
    Some(bytes.len() - walk.bytes.len())
}

struct Walk<'a, 'v> {
    bytes: &'a [u8],
    path: Vec<i16>,
    visit: &'v mut dyn FnMut(Event),
}

impl Walk<'_, '_> {
    fn structure(&mut self, depth: usize) -> Option<()> {
        let mut field = 0i16;
        loop {
            let head = self.byte()?;
            if head == 0 {
                (self.visit)(Event::End(&self.path));
                return Some(());
            }
            field = match head >> 4 {
                0 => i16::try_from(self.zigzag()?).ok()?,
                delta => field.checked_add(delta.into())?,
            };
            self.path.push(field);
            // A flag is its own type: it has no byte.
            match head & 15 {
                1 | 2 => {}
                kind => self.value(kind, depth)?,
            }
            self.path.pop();
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            1..=3 => self.skip(1),
            4..=6 => {
                let number = self.zigzag()?;
                (self.visit)(Event::Number(&self.path, number));
                Some(())
            }
            7 => self.skip(8),
            8 => {
                let length = self.varint()?;
                self.skip(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let size = match head >> 4 {
                    15 => self.varint()?,
                    size => size.into(),
                };
                self.values(size, &[head & 15], depth)
            }
            11 => {
                let size = self.varint()?;
                let kinds = if size > 0 { self.byte()? } else { 0 };
                self.values(size, &[kinds >> 4, kinds & 15], depth)
            }
            12 if depth < DEPTH => self.structure(depth + 1),
            13 => self.skip(16),
            _ => None,
        }
    }

    /// Each value takes at least a byte, so that a forged size ends with the bytes.
    fn values(&mut self, size: u64, kinds: &[u8], depth: usize) -> Option<()> {
        if size > self.bytes.len() as u64 || depth >= DEPTH {
            return None;
        }
        for _ in 0..size {
            kinds.iter().try_for_each(|kind| self.value(*kind, depth + 1))?;
        }
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn skip(&mut self, length: u64) -> Option<()> {
        self.bytes = self.bytes.get(usize::try_from(length).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], numbers: &[(&[i16], i64)], length: Option<usize>) {
        let mut found = Vec::new();
        let walked = walk(bytes, &mut |event| {
            if let Event::Number(path, number) = event {
                found.push((path.to_vec(), number));
            }
        });
        assert_eq!(walked, length);
        let found: Vec<_> = found.iter().map(|(path, number)| (&path[..], *number)).collect();
        assert_eq!(found, numbers);
    }

    #[test]
    fn numbers_come_with_the_fields_that_lead_to_them() {
        // Field 1 is -1, field 3 is "ab", field 4 a list of one structure whose field 2 is 64.
        let bytes = [0x15, 1, 0x28, 2, b'a', b'b', 0x19, 0x1c, 0x25, 0x80, 1, 0, 0, 99];
        check(&bytes, &[(&[1], -1), (&[4, 2], 64)], Some(13));
        check(&[0x11, 0x12, 0], &[], Some(3));
    }

    #[test]
    fn a_claim_beyond_the_bytes_is_refused() {
        check(&[], &[], None);
        check(&[0x18, 0x7f, 0], &[], None);
        check(&[0x19, 0xf3, 0xff, 0xff, 0xff, 0xff, 0x7f, 0], &[], None);
        check(&[0x15, 0xff], &[], None);
        check(&[0x1c; 99], &[], None);
        check(&[0x1e, 0], &[], None);
    }
}
