//! The gradient of a convolution's filters: the product of all windows with all output gradients, where the sum over
//! places is the depth.

use std::array::from_fn;
use std::ops::Range;

use super::depthwise;
use super::filters::unpack;
use super::frame::{Frame, View, Walk};
use super::geometry::{Bands, Geometry, Part};
use crate::microkernel::{COLUMNS, Path, Right, Store, Tile, tile};
use crate::panels::{Matrix, Panels};
use crate::parallel::{self, TASKS, Target, with_scratch};

/// Places of a block: a panel of output gradients (16 KiB) stays in the first-level cache.
const PLACES: usize = 256;

/// dw [output, input / groups, ..].
pub fn weight_gradient(geometry: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let numbers = geometry.patch() * geometry.output;
    let places = geometry.batch * geometry.out.iter().product::<usize>();
    // Partial sums of many filters over few places would cost more to add up than to compute.
    let wide = TASKS * numbers > 2 * places * (geometry.input + geometry.output);
    if geometry.is_depthwise() || places == 0 || !wide {
        unpack(geometry, &by_places(geometry, x, dy))
    } else {
        unpack(geometry, &by_numbers(geometry, x, dy))
    }
}

fn frame(geometry: &Geometry) -> Frame {
    Frame {
        size: geometry.size,
        channels: geometry.input,
        repeat: if geometry.is_depthwise() {
            geometry.group_output()
        } else {
            1
        },
        before: geometry.padding,
        framed: from_fn(|axis| geometry.reach(axis, geometry.out[axis])),
    }
}

/// The numbers of a window, [tap, channel], by their offsets from its start.
struct Window {
    taps: Vec<usize>,
    channels: usize,
}

impl Window {
    fn new(geometry: &Geometry, view: &View) -> Self {
        let levels: [(usize, usize); 3] =
            from_fn(|axis| (geometry.kernel[axis], geometry.dilation[axis] * view.pitch[axis]));
        Self {
            taps: Walk::new(&levels, 0).offsets(),
            channels: geometry.group_input(),
        }
    }

    fn offset(&self, number: usize) -> usize {
        self.taps[number / self.channels] + number % self.channels
    }

    /// How far a window reaches, in elements: one past the farthest.
    fn reach(&self) -> usize {
        self.taps.iter().max().map_or(0, |farthest| farthest + self.channels)
    }
}

/// [group, tap · channel, output of the group], with places cut into tasks that each sum up all numbers.
fn by_places(geometry: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let frame = frame(geometry);
    let bands = Bands::new(geometry.batch, geometry.out, frame.numbers());
    let count = bands.count();
    let chunk = count.div_ceil(TASKS).max(1);
    let groups = if geometry.is_depthwise() { 1 } else { geometry.groups };
    let width = geometry.patch() * geometry.output;
    parallel::sum(count.div_ceil(chunk), width, |index, sums| {
        for part in (index * chunk..count.min((index + 1) * chunk)).map(|task| bands.at(task)) {
            for (group, sums) in sums.chunks_exact_mut((width / groups).max(1)).enumerate() {
                let channels = geometry.input / groups;
                let channels = group * channels..(group + 1) * channels;
                let windows = geometry.windows(&part.region);
                frame.with_view(x, part.pictures.clone(), &windows, channels, |view| {
                    if geometry.is_depthwise() {
                        add_depthwise(geometry, &part, &view, dy, sums);
                    } else {
                        add_part(geometry, &part, group, &view, dy, sums);
                    }
                });
            }
        }
    })
}

