//! Archives and shards as manifests, tested from the one entrance.

use super::Manifest;
use crate::archive::tar;
use crate::{DataError, Result, Value};
use std::io::Write;
use std::path::PathBuf;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

type Files<'a> = &'a [(&'a str, &'a [u8])];

fn zip(files: Files, method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in files {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// The same files in every kind of archive.
fn archives(files: Files) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a.zip", zip(files, CompressionMethod::Stored)),
        ("b.ZIP", zip(files, CompressionMethod::Deflated)),
        ("c.tar", tar::archive(files)),
        ("d.tar.gz", gzip(&tar::archive(files))),
        ("e.tgz", gzip(&tar::archive(files))),
    ]
}

/// Opens the archive; its folder is gone afterwards, and so what was not kept open.
fn open<T>(name: &str, bytes: &[u8], use_it: impl FnOnce(Result<Manifest>) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    use_it(Manifest::open(&path))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Stored(stored) => format!("<{}>", String::from_utf8_lossy(&stored.read().unwrap())),
        value => value.label().unwrap_or_default(),
    }
}

fn check(files: Files, columns: &[&str], expected: &[&[&str]], broken: &[&str]) {
    for (name, bytes) in archives(files) {
        open(name, &bytes, |manifest| {
            let manifest = manifest.unwrap();
            assert_eq!(manifest.columns, columns, "{name}");
            let row = |sample: &crate::Sample| columns.iter().map(|column| shown(sample.get(column))).collect();
            let found: Vec<Vec<String>> = manifest.samples.iter().map(row).collect();
            assert_eq!(found, expected, "{name}");
            assert_eq!(manifest.broken.len(), broken.len(), "{name}: {:?}", manifest.broken);
            for (error, part) in manifest.broken.iter().zip(broken) {
                assert!(error.to_string().contains(part), "{name}: {error}");
            }
        });
    }
}

#[test]
fn class_folders_are_read_in_place() {
    let long = [b'x'; 3000];
    let text = String::from_utf8(long.to_vec()).unwrap();
    check(
        &[
            ("set/cat/a.png", b"A"),
            ("set/cat/.DS_Store", b""),
            ("__MACOSX/set/cat/._a.png", b""),
            ("set/dog/deep/b.png", &long),
            ("set/dog/notes.pdf", b""),
        ],
        &["image", "label"],
        &[&["<A>", "cat"], &[&format!("<{text}>"), "dog"]],
        &["expected a picture"],
    );
}

#[test]
fn a_table_names_members_and_a_missing_one_is_a_broken_row() {
    check(
        &[
            ("rows.jsonl", b"{\"image\":\"i/a.png\",\"q\":\"why\"}\n{\"image\":\"i/b.png\"}\n{\"image\":\"../x.png\"}\n{\"q\":\"?\"}\n"),
            ("i/a.png", b"A"),
        ],
        &["image", "q"],
        &[&["<A>", "why"], &["", "?"]],
        &["i/b.png: row 1: `image`: expected a member", "row 2: `image`: expected paths inside"],
    );
    check(
        &[
            ("d/train/metadata.csv", b"file_name,text\n1.wav,one\n"),
            ("d/train/1.wav", b"W"),
            ("d/test/metadata.csv", b"file_name,text\n1.wav,uno\n"),
            ("d/test/1.wav", b"V"),
        ],
        &["file_name", "text", "audio", "split"],
        &[&["1.wav", "uno", "<V>", "test"], &["1.wav", "one", "<W>", "train"]],
        &[],
    );
}

#[test]
fn an_archive_that_leads_out_is_refused_whole() {
    let bytes = zip(&[("cat/a.png", b"A"), ("../b.png", b"B")], CompressionMethod::Stored);
    open("a.zip", &bytes, |manifest| {
        let error = manifest.unwrap_err();
        assert!(error.to_string().contains("a.zip: expected paths inside"), "{error}");
    });
}

#[test]
fn shards_are_one_set_by_pattern_folder_or_name() {
    let folder = tempfile::tempdir().unwrap();
    for (shard, word) in ["train-0", "train-1", "val-0"].into_iter().enumerate() {
        let id = shard.to_string();
        let names = [format!("{id}.png"), format!("{id}.txt")];
        let bytes = tar::archive(&[(&names[0], id.as_bytes()), (&names[1], word.as_bytes())]);
        std::fs::write(folder.path().join(format!("{word}.tar")), bytes).unwrap();
    }
    for (name, expected) in [
        ("train-{0..1}.tar", &["train-0 <0> train", "train-1 <1> train"][..]),
        ("train-1.tar", &["train-1 <1> "]),
        (
            "*.tar",
            &["train-0 <0> train", "train-1 <1> train", "val-0 <2> validation"],
        ),
        ("", &["train-0 <0> train", "train-1 <1> train", "val-0 <2> validation"]),
    ] {
        let manifest = Manifest::open(&folder.path().join(name)).unwrap();
        let row = |sample: &crate::Sample| {
            ["text", "image", "split"]
                .map(|column| shown(sample.get(column)))
                .join(" ")
        };
        assert_eq!(manifest.samples.iter().map(row).collect::<Vec<_>>(), expected, "{name}");
        assert_eq!(manifest.root, folder.path(), "{name}");
    }
}

/// Files that reach every branch: a table, classes and samples.
pub(crate) fn golden(kind: usize) -> (&'static str, Vec<u8>) {
    let sets: [Files; 3] = [
        &[
            ("rows.jsonl", b"{\"image\":\"a.png\"}\n{\"image\":\"b.png\"}\n"),
            ("a.png", &[7; 700]),
        ],
        &[("cat/a.png", b"A"), ("dog/b.wav", &[8; 600]), ("dog/c", b"")],
        &[
            ("0.png", b"P"),
            ("0.json", b"{\"a\":1}"),
            ("1.png", &[9; 520]),
            ("1.cls", b"3"),
        ],
    ];
    archives(sets[kind % 3]).swap_remove(kind / 3 % 5)
}

pub(crate) fn check_accounted(manifest: &Manifest) {
    let good = manifest.samples.iter().map(|sample| sample.row);
    let bad = manifest.broken.iter().map(|error| error.row.unwrap());
    let mut rows: Vec<usize> = good.chain(bad).collect();
    rows.sort_unstable();
    assert!(rows.iter().copied().eq(0..manifest.rows()));
    let placed = |error: &DataError| error.path.as_ref().is_some_and(|path| *path != PathBuf::new());
    assert!(manifest.broken.iter().all(placed));
    for value in manifest.samples.iter().flat_map(|sample| sample.values.values()) {
        if let Value::Stored(stored) = value {
            // Any outcome but a panic: what lies there may be damaged.
            assert!(stored.read().map_or(true, |bytes| bytes.len() <= 1 << 20));
        }
    }
}
