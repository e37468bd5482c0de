//! Where every row of a set of shards lies: 16 bytes a row, and any row in any order.

use super::rows::{cells, spans};
use super::{Format, Shard, ShardSet};
use crate::random::Key;
use crate::{DataError, ErrorKind, Result, Sample, files};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use std::path::Path;

const NAME: &[u8] = b"sensorium shard index 1\n";
/// Bytes of a place, and of the hash at the end of the file.
const PLACE: usize = 16;
const HASH: usize = 32;

/// A row that cannot be told from the rest of its shard has length 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    offset: u64,
    length: u32,
    shard: u32,
}

/// The place of each row in the set's order.
#[derive(Debug, Clone)]
pub struct ShardIndex {
    shards: Vec<Shard>,
    places: Vec<Place>,
}

impl ShardIndex {
    /// Finds the rows of a set of `.tar` and `.jsonl` shards by reading headers and line breaks, or
    /// reads from `file` what an earlier call found in the same shards.
    ///
    /// Fails with `Unsupported` for Parquet, whose rows have no places of their own.
    pub fn open(set: &ShardSet, file: Option<&Path>) -> Result<Self> {
        let shards = set.shards.clone();
        if let Some(table) = shards.iter().find(|shard| shard.format == Format::Table) {
            let message = "expected .tar or .jsonl shards, found Parquet, whose rows are packed together; stream it";
            return Err(DataError::new(ErrorKind::Unsupported, message).at_path(table.source.path()));
        }
        let known = file.and_then(|file| Self::from_bytes(set, &std::fs::read(file).ok()?));
        if let Some(index) = known {
            return Ok(index);
        }
        let numbered = shards.par_iter().enumerate();
        let found: Vec<Vec<Place>> = numbered.map(|(number, shard)| find(shard, number as u32)).collect();
        let places = found.concat();
        let index = Self { shards, places };
        if let Some(file) = file {
            files::write_atomically(file, &index.to_bytes())?;
        }
        Ok(index)
    }

    /// What an index file says; `None` where it is not one of this set as it is now.
    pub(crate) fn from_bytes(set: &ShardSet, bytes: &[u8]) -> Option<Self> {
        let places = parse(bytes, &header(&set.shards))?;
        let shards = set.shards.clone();
        let known = |place: &Place| {
            let shard = shards.get(place.shard as usize);
            shard.is_some_and(|shard| place.offset <= shard.source.length())
        };
        let whole = places.len() == set.rows() && places.iter().all(known);
        whole.then_some(Self { shards, places })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serialise(&header(&self.shards), &self.places)
    }

    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// Every row once, in the random order of `key`.
    pub fn order(&self, key: &Key) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.places.len() as u32).collect();
        order.shuffle(&mut key.with("order").generator());
        order
    }

    /// Reads one row, its media into memory.
    ///
    /// # Panics
    /// For a row that is not below [`rows`](Self::rows).
    pub fn sample(&self, row: usize) -> Result<Sample> {
        let place = self.places[row];
        let shard = &self.shards[place.shard as usize];
        let span = match place.length {
            0 => spans(&shard.source, shard.format, place.offset)
                .next()
                .unwrap_or_else(|| Err(changed(shard))),
            length => Ok(place.offset..place.offset + u64::from(length)),
        };
        let cells = span.and_then(|span| cells(&shard.source, shard.format, span));
        shard.sample(row, cells)
    }
}

fn changed(shard: &Shard) -> DataError {
    let message = "expected the rows that were indexed, found others; remove the index file";
    DataError::new(ErrorKind::Damaged, message).at_path(shard.source.path())
}

fn find(shard: &Shard, number: u32) -> Vec<Place> {
    let mut spans = spans(&shard.source, shard.format, 0);
    let mut places = Vec::with_capacity(shard.rows);
    let mut offset = 0;
    while let Some(span) = spans.next() {
        let length = match &span {
            // A row beyond 4 GiB is found again when it is read, and refused there.
            Ok(span) => u32::try_from(span.end - span.start).unwrap_or(0),
            Err(_) => 0,
        };
        offset = span.map_or(offset, |span| span.start);
        places.push(Place {
            offset,
            length,
            shard: number,
        });
        offset = spans.position();
    }
    places
}

/// What an index file starts with: the shards, their lengths and when they were changed.
fn header(shards: &[Shard]) -> Vec<u8> {
    let mut header = NAME.to_vec();
    for shard in shards {
        let name = shard.source.path().as_os_str().as_encoded_bytes();
        header.extend((name.len() as u64).to_le_bytes());
        header.extend(name);
        header.extend(shard.source.length().to_le_bytes());
        header.extend(shard.source.modified().to_le_bytes());
    }
    header
}

