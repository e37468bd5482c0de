//! `sensorium data stats`: what a check finds, as a page.

use super::check::{Arguments, look};
use crate::Global;
use sensorium_data::{catalogue, files};
use sensorium_train::DataPage;
use std::path::Path;

pub fn run(arguments: &Arguments, global: &Global) -> anyhow::Result<()> {
    let checked = look(arguments, global)?;
    let page = DataPage {
        name: &name(&arguments.path),
        manifest: &checked.manifest,
        report: &checked.report,
    };
    let path = checked.folder.join("stats.html");
    files::write_atomically(&path, page.render().as_bytes())?;
    match arguments.json {
        true => println!("{}", serde_json::to_string(&checked.report)?),
        false => println!("{}", path.display()),
    }
    checked.within_budget()
}

/// What people call a set: its name in the catalogue, its folder, or its file with the folder around it.
fn name(path: &str) -> String {
    if catalogue::find(path).is_some() {
        return path.to_string();
    }
    let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    match (last(&whole), whole.parent().and_then(last)) {
        (Some(file), Some(folder)) if whole.is_file() => format!("{folder}/{file}"),
        (Some(folder), _) => folder,
        (None, _) => path.to_string(),
    }
}
