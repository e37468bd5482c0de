//! Convolutions as sweeps of a window over a framed picture, each window multiplied by packed filters: the forward
//! pass and the input's gradient. Windows are read in place, row by row; no matrix of patches is ever written.

use super::geometry::{Bands, Frame, Geometry};
use crate::microkernel::{COLUMNS, Path, Store, Tile, tile};
use crate::panels::Panels;
use crate::parallel::{self, Target, with_scratch};

/// One window moved over a framed source, writing one pixel of the target at each place.
struct Sweep {
    /// Window, as [rows, columns] of source pixels; an empty one writes zeros.
    window: [usize; 2],
    /// Framed source pixel where the first window starts, and the way to the next.
    origin: [usize; 2],
    step: [usize; 2],
    /// Target pixel of the first window, the way to the next, and how many there are.
    target: [usize; 2],
    target_step: [usize; 2],
    count: [usize; 2],
    filters: Panels,
}

/// All sweeps that fill a target from a source of the same number of pictures.
struct Plan {
    batch: usize,
    frame: Frame,
    target_size: [usize; 2],
    target_channels: usize,
    sweeps: Vec<Sweep>,
}

/// y [batch, height', width', output].
pub fn forward(geometry: &Geometry, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let &Geometry {
        batch,
        size,
        input,
        output,
        kernel,
        stride,
        padding,
        out,
    } = geometry;
    let frame = Frame {
        size,
        channels: input,
        before: padding,
        framed: [0, 1].map(|axis| (out[axis] - 1) * stride[axis] + kernel[axis]),
    };
    let filters = Panels::from_fn(geometry.patch(), output, |index, panel| {
        for (depth, line) in panel.chunks_exact_mut(COLUMNS).enumerate() {
            let (tap, channel) = (depth / input, depth % input);
            for (column, value) in line.iter_mut().enumerate() {
                let o = index * COLUMNS + column;
                let place = (o * input + channel) * kernel[0] * kernel[1] + tap;
                *value = if o < output { weight[place] } else { 0.0 };
            }
        }
    });
    let sweep = Sweep {
        window: kernel,
        origin: [0, 0],
        step: stride,
        target: [0, 0],
        target_step: [1, 1],
        count: out,
        filters,
    };
    let plan = Plan {
        batch,
        frame,
        target_size: out,
        target_channels: output,
        sweeps: vec![sweep],
    };
    plan.run(x, Some(bias))
}

/// dx [batch, height, width, input]. Pixels whose padded coordinates leave the same remainder by the stride meet the
/// same taps of the kernel, so each such class is a convolution of dy with stride 1 and a part of the kernel.
pub fn input_gradient(geometry: &Geometry, dy: &[f32], weight: &[f32]) -> Vec<f32> {
    let &Geometry {
        batch,
        size,
        input,
        output,
        stride,
        out,
        ..
    } = geometry;
    let phases = [0, 1].map(|axis| Phase::all(geometry, axis));
    let before = [0, 1].map(|axis| phases[axis].iter().map(Phase::before).max().unwrap_or(0));
    let framed = [0, 1].map(|axis| {
        let end = |phase: &Phase| phase.count + phase.first + before[axis];
        phases[axis].iter().map(end).max().unwrap_or(0).max(1)
    });
    let mut sweeps = Vec::new();
    for vertical in &phases[0] {
        for horizontal in &phases[1] {
            let pair = [vertical, horizontal];
            sweeps.push(Sweep {
                window: pair.map(|phase| phase.taps),
                origin: [0, 1].map(|axis| (pair[axis].first + before[axis] + 1).saturating_sub(pair[axis].taps)),
                step: [1, 1],
                target: pair.map(|phase| phase.pixel),
                target_step: stride,
                count: pair.map(|phase| phase.count),
                filters: phase_filters(geometry, pair, weight),
            });
        }
    }
    let frame = Frame {
        size: out,
        channels: output,
        before,
        framed,
    };
    Plan {
        batch,
        frame,
        target_size: size,
        target_channels: input,
        sweeps,
    }
    .run(dy, None)
}

/// The pixels of one axis that lie `pixel` after a multiple of the stride.
struct Phase {
    pixel: usize,
    /// How many such pixels there are.
    count: usize,
    /// The first tap that reaches them; the others follow at the stride.
    tap: usize,
    taps: usize,
    /// The place of dy that meets the first tap at the first of these pixels.
    first: usize,
}

impl Phase {
    fn all(geometry: &Geometry, axis: usize) -> Vec<Self> {
        let (size, stride) = (geometry.size[axis], geometry.stride[axis]);
        let (kernel, padding) = (geometry.kernel[axis], geometry.padding[axis]);
        (0..stride.min(size))
            .map(|pixel| Self {
                pixel,
                count: (size - pixel).div_ceil(stride),
                tap: (pixel + padding) % stride,
                taps: kernel.saturating_sub((pixel + padding) % stride).div_ceil(stride),
                first: (pixel + padding) / stride,
            })
            .collect()
    }

    /// How far its first window reaches before dy.
    fn before(&self) -> usize {
        self.taps.saturating_sub(self.first + 1)
    }
}

