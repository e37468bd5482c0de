//! The tokens of a source in front of a text (LLaVA, Liu et al. 2023).

use super::projector::ProjectorKind;
use crate::tokens::{Places, Tokens, plain};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How a decoder reads its source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ReadsConfig {
    /// By an attention to it in each block, beside the one to the text.
    #[default]
    CrossAttention,
    /// As tokens in front of the text, which the attention to the text sees too (Liu et al. 2023).
    Prefix(PrefixConfig),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PrefixConfig {
    /// What brings tokens of the source to the width of the decoder.
    pub projector: ProjectorKind,
    /// The side of a square of neighbouring patches that are joined to one token, their numbers side by side (Shi et al. 2016).
    #[serde(skip_serializing_if = "is_one")]
    #[schemars(skip)]
    pub merge: usize,
}

impl Default for PrefixConfig {
    fn default() -> Self {
        Self {
            projector: ProjectorKind::default(),
            merge: 1,
        }
    }
}

fn is_one(side: &usize) -> bool {
    *side == 1
}

impl ReadsConfig {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The real tokens of some sources, each sequence at the end of its row.
pub(super) struct Prefix {
    /// [batch, length, width]
    pub embeddings: Tensor<3>,
    pub origins: Origins,
}

impl Prefix {
    /// The tokens of `source`, which have the width of the decoder. Places are counted from those `room` in front of a text,
    /// where there are no more: what stands before them shares the first one.
    pub fn new(source: &Tokens, room: Option<usize>) -> Self {
        let [batch, length, width] = source.embeddings.dims();
        let real = real_places(&source.mask);
        let longest = real.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let origin = |places: &Vec<usize>| {
            let first = longest - places.len();
            let beyond = room.map_or(0, |room| places.len().saturating_sub(room));
            Origin {
                first,
                zero: first + beyond,
            }
        };
        let origins = Origins {
            columns: real.iter().map(origin).collect(),
            spots: source.places.clone(),
        };
        let embeddings = match longest == length && !origins.hides() {
            true => source.embeddings.clone(),
            false => {
                let index = at_the_end(&real, [length, longest], &plain(&source.embeddings.device()));
                let rows = source.embeddings.clone().reshape([batch * length, width]);
                rows.select(0, index).reshape([batch, longest, width])
            }
        };
        Self { embeddings, origins }
    }
}

/// Where the sequences of a batch begin; none where all begin with their rows.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    columns: Vec<Origin>,
    /// The time, row and column of each token in front of a text; none where they stand in one line.
    spots: Option<Places>,
}

#[derive(Debug, Clone, Copy)]
struct Origin {
    /// The column of the first token: those in front of it are padding.
    first: usize,
    /// The column that is the place zero, and so are those in front of it.
    zero: usize,
}

impl Origins {
    /// Lets sequence i go on from what was sequence `rows[i]`.
    pub fn reorder(&mut self, rows: &[usize]) {
        if !self.columns.is_empty() {
            self.columns = rows.iter().map(|&row| self.columns[row]).collect();
        }
        if let Some(spots) = &self.spots {
            self.spots = Some(Arc::new(rows.iter().map(|&row| spots[row].clone()).collect()));
        }
    }

    /// Which of the first `length` columns are real, [batch, length]; none where all are.
    pub fn mask(&self, length: usize, device: &Device) -> Option<Tensor<2, Bool>> {
        let real = |origin: &Origin| {
            let first = origin.first;
            (0..length).map(move |column| column >= first)
        };
        self.hides().then(|| {
            let real: Vec<bool> = self.columns.iter().flat_map(real).collect();
            Tensor::from_data(TensorData::new(real, [self.columns.len(), length]), &plain(device))
        })
    }

    /// The place of each of `length` columns from the `first` on, [batch · length]; none where places are columns.
    pub fn places(&self, first: usize, length: usize, device: &Device) -> Option<Tensor<1, Int>> {
        let place = |origin: &Origin| {
            let zero = origin.zero;
            (first..first + length).map(move |column| column.saturating_sub(zero) as i64)
        };
        self.columns.iter().any(|origin| origin.zero > 0).then(|| {
            let places: Vec<i64> = self.columns.iter().flat_map(place).collect();
            Tensor::from_ints(places.as_slice(), &plain(device))
        })
    }

    /// The time, row and column of each of `length` columns from the `first` on, of every sequence; none where they are all the place
    /// in the line. The text goes on behind the last place of what stands in front of it.
    pub fn spots(&self, first: usize, length: usize) -> Option<Vec<Vec<[usize; 3]>>> {
        let spots = self.spots.as_ref()?;
        let row = |(origin, spots): (&Origin, &Arc<Vec<[usize; 3]>>)| {
            let behind = spots.iter().flatten().max().map_or(0, |last| last + 1);
            let spot = |column: usize| {
                let place = column.saturating_sub(origin.first);
                let beyond = || [behind + place - spots.len(); 3];
                spots.get(place).copied().unwrap_or_else(beyond)
            };
            (first..first + length).map(spot).collect()
        };
        Some(self.columns.iter().zip(spots.iter()).map(row).collect())
    }

    /// Whether any column is padding.
    fn hides(&self) -> bool {
        self.columns.iter().any(|origin| origin.first > 0)
    }
}

/// The places of each row's real tokens.
fn real_places(mask: &Tensor<2, Bool>) -> Vec<Vec<usize>> {
    let [_, length] = mask.dims();
    let real: Vec<bool> = mask.clone().into_data().iter::<bool>().collect();
    let places = |row: &[bool]| (0..length).filter(|&place| row[place]).collect();
    real.chunks(length.max(1)).map(places).collect()
}

/// The real tokens among all of a batch, behind so many others that each row has `longest`: what stands there is never read,
/// and is one of the row's own, so that no number in it is an odd one.
fn at_the_end(real: &[Vec<usize>], [length, longest]: [usize; 2], device: &Device) -> Tensor<1, Int> {
    let row = |(row, places): (usize, &Vec<usize>)| {
        let filling = places.first().copied().unwrap_or(0);
        let filled = std::iter::repeat_n(filling, longest - places.len()).chain(places.iter().copied());
        filled.map(|place| (row * length + place) as i64).collect::<Vec<_>>()
    };
    let index: Vec<i64> = real.iter().enumerate().flat_map(row).collect();
    Tensor::from_ints(index.as_slice(), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;
    use crate::init::Init;
    use crate::tokens::Layout;

    /// Two sequences of four tokens, of which some are real.
    fn check(real: [[bool; 4]; 2], room: Option<usize>, first: [&[usize]; 2], places: Option<[&[i64]; 2]>) {
        let device = Device::flex();
        let init = Init::new(3, &device);
        let x = init.normal("x", [2, 4, 3], 1.0).val();
        let mask = Tensor::from_data(TensorData::new(real.concat(), [2, 4]), &device);
        let prefix = Prefix::new(&Tokens::new(x.clone(), mask, Layout::Sequence), room);
        let longest = first.iter().map(|row| row.len()).max().unwrap();
        assert_eq!(prefix.embeddings.dims(), [2, longest, 3]);
        let (found, expected) = (to_vec(prefix.embeddings), to_vec(x));
        for (row, tokens) in first.iter().enumerate() {
            for (place, token) in tokens.iter().enumerate() {
                let column = longest - tokens.len() + place;
                let found = &found[(row * longest + column) * 3..][..3];
                assert_eq!(found, &expected[(row * 4 + token) * 3..][..3], "{row} {place}");
            }
        }
        let mask = prefix.origins.mask(longest + 1, &device);
        let hidden = mask.map_or(0, |mask| mask.into_data().iter::<bool>().filter(|real| !real).count());
        assert_eq!(hidden, first.iter().map(|row| longest - row.len()).sum::<usize>());
        let found = prefix.origins.places(0, longest + 1, &device);
        let found = found.map(|places| places.into_data().iter::<i64>().collect::<Vec<_>>());
        assert_eq!(found, places.map(|places| places.concat()));
    }

    #[test]
    fn real_tokens_stand_next_to_the_text() {
        let (all, some, one) = ([true; 4], [false, true, false, true], [true, false, false, false]);
        check([all, all], None, [&[0, 1, 2, 3]; 2], None);
        check([some, some], None, [&[1, 3]; 2], None);
        check(
            [all, one],
            None,
            [&[0, 1, 2, 3], &[0]],
            Some([&[0, 1, 2, 3, 4], &[0, 0, 0, 0, 1]]),
        );
        check([one, some], Some(2), [&[0], &[1, 3]], Some([&[0, 0, 1], &[0, 1, 2]]));
    }

    #[test]
    fn patches_stand_where_they_lie_and_the_text_behind_all() {
        let line = |range: std::ops::Range<usize>| range.map(|place| [place; 3]).collect::<Vec<_>>();
        let picture = vec![[0; 3], [1, 1, 1], [9, 1, 2]];
        let mut origins = Origins {
            columns: vec![Origin { first: 0, zero: 0 }, Origin { first: 2, zero: 2 }],
            spots: Some(Arc::new(vec![Arc::new(picture.clone()), Arc::new(line(0..2))])),
        };
        let found = origins.spots(0, 6).unwrap();
        assert_eq!(found[0], [picture, line(10..13)].concat());
        assert_eq!(found[1][2..], line(0..4));
        origins.reorder(&[1, 1]);
        assert_eq!(origins.spots(3, 2).unwrap(), [line(1..3), line(1..3)]);
        assert_eq!(Origins::default().spots(0, 3), None);
    }

    #[test]
    fn what_has_no_place_shares_the_first() {
        let (all, some) = ([true; 4], [false, true, true, true]);
        check(
            [all, some],
            Some(2),
            [&[0, 1, 2, 3], &[1, 2, 3]],
            Some([&[0, 0, 0, 1, 2], &[0, 0, 0, 1, 2]]),
        );
    }
}
