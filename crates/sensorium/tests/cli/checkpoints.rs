//! Public checkpoints with a mistake in one file, which `import` must refuse.

use crate::fixture::Fixture;
use serde_json::Value;

/// Changes one file of the checkpoint in `folder`, or writes it where there is none, and imports.
pub fn refused(fixture: &Fixture, folder: &str, file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>, words: &[&str]) {
    let path = fixture.path(folder).join(file);
    let content = change(std::fs::read(&path).unwrap_or_default());
    std::fs::write(&path, content).unwrap();
    fixture.expect(&["import", folder, "--run", "run"], 1, words);
    assert!(!fixture.path("run").exists(), "{file}: nothing may be left behind");
}

/// Another value of a configuration.
pub fn setting(name: &'static str, value: Value) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |content| {
        let mut config: Value = serde_json::from_slice(&content).unwrap();
        config[name] = value.clone();
        config.to_string().into_bytes()
    }
}

/// The other name, of the same length, in the place of one.
pub fn renamed(from: &'static str, to: &'static str) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |content| {
        let found = content.windows(from.len()).position(|part| part == from.as_bytes());
        let place = found.unwrap();
        [&content[..place], to.as_bytes(), &content[place + from.len()..]].concat()
    }
}
