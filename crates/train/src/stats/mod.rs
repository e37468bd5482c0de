//! The page about a data set: what `data stats` draws from what `data check` found.

mod bars;
mod columns;
mod copies;
mod labels;
mod notices;
mod pictures;
mod unit;

use crate::page::{self, format};
use copies::{CopiesView, QuarantineView};
use pictures::Pictures;
use sensorium_data::Manifest;
use sensorium_data::check::{ColumnStatistics, Report, Role};
use serde::Serialize;
use unit::Unit;

const TEMPLATES: [(&str, &str); 4] = [
    ("stats.html", include_str!("stats.html")),
    ("columns.html", include_str!("columns.html")),
    ("copies.html", include_str!("copies.html")),
    ("stats.css", include_str!("stats.css")),
];

/// The splits in reading order; others follow.
const SPLITS: [&str; 3] = ["train", "validation", "test"];

/// Columns that have a card, and characters of their names.
const COLUMNS: usize = 60;
const NAME: usize = 80;

/// What the page about a data set is drawn from.
#[derive(Debug, Clone, Copy)]
pub struct DataPage<'a> {
    /// What people call the set, the page's title.
    pub name: &'a str,
    /// The manifest that was checked; a few of its media are read again for the pictures.
    pub manifest: &'a Manifest,
    pub report: &'a Report,
}

/// What the template reads.
#[derive(Debug, Serialize)]
struct Page<'a> {
    name: &'a str,
    generated_by: String,
    good: String,
    /// What else became of the rows, such as `of 60 rows; 6 cannot be read`.
    others: String,
    facts: Vec<(&'static str, String)>,
    splits: Vec<SplitView>,
    notices: Vec<notices::Notice>,
    columns: Vec<columns::ColumnView>,
    /// How many columns have no card.
    other_columns: usize,
    leaks: CopiesView,
    duplicates: CopiesView,
    quarantine: QuarantineView,
}

#[derive(Debug, Serialize)]
struct SplitView {
    name: String,
    rows: String,
    share: String,
    /// The rows as a number, for the length of its part of the bar.
    length: usize,
}

impl DataPage<'_> {
    /// Renders a self-contained HTML page of at most about 1.5 MB. The same data give the same bytes.
    pub fn render(&self) -> String {
        page::render(&TEMPLATES, self.page())
    }

    fn page(&self) -> Page<'_> {
        let mut pictures = Pictures::new(self.manifest, self.report);
        Page {
            name: self.name,
            generated_by: format!("sensorium {}", env!("CARGO_PKG_VERSION")),
            good: format::count(self.report.good as u64),
            others: others(self.report),
            facts: facts(self.report),
            splits: splits(self.report),
            notices: notices::notices(self.report),
            columns: self
                .report
                .columns
                .iter()
                .take(COLUMNS)
                .map(|column| columns::view(column, self.report, &mut pictures))
                .collect(),
            other_columns: self.report.columns.len().saturating_sub(COLUMNS),
            leaks: copies::leaks(self.report, &mut pictures),
            duplicates: copies::duplicates(self.report, &mut pictures),
            quarantine: copies::quarantine(self.report, self.manifest),
        }
    }
}

/// The names of `report`'s splits, those that every set has first.
fn split_names(report: &Report) -> Vec<&str> {
    let rank = |name: &&str| SPLITS.iter().position(|known| known == name).unwrap_or(SPLITS.len());
    let mut names: Vec<&str> = report.splits.keys().map(String::as_str).collect();
    names.sort_by_key(rank);
    names
}

/// `1 row`, `2,000 rows`.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        format::count(count as u64),
        if count == 1 { one } else { many }
    )
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn others(report: &Report) -> String {
    let rows = counted(report.rows, "row", "rows");
    let mut parts = Vec::new();
    if !report.quarantined.is_empty() {
        parts.push(format!(
            "{} cannot be read",
            format::count(report.quarantined.len() as u64)
        ));
    }
    if report.skipped > 0 {
        parts.push(format!(
            "{} left out by the filter",
            format::count(report.skipped as u64)
        ));
    }
    match parts.is_empty() {
        true => "every row can be read".to_string(),
        false => format!("of {rows}; {}", parts.join(", ")),
    }
}

fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let seconds = |role: Role| -> f64 {
        let of_role = report.columns.iter().filter(|column| column.role == role);
        let seconds = of_role.filter_map(|column: &ColumnStatistics| column.seconds.as_ref());
        seconds.fold(0.0, |total, seconds| total + seconds.sum)
    };
    let mut facts = vec![("Columns", format::count(report.columns.len() as u64))];
    if report.media > 0 {
        facts.push(("Distinct media", format::count(report.media as u64)));
        facts.push(("Size of the media", Unit::Bytes.show(report.bytes as f64)));
    }
    for (name, role) in [("Sound", Role::Audio), ("Video", Role::Video)] {
        let total = seconds(role);
        if total > 0.0 {
            facts.push((name, format::duration(total)));
        }
    }
    facts.push(("Groups of duplicates", format::count(report.duplicate_groups as u64)));
    facts.push(("Leaks between splits", format::count(report.leak_groups as u64)));
    facts
}

fn splits(report: &Report) -> Vec<SplitView> {
    let view = |name: &str| SplitView {
        name: name.to_string(),
        rows: format::count(report.splits[name] as u64),
        share: format::percent(share(report.splits[name], report.good)),
        length: report.splits[name],
    };
    split_names(report).into_iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::testing::{BREAKOUTS, HOSTILE, check_page};
    use sensorium_data::Manifest;
    use sensorium_data::check::{CheckOptions, check as look};
    use serde_json::{Value, json};
    use std::path::Path;
    use std::sync::atomic::AtomicBool;
    use tempfile::TempDir;

    const ESCAPED: &str = "&lt;script&gt;alert(&#x27;x&#x27;)";

    fn png(folder: &Path, name: &str, shade: u8) {
        let picture = image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([shade, (x * 6) as u8, (y * 8) as u8]));
        picture.save(folder.join(name)).unwrap();
    }

    /// A tenth of a second of silence and clicks as a WAV file.
    fn wav(folder: &Path, name: &str, rate: u32) {
        let samples: Vec<u8> = (0..rate / 10)
            .flat_map(|at| ((at % 40 * 200) as i16).to_le_bytes())
            .collect();
        let mut file = b"RIFF".to_vec();
        file.extend((36 + samples.len() as u32).to_le_bytes());
        file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
        file.extend(rate.to_le_bytes());
        file.extend((rate * 2).to_le_bytes());
        file.extend(b"\x02\0\x10\0data");
        file.extend((samples.len() as u32).to_le_bytes());
        file.extend(samples);
        std::fs::write(folder.join(name), file).unwrap();
    }

    /// Twelve rows of every role, `word` being a label, a text and a missing picture's name.
    fn rows(folder: &Path, word: &str) -> Vec<Value> {
        for number in 0..6u8 {
            png(folder, &format!("{number}.png"), number * 40);
            wav(
                folder,
                &format!("{number}.wav"),
                [8_000, 16_000][usize::from(number % 2)],
            );
        }
        png(folder, "copy.png", 0);
        let mut rows: Vec<Value> = (0..12)
            .map(|number| {
                let image = format!("{}.png", number % 6);
                let (answer, split) = ([word, "no"][number % 2], ["train", "test"][number / 6]);
                json!({
                    "image": image, "audio": format!("{}.wav", number % 6),
                    "video": [image, "1.png"], "answer": answer,
                    "question": format!("{word} number {number} of all the questions"), "note": null,
                    "rating": number as f64 / 4.0, "split": split,
                })
            })
            .collect();
        rows.push(json!({"image": "copy.png", "answer": "no", "split": "train"}));
        rows.push(json!({"image": format!("{word}.png"), "answer": "no", "split": "train"}));
        rows
    }

    fn set(rows: impl Fn(&Path) -> Vec<Value>) -> (TempDir, Manifest) {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = rows(folder.path()).iter().map(|row| format!("{row}\n")).collect();
        std::fs::write(folder.path().join("rows.jsonl"), lines).unwrap();
        let manifest = Manifest::open(&folder.path().join("rows.jsonl")).unwrap();
        (folder, manifest)
    }

    fn page(name: &str, manifest: &Manifest) -> String {
        let report = look(manifest, &CheckOptions::default(), &AtomicBool::new(false), &|_, _| {}).unwrap();
        let page = DataPage {
            name,
            manifest,
            report: &report,
        };
        page.render()
    }

    fn check(name: &str, rows: impl Fn(&Path) -> Vec<Value>, present: &[&str], absent: &[&str]) {
        let (_folder, manifest) = set(rows);
        check_page(&page(name, &manifest), present, absent);
    }

    #[test]
    fn everything_is_escaped() {
        check(
            HOSTILE,
            |folder| rows(folder, HOSTILE),
            &[ESCAPED, "Data report"],
            &BREAKOUTS,
        );
        let hostile_columns = |folder: &Path| {
            png(folder, "a.png", 1);
            let row = |value: &str| json!({HOSTILE: value, "picture": "a.png"});
            [
                vec![row(HOSTILE); 4],
                vec![json!({HOSTILE: "x", "picture": format!("{HOSTILE}.png")})],
            ]
            .concat()
        };
        check("set", hostile_columns, &[ESCAPED, "cannot be read"], &BREAKOUTS);
    }

    #[test]
    fn every_role_has_its_part() {
        let present = [
            "<title>easy</title>",
            "of 14 rows; 1 cannot be read",
            "<span class=\"role image\">",
            "<span class=\"role audio\">",
            "<span class=\"role video\">",
            "<span class=\"role label\">",
            "<span class=\"role text\">",
            "<span class=\"role number\">",
            "<span class=\"role split\">",
            "<span class=\"role empty\">",
            "data:image/png;base64,iVBORw",
            "note is empty",
            "audio mixes sample rates",
            "leaks between splits",
            "of duplicates</a>",
            "<b>40 px</b> wide",
            "Always answering",
            "yes number 0 of all the questions",
            "yes.png",
            "no such file",
            "prefers-color-scheme: dark",
        ];
        check(
            "easy",
            |folder| rows(folder, "yes"),
            &present,
            &["Nothing needs attention"],
        );
    }

    #[test]
    fn a_set_without_faults_or_labels_or_good_rows_has_a_page() {
        let texts = |_: &Path| (0..3).map(|number| json!({"text": format!("text {number}")})).collect();
        check(
            "texts",
            texts,
            &["Nothing needs attention", "every row can be read"],
            &["Duplicates <", "id=\"leaks\""],
        );
        let broken = |_: &Path| vec![json!({"image": "no.png", "answer": "yes"})];
        check(
            "broken",
            broken,
            &["of 1 row; 1 cannot be read", "id=\"quarantine\""],
            &["base64,"],
        );
    }

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let row = |number: usize| json!({"label": format!("label {}", number % 40), "image": format!("{number}.png")});
        let many = move |_: &Path| (0..400).map(row).collect();
        check("many", many, &["400", "… 200 more"], &["row 399"]);
        let wide = |_: &Path| {
            vec![Value::Object(
                (0..70).map(|at| (format!("column {at:02}"), json!(at))).collect(),
            )]
        };
        check("wide", wide, &["column 59", "… 10 more columns"], &["column 60"]);
        let labels = |_: &Path| {
            (0..400)
                .map(|number| json!({"label": format!("label {}", number % 40)}))
                .collect()
        };
        check("labels", labels, &["18 more labels", "… 10 more", "2.5%"], &[]);
    }

    #[test]
    fn the_pictures_of_many_columns_stay_within_the_budget() {
        let noise = |folder: &Path| {
            let row = |number: u32| {
                let mut state = number + 1;
                let picture = image::RgbImage::from_fn(112, 112, |_, _| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    image::Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
                });
                picture.save(folder.join(format!("{number}.png"))).unwrap();
                let cell = |column: u32| {
                    (
                        format!("view {column}"),
                        json!(format!("{}.png", (number + column) % 8)),
                    )
                };
                Value::Object((0..8).map(cell).collect())
            };
            (0..8).map(row).collect::<Vec<Value>>()
        };
        let (_folder, manifest) = set(noise);
        let page = page("noise", &manifest);
        assert!((700_000..1_500_000).contains(&page.len()), "{}", page.len());
    }

    #[test]
    fn the_same_data_give_the_same_bytes() {
        let (_folder, manifest) = set(|folder| rows(folder, "yes"));
        assert_eq!(page("easy", &manifest), page("easy", &manifest));
    }
}
