//! Components of fewer samples than pixels are enlarged: between neighbours in the proportion 3 to 1 where they have
//! half as many, as libjpeg's "fancy upsampling" does, and by repetition otherwise.

use super::frame::Frame;
use super::plane::Plane;
use std::ops::Range;

/// How one component is brought to the picture's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Whole,
    /// Between neighbours: this many times more lines and columns.
    Between(usize, usize),
    /// The same sample so many times, down and across.
    Repeat(usize, usize),
}

/// Gives the lines of one component, with the memory that this needs.
#[derive(Debug)]
pub struct Enlarger<'a> {
    plane: &'a Plane,
    method: Method,
    /// A line of weighted samples, with one neighbour at each end.
    sums: Vec<u16>,
    line: Vec<u8>,
}

impl<'a> Enlarger<'a> {
    pub fn new(plane: &'a Plane, frame: &Frame, scale: usize) -> Self {
        let method = match plane.ratio(frame, scale) {
            (1, 1) => Method::Whole,
            // libjpeg repeats where a component is too narrow, and where a block gives one sample.
            (down @ 1..=2, across @ 1..=2) if scale < 8 && (across == 1 || plane.width > 2) => {
                Method::Between(down, across)
            }
            (down, across) => Method::Repeat(down, across),
        };
        Self {
            plane,
            method,
            sums: Vec::new(),
            line: Vec::new(),
        }
    }

    /// The samples of line `row` of the picture at `columns`, of which the first is a multiple of the ratio.
    #[inline(always)]
    pub fn line(&mut self, row: usize, columns: &Range<usize>) -> &[u8] {
        match self.method {
            Method::Whole => {
                let start = columns.start - self.plane.left();
                return &self.plane.line(row as isize)[start..][..columns.len()];
            }
            Method::Between(down, 1) => self.between_lines(row, down, columns),
            Method::Between(down, _) => self.between(row, down, columns),
            Method::Repeat(down, across) => self.repeat(row, down, across, columns),
        }
        &self.line[..columns.len()]
    }

    /// The nearest line and the next nearest, which is the same one where there are as many lines as in the picture.
    #[inline(always)]
    fn nearest(&self, row: usize, down: usize) -> (&'a [u8], &'a [u8]) {
        let near = (row / down) as isize;
        let far = match (down, row % 2) {
            (1, _) => near,
            (_, 0) => near - 1,
            _ => near + 1,
        };
        (self.plane.line(near), self.plane.line(far))
    }

    #[inline(always)]
    fn between_lines(&mut self, row: usize, down: usize, columns: &Range<usize>) {
        let (near, far) = self.nearest(row, down);
        let start = columns.start - self.plane.left();
        let bias = 1 + (row % 2) as u16;
        let pairs = near[start..].iter().zip(&far[start..]).take(columns.len());
        self.line.clear();
        self.line
            .extend(pairs.map(|(&near, &far)| ((3 * u16::from(near) + u16::from(far) + bias) >> 2) as u8));
    }

    #[inline(always)]
    fn between(&mut self, row: usize, down: usize, columns: &Range<usize>) {
        let samples = columns.start / 2..columns.end.div_ceil(2);
        let count = samples.len();
        self.weigh(row, down, samples);
        self.line.resize(2 * count, 0);
        let (pairs, _) = self.line.as_chunks_mut::<2>();
        let sums = &self.sums[..count + 2];
        let (before, middle, after) = (&sums[..count], &sums[1..count + 1], &sums[2..]);
        // A sum of two lines has been weighed with 4.
        let (shift, left_bias, right_bias) = if down == 1 { (2, 1, 2) } else { (4, 8, 7) };
        let sums = before.iter().zip(middle).zip(after);
        for (pair, ((before, middle), after)) in pairs.iter_mut().zip(sums) {
            *pair = [
                ((3 * middle + before + left_bias) >> shift) as u8,
                ((3 * middle + after + right_bias) >> shift) as u8,
            ];
        }
    }

    /// Fills `sums` with the weighted samples, one more at each side; beyond the border stands the border's.
    #[inline(always)]
    fn weigh(&mut self, row: usize, down: usize, samples: Range<usize>) {
        let (near, far) = self.nearest(row, down);
        let left = self.plane.left();
        let first = samples.start.saturating_sub(1).max(left) - left;
        let last = (samples.end + 1).min(left + near.len()) - left;
        let pairs = near[first..last].iter().zip(&far[first..last]);
        self.sums.clear();
        if samples.start == 0 {
            self.sums.push(0);
        }
        match down {
            1 => self.sums.extend(near[first..last].iter().map(|&near| u16::from(near))),
            _ => self
                .sums
                .extend(pairs.map(|(&near, &far)| 3 * u16::from(near) + u16::from(far))),
        }
        if samples.start == 0 {
            self.sums[0] = self.sums[1];
        }
        let border = *self.sums.last().unwrap_or(&0);
        self.sums.resize(samples.len() + 2, border);
    }

    #[inline(always)]
    fn repeat(&mut self, row: usize, down: usize, across: usize, columns: &Range<usize>) {
        let source = self.plane.line((row / down) as isize);
        let start = columns.start / across - self.plane.left();
        self.line.clear();
        for &sample in source[start..].iter().take(columns.len().div_ceil(across)) {
            self.line.resize(self.line.len() + across, sample);
        }
    }
}
