//! Recordings of the programs of xscreensaver, with the descriptions that their authors gave them.
//!
//! The programs are run here, on a screen that nobody sees. They draw with randomness of their own,
//! so that two recordings of a program differ and no two fetches give the same bytes.

mod describe;
mod record;

use super::fetch::write_rows;
use super::{Entry, Progress};
use crate::random::Key;
use crate::split::{Fractions, Split};
use crate::{DataError, ErrorKind, Result, files};
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};

pub(super) const ENTRY: Entry = Entry {
    name: "screensavers",
    description: "Three recordings of each of some 215 animations with a human description; recorded from the \
                  installed programs of xscreensaver, which takes a quarter of an hour",
    licence: "MIT",
    bytes: 0,
    // Nearly: the programs that stand still or end are left out, and not every time the same ones.
    rows: 647,
    tasks: &["video captioning", "video tagging"],
    source: "Debian packages xscreensaver-data, -data-extra, -gl and -gl-extra, recorded",
    packages: &[],
    version: "screensavers-1",
    build,
};

const INSTALL: &str = "install Xvfb, ffmpeg and xscreensaver's programs (on Debian: apt-get install xvfb ffmpeg \
                       xscreensaver-data xscreensaver-data-extra xscreensaver-gl xscreensaver-gl-extra) and fetch \
                       again";

const DESCRIPTIONS: &str = "/usr/share/xscreensaver/config";
/// Where distributions put the programs.
const PROGRAMS: [&str; 4] = [
    "/usr/libexec/xscreensaver",
    "/usr/lib/xscreensaver",
    "/usr/lib/misc/xscreensaver",
    "/usr/local/libexec/xscreensaver",
];
/// What the configuration of a program says that takes a picture from elsewhere to change it: the
/// network, or a screen on which there is nothing.
const PICTURE: &str = "<xscreensaver-image";
/// Programs that take pictures from the network and do not say so.
const EXCLUDED: [&str; 2] = ["webcollage", "vidwhacker"];

/// The recordings of a program, with the split of each for those who tell programs apart.
const TAKES: [Split; 3] = [Split::Train, Split::Validation, Split::Test];
/// How many programs run at once for each thread: they mostly wait for their next frame.
const PER_THREAD: usize = 2;

fn build(_: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let programs = programs(Path::new(DESCRIPTIONS), &PROGRAMS.map(Path::new))?;
    generate(&programs, folder, progress)
}

/// An animation that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Program {
    name: String,
    path: PathBuf,
    caption: String,
}

/// What has both a description and a program, by name.
fn programs(descriptions: &Path, folders: &[&Path]) -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(descriptions).into_iter().flatten().flatten() {
        let path = entry.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".xml")) else {
            continue;
        };
        let program = folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| path.is_file());
        let configuration = files::read(&path)?;
        let needs_picture = configuration
            .windows(PICTURE.len())
            .any(|part| part == PICTURE.as_bytes());
        let caption = describe::description(&configuration);
        if let (Some(path), Some(caption), false) = (program, caption, needs_picture || EXCLUDED.contains(&name)) {
            let name = name.to_string();
            programs.push(Program { name, path, caption });
        }
    }
    programs.sort_by(|one, other| one.name.cmp(&other.name));
    match programs.is_empty() {
        true => {
            let message = format!("expected programs of xscreensaver on this machine, found none; {INSTALL}");
            Err(DataError::new(ErrorKind::Fetch, message))
        }
        false => Ok(programs),
    }
}

#[derive(Debug, Serialize)]
struct Row {
    video: String,
    caption: String,
    program: String,
    /// The place of the recording among those of its program.
    take: usize,
    /// By program: an unseen animation is to be described.
    split: Split,
    /// By recording: a known program is to be told from another.
    take_split: Split,
}

/// A recording that is no row, in `left_out.jsonl`.
#[derive(Debug, Serialize)]
struct LeftOut {
    program: String,
    take: usize,
    reason: String,
}

