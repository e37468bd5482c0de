//! The walk of a recurrent cell along a sequence, forward and backward through time.
//!
//! Neither the rows of a batch nor the directions meet, so a task carries a few rows through the whole sequence in one
//! direction: threads never wait for each other between steps, and each keeps its direction's weights in its cache.

use std::marker::PhantomData;
use std::ops::Range;

use burn_flex::FlexTensor;

use super::cell::Cell;
use crate::autograd::Gradient;
use crate::buffer::{booleans, contiguous, extents, floats, tensor};
use crate::columns::{add_columns, column_sums};
use crate::gemm::{add_product, multiply, set_product};
use crate::panels::{Matrix, Panels};
use crate::parallel::{self, Target, with_scratch};

/// Rows of the batch that a task carries at most: one tile of the microkernel reads the weights for all of them.
const ROWS: usize = 8;
/// Tasks below which rows are shared out further.
const TASKS: usize = 2;

/// What a layer keeps for its gradient.
#[derive(Clone, Debug)]
pub struct Saved<C> {
    walk: Walk,
    weight: FlexTensor,
    /// [batch, length, directions · gates · width], what the gates were where a step is real.
    gates: FlexTensor,
    /// [batch, length, directions, width]: the output before each step.
    before: Vec<f32>,
    /// [batch, length, directions, kept · width]: what the cell keeps; zeros where masked.
    kept: Vec<f32>,
    cell: PhantomData<fn() -> C>,
}

/// The extents of the sequences.
#[derive(Clone, Debug)]
struct Walk {
    batch: usize,
    length: usize,
    directions: usize,
    width: usize,
    /// [batch, length], true where a step is real.
    mask: Vec<bool>,
}

impl Walk {
    fn new<C: Cell>([gates, weight, bias]: [&FlexTensor; 3], mask: &FlexTensor) -> Self {
        let [batch, length, gate_widths] = extents(gates);
        let [directions, gate_width, width] = extents(weight);
        assert!(
            (1..=2).contains(&directions)
                && width > 0
                && gate_width == C::GATES * width
                && gate_widths == directions * gate_width
                && extents(bias) == [directions, gate_width]
                && extents(mask) == [batch, length],
            "a recurrent layer of {} gates with gates [{batch}, {length}, {gate_widths}] and weight [{directions}, \
             {gate_width}, {width}]: gates, weight, bias {:?} and mask {:?} must fit",
            C::GATES,
            bias.layout().shape(),
            mask.layout().shape(),
        );
        Self {
            batch,
            length,
            directions,
            width,
            mask: booleans(mask),
        }
    }

    /// The parts that the rows of the batch are cut into, as even as can be.
    fn parts(&self) -> usize {
        let wanted = self.batch.div_ceil(ROWS).max(TASKS / self.directions);
        wanted.min(self.batch)
    }

    /// The direction and the rows of each task. Tasks of one direction are neighbours, which one thread tends to take.
    fn task(&self, task: usize) -> (usize, Range<usize>) {
        let (direction, part) = (task / self.parts(), task % self.parts());
        let start = |part: usize| part * self.batch / self.parts();
        (direction, start(part)..start(part + 1))
    }

    fn time(&self, direction: usize, index: usize) -> usize {
        if direction == 0 { index } else { self.length - 1 - index }
    }

    /// The number of steps of all rows and directions.
    fn places(&self) -> usize {
        self.batch * self.length * self.directions
    }

    /// The weight of one direction, [gates · width, width].
    fn weight<'a>(&self, weight: &'a FlexTensor, direction: usize) -> Matrix<'a> {
        let values = floats(weight);
        let size = values.len() / self.directions;
        let rows = size / self.width;
        Matrix::new(&values[direction * size..(direction + 1) * size], rows, self.width)
    }

    /// The columns that belong to `direction` of a matrix [batch · length, directions · columns].
    fn columns<'a>(&self, values: &'a [f32], direction: usize, columns: usize) -> Matrix<'a> {
        let all = Matrix::strided(values, self.batch * self.length, columns, self.directions * columns);
        Matrix {
            values: &values[(direction * columns).min(values.len())..],
            ..all
        }
    }
}

