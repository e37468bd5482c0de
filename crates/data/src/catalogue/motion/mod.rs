//! The project's own set: drawn scenes of coloured shapes with captions, questions and answers.
//!
//! Everything about a scene follows from its number, so that the set needs no network and has the
//! same bytes wherever it is made.

mod questions;
mod raster;
mod scene;

use super::fetch::write_rows;
use super::{Entry, Progress};
use crate::random::Key;
use crate::split::{Fractions, Split};
use crate::{DataError, ErrorKind, Result, files};
use scene::Scene;
use serde::Serialize;
use std::path::{Path, PathBuf};

const SCENES: usize = 3000;
/// How many scenes are drawn between two reports of progress.
const STEP: usize = 50;

pub(super) const ENTRY: Entry = Entry {
    name: "motion",
    description: "3,000 generated pictures of 64x64 with one to three coloured shapes, each with a \
                  caption and about nine questions; needs no network",
    licence: "MIT OR Apache-2.0",
    bytes: 0,
    rows: 26_780,
    tasks: &["visual question answering", "image captioning"],
    source: "generated",
    packages: &[],
    version: "motion-1",
    build,
};

fn build(_: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    generate(folder, SCENES, progress)
}

/// A line of the table: a question about a scene, with what all questions about it share.
#[derive(Debug, Clone, Serialize)]
struct Row {
    image: String,
    question: String,
    answer: String,
    caption: String,
    split: Split,
    scene: String,
}

/// Writes the first `count` scenes into `folder`.
fn generate(folder: &Path, count: usize, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let images = folder.join("images");
    files::create_folder(&images)?;
    let mut rows = Vec::new();
    for index in 0..count {
        let key = scene_key(index);
        let scene = Scene::draw(&key);
        let path = images.join(format!("{index}.png"));
        let picture = raster::png(&scene, &key).map_err(|error| {
            let message = format!("expected to encode a picture, found: {error}");
            DataError::new(ErrorKind::Invalid, message).at_path(&path)
        })?;
        std::fs::write(&path, picture).map_err(|error| DataError::io(&error, &path))?;
        rows.extend(scene_rows(index, &key, &scene)?);
        if (index + 1) % STEP == 0 || index + 1 == count {
            progress(Progress::new("drawing scenes", index + 1, Some(count)));
        }
    }
    write_rows(folder, rows)
}

fn scene_key(index: usize) -> Key {
    Key::new(0).with("motion").at(index as u64)
}

fn scene_rows(index: usize, key: &Key, scene: &Scene) -> Result<Vec<Row>> {
    let split = Fractions::new(0.9, 0.05, 0.05)?.draw(&key.with("split"));
    let caption = questions::caption(scene);
    let row = |(question, answer)| Row {
        image: format!("images/{index}.png"),
        question,
        answer,
        caption: caption.clone(),
        split,
        scene: format!("scene-{index}"),
    };
    Ok(questions::ask(scene, key).into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;
    use std::collections::BTreeMap;

    fn generated(count: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        generate(folder.path(), count, &mut |_| {}).unwrap();
        folder
    }

    #[test]
    fn two_generations_have_the_same_bytes() {
        let (one, two) = (generated(6), generated(6));
        for file in (0..6)
            .map(|n| format!("images/{n}.png"))
            .chain(["rows.jsonl".to_string()])
        {
            let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(&file)).unwrap();
            assert_eq!(read(&one), read(&two), "{file}");
        }
    }

    #[test]
    fn the_table_reads_as_a_manifest_with_its_pictures() {
        let folder = generated(3);
        let manifest = Manifest::open(folder.path()).unwrap();
        let columns = ["image", "question", "answer", "caption", "split", "scene"];
        assert_eq!(manifest.columns, columns);
        assert!(manifest.broken.is_empty());
        for sample in &manifest.samples {
            let path = sample.get("image").path(&manifest.root).unwrap();
            assert_eq!(image::image_dimensions(path).unwrap(), (64, 64));
        }
    }

    #[test]
    fn the_whole_set_has_its_rows_and_balanced_answers() {
        let rows: Vec<Row> = (0..SCENES)
            .flat_map(|index| {
                let key = scene_key(index);
                scene_rows(index, &key, &Scene::draw(&key)).unwrap()
            })
            .collect();
        assert_eq!(rows.len(), ENTRY.rows);
        let mut answers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut splits: BTreeMap<Split, usize> = BTreeMap::new();
        for row in &rows {
            *answers.entry(&row.answer).or_default() += 1;
            *splits.entry(row.split).or_default() += 1;
        }
        assert_eq!(answers["yes"], answers["no"]);
        // Beside yes and no: three counts, five shapes, eight colours.
        assert_eq!(answers.len(), 2 + 3 + 5 + 8);
        for (answer, count) in &answers {
            assert!(*count > 200, "{answer}: {count}");
        }
        for split in [Split::Validation, Split::Test] {
            let part = splits[&split] as f64 / rows.len() as f64;
            assert!((0.04..0.06).contains(&part), "{split}: {part}");
        }
    }
}
