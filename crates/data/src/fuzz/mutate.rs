//! Mutations of a file that know of its parts.

use super::decoders::Decoder;
use super::parts::{Part, parts};
use crate::random::Key;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// An input grows no further than this, in bytes.
const LARGEST: usize = 1 << 17;
/// Numbers at which programs err; the highest ones are the largest of each width.
const EXTREMES: [u64; 14] = [
    0,
    1,
    2,
    3,
    7,
    0x7f,
    0x80,
    0x7fff,
    0x8000,
    0x7fff_ffff,
    0x8000_0000,
    u64::MAX >> 1,
    u64::MAX - 1,
    u64::MAX,
];

/// The input that `key` stands for: a seed of the decoder, changed in a few places.
pub fn input(decoder: &Decoder, key: &Key) -> Vec<u8> {
    let mut random = key.generator();
    let seed = random.random_range(0..decoder.seeds.len());
    let mut change = Change {
        decoder,
        bytes: decoder.seeds[seed].clone(),
        parts: Vec::new(),
        // Half of all changes are followed by the lengths around them, so that they are found inside.
        lengths_follow: random.random(),
        random,
    };
    let count = 1 + change.random.random_range(0..6usize).saturating_sub(2);
    for _ in 0..count {
        change.parts = parts(decoder.grammar, &change.bytes);
        change.once();
    }
    let Change {
        mut bytes, mut random, ..
    } = change;
    if random.random_bool(0.8) {
        (decoder.seal)(&mut bytes);
    }
    bytes
}

struct Change<'a> {
    decoder: &'a Decoder,
    bytes: Vec<u8>,
    parts: Vec<Part>,
    lengths_follow: bool,
    random: ChaCha8Rng,
}

