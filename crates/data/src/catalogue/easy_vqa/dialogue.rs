//! Dialogues about the pictures of easy-VQA: its questions one after another, and between them
//! questions that need the turn before.

use super::super::fetch::write_rows;
use super::super::{Entry, Progress};
use super::facts::{COLOURS, Facts, SHAPES};
use super::follow_ups::{self, Turn};
use super::{Asked, Part};
use crate::Result;
use crate::random::Key;
use crate::split::Split;
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(in super::super) const ENTRY: Entry = Entry {
    name: "easy-vqa-dialogue",
    description: "5,000 dialogues of some 15 turns about pictures of one coloured shape; of the turns, 13,398 \
                  cannot be understood without the turn before",
    rows: 75_044,
    tasks: &["visual dialogue"],
    source: "Python package easy-vqa 1.0",
    version: "dialogue-1",
    build,
    ..super::ENTRY
};

fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    write(folder, super::unpack(&packages[0], folder, progress)?)
}

/// A line of the table: one turn, with all turns before it.
#[derive(Debug, Serialize)]
struct Row {
    image: String,
    history: Vec<(String, String)>,
    question: String,
    answer: String,
    /// Every answer that a question of this kind can have.
    candidates: Vec<&'static str>,
    /// Whether the answer depends on the turn before.
    follow_up: &'static str,
    /// The place of the turn in its dialogue, from 0.
    turn: usize,
    split: Split,
}

fn write(folder: &Path, asked: Vec<Asked>) -> Result<()> {
    let mut pictures: BTreeMap<(Part, u32), Vec<Asked>> = BTreeMap::new();
    for asked in asked {
        pictures.entry((asked.part, asked.number)).or_default().push(asked);
    }
    let mut rows = Vec::new();
    for asked in pictures.into_values() {
        rows.extend(dialogue(&asked)?);
    }
    write_rows(folder, rows)
}

/// The rows of one picture.
fn dialogue(asked: &[Asked]) -> Result<Vec<Row>> {
    let Some(Asked { part, number, .. }) = asked.first() else {
        return Ok(Vec::new());
    };
    let key = Key::new(0)
        .with("easy-vqa-dialogue")
        .with(part.name())
        .at((*number).into());
    let mut rows = Vec::new();
    let mut history = Vec::new();
    for (place, turn) in turns(asked, &key).into_iter().enumerate() {
        rows.push(Row {
            image: asked[0].image(),
            history: history.clone(),
            candidates: candidates(&turn, &key.with("candidates").at(place as u64)),
            question: turn.question.clone(),
            answer: turn.answer.clone(),
            follow_up: if turn.follow_up { "yes" } else { "no" },
            turn: place,
            split: asked[0].split()?,
        });
        history.push((turn.question, turn.answer));
    }
    Ok(rows)
}

/// The package's questions in their order, with the pairs at drawn places between them. A picture
/// about which the questions do not tell everything has no pairs.
fn turns(asked: &[Asked], key: &Key) -> Vec<Turn> {
    let mut generator = key.with("turns").generator();
    let facts = Facts::known(
        asked
            .iter()
            .map(|asked| (asked.question.as_str(), asked.answer.as_str())),
    );
    let pairs = facts.map(|facts| follow_ups::draw(facts, &mut generator));
    let mut placed: Vec<(usize, Vec<Turn>)> = Vec::new();
    for pair in pairs.into_iter().flatten() {
        placed.push((generator.random_range(0..=asked.len()), pair.to_vec()));
    }
    placed.extend(asked.iter().enumerate().map(|(place, asked)| {
        let turn = Turn {
            question: asked.question.clone(),
            answer: asked.answer.clone(),
            follow_up: false,
        };
        (place, vec![turn])
    }));
    // The sort is stable: at one place the pairs come first, in the order in which they were drawn.
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().flat_map(|(_, turns)| turns).collect()
}

