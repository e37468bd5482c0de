//! Open Clip Art: drawings with titles and tags.

use super::archives::Limits;
use super::fetch::write_rows;
use super::folder::{Folder, damaged, split, unpack};
use super::packages::{self, Client, Package};
use super::{Entry, Progress};
use crate::Result;
use crate::split::Split;
use roxmltree::{Document, Node, ParsingOptions};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

const PACKAGES: [Package; 2] = [
    Package {
        client: Client::Debian,
        name: "openclipart-svg",
        version: "1:0.18+dfsg-19",
        sha256: "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
        bytes: 24_919_068,
    },
    Package {
        client: Client::Debian,
        name: "openclipart-png",
        version: "1:0.18+dfsg-19",
        sha256: "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02",
        bytes: 130_910_028,
    },
];

pub(super) const ENTRY: Entry = Entry {
    name: "openclipart",
    description: "drawings of things, people, signs and flags with titles and tags",
    licence: "public domain",
    bytes: packages::bytes(&PACKAGES),
    rows: 3_100,
    tasks: &["image tagging", "image captioning"],
    source: "Debian packages openclipart-svg and openclipart-png 1:0.18+dfsg-19",
    packages: &PACKAGES,
    version: "",
    build,
};

const LIMITS: Limits = Limits {
    files: 50_000,
    file_bytes: 64 << 20,
    total_bytes: 2 << 30,
};

/// Thousands of icons of desktop themes, and of stars and polygons that only differ in numbers.
const LEFT_OUT: [&str; 2] = ["computer", "shapes"];
/// What stands where tags are missing: the box of untagged drawings, and a program's mistake.
const NO_TAGS: [&str; 2] = ["unsorted", "hash"];
/// How many pictures a tag must have to be kept in the column `tags`.
const ENOUGH: usize = 20;
/// More than the elements of the largest drawing.
const NODES: u32 = 2_000_000;

/// What a drawing says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Metadata {
    title: Option<String>,
    keywords: Vec<String>,
}

/// A line of the table.
#[derive(Debug, Serialize)]
struct Row {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// Those of the keywords that enough pictures share.
    tags: Vec<String>,
    keywords: Vec<String>,
    category: String,
    split: Split,
    group: String,
}

fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let mut drawings = BTreeMap::new();
    unpack(&packages[0], LIMITS, progress, &mut |path, bytes| {
        if let Some(drawing) = content(path, "svg") {
            drawings.insert(drawing.to_string(), metadata(&bytes, path)?);
        }
        Ok(())
    })?;
    let mut files = Folder::new(folder);
    unpack(
        &packages[1],
        LIMITS,
        progress,
        &mut |path, bytes| match content(path, "png").filter(|drawing| drawings.contains_key(*drawing)) {
            Some(drawing) => files.save(&image(drawing), &bytes),
            None => Ok(()),
        },
    )?;
    drawings.retain(|drawing, _| files.holds(&image(drawing)));
    let rows = rows(drawings)?;
    files.keep(&rows.iter().map(|row| row.image.as_str()).collect())?;
    write_rows(folder, &rows)
}

/// Reads `EXTENSION/CATEGORY/…/NAME.EXTENSION`, unless the category is left out.
fn content<'a>(path: &'a str, extension: &str) -> Option<&'a str> {
    let file = path.strip_prefix("usr/share/openclipart/")?;
    let file = file.strip_prefix(extension)?.strip_prefix('/')?;
    let drawing = file.strip_suffix(extension)?.strip_suffix('.')?;
    let (category, _) = drawing.split_once('/')?;
    (!LEFT_OUT.contains(&category)).then_some(drawing)
}

fn image(drawing: &str) -> String {
    format!("images/{drawing}.png")
}

