//! The invariants of ARCHITECTURE.md that a program can see in the sources.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Every Rust file below `folder`, as (path from the root, content).
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "there are no sources in {folder}");
    found
}

fn manifest(name: &str) -> String {
    std::fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap()
}

/// `word` may stand in the manifests of `allowed` only.
fn check_dependency(word: &str, allowed: &[&str]) {
    for name in ["data", "kernels", "model", "train", "serve", "sensorium"] {
        let found = manifest(name).lines().any(|line| line.starts_with(&format!("{word}.")));
        assert!(
            !found || allowed.contains(&name),
            "crates/{name} must not depend on {word}"
        );
    }
}

#[test]
fn each_crate_knows_only_what_it_may() {
    check_dependency("burn", &["kernels", "model", "train"]);
    check_dependency("burn-flex", &["kernels"]);
    check_dependency("axum", &["serve"]);
    check_dependency("hyper", &["serve"]);
    check_dependency("clap", &["sensorium"]);
    check_dependency("anyhow", &["sensorium"]);
    check_dependency("sensorium-serve", &["sensorium"]);
    check_dependency("sensorium-train", &["sensorium"]);
    check_dependency("sensorium-data", &["model", "train", "serve", "sensorium"]);
}

#[test]
fn files_say_what_they_are_and_stay_short() {
    for (name, content) in sources("crates") {
        assert!(content.starts_with("//! "), "{name} does not open with //!");
        let lines = content.lines().count();
        assert!(lines <= 500, "{name} has {lines} lines; 500 is the cap");
    }
}

#[test]
fn nothing_is_left_undone_or_unsafe() {
    let unfinished = ["todo", "unimplemented"].map(|word| format!("{word}!("));
    let (unsafe_word, ignored) = (["un", "safe "].concat(), ["#[", "ignore"].concat());
    for (name, content) in sources("crates") {
        for word in unfinished.iter().chain([&ignored]) {
            assert!(!content.contains(word.as_str()), "{name} contains {word}");
        }
        let trusted = name.starts_with("crates/kernels/");
        assert!(
            trusted || !content.contains(&unsafe_word),
            "{name} contains {unsafe_word}code"
        );
    }
}
