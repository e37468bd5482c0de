//! The project's own set: drawn scenes of coloured shapes with captions, questions and answers, each
//! with a clip of its leftmost shape in motion and with tones for its shapes.
//!
//! Everything about a scene follows from its number, so that the set needs no network and has the
//! same bytes wherever it is made. Beside the table, which has a line for each question, lies
//! `scenes.jsonl` with a line for each scene.

mod clip;
mod frames;
mod questions;
mod raster;
mod scene;
mod tones;

use super::fetch::{write_rows, write_rows_to};
use super::{Entry, Progress};
use crate::random::Key;
use crate::split::{Fractions, Split};
use crate::{DataError, ErrorKind, Result, files};
use clip::Clip;
use rayon::prelude::*;
use scene::Scene;
use serde::Serialize;
use std::path::{Path, PathBuf};
use tones::Tones;

const SCENES: usize = 3000;
/// How many scenes are drawn between two reports of progress.
const STEP: usize = 50;

pub(super) const ENTRY: Entry = Entry {
    name: "motion",
    description: "3,000 generated scenes of one to three coloured shapes: a picture of 64x64 with a \
                  caption and about nine questions, a clip whose motion no single frame shows, and \
                  tones; needs no network",
    licence: "MIT OR Apache-2.0",
    bytes: 0,
    rows: 26_780,
    tasks: &[
        "visual question answering",
        "image captioning",
        "video tagging",
        "video captioning",
        "audio transcription",
    ],
    source: "generated",
    packages: &[],
    version: "motion-2",
    build,
};

fn build(_: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    generate(folder, SCENES, progress)
}

/// A line of the table: a question about each of the media of a scene, with what all questions
/// about it share.
#[derive(Debug, Clone, Serialize)]
struct Row {
    image: String,
    question: String,
    answer: String,
    caption: String,
    split: Split,
    scene: String,
    video: String,
    motion: Vec<String>,
    video_caption: String,
    video_question: String,
    video_answer: String,
    audio: String,
    tone: String,
    audio_question: String,
    audio_answer: String,
}

/// A line of the second table: what the media of a scene show.
#[derive(Debug, Serialize)]
struct SceneRow<'a> {
    image: &'a str,
    caption: &'a str,
    video: &'a str,
    motion: &'a [String],
    video_caption: &'a str,
    audio: &'a str,
    tone: &'a str,
    split: Split,
    scene: &'a str,
}

impl<'a> From<&'a Row> for SceneRow<'a> {
    fn from(row: &'a Row) -> Self {
        Self {
            image: &row.image,
            caption: &row.caption,
            video: &row.video,
            motion: &row.motion,
            video_caption: &row.video_caption,
            audio: &row.audio,
            tone: &row.tone,
            split: row.split,
            scene: &row.scene,
        }
    }
}

/// A scene with its clip and its tones.
struct Drawn {
    index: usize,
    key: Key,
    scene: Scene,
    clip: Clip,
    tones: Tones,
}

impl Drawn {
    fn new(index: usize) -> Option<Self> {
        let key = Key::new(0).with("motion").at(index as u64);
        let scene = Scene::draw(&key);
        let first = scene.figures.first()?;
        Some(Self {
            clip: Clip::draw(first.shape, first.colour, &key),
            tones: Tones::draw(&scene, &key),
            index,
            scene,
            key,
        })
    }

    /// Writes the three media.
    fn write(&self, folder: &Path) -> Result<()> {
        let write = |path: String, bytes: &[u8]| {
            let path = folder.join(path);
            std::fs::write(&path, bytes).map_err(|error| DataError::io(&error, &path))
        };
        let unencoded = |error: &dyn std::error::Error| {
            let message = format!("expected to encode scene {}, found: {error}", self.index);
            DataError::new(ErrorKind::Invalid, message)
        };
        let image = raster::png(&self.scene, &self.key).map_err(|error| unencoded(&error))?;
        let video = frames::animated_png(&self.clip).map_err(|error| unencoded(&error))?;
        write(self.image(), &image)?;
        write(self.video(), &video)?;
        write(self.audio(), &self.tones.wav())
    }

    fn image(&self) -> String {
        format!("images/{}.png", self.index)
    }

    fn video(&self) -> String {
        format!("videos/{}.png", self.index)
    }

    fn audio(&self) -> String {
        format!("audio/{}.wav", self.index)
    }

