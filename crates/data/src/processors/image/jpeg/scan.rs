//! A scan: its header, its restart intervals and the order of its blocks (ITU-T T.81, A.2, B.2.3 and E.2).

use super::Fault;
use super::bits::Bits;
use super::entropy::{Band, progressive_band, progressive_mean, refine_band, refine_mean, sequential};
use super::frame::{Frame, Process};
use super::header::{Markers, Tables};
use super::huffman::Table;
use super::plane::Plane;
use std::ops::Range;

/// Bytes that may stand between the last block and the next marker: some cameras pad their data.
const MAX_UNREAD: usize = 16;

const BAD_CODE: Fault = Fault("bits that are no code");

/// What a scan gives of its blocks.
#[derive(Debug, Clone, Copy)]
enum Content {
    Everything,
    Mean { low: u8 },
    MeanBit { low: u8 },
    Band(Band),
    BandBit(Band),
}

/// One component in a scan.
struct Member<'a> {
    plane: &'a mut Plane,
    dc: Option<&'a Table>,
    ac: Option<&'a Table>,
    /// Blocks of a unit: down and across.
    down: usize,
    across: usize,
    /// The mean of the block before.
    mean: i32,
}

/// Decodes the scan behind its header, which held `parameters`, into `planes`.
pub fn read(markers: &mut Markers, parameters: &[u8], frame: &Frame, planes: &mut [Plane]) -> Result<(), Fault> {
    let (members, content) = header(&markers.tables, parameters, frame, planes)?;
    let interval = markers.tables.restart_interval;
    let mut scan = Scan {
        members,
        content,
        ended: 0,
        bits: Bits::default(),
        start: markers.at,
    };
    let end = scan.bits.load(markers.bytes, markers.at);
    let (down, across) = scan.units(frame);
    let result = scan.rows(markers.bytes, end, (down, across), interval);
    markers.at = match &result {
        Ok(end) => *end,
        Err(_) => scan.bits.offset(markers.bytes, scan.start),
    };
    result.map(drop)
}

fn header<'a>(
    tables: &'a Tables,
    parameters: &[u8],
    frame: &Frame,
    planes: &'a mut [Plane],
) -> Result<(Vec<Member<'a>>, Content), Fault> {
    const FAULT: Fault = Fault("a scan header of a wrong length");
    let (&count, rest) = parameters.split_first().ok_or(FAULT)?;
    let (components, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or(FAULT)?;
    let &[first, last, bits] = rest.first_chunk().ok_or(FAULT)?;
    let content = content(frame.process, usize::from(count), first, last, bits)?;
    let mut planes: Vec<Option<&mut Plane>> = planes.iter_mut().map(Some).collect();
    let mut members = Vec::new();
    let (components, _) = components.as_chunks();
    for &[identifier, numbers] in components {
        let named = |plane: &&mut Option<&mut Plane>| {
            plane
                .as_ref()
                .is_some_and(|plane| plane.component.identifier == identifier)
        };
        let plane = planes.iter_mut().find(named).and_then(Option::take);
        let plane = plane.ok_or(Fault("a scan of a component that does not exist"))?;
        plane.quantize(&tables.quantization)?;
        content.note(plane, bits >> 4)?;
        let (down, across) = match count {
            1 => (1, 1),
            _ => (plane.component.vertical, plane.component.horizontal),
        };
        let table = |tables: &'a [Option<Table>; 4], number: u8| tables.get(usize::from(number))?.as_ref();
        let (dc, ac) = (table(&tables.dc, numbers >> 4), table(&tables.ac, numbers & 15));
        members.push(Member {
            plane,
            dc,
            ac,
            down,
            across,
            mean: 0,
        });
    }
    match !members.is_empty() && members.iter().all(|member| content.has_tables(member)) {
        true => Ok((members, content)),
        false => Err(Fault("a scan without its Huffman table")),
    }
}

fn content(process: Process, components: usize, first: u8, last: u8, bits: u8) -> Result<Content, Fault> {
    let (high, low) = (bits >> 4, bits & 15);
    let (first, last) = (usize::from(first), usize::from(last));
    let band = Band { first, last, low };
    let fits = low <= 13 && (high == 0 || high == low + 1);
    match (process, first, last, high) {
        (Process::Sequential, ..) => Ok(Content::Everything),
        (_, 0, 0, 0) if fits => Ok(Content::Mean { low }),
        (_, 0, 0, _) if fits => Ok(Content::MeanBit { low }),
        (_, 1.., ..64, 0) if fits && first <= last && components == 1 => Ok(Content::Band(band)),
        (_, 1.., ..64, _) if fits && first <= last && components == 1 => Ok(Content::BandBit(band)),
        _ => Err(Fault("a scan of coefficients that do not exist")),
    }
}

impl Content {
    fn note(self, plane: &mut Plane, high: u8) -> Result<(), Fault> {
        match self {
            Self::Everything => plane.note(0, 63, 0, 0),
            Self::Mean { low } | Self::MeanBit { low } => plane.note(0, 0, high, low),
            Self::Band(band) | Self::BandBit(band) => plane.note(band.first, band.last, high, band.low),
        }
    }

    fn has_tables(self, member: &Member) -> bool {
        let means = member.dc.is_some_and(Table::has_sizes_only);
        match self {
            Self::Everything => means && member.ac.is_some(),
            Self::Mean { .. } => means,
            Self::MeanBit { .. } => true,
            Self::Band(_) | Self::BandBit(_) => member.ac.is_some(),
        }
    }
}

struct Scan<'a> {
    members: Vec<Member<'a>>,
    content: Content,
    /// Blocks ahead that have no more coefficients of the band.
    ended: u32,
    bits: Bits,
    /// Where the data that `bits` holds begin.
    start: usize,
}

