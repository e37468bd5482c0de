//! Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019): the pictures of a training batch are blended with each other's,
//! and so are, later, the losses of their targets.

use crate::dataset::{Batch, Draw, InputBatch};
use crate::processors::Collated;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

/// How pictures are blended. The share of a row's own picture is drawn from Beta(α, α), once for each batch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Mixing {
    /// The α of blending all pixels.
    pub mixup: Option<f64>,
    /// The α of pasting a rectangle of the other picture. With both, every batch draws one of them.
    pub cutmix: Option<f64>,
}

/// What was blended into the rows of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixed {
    /// For each row the place in the batch of the row that its picture was blended with: a permutation.
    pub partners: Vec<usize>,
    /// The share of a row's own picture, and so of the loss of its own targets.
    pub weight: f32,
}

/// Blends the pictures of `batch`, keyed by its first row. Rows without a picture stay as they are.
pub(crate) fn mix(batch: &mut Batch, draw: &Draw) {
    let (Some(mixing), [first, _, ..]) = (draw.mixing, &batch.rows[..]) else {
        return;
    };
    let mut generator = draw.key.with("mixing").at(*first as u64).generator();
    let Some((alpha, pastes)) = choose(mixing, &mut generator) else {
        return;
    };
    for input in batch.inputs.values_mut() {
        let Some(Collated::Image { shape, pixels }) = &input.media else {
            continue;
        };
        let [_, height, width, _] = *shape;
        let share = beta(alpha, &mut generator);
        let partners = partners(&input.medium_of_row, &mut generator);
        let (region, weight) = match pastes {
            true => rectangle(height, width, share, &mut generator),
            false => (None, share as f32),
        };
        let (media, medium_of_row) = blend(*shape, pixels, &input.medium_of_row, &partners, weight, region);
        *input = InputBatch { media, medium_of_row };
        batch.mixed = Some(Mixed { partners, weight });
    }
}

/// The α of the method for this batch, and whether it pastes.
fn choose(mixing: Mixing, generator: &mut impl Rng) -> Option<(f64, bool)> {
    match (mixing.mixup, mixing.cutmix) {
        (Some(mixup), Some(cutmix)) => Some(match generator.random_bool(0.5) {
            true => (cutmix, true),
            false => (mixup, false),
        }),
        (Some(mixup), None) => Some((mixup, false)),
        (None, cutmix) => cutmix.map(|alpha| (alpha, true)),
    }
}

/// A permutation of the rows that have a picture; the others are their own partners.
fn partners(medium_of_row: &[Option<usize>], generator: &mut impl Rng) -> Vec<usize> {
    let present: Vec<usize> = (0..medium_of_row.len())
        .filter(|&row| medium_of_row[row].is_some())
        .collect();
    let mut order = present.clone();
    order.shuffle(generator);
    let mut partners: Vec<usize> = (0..medium_of_row.len()).collect();
    for (row, partner) in present.into_iter().zip(order) {
        partners[row] = partner;
    }
    partners
}

/// Rows and columns of a picture.
type Rectangle = [std::ops::Range<usize>; 2];

/// A rectangle of the area that is not the row's own, around any point and cut at the border, and the share that really
/// remains.
fn rectangle(height: usize, width: usize, share: f64, generator: &mut impl Rng) -> (Option<Rectangle>, f32) {
    let side = (1.0 - share).sqrt();
    let mut range = |length: usize| {
        let half = (length as f64 * side) as usize / 2;
        let centre = generator.random_range(0..length);
        centre.saturating_sub(half)..(centre + half).min(length)
    };
    let region = [range(height), range(width)];
    let pasted = region[0].len() * region[1].len();
    (Some(region), 1.0 - pasted as f32 / (height * width) as f32)
}