/// The part of the kernel that a phase meets, flipped, from output to input channels.
fn phase_filters(geometry: &Geometry, phases: [&Phase; 2], weight: &[f32]) -> Panels {
    let &Geometry {
        input,
        output,
        kernel,
        stride,
        ..
    } = geometry;
    let [vertical, horizontal] = phases;
    let depth = vertical.taps * horizontal.taps * output;
    Panels::from_fn(depth, input, |index, panel| {
        for (depth, line) in panel.chunks_exact_mut(COLUMNS).enumerate() {
            let (o, rest) = (depth % output, depth / output);
            let (column, row) = (rest % horizontal.taps, rest / horizontal.taps);
            let ky = vertical.tap + (vertical.taps - 1 - row) * stride[0];
            let kx = horizontal.tap + (horizontal.taps - 1 - column) * stride[1];
            for (column, value) in line.iter_mut().enumerate() {
                let channel = index * COLUMNS + column;
                let place = ((o * input + channel) * kernel[0] + ky) * kernel[1] + kx;
                *value = if channel < input { weight[place] } else { 0.0 };
            }
        }
    })
}

impl Plan {
    fn run(&self, source: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let rows = self.sweeps.iter().map(|sweep| sweep.count[0]).max().unwrap_or(0);
        let bands = Bands::new(self.batch, rows);
        let size = self.batch * self.target_size[0] * self.target_size[1] * self.target_channels;
        let mut output = Vec::with_capacity(size);
        let target = Target::spare(&mut output, size);
        parallel::for_each(bands.count(self.batch), |task| {
            let (picture, rows) = bands.at(task);
            self.run_band(source, picture, rows, bias, target);
        });
        // SAFETY: the sweeps cover every pixel of the target, and the bands every row of each sweep.
        unsafe { output.set_len(size) };
        output
    }

    /// Runs the half-open range `rows` of every sweep over one picture.
    fn run_band(&self, source: &[f32], picture: usize, rows: [usize; 2], bias: Option<&[f32]>, target: Target) {
        let frame = &self.frame;
        let length = frame.size[0] * frame.size[1] * frame.channels;
        let source = &source[picture * length..(picture + 1) * length];
        let needed = self.framed_rows(rows);
        let elements = (needed[1] - needed[0]) * frame.pitch();
        with_scratch(if frame.is_bare() { 0 } else { elements }, |scratch| {
            let framed = if frame.is_bare() {
                &source[needed[0] * frame.pitch()..][..elements]
            } else {
                frame.copy(source, needed, scratch);
                scratch
            };
            for sweep in &self.sweeps {
                let last = rows[1].min(sweep.count[0]);
                if rows[0] < last {
                    let band = Band {
                        framed,
                        from: needed[0],
                        picture,
                        rows: [rows[0], last],
                    };
                    self.run_sweep(sweep, &band, bias, target);
                }
            }
        });
    }

    /// The framed rows that `rows` of all sweeps read.
    fn framed_rows(&self, rows: [usize; 2]) -> [usize; 2] {
        let reach = |sweep: &Sweep| {
            let last = rows[1].min(sweep.count[0]);
            (rows[0] < last && sweep.window[0] > 0).then(|| {
                let at = |row: usize| sweep.origin[0] + row * sweep.step[0];
                [at(rows[0]), at(last - 1) + sweep.window[0]]
            })
        };
        let ranges = self.sweeps.iter().filter_map(reach);
        ranges.reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])]).unwrap_or([0, 0])
    }

    fn run_sweep(&self, sweep: &Sweep, band: &Band, bias: Option<&[f32]>, target: Target) {
        let channels = self.frame.channels;
        let path = Path {
            segments: if sweep.window[1] == 0 { 0 } else { sweep.window[0] },
            length: sweep.window[1] * channels,
            step: 1,
            stride: self.frame.pitch(),
        };
        let places = self.places(sweep, band, path.reach(), target);
        let shape = Tile::detect();
        for panels in shape.groups(0, sweep.filters.count()) {
            let lines = sweep.filters.group(panels, 0, path.depth());
            let first = panels.0 * COLUMNS;
            let columns = self.target_channels.min(panels.1 * COLUMNS) - first;
            let store = bias.map_or(Store::Set, |bias| Store::Bias(&bias[first..]));
            for places in places.chunks(shape.rows) {
                let place = |index: usize| places[index.min(places.len() - 1)];
                let left = std::array::from_fn(|index| place(index).0);
                let output = std::array::from_fn(|index| place(index).1.wrapping_add(first));
                // SAFETY: `places` checked the windows and pixels, the panel holds the depth of the path, and no
                // other place of any sweep writes these pixels.
                unsafe { tile(places.len(), columns, &left, path, lines, &output, store) };
            }
        }
    }

    /// Where the windows of a band start and the pixels they write, checked to be `reach` and all channels long.
    fn places(&self, sweep: &Sweep, band: &Band, reach: usize, target: Target) -> Vec<(*const f32, *mut f32)> {
        let mut places = Vec::with_capacity((band.rows[1] - band.rows[0]) * sweep.count[1]);
        for row in band.rows[0]..band.rows[1] {
            let y = (sweep.origin[0] + row * sweep.step[0]).saturating_sub(band.from);
            let target_row = band.picture * self.target_size[0] + sweep.target[0] + row * sweep.target_step[0];
            for column in 0..sweep.count[1] {
                let x = sweep.origin[1] + column * sweep.step[1];
                let offset = y * self.frame.pitch() + x * self.frame.channels;
                let offset = if reach == 0 { 0 } else { offset };
                let pixel = target_row * self.target_size[1] + sweep.target[1] + column * sweep.target_step[1];
                let channels = self.target_channels;
                places.push((
                    band.framed[offset..offset + reach].as_ptr(),
                    target.pointer(pixel * channels, channels),
                ));
            }
        }
        places
    }
}

/// The part of one picture that a task works on.
struct Band<'a> {
    framed: &'a [f32],
    /// The framed row that `framed` starts with.
    from: usize,
    picture: usize,
    rows: [usize; 2],
}
