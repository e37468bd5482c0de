//! Writes a large set of shards, and streams one through bounded memory:
//! `shards write FOLDER GIGABYTES`, `shards stream FOLDER [--stop ROWS] [--resume]`, `shards index FOLDER ROWS`.

use sensorium_data::random::Key;
use sensorium_data::shards::{Position, Shuffle};
use sensorium_data::{Sample, ShardIndex, ShardSet, ShardStream, Value, files};
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Bytes of a picture's file, about what a camera's picture has after it was made small.
const PICTURE: usize = 100_000;
const ROWS_PER_SHARD: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["write", folder, gigabytes] => write(Path::new(folder), gigabytes.parse()?),
        ["index", folder, rows] => index(Path::new(folder), rows.parse()?),
        ["stream", folder] => stream(Path::new(folder), None, false),
        ["stream", folder, "--stop", rows] => stream(Path::new(folder), Some(rows.parse()?), false),
        ["stream", folder, "--resume"] => stream(Path::new(folder), None, true),
        _ => Err("expected write FOLDER GIGABYTES, stream FOLDER [--stop ROWS | --resume] or index FOLDER ROWS".into()),
    }
}

fn write(folder: &Path, gigabytes: f64) -> Result<(), Box<dyn Error>> {
    let rows = (gigabytes * 1e9 / PICTURE as f64) as usize;
    files::create_folder(folder)?;
    for (shard, first) in (0..rows).step_by(ROWS_PER_SHARD).enumerate() {
        let mut file = BufWriter::new(File::create(folder.join(format!("train-{shard:06}.tar")))?);
        for row in first..rows.min(first + ROWS_PER_SHARD) {
            member(&mut file, &format!("{row:08}.jpg"), &picture(row))?;
            member(&mut file, &format!("{row:08}.cls"), row.to_string().as_bytes())?;
        }
        file.write_all(&[0; 1024])?;
        file.flush()?;
    }
    println!("{rows} rows");
    Ok(())
}

/// Bytes that differ from row to row, of a length that does too.
fn picture(row: usize) -> Vec<u8> {
    let length = PICTURE / 2 + row * 7919 % PICTURE;
    let mut bytes = vec![0; length];
    blake3::Hasher::new()
        .update(&row.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// A header of the ustar format and the content, filled up to whole blocks.
fn member(file: &mut impl Write, name: &str, content: &[u8]) -> std::io::Result<()> {
    let mut header = [0u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[148..156].fill(b' ');
    header[156..165].copy_from_slice(b"0\0\0\0\0\0\0\0\0");
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    file.write_all(&header)?;
    file.write_all(content)?;
    file.write_all(&vec![0; content.len().next_multiple_of(512) - content.len()])
}

/// Streams the set, or the part of it before or behind the stop, whose position lies beside the set.
fn stream(folder: &Path, stop: Option<usize>, resume: bool) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let set = ShardSet::open(folder)?;
    println!(
        "{} rows in {} shards, counted in {:.1?}",
        set.rows(),
        set.shards(),
        start.elapsed()
    );
    let saved = beside(folder, "position.json");
    let mut stream = match resume {
        true => {
            let position: Position = serde_json::from_slice(&files::read(&saved)?)?;
            ShardStream::resume(set, position)?
        }
        false => ShardStream::new(set, Some(Shuffle::new(1, 0))),
    };
    let mut report = Report::start();
    for sample in stream.by_ref().take(stop.unwrap_or(usize::MAX)) {
        report.add(&sample?)?;
    }
    if stop.is_some() {
        files::write_atomically(&saved, serde_json::to_string(&stream.position())?.as_bytes())?;
    }
    report.print();
    Ok(())
}

/// Reads the first rows of a random order that is exact.
fn index(folder: &Path, rows: usize) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let index = ShardIndex::open(&ShardSet::open(folder)?, Some(&beside(folder, "index")))?;
    println!("{} rows, indexed in {:.1?}", index.rows(), start.elapsed());
    let mut report = Report::start();
    for row in index.order(&Key::new(1)).into_iter().take(rows) {
        report.add(&index.sample(row as usize)?)?;
    }
    report.print();
    Ok(())
}

fn beside(folder: &Path, extension: &str) -> PathBuf {
    folder.with_extension(extension)
}

/// What was read: the order as a hash, and the bytes of the pictures.
struct Report {
    start: Instant,
    rows: usize,
    bytes: usize,
    order: blake3::Hasher,
    last: Vec<usize>,
}

impl Report {
    fn start() -> Self {
        Self {
            start: Instant::now(),
            rows: 0,
            bytes: 0,
            order: blake3::Hasher::new(),
            last: Vec::new(),
        }
    }

    fn add(&mut self, sample: &Sample) -> Result<(), Box<dyn Error>> {
        let Value::Stored(stored) = sample.get("image") else {
            return Err(format!("row {} has no picture", sample.row).into());
        };
        let picture = stored.read()?;
        if sample.get("label").label() != Some(sample.row.to_string()) || picture[..] != self::picture(sample.row) {
            return Err(format!("row {} holds another row's content", sample.row).into());
        }
        self.rows += 1;
        self.bytes += picture.len();
        self.order.update(&sample.row.to_le_bytes());
        self.last.push(sample.row);
        Ok(())
    }

    fn print(mut self) {
        let half = self.last.split_off(self.last.len() / 2);
        let digest = |rows: &[usize]| {
            let bytes: Vec<u8> = rows.iter().flat_map(|row| row.to_le_bytes()).collect();
            blake3::hash(&bytes).to_hex()[..16].to_string()
        };
        let (seconds, gigabytes) = (self.start.elapsed().as_secs_f64(), self.bytes as f64 / 1e9);
        println!(
            "{} rows, {gigabytes:.2} GB in {seconds:.1} s, order {}",
            self.rows,
            self.order.finalize().to_hex()
        );
        println!("first half {}, second half {}", digest(&self.last), digest(&half));
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        status
            .lines()
            .filter(|line| line.starts_with("VmHWM"))
            .for_each(|line| println!("{line}"));
    }
}
