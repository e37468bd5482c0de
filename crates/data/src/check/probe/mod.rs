//! One medium looked at as a whole: it is decoded, measured and fingerprinted, and its memory freed.

mod audio;
mod image;
mod video;

use super::MediaKind;
use super::fingerprint::Fingerprint;
use super::gate::Gate;
use crate::shield::shielded;
use crate::{DataError, ErrorKind, Result, Stored};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Where the bytes of a medium are.
#[derive(Debug, Clone)]
pub(super) enum Source {
    File(PathBuf),
    Bytes(Arc<[u8]>),
    Stored(Arc<Stored>),
}

/// One distinct medium.
#[derive(Debug, Clone)]
pub(super) struct Medium {
    pub kind: MediaKind,
    pub source: Source,
}

/// What was found out about a medium that can be decoded.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    /// Equal for media of the same content: the hash of the file or of what it decodes to.
    pub content: blake3::Hash,
    /// The length of the encoded file.
    pub bytes: u64,
    pub facts: Facts,
    /// `None` where no near copies of the medium can be looked for.
    pub fingerprint: Option<Fingerprint>,
}

/// The measures of a medium; those that its kind does not have are `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Facts {
    /// The usual extension of its format.
    pub format: Option<String>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub seconds: Option<f64>,
    pub sample_rate: Option<u32>,
    pub channels: Option<u32>,
}

/// The limits of one look at many media.
pub(super) struct Limits {
    /// Media decoded at the same time.
    pub threads: usize,
    /// Bytes that decoded media may take together.
    pub memory: u64,
}

/// Decodes every medium. The results are in the order of `media`, whatever the number of threads.
///
/// # Errors
/// Only when `interrupt` was set; what is wrong with a medium is its own result.
pub(super) fn probe_all(
    media: &[Medium],
    limits: &Limits,
    interrupt: &AtomicBool,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Vec<Result<Probe>>> {
    let gate = Gate::new(limits.memory);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut found = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= media.len() || interrupt.load(Ordering::Relaxed) {
                return found;
            }
            found.push((place, probe(&media[place], &gate)));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, media.len());
        }
    };
    // Threads of their own, because one that waits at the gate must not hold up a pool's other work.
    let parts: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..limits.threads.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join()).collect()
    });
    let mut found = Vec::with_capacity(media.len());
    for part in parts {
        found.extend(part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    }
    if interrupt.load(Ordering::Relaxed) && found.len() < media.len() {
        let message = "interrupted before every medium was read; run it again";
        return Err(DataError::new(ErrorKind::Invalid, message));
    }
    found.sort_unstable_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, result)| result).collect())
}

fn probe(medium: &Medium, gate: &Gate) -> Result<Probe> {
    let read = match medium.kind {
        MediaKind::Image => image::probe,
        MediaKind::Audio => audio::probe,
        MediaKind::Video => video::probe,
    };
    let source = match &medium.source {
        Source::Stored(stored) => &Source::Bytes(stored.read()?),
        source => source,
    };
    let result = shielded(|| read(source, gate)).unwrap_or_else(|| {
        let message = "expected a readable medium, found one on which its reader failed; replace the file";
        Err(DataError::new(ErrorKind::Damaged, message))
    });
    match &medium.source {
        Source::File(path) => result.map_err(|error| error.at_path(path)),
        Source::Stored(stored) => result.map_err(|error| error.at_path(stored.source.path()).at_offset(stored.offset)),
        Source::Bytes(_) => result,
    }
}

/// The hash and the length of an encoded medium, read part by part.
fn hash(source: &Source) -> Result<(blake3::Hash, u64)> {
    let path = match source {
        Source::Bytes(bytes) => return Ok((blake3::hash(bytes), bytes.len() as u64)),
        Source::Stored(stored) => return hash(&Source::Bytes(stored.read()?)),
        Source::File(path) => path,
    };
    require_file(path)?;
    let refused = |error: std::io::Error| DataError::io(&error, path);
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_reader(File::open(path).map_err(refused)?)
        .map_err(refused)?;
    match hasher.count() {
        0 => Err(DataError::new(
            ErrorKind::Damaged,
            "expected a medium, found an empty file of 0 bytes; replace or remove it",
        )),
        length => Ok((hasher.finalize(), length)),
    }
}

/// Asked before opening: to open a named pipe would wait for its writer.
fn require_file(path: &Path) -> Result<()> {
    let metadata = std::fs::metadata(path).map_err(|error| DataError::io(&error, path))?;
    match metadata.is_file() {
        true => Ok(()),
        false => {
            let message = "expected a file, found a folder, a device or a pipe; name a file";
            Err(DataError::new(ErrorKind::Invalid, message))
        }
    }
}

/// The extension of a file's name, where there is one.
fn extension(source: &Source) -> Option<String> {
    match source {
        Source::File(path) => Some(path.extension()?.to_str()?.to_lowercase()),
        Source::Bytes(_) | Source::Stored(_) => None,
    }
}
