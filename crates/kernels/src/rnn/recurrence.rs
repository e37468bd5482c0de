//! The walk of a recurrent cell along a sequence, forward and backward through time.
//!
//! Rows of a batch do not meet, so a task carries a few of them through the whole sequence and threads never wait for
//! each other between steps.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn_flex::FlexTensor;

use crate::autograd::Gradient;
use crate::buffer::{booleans, contiguous, extents, floats, tensor};
use crate::columns::column_sums;
use crate::gemm::{add_product, multiply};
use crate::microkernel::ROWS;
use crate::panels::{Matrix, Panels};
use crate::parallel::{self, Target, with_scratch};

/// One step of a recurrent layer. Slices hold whole parts of `width` numbers; the first part of a state is the
/// output, and is what the recurrent weights act on.
pub trait Cell: Clone + Debug + Send + Sync + 'static {
    /// Parts of the gates.
    const GATES: usize;
    /// Parts of the state.
    const STATES: usize;
    /// Parts that a step keeps for its gradient.
    const KEPT: usize;

    /// Advances `state` by one step, given the gates of the input and of the state.
    fn step(gates: &[f32], hidden: &[f32], state: &mut [f32], kept: &mut [f32]);

    /// Turns `gradient` of the state after a step into that of the state before, apart from what flows through
    /// `hidden`; writes the gradients of `gates` and `hidden`.
    fn step_back(kept: &[f32], gradient: &mut [f32], gates: &mut [f32], hidden: &mut [f32]);
}

/// What a layer keeps for its gradient.
#[derive(Clone, Debug)]
pub struct Saved<C> {
    walk: Walk,
    weight: FlexTensor,
    /// [batch, length, 1 + kept, width]: the output before each step, then what the cell keeps; zeros where masked.
    kept: Vec<f32>,
    cell: PhantomData<fn() -> C>,
}

/// The extents and the direction of a sequence.
#[derive(Clone, Debug)]
struct Walk {
    batch: usize,
    length: usize,
    width: usize,
    mask: Vec<bool>,
    reverse: bool,
}

impl Walk {
    fn time(&self, index: usize) -> usize {
        if self.reverse { self.length - 1 - index } else { index }
    }

    /// The number of tasks, and the rows of the batch that a task carries.
    fn tasks(&self) -> usize {
        self.batch.div_ceil(ROWS)
    }

    fn rows(&self, task: usize) -> std::ops::Range<usize> {
        task * ROWS..self.batch.min((task + 1) * ROWS)
    }
}

/// Every output [batch, length, width] of a layer. Without `tracked` nothing is kept.
pub fn forward<C: Cell>(
    [gates, weight, bias]: [FlexTensor; 3],
    mask: &FlexTensor,
    reverse: bool,
    tracked: bool,
) -> (FlexTensor, Saved<C>) {
    let (gates, weight, bias) = (contiguous(&gates), contiguous(&weight), contiguous(&bias));
    let [batch, length, gate_width] = extents(&gates);
    let width = gate_width / C::GATES;
    assert_eq!(
        (extents(&weight), extents(&bias), extents(mask)),
        ([gate_width, width], [gate_width], [batch, length]),
        "a recurrent layer with gates [{batch}, {length}, {gate_width}]: weight, bias and mask must fit"
    );
    let walk = Walk {
        batch,
        length,
        width,
        mask: booleans(mask),
        reverse,
    };
    let right = Panels::new(Matrix::new(floats(&weight), gate_width, width).transposed());
    let kept_width = (1 + C::KEPT) * width;
    let mut output = Vec::with_capacity(batch * length * width);
    let output_target = Target::spare(&mut output, batch * length * width);
    let kept_size = if tracked { batch * length * kept_width } else { 0 };
    let mut kept = Vec::with_capacity(kept_size);
    let kept_target = Target::spare(&mut kept, kept_size);
    parallel::for_each(walk.tasks(), |task| {
        with_scratch(kept_width, |spare| {
            walk_rows::<C>(&walk, task, floats(&gates), &right, floats(&bias), |at, state, step| {
                // SAFETY: every place of the sequence belongs to one task and is written before it is read.
                let (output, kept) = unsafe {
                    let kept = if tracked {
                        kept_target.slice(at * kept_width, kept_width)
                    } else {
                        &mut *spare
                    };
                    (output_target.slice(at * width, width), kept)
                };
                match step {
                    Some((gates, hidden)) => {
                        let (before, kept) = kept.split_at_mut(width);
                        before.copy_from_slice(&state[..width]);
                        C::step(gates, hidden, state, kept);
                    }
                    None => kept.fill(0.0),
                }
                output.copy_from_slice(&state[..width]);
            });
        });
    });
    // SAFETY: the tasks cover the batch, and each writes its rows at every time.
    unsafe {
        output.set_len(batch * length * width);
        kept.set_len(kept_size);
    }
    let output = tensor(output, [batch, length, width]);
    (
        output,
        Saved {
            walk,
            weight,
            kept,
            cell: PhantomData,
        },
    )
}

