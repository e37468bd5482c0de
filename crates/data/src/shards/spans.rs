//! Where the rows of a shard lie, read from headers and line breaks alone.

use super::sample;
use crate::Result;
use crate::storage::{self, ReadAt};
use std::ops::Range;
use std::sync::Arc;

/// How much of a file of lines is read at once, in bytes.
const WINDOW: u64 = 1 << 18;
const MARK: &[u8] = b"\xef\xbb\xbf";

/// An iterator over the places of rows. An error stands for one row, the last one: what comes after
/// damage cannot be told apart.
pub(crate) struct Spans {
    source: Arc<dyn ReadAt>,
    lines: Option<Window>,
    at: u64,
    failed: bool,
}

/// The part of a file of lines that was read last.
#[derive(Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Spans {
    /// The samples of a WebDataset shard from the position `at` on.
    pub fn samples(source: Arc<dyn ReadAt>, at: u64) -> Self {
        Self {
            source,
            lines: None,
            at,
            failed: false,
        }
    }

    /// The lines of a file from the position `at` on, without the blank ones.
    pub fn lines(source: Arc<dyn ReadAt>, at: u64) -> Self {
        Self {
            lines: Some(Window::default()),
            ..Self::samples(source, at)
        }
    }

    /// Where the next row is looked for.
    pub fn position(&self) -> u64 {
        self.at
    }

    fn find(&mut self) -> Result<Option<Range<u64>>> {
        let Some(window) = &mut self.lines else {
            return sample::next_span(&*self.source, self.at);
        };
        let mut start = self.at;
        if start == 0 && window.from(&*self.source, 0)?.starts_with(MARK) {
            start = MARK.len() as u64;
        }
        loop {
            let (end, blank) = window.line(&*self.source, start)?;
            if !blank || end == start {
                return Ok((end > start).then_some(start..end));
            }
            start = end;
        }
    }
}

impl Iterator for Spans {
    type Item = Result<Range<u64>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let found = self.find();
        match &found {
            Ok(Some(span)) => self.at = span.end,
            Ok(None) => {}
            Err(_) => self.failed = true,
        }
        found.transpose()
    }
}

impl Window {
    /// The end of the line that starts at `start`, behind its line break, and whether it is blank.
    fn line(&mut self, source: &dyn ReadAt, start: u64) -> Result<(u64, bool)> {
        let (mut end, mut blank) = (start, true);
        loop {
            let bytes = self.from(source, end)?;
            let line_break = bytes.iter().position(|byte| *byte == b'\n');
            let length = line_break.map_or(bytes.len(), |at| at + 1);
            blank &= bytes[..length].trim_ascii().is_empty();
            end += length as u64;
            if line_break.is_some() || length == 0 {
                return Ok((end, blank));
            }
        }
    }

    /// Some bytes from `at` on; none only at the end of the file.
    fn from(&mut self, source: &dyn ReadAt, at: u64) -> Result<&[u8]> {
        let held = self.start..self.start + self.bytes.len() as u64;
        if !held.contains(&at) {
            let length = WINDOW.min(source.length().saturating_sub(at));
            self.bytes = storage::read(source, at, length, WINDOW)?;
            self.start = at;
        }
        Ok(&self.bytes[(at - self.start) as usize..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Part;

    fn check(text: &[u8], expected: &[&[u8]]) {
        let source: Arc<dyn ReadAt> = Arc::new(Part {
            path: "a.jsonl".into(),
            start: 0,
            bytes: text.to_vec(),
        });
        let line = |span: Result<Range<u64>>| {
            let span = span.unwrap();
            text[span.start as usize..span.end as usize].to_vec()
        };
        let found: Vec<_> = Spans::lines(source, 0).map(line).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_are_found_whatever_their_length() {
        check(b"", &[]);
        check(b"\xef\xbb\xbfa\n\n \r\nb", &[b"a\n", b"b"]);
        check(b" \n\n", &[]);
        let long = vec![b'x'; 600_000];
        check(
            &[&long[..], b"\n", &long, b"\ny\n"].concat(),
            &[&[&long[..], b"\n"].concat(), &[&long[..], b"\n"].concat(), b"y\n"],
        );
    }
}
