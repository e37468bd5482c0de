//! Tux Paint's stamps: pictures with captions in many languages, four of them also spoken.

use super::archives::Limits;
use super::fetch::write_rows;
use super::folder::{Folder, damaged, split, unpack};
use super::packages::{self, Client, Package};
use super::{Entry, Progress};
use crate::Result;
use crate::split::Split;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const PACKAGES: [Package; 1] = [Package {
    client: Client::Debian,
    name: "tuxpaint-stamps-default",
    version: "2022.06.04-1",
    sha256: "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
    bytes: 160_880_444,
}];

pub(super) const ENTRY: Entry = Entry {
    name: "stamps",
    description: "pictures of things, animals and signs with captions in 25 languages, spoken in \
                  Spanish, French, Russian and Bulgarian",
    licence: "GPL-2",
    bytes: packages::bytes(&PACKAGES),
    rows: 950,
    tasks: &["image captioning", "retrieval", "speech recognition"],
    source: "Debian package tuxpaint-stamps-default 2022.06.04-1",
    packages: &PACKAGES,
    version: "",
    build,
};

const LIMITS: Limits = Limits {
    files: 20_000,
    file_bytes: 32 << 20,
    total_bytes: 1 << 30,
};

/// The languages with about 900 spoken descriptions of good quality each.
const SPOKEN: [&str; 4] = ["es", "fr", "ru", "bg"];
/// The languages of the written captions beside English. The package has 77; these are the spoken
/// ones and others with many speakers or scripts of their own.
const WRITTEN: [&str; 24] = [
    "es", "fr", "ru", "bg", "ar", "cs", "da", "de", "el", "fi", "hi", "hu", "it", "ja", "ko", "nl", "pl", "pt", "sv",
    "tr", "uk", "vi", "zh_CN", "zh_TW",
];
/// The folder of letters, digits, coins and other signs.
const SYMBOLS: &str = "symbols";

fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let mut files = Folder::new(folder);
    let mut texts = BTreeMap::new();
    unpack(&packages[0], LIMITS, progress, &mut |path, bytes| match content(path) {
        None => Ok(()),
        Some(Content::Text(stamp)) => {
            texts.insert(stamp.to_string(), captions(&bytes, path)?);
            Ok(())
        }
        Some(Content::Picture(file)) => files.save(&format!("images/{file}"), &bytes),
        Some(Content::Speech(language, stamp)) => files.save(&spoken(language, stamp), &bytes),
    })?;
    let rows = rows(&files, texts)?;
    let used = rows.iter().flat_map(|row| {
        let speech = row.speech.values().map(String::as_str);
        speech.chain([row.image.as_str()])
    });
    files.keep(&used.collect())?;
    write_rows(folder, &rows)
}

/// A file of the package that the set is made from.
#[derive(Debug, PartialEq, Eq)]
enum Content<'a> {
    Picture(&'a str),
    Text(&'a str),
    Speech(&'static str, &'a str),
}

/// Reads `CATEGORY/…/STAMP.{png,svg,txt}` and `CATEGORY/…/STAMP_desc_LANGUAGE.ogg`.
fn content(path: &str) -> Option<Content<'_>> {
    let file = path.strip_prefix("usr/share/tuxpaint/stamps/")?;
    let (stem, extension) = file.rsplit_once('.')?;
    match extension {
        "png" | "svg" => Some(Content::Picture(file)),
        "txt" => Some(Content::Text(stem)),
        "ogg" => {
            let (stamp, language) = stem.rsplit_once("_desc_")?;
            let language = SPOKEN.iter().find(|known| **known == language)?;
            Some(Content::Speech(language, stamp))
        }
        _ => None,
    }
}

fn spoken(language: &str, stamp: &str) -> String {
    format!("speech/{language}/{stamp}.ogg")
}

/// The English caption and its translations by column.
type Captions = (String, BTreeMap<String, String>);

/// Reads a first line in English and then lines of the form `LANGUAGE.utf8=TEXT`.
fn captions(bytes: &[u8], path: &str) -> Result<Captions> {
    let text = std::str::from_utf8(bytes).map_err(|error| damaged(&format!("expected UTF-8, found: {error}"), path))?;
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let english = lines.next().unwrap_or_default().trim().to_string();
    if english.is_empty() {
        return Err(damaged("expected a caption in the first line, found none", path));
    }
    let translations = lines.filter_map(|line| {
        let (language, text) = line.split_once(".utf8=")?;
        let wanted = WRITTEN.contains(&language) && !text.trim().is_empty();
        wanted.then(|| (format!("caption_{language}"), text.trim().to_string()))
    });
    Ok((english, translations.collect()))
}

