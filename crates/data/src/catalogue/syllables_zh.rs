//! Mandarin syllables, each spoken alone by up to two speakers (gcin's voices).

use super::archives::Limits;
use super::fetch::write_rows;
use super::folder::{Folder, split, unpack};
use super::packages::{self, Client, Package};
use super::{Entry, Progress};
use crate::Result;
use crate::split::Split;
use serde::Serialize;
use std::path::{Path, PathBuf};

const PACKAGES: [Package; 1] = [Package {
    client: Client::Debian,
    name: "gcin-voice",
    version: "0~20170223-3",
    sha256: "6a0353f0294d06f7bd901bada3d5d9eec63b66c2ec029f92da3124d93d45de70",
    bytes: 7_740_240,
}];

pub(super) const ENTRY: Entry = Entry {
    name: "syllables-zh",
    description: "single Mandarin syllables in Bopomofo with their tone, by two speakers, 14 minutes",
    licence: "CC-BY-3 (speaker 5), GPL-3 or LGPL-3 (speaker 3)",
    bytes: packages::bytes(&PACKAGES),
    rows: 2_358,
    tasks: &["speech recognition", "audio classification"],
    source: "Debian package gcin-voice 0~20170223-3",
    packages: &PACKAGES,
    version: "",
    build,
};

const LIMITS: Limits = Limits {
    files: 10_000,
    file_bytes: 1 << 20,
    total_bytes: 64 << 20,
};

/// The speaker that `speaker_split` keeps for the test.
const UNSEEN: &str = "5";

/// A line of the table.
#[derive(Debug, Serialize)]
struct Row {
    audio: String,
    /// Bopomofo letters, then the tone: none for the first, 1 for the neutral one, else its number.
    syllable: String,
    speaker: String,
    /// By syllable: no syllable of the test is heard in training.
    split: Split,
    /// By speaker: one trains and validates, the other tests.
    speaker_split: Split,
    group: String,
}

fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let mut files = Folder::new(folder);
    let mut rows = Vec::new();
    unpack(&packages[0], LIMITS, progress, &mut |path, bytes| {
        if let Some((syllable, speaker)) = content(path) {
            let row = row(syllable, speaker)?;
            files.save(&row.audio, &bytes)?;
            rows.push(row);
        }
        Ok(())
    })?;
    rows.sort_by(|a, b| (&a.syllable, &a.speaker).cmp(&(&b.syllable, &b.speaker)));
    write_rows(folder, rows)
}

/// Reads `SYLLABLE/SPEAKER.ogg`.
fn content(path: &str) -> Option<(&str, &str)> {
    let file = path.strip_prefix("usr/share/gcin-voice/ogg/")?;
    file.strip_suffix(".ogg")?.split_once('/')
}

fn row(syllable: &str, speaker: &str) -> Result<Row> {
    let split = split(ENTRY.name, syllable)?;
    let speaker_split = match (speaker, split) {
        (UNSEEN, _) => Split::Test,
        (_, Split::Validation) => Split::Validation,
        _ => Split::Train,
    };
    Ok(Row {
        audio: format!("audio/{speaker}/{syllable}.ogg"),
        syllable: syllable.to_string(),
        speaker: format!("speaker-{speaker}"),
        split,
        speaker_split,
        group: syllable.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::archives::write_tar_gz;
    use super::*;
    use crate::{Manifest, Value};

    #[test]
    fn a_package_becomes_audio_and_a_table() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("package");
        let root = "./usr/share/gcin-voice/ogg";
        write_tar_gz(
            &package,
            &[
                (&format!("{root}/ㄅㄚ2/5.ogg"), b"five"),
                (&format!("{root}/ㄅㄚ2/3.ogg"), b"three"),
                ("./usr/share/doc/gcin-voice/copyright", b"x"),
            ],
        );
        build(&[package], folder.path(), &mut |_| {}).unwrap();
        let manifest = Manifest::open(folder.path()).unwrap();
        assert_eq!(
            manifest.columns,
            ["audio", "syllable", "speaker", "split", "speaker_split", "group"]
        );
        let [first, second] = &manifest.samples[..] else {
            panic!("{:?}", manifest.samples)
        };
        assert_eq!(first.get("syllable"), &Value::Text("ㄅㄚ2".into()));
        assert_eq!(first.get("speaker"), &Value::Text("speaker-3".into()));
        assert_eq!(first.get("split"), second.get("split"));
        assert_eq!(second.get("speaker_split"), &Value::Text("test".into()));
        let audio = second.get("audio").path(&manifest.root).unwrap();
        assert_eq!(std::fs::read(audio).unwrap(), b"five");
    }

    #[test]
    fn the_unseen_speaker_only_tests() {
        for number in 0..100 {
            let syllable = format!("s{number}");
            assert_eq!(row(&syllable, UNSEEN).unwrap().speaker_split, Split::Test);
            assert_ne!(row(&syllable, "3").unwrap().speaker_split, Split::Test);
        }
    }
}
