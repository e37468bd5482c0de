//! Markers, and the tables and remarks behind them (ITU-T T.81, annex B).

use super::Fault;
use super::frame::{Frame, Process};
use super::huffman::Table;
use image::metadata::Orientation;

/// Natural order of the coefficients, row after row, for each place on the zigzag path (T.81, figure A.6).
#[rustfmt::skip]
pub const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Tables by their number, as the last definition left them.
#[derive(Debug, Default)]
pub struct Tables {
    /// Steps of the coefficients in natural order.
    pub quantization: [Option<[u16; 64]>; 4],
    pub dc: [Option<Table>; 4],
    pub ac: [Option<Table>; 4],
    /// Units between two restarts; zero for none.
    pub restart_interval: usize,
}

/// What applications say about a picture.
#[derive(Debug, Default)]
pub struct Remarks {
    pub jfif: bool,
    /// The colour transform that Adobe's marker names.
    pub adobe: Option<u8>,
    pub orientation: Option<Orientation>,
}

/// What a segment was.
pub enum Segment {
    /// Tables, or something of no concern.
    Other,
    /// A frame header, where it is one that is read here.
    Frame(Option<Frame>),
    /// A scan header with its parameters.
    Scan(Vec<u8>),
    End,
}

/// A walk from marker to marker.
#[derive(Debug)]
pub struct Markers<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
    pub tables: Tables,
    pub remarks: Remarks,
}

impl<'a> Markers<'a> {
    /// Begins behind the start-of-image marker.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 2,
            tables: Tables::default(),
            remarks: Remarks::default(),
        }
    }

    /// Reads up to the end of the next segment.
    pub fn next(&mut self) -> Result<Segment, Fault> {
        let marker = self.marker()?;
        match marker {
            0xd9 => return Ok(Segment::End),
            0x01 | 0xd0..=0xd7 => return Ok(Segment::Other),
            0xd8 => return Err(Fault("a second start")),
            _ => {}
        }
        let parameters = self.parameters()?;
        match marker {
            0xc0 | 0xc1 => return Ok(Segment::Frame(Frame::read(Process::Sequential, parameters)?)),
            0xc2 => return Ok(Segment::Frame(Frame::read(Process::Progressive, parameters)?)),
            0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0xde => return Ok(Segment::Frame(None)),
            0xda => return Ok(Segment::Scan(parameters.to_vec())),
            0xc4 => self.tables.define_huffman(parameters)?,
            0xdb => self.tables.define_quantization(parameters)?,
            0xdd => self.tables.define_restarts(parameters)?,
            0xe0..=0xef => self.remarks.read(marker, parameters),
            _ => {}
        }
        Ok(Segment::Other)
    }

    /// The next marker; bytes before it that belong to nothing are passed over.
    pub fn marker(&mut self) -> Result<u8, Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff);
        let Some(place) = rest.windows(2).position(is_marker) else {
            self.at = self.bytes.len();
            return Err(Fault("its end is missing"));
        };
        self.at += place + 2;
        Ok(rest[place + 1])
    }

    fn parameters(&mut self) -> Result<&'a [u8], Fault> {
        let rest = &self.bytes[self.at..];
        let length = rest
            .first_chunk()
            .map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
        let parameters = rest.get(2..length).ok_or(Fault("a segment that is cut"))?;
        self.at += length;
        Ok(parameters)
    }
}

