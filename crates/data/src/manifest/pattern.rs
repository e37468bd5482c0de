//! Names of several files: `{000000..000099}`, `{a,b}`, and `*` or `?` in the last part.

use crate::storage;
use crate::{DataError, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// The files that one pattern may name.
const MAX_FILES: usize = 1 << 20;

/// Whether nothing has this name and it is one that stands for several files.
pub(crate) fn is_pattern(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains(['*', '?']) || (text.contains('{') && text.contains('}'))
}

/// The files that `path` names: itself, those of a folder that are `wanted`, or those of a pattern.
/// Braces name files in their order, all of which must be there; others come sorted by name.
pub(crate) fn expand(path: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    if storage::url(path).is_some() {
        return of_url(path);
    }
    if path.is_dir() {
        return matching(path, &|file| wanted(file));
    }
    if path.exists() || !is_pattern(path) {
        return Ok(vec![path.to_path_buf()]);
    }
    let Some(text) = path.to_str() else {
        let message = "expected a pattern in UTF-8, found other bytes";
        return Err(DataError::new(ErrorKind::Invalid, message).at_path(path));
    };
    let mut files = Vec::new();
    for name in braces(text).map_err(|error| error.at_path(path))? {
        let name = PathBuf::from(name);
        let last = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if last.contains(['*', '?']) {
            let folder = name.parent().filter(|parent| *parent != Path::new(""));
            let fits = |file: &Path| glob(last.as_bytes(), file.file_name().unwrap_or_default().as_encoded_bytes());
            files.extend(matching(folder.unwrap_or(Path::new(".")), &fits)?);
        } else {
            files.push(name);
        }
    }
    match files.is_empty() {
        true => {
            Err(DataError::new(ErrorKind::Missing, "expected files that fit this pattern, found none").at_path(path))
        }
        false => Ok(files),
    }
}

/// The objects that the braces of a URL stand for. Other patterns would need a list of the store.
fn of_url(path: &Path) -> Result<Vec<PathBuf>> {
    let names = braces(path.to_str().unwrap_or_default())?;
    if names.iter().any(|name| name.contains(['*', '?'])) {
        let message = "expected a URL of files, found a star, a question mark or a query; name the files with braces: \
                       s3://bucket/train-{000..099}.tar";
        let url = storage::without_secrets(path.to_str().unwrap_or_default());
        return Err(DataError::new(ErrorKind::Invalid, message).at_path(&url));
    }
    Ok(names.into_iter().map(PathBuf::from).collect())
}

/// The files of a folder that fit, sorted by name.
fn matching(folder: &Path, fits: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let refused = |error: std::io::Error| DataError::io(&error, folder);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        if fits(&path) && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Every name that the braces of `text` stand for, the last brace counting fastest.
fn braces(text: &str) -> Result<Vec<String>> {
    let mut names = vec![String::new()];
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((inner, after)) = after.split_once('}') else {
            break;
        };
        let words = match inner.split_once("..") {
            Some((first, last)) => numbers(first, last)?,
            None => inner.split(',').map(str::to_string).collect(),
        };
        if names.len() * words.len() > MAX_FILES {
            let message = format!("expected a pattern of at most {MAX_FILES} files; divide the set");
            return Err(DataError::new(ErrorKind::TooLarge, message));
        }
        let mut joined = Vec::with_capacity(names.len() * words.len());
        for name in &names {
            joined.extend(words.iter().map(|word| format!("{name}{before}{word}")));
        }
        names = joined;
        rest = after;
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

/// The whole numbers from `first` to `last`, as wide as `first` is written.
fn numbers(first: &str, last: &str) -> Result<Vec<String>> {
    let wrong = || {
        let message = format!("expected numbers such as {{000..099}}, found {{{first}..{last}}}");
        DataError::new(ErrorKind::Invalid, message)
    };
    let number = |text: &str| text.parse::<usize>().map_err(|_| wrong());
    let (start, end, width) = (number(first)?, number(last)?, first.len());
    if end < start || end - start >= MAX_FILES {
        return Err(wrong());
    }
    Ok((start..=end).map(|number| format!("{number:0width$}")).collect())
}

/// Whether a name fits a pattern, `*` standing for any bytes and `?` for one.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    // Where the last star was, and how far it reached: on a mismatch it reaches one byte further.
    let mut star = None;
    while place < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[place] => {
                at += 1;
                place += 1;
            }
            _ => match &mut star {
                Some((star, reached)) => {
                    *reached += 1;
                    (at, place) = (*star + 1, *reached);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(braces(text).unwrap(), expected);
    }

    #[test]
    fn braces_stand_for_numbers_and_words() {
        check("a/b.tar", &["a/b.tar"]);
        check("a-{08..11}.tar", &["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]);
        check("{x,y}-{1..2}", &["x-1", "x-2", "y-1", "y-2"]);
        check("{open", &["{open"]);
        for wrong in ["{2..1}", "{a..b}", "{0..99999999999}", "{1..-1}"] {
            assert_eq!(braces(wrong).unwrap_err().kind, ErrorKind::Invalid, "{wrong}");
        }
        let many = "{0..999}".repeat(9);
        assert_eq!(braces(&many).unwrap_err().kind, ErrorKind::TooLarge);
    }

    #[test]
    fn stars_and_question_marks_fit_as_in_a_shell() {
        for (pattern, name, fits) in [
            ("*.tar", "a.tar", true),
            ("*.tar", "a.tar.gz", false),
            ("a*b*c", "a-b-b-c", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("**", "", true),
            ("a", "", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
    }
}
