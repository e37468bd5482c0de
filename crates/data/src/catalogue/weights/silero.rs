//! silero-vad (Silero Team 2021–2026): where in a recording somebody speaks.

use super::{LIMITS, Row};
use crate::Result;
use crate::catalogue::archives;
use crate::catalogue::fetch::write_rows;
use crate::catalogue::folder::Folder;
use crate::catalogue::packages::{self, Client, Package};
use crate::catalogue::{Entry, Progress};
use std::path::{Path, PathBuf};

const PACKAGES: [Package; 1] = [Package {
    client: Client::Wheel,
    name: "silero-vad",
    version: "6.2.3",
    sha256: "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
    bytes: 11_317_527,
}];

pub(super) const ENTRY: Entry = Entry {
    name: "silero-vad",
    description: "where somebody speaks, for `transcribe --vad`: convolutions and an LSTM of 128, 310,000 parameters",
    licence: "MIT",
    bytes: packages::bytes(&PACKAGES),
    rows: 1,
    tasks: &["voice detection"],
    source: "Python package silero-vad 6.2.3",
    packages: &PACKAGES,
    version: "silero-vad-1",
    build,
};

/// Of the package's forms of the same network, the one of tensors alone.
fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    progress(Progress::new("unpacking", 0, None));
    let name = "silero_vad_16k.safetensors";
    let path = format!("silero_vad/data/{name}");
    let [tensors] = archives::files(&packages[0], LIMITS, [path.as_str()])?;
    Folder::new(folder).save(name, &tensors)?;
    write_rows(folder, [Row::new(name, &tensors)])
}
