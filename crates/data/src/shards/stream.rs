//! Shards read from their beginnings on, shuffled within a bounded part of the set.
//!
//! The set is cut into blocks: rows taken in turn from a few shards, the shards in random order,
//! until the block is full. The rows of a block come in random order. Both orders are keyed by seed,
//! epoch and block, so that a position is the start of a block and a number of rows.

use super::rows::Rows;
use super::{Shard, ShardSet};
use crate::random::Key;
use crate::{DataError, ErrorKind, Result, Sample};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How many shards are read at the same time where rows are shuffled.
const LANES: usize = 8;
/// What is held in memory where rows are not shuffled.
const IN_ORDER: (usize, u64) = (64, 16 << 20);

/// A random order within bounds of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shuffle {
    pub seed: u64,
    pub epoch: u64,
    /// The rows that are held in memory at most.
    pub rows: usize,
    /// Their bytes at most, to which one row is added.
    pub bytes: u64,
}

impl Shuffle {
    /// Blocks of at most 16,384 rows and 128 MiB.
    pub fn new(seed: u64, epoch: u64) -> Self {
        Self {
            seed,
            epoch,
            rows: 1 << 14,
            bytes: 128 << 20,
        }
    }

    fn key(&self, operation: &str) -> Key {
        Key::new(self.seed).with("stream").at(self.epoch).with(operation)
    }
}

/// Where a stream is: what it needs to go on with exactly the rows that would have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub shuffle: Option<Shuffle>,
    /// The shards and rows of the set, which must be the same set.
    pub shards: usize,
    pub rows: usize,
    /// The number of the block, and how many of its rows were given out.
    pub block: u64,
    pub given: usize,
    /// The shards being read where the block starts, and how many were opened by then.
    pub lanes: Vec<LanePosition>,
    pub opened: usize,
}

/// Where the reading of one shard is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanePosition {
    pub shard: usize,
    pub row: usize,
    /// The byte of the next row, or in a table its number.
    pub at: u64,
}

/// One epoch over a set, as an iterator over rows; a row that cannot be read is an error in its
/// place, with its number.
pub struct ShardStream {
    set: ShardSet,
    /// The order of the shards.
    order: Vec<usize>,
    lanes: VecDeque<Lane>,
    opened: usize,
    /// What is left of the block, the next row last.
    block: Vec<Result<Sample>>,
    position: Position,
}

struct Lane {
    shard: usize,
    row: usize,
    rows: Rows,
}

impl ShardStream {
    /// The rows of `set`, in the set's order without `shuffle`.
    pub fn new(set: ShardSet, shuffle: Option<Shuffle>) -> Self {
        let position = Position {
            shuffle,
            shards: set.shards(),
            rows: set.rows(),
            block: 0,
            given: 0,
            lanes: Vec::new(),
            opened: 0,
        };
        Self::start(set, position)
    }

    /// Goes on where a stream over the same set was.
    ///
    /// Fails with `Invalid` for a position in another set.
    pub fn resume(set: ShardSet, position: Position) -> Result<Self> {
        let known = position.lanes.iter().all(|lane| lane.shard < set.shards());
        if (position.shards, position.rows) != (set.shards(), set.rows()) || !known {
            let message = format!(
                "expected the set of the position, {} rows in {} shards, found {} rows in {}; name that set",
                position.rows,
                position.shards,
                set.rows(),
                set.shards()
            );
            return Err(DataError::new(ErrorKind::Invalid, message));
        }
        let given = position.given;
        let mut stream = Self::start(set, position);
        stream.by_ref().take(given).for_each(drop);
        Ok(stream)
    }

    /// The position behind the rows that were given out.
    pub fn position(&self) -> Position {
        self.position.clone()
    }

    /// A stream at the start of the position's block.
    fn start(set: ShardSet, position: Position) -> Self {
        let mut order: Vec<usize> = (0..set.shards()).collect();
        if let Some(shuffle) = &position.shuffle {
            order.shuffle(&mut shuffle.key("shards").generator());
        }
        let lane = |lane: &LanePosition| Lane::open(&set.shards[lane.shard], lane);
        let mut stream = Self {
            lanes: position.lanes.iter().map(lane).collect(),
            opened: position.opened,
            set,
            order,
            block: Vec::new(),
            position: Position { given: 0, ..position },
        };
        stream.fill();
        stream
    }

    fn fill(&mut self) {
        let (rows, bytes) = self.position.shuffle.map_or(IN_ORDER, |it| (it.rows.max(1), it.bytes));
        self.position.lanes = self.lanes.iter().map(Lane::position).collect();
        self.position.opened = self.opened;
        self.position.given = 0;
        let mut held = 0;
        while self.block.len() < rows && (held < bytes || self.block.is_empty()) {
            let Some((sample, size)) = self.read() else {
                break;
            };
            held += size;
            self.block.push(sample);
        }
        match &self.position.shuffle {
            Some(shuffle) => {
                let key = shuffle.key("block").at(self.position.block);
                self.block.shuffle(&mut key.generator());
            }
            None => self.block.reverse(),
        }
    }

