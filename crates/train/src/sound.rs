//! Sounds that a page plays, as they lie in the data set.

use crate::report::Sound;
use sensorium_data::Value;
use std::path::Path;

/// Longer files are not put into a page, in bytes.
const LARGEST: u64 = 512 << 10;

/// The encoded sound of `value`; none where it is too long for a page, of a kind that browsers do not play, or not there.
pub fn playable(value: &Value, root: &Path) -> Option<Sound> {
    let bytes = match value {
        Value::Text(name) => read(&root.join(name))?,
        Value::Bytes(bytes) => bytes.to_vec(),
        Value::Stored(stored) if stored.length <= LARGEST => stored.read().ok()?.to_vec(),
        _ => return None,
    };
    let kind = kind(&bytes)?;
    (bytes.len() as u64 <= LARGEST).then_some(Sound { kind, bytes })
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let metadata = std::fs::metadata(path).ok()?;
    let fits = metadata.is_file() && metadata.len() <= LARGEST;
    fits.then(|| std::fs::read(path).ok()).flatten()
}

/// The media type, by how the file begins.
fn kind(bytes: &[u8]) -> Option<String> {
    let kind = match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => "wav",
        [b'O', b'g', b'g', b'S', ..] => "ogg",
        [b'f', b'L', b'a', b'C', ..] => "flac",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "mp4",
        [0x1a, 0x45, 0xdf, 0xa3, ..] => "webm",
        [b'I', b'D', b'3', ..] | [0xff, 0xe0..=0xff, ..] => "mpeg",
        _ => return None,
    };
    Some(format!("audio/{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sounds_are_known_by_how_they_begin() {
        let folder = tempfile::tempdir().unwrap();
        let check = |bytes: &[u8], kind: Option<&str>| {
            std::fs::write(folder.path().join("sound"), bytes).unwrap();
            for value in [Value::Text("sound".into()), Value::Bytes(bytes.into())] {
                let found = playable(&value, folder.path());
                assert_eq!(found.map(|sound| sound.kind).as_deref(), kind, "{value:?}");
            }
        };
        check(b"RIFF\0\0\0\0WAVEfmt ", Some("audio/wav"));
        check(b"OggS\0", Some("audio/ogg"));
        check(b"\0\0\0\x18ftypM4A ", Some("audio/mp4"));
        check(b"\xff\xfb\x90", Some("audio/mpeg"));
        check(b"RIFF\0\0\0\0AVI LIST", None);
        check(b"", None);
        let long = [b"fLaC".to_vec(), vec![0; LARGEST as usize]].concat();
        check(&long[..LARGEST as usize], Some("audio/flac"));
        check(&long, None);
        assert!(playable(&Value::Text("none".into()), folder.path()).is_none());
        assert!(playable(&Value::Absent, folder.path()).is_none());
    }
}