impl Tables {
    fn define_huffman(&mut self, mut parameters: &[u8]) -> Result<(), Fault> {
        const FAULT: Fault = Fault("a Huffman table that cannot be");
        while let Some((&place, rest)) = parameters.split_first() {
            let (counts, rest) = rest.split_first_chunk().ok_or(FAULT)?;
            let count = counts.iter().map(|&it| usize::from(it)).sum();
            let (symbols, rest) = rest.split_at_checked(count).ok_or(FAULT)?;
            let table = Table::new(counts, symbols).ok_or(FAULT)?;
            let tables = match place >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(FAULT),
            };
            *tables.get_mut(usize::from(place & 15)).ok_or(FAULT)? = Some(table);
            parameters = rest;
        }
        Ok(())
    }

    fn define_quantization(&mut self, mut parameters: &[u8]) -> Result<(), Fault> {
        const FAULT: Fault = Fault("a quantisation table that cannot be");
        while let Some((&place, rest)) = parameters.split_first() {
            let width = match place >> 4 {
                0 => 1,
                1 => 2,
                _ => return Err(FAULT),
            };
            let (steps, rest) = rest.split_at_checked(64 * width).ok_or(FAULT)?;
            let mut table = [0; 64];
            for (step, natural) in steps.chunks_exact(width).zip(ZIGZAG) {
                table[usize::from(natural)] = step.iter().fold(0, |sum, &byte| sum << 8 | u16::from(byte));
            }
            let known = self.quantization.get_mut(usize::from(place & 15)).ok_or(FAULT)?;
            *known = Some(table);
            parameters = rest;
        }
        Ok(())
    }

    fn define_restarts(&mut self, parameters: &[u8]) -> Result<(), Fault> {
        let interval = parameters
            .try_into()
            .map_err(|_| Fault("a restart interval of a wrong length"))?;
        self.restart_interval = u16::from_be_bytes(interval).into();
        Ok(())
    }
}

impl Remarks {
    fn read(&mut self, marker: u8, content: &[u8]) {
        match marker {
            0xe0 if content.starts_with(b"JFIF\0") => self.jfif = true,
            0xe1 if self.orientation.is_none() => {
                let exif = content.strip_prefix(b"Exif\0\0");
                self.orientation = exif.and_then(Orientation::from_exif_chunk);
            }
            // Version, two words of flags, and the transform.
            0xee if content.starts_with(b"Adobe") => self.adobe = content.get(11).copied(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_fault(segment: &[u8], words: &str) {
        let bytes = [b"\xff\xd8", segment].concat();
        let mut markers = Markers::new(&bytes);
        let fault = loop {
            match markers.next() {
                Ok(Segment::End) => panic!("{segment:x?} was read"),
                Ok(_) => {}
                Err(fault) => break fault,
            }
        };
        assert!(fault.0.contains(words), "{segment:x?}: {}", fault.0);
    }

    #[test]
    fn segments_that_cannot_be_are_refused() {
        check_fault(b"", "its end is missing");
        check_fault(b"\xff\x00\xff", "its end is missing");
        check_fault(b"\xff\xd8", "a second start");
        check_fault(b"\xff\xe1\x00", "a segment that is cut");
        check_fault(b"\xff\xe1\x00\x01", "a segment that is cut");
        check_fault(b"\xff\xe1\x00\x05ab", "a segment that is cut");
        check_fault(b"\xff\xdb\x00\x04\x00\x01", "quantisation");
        check_fault(b"\xff\xdb\x00\x03\x20", "quantisation");
        check_fault(b"\xff\xc4\x00\x03\x00", "Huffman");
        check_fault(b"\xff\xdd\x00\x03\x00", "restart interval");
    }

    #[test]
    fn tables_and_remarks_are_kept() {
        let mut bytes = b"\xff\xd8junk\xff\xff\xdd\x00\x04\x01\x02\xff\xee\x00\x0eAdobe\0d\0\0\0\0\x02".to_vec();
        bytes.extend(b"\xff\xdb\x00\x43\x01".iter().chain(&(0..64).collect::<Vec<u8>>()));
        bytes.extend(b"\xff\xd9");
        let mut markers = Markers::new(&bytes);
        while !matches!(markers.next(), Ok(Segment::End)) {}
        assert_eq!((markers.tables.restart_interval, markers.remarks.adobe), (258, Some(2)));
        let table = markers.tables.quantization[1].unwrap();
        assert_eq!((table[1], table[8], table[63]), (1, 2, 63));
    }
}