/// Every output [batch, length, directions · width] of a layer. Without `tracked` nothing is kept.
pub fn forward<C: Cell>(inputs: [FlexTensor; 3], mask: &FlexTensor, tracked: bool) -> (FlexTensor, Saved<C>) {
    let [mut gates, weight, bias] = inputs.map(in_order);
    let walk = Walk::new::<C>([&gates, &weight, &bias], mask);
    let Walk { width, directions, .. } = walk;
    let panels = |direction| Panels::new(walk.weight(&weight, direction).transposed());
    let panels: Vec<Panels> = (0..directions).map(panels).collect();
    let size = walk.places() * width;
    let kept_size = if tracked { size } else { 0 };
    let mut output = Vec::with_capacity(size);
    let mut before = Vec::with_capacity(kept_size);
    let mut kept = Vec::with_capacity(C::KEPT * kept_size);
    let run = Forward {
        walk: &walk,
        gates: Target::new(floats_mut(&mut gates)),
        panels: &panels,
        bias: floats(&bias),
        output: Target::spare(&mut output, size),
        before: Target::spare(&mut before, kept_size),
        kept: Target::spare(&mut kept, C::KEPT * kept_size),
        tracked,
    };
    parallel::for_each(walk.parts() * directions, |task| run.carry::<C>(task));
    // SAFETY: the tasks cover rows and directions, and each writes its own at every time.
    unsafe {
        output.set_len(size);
        before.set_len(kept_size);
        kept.set_len(C::KEPT * kept_size);
    }
    let output = tensor(output, [walk.batch, walk.length, directions * width]);
    let cell = PhantomData;
    (
        output,
        Saved {
            walk,
            weight,
            gates,
            before,
            kept,
            cell,
        },
    )
}

/// `tensor` with its elements in row-major order without gaps, moved if they are.
fn in_order(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// The elements of a contiguous tensor, copied first only if another tensor shares them.
fn floats_mut(tensor: &mut FlexTensor) -> &mut [f32] {
    let offsets = tensor.layout().contiguous_offsets();
    let (start, end) = offsets.expect("the tensor was made contiguous");
    &mut tensor.storage_mut::<f32>()[start..end]
}

/// The forward walk's inputs, and what it writes.
struct Forward<'a> {
    walk: &'a Walk,
    /// Those of the input, overwritten by what they become.
    gates: Target<'a>,
    /// The turned weights of each direction.
    panels: &'a [Panels],
    bias: &'a [f32],
    output: Target<'a>,
    before: Target<'a>,
    kept: Target<'a>,
    tracked: bool,
}

impl Forward<'_> {
    /// Carries the rows of a task through the sequence.
    fn carry<C: Cell>(&self, task: usize) {
        let (walk, width) = (self.walk, self.walk.width);
        let (direction, rows) = walk.task(task);
        let (gate_width, memory_width, kept_width) = (C::GATES * width, C::MEMORY * width, C::KEPT * width);
        let bias = &self.bias[direction * gate_width..(direction + 1) * gate_width];
        let count = rows.len();
        with_scratch(count * (width + memory_width + gate_width) + kept_width, |scratch| {
            let (states, rest) = scratch.split_at_mut(count * width);
            let (memories, rest) = rest.split_at_mut(count * memory_width);
            let (hidden, spare) = rest.split_at_mut(count * gate_width);
            states.fill(0.0);
            memories.fill(0.0);
            for index in 0..walk.length {
                let time = walk.time(direction, index);
                set_product(Matrix::new(states, count, width), &self.panels[direction], hidden);
                for (row, state) in states.chunks_exact_mut(width).enumerate() {
                    let step = (rows.start + row) * walk.length + time;
                    let at = step * walk.directions + direction;
                    // SAFETY: every place of the sequence belongs to one task and is written before it is read.
                    let (gates, output, kept) = unsafe {
                        let kept = if self.tracked {
                            self.before.slice(at * width, width).copy_from_slice(state);
                            self.kept.slice(at * kept_width, kept_width)
                        } else {
                            &mut *spare
                        };
                        let gates = self.gates.slice(at * gate_width, gate_width);
                        (gates, self.output.slice(at * width, width), kept)
                    };
                    if walk.mask[step] {
                        let hidden = &hidden[row * gate_width..(row + 1) * gate_width];
                        let memory = &mut memories[row * memory_width..(row + 1) * memory_width];
                        C::step(gates, hidden, bias, state, memory, kept);
                    } else {
                        kept.fill(0.0);
                    }
                    output.copy_from_slice(state);
                }
            }
        });
    }
}

