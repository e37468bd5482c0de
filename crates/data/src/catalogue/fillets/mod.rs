//! Fish Fillets: acted dialogue of a game in Czech and Dutch, with its text.

mod lua;

use super::archives::Limits;
use super::fetch::write_rows;
use super::folder::{Folder, split, unpack};
use super::packages::{self, Client, Package};
use super::{Entry, Progress};
use crate::Result;
use crate::split::Split;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const fn package(name: &'static str, sha256: &'static str, bytes: u64) -> Package {
    Package {
        client: Client::Debian,
        name,
        version: "1.0.1-1.1",
        sha256,
        bytes,
    }
}

const PACKAGES: [Package; 3] = [
    package(
        "fillets-ng-data",
        "25de89afd8b1adf7bcace8290248a6a22c89cd42300317e69000e162c032cf84",
        70_633_484,
    ),
    package(
        "fillets-ng-data-cs",
        "3ecef99b9456f1c80c9625c6f2418642b52d58e7167a46bad7a412db17991b14",
        39_042_172,
    ),
    package(
        "fillets-ng-data-nl",
        "afb4443fda9ab507dee578b75be857d121718a1cd6017a474f30e0eb13dc9d10",
        32_593_580,
    ),
];

pub(super) const ENTRY: Entry = Entry {
    name: "fillets",
    description: "acted sentences of a game with their text and speaker, in Czech and Dutch",
    licence: "GPL-2",
    bytes: packages::bytes(&PACKAGES),
    rows: 3_494,
    tasks: &["speech recognition"],
    source: "Debian packages fillets-ng-data, -cs and -nl 1.0.1-1.1",
    packages: &PACKAGES,
    version: "",
    build,
};

const LIMITS: Limits = Limits {
    files: 20_000,
    file_bytes: 32 << 20,
    total_bytes: 512 << 20,
};

const LANGUAGES: [&str; 2] = ["cs", "nl"];

/// Where a line is spoken: folder of scripts, language, name of the line.
type Line = (String, &'static str, String);

/// What is said, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Speech {
    text: String,
    speaker: Option<String>,
}

/// A line of the table.
#[derive(Debug, Serialize)]
struct Row {
    audio: String,
    text: String,
    language: &'static str,
    /// The figure of the game; absent where the script does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<String>,
    room: String,
    split: Split,
    group: String,
}

fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let mut files = Folder::new(folder);
    let mut lines = BTreeMap::new();
    let mut sounds = Vec::new();
    for package in packages {
        unpack(package, LIMITS, progress, &mut |path, bytes| match content(path) {
            None => Ok(()),
            Some(Content::Script(scripts, language)) => {
                let spoken = speeches(&bytes).map_err(|error| error.in_field(path))?;
                for (name, speech) in spoken {
                    lines.entry((scripts.to_string(), language, name)).or_insert(speech);
                }
                Ok(())
            }
            Some(Content::Sound(sound)) => {
                files.save(&sound.file(), &bytes)?;
                sounds.push(sound);
                Ok(())
            }
        })?;
    }
    sounds.sort();
    let rows = rows(sounds, &lines)?;
    files.keep(&rows.iter().map(|row| row.audio.as_str()).collect())?;
    write_rows(folder, &rows)
}

/// A recorded line. `folder` is that of its script, `room` what it is spoken in.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sound {
    language: &'static str,
    room: String,
    name: String,
    folder: String,
}

impl Sound {
    fn file(&self) -> String {
        format!("audio/{}/{}/{}.ogg", self.language, self.room, self.name)
    }
}

/// A file of the packages that the set is made from.
#[derive(Debug, PartialEq, Eq)]
enum Content<'a> {
    Script(&'a str, &'static str),
    Sound(Sound),
}

/// Reads `script/ROOM/[…_]dialogs_LANGUAGE.lua`, `sound/ROOM/LANGUAGE/NAME.ogg` and, for what is
/// said in any room, `sound/share/PART/LANGUAGE/NAME.ogg`.
fn content(path: &str) -> Option<Content<'_>> {
    let file = path.strip_prefix("usr/share/games/fillets-ng/")?;
    let parts: Vec<&str> = file.split('/').collect();
    let known = |language: &str| LANGUAGES.into_iter().find(|known| *known == language);
    let sound = |folder: &str, room: &str, language: &str, name: &str| {
        Some(Content::Sound(Sound {
            language: known(language)?,
            room: room.to_string(),
            name: name.strip_suffix(".ogg")?.to_string(),
            folder: folder.to_string(),
        }))
    };
    match parts[..] {
        ["script", room, name] => {
            let (kind, language) = name.strip_suffix(".lua")?.rsplit_once("dialogs_")?;
            let plain = kind.is_empty() || kind.ends_with('_');
            plain.then_some(Content::Script(room, known(language)?))
        }
        ["sound", room, language, name] => sound(room, room, language, name),
        ["sound", "share", part, language, name] => sound("share", part, language, name),
        _ => None,
    }
}

