//! Pictures framed by zeros, so that windows never leave them, and walks over their numbers.

use std::ops::Range;

use super::geometry::{Extent, Region};
use crate::microkernel::Path;
use crate::parallel::with_scratch;

/// How pictures of a source are framed.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Extent of a picture.
    pub size: Extent,
    pub channels: usize,
    /// How often each channel is written to the framed copy: 1 but for depthwise filters of several outputs.
    pub repeat: usize,
    /// Zero places before the picture.
    pub before: Extent,
    /// Extent with the frame.
    pub framed: Extent,
}

/// Numbers of framed pictures, in place or copied.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub values: &'a [f32],
    /// Framed place that `values` starts with.
    pub from: Extent,
    /// Elements from one picture to the next, and from one place to the next along each axis.
    pub picture: usize,
    pub pitch: Extent,
}

impl View<'_> {
    /// Where a framed place of the picture number `picture` of the view lies in `values`.
    pub fn at(&self, picture: usize, place: Extent) -> usize {
        let along = |axis: usize| (place[axis] - self.from[axis]) * self.pitch[axis];
        picture * self.picture + along(0) + along(1) + along(2)
    }
}

impl Frame {
    /// Numbers of one framed picture.
    pub fn numbers(&self) -> usize {
        self.framed.iter().product::<usize>() * self.channels * self.repeat
    }

    /// Runs `body` on a region of framed places and a range of channels of some pictures of `source`. What lies within
    /// the pictures is read in place.
    pub fn with_view<R>(
        &self,
        source: &[f32],
        pictures: Range<usize>,
        region: &Region,
        channels: Range<usize>,
        body: impl FnOnce(View) -> R,
    ) -> R {
        let length = self.size.iter().product::<usize>() * self.channels;
        let source = &source[pictures.start * length..pictures.end * length];
        let within = |axis: usize| {
            region[axis].start >= self.before[axis] && region[axis].end <= self.before[axis] + self.size[axis]
        };
        if self.repeat == 1 && (0..3).all(within) {
            return body(View {
                values: source.get(channels.start..).unwrap_or(&[]),
                from: self.before,
                picture: length,
                pitch: pitch(self.size, self.channels),
            });
        }
        let width = channels.len() * self.repeat;
        let extent = region.each_ref().map(|range| range.len());
        let copied = extent.iter().product::<usize>() * width;
        with_scratch(pictures.len() * copied, |scratch| {
            let view = View {
                values: &[],
                from: region.each_ref().map(|range| range.start),
                picture: copied,
                pitch: pitch(extent, width),
            };
            let row_length = extent[2] * width;
            for index in 0..pictures.len() {
                let picture = &source[index * length..(index + 1) * length];
                let rows = region[0]
                    .clone()
                    .flat_map(|plane| region[1].clone().map(move |row| [plane, row]));
                let lines = scratch[index * copied..][..copied].chunks_exact_mut(row_length.max(1));
                for (row, line) in rows.zip(lines) {
                    self.copy_row(picture, row, region[2].clone(), channels.clone(), [0, width], line);
                }
            }
            body(View {
                values: scratch,
                ..view
            })
        })
    }

    /// Copies one row of framed places to `target`: the numbers of each place follow `offset`, `step` after those of
    /// the place before it.
    pub fn copy_row(
        &self,
        picture: &[f32],
        [plane, row]: [usize; 2],
        columns: Range<usize>,
        channels: Range<usize>,
        [offset, step]: [usize; 2],
        target: &mut [f32],
    ) {
        let width = channels.len() * self.repeat;
        let inside = |axis: usize, place: usize| {
            place
                .checked_sub(self.before[axis])
                .filter(|&place| place < self.size[axis])
        };
        let first = self.before[2].clamp(columns.start, columns.end);
        let mut last = (self.before[2] + self.size[2]).clamp(first, columns.end);
        let start = match (inside(0, plane), inside(1, row)) {
            (Some(plane), Some(row)) if first < last => {
                ((plane * self.size[1] + row) * self.size[2] + first - self.before[2]) * self.channels
            }
            _ => {
                last = first;
                0
            }
        };
        let at = |column: usize| (column - columns.start) * step + offset;
        for column in (columns.start..first).chain(last..columns.end) {
            target[at(column)..][..width].fill(0.0);
        }
        if width == self.channels && step == width && self.repeat == 1 {
            let length = (last - first) * width;
            target[at(first)..][..length].copy_from_slice(&picture[start..start + length]);
            return;
        }
        for (column, place) in (first..last).zip(picture[start..].chunks(self.channels)) {
            let (target, numbers) = (&mut target[at(column)..][..width], &place[channels.clone()]);
            if self.repeat == 1 {
                target.copy_from_slice(numbers);
            } else {
                let copies = target.chunks_exact_mut(self.repeat).zip(numbers);
                copies.for_each(|(copies, number)| copies.fill(*number));
            }
        }
    }
}