/// A line of the table.
#[derive(Debug, Serialize)]
struct Row {
    image: String,
    caption: String,
    /// `caption_es` and so on.
    #[serde(flatten)]
    translations: BTreeMap<String, String>,
    /// `speech_es` and so on; absent where nobody has spoken it.
    #[serde(flatten)]
    speech: BTreeMap<String, String>,
    category: String,
    symbol: bool,
    split: Split,
    group: String,
}

/// A row for each text with a picture. Of a stamp that is there drawn and painted, the painted one.
fn rows(files: &Folder, texts: BTreeMap<String, Captions>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (stamp, (caption, translations)) in texts {
        let pictures = ["png", "svg"].map(|extension| format!("images/{stamp}.{extension}"));
        let Some(image) = pictures.into_iter().find(|path| files.holds(path)) else {
            continue;
        };
        let speech = SPOKEN
            .iter()
            .map(|language| (format!("speech_{language}"), spoken(language, &stamp)));
        let category = stamp.split('/').next().unwrap_or_default().to_string();
        rows.push(Row {
            image,
            speech: speech.filter(|(_, path)| files.holds(path)).collect(),
            translations,
            symbol: category == SYMBOLS,
            category,
            split: split(ENTRY.name, &caption)?,
            group: caption.clone(),
            caption,
        });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::super::archives::write_tar_gz;
    use super::*;
    use crate::{Manifest, Value};

    fn check(path: &str, expected: Option<Content>) {
        let path = format!("usr/share/tuxpaint/stamps/{path}");
        assert_eq!(content(&path), expected, "{path}");
    }

    #[test]
    fn a_path_says_what_a_file_is() {
        check("animals/frog.svg", Some(Content::Picture("animals/frog.svg")));
        check("animals/frog.txt", Some(Content::Text("animals/frog")));
        check("a/frog_1_desc_ru.ogg", Some(Content::Speech("ru", "a/frog_1")));
        for other in [
            "a/frog.ogg",
            "a/frog_desc.ogg",
            "a/frog_desc_el.ogg",
            "a/frog.dat",
            "frog",
        ] {
            check(other, None);
        }
        assert_eq!(content("usr/share/doc/frog.png"), None);
    }

    #[test]
    fn captions_are_read_by_language() {
        let text =
            "\u{feff}A frog. \r\nes.utf8=Una rana.\r\nca@valencia.utf8=Granota\n  notes = x\nfr.utf8= \nde.utf8=a=b\n";
        let (english, others) = captions(text.as_bytes(), "frog.txt").unwrap();
        assert_eq!(english, "A frog.");
        let expected = [("caption_es", "Una rana."), ("caption_de", "a=b")];
        assert_eq!(
            others,
            expected.map(|(column, text)| (column.into(), text.into())).into()
        );
        for wrong in [&b"\nes.utf8=x"[..], b"", b"\xff"] {
            assert!(captions(wrong, "frog.txt").is_err());
        }
    }

    #[test]
    fn a_package_becomes_pictures_speech_and_a_table() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("package");
        let root = |path: &str| format!("./usr/share/tuxpaint/stamps/{path}");
        let files = [
            (root("animals/frog.txt"), "A frog.\nes.utf8=Una rana."),
            (root("animals/frog.svg"), "drawn"),
            (root("animals/frog.png"), "painted"),
            (root("animals/frog_desc_es.ogg"), "rana"),
            (root("animals/lone_desc_es.ogg"), "lone"),
            (root("animals/frog_mirror.png"), "mirror"),
            (root("symbols/a.txt"), "The letter A."),
            (root("symbols/a.svg"), "A"),
            (root("symbols/b.txt"), "No picture."),
        ];
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_bytes()))
            .collect();
        write_tar_gz(&package, &files);
        build(&[package], folder.path(), &mut |_| {}).unwrap();
        let manifest = Manifest::open(folder.path()).unwrap();
        assert_eq!(manifest.samples.len(), 2);
        let frog = &manifest.samples[0];
        let read = |column| std::fs::read(frog.get(column).path(&manifest.root).unwrap()).unwrap();
        assert_eq!(
            (read("image"), read("speech_es")),
            (b"painted".to_vec(), b"rana".to_vec())
        );
        assert_eq!(frog.get("caption_es"), &Value::Text("Una rana.".into()));
        assert_eq!(frog.get("group"), frog.get("caption"));
        assert_eq!(frog.get("symbol"), &Value::Text("false".into()));
        assert_eq!(
            manifest.samples[1].get("image"),
            &Value::Text("images/symbols/a.svg".into())
        );
        assert_eq!(manifest.samples[1].get("symbol"), &Value::Text("true".into()));
        assert_eq!(manifest.samples[1].get("speech_es"), &Value::Absent);
        for gone in [
            "images/animals/frog.svg",
            "images/animals/frog_mirror.png",
            "speech/es/animals/lone.ogg",
        ] {
            assert!(!folder.path().join(gone).exists(), "{gone}");
        }
    }
}
