//! Emoji: small pictures of two vendors with names in many languages and tags.

use super::archives::Limits;
use super::emojibase::{self, Emojibase, code, parse};
use super::fetch::write_rows;
use super::folder::{Folder, damaged, split, unpack};
use super::packages::{self, Client, Package};
use super::{Entry, Progress};
use crate::split::Split;
use crate::{DataError, ErrorKind, Result};
use image::{ImageFormat, ImageReader, RgbaImage, imageops};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::{Path, PathBuf};

const PACKAGES: [Package; 2] = [
    Package {
        client: Client::Npm,
        name: "emoji-datasource",
        version: "16.0.0",
        sha256: "2006725061dc0098daa832d65f854a7bec0740af2eb47cb5b23d89f7e2c849f9",
        bytes: 25_187_342,
    },
    emojibase::PACKAGE,
];

pub(super) const ENTRY: Entry = Entry {
    name: "emoji",
    description: "1,911 emoji of 32x32, each as Google and as Twitter draw it, with names in 28 \
                  languages and English tags",
    licence: "MIT (data), Apache-2.0 and CC-BY-4 (pictures)",
    bytes: packages::bytes(&PACKAGES),
    rows: 3_822,
    tasks: &["image tagging", "image captioning"],
    source: "npm packages emoji-datasource 16.0.0 and emojibase-data 17.0.0",
    packages: &PACKAGES,
    version: "",
    build,
};

const LIMITS: Limits = Limits {
    files: 100,
    file_bytes: 16 << 20,
    total_bytes: 128 << 20,
};

const VENDORS: [&str; 2] = ["google", "twitter"];
/// The side of a picture on a sheet in pixels; each has a border of one pixel around it.
const SIDE: u32 = 32;
/// More than the side of a sheet in pixels.
const SHEET: u32 = 4096;

/// Where an emoji lies on the sheets; skin tones lie elsewhere and are left out.
#[derive(Debug, Deserialize)]
struct Place {
    unified: String,
    sheet_x: u32,
    sheet_y: u32,
    has_img_google: bool,
    has_img_twitter: bool,
}

/// A line of the table.
#[derive(Debug, Serialize)]
struct Row {
    image: String,
    label: String,
    /// `label_de` and so on; absent where the language has none.
    #[serde(flatten)]
    labels: BTreeMap<String, String>,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subcategory: Option<String>,
    vendor: &'static str,
    split: Split,
    group: String,
}

fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let base = Emojibase::read(&packages[1], progress)?;
    let mut places: Vec<Place> = Vec::new();
    let mut sheets = BTreeMap::new();
    unpack(&packages[0], LIMITS, progress, &mut |path, bytes| {
        if path == "package/emoji.json" {
            places = parse(&bytes, path)?;
        }
        if let Some(vendor) = VENDORS.into_iter().find(|vendor| path == sheet_of(vendor)) {
            sheets.insert(vendor, decode(&bytes).map_err(|error| error.in_field(path))?);
        }
        Ok(())
    })?;
    let mut files = Folder::new(folder);
    let mut rows = Vec::new();
    for (vendor, sheet) in &sheets {
        for place in places.iter().filter(|place| place.is_drawn_by(vendor)) {
            let row = row(place, vendor, &base)?;
            files.save(&row.image, &cut(sheet, place)?)?;
            rows.push(row);
            progress(Progress::new(
                "cutting sheets",
                rows.len(),
                Some(places.len() * sheets.len()),
            ));
        }
    }
    files.keep(&rows.iter().map(|row| row.image.as_str()).collect::<BTreeSet<_>>())?;
    write_rows(folder, &rows)
}

fn sheet_of(vendor: &str) -> String {
    format!("package/img/{vendor}/sheets/32.png")
}

impl Place {
    fn is_drawn_by(&self, vendor: &str) -> bool {
        match vendor {
            "google" => self.has_img_google,
            _ => self.has_img_twitter,
        }
    }
}

fn decode(bytes: &[u8]) -> Result<RgbaImage> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(SHEET), Some(SHEET));
    reader.limits(limits);
    let wrong = |error| DataError::new(ErrorKind::Damaged, format!("expected a PNG picture, found: {error}"));
    Ok(reader.decode().map_err(wrong)?.into_rgba8())
}

/// The picture of an emoji as a PNG file.
fn cut(sheet: &RgbaImage, place: &Place) -> Result<Vec<u8>> {
    let corner = |cell: u32| cell.saturating_mul(SIDE + 2).saturating_add(1);
    let (x, y) = (corner(place.sheet_x), corner(place.sheet_y));
    if x.saturating_add(SIDE) > sheet.width() || y.saturating_add(SIDE) > sheet.height() {
        let found = format!("expected a place on the sheet, found {x}, {y}");
        return Err(damaged(&found, &place.unified));
    }
    let picture = imageops::crop_imm(sheet, x, y, SIDE, SIDE).to_image();
    let mut bytes = Cursor::new(Vec::new());
    let failed = |error| damaged(&format!("expected to encode a picture, found: {error}"), &place.unified);
    picture.write_to(&mut bytes, ImageFormat::Png).map_err(failed)?;
    Ok(bytes.into_inner())
}

