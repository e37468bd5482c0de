//! JPEG (ITU-T T.81): sequential and progressive Huffman coding of eight-bit samples, to the bits that libjpeg gives
//! with its default settings. A part of a picture, or a smaller picture, costs less than the whole. Nothing is made
//! up: a file whose data are not all there, or are more than its header says, is damaged.

mod bits;
mod color;
mod enlarge;
mod entropy;
mod frame;
mod header;
mod huffman;
mod plane;
mod scan;
#[cfg(test)]
mod tests;
mod transform;

use super::part::Region;
use super::{CHANNELS, Picture, decode};
use crate::{DataError, Result};
use color::Color;
use enlarge::Enlarger;
use frame::Frame;
use header::{Markers, Segment};
use image::ImageFormat;
use image::metadata::Orientation;
use plane::Plane;

/// More scans than any encoder writes; each costs a pass over all blocks.
const MAX_SCANS: usize = 500;
/// Blocks that one byte can hold: a block's mean takes a bit at least.
const BLOCKS_PER_BYTE: usize = 8;

/// What is wrong with a picture; the walk over its markers knows where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fault(&'static str);

/// A picture whose headers were read up to its first scan.
#[derive(Debug)]
pub struct Jpeg<'a> {
    markers: Markers<'a>,
    frame: Frame,
    /// The parameters of the first scan.
    scan: Vec<u8>,
}

impl<'a> Jpeg<'a> {
    /// Reads the headers; nothing for a kind that is not read here.
    ///
    /// # Errors
    /// [`Damaged`](crate::ErrorKind::Damaged) with the offset.
    pub fn open(bytes: &'a [u8]) -> Result<Option<Self>> {
        let mut markers = Markers::new(bytes);
        let headers = headers(&mut markers).map_err(|fault| damaged(&markers, fault))?;
        Ok(headers.map(|(frame, scan)| Self { markers, frame, scan }))
    }

    /// Height and width in pixels when the picture is `scale` times smaller.
    pub fn size(&self, scale: usize) -> (usize, usize) {
        self.frame.scaled(scale)
    }

    /// How the picture must be turned.
    pub fn orientation(&self) -> Orientation {
        self.markers.remarks.orientation.unwrap_or(Orientation::NoTransforms)
    }

    /// Memory that decoding takes, in bytes.
    pub fn memory(&self, scale: usize, part: Region) -> u64 {
        let planes = self
            .frame
            .components
            .iter()
            .map(|it| Plane::memory(&self.frame, it, scale, part));
        planes.sum::<u64>() + (CHANNELS * part.height * part.width) as u64
    }

    /// The pixels of `part`, counted in those of the picture `scale` times smaller: 1, 2, 4 or 8.
    ///
    /// # Errors
    /// [`Damaged`](crate::ErrorKind::Damaged) with the offset.
    pub fn decode(mut self, scale: usize, part: Region) -> Result<Picture> {
        let planes = self
            .planes(scale, part)
            .map_err(|fault| damaged(&self.markers, fault))?;
        Ok(self.pixels(&planes, scale, part))
    }

    /// Decodes all scans up to the end.
    fn planes(&mut self, scale: usize, part: Region) -> Result<Vec<Plane>, Fault> {
        let Self { markers, frame, scan } = self;
        let blocks = frame.components.iter().map(|component| frame.blocks(component));
        let blocks: usize = blocks.map(|(down, across)| down * across).sum();
        if blocks > BLOCKS_PER_BYTE * markers.bytes.len() {
            return Err(Fault("more pixels in its header than its bytes can hold"));
        }
        let components = frame.components.iter();
        let mut planes: Vec<Plane> = components.map(|it| Plane::new(frame, it, scale, part)).collect();
        scan::read(markers, scan, frame, &mut planes)?;
        let mut scans = 1;
        loop {
            match markers.next()? {
                Segment::Other => {}
                Segment::Frame(_) => return Err(Fault("a second frame")),
                Segment::Scan(_) if scans == MAX_SCANS => return Err(Fault("too many scans")),
                Segment::Scan(scan) => {
                    scan::read(markers, &scan, frame, &mut planes)?;
                    scans += 1;
                }
                Segment::End => break,
            }
        }
        if !planes.iter().all(Plane::has_means) {
            return Err(Fault("a component without a scan"));
        }
        if frame.process == frame::Process::Progressive {
            for plane in &mut planes {
                plane.transform();
                plane.release();
            }
        }
        Ok(planes)
    }

    fn pixels(&self, planes: &[Plane], scale: usize, part: Region) -> Picture {
        let identifiers: Vec<u8> = self.frame.components.iter().map(|it| it.identifier).collect();
        let lines = Lines {
            color: Color::of(&identifiers, &self.markers.remarks),
            enlargers: planes
                .iter()
                .map(|plane| Enlarger::new(plane, &self.frame, scale))
                .collect(),
            margin: part.left % self.frame.most().1,
            part,
        };
        Picture {
            height: part.height,
            width: part.width,
            pixels: pulp::Arch::new().dispatch(lines),
        }
    }
}

/// The lines of a picture from those of its components.
struct Lines<'a> {
    color: Color,
    enlargers: Vec<Enlarger<'a>>,
    /// Columns before the part at which all components have a whole sample.
    margin: usize,
    part: Region,
}

impl pulp::NullaryFnOnce for Lines<'_> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn call(mut self) -> Vec<u8> {
        let Region {
            top,
            left,
            height,
            width,
        } = self.part;
        let columns = left - self.margin..left + width;
        let mut pixels = vec![0; CHANNELS * height * width];
        for (row, target) in pixels.chunks_exact_mut(CHANNELS * width).enumerate() {
            let mut lines = [&[][..]; 4];
            for (line, enlarger) in lines.iter_mut().zip(&mut self.enlargers) {
                *line = &enlarger.line(top + row, &columns)[self.margin..];
            }
            color::convert(self.color, lines, target);
        }
        pixels
    }
}

/// The frame and the parameters of the first scan.
fn headers(markers: &mut Markers) -> Result<Option<(Frame, Vec<u8>)>, Fault> {
    let mut found = None;
    loop {
        match (markers.next()?, &found) {
            (Segment::Other, _) => {}
            (Segment::Frame(None), _) => return Ok(None),
            (Segment::Frame(frame), None) => found = frame,
            (Segment::Frame(_), Some(_)) => return Err(Fault("a second frame")),
            (Segment::Scan(scan), Some(_)) => return Ok(found.map(|frame| (frame, scan))),
            (Segment::Scan(_), None) => return Err(Fault("a scan before its frame")),
            (Segment::End, _) => return Err(Fault("an end before its first scan")),
        }
    }
}

fn damaged(markers: &Markers, Fault(found): Fault) -> DataError {
    decode::damaged(ImageFormat::Jpeg, found).at_offset(markers.at as u64)
}
