//! What an answer relied on in a picture: how much its probability falls when a part is hidden (Zeiler and Fergus 2014).

use crate::pipeline::Pipeline;
use sensorium_data::processors::Picture;
use sensorium_data::{Batch, Feature, InputBatch, Result, Sample, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// Cells along each side of the map.
pub const CELLS: usize = 8;

/// The fall of the answer's probability for each hidden part.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// The picture as the model sees it.
    pub picture: Picture,
    /// [CELLS × CELLS], row by row; negative where hiding a part raised the probability.
    pub falls: Vec<f64>,
}

/// Hides each of 8×8 overlapping squares of the image input `input` in turn and measures the answer of `output`.
pub fn occlusion(
    pipeline: &Pipeline,
    sample: &Sample,
    root: &Path,
    input: &str,
    output: &str,
) -> Result<Option<HeatMap>> {
    let mut media = BTreeMap::new();
    for column in pipeline.inputs() {
        let value = sample.get(&column.column);
        if *value != Value::Absent {
            media.insert(column.name.as_str(), column.processor.prepare(value, root)?);
        }
    }
    let Some(Feature::Image(picture)) = media.get(input).cloned() else {
        return Ok(None);
    };
    let ordinary = ordinary_color(&picture);
    let cells = (0..CELLS * CELLS).map(|cell| Feature::Image(hide(&picture, ordinary, cell)));
    let variants: Vec<Feature> = std::iter::once(Feature::Image(picture.clone())).chain(cells).collect();
    let batch = batch(pipeline, &media, input, &variants);
    let answers = pipeline.answer_output(&batch, output);
    let Some(value) = answers[0].value.text() else {
        return Ok(None);
    };
    let probability = |row: usize| {
        let top = &answers[row].top;
        top.iter()
            .find(|one| one.value == value)
            .map_or(0.0, |one| one.probability)
    };
    let falls = (1..=CELLS * CELLS)
        .map(|row| probability(0) - probability(row))
        .collect();
    Ok(Some(HeatMap { picture, falls }))
}

/// One row for each variant of the picture; the other inputs are shared.
fn batch(pipeline: &Pipeline, media: &BTreeMap<&str, Feature>, varied: &str, variants: &[Feature]) -> Batch {
    let rows = variants.len();
    let inputs = pipeline.inputs().iter().map(|column| {
        let features: Vec<&Feature> = match column.name == varied {
            true => variants.iter().collect(),
            false => media.get(column.name.as_str()).into_iter().collect(),
        };
        let medium = |row: usize| match features.len() {
            0 => None,
            1 => Some(0),
            _ => Some(row),
        };
        let collated = (!features.is_empty()).then(|| column.processor.collate(&features));
        let medium_of_row = (0..rows).map(medium).collect();
        (
            column.name.clone(),
            InputBatch {
                media: collated,
                medium_of_row,
            },
        )
    });
    Batch {
        rows: (0..rows).collect(),
        inputs: inputs.collect(),
        targets: BTreeMap::new(),
        mixed: None,
    }
}

/// The picture with one cell and half of each neighbour painted over in its most ordinary colour: a strange colour
/// would itself be something to see.
fn hide(picture: &Picture, ordinary: [u8; 3], cell: usize) -> Picture {
    let covered = |index: usize, length: usize| {
        let start = (2 * index).saturating_sub(1) * length / (2 * CELLS);
        start..((2 * index + 3) * length).div_ceil(2 * CELLS).min(length)
    };
    let mut hidden = picture.clone();
    for y in covered(cell / CELLS, picture.height) {
        for x in covered(cell % CELLS, picture.width) {
            let place = (y * picture.width + x) * 3;
            hidden.pixels[place..place + 3].copy_from_slice(&ordinary);
        }
    }
    hidden
}

/// The median of each channel.
fn ordinary_color(picture: &Picture) -> [u8; 3] {
    [0, 1, 2].map(|channel| {
        let mut values: Vec<u8> = picture.pixels.iter().skip(channel).step_by(3).copied().collect();
        values.sort_unstable();
        values[values.len() / 2]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_painted_in_the_ordinary_color() {
        let mut picture = Picture {
            height: 16,
            width: 16,
            pixels: [9, 8, 7].repeat(256),
        };
        picture.pixels[..3].copy_from_slice(&[200, 0, 0]);
        assert_eq!(ordinary_color(&picture), [9, 8, 7]);
        assert_eq!(hide(&picture, [9, 8, 7], 0).pixels, [9, 8, 7].repeat(256));
        let far = hide(&picture, [1, 1, 1], CELLS * CELLS - 1);
        let changed = far
            .pixels
            .chunks(3)
            .zip(picture.pixels.chunks(3))
            .filter(|(a, b)| a != b);
        // The last cell is two pixels wide and reaches one pixel into each neighbour.
        assert_eq!(changed.count(), 9);
    }
}