impl Change<'_> {
    fn once(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        match self.random.random_range(0..24) {
            0..4 => self.set(|byte, random| byte ^ (1 << random.random_range(0..8))),
            4..7 => self.set(|_, random| random.random()),
            7..13 => self.number(),
            13 => self.run(|random| random.random_bool(0.7).then_some(0)),
            14 => self.run(|random| Some(random.random())),
            15 => self.remove(),
            16 => self.insert(),
            17 => self.copy(),
            18 => self.splice(),
            19 => self.repeat_part(),
            20 => self.swap_parts(),
            21 => self.remove_part(),
            22 => self.borrow_part(),
            _ => self.cut(),
        }
    }

    /// A place: often near the start of the file or of a part, sometimes near the end.
    fn place(&mut self) -> usize {
        let length = self.bytes.len();
        let near = |random: &mut ChaCha8Rng, most: usize| random.random_range(0..most.min(length));
        match self.random.random_range(0..8) {
            0 | 1 => near(&mut self.random, 64),
            2 => length - 1 - near(&mut self.random, 64),
            3..6 if !self.parts.is_empty() => {
                let part = self.part().start;
                (part + near(&mut self.random, 32)).min(length - 1)
            }
            _ => near(&mut self.random, length),
        }
    }

    fn part(&mut self) -> Part {
        self.parts[self.random.random_range(0..self.parts.len())].clone()
    }

    /// A range of up to some dozens of bytes.
    fn range(&mut self) -> Range<usize> {
        let start = self.place();
        start..self.bytes.len().min(start + self.random.random_range(1..48))
    }

    fn set(&mut self, change: fn(u8, &mut ChaCha8Rng) -> u8) {
        let place = self.place();
        self.bytes[place] = change(self.bytes[place], &mut self.random);
    }

    /// A number of one to eight bytes in either order becomes an extreme or a neighbouring one.
    fn number(&mut self) {
        let width = 1 << self.random.random_range(0..4);
        let mut start = self.place();
        if self.random.random() {
            start -= start % width;
        }
        let highest_first: bool = self.random.random();
        let Some(field) = self.bytes.get_mut(start..start + width) else {
            return;
        };
        let value = match self.random.random_range(0..4) {
            0 => {
                let by = self.random.random_range(-9..=9i64);
                read(field, highest_first).wrapping_add_signed(by)
            }
            1 => self.random.random_range(0..300),
            _ => EXTREMES[self.random.random_range(0..EXTREMES.len())],
        };
        write(field, value, highest_first);
    }

    fn run(&mut self, fill: fn(&mut ChaCha8Rng) -> Option<u8>) {
        let range = self.range();
        let value = fill(&mut self.random);
        match value {
            Some(value) => self.bytes[range].fill(value),
            None => self.random.fill_bytes(&mut self.bytes[range]),
        }
    }

    fn remove(&mut self) {
        let range = self.range();
        self.replace(range, &[]);
    }

    fn insert(&mut self) {
        let mut inserted = vec![0; self.random.random_range(1..24)];
        self.random.fill_bytes(&mut inserted);
        let at = self.place();
        self.replace(at..at, &inserted);
    }

    /// Bytes of one place are written over those of another.
    fn copy(&mut self) {
        let (from, to) = (self.range(), self.place());
        let count = from.len().min(self.bytes.len() - to);
        self.bytes.copy_within(from.start..from.start + count, to);
    }

    /// Bytes of another seed are written over these.
    fn splice(&mut self) {
        let other = self.other();
        let (to, from) = (self.range(), self.random.random_range(0..other.len()));
        let count = to.len().min(other.len() - from);
        self.bytes[to.start..to.start + count].copy_from_slice(&other[from..from + count]);
    }

    fn other(&mut self) -> Vec<u8> {
        self.decoder.seeds[self.random.random_range(0..self.decoder.seeds.len())].clone()
    }

    fn repeat_part(&mut self) {
        if self.parts.is_empty() {
            return;
        }
        let part = self.part();
        let content = self.bytes[part.start..part.end].to_vec();
        let fitting = (LARGEST.saturating_sub(self.bytes.len()) / content.len()).min(40);
        let times = 1 + self.random.random_range(0..=fitting) * usize::from(self.random.random_bool(0.3));
        if fitting > 0 {
            self.replace(part.end..part.end, &content.repeat(times.min(fitting)));
        }
    }

    fn swap_parts(&mut self) {
        if self.parts.is_empty() {
            return;
        }
        let (first, second) = (self.part(), self.part());
        let (first, second) = if first.start < second.start {
            (first, second)
        } else {
            (second, first)
        };
        // Parts in each other cannot be swapped.
        if first.end <= second.start {
            let between = &self.bytes[first.end..second.start];
            let second_bytes = &self.bytes[second.start..second.end];
            let swapped = [second_bytes, between, &self.bytes[first.start..first.end]].concat();
            self.bytes[first.start..second.end].copy_from_slice(&swapped);
        }
    }

    fn remove_part(&mut self) {
        if self.parts.len() > 1 {
            let part = self.part();
            self.replace(part.start..part.end, &[]);
        }
    }

    /// A part of another seed is put before one of these.
    fn borrow_part(&mut self) {
        let other = self.other();
        let theirs = parts(self.decoder.grammar, &other);
        if self.parts.is_empty() || theirs.is_empty() || self.bytes.len() > LARGEST {
            return;
        }
        let part = &theirs[self.random.random_range(0..theirs.len())];
        let at = self.part().start;
        self.replace(at..at, &other[part.start..part.end]);
    }

    fn cut(&mut self) {
        let place = self.place();
        self.bytes.truncate(place);
    }

    /// Puts `bytes` in the place of `range`; the lengths of the parts around it follow, or none does.
    fn replace(&mut self, range: Range<usize>, bytes: &[u8]) {
        let by = bytes.len() as i64 - range.len() as i64;
        let around = |part: &&Part| part.body <= range.start && range.end <= part.end && part.start < range.start;
        if self.lengths_follow {
            for (field, highest_first) in self.parts.iter().filter(around).filter_map(|part| part.length.clone()) {
                let field = &mut self.bytes[field];
                write(field, read(field, highest_first).wrapping_add_signed(by), highest_first);
            }
        }
        self.bytes.splice(range, bytes.iter().copied());
    }
}

fn read(field: &[u8], highest_first: bool) -> u64 {
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    match highest_first {
        true => field.iter().fold(0, add),
        false => field.iter().rev().fold(0, add),
    }
}

fn write(field: &mut [u8], value: u64, highest_first: bool) {
    let width = field.len();
    for (place, byte) in field.iter_mut().enumerate() {
        let shift = if highest_first { width - 1 - place } else { place };
        *byte = (value >> (8 * shift)) as u8;
    }
}