/// The lines of a script: `dialogId(NAME, FONT, ENGLISH)`, then `dialogStr(TEXT)`. Each figure has
/// a font of its own.
fn speeches(script: &[u8]) -> Result<Vec<(String, Speech)>> {
    let mut spoken = Vec::new();
    let mut open = None;
    for call in lua::calls(script)? {
        match (call.name.as_str(), &call.arguments[..]) {
            ("dialogId", [name, font, ..]) => {
                let speaker = font.strip_prefix("font_").filter(|speaker| !speaker.is_empty());
                open = Some((name.clone(), speaker.map(String::from)));
            }
            ("dialogStr", [text]) => {
                let text = text.trim().to_string();
                if let Some((name, speaker)) = open.take().filter(|_| !text.is_empty()) {
                    spoken.push((name, Speech { text, speaker }));
                }
            }
            _ => {}
        }
    }
    Ok(spoken)
}

/// A row for each sound whose text is known.
fn rows(sounds: Vec<Sound>, lines: &BTreeMap<Line, Speech>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for sound in sounds {
        let audio = sound.file();
        let line = (sound.folder, sound.language, sound.name);
        let Some(speech) = lines.get(&line) else { continue };
        rows.push(Row {
            audio,
            text: speech.text.clone(),
            language: sound.language,
            speaker: speech.speaker.clone(),
            split: split(ENTRY.name, &sound.room)?,
            group: sound.room.clone(),
            room: sound.room,
        });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::super::archives::write_tar_gz;
    use super::*;
    use crate::{Manifest, Value};

    fn check(path: &str, expected: Option<&str>) {
        let path = format!("usr/share/games/fillets-ng/{path}");
        let found = content(&path).map(|content| match content {
            Content::Script(room, language) => format!("{room} {language}"),
            Content::Sound(sound) => format!("{} < {}", sound.file(), sound.folder),
        });
        assert_eq!(found.as_deref(), expected, "{path}");
    }

    #[test]
    fn a_path_says_what_a_file_is() {
        check("script/keys/dialogs_cs.lua", Some("keys cs"));
        check("script/share/bore_dialogs_nl.lua", Some("share nl"));
        check("sound/keys/nl/a.ogg", Some("audio/nl/keys/a.ogg < keys"));
        check("sound/share/border/cs/a.ogg", Some("audio/cs/border/a.ogg < share"));
        for other in [
            "script/keys/dialogs.lua",
            "script/keys/dialogs_de.lua",
            "sound/keys/en/a.ogg",
            "sound/share/a.ogg",
            "sound/keys/cs/a.wav",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn a_script_gives_names_texts_and_speakers() {
        let script = "dialogId(\"a\", \"font_big\", \"Hi\")\ndialogStr(\"Ahoj \")\n\
                      dialogId(\"b\", \"\", \"Oh\")\ndialogStr(\"\")\ndialogStr(\"late\")\n\
                      dialogId(\"c\", \"\", \"No\")\ndialogStr('Ne')";
        let speech = |text: &str, speaker: Option<&str>| Speech {
            text: text.into(),
            speaker: speaker.map(String::from),
        };
        let expected = [("a", speech("Ahoj", Some("big"))), ("c", speech("Ne", None))];
        assert_eq!(
            speeches(script.as_bytes()).unwrap(),
            expected.map(|(name, speech)| (name.into(), speech))
        );
    }

    #[test]
    fn packages_become_audio_and_a_table() {
        let folder = tempfile::tempdir().unwrap();
        let (data, spoken) = (folder.path().join("data"), folder.path().join("cs"));
        let root = "./usr/share/games/fillets-ng";
        let script = "dialogId(\"a\", \"font_small\", \"Hi\")\ndialogStr(\"Ahoj\")";
        write_tar_gz(
            &data,
            &[(&format!("{root}/script/keys/dialogs_cs.lua"), script.as_bytes())],
        );
        let sounds: [(&str, &[u8]); 2] = [
            (&format!("{root}/sound/keys/cs/a.ogg"), b"ahoj"),
            (&format!("{root}/sound/keys/cs/unknown.ogg"), b"?"),
        ];
        write_tar_gz(&spoken, &sounds);
        build(&[data, spoken], folder.path(), &mut |_| {}).unwrap();
        let manifest = Manifest::open(folder.path()).unwrap();
        let columns = ["audio", "text", "language", "speaker", "room", "split", "group"];
        assert_eq!(manifest.columns, columns);
        let [row] = &manifest.samples[..] else {
            panic!("{:?}", manifest.samples)
        };
        assert_eq!(row.get("text"), &Value::Text("Ahoj".into()));
        assert_eq!(row.get("speaker"), &Value::Text("small".into()));
        assert_eq!(
            std::fs::read(row.get("audio").path(&manifest.root).unwrap()).unwrap(),
            b"ahoj"
        );
        assert!(!folder.path().join("audio/cs/keys/unknown.ogg").exists());
    }
}
