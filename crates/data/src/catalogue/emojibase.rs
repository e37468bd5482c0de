//! What the npm package `emojibase-data` says about each emoji: names, tags, categories.

use super::Progress;
use super::archives::Limits;
use super::folder::{damaged, unpack};
use super::packages::{Client, Package};
use crate::Result;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

pub(super) const PACKAGE: Package = Package {
    client: Client::Npm,
    name: "emojibase-data",
    version: "17.0.0",
    sha256: "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
    bytes: 6_711_091,
};

const LIMITS: Limits = Limits {
    files: 1_000,
    file_bytes: 16 << 20,
    total_bytes: 256 << 20,
};

/// An emoji, or its variant with a skin tone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Emoji {
    /// In English.
    pub label: String,
    /// The label without the skin tone, the same for all variants.
    pub base: String,
    pub tags: Vec<String>,
    pub category: Option<String>,
    pub subcategory: Option<String>,
    pub is_variant: bool,
}

/// Every emoji by its [`code`].
#[derive(Debug, Default)]
pub(super) struct Emojibase {
    pub emoji: BTreeMap<String, Emoji>,
    /// The labels of each language but English, by the language with `_` in the place of `-`.
    pub labels: BTreeMap<String, HashMap<String, String>>,
}

/// The code points of an emoji as the packages write them, in one form: `1F468-200D-1F9BD`. The
/// selector of the coloured form, which some leave out, is left out.
pub(super) fn code(written: &str) -> String {
    let written = written.to_ascii_uppercase().replace('_', "-");
    let points = written.split('-').filter(|point| *point != "FE0F");
    points.collect::<Vec<_>>().join("-")
}

#[derive(Deserialize)]
struct Item {
    label: String,
    hexcode: String,
    #[serde(default)]
    tags: Vec<String>,
    group: Option<u32>,
    subgroup: Option<u32>,
    #[serde(default)]
    skins: Vec<Item>,
}

/// The names of the categories by number.
#[derive(Default, Deserialize)]
struct Groups {
    groups: HashMap<u32, String>,
    subgroups: HashMap<u32, String>,
}

impl Emojibase {
    /// Reads the package.
    pub fn read(package: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Self> {
        let (mut english, mut groups) = (Vec::new(), Groups::default());
        let mut labels = BTreeMap::new();
        unpack(package, LIMITS, progress, &mut |path, bytes| {
            match path.strip_prefix("package/").and_then(|path| path.split_once('/')) {
                Some(("meta", "groups.json")) => groups = parse(&bytes, path)?,
                Some(("en", "data.json")) => english = parse(&bytes, path)?,
                Some((language, "data.json")) => {
                    let items: Vec<Item> = parse(&bytes, path)?;
                    labels.insert(language.replace('-', "_"), by_code(items));
                }
                _ => {}
            }
            Ok(())
        })?;
        if english.is_empty() || groups.groups.is_empty() {
            return Err(damaged(
                "expected the English data and the groups, found a part",
                "package",
            ));
        }
        let emoji = english.into_iter().flat_map(|item| describe(item, &groups)).collect();
        Ok(Self { emoji, labels })
    }
}

fn by_code(items: Vec<Item>) -> HashMap<String, String> {
    items
        .into_iter()
        .map(|item| (code(&item.hexcode), item.label))
        .collect()
}

/// An emoji and its variants.
fn describe(item: Item, groups: &Groups) -> Vec<(String, Emoji)> {
    let base = Emoji {
        label: item.label.clone(),
        base: item.label,
        tags: item.tags,
        category: item.group.and_then(|group| groups.groups.get(&group).cloned()),
        subcategory: item.subgroup.and_then(|group| groups.subgroups.get(&group).cloned()),
        is_variant: false,
    };
    let variants = item.skins.into_iter().map(|skin| {
        let variant = Emoji {
            label: skin.label,
            is_variant: true,
            ..base.clone()
        };
        (code(&skin.hexcode), variant)
    });
    variants.chain([(code(&item.hexcode), base.clone())]).collect()
}

/// Reads JSON from a package.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8], path: &str) -> Result<T> {
    let wrong = |error| damaged(&format!("expected JSON of another form, found: {error}"), path);
    serde_json::from_slice(bytes).map_err(wrong)
}

/// Writes a package with two emoji, one of them in German and with a skin tone, for a test.
#[cfg(test)]
pub(super) fn write_tiny(path: &Path) {
    let english = r#"[{"label":"waving hand","hexcode":"1F44B","tags":["wave","hello"],"group":1,"subgroup":16,
        "skins":[{"label":"waving hand: dark skin tone","hexcode":"1F44B-1F3FF"}]},
        {"label":"thermometer","hexcode":"1F321","group":5}]"#;
    let german = r#"[{"label":"winkende Hand","hexcode":"1F44B"}]"#;
    let groups = r#"{"groups":{"1":"people-body","5":"travel-places"},"subgroups":{"16":"hand"},"hierarchy":{}}"#;
    super::archives::write_tar_gz(
        path,
        &[
            ("package/en/data.json", english.as_bytes()),
            ("package/zh-hant/data.json", german.as_bytes()),
            ("package/meta/groups.json", groups.as_bytes()),
            ("package/en/compact.json", b"{"),
        ],
    );
}

#[cfg(test)]
mod tests {
    use super::super::archives::write_tar_gz;
    use super::*;

    fn check(written: &str, expected: &str) {
        assert_eq!(code(written), expected);
    }

    #[test]
    fn codes_have_one_form() {
        check("1f468-1f3fe-200d-1f9bd", "1F468-1F3FE-200D-1F9BD");
        check("00A9-FE0F", "00A9");
        check("0023-fe0f-20e3", "0023-20E3");
        check("1f3f4-e0067_e007f", "1F3F4-E0067-E007F");
    }

    #[test]
    fn emoji_come_with_categories_variants_and_languages() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("package");
        write_tiny(&package);
        let base = Emojibase::read(&package, &mut |_| {}).unwrap();
        assert_eq!(base.emoji.len(), 3);
        let hand = &base.emoji["1F44B"];
        assert_eq!(hand.tags, ["wave", "hello"]);
        assert_eq!(hand.category.as_deref(), Some("people-body"));
        assert_eq!(hand.subcategory.as_deref(), Some("hand"));
        let dark = &base.emoji["1F44B-1F3FF"];
        assert_eq!((dark.base.as_str(), dark.is_variant), ("waving hand", true));
        assert_eq!(dark.label, "waving hand: dark skin tone");
        assert_eq!(base.emoji["1F321"].subcategory, None);
        assert_eq!(base.labels["zh_hant"]["1F44B"], "winkende Hand");
    }

    #[test]
    fn a_package_without_its_data_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("package");
        for file in ["package/en/data.json", "package/meta/groups.json"] {
            write_tar_gz(&package, &[(file, b"[]")]);
            let error = Emojibase::read(&package, &mut |_| {}).unwrap_err();
            assert_eq!(error.kind, crate::ErrorKind::Damaged);
        }
    }
}
