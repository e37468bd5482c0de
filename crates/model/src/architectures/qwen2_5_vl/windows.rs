//! The order in which patches are computed: frame after frame, and within each window after window.

use crate::layers::Parts;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The real patches of all media as one sequence.
pub struct Windows {
    /// The place of each patch among those of all media, padding included.
    pub order: Vec<usize>,
    /// Where each of them stands: its frame, row and column.
    pub places: Vec<[usize; 3]>,
    /// The patches of each frame, and of each window.
    pub frames: Parts,
    pub windows: Parts,
    /// For each patch of all media its place in this order; that of another one for padding.
    pub back: Vec<usize>,
}

impl Windows {
    /// Of media with `length` patches each, of which those are real whose `places` are known; windows of `side` × `side` patches.
    pub fn new(places: &[Arc<Vec<[usize; 3]>>], length: usize, side: usize) -> Self {
        let (mut order, mut found, mut frames, mut windows) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (medium, places) in places.iter().enumerate() {
            let mut first = medium * length;
            for frame in places.chunk_by(|one, other| one[0] == other[0]) {
                frames.push(frame.len());
                for window in of_frame(frame, side) {
                    windows.push(window.len());
                    order.extend(window.iter().map(|place| first + place));
                    found.extend(window.iter().map(|&place| frame[place]));
                }
                first += frame.len();
            }
        }
        let mut back = vec![0; places.len() * length];
        for (place, &patch) in order.iter().enumerate() {
            back[patch] = place;
        }
        Self {
            order,
            places: found,
            frames: Parts::new(frames),
            windows: Parts::new(windows),
            back,
        }
    }
}

/// The windows of a frame, those of one size next to one another, so that they are computed together.
fn of_frame(frame: &[[usize; 3]], side: usize) -> Vec<Vec<usize>> {
    let mut windows: BTreeMap<[usize; 2], Vec<usize>> = BTreeMap::new();
    for (place, [_, row, column]) in frame.iter().enumerate() {
        windows.entry([row / side, column / side]).or_default().push(place);
    }
    let mut windows: Vec<Vec<usize>> = windows.into_values().collect();
    windows.sort_by_key(|window| Reverse(window.len()));
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn patches_lie_window_by_window_and_find_back() {
        let plane = |frame: usize, columns: usize| (0..columns).map(move |column| [frame, 0, column]);
        let first: Vec<_> = plane(0, 5).chain(plane(1, 2)).collect();
        let second: Vec<_> = plane(0, 2).collect();
        let places = [Arc::new(first), Arc::new(second)];
        let found = Windows::new(&places, 7, 2);
        assert_eq!(found.order, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let same = |found: &Parts, lengths: &[usize]| {
            assert_eq!(
                format!("{found:?}"),
                format!("{:?}", Parts::new(lengths.iter().copied()))
            );
        };
        same(&found.frames, &[5, 2, 2]);
        same(&found.windows, &[2, 2, 1, 2, 2]);
        assert_eq!(found.back[..9], [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(found.places[6], [1, 0, 1]);
    }

    #[test]
    fn windows_of_one_size_lie_together() {
        let plane = (0..3).flat_map(|row| (0..3).map(move |column| [0, row, column]));
        let places = [Arc::new(plane.collect())];
        let found = Windows::new(&places, 9, 2);
        assert_eq!(found.order, [0, 1, 3, 4, 2, 5, 6, 7, 8]);
        assert_eq!(found.back, [0, 1, 4, 2, 3, 5, 6, 7, 8]);
    }
}
