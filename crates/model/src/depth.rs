//! How deep in an encoder a parameter lies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What of an encoder stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Freeze {
    /// All of it, or nothing.
    Whole(bool),
    /// So many of the first blocks, and what lies before them.
    First(usize),
}

impl Default for Freeze {
    fn default() -> Self {
        Self::Whole(false)
    }
}

/// Where a parameter of an encoder lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Before the first block: the stem, and tokens and places that the trunk adds.
    Before,
    Block(usize),
    /// Behind the last one.
    Behind,
}

impl Depth {
    /// Of the parameter at `path`, from the encoder on; none where it belongs to neither stem nor trunk.
    pub fn of(path: &str) -> Option<Self> {
        if path.starts_with("stem.") {
            return Some(Self::Before);
        }
        let mut parts = path.strip_prefix("trunk.")?.split('.');
        match parts.next()? {
            "blocks" => parts.next()?.parse().ok().map(Self::Block),
            "norm" | "pool" | "last" => Some(Self::Behind),
            _ => Some(Self::Before),
        }
    }

    /// What a learning rate is multiplied by that falls by `decay` from what lies behind all `blocks` to the last of them, and so
    /// on to what lies before the first.
    pub fn share(self, decay: f64, blocks: usize) -> f64 {
        let below = match self {
            Self::Before => blocks + 1,
            Self::Block(index) => blocks.saturating_sub(index),
            Self::Behind => 0,
        };
        decay.powi(below as i32)
    }
}

/// How many blocks an encoder with parameters at these paths has.
pub fn blocks<'a>(paths: impl Iterator<Item = &'a str>) -> usize {
    let count = |path| match Depth::of(path) {
        Some(Depth::Block(index)) => index + 1,
        _ => 0,
    };
    paths.map(count).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_lies_somewhere() {
        let check = |path: &str, depth, share: f64| {
            assert_eq!(Depth::of(path), depth, "{path}");
            let found = depth.map_or(1.0, |depth| depth.share(0.5, 12));
            assert!((found - share).abs() < 1e-12, "{path}: {found}");
        };
        check("stem.words.weight", Some(Depth::Before), 0.5f64.powi(13));
        check("trunk.class", Some(Depth::Before), 0.5f64.powi(13));
        check("trunk.norm_before.bias", Some(Depth::Before), 0.5f64.powi(13));
        check("trunk.blocks.0.expand.weight", Some(Depth::Block(0)), 0.5f64.powi(12));
        check("trunk.blocks.11.expand.bias", Some(Depth::Block(11)), 0.5);
        check("trunk.norm.weight", Some(Depth::Behind), 1.0);
        check("absent", None, 1.0);
        let paths = ["stem.weight", "trunk.blocks.3.norm.bias", "trunk.blocks.10.norm.bias"];
        assert_eq!(blocks(paths.into_iter()), 11);
        assert_eq!(blocks(["stem.weight"].into_iter()), 0);
    }

    #[test]
    fn what_is_frozen_is_said_by_a_word_or_a_number() {
        for (text, freeze) in [
            ("true", Freeze::Whole(true)),
            ("false", Freeze::default()),
            ("4", Freeze::First(4)),
        ] {
            assert_eq!(serde_json::from_str::<Freeze>(text).unwrap(), freeze);
            assert_eq!(serde_json::to_string(&freeze).unwrap(), text);
        }
    }
}
