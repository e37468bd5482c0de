//! The kind of a file by its first bytes.

use super::MediaKind;
use crate::processors::image::is_svg;

/// The kind of medium whose signature `bytes` begin with; 64 bytes are enough, but for an SVG, whose first element may
/// stand behind remarks.
pub(super) fn kind(bytes: &[u8]) -> Option<MediaKind> {
    if is_svg(bytes) {
        return Some(MediaKind::Image);
    }
    let starts = |signature: &[u8]| bytes.starts_with(signature);
    let form = |at: usize| bytes.get(at..at + 4).unwrap_or_default();
    if starts(b"RIFF") {
        return match form(8) {
            b"WEBP" => Some(MediaKind::Image),
            b"WAVE" => Some(MediaKind::Audio),
            b"AVI " => Some(MediaKind::Video),
            _ => None,
        };
    }
    if form(4) == b"ftyp" {
        return Some(match form(8) {
            b"avif" | b"avis" | b"heic" | b"heix" | b"mif1" => MediaKind::Image,
            b"M4A " | b"M4B " => MediaKind::Audio,
            _ => MediaKind::Video,
        });
    }
    const SIGNATURES: [(&[u8], MediaKind); 15] = [
        (b"\x89PNG\r\n\x1a\n", MediaKind::Image),
        (b"\xff\xd8\xff", MediaKind::Image),
        (b"GIF87a", MediaKind::Image),
        (b"GIF89a", MediaKind::Image),
        (b"BM", MediaKind::Image),
        (b"II\x2a\0", MediaKind::Image),
        (b"MM\0\x2a", MediaKind::Image),
        (b"fLaC", MediaKind::Audio),
        (b"ID3", MediaKind::Audio),
        (b"OggS", MediaKind::Audio),
        (b"\xff\xfb", MediaKind::Audio),
        (b"\xff\xf3", MediaKind::Audio),
        (b"\xff\xf1", MediaKind::Audio),
        (b"\x1a\x45\xdf\xa3", MediaKind::Video),
        (b"\0\0\x01\xba", MediaKind::Video),
    ];
    SIGNATURES
        .iter()
        .find(|(signature, _)| starts(signature))
        .map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Option<MediaKind>) {
        assert_eq!(kind(bytes), expected, "{bytes:?}");
    }

    #[test]
    fn the_first_bytes_tell_the_kind() {
        check(b"\x89PNG\r\n\x1a\nrest", Some(MediaKind::Image));
        check(b"RIFF\0\0\0\0WEBPVP8 ", Some(MediaKind::Image));
        check(b"RIFF\0\0\0\0WAVEfmt ", Some(MediaKind::Audio));
        check(b"RIFF\0\0", None);
        check(b"\0\0\0\x20ftypisom", Some(MediaKind::Video));
        check(b"\0\0\0\x20ftypM4A ", Some(MediaKind::Audio));
        check(b"ftyp", None);
        check(b"<?xml version='1.0'?><!-- a drawing --><svg>", Some(MediaKind::Image));
        check(b"<?xml version='1.0'?><plist>", None);
        check(b"a plain text", None);
        check(b"", None);
    }
}