/// One medium for each row that has one: inside of `region`, or everywhere, the partner's picture takes part.
fn blend(
    [_, height, width, channels]: [usize; 4],
    pixels: &[f32],
    medium_of_row: &[Option<usize>],
    partners: &[usize],
    weight: f32,
    region: Option<Rectangle>,
) -> (Option<Collated>, Vec<Option<usize>>) {
    let length = height * width * channels;
    let medium = |place: usize| &pixels[place * length..(place + 1) * length];
    let mut blended = Vec::with_capacity(medium_of_row.len() * length);
    let mut places = Vec::with_capacity(medium_of_row.len());
    for (own, &partner) in medium_of_row.iter().zip(partners) {
        let pair = own.zip(medium_of_row[partner]);
        places.push(pair.map(|_| blended.len() / length));
        let Some((own, other)) = pair.map(|(own, other)| (medium(own), medium(other))) else {
            continue;
        };
        let start = blended.len();
        match &region {
            None => blended.extend(own.iter().zip(other).map(|(a, b)| weight * a + (1.0 - weight) * b)),
            Some([rows, columns]) => {
                blended.extend_from_slice(own);
                for row in rows.clone() {
                    let line = (row * width + columns.start) * channels..(row * width + columns.end) * channels;
                    blended[start + line.start..start + line.end].copy_from_slice(&other[line]);
                }
            }
        }
    }
    let count = blended.len() / length;
    let media = Collated::Image {
        shape: [count, height, width, channels],
        pixels: blended,
    };
    ((count > 0).then_some(media), places)
}

/// A draw from Beta(α, α), as the share of one of two draws from Gamma(α).
fn beta(alpha: f64, generator: &mut impl Rng) -> f64 {
    let (a, b) = (gamma(alpha, generator), gamma(alpha, generator));
    match a + b > 0.0 {
        true => a / (a + b),
        // Both were too small to be told from zero: with so small an α the share is 0 or 1.
        false => f64::from(u8::from(generator.random_bool(0.5))),
    }
}

/// A draw from Gamma(α) with scale 1 (Marsaglia and Tsang 2000).
fn gamma(alpha: f64, generator: &mut impl Rng) -> f64 {
    if alpha < 1.0 {
        let power: f64 = 1.0 - generator.random::<f64>();
        return gamma(alpha + 1.0, generator) * power.powf(1.0 / alpha);
    }
    let d = alpha - 1.0 / 3.0;
    loop {
        let normal = normal(generator);
        let v = (1.0 + normal / (9.0 * d).sqrt()).powi(3);
        let uniform: f64 = 1.0 - generator.random::<f64>();
        if v > 0.0 && uniform.ln() < 0.5 * normal * normal + d * (1.0 - v + v.ln()) {
            return d * v;
        }
    }
}

