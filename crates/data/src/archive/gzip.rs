//! Packed tar archives: unpacked once into a file without a name, which gives them positions.

use crate::storage::{Cursor, ReadAt, Unpacked};
use crate::{DataError, ErrorKind, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

/// What may always be unpacked, in bytes; beyond it a [`RATIO`] tells large archives from bombs.
const MODEST: u64 = 1 << 30;
/// How many bytes one packed byte may stand for.
const RATIO: u64 = 100;

/// Unpacks a gzip file to disk.
///
/// Fails with `Damaged` for cut or altered bytes and `TooLarge` for a bomb.
pub fn unpack(source: Arc<dyn ReadAt>) -> Result<Arc<dyn ReadAt>> {
    let limit = MODEST.max(source.length().saturating_mul(RATIO));
    unpack_within(source, limit)
}

fn unpack_within(source: Arc<dyn ReadAt>, limit: u64) -> Result<Arc<dyn ReadAt>> {
    let path = source.path().to_path_buf();
    let mut file = tempfile::tempfile().map_err(|error| DataError::io(&error, &std::env::temp_dir()))?;
    copy(source, &mut file, limit).map_err(|error| error.at_path(&path))?;
    Ok(Arc::new(Unpacked { path, file }))
}

fn copy(source: Arc<dyn ReadAt>, file: &mut File, limit: u64) -> Result<()> {
    let mut packed = MultiGzDecoder::new(BufReader::with_capacity(1 << 16, Cursor::new(source, 0)));
    let mut buffer = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        let count = packed.read(&mut buffer).map_err(|error| {
            let message = format!("expected a whole gzip file, found: {error}; replace it");
            DataError::new(ErrorKind::Damaged, message)
        })?;
        if count == 0 {
            return Ok(());
        }
        length += count as u64;
        if length > limit {
            let message = format!("expected at most {limit} unpacked bytes, found more; unpack it yourself");
            return Err(DataError::new(ErrorKind::TooLarge, message));
        }
        let written = io::Write::write_all(file, &buffer[..count]);
        written.map_err(|error| DataError::io(&error, &std::env::temp_dir()))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Part;
    use std::io::Write;

    fn unpacked(bytes: Vec<u8>, limit: u64) -> Result<Vec<u8>, ErrorKind> {
        let path = "a.tar.gz".into();
        let part = Arc::new(Part { path, start: 0, bytes });
        let source = unpack_within(part, limit).map_err(|error| error.kind)?;
        Ok(crate::storage::read(&*source, 0, source.length(), 1 << 20).unwrap())
    }

    #[test]
    fn what_is_unpacked_is_whole_and_bounded() {
        let content: Vec<u8> = (0..200_000u32).map(|at| (at % 251) as u8).collect();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&content).unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(unpacked(packed.clone(), 200_000), Ok(content));
        assert_eq!(unpacked(packed.clone(), 199_999), Err(ErrorKind::TooLarge));
        for cut in [1, packed.len() / 2, packed.len() - 1] {
            assert_eq!(unpacked(packed[..cut].to_vec(), 1 << 20), Err(ErrorKind::Damaged));
        }
    }
}
