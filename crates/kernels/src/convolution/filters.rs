//! Filters in the order in which windows are read.

use super::geometry::Geometry;
use crate::microkernel::COLUMNS;
use crate::panels::Panels;
use crate::parallel;

/// Filters for windows that are read tap by tap, and channel by channel within a tap.
#[derive(Clone, Debug)]
pub enum Filters {
    /// The right matrix [tap · channel, output] of each group.
    Panels(Vec<Panels>),
    /// One number for each tap and channel, [tap, channel].
    Depthwise(Vec<f32>),
}

impl Filters {
    /// From windows of the input to outputs. `taps` are places in the kernel, in the order of the window.
    pub fn forward(geometry: &Geometry, weight: &[f32], taps: &[usize]) -> Self {
        Self::new(geometry, weight, taps, false)
    }

    /// From windows of the output's gradient to input channels, or to the copies of them that the outputs of a
    /// depthwise filter have.
    pub fn backward(geometry: &Geometry, weight: &[f32], taps: &[usize]) -> Self {
        Self::new(geometry, weight, taps, true)
    }

    fn new(geometry: &Geometry, weight: &[f32], taps: &[usize], backward: bool) -> Self {
        let (all, output) = (geometry.taps(), geometry.output);
        if geometry.is_depthwise() {
            let number = |index: usize| weight[index % output * all + taps[index / output]];
            return Self::Depthwise((0..taps.len() * output).map(number).collect());
        }
        let (group_input, group_output) = (geometry.group_input(), geometry.group_output());
        let patch = geometry.patch();
        let size = group_output * patch;
        let group = |group: usize| {
            let weight = &weight[group * size..(group + 1) * size];
            if backward {
                pack(weight, taps, [group_output, patch], [group_input, all])
            } else {
                pack(weight, taps, [group_input, all], [group_output, patch])
            }
        };
        Self::Panels((0..geometry.groups).map(group).collect())
    }
}

/// Packs the matrix [tap · channel, column]; channels and columns are a count and a stride in `weight`.
fn pack(weight: &[f32], taps: &[usize], channels: [usize; 2], columns: [usize; 2]) -> Panels {
    Panels::from_fn(taps.len() * channels[0], columns[0], |index, panel| {
        let first = index * COLUMNS;
        let width = COLUMNS.min(columns[0] - first);
        for channel in 0..channels[0] {
            for (position, tap) in taps.iter().enumerate() {
                let start = first * columns[1] + channel * channels[1] + tap;
                let line = &mut panel[(position * channels[0] + channel) * COLUMNS..][..COLUMNS];
                let numbers = weight[start..].iter().step_by(columns[1]);
                line[width..].fill(0.0);
                line[..width]
                    .iter_mut()
                    .zip(numbers)
                    .for_each(|(value, number)| *value = *number);
            }
        }
    })
}

/// A weight's gradient from [group, tap · channel, output of the group], or [tap, output] of depthwise filters, to
/// PyTorch's order [output, channel, tap].
pub fn unpack(geometry: &Geometry, sums: &[f32]) -> Vec<f32> {
    let (taps, channels, patch) = (geometry.taps(), geometry.group_input(), geometry.patch());
    let outputs = if geometry.is_depthwise() {
        geometry.output
    } else {
        geometry.group_output()
    };
    // Filters side by side read the same cache lines.
    let together = if outputs.is_multiple_of(COLUMNS) { COLUMNS } else { 1 };
    parallel::fill(sums.len(), together * patch, |index, filters| {
        let first = index * together;
        let sums = &sums[first / outputs * outputs * patch + first % outputs..];
        for channel in 0..channels {
            for tap in 0..taps {
                let line = &sums[(tap * channels + channel) * outputs..][..together];
                let targets = filters[channel * taps + tap..].iter_mut().step_by(patch);
                line.iter().zip(targets).for_each(|(value, target)| *target = *value);
            }
        }
    })
}
