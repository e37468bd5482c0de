//! What a medium is, whatever it is called: the hash of its bytes.

use crate::Value;
use blake3::{Hash, Hasher};
use std::fs::File;
use std::path::Path;

/// The BLAKE3 hash of a medium's bytes, or of all pictures of a list in their order; none where it cannot be read or is
/// a folder, which preparing it will say.
pub(super) fn hash(value: &Value, root: &Path) -> Option<Hash> {
    let mut hasher = Hasher::new();
    match value {
        Value::List(items) => {
            for item in items {
                hasher.update(b"item");
                hasher.update(hash(item, root)?.as_bytes());
            }
        }
        Value::Text(_) => update(&mut hasher, &value.path(root)?)?,
        Value::Bytes(bytes) => drop(hasher.update(bytes)),
        Value::Stored(stored) => drop(hasher.update(&stored.read().ok()?)),
        Value::Absent | Value::Number(_) => return None,
    }
    Some(hasher.finalize())
}

fn update(hasher: &mut Hasher, path: &Path) -> Option<()> {
    // Asked before opening: to open a named pipe would wait for its writer.
    let file = path.metadata().ok()?.is_file().then(|| File::open(path))?;
    hasher.update_reader(file.ok()?).ok()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_are_one_medium_wherever_they_lie() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("a", "one"), ("b", "one"), ("c", "two")] {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let of = |value: Value| hash(&value, folder.path());
        let file = |name: &str| Value::Text(name.into());
        let list = |names: &[&str]| Value::List(names.iter().map(|name| file(name)).collect());
        assert_eq!(of(file("a")), of(Value::Bytes(b"one".as_slice().into())));
        assert_eq!(of(file("a")), of(file("b")));
        assert_ne!(of(file("a")), of(file("c")));
        assert_eq!(of(list(&["a", "c"])), of(list(&["b", "c"])));
        assert_ne!(of(list(&["a", "c"])), of(list(&["c", "a"])));
        assert_ne!(of(list(&["a"])), of(file("a")));
        for nothing in [
            file("."),
            file("none"),
            Value::Absent,
            Value::Number(1.0),
            list(&["none"]),
        ] {
            assert_eq!(of(nothing), None);
        }
    }
}