fn row(place: &Place, vendor: &'static str, base: &Emojibase) -> Result<Row> {
    let code = code(&place.unified);
    let unknown = || damaged("expected an emoji that has a name, found another", &place.unified);
    let emoji = base.emoji.get(&code).ok_or_else(unknown)?;
    let labels = base.labels.iter().filter_map(|(language, labels)| {
        let label = labels.get(&code)?;
        Some((format!("label_{language}"), label.clone()))
    });
    Ok(Row {
        image: format!("images/{vendor}/{}.png", code.to_ascii_lowercase()),
        label: emoji.label.clone(),
        labels: labels.collect(),
        tags: emoji.tags.clone(),
        category: emoji.category.clone(),
        subcategory: emoji.subcategory.clone(),
        vendor,
        split: split(ENTRY.name, &emoji.label)?,
        group: emoji.label.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::archives::write_tar_gz;
    use super::*;
    use crate::{Manifest, Value};
    use image::Rgba;

    /// A sheet of two by one cells; the second is blue with a red border.
    fn sheet() -> RgbaImage {
        RgbaImage::from_fn(68, 34, |x, y| {
            let inside = (35..67).contains(&x) && (1..33).contains(&y);
            if inside {
                Rgba([0, 0, 255, 128])
            } else {
                Rgba([255, 0, 0, 255])
            }
        })
    }

    fn place(unified: &str, x: u32) -> Place {
        Place {
            unified: unified.into(),
            sheet_x: x,
            sheet_y: 0,
            has_img_google: true,
            has_img_twitter: false,
        }
    }

    #[test]
    fn a_picture_is_cut_without_its_border() {
        let picture = decode(&cut(&sheet(), &place("1F44B", 1)).unwrap()).unwrap();
        assert_eq!(picture.dimensions(), (SIDE, SIDE));
        assert!(picture.pixels().all(|pixel| *pixel == Rgba([0, 0, 255, 128])));
        for x in [2, u32::MAX] {
            assert_eq!(cut(&sheet(), &place("1F44B", x)).unwrap_err().kind, ErrorKind::Damaged);
        }
    }

    fn build_from(places: &str) -> (tempfile::TempDir, Result<()>) {
        let folder = tempfile::tempdir().unwrap();
        let (sheets, base) = (folder.path().join("sheets"), folder.path().join("base"));
        emojibase::write_tiny(&base);
        let mut png = Cursor::new(Vec::new());
        sheet().write_to(&mut png, ImageFormat::Png).unwrap();
        let files = [
            ("package/emoji.json", places.as_bytes()),
            ("package/img/google/sheets/32.png", png.get_ref()),
            ("package/img/twitter/sheets/32.png", png.get_ref()),
            ("package/img/apple/sheets/32.png", b"left out"),
        ];
        write_tar_gz(&sheets, &files);
        let result = build(&[sheets, base], folder.path(), &mut |_| {});
        (folder, result)
    }

    #[test]
    fn packages_become_pictures_and_a_table() {
        let places = r#"[{"unified":"1F44B","sheet_x":1,"sheet_y":0,"has_img_google":true,"has_img_twitter":true},
            {"unified":"1F321-FE0F","sheet_x":0,"sheet_y":0,"has_img_google":true,"has_img_twitter":false}]"#;
        let (folder, result) = build_from(places);
        result.unwrap();
        let manifest = Manifest::open(folder.path()).unwrap();
        assert_eq!(manifest.samples.len(), 3);
        let hand = &manifest.samples[0];
        assert_eq!(hand.get("image"), &Value::Text("images/google/1f44b.png".into()));
        assert_eq!(hand.get("label"), &Value::Text("waving hand".into()));
        assert_eq!(hand.get("label_zh_hant"), &Value::Text("winkende Hand".into()));
        assert_eq!(
            hand.get("tags"),
            &Value::List(["wave", "hello"].map(|tag| Value::Text(tag.into())).into())
        );
        assert_eq!(manifest.samples[2].get("vendor"), &Value::Text("twitter".into()));
        assert_eq!(manifest.samples[2].get("split"), hand.get("split"));
        let picture = manifest.samples[1].get("image").path(&manifest.root).unwrap();
        assert_eq!(image::image_dimensions(picture).unwrap(), (SIDE, SIDE));
    }

    #[test]
    fn an_emoji_without_a_name_is_damaged() {
        let places = r#"[{"unified":"AAAA","sheet_x":0,"sheet_y":0,"has_img_google":true,"has_img_twitter":true}]"#;
        assert_eq!(build_from(places).1.unwrap_err().kind, ErrorKind::Damaged);
    }
}