fn candidates(turn: &Turn, key: &Key) -> Vec<&'static str> {
    let mut words = match turn.answer.as_str() {
        "yes" | "no" => vec!["yes", "no"],
        // Candidates of one kind would tell which of the two is asked for.
        _ if turn.follow_up => [&COLOURS[..], &SHAPES[..]].concat(),
        answer if COLOURS.contains(&answer) => COLOURS.to_vec(),
        _ => SHAPES.to_vec(),
    };
    words.shuffle(&mut key.generator());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Feature, Manifest, Processor, Value};
    use std::collections::BTreeSet;

    fn asked(number: u32, turns: &[(&str, &str)]) -> Vec<Asked> {
        let asked = |(question, answer): &(&str, &str)| Asked {
            part: Part::Test,
            number,
            question: question.to_string(),
            answer: answer.to_string(),
        };
        turns.iter().map(asked).collect()
    }

    const KNOWN: [(&str, &str); 3] = [
        ("what color is the shape?", "blue"),
        ("is a circle present?", "yes"),
        ("is there no red shape?", "yes"),
    ];

    #[test]
    fn a_dialogue_holds_the_questions_in_order_and_each_pair_together() {
        let mut places = BTreeSet::new();
        for number in 0..200 {
            let rows = dialogue(&asked(number, &KNOWN)).unwrap();
            assert_eq!(rows.len(), KNOWN.len() + 2 * follow_ups::PAIRS);
            for (place, row) in rows.iter().enumerate() {
                let before = rows[..place]
                    .iter()
                    .map(|row| (row.question.clone(), row.answer.clone()));
                assert_eq!(row.history, before.collect::<Vec<_>>());
                assert_eq!((row.turn, row.split), (place, Split::Test));
                assert!(row.candidates.contains(&row.answer.as_str()));
                if row.follow_up == "yes" {
                    places.insert(place);
                    assert_eq!(rows[place - 1].follow_up, "no");
                }
            }
            let mut known = KNOWN.iter().peekable();
            for row in &rows {
                known.next_if(|(question, answer)| row.question == *question && row.answer == *answer);
            }
            assert!(known.peek().is_none(), "{rows:?}");
        }
        assert_eq!(places, (1..9).collect());
    }

    #[test]
    fn a_picture_that_is_not_known_has_its_own_questions_only() {
        let rows = dialogue(&asked(0, &KNOWN[1..])).unwrap();
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.follow_up == "no"));
    }

    #[test]
    fn candidates_are_of_the_kind_of_the_question_in_no_telling_order() {
        let turn = |answer: &str, follow_up| Turn {
            question: String::new(),
            answer: answer.to_string(),
            follow_up,
        };
        for (answer, follow_up, count) in [
            ("yes", false, 2),
            ("no", true, 2),
            ("red", false, 8),
            ("circle", false, 3),
            ("circle", true, 11),
            ("red", true, 11),
        ] {
            let turn = turn(answer, follow_up);
            let place = |index| {
                let words = candidates(&turn, &Key::new(1).at(index));
                assert_eq!(words.len(), count);
                words.iter().position(|word| *word == answer).unwrap()
            };
            let places: BTreeSet<usize> = (0..200).map(place).collect();
            assert_eq!(places.len(), count, "{answer}");
        }
    }

    #[test]
    fn the_table_reads_as_a_manifest() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), asked(3, &KNOWN)).unwrap();
        let manifest = Manifest::open(folder.path()).unwrap();
        let columns = [
            "image",
            "history",
            "question",
            "answer",
            "candidates",
            "follow_up",
            "turn",
            "split",
        ];
        assert_eq!(manifest.columns, columns);
        let text = |text: &str| Value::Text(text.to_string());
        let sample = &manifest.samples[1];
        assert_eq!(sample.get("image"), &text("images/test/3.png"));
        let first = &manifest.samples[0];
        let turn = vec![first.get("question").clone(), first.get("answer").clone()];
        assert_eq!(sample.get("history"), &Value::List(vec![Value::List(turn)]));
        assert_eq!(first.get("history"), &Value::List(Vec::new()));
    }

    #[test]
    fn a_text_input_reads_the_history() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), asked(3, &KNOWN)).unwrap();
        let manifest = Manifest::open(folder.path()).unwrap();
        let config = r#"{"modality":"text","tokenizer":{"kind":"byte"},"max_length":9999}"#;
        let processor = Processor::fit(&serde_json::from_str(config).unwrap(), &[]).unwrap();
        let mut turns: Vec<String> = Vec::new();
        for sample in &manifest.samples {
            let feature = processor.prepare(sample.get("history"), folder.path()).unwrap();
            let Feature::Text(tokens) = feature else {
                panic!("not a text")
            };
            assert_eq!(processor.decode(&tokens).unwrap(), turns.join(" "));
            turns.extend(["question", "answer"].map(|column| sample.get(column).label().unwrap()));
        }
        assert!(turns.len() > 4);
    }
}
