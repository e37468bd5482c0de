//! Convolutions as sweeps of a window over framed pictures, each window multiplied by filters: the forward pass and
//! the input's gradient. Windows are read in place, run by run; no matrix of patches is ever written.

use std::array::from_fn;

use super::depthwise;
use super::filters::Filters;
use super::frame::{Frame, View, Walk};
use super::geometry::{Bands, Extent, Geometry, Part, Region};
use super::phase::Phase;
use crate::microkernel::{COLUMNS, Store, Tile, tile};
use crate::panels::Panels;
use crate::parallel::{self, Target};

/// Steps up to which a tile follows two levels of a window at once.
const DEPTH: usize = 4096;

/// One window moved over a framed source, writing one place of the target at each stop.
#[derive(Debug)]
struct Sweep {
    /// Taps along each axis, and framed places between them; a window without taps writes zeros.
    window: Extent,
    spacing: Extent,
    /// Framed place where the first window starts, and the way to the next.
    origin: Extent,
    step: Extent,
    /// Place of the target that the first window writes, the way to the next, and how many there are.
    target: Extent,
    target_step: Extent,
    count: Extent,
    filters: Filters,
}

/// All sweeps that fill a target from a source of the same number of pictures.
#[derive(Debug)]
struct Plan {
    batch: usize,
    frame: Frame,
    groups: usize,
    target_size: Extent,
    target_channels: usize,
    sweeps: Vec<Sweep>,
}

/// y [batch, .., output].
pub fn forward(geometry: &Geometry, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let depthwise = geometry.is_depthwise();
    let taps: Vec<usize> = (0..geometry.taps()).collect();
    let sweep = Sweep {
        window: geometry.kernel,
        spacing: geometry.dilation,
        origin: [0; 3],
        step: geometry.stride,
        target: [0; 3],
        target_step: [1; 3],
        count: geometry.out,
        filters: Filters::forward(geometry, weight, &taps),
    };
    let plan = Plan {
        batch: geometry.batch,
        frame: Frame {
            size: geometry.size,
            channels: geometry.input,
            repeat: if depthwise { geometry.group_output() } else { 1 },
            before: geometry.padding,
            framed: from_fn(|axis| geometry.reach(axis, geometry.out[axis])),
        },
        groups: if depthwise { 1 } else { geometry.groups },
        target_size: geometry.out,
        target_channels: geometry.output,
        sweeps: vec![sweep],
    };
    plan.run(x, Some(bias))
}

/// dx [batch, .., input]. Places whose padded coordinates leave the same remainder by the stride meet the same taps of
/// the kernel, so each such class is a convolution of dy with stride 1 and a part of the kernel.
pub fn input_gradient(geometry: &Geometry, dy: &[f32], weight: &[f32]) -> Vec<f32> {
    let depthwise = geometry.is_depthwise();
    let phases: [Vec<Phase>; 3] = from_fn(|axis| Phase::all(geometry, axis));
    let before = from_fn(|axis| phases[axis].iter().map(Phase::before).max().unwrap_or(0));
    let after = |axis: usize| phases[axis].iter().map(Phase::end).max().unwrap_or(0);
    let mut sweeps = Vec::new();
    for plane in &phases[0] {
        for row in &phases[1] {
            for column in &phases[2] {
                sweeps.push(phase_sweep(geometry, [plane, row, column], before, weight));
            }
        }
    }
    let plan = Plan {
        batch: geometry.batch,
        frame: Frame {
            size: geometry.out,
            channels: geometry.output,
            repeat: 1,
            before,
            framed: from_fn(|axis| before[axis] + after(axis)),
        },
        groups: if depthwise { 1 } else { geometry.groups },
        target_size: geometry.size,
        target_channels: if depthwise { geometry.output } else { geometry.input },
        sweeps,
    };
    let dx = plan.run(dy, None);
    if depthwise {
        depthwise::add_copies(dx, geometry.group_output())
    } else {
        dx
    }
}

fn phase_sweep(geometry: &Geometry, phases: [&Phase; 3], before: Extent, weight: &[f32]) -> Sweep {
    let [planes, rows, columns] = phases.map(Phase::taps_backwards);
    let mut taps = Vec::new();
    for plane in &planes {
        for row in &rows {
            let start = (plane * geometry.kernel[1] + row) * geometry.kernel[2];
            taps.extend(columns.iter().map(|column| start + column));
        }
    }
    Sweep {
        window: phases.map(|phase| phase.taps),
        spacing: phases.map(|phase| phase.spacing),
        origin: from_fn(|axis| phases[axis].origin(before[axis])),
        step: [1; 3],
        target: phases.map(|phase| phase.place),
        target_step: geometry.stride,
        count: phases.map(|phase| phase.count),
        filters: Filters::backward(geometry, weight, &taps),
    }
}

impl Plan {
    fn run(&self, source: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let extent = from_fn(|axis| self.sweeps.iter().map(|sweep| sweep.count[axis]).max().unwrap_or(0));
        let bands = Bands::new(self.batch, extent, self.frame.numbers());
        let size = self.batch * self.target_size.iter().product::<usize>() * self.target_channels;
        let mut output = Vec::with_capacity(size);
        let target = Target::spare(&mut output, size);
        parallel::for_each(bands.count(), |task| {
            let part = bands.at(task);
            (0..self.groups).for_each(|group| self.run_part(source, &part, group, bias, target));
        });
        // SAFETY: the sweeps cover every place of the target, and the bands every stop of each sweep.
        unsafe { output.set_len(size) };
        output
    }

