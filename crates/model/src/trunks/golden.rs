//! Trunks against what PyTorch's operations make of the same weights (`reference/trunks/make.py`).

use super::{Space, Trunk, TrunkConfig};
use crate::checkpoint::to_vec;
use crate::init::Init;
use crate::parameters::map_parameters;
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens};
use burn::tensor::{Bool, Device, Tensor, TensorData};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    config: TrunkConfig,
    /// The extents of the tokens' axes.
    layout: Vec<usize>,
    /// How many tokens of each sample are real.
    lengths: Vec<usize>,
    /// The real tokens of all samples.
    expected: Vec<f32>,
}

/// 0.4 · sin(0.7 · index + the sum of the name's bytes)
fn wave(name: &str, count: usize) -> Tensor<1> {
    let start: f64 = name.bytes().map(f64::from).sum();
    let value = |index: usize| (0.4 * (0.7 * index as f64 + start).sin()) as f32;
    let values: Vec<f32> = (0..count).map(value).collect();
    Tensor::from_floats(values.as_slice(), &Device::flex())
}

fn place(extents: &[usize]) -> (Space, Layout) {
    match *extents {
        [length] => (Space::Line { length }, Layout::Sequence),
        [height, width] => (Space::Plane { height, width }, Layout::Grid { height, width }),
        [time, height, width] => (
            Space::Volume { time, height, width },
            Layout::Frames { time, height, width },
        ),
        _ => panic!("tokens have one, two or three axes"),
    }
}

fn check(case: &Case) {
    let (space, layout) = place(&case.layout);
    let (batch, length) = (case.lengths.len(), case.layout.iter().product());
    let width = case.config.input_width();
    let trunk = Trunk::new(&case.config, width, space, &Init::new(1, &Device::flex())).unwrap();
    let trunk = map_parameters(trunk, |path, values| Some(wave(path, values.dims()[0])));
    let real = |&real: &usize| (0..length).map(move |place| place < real);
    let mask: Vec<bool> = case.lengths.iter().flat_map(real).collect();
    let tokens = Tokens::new(
        wave("tokens", batch * length * width).reshape([batch, length, width]),
        Tensor::<2, Bool>::from_data(TensorData::new(mask.clone(), [batch, length]), &Device::flex()),
        layout,
    );
    let found = to_vec(trunk.forward(tokens, &Pass::evaluation()).embeddings);
    let rows = found.chunks(width).zip(mask);
    let found: Vec<f32> = rows
        .filter(|(_, real)| *real)
        .flat_map(|(row, _)| row.to_vec())
        .collect();
    assert_eq!(found.len(), case.expected.len());
    for (index, (found, expected)) in found.iter().zip(&case.expected).enumerate() {
        let config = &case.config;
        assert!(
            (found - expected).abs() < 1e-4,
            "{config:?} [{index}]: {found}, not {expected}"
        );
    }
}

#[test]
fn trunks_compute_what_pytorch_does() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../../../reference/trunks/cases.json")).unwrap();
    cases.iter().for_each(check);
}