impl Scan<'_> {
    /// Units of the scan, down and across: those of the frame, or the blocks of a component that is alone.
    fn units(&self, frame: &Frame) -> (usize, usize) {
        match &self.members[..] {
            [member] => frame.blocks(&member.plane.component),
            _ => frame.units(),
        }
    }

    /// Decodes all units, and returns where the data end; `end` is where those before the first restart do.
    fn rows(&mut self, source: &[u8], mut end: usize, units: (usize, usize), interval: usize) -> Result<usize, Fault> {
        let (down, across) = units;
        let sequential = matches!(self.content, Content::Everything);
        let mut left = if interval == 0 { usize::MAX } else { interval };
        let mut restarts = 0;
        for row in 0..down {
            if sequential {
                self.members
                    .iter_mut()
                    .for_each(|it| it.plane.hold(row * it.down, it.down));
            }
            let mut column = 0;
            while column < across {
                if left == 0 {
                    end = self.restart(source, end, restarts)?;
                    (left, restarts) = (interval, restarts + 1);
                }
                let count = left.min(across - column);
                self.decode(row, column..column + count)?;
                (column, left) = (column + count, left - count);
            }
            if sequential {
                self.members.iter_mut().for_each(|it| it.plane.transform());
            }
        }
        self.check_unread().map(|()| end)
    }

    fn decode(&mut self, row: usize, columns: Range<usize>) -> Result<(), Fault> {
        pulp::Arch::new()
            .dispatch(Run {
                scan: self,
                row,
                columns,
            })
            .ok_or(BAD_CODE)?;
        match self.bits.overrun() {
            true => Err(Fault("fewer blocks than its header says")),
            false => Ok(()),
        }
    }

    /// Goes on behind the marker at `end`, which must be the restart of this number, and returns where its data end.
    fn restart(&mut self, source: &[u8], end: usize, number: usize) -> Result<usize, Fault> {
        self.check_unread()?;
        let mut at = end;
        while source.get(at..at + 2) == Some(&[0xff, 0xff]) {
            at += 1;
        }
        if source.get(at..at + 2) != Some(&[0xff, 0xd0 + (number % 8) as u8]) {
            return Err(Fault("another marker than the expected restart"));
        }
        self.members.iter_mut().for_each(|member| member.mean = 0);
        (self.ended, self.start) = (0, at + 2);
        Ok(self.bits.load(source, at + 2))
    }

    fn check_unread(&self) -> Result<(), Fault> {
        match self.bits.unread() > MAX_UNREAD {
            true => Err(Fault("more data than its blocks need")),
            false => Ok(()),
        }
    }
}

/// The blocks of neighbouring units.
struct Run<'a, 'b> {
    scan: &'a mut Scan<'b>,
    row: usize,
    columns: Range<usize>,
}

impl pulp::NullaryFnOnce for Run<'_, '_> {
    type Output = Option<()>;

    #[inline(always)]
    fn call(self) -> Option<()> {
        let Self { scan, row, columns } = self;
        let Scan {
            members,
            content,
            ended,
            ..
        } = scan;
        // A reader of this function's own can live in registers.
        let mut reader = std::mem::take(&mut scan.bits);
        let bits = &mut reader;
        let whole = match *content {
            Content::Everything => blocks(
                members,
                row,
                columns,
                #[inline(always)]
                |member, row, column| {
                    let (dc, ac) = (member.dc?, member.ac?);
                    sequential(bits, dc, ac, &mut member.mean, member.plane.slot(row, column))
                },
            ),
            Content::Mean { low } => blocks(
                members,
                row,
                columns,
                #[inline(always)]
                |member, row, column| {
                    let dc = member.dc?;
                    progressive_mean(bits, dc, &mut member.mean, low, member.plane.slot(row, column))
                },
            ),
            Content::MeanBit { low } => blocks(
                members,
                row,
                columns,
                #[inline(always)]
                |member, row, column| refine_mean(bits, low, member.plane.slot(row, column)),
            ),
            Content::Band(band) => blocks(
                members,
                row,
                columns,
                #[inline(always)]
                |member, row, column| progressive_band(bits, member.ac?, band, ended, member.plane.slot(row, column)),
            ),
            Content::BandBit(band) => blocks(
                members,
                row,
                columns,
                #[inline(always)]
                |member, row, column| refine_band(bits, member.ac?, band, ended, member.plane.slot(row, column)),
            ),
        };
        scan.bits = reader;
        whole
    }
}

/// Calls `decode` with the row and column of each block, in the order of the scan.
#[inline(always)]
fn blocks<'a>(
    members: &mut [Member<'a>],
    row: usize,
    columns: Range<usize>,
    mut decode: impl FnMut(&mut Member<'a>, usize, usize) -> Option<()>,
) -> Option<()> {
    for unit in columns {
        for member in members.iter_mut() {
            let (down, across) = (member.down, member.across);
            for line in 0..down {
                for column in 0..across {
                    decode(member, row * down + line, unit * across + column)?;
                }
            }
        }
    }
    Some(())
}