/// Carries the rows of a task through the sequence: calls `visit(place, state, gates)` for each row at each time,
/// where `gates` are those of the input and of the state, or none at a masked step.
fn walk_rows<C: Cell>(
    walk: &Walk,
    task: usize,
    gates: &[f32],
    right: &Panels,
    bias: &[f32],
    mut visit: impl FnMut(usize, &mut [f32], Option<(&[f32], &[f32])>),
) {
    let (rows, width) = (walk.rows(task), walk.width);
    let (state_width, gate_width) = (C::STATES * width, C::GATES * width);
    with_scratch(rows.len() * (state_width + gate_width), |scratch| {
        let (states, hidden) = scratch.split_at_mut(rows.len() * state_width);
        states.fill(0.0);
        for index in 0..walk.length {
            let time = walk.time(index);
            hidden
                .chunks_exact_mut(gate_width)
                .for_each(|row| row.copy_from_slice(bias));
            add_product(Matrix::strided(states, rows.len(), width, state_width), right, hidden);
            let lines = states
                .chunks_exact_mut(state_width)
                .zip(hidden.chunks_exact(gate_width));
            for (row, (state, hidden)) in rows.clone().zip(lines) {
                let at = row * walk.length + time;
                let gates = &gates[at * gate_width..(at + 1) * gate_width];
                visit(at, state, walk.mask[at].then_some((gates, hidden)));
            }
        }
    });
}

impl<C: Cell> Gradient<3> for Saved<C> {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let dy = contiguous(&dy);
        let Walk {
            batch, length, width, ..
        } = self.walk;
        let (places, gate_width) = (batch * length, C::GATES * width);
        let mut gates = Vec::with_capacity(places * gate_width);
        let mut hidden = Vec::with_capacity(places * gate_width);
        let targets = [
            Target::spare(&mut gates, places * gate_width),
            Target::spare(&mut hidden, places * gate_width),
        ];
        let right = Panels::new(Matrix::new(floats(&self.weight), gate_width, width));
        parallel::for_each(self.walk.tasks(), |task| {
            self.walk_back(task, floats(&dy), &right, targets);
        });
        // SAFETY: the tasks cover the batch, and each writes its rows at every time.
        unsafe {
            gates.set_len(places * gate_width);
            hidden.set_len(places * gate_width);
        }
        let weight = wanted[1].then(|| {
            // One product over all steps: the gradient of the gates times the output before each step.
            let left = Matrix::new(&hidden, places, gate_width).transposed();
            let before = Matrix::strided(&self.kept, places, width, (1 + C::KEPT) * width);
            tensor(multiply(left, before, None), [gate_width, width])
        });
        [
            wanted[0].then(|| tensor(gates, [batch, length, gate_width])),
            weight,
            wanted[2].then(|| tensor(column_sums(&hidden, gate_width), [gate_width])),
        ]
    }
}

impl<C: Cell> Saved<C> {
    /// Walks the rows of a task back through time, and writes the gradients of the gates of input and state.
    fn walk_back(&self, task: usize, dy: &[f32], right: &Panels, targets: [Target; 2]) {
        let (walk, width) = (&self.walk, self.walk.width);
        let rows = walk.rows(task);
        let (state_width, gate_width) = (C::STATES * width, C::GATES * width);
        let kept_width = (1 + C::KEPT) * width;
        with_scratch(rows.len() * (state_width + gate_width + width), |scratch| {
            let (gradients, rest) = scratch.split_at_mut(rows.len() * state_width);
            let (hidden_rows, flow) = rest.split_at_mut(rows.len() * gate_width);
            gradients.fill(0.0);
            for index in (0..walk.length).rev() {
                let time = walk.time(index);
                for (position, row) in rows.clone().enumerate() {
                    let at = row * walk.length + time;
                    let gradient = &mut gradients[position * state_width..][..state_width];
                    for (sum, value) in gradient.iter_mut().zip(&dy[at * width..(at + 1) * width]) {
                        *sum += value;
                    }
                    // SAFETY: every place of the sequence belongs to one task and is written before it is read.
                    let [gates, hidden] = targets.map(|target| unsafe { target.slice(at * gate_width, gate_width) });
                    if walk.mask[at] {
                        let kept = &self.kept[at * kept_width..(at + 1) * kept_width];
                        C::step_back(kept, gradient, gates, hidden);
                    } else {
                        gates.fill(0.0);
                        hidden.fill(0.0);
                    }
                    hidden_rows[position * gate_width..][..gate_width].copy_from_slice(hidden);
                }
                flow.fill(0.0);
                add_product(Matrix::new(hidden_rows, rows.len(), gate_width), right, flow);
                let lines = gradients.chunks_exact_mut(state_width);
                for (gradient, flow) in lines.zip(flow.chunks_exact(width)) {
                    for (sum, value) in gradient.iter_mut().zip(flow) {
                        *sum += value;
                    }
                }
            }
        });
    }
}