/// Adds a part to `sums` [tap · channel, output of the group], block by block.
fn add_part(geometry: &Geometry, part: &Part, group: usize, view: &View, dy: &[f32], sums: &mut [f32]) {
    let (output, group_output) = (geometry.output, geometry.group_output());
    let window = Window::new(geometry, view);
    let target = Target::new(sums);
    blocks(geometry, part, |picture, start, [rows, columns]| {
        let path = Path {
            segments: rows,
            length: columns,
            step: geometry.stride[2] * view.pitch[2],
            stride: geometry.stride[1] * view.pitch[1],
        };
        let places = rows * columns;
        let [planes, lines, length] = geometry.out;
        let first = ((picture * planes + start[0]) * lines + start[1]) * length + start[2];
        let gradients = Matrix {
            values: &dy[first * output + group * group_output..],
            rows: places,
            columns: group_output,
            row_stride: output,
            column_stride: 1,
        };
        let source = from_fn(|axis| start[axis] * geometry.stride[axis]);
        let values = &view.values[view.at(picture - part.pictures.start, source)..];
        let count = group_output.div_ceil(COLUMNS);
        let panel = places * COLUMNS;
        with_scratch(count * panel, |lines| {
            for (index, lines) in lines.chunks_exact_mut(panel).enumerate() {
                Panels::pack(gradients, index * COLUMNS, lines);
            }
            for panels in Tile::detect().groups(0, count) {
                let right = Right {
                    panel: lines[panels.0 * panel..panels.1 * panel].as_ptr(),
                    stride: panel,
                };
                let columns = panels.0 * COLUMNS..group_output.min(panels.1 * COLUMNS);
                let output = (target, group_output, columns);
                // SAFETY: the slice above holds the panels, as deep as the path; the sums belong to this task.
                unsafe { add_numbers(&window, 0..geometry.patch(), values, path, right, output, Store::Add) };
            }
        });
    });
}

/// Cuts a part into blocks of about [`PLACES`] places, and calls `body(picture, first place, [rows, columns])` for each.
fn blocks(geometry: &Geometry, part: &Part, mut body: impl FnMut(usize, [usize; 3], [usize; 2])) {
    let [planes, rows, columns] = &part.region;
    let width = columns.len().min(PLACES);
    // Blocks of several rows must be whole rows, so that their places follow each other.
    let height = if columns.len() == geometry.out[2] {
        (PLACES / width).max(1)
    } else {
        1
    };
    for picture in part.pictures.clone() {
        for plane in planes.clone() {
            for row in rows.clone().step_by(height) {
                for column in columns.clone().step_by(width) {
                    let extent = [height.min(rows.end - row), width.min(columns.end - column)];
                    body(picture, [plane, row, column], extent);
                }
            }
        }
    }
}

fn add_depthwise(geometry: &Geometry, part: &Part, view: &View, dy: &[f32], sums: &mut [f32]) {
    let taps = Window::new(geometry, view).taps;
    let channels = geometry.output;
    let [planes, rows, columns] = geometry.out;
    let places = &part.region;
    for (index, picture) in part.pictures.clone().enumerate() {
        for (plane, row) in places[0]
            .clone()
            .flat_map(|plane| places[1].clone().map(move |row| (plane, row)))
        {
            let first = ((picture * planes + plane) * rows + row) * columns + places[2].start;
            let gradients = &dy[first * channels..(first + places[2].len()) * channels];
            let start = [plane, row, places[2].start];
            let source = view.at(index, from_fn(|axis| start[axis] * geometry.stride[axis]));
            let step = geometry.stride[2] * view.pitch[2];
            depthwise::add_row(&view.values[source..], step, &taps, gradients, channels, sums);
        }
    }
}

/// The same sums with the numbers of the window cut into tasks that each go through all places. Pictures are
/// interleaved place by place, so that paths along them stay long however small they are.
fn by_numbers(geometry: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let frame = frame(geometry);
    let (channels, patch, columns) = (geometry.group_input(), geometry.patch(), geometry.group_output());
    let chunk = patch.div_ceil(TASKS).next_multiple_of(Tile::detect().rows);
    let places = geometry.batch * channels;
    let mut sums = Vec::with_capacity(patch * geometry.output);
    with_scratch(frame.framed.iter().product::<usize>() * places, |scratch| {
        for group in 0..geometry.groups {
            interleave(&frame, x, group * channels..(group + 1) * channels, scratch);
            let view = View {
                values: scratch,
                from: [0; 3],
                picture: channels,
                pitch: [
                    frame.framed[1] * frame.framed[2] * places,
                    frame.framed[2] * places,
                    places,
                ],
            };
            let gradients = interleaved_gradients(geometry, group, dy);
            let window = Window::new(geometry, &view);
            let mut levels: Vec<_> = (0..3)
                .map(|axis| (geometry.out[axis], geometry.stride[axis] * view.pitch[axis]))
                .collect();
            levels.push((geometry.batch, view.picture));
            let walk = Walk::new(&levels, 2 * PLACES);
            let part = parallel::fill(patch * columns, chunk * columns, |index, part| {
                let numbers = index * chunk..patch.min((index + 1) * chunk);
                add_walk(&window, numbers, view.values, &walk, &gradients, part);
            });
            sums.extend_from_slice(&part);
        }
    });
    sums
}