impl<C: Cell> Gradient<3> for Saved<C> {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let Self {
            walk,
            weight,
            mut gates,
            before,
            kept,
            ..
        } = self;
        let dy = contiguous(&dy);
        let Walk { directions, width, .. } = walk;
        let gate_width = C::GATES * width;
        let hidden_size = if C::APART { walk.places() * gate_width } else { 0 };
        let mut hidden = Vec::with_capacity(hidden_size);
        let panels = |direction| Panels::new(walk.weight(&weight, direction));
        let panels: Vec<Panels> = (0..directions).map(panels).collect();
        let run = Backward {
            walk: &walk,
            dy: floats(&dy),
            panels: &panels,
            before: &before,
            kept: &kept,
            gates: Target::new(floats_mut(&mut gates)),
            hidden: Target::spare(&mut hidden, hidden_size),
        };
        parallel::for_each(walk.parts() * directions, |task| run.carry::<C>(task));
        // SAFETY: the tasks cover rows and directions, and each writes its own at every time.
        unsafe { hidden.set_len(hidden_size) };
        let hidden = if C::APART { &hidden } else { floats(&gates) };
        let weight = |direction| {
            // One product over all steps: the gradient of the gates times the output before each step.
            let left = walk.columns(hidden, direction, gate_width).transposed();
            multiply(left, walk.columns(&before, direction, width), None)
        };
        let weight = || (0..directions).map(weight).collect::<Vec<_>>().concat();
        let weight = wanted[1].then(|| tensor(weight(), [directions, gate_width, width]));
        let bias = || column_sums(hidden, directions * gate_width);
        let bias = wanted[2].then(|| tensor(bias(), [directions, gate_width]));
        [wanted[0].then_some(gates), weight, bias]
    }
}

/// The backward walk's inputs, and what it writes.
struct Backward<'a> {
    walk: &'a Walk,
    dy: &'a [f32],
    /// The weights of each direction.
    panels: &'a [Panels],
    before: &'a [f32],
    kept: &'a [f32],
    /// What the gates were, overwritten by their gradient.
    gates: Target<'a>,
    /// The gradient of the gates of the state, if it is another one.
    hidden: Target<'a>,
}

impl Backward<'_> {
    /// Carries the gradient of a task's rows back through time.
    fn carry<C: Cell>(&self, task: usize) {
        let (walk, width) = (self.walk, self.walk.width);
        let (direction, rows) = walk.task(task);
        let (gate_width, memory_width, kept_width) = (C::GATES * width, C::MEMORY * width, C::KEPT * width);
        let count = rows.len();
        with_scratch(count * (width + memory_width + gate_width), |scratch| {
            let (d_outputs, rest) = scratch.split_at_mut(count * width);
            let (d_memories, hidden) = rest.split_at_mut(count * memory_width);
            d_outputs.fill(0.0);
            d_memories.fill(0.0);
            for index in (0..walk.length).rev() {
                let time = walk.time(direction, index);
                let lines = d_outputs
                    .chunks_exact_mut(width)
                    .zip(hidden.chunks_exact_mut(gate_width));
                for (row, (d_output, hidden)) in lines.enumerate() {
                    let step = (rows.start + row) * walk.length + time;
                    let at = step * walk.directions + direction;
                    add_columns(&self.dy[at * width..(at + 1) * width], d_output);
                    // SAFETY: every place of the sequence belongs to one task.
                    let gates = unsafe { self.gates.slice(at * gate_width, gate_width) };
                    if walk.mask[step] {
                        let before = &self.before[at * width..(at + 1) * width];
                        let kept = &self.kept[at * kept_width..(at + 1) * kept_width];
                        let d_memory = &mut d_memories[row * memory_width..(row + 1) * memory_width];
                        C::step_back(before, kept, d_output, d_memory, gates, hidden);
                    } else {
                        gates.fill(0.0);
                        hidden.fill(0.0);
                    }
                    if C::APART {
                        // SAFETY: as above, and nothing is read from it here.
                        unsafe { self.hidden.slice(at * gate_width, gate_width) }.copy_from_slice(hidden);
                    }
                }
                add_product(
                    Matrix::new(hidden, count, gate_width),
                    &self.panels[direction],
                    d_outputs,
                );
            }
        });
    }
}