fn serialise(header: &[u8], places: &[Place]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    for place in places {
        bytes.extend(place.offset.to_le_bytes());
        bytes.extend(place.length.to_le_bytes());
        bytes.extend(place.shard.to_le_bytes());
    }
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    bytes
}

/// The places of a whole index file with this header; `None` for any other file.
fn parse(bytes: &[u8], header: &[u8]) -> Option<Vec<Place>> {
    let (content, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH)?)?;
    let places = content.strip_prefix(header)?;
    if blake3::hash(content).as_bytes() != hash || places.len() % PLACE != 0 {
        return None;
    }
    let place = |bytes: &[u8]| {
        let (offset, rest) = bytes.split_first_chunk()?;
        let (length, shard) = rest.split_first_chunk()?;
        Some(Place {
            offset: u64::from_le_bytes(*offset),
            length: u32::from_le_bytes(*length),
            shard: u32::from_le_bytes(*shard.first_chunk()?),
        })
    };
    places.chunks_exact(PLACE).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::folder;
    use super::*;
    use crate::Value;

    fn label(sample: &Sample) -> usize {
        sample.get("label").label().unwrap().parse().unwrap()
    }

    #[test]
    fn any_row_is_read_by_its_number_in_an_order_that_the_key_gives() {
        let folder = folder(3, 20);
        let set = ShardSet::open(folder.path()).unwrap();
        let index = ShardIndex::open(&set, None).unwrap();
        let order = index.order(&Key::new(1).at(0));
        assert_eq!(order, index.order(&Key::new(1).at(0)));
        assert_ne!(order, index.order(&Key::new(1).at(1)));
        let mut seen: Vec<usize> = Vec::new();
        for row in order {
            let sample = index.sample(row as usize).unwrap();
            let (id, Value::Stored(picture)) = (label(&sample), sample.get("image")) else {
                panic!("no picture in {sample:?}")
            };
            assert_eq!((sample.row, id), (row as usize, row as usize));
            assert_eq!(picture.read().unwrap()[..], vec![id as u8; 100 + id * 37 % 3000]);
            seen.push(id);
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..60));
    }

    #[test]
    fn an_index_file_is_used_while_the_shards_are_the_same() {
        let folder = folder(2, 5);
        let file = folder.path().join("index");
        let pattern = folder.path().join("*.tar");
        let open = || ShardIndex::open(&ShardSet::open(&pattern).unwrap(), Some(&file)).unwrap();
        let places = open().places;
        let written = std::fs::read(&file).unwrap();
        assert_eq!(parse(&written, &header(&open().shards)).as_ref(), Some(&places));
        for at in [0, written.len() / 2, written.len() - 1] {
            let mut bytes = written.clone();
            bytes[at] ^= 1;
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(open().places, places);
            assert_eq!(std::fs::read(&file).unwrap(), written);
        }
        let shard = folder.path().join("train-0001.tar");
        let bytes = std::fs::read(&shard).unwrap();
        std::fs::write(&shard, &bytes[..bytes.len() / 2]).unwrap();
        assert_ne!(open().places, places);
    }

    #[test]
    fn a_forged_index_is_not_used() {
        let folder = folder(2, 3);
        let set = ShardSet::open(folder.path()).unwrap();
        let index = ShardIndex::open(&set, None).unwrap();
        let check = |forge: fn(&mut Vec<Place>), used: bool| {
            let mut places = index.places.clone();
            forge(&mut places);
            let bytes = serialise(&header(&index.shards), &places);
            assert_eq!(ShardIndex::from_bytes(&set, &bytes).is_some(), used);
        };
        check(|_| {}, true);
        check(|places| places[0].shard = 2, false);
        check(|places| places[0].offset = u64::MAX, false);
        check(|places| places.truncate(5), false);
    }

    #[test]
    fn the_end_of_a_cut_shard_is_one_broken_row_and_a_broken_line_another() {
        let folder = folder(1, 6);
        let path = folder.path().join("train-0000.tar");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        std::fs::write(folder.path().join("z.jsonl"), "{\"label\":0}\n[]\n").unwrap();
        let set = ShardSet::open(folder.path()).unwrap();
        let index = ShardIndex::open(&set, None).unwrap();
        assert_eq!(index.rows(), set.rows());
        let failed: Vec<_> = (0..set.rows()).filter_map(|row| index.sample(row).err()).collect();
        let rows: Vec<_> = failed.iter().map(|error| error.row.unwrap()).collect();
        assert_eq!(rows, [set.rows() - 3, set.rows() - 1]);
        assert!(
            failed
                .iter()
                .all(|error| error.path.is_some() && error.offset.is_some())
        );
    }
}