/// A draw from the normal distribution (Box and Muller 1958).
fn normal(generator: &mut impl Rng) -> f64 {
    let (radius, angle): (f64, f64) = (1.0 - generator.random::<f64>(), generator.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;
    use std::collections::BTreeMap;

    const SIDE: usize = 8;

    /// A batch of one-coloured pictures, row n having the value n, or none.
    fn batch(rows: &[bool]) -> Batch {
        let present: Vec<usize> = (0..rows.len()).filter(|&row| rows[row]).collect();
        let pixels = present.iter().flat_map(|&row| vec![row as f32; SIDE * SIDE * 3]);
        let input = InputBatch {
            media: Some(Collated::Image {
                shape: [present.len(), SIDE, SIDE, 3],
                pixels: pixels.collect(),
            }),
            medium_of_row: (0..rows.len()).map(|row| present.binary_search(&row).ok()).collect(),
        };
        Batch {
            rows: (100..100 + rows.len()).collect(),
            inputs: BTreeMap::from([("image".to_string(), input)]),
            targets: BTreeMap::new(),
            mixed: None,
        }
    }

    fn mixed(mixing: Mixing, rows: &[bool], epoch: u64) -> Batch {
        let mut batch = batch(rows);
        let draw = Draw {
            key: Key::new(1).at(epoch),
            modality_dropout: 0.0,
            mixing: Some(mixing),
        };
        mix(&mut batch, &draw);
        batch
    }

    const MIXUP: Mixing = Mixing {
        mixup: Some(0.4),
        cutmix: None,
    };
    const CUTMIX: Mixing = Mixing {
        mixup: None,
        cutmix: Some(1.0),
    };

    /// Every picture has the share of its own and its partner's value that the weight says.
    fn check(batch: &Batch, rows: &[bool]) {
        let found = batch.mixed.as_ref().unwrap();
        let mut sorted = found.partners.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..rows.len()).collect::<Vec<_>>());
        let input = &batch.inputs["image"];
        let Some(Collated::Image { pixels, shape }) = &input.media else {
            panic!("no pictures")
        };
        assert_eq!(shape[0], rows.iter().filter(|&&row| row).count());
        for (row, medium) in input.medium_of_row.iter().enumerate() {
            assert_eq!(medium.is_some(), rows[row]);
            let Some(medium) = medium else { continue };
            let values = &pixels[medium * SIDE * SIDE * 3..][..SIDE * SIDE * 3];
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            let expected = found.weight * row as f32 + (1.0 - found.weight) * found.partners[row] as f32;
            assert!((mean - expected).abs() < 1e-4, "row {row}: {mean}, not {expected}");
        }
    }

    #[test]
    fn pictures_are_blended_by_the_weight_of_the_losses() {
        for mixing in [MIXUP, CUTMIX] {
            for epoch in 0..50 {
                for rows in [&[true; 6][..], &[true, false, true, true], &[true, true]] {
                    check(&mixed(mixing, rows, epoch), rows);
                }
            }
        }
    }

    #[test]
    fn a_rectangle_is_pasted_whole() {
        let batch = mixed(CUTMIX, &[true; 2], 3);
        let found = batch.mixed.unwrap();
        assert!(
            found.partners == [1, 0] && found.weight > 0.0 && found.weight < 1.0,
            "{found:?}"
        );
        let Some(Collated::Image { pixels, .. }) = &batch.inputs["image"].media else {
            panic!("no pictures")
        };
        let pasted: Vec<usize> = (0..SIDE * SIDE).filter(|&at| pixels[3 * at] == 1.0).collect();
        let (top, left) = (pasted[0] / SIDE, pasted[0] % SIDE);
        let (bottom, right) = (pasted[pasted.len() - 1] / SIDE, pasted[pasted.len() - 1] % SIDE);
        assert_eq!(pasted.len(), (bottom - top + 1) * (right - left + 1));
        assert!(pixels.iter().all(|&value| value == 0.0 || value == 1.0) || pixels.len() == 2 * SIDE * SIDE * 3);
    }

    #[test]
    fn the_key_decides_and_both_methods_are_drawn() {
        let both = Mixing {
            mixup: Some(1.0),
            cutmix: Some(1.0),
        };
        let run = |epoch| mixed(both, &[true; 5], epoch);
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let blends = |batch: &Batch| match &batch.inputs["image"].media {
            Some(Collated::Image { pixels, .. }) => pixels.iter().any(|value| value.fract() != 0.0),
            _ => panic!("no pictures"),
        };
        let mixups = (0..200).filter(|&epoch| blends(&run(epoch))).count();
        assert!((70..=130).contains(&mixups), "{mixups} of 200");
    }

    #[test]
    fn one_row_and_no_picture_are_left_alone() {
        assert!(mixed(MIXUP, &[true], 1).mixed.is_none());
        assert!(mixed(Mixing::default(), &[true; 4], 1).mixed.is_none());
        let none = mixed(MIXUP, &[false, false], 1);
        assert_eq!(none.inputs["image"].medium_of_row, [None, None]);
    }

    #[test]
    fn shares_have_the_moments_of_their_distribution() {
        for alpha in [0.2, 1.0, 4.0] {
            let mut generator = Key::new(5).generator();
            let draws: Vec<f64> = (0..20_000).map(|_| beta(alpha, &mut generator)).collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            assert!(draws.iter().all(|it| (0.0..=1.0).contains(it)));
            assert!((mean - 0.5).abs() < 0.01, "α = {alpha}: mean {mean}");
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!(
                (variance / expected - 1.0).abs() < 0.05,
                "α = {alpha}: variance {variance}, not {expected}"
            );
        }
        assert!((0..100).all(|seed| beta(1e-4, &mut Key::new(seed).generator()).is_finite()));
    }
}
