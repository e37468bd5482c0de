//! Animated emoji: the truly animated ones of Microsoft's Fluent design, as WebP.

use super::archives::Limits;
use super::emojibase::{self, Emoji, Emojibase, code};
use super::fetch::write_rows;
use super::folder::{Folder, damaged, split, unpack};
use super::packages::{self, Client, Package};
use super::{Entry, Progress};
use crate::Result;
use crate::split::Split;
use serde::Serialize;
use std::path::{Path, PathBuf};

const PACKAGES: [Package; 2] = [
    Package {
        client: Client::Npm,
        name: "@lobehub/fluent-emoji-anim-1",
        version: "1.0.0",
        sha256: "4c03ac178c1eabf2e2a16dd498f3cc2b92dc30ec3466ae38fdc497d4774c99ea",
        bytes: 164_966_217,
    },
    emojibase::PACKAGE,
];

pub(super) const ENTRY: Entry = Entry {
    name: "emoji-animated",
    description: "animated emoji, mostly of 72 frames, with their names, skin tones and tags",
    licence: "MIT",
    bytes: packages::bytes(&PACKAGES),
    rows: 477,
    tasks: &["video tagging", "video captioning"],
    source: "npm packages @lobehub/fluent-emoji-anim-1 1.0.0 and emojibase-data 17.0.0",
    packages: &PACKAGES,
    version: "",
    build,
};

const LIMITS: Limits = Limits {
    files: 5_000,
    file_bytes: 16 << 20,
    total_bytes: 512 << 20,
};

/// A line of the table.
#[derive(Debug, Serialize)]
struct Row {
    video: String,
    label: String,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subcategory: Option<String>,
    frames: usize,
    split: Split,
    /// The name without the skin tone.
    group: String,
}

fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let base = Emojibase::read(&packages[1], progress)?;
    let mut files = Folder::new(folder);
    let mut rows = Vec::new();
    unpack(&packages[0], LIMITS, progress, &mut |path, bytes| {
        let name = path.strip_prefix("package/assets/");
        let Some(name) = name.and_then(|name| name.strip_suffix(".webp")) else {
            return Ok(());
        };
        let frames = frames(&bytes).ok_or_else(|| damaged("expected a whole WebP file, found a part", path))?;
        if let Some(emoji) = base.emoji.get(&code(name)).filter(|_| frames > 1) {
            let row = row(name, emoji, frames)?;
            files.save(&row.video, &bytes)?;
            rows.push(row);
        }
        Ok(())
    })?;
    rows.sort_by(|a, b| a.video.cmp(&b.video));
    write_rows(folder, rows)
}

/// The number of frames of a WebP file: its `ANMF` chunks, or none in a still picture. `None` for
/// another kind of file or a cut one.
///
/// Source: WebP Container Specification, RIFF file format.
fn frames(bytes: &[u8]) -> Option<usize> {
    let (header, mut rest) = bytes.split_at_checked(12)?;
    if !header.starts_with(b"RIFF") || !header.ends_with(b"WEBP") {
        return None;
    }
    let mut frames = 0;
    while !rest.is_empty() {
        let (kind, after) = rest.split_at_checked(4)?;
        let (size, content) = after.split_at_checked(4)?;
        let size = u32::from_le_bytes(size.try_into().ok()?) as usize;
        frames += usize::from(kind == b"ANMF");
        // Chunks begin at even places.
        rest = content.get(size.checked_next_multiple_of(2)?..)?;
    }
    Some(frames)
}

fn row(name: &str, emoji: &Emoji, frames: usize) -> Result<Row> {
    Ok(Row {
        video: format!("videos/{name}.webp"),
        label: emoji.label.clone(),
        tags: emoji.tags.clone(),
        category: emoji.category.clone(),
        subcategory: emoji.subcategory.clone(),
        frames,
        split: split(ENTRY.name, &emoji.base)?,
        group: emoji.base.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::archives::write_tar_gz;
    use super::*;
    use crate::{Manifest, Value};
    use proptest::prelude::*;

    fn webp(chunks: &[(&[u8; 4], usize)]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WEBP".to_vec();
        for (kind, size) in chunks {
            bytes.extend(*kind);
            bytes.extend((*size as u32).to_le_bytes());
            bytes.resize((bytes.len() + size).next_multiple_of(2), 0);
        }
        bytes
    }

    fn check(bytes: &[u8], expected: Option<usize>) {
        assert_eq!(frames(bytes), expected);
    }

    #[test]
    fn frames_are_counted_by_their_chunks() {
        let two = webp(&[(b"VP8X", 10), (b"ANMF", 7), (b"ANMF", 0)]);
        check(&two, Some(2));
        check(&webp(&[(b"VP8 ", 3)]), Some(0));
        check(&two[..two.len() - 9], None);
        check(b"RIFF", None);
        check(b"RIFF\0\0\0\0WAVE", None);
    }

    #[test]
    fn packages_become_videos_and_a_table() {
        let folder = tempfile::tempdir().unwrap();
        let (assets, base) = (folder.path().join("assets"), folder.path().join("base"));
        emojibase::write_tiny(&base);
        let (moving, still) = (webp(&[(b"ANMF", 2), (b"ANMF", 2)]), webp(&[(b"VP8 ", 2)]));
        let files: [(&str, &[u8]); 4] = [
            ("package/assets/1f44b-1f3ff.webp", &moving),
            ("package/assets/1f321-fe0f.webp", &still),
            ("package/assets/aaaa.webp", &moving),
            ("package/README.md", b"x"),
        ];
        write_tar_gz(&assets, &files);
        build(&[assets.clone(), base.clone()], folder.path(), &mut |_| {}).unwrap();
        let manifest = Manifest::open(folder.path()).unwrap();
        let [row] = &manifest.samples[..] else {
            panic!("{:?}", manifest.samples)
        };
        assert_eq!(row.get("label"), &Value::Text("waving hand: dark skin tone".into()));
        assert_eq!(row.get("group"), &Value::Text("waving hand".into()));
        assert_eq!(row.get("frames"), &Value::Number(2.0));
        assert_eq!(
            std::fs::read(row.get("video").path(&manifest.root).unwrap()).unwrap(),
            moving
        );
        write_tar_gz(&assets, &[("package/assets/1f44b.webp", &moving[..20])]);
        assert!(build(&[assets, base], folder.path(), &mut |_| {}).is_err());
    }

    proptest! {
        #[test]
        fn any_chunks_are_counted_without_a_panic(rest: Vec<u8>) {
            let mut bytes = webp(&[]);
            bytes.extend(rest);
            let _ = frames(&bytes);
        }
    }
}