/// Reads the title and the subjects of the drawing (Dublin Core in RDF).
fn metadata(svg: &[u8], path: &str) -> Result<Metadata> {
    let text = String::from_utf8_lossy(svg);
    let options = ParsingOptions {
        allow_dtd: true,
        nodes_limit: NODES,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(&text, options)
        .map_err(|error| damaged(&format!("expected an SVG drawing, found: {error}"), path))?;
    let Some(work) = document.descendants().find(|node| is(node, "Work")) else {
        return Ok(Metadata::default());
    };
    let child = |name: &str| work.children().find(|node| is(node, name));
    let subjects = child("subject").into_iter().flat_map(|node| node.descendants());
    let mut seen = BTreeSet::new();
    Ok(Metadata {
        title: child("title").and_then(|node| words(&node)),
        keywords: subjects
            .filter(|node| is(node, "li"))
            .filter_map(|node| words(&node))
            .map(|tag| tag.to_lowercase())
            .filter(|tag| !NO_TAGS.contains(&tag.as_str()) && seen.insert(tag.clone()))
            .collect(),
    })
}

/// Names are compared without their namespace, which has changed over the years.
fn is(node: &Node, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}

fn words(node: &Node) -> Option<String> {
    let words: Vec<&str> = node.text()?.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// A row for each drawing with a tag that enough drawings share.
fn rows(drawings: BTreeMap<String, Metadata>) -> Result<Vec<Row>> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for tag in drawings.values().flat_map(|metadata| &metadata.keywords) {
        *counts.entry(tag.clone()).or_default() += 1;
    }
    let mut rows = Vec::new();
    for (drawing, Metadata { title, keywords }) in drawings {
        let shared = keywords.iter().filter(|tag| counts[*tag] >= ENOUGH);
        let tags: Vec<String> = shared.cloned().collect();
        if tags.is_empty() {
            continue;
        }
        let group = stem(&drawing);
        rows.push(Row {
            image: image(&drawing),
            title,
            tags,
            keywords,
            category: drawing.split('/').next().unwrap_or_default().to_string(),
            split: split(ENTRY.name, &group)?,
            group,
        });
    }
    Ok(rows)
}

/// The name of the file without the number at its end: versions of a drawing are counted.
fn stem(drawing: &str) -> String {
    let name = drawing.rsplit('/').next().unwrap_or(drawing);
    let plain = name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '_');
    if plain.is_empty() { name } else { plain }.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::archives::write_tar_gz;
    use super::*;
    use crate::{Manifest, Value};

    fn svg(title: &str, tags: &[&str]) -> String {
        let tags: String = tags.iter().map(|tag| format!("<rdf:li>{tag}</rdf:li>")).collect();
        format!(
            "<?xml version=\"1.0\"?>\n<!DOCTYPE svg [<!ENTITY ns \"http://web.resource.org/cc/\">]>\n\
             <svg><metadata><rdf:RDF xmlns:rdf=\"r\" xmlns:cc=\"&ns;\" xmlns:dc=\"d\"><cc:Work>\
             <dc:title>{title}</dc:title><dc:subject><rdf:Bag>{tags}</rdf:Bag></dc:subject>\
             <dc:creator><cc:Agent><dc:title>Somebody</dc:title></cc:Agent></dc:creator>\
             </cc:Work></rdf:RDF></metadata></svg>"
        )
    }

    fn check(svg: &str, title: Option<&str>, keywords: &[&str]) {
        let found = metadata(svg.as_bytes(), "x.svg").unwrap();
        assert_eq!(found.title.as_deref(), title);
        assert_eq!(found.keywords, keywords);
    }

    #[test]
    fn a_drawing_says_its_title_and_tags() {
        check(
            &svg("A  big\ncat", &["Cat", " cat", "mammal", "hash"]),
            Some("A big cat"),
            &["cat", "mammal"],
        );
        check(&svg("", &["unsorted", ""]), None, &[]);
        check("<svg/>", None, &[]);
        assert!(metadata(b"<svg", "x.svg").is_err());
    }

    #[test]
    fn a_path_says_what_a_file_is() {
        let root = "usr/share/openclipart";
        assert_eq!(
            content(&format!("{root}/png/animals/cat_01.png"), "png"),
            Some("animals/cat_01")
        );
        for other in [
            "png/computer/a.png",
            "svg/animals/cat.svg",
            "png/shapes/x/y.png",
            "png/cat.png",
        ] {
            assert_eq!(content(&format!("{root}/{other}"), "png"), None, "{other}");
        }
    }

    #[test]
    fn versions_of_a_drawing_are_one_group() {
        for (drawing, group) in [
            ("a/cat_01", "cat"),
            ("a/b/cat_02", "cat"),
            ("a/65", "65"),
            ("a/mp3_player", "mp3_player"),
        ] {
            assert_eq!(stem(drawing), group);
        }
    }

    #[test]
    fn packages_become_pictures_and_a_table() {
        let folder = tempfile::tempdir().unwrap();
        let (drawn, painted) = (folder.path().join("svg"), folder.path().join("png"));
        let path = |kind: &str, name: &str| format!("./usr/share/openclipart/{kind}/animals/{name}.{kind}");
        let cats: Vec<String> = (0..ENOUGH).map(|n| format!("cat_{n:02}")).collect();
        let mut drawings: Vec<(String, String)> = cats
            .iter()
            .map(|name| (path("svg", name), svg("Cat", &["cat", name])))
            .collect();
        drawings.push((path("svg", "dog"), svg("Dog", &["dog"])));
        drawings.push((path("svg", "lone"), svg("Cat", &["cat"])));
        let names = cats.iter().map(String::as_str).chain(["dog", "unknown"]);
        let pictures: Vec<(String, String)> = names.map(|name| (path("png", name), name.to_string())).collect();
        for (package, files) in [(&drawn, &drawings), (&painted, &pictures)] {
            let files: Vec<(&str, &[u8])> = files
                .iter()
                .map(|(path, text)| (path.as_str(), text.as_bytes()))
                .collect();
            write_tar_gz(package, &files);
        }
        build(&[drawn, painted], folder.path(), &mut |_| {}).unwrap();
        let manifest = Manifest::open(folder.path()).unwrap();
        assert_eq!(manifest.samples.len(), ENOUGH);
        let cat = &manifest.samples[3];
        assert_eq!(cat.get("tags"), &Value::List(vec![Value::Text("cat".into())]));
        assert_eq!(
            cat.get("keywords"),
            &Value::List(["cat", "cat_03"].map(|tag| Value::Text(tag.into())).into())
        );
        assert_eq!(cat.get("group"), &Value::Text("cat".into()));
        assert_eq!(
            std::fs::read(cat.get("image").path(&manifest.root).unwrap()).unwrap(),
            b"cat_03"
        );
        for gone in ["dog", "unknown", "lone"] {
            assert!(
                !folder.path().join(format!("images/animals/{gone}.png")).exists(),
                "{gone}"
            );
        }
    }
}