/// Records the programs into `folder`.
fn generate(programs: &[Program], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    files::create_folder(&folder.join("videos"))?;
    let workers = PER_THREAD * rayon::current_num_threads();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build();
    let pool = pool.map_err(|error| DataError::new(ErrorKind::Io, format!("expected threads, found: {error}")))?;
    let (mut rows, mut left_out) = (Vec::new(), Vec::new());
    for (step, part) in programs.chunks(workers).enumerate() {
        progress(Progress::new(
            "recording programs",
            step * workers,
            Some(programs.len()),
        ));
        let record = || {
            part.par_iter()
                .map(|program| takes(program, folder))
                .collect::<Result<Vec<_>>>()
        };
        for take in pool.install(record)?.into_iter().flatten() {
            match take {
                Ok(row) => rows.push(row),
                Err(out) => left_out.push(out),
            }
        }
    }
    if rows.is_empty() {
        let reason = left_out.first().map_or("no program", |out| out.reason.as_str());
        let message = format!("expected animations, found none that could be recorded ({reason}); {INSTALL}");
        return Err(DataError::new(ErrorKind::Fetch, message));
    }
    super::fetch::write_rows_to(&folder.join("left_out.jsonl"), left_out)?;
    write_rows(folder, rows)
}

/// The recordings of a program; one on which nothing moves is left out.
fn takes(program: &Program, folder: &Path) -> Result<Vec<std::result::Result<Row, LeftOut>>> {
    let aside = tempfile::tempdir().map_err(|error| DataError::io(&error, &std::env::temp_dir()))?;
    let split = Fractions::new(0.8, 0.1, 0.1)?.draw(&Key::new(0).with("screensavers").with(&program.name));
    let mut takes = Vec::new();
    for (take, take_split) in TAKES.into_iter().enumerate() {
        let bytes = match record::record(&program.path, aside.path())? {
            Ok(bytes) => bytes,
            Err(reason) => {
                let program = program.name.clone();
                takes.push(Err(LeftOut { program, take, reason }));
                continue;
            }
        };
        let video = format!("videos/{}-{take}.png", program.name);
        let path = folder.join(&video);
        std::fs::write(&path, bytes).map_err(|error| DataError::io(&error, &path))?;
        takes.push(Ok(Row {
            video,
            caption: program.caption.clone(),
            program: program.name.clone(),
            take,
            split,
            take_split,
        }));
    }
    Ok(takes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_those_with_a_description() {
        let folder = tempfile::tempdir().unwrap();
        let (config, one, two) = (
            folder.path().join("config"),
            folder.path().join("1"),
            folder.path().join("2"),
        );
        [&config, &one, &two]
            .iter()
            .for_each(|path| std::fs::create_dir(path).unwrap());
        let described = |name: &str, text: &str| {
            let xml = format!("<_description>{text}</_description>");
            std::fs::write(config.join(name), xml).unwrap();
        };
        described("gears.xml", "Gears turn.");
        described("balls.xml", "Balls bounce.");
        described("absent.xml", "Nobody has it.");
        described("webcollage.xml", "Pictures from the network.");
        described("notes.txt", "No program.");
        described("slides.xml", "Slides. <xscreensaver-image />");
        std::fs::write(one.join("slides"), "").unwrap();
        for path in [
            two.join("gears"),
            one.join("balls"),
            one.join("webcollage"),
            one.join("undescribed"),
        ] {
            std::fs::write(path, "").unwrap();
        }
        let found = programs(&config, &[&one, &two]).unwrap();
        let program = |name: &str, path: PathBuf, caption: &str| Program {
            name: name.to_string(),
            path,
            caption: caption.to_string(),
        };
        let expected = [
            program("balls", one.join("balls"), "Balls bounce."),
            program("gears", two.join("gears"), "Gears turn."),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn without_programs_it_says_what_to_install() {
        let folder = tempfile::tempdir().unwrap();
        for config in ["", "absent"] {
            let error = programs(&folder.path().join(config), &[folder.path()]).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Fetch);
            assert!(error.message.contains("apt-get install xvfb"), "{error}");
        }
    }
}