    /// A line for each question about the picture; the others come around in turn.
    fn rows(&self) -> Result<Vec<Row>> {
        let split = Fractions::new(0.9, 0.05, 0.05)?.draw(&self.key.with("split"));
        let about_video = self.clip.ask().into_iter().cycle();
        let about_audio = self.tones.ask().into_iter().cycle();
        let about_image = questions::ask(&self.scene, &self.key).into_iter();
        let asked = about_image.zip(about_video).zip(about_audio);
        let row = |(((question, answer), (video_question, video_answer)), (audio_question, audio_answer))| Row {
            image: self.image(),
            question,
            answer,
            caption: questions::caption(&self.scene),
            split,
            scene: format!("scene-{}", self.index),
            video: self.video(),
            motion: self.clip.motions.iter().map(clip::Motion::to_string).collect(),
            video_caption: self.clip.caption(),
            video_question,
            video_answer,
            audio: self.audio(),
            tone: self.tones.label(),
            audio_question,
            audio_answer,
        };
        Ok(asked.map(row).collect())
    }
}

/// Writes the first `count` scenes into `folder`.
fn generate(folder: &Path, count: usize, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    for media in ["images", "videos", "audio"] {
        files::create_folder(&folder.join(media))?;
    }
    let mut scenes: Vec<Vec<Row>> = Vec::new();
    for start in (0..count).step_by(STEP) {
        let end = count.min(start + STEP);
        let drawn = (start..end).into_par_iter().filter_map(Drawn::new);
        let rows: Vec<Vec<Row>> = drawn
            .map(|drawn| drawn.write(folder).and_then(|()| drawn.rows()))
            .collect::<Result<_>>()?;
        scenes.extend(rows);
        progress(Progress::new("drawing scenes", end, Some(count)));
    }
    let first = scenes.iter().filter_map(|rows| rows.first()).map(SceneRow::from);
    write_rows_to(&folder.join("scenes.jsonl"), first)?;
    write_rows(folder, scenes.iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Manifest, Value};
    use std::collections::BTreeMap;

    fn generated(count: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        generate(folder.path(), count, &mut |_| {}).unwrap();
        folder
    }

    #[test]
    fn two_generations_have_the_same_bytes() {
        let (one, two) = (generated(6), generated(6));
        let media = |n| {
            [
                format!("images/{n}.png"),
                format!("videos/{n}.png"),
                format!("audio/{n}.wav"),
            ]
        };
        let tables = ["rows.jsonl", "scenes.jsonl"].map(String::from);
        for file in (0..6).flat_map(media).chain(tables) {
            let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(&file)).unwrap();
            assert_eq!(read(&one), read(&two), "{file}");
        }
    }

    #[test]
    fn the_table_reads_as_a_manifest_with_its_pictures() {
        let folder = generated(3);
        let manifest = Manifest::open(folder.path()).unwrap();
        let columns = ["image", "question", "answer", "caption", "split", "scene", "video"];
        assert_eq!(manifest.columns[..7], columns);
        let scenes = Manifest::open(&folder.path().join("scenes.jsonl")).unwrap();
        assert_eq!(scenes.rows(), 3);
        assert!(manifest.broken.is_empty() && scenes.broken.is_empty());
        for sample in manifest.samples.iter().chain(&scenes.samples) {
            for column in ["image", "video"] {
                let path = sample.get(column).path(&manifest.root).unwrap();
                assert_eq!(image::image_dimensions(path).unwrap(), (64, 64));
            }
            let path = sample.get("audio").path(&manifest.root).unwrap();
            assert_eq!(hound::WavReader::open(path).unwrap().duration(), 8000);
            assert!(matches!(sample.get("motion"), Value::List(motions) if !motions.is_empty()));
        }
    }

    #[test]
    fn the_whole_set_has_its_rows_and_balanced_answers() {
        let drawn = (0..SCENES).map(|index| Drawn::new(index).unwrap());
        let rows: Vec<Row> = drawn.flat_map(|drawn| drawn.rows().unwrap()).collect();
        assert_eq!(rows.len(), ENTRY.rows);
        let mut answers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut splits: BTreeMap<Split, usize> = BTreeMap::new();
        for row in &rows {
            *answers.entry(&row.answer).or_default() += 1;
            *splits.entry(row.split).or_default() += 1;
        }
        assert_eq!(answers["yes"], answers["no"]);
        let video = |answer| rows.iter().filter(|row| row.video_answer == answer).count() as f64;
        assert!((0.9..1.1).contains(&(video("yes") / video("no"))));
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