fn pitch(extent: Extent, channels: usize) -> Extent {
    [extent[1] * extent[2] * channels, extent[2] * channels, channels]
}

/// Nested loops over numbers of a view: paths of the microkernel that start at each of `starts`.
#[derive(Clone, Debug)]
pub struct Walk {
    pub starts: Vec<usize>,
    pub path: Path,
}

impl Walk {
    /// From the outermost to the innermost level, each a count and the elements between its steps. Paths are no longer
    /// than `limit` steps, unless one level alone is.
    pub fn new(levels: &[(usize, usize)], limit: usize) -> Self {
        if levels.iter().any(|level| level.0 == 0) {
            return Self {
                starts: vec![0],
                path: Path::line(0, 1),
            };
        }
        let mut merged: Vec<(usize, usize)> = Vec::new();
        for &(count, step) in levels.iter().rev().filter(|level| level.0 != 1) {
            match merged.last_mut() {
                Some((inner, inner_step)) if *inner * *inner_step == step => *inner *= count,
                _ => merged.push((count, step)),
            }
        }
        let mut levels = merged.into_iter().peekable();
        let (length, step) = levels.next().unwrap_or((1, 1));
        let segments = levels.next_if(|(count, _)| count * length <= limit);
        let (segments, stride) = segments.unwrap_or((1, 0));
        let mut starts = vec![0];
        for (count, step) in levels {
            let steps = (0..count).flat_map(|index| starts.iter().map(move |start| index * step + start));
            starts = steps.collect();
        }
        let path = Path {
            segments,
            length,
            step,
            stride,
        };
        Self { starts, path }
    }

    /// The number of every step.
    pub fn offsets(&self) -> Vec<usize> {
        let path = self.path;
        let runs = self
            .starts
            .iter()
            .flat_map(|start| (0..path.segments).map(move |run| start + run * path.stride));
        runs.flat_map(|run| (0..path.length).map(move |at| run + at * path.step))
            .collect()
    }

    /// How far from its start the walk reads, in elements: one past the farthest.
    pub fn reach(&self) -> usize {
        let farthest = self.starts.iter().max().copied().unwrap_or(0);
        if self.path.depth() == 0 {
            0
        } else {
            farthest + self.path.reach()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame {
        size: [1, 2, 2],
        channels: 1,
        repeat: 1,
        before: [0, 1, 1],
        framed: [1, 4, 3],
    };

    #[test]
    fn frames_surround_a_picture_with_zeros() {
        let picture = [1.0, 2.0, 3.0, 4.0];
        let rows = FRAME.with_view(&picture, 0..1, &[0..1, 1..4, 0..3], 0..1, |view| view.values.to_vec());
        assert_eq!(rows, [0.0, 1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0]);
        let inner = FRAME.with_view(&picture, 0..1, &[0..1, 2..3, 1..3], 0..1, |view| {
            view.values[view.at(0, [0, 2, 2])]
        });
        assert_eq!(inner, 4.0);
    }

    #[test]
    fn channels_are_selected_and_repeated() {
        let frame = Frame {
            size: [1, 1, 2],
            channels: 2,
            repeat: 2,
            before: [0, 0, 1],
            framed: [1, 1, 3],
        };
        let copy = |channels| {
            frame.with_view(&[1.0, 2.0, 3.0, 4.0], 0..1, &[0..1, 0..1, 0..3], channels, |view| {
                view.values.to_vec()
            })
        };
        assert_eq!(copy(0..2), [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]);
        assert_eq!(copy(1..2), [0.0, 0.0, 2.0, 2.0, 4.0, 4.0]);
    }

    #[test]
    fn walks_visit_every_number_in_order() {
        for (levels, limit) in [
            (vec![(3, 12), (2, 6), (3, 2), (2, 1)], 100),
            (vec![(2, 100), (3, 20), (2, 7), (3, 2)], 100),
            (vec![(2, 100), (3, 20), (2, 7), (3, 2)], 3),
            (vec![(1, 5), (1, 3)], 10),
            (vec![(2, 5), (0, 3), (4, 1)], 10),
        ] {
            let mut expected = vec![0];
            for &(count, step) in &levels {
                expected = expected
                    .iter()
                    .flat_map(|start| (0..count).map(move |index| start + index * step))
                    .collect();
            }
            let walk = Walk::new(&levels, limit);
            assert_eq!(walk.offsets(), expected, "{levels:?}");
            assert_eq!(walk.reach(), expected.iter().max().map_or(0, |last| last + 1));
        }
    }
}