    /// The next row of the shards that are read in turn, and its bytes.
    fn read(&mut self) -> Option<(Result<Sample>, u64)> {
        let lanes = if self.position.shuffle.is_some() { LANES } else { 1 };
        loop {
            while self.lanes.len() < lanes && self.opened < self.order.len() {
                let shard = self.order[self.opened];
                let start = LanePosition { shard, row: 0, at: 0 };
                self.lanes.push_back(Lane::open(&self.set.shards[shard], &start));
                self.opened += 1;
            }
            let mut lane = self.lanes.pop_front()?;
            let Some(row) = lane.rows.next() else {
                continue;
            };
            let shard = &self.set.shards[lane.shard];
            let sample = shard.sample(shard.first_row + lane.row, row.cells);
            lane.row += 1;
            self.lanes.push_back(lane);
            return Some((sample, row.bytes));
        }
    }
}

impl Iterator for ShardStream {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.block.is_empty() {
            self.position.block += 1;
            self.fill();
        }
        let sample = self.block.pop()?;
        self.position.given += 1;
        Some(sample)
    }
}

impl Lane {
    fn open(shard: &Shard, position: &LanePosition) -> Self {
        Self {
            shard: position.shard,
            row: position.row,
            rows: Rows::open(&shard.source, shard.format, position.at),
        }
    }

    fn position(&self) -> LanePosition {
        LanePosition {
            shard: self.shard,
            row: self.row,
            at: self.rows.position(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::folder;
    use super::*;

    fn small(epoch: u64) -> Option<Shuffle> {
        Some(Shuffle {
            rows: 17,
            bytes: 30_000,
            ..Shuffle::new(5, epoch)
        })
    }

    fn rows(stream: ShardStream) -> Vec<usize> {
        stream
            .map(|sample| sample.map_or_else(|error| error.row.unwrap(), |it| it.row))
            .collect()
    }

    #[test]
    fn every_row_comes_once_in_an_order_of_its_epoch() {
        let folder = folder(11, 9);
        let set = ShardSet::open(folder.path()).unwrap();
        let order = |shuffle| rows(ShardStream::new(set.clone(), shuffle));
        assert!(order(None).into_iter().eq(0..99));
        assert_eq!(order(small(0)), order(small(0)));
        assert_ne!(order(small(0)), order(small(1)));
        let mut sorted = order(small(0));
        let first_block: std::collections::BTreeSet<usize> = sorted[..17].iter().map(|row| row / 9).collect();
        assert!(
            first_block.len() >= 6,
            "the first rows come from the shards {first_block:?}"
        );
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..99));
    }

    /// Resuming at any row gives the rest, whatever of the set is damaged.
    fn check_resume(set: &ShardSet, shuffle: Option<Shuffle>) {
        let mut stream = ShardStream::new(set.clone(), shuffle);
        let whole = rows(ShardStream::new(set.clone(), shuffle));
        assert_eq!(whole.len(), set.rows());
        for given in 0..=whole.len() {
            let json = serde_json::to_string(&stream.position()).unwrap();
            let position = serde_json::from_str(&json).unwrap();
            let resumed = ShardStream::resume(set.clone(), position).unwrap();
            assert_eq!(rows(resumed), whole[given..], "after {given} rows");
            stream.next();
        }
    }

    #[test]
    fn a_stream_resumes_at_any_row_with_the_same_order() {
        let folder = folder(10, 5);
        let cut = folder.path().join("train-0003.tar");
        let bytes = std::fs::read(&cut).unwrap();
        std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
        std::fs::write(folder.path().join("lines.jsonl"), "{\"a\":1}\n\n[]\n{}\n").unwrap();
        let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/tables/types.parquet");
        std::fs::copy(table, folder.path().join("types.parquet")).unwrap();
        std::fs::write(folder.path().join("broken.parquet"), "PAR1").unwrap();
        let set = ShardSet::open(folder.path()).unwrap();
        check_resume(&set, None);
        check_resume(&set, small(3));
        let other = ShardSet::open(&folder.path().join("*.tar")).unwrap();
        let position = ShardStream::new(set, None).position();
        let error = ShardStream::resume(other, position).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Invalid);
    }

    #[test]
    fn a_block_is_bounded_by_bytes() {
        let folder = folder(4, 50);
        let set = ShardSet::open(folder.path()).unwrap();
        let mut stream = ShardStream::new(set, small(0));
        let mut largest = 0;
        while stream.next().is_some() {
            let stored = |sample: &Result<Sample>| match sample.as_ref().unwrap().get("image") {
                crate::Value::Stored(stored) => stored.source.length() - stored.offset,
                _ => 0,
            };
            largest = largest.max(stream.block.iter().map(stored).sum::<u64>());
        }
        assert!((1..30_000 + 8_192).contains(&largest), "{largest} bytes were held");
    }
}
