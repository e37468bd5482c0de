//! One component on its way from coefficients to samples.

use super::Fault;
use super::frame::{BLOCK, Component, Frame, Process};
use super::transform::{Group, LANES, transform};
use crate::processors::image::part::Region;

/// The blocks of a component that a part of the picture needs, and the samples that they give.
#[derive(Debug)]
pub struct Plane {
    pub component: Component,
    /// The blocks that are kept, in blocks.
    window: Region,
    /// Samples of a block's side.
    side: usize,
    /// Quantisation steps, known from the component's first scan on.
    steps: Option<[i16; 64]>,
    /// For each coefficient on the zigzag path the lowest bit that is known.
    known: [Option<u8>; 64],
    /// The first row of blocks whose coefficients are held, and how many rows.
    held: (usize, usize),
    /// Coefficients, eight neighbouring blocks in a group, row after row.
    groups: Vec<Group>,
    samples: Vec<u8>,
    /// The component's own size in samples.
    height: usize,
    pub width: usize,
}

impl Plane {
    pub fn new(frame: &Frame, component: &Component, scale: usize, part: Region) -> Self {
        let window = frame.window(component, scale, part);
        let side = frame.side(component, scale);
        let (height, width) = frame.samples(component, side);
        let rows = match frame.process {
            Process::Sequential => 0,
            Process::Progressive => window.height,
        };
        let across = window.width.div_ceil(LANES);
        Self {
            component: component.clone(),
            window,
            side,
            steps: None,
            known: [None; 64],
            held: (window.top, rows),
            groups: vec![[[0; LANES]; 64]; across * rows],
            samples: vec![0; across * LANES * side * window.height * side],
            height,
            width,
        }
    }

    /// Memory that a plane takes, in bytes.
    pub fn memory(frame: &Frame, component: &Component, scale: usize, part: Region) -> u64 {
        let window = frame.window(component, scale, part);
        let side = frame.side(component, scale) as u64;
        let blocks = window.height as u64 * window.width.next_multiple_of(LANES) as u64;
        let coefficients = match frame.process {
            Process::Sequential => 0,
            Process::Progressive => size_of::<Group>() as u64 / LANES as u64,
        };
        blocks * (side * side + coefficients)
    }

    /// Keeps the quantisation table of the component's first scan.
    pub fn quantize(&mut self, tables: &[Option<[u16; 64]>; 4]) -> Result<(), Fault> {
        if self.steps.is_none() {
            let table = tables[self.component.quantization].ok_or(Fault("a scan without its quantisation table"))?;
            self.steps = Some(table.map(|step| step as i16));
        }
        Ok(())
    }

    /// Notes that a scan gives bit `low` and those above it, or only `low` where `high` stood before, of the
    /// coefficients `first` to `last`.
    pub fn note(&mut self, first: usize, last: usize, high: u8, low: u8) -> Result<(), Fault> {
        let before = match high {
            0 => None,
            high => Some(high),
        };
        let known = &mut self.known[first..=last];
        // The first scan of a component's other coefficients may come before that of its mean.
        if known.iter().any(|&known| known != before) {
            return Err(Fault("a scan that repeats or skips bits"));
        }
        known.fill(Some(low));
        Ok(())
    }

    /// Whether any scan has given the means of the blocks.
    pub fn has_means(&self) -> bool {
        self.known[0].is_some()
    }

    /// Goes on to the coefficients of other rows of blocks, all zero; of none outside of the window.
    pub fn hold(&mut self, first: usize, rows: usize) {
        let inside = (self.window.top..self.window.top + self.window.height).contains(&first);
        self.held = (first, if inside { rows } else { 0 });
        let count = self.held.1 * self.groups_across();
        self.groups.clear();
        self.groups.resize(count, [[0; LANES]; 64]);
    }

    /// The group of a block and its place in it; nothing where the block is not kept.
    #[inline(always)]
    pub fn slot(&mut self, row: usize, column: usize) -> Option<(&mut Group, usize)> {
        let row = row.wrapping_sub(self.held.0);
        let column = column.wrapping_sub(self.window.left);
        if row >= self.held.1 || column >= self.window.width {
            return None;
        }
        let index = row * self.groups_across() + column / LANES;
        Some((self.groups.get_mut(index)?, column % LANES))
    }

    /// Makes samples of the coefficients that are held.
    pub fn transform(&mut self) {
        let (Some(steps), 1..) = (&self.steps, self.held.1) else {
            return;
        };
        let stride = self.stride();
        let start = (self.held.0 - self.window.top) * self.side * stride;
        let across = self.groups_across();
        let lines = self.samples[start..].chunks_exact_mut(self.side * stride);
        for (groups, lines) in self.groups.chunks_exact(across).zip(lines) {
            transform(groups, steps, self.side, lines);
        }
    }

    /// Frees the coefficients.
    pub fn release(&mut self) {
        self.groups = Vec::new();
    }

    /// The samples of a line, from column [`left`](Plane::left) on; lines beyond the border are those at the border.
    #[inline(always)]
    pub fn line(&self, line: isize) -> &[u8] {
        let line = line.clamp(0, self.height as isize - 1) as usize - self.window.top * self.side;
        let stride = self.stride();
        let line = &self.samples[line * stride..(line + 1) * stride];
        &line[..stride.min(self.width - self.left())]
    }

    /// The first column that [`line`](Plane::line) gives.
    #[inline(always)]
    pub fn left(&self) -> usize {
        self.window.left * self.side
    }

    /// How many times more lines and columns a picture of this size has, where `scale` made it smaller.
    pub fn ratio(&self, frame: &Frame, scale: usize) -> (usize, usize) {
        let (down, across) = frame.most();
        let least = BLOCK / scale;
        (
            down * least / (self.component.vertical * self.side),
            across * least / (self.component.horizontal * self.side),
        )
    }

    #[inline(always)]
    fn groups_across(&self) -> usize {
        self.window.width.div_ceil(LANES)
    }

    #[inline(always)]
    fn stride(&self) -> usize {
        self.groups_across() * LANES * self.side
    }
}
