//! Which files are media, by their extension, and the column that holds each kind.

use std::path::Path;

const IMAGES: [&str; 10] = ["bmp", "gif", "jpeg", "jpg", "png", "svg", "svgz", "tif", "tiff", "webp"];
const AUDIO: [&str; 9] = ["aac", "flac", "m4a", "mka", "mp3", "oga", "ogg", "opus", "wav"];
const VIDEOS: [&str; 9] = ["avi", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "ogv", "webm"];

/// The column of a medium, `image`, `audio` or `video`, by its extension in lower case.
pub(crate) fn column_of(extension: &str) -> Option<&'static str> {
    [("image", &IMAGES[..]), ("audio", &AUDIO), ("video", &VIDEOS)]
        .into_iter()
        .find_map(|(column, extensions)| extensions.contains(&extension).then_some(column))
}

/// The column of the medium that a file is.
pub(crate) fn column_of_file(file: &Path) -> Option<&'static str> {
    column_of(&super::extension(file))
}

/// Every extension of a medium, for messages.
pub(crate) fn known() -> String {
    [&IMAGES[..], &AUDIO, &VIDEOS].concat().join(", ")
}