/// Frames all pictures of a batch into `target` [plane, row, column, picture, channel].
fn interleave(frame: &Frame, x: &[f32], channels: Range<usize>, target: &mut [f32]) {
    let length = frame.size.iter().product::<usize>() * frame.channels;
    let [planes, rows, columns] = frame.framed;
    let (width, row_length) = (channels.len(), target.len() / (planes * rows));
    let step = row_length / columns;
    let target = Target::new(target);
    parallel::for_each(planes * rows, |line| {
        // SAFETY: every row belongs to one task.
        let target = unsafe { target.slice(line * row_length, row_length) };
        for (picture, offset) in (0..step).step_by(width).enumerate() {
            let source = &x[picture * length..(picture + 1) * length];
            let place = [line / rows, line % rows];
            frame.copy_row(source, place, 0..columns, channels.clone(), [offset, step], target);
        }
    });
}

/// The output's gradients of a group as a right matrix [plane · row · column · picture, output].
fn interleaved_gradients(geometry: &Geometry, group: usize, dy: &[f32]) -> Panels {
    let (batch, output, columns) = (geometry.batch, geometry.output, geometry.group_output());
    let places: usize = geometry.out.iter().product();
    Panels::from_fn(places * batch, columns, |index, panel| {
        let first = index * COLUMNS;
        let width = COLUMNS.min(columns - first);
        for (depth, line) in panel.chunks_exact_mut(COLUMNS).enumerate() {
            let start = (depth % batch * places + depth / batch) * output + group * columns + first;
            line[width..].fill(0.0);
            line[..width].copy_from_slice(&dy[start..start + width]);
        }
    })
}

/// Overwrites `sums` [number, column] with the products of some numbers of the windows with all gradients.
fn add_walk(window: &Window, numbers: Range<usize>, values: &[f32], walk: &Walk, gradients: &Panels, sums: &mut [f32]) {
    let target = Target::new(sums);
    let depth = walk.path.depth();
    for (part, &start) in walk.starts.iter().enumerate() {
        let store = if part == 0 { Store::Set } else { Store::Add };
        for panels in Tile::detect().groups(0, gradients.count()) {
            let right = gradients.group(panels, part * depth, depth);
            let columns = panels.0 * COLUMNS..gradients.columns.min(panels.1 * COLUMNS);
            let output = (target, gradients.columns, columns);
            // SAFETY: `group` checked the panels; the sums belong to this task, and `Add` follows a store.
            unsafe {
                add_numbers(
                    window,
                    numbers.clone(),
                    &values[start..],
                    walk.path,
                    right,
                    output,
                    store,
                )
            };
        }
    }
}

/// Multiplies some numbers of the windows that start along `path` of `values` with panels of gradients. The output is
/// the start of the first number's row, the width of rows, and the columns of these panels.
///
/// # Safety
/// The panels of `right` must be as deep as the path, and nothing else may access those columns of the output, which
/// must be initialised if `store` is `Add`.
unsafe fn add_numbers(
    window: &Window,
    numbers: Range<usize>,
    values: &[f32],
    path: Path,
    right: Right,
    (target, width, columns): (Target, usize, Range<usize>),
    store: Store,
) {
    let values = &values[..window.reach() + path.reach() - 1];
    let tile_rows = Tile::detect().rows;
    for first in numbers.clone().step_by(tile_rows) {
        let rows = tile_rows.min(numbers.end - first);
        let number = |index: usize| first + index.min(rows - 1);
        let left = from_fn(|index| values[window.offset(number(index))..].as_ptr());
        let output =
            from_fn(|index| target.pointer((number(index) - numbers.start) * width + columns.start, columns.len()));
        // SAFETY: the slice above holds every number of the window along the whole path; the rest is promised.
        unsafe { tile(rows, columns.len(), &left, path, right, &output, store) };
    }
}