    /// Runs all sweeps over a part of the pictures, for the channels of one group.
    fn run_part(&self, source: &[f32], part: &Part, group: usize, bias: Option<&[f32]>, target: Target) {
        let channels = self.frame.channels / self.groups;
        let channels = group * channels..(group + 1) * channels;
        let region = self.framed(&part.region);
        self.frame
            .with_view(source, part.pictures.clone(), &region, channels, |view| {
                for sweep in &self.sweeps {
                    let places = self.places(sweep, part, &view, target);
                    match &sweep.filters {
                        Filters::Panels(panels) => self.run_tiles(sweep, &panels[group], group, &places, &view, bias),
                        Filters::Depthwise(filters) => {
                            let taps = Walk::new(&sweep.levels(&view), 0).offsets();
                            for &(start, output) in &places {
                                // SAFETY: every place of the target is written by one stop of one sweep.
                                let output = unsafe { std::slice::from_raw_parts_mut(output, self.target_channels) };
                                depthwise::gather(&view.values[start..], &taps, filters, bias, output);
                            }
                        }
                    }
                }
            });
    }

    /// The framed places that the stops of `region` read in all sweeps.
    fn framed(&self, region: &Region) -> Region {
        let read = |axis: usize, sweep: &Sweep| {
            let stops = sweep.stops(region);
            let taps = sweep.window[axis];
            let empty = sweep.window.contains(&0) || stops.iter().any(|range| range.is_empty());
            let at = |stop: usize| sweep.origin[axis] + stop * sweep.step[axis];
            (!empty).then(|| at(stops[axis].start)..at(stops[axis].end - 1) + (taps - 1) * sweep.spacing[axis] + 1)
        };
        from_fn(|axis| {
            let ranges = self.sweeps.iter().filter_map(|sweep| read(axis, sweep));
            let union = ranges.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
            union.unwrap_or(self.frame.before[axis]..self.frame.before[axis])
        })
    }

    /// Where the windows of a part start in a view, and the places of the target that they write.
    fn places(&self, sweep: &Sweep, part: &Part, view: &View, target: Target) -> Vec<(usize, *mut f32)> {
        let stops = sweep.stops(&part.region);
        let count: usize = stops.iter().map(|range| range.len()).product();
        let mut places = Vec::with_capacity(part.pictures.len() * count);
        let empty = sweep.window.contains(&0);
        let [planes, rows, columns] = self.target_size;
        let channels = self.target_channels;
        let written = |axis: usize, stop: usize| sweep.target[axis] + stop * sweep.target_step[axis];
        let read = |stop: Extent| from_fn(|axis| sweep.origin[axis] + stop[axis] * sweep.step[axis]);
        for (index, picture) in part.pictures.clone().enumerate() {
            for (plane, row) in stops[0]
                .clone()
                .flat_map(|plane| stops[1].clone().map(move |row| (plane, row)))
            {
                let line = ((picture * planes + written(0, plane)) * rows + written(1, row)) * columns;
                let start = if empty {
                    0
                } else {
                    view.at(index, read([plane, row, stops[2].start]))
                };
                let step = if empty { 0 } else { sweep.step[2] * view.pitch[2] };
                for (at, column) in stops[2].clone().enumerate() {
                    let output = target.pointer((line + written(2, column)) * channels, channels);
                    places.push((start + at * step, output));
                }
            }
        }
        places
    }

    fn run_tiles(
        &self,
        sweep: &Sweep,
        filters: &Panels,
        group: usize,
        places: &[(usize, *mut f32)],
        view: &View,
        bias: Option<&[f32]>,
    ) {
        let mut levels = sweep.levels(view).to_vec();
        levels.push((self.frame.channels / self.groups, 1));
        let walk = Walk::new(&levels, DEPTH);
        let farthest = places.iter().map(|place| place.0).max().unwrap_or(0);
        let values = &view.values[..if walk.reach() == 0 { 0 } else { farthest + walk.reach() }];
        let shape = Tile::detect();
        for panels in shape.groups(0, filters.count()) {
            let column = panels.0 * COLUMNS;
            let columns = filters.columns.min(panels.1 * COLUMNS) - column;
            let first = group * filters.columns + column;
            for (part, start) in walk.starts.iter().enumerate() {
                let depth = walk.path.depth();
                let right = filters.group(panels, part * depth, depth);
                let store = match bias {
                    _ if part > 0 => Store::Add,
                    Some(bias) => Store::Bias(&bias[first..]),
                    None => Store::Set,
                };
                for places in places.chunks(shape.rows) {
                    let place = |index: usize| places[index.min(places.len() - 1)];
                    let left = from_fn(|index| values.as_ptr().wrapping_add(start + place(index).0));
                    let output = from_fn(|index| place(index).1.wrapping_add(first));
                    // SAFETY: the slice above holds the walk from the farthest window, the panels hold the depth of
                    // the path, `places` checked the targets, and no other stop of any sweep writes these.
                    unsafe { tile(places.len(), columns, &left, walk.path, right, &output, store) };
                }
            }
        }
    }
}

impl Sweep {
    /// The stops of this sweep within a region of stops.
    fn stops(&self, region: &Region) -> Region {
        from_fn(|axis| {
            let last = region[axis].end.min(self.count[axis]);
            region[axis].start.min(last)..last
        })
    }

    /// The taps of the window along each axis: how many, and the elements of a view between them.
    fn levels(&self, view: &View) -> [(usize, usize); 3] {
        from_fn(|axis| (self.window[axis], self.spacing[axis] * view.pitch[axis]))
    }
}
