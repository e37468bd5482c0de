//! What kind of file a sound's bytes are, by their content and never by a name.

use super::complete::{Frame, adts, mpeg};
use crate::{DataError, ErrorKind, Result};

/// The containers that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    Wave,
    Flac,
    /// A chain of MPEG audio frames, layer III.
    Mp3,
    /// A chain of AAC frames.
    Adts,
    Ogg,
    Mp4,
    Matroska,
}

impl Container {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wave => "WAV",
            Self::Flac => "FLAC",
            Self::Mp3 => "MP3",
            Self::Adts => "AAC",
            Self::Ogg => "Ogg",
            Self::Mp4 => "MP4",
            Self::Matroska => "Matroska or WebM",
        }
    }
}

/// Beginnings of files that hold sound, but are not read: (offset, bytes, name).
const UNREAD: &[(usize, &[u8], &str)] = &[
    (8, b"AVI ", "AVI"),
    (8, b"AIFF", "AIFF"),
    (8, b"AIFC", "AIFF-C"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media (ASF)"),
    (0, b"FLV\x01", "Flash video"),
    (0, b"caff", "Core Audio"),
    (0, b"#!AMR", "AMR"),
    (0, b"MThd", "MIDI"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"TTA1", "True Audio"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"DSD ", "DSD"),
    (0, b"OFR ", "OptimFROG"),
    (0, b"tBaK", "TAK"),
    (0, b".snd", "Sun audio"),
    (0, b".RMF", "RealMedia"),
    (0, b"FRM8", "DSDIFF"),
    (0, b"ADIF", "AAC in ADIF"),
    (0, b"\x0b\x77", "Dolby Digital"),
    (4, b"moov", "old QuickTime"),
    (4, b"mdat", "old QuickTime"),
    (4, b"wide", "old QuickTime"),
];

/// The container of `bytes` and where it starts, which is behind ID3 tags.
///
/// # Errors
/// [`ErrorKind::Damaged`] for bytes that are no sound, [`ErrorKind::Unsupported`] for a kind that is
/// not read.
pub fn probe(bytes: &[u8]) -> Result<(Container, usize)> {
    let start = behind_tags(bytes)?;
    let content = &bytes[start..];
    let at = |offset: usize, word: &[u8]| content.get(offset..).is_some_and(|rest| rest.starts_with(word));
    if let Some((_, _, name)) = UNREAD.iter().find(|(offset, word, _)| at(*offset, word)) {
        return Err(unsupported(name));
    }
    let container = match content {
        _ if (at(0, b"RIFF") || at(0, b"RF64")) && at(8, b"WAVE") => Container::Wave,
        _ if at(0, b"fLaC") => Container::Flac,
        _ if at(0, b"OggS") => Container::Ogg,
        _ if at(4, b"ftyp") => Container::Mp4,
        _ if at(0, b"\x1a\x45\xdf\xa3") => Container::Matroska,
        _ => return Ok((chain(content).ok_or_else(|| unknown(bytes))??, start)),
    };
    Ok((container, start))
}

/// Formats without a signature: two frames in a row, or one that fills the file.
fn chain(content: &[u8]) -> Option<Result<Container>> {
    if repeated(content, adts::frame) {
        return Some(Ok(Container::Adts));
    }
    if repeated(content, mpeg::frame) {
        return Some(Ok(Container::Mp3));
    }
    repeated(content, mpeg::older_frame).then(|| Err(unsupported("MPEG layer I or II")))
}

fn repeated(content: &[u8], frame: fn(&[u8]) -> Option<Frame>) -> bool {
    let Some(first) = frame(content) else {
        return false;
    };
    match content.get(first.bytes..) {
        // A single frame that is cut is still seen for what it is, so that the message is clear.
        None => content.len() > 64,
        Some([]) => true,
        Some(rest) => frame(rest).is_some_and(|next| next.sample_rate == first.sample_rate) || rest.len() < 4,
    }
}

/// The first byte behind the ID3v2 tags at the start.
fn behind_tags(bytes: &[u8]) -> Result<usize> {
    let mut at = 0;
    while let Some(length) = tag_length(&bytes[at..]) {
        at += length;
        if at >= bytes.len() {
            let message = "expected audio behind its ID3 tag, found the end of the file; replace the file";
            return Err(DataError::new(ErrorKind::Damaged, message).at_offset(bytes.len() as u64));
        }
    }
    Ok(at)
}

/// The length of the ID3v2 tag at the start of `bytes`.
pub fn tag_length(bytes: &[u8]) -> Option<usize> {
    let header: &[u8; 10] = bytes.first_chunk()?;
    if !header.starts_with(b"ID3") || header[6..].iter().any(|&byte| byte > 127) {
        return None;
    }
    let size = header[6..].iter().fold(0, |size, &byte| size << 7 | usize::from(byte));
    let footer = if header[5] & 0x10 != 0 { 10 } else { 0 };
    Some(10 + size + footer)
}

fn unsupported(name: &str) -> DataError {
    let message =
        format!("expected WAV, FLAC, MP3, Ogg, AAC, MP4, Matroska or WebM audio, found {name}; convert it to FLAC");
    DataError::new(ErrorKind::Unsupported, message)
}

fn unknown(bytes: &[u8]) -> DataError {
    let start: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let message = format!(
        "expected audio, found bytes that start with {}; convert or replace the file",
        start.join(" ")
    );
    DataError::new(ErrorKind::Damaged, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Result<(Container, usize), ErrorKind>) {
        assert_eq!(probe(bytes).map_err(|error| error.kind), expected, "{bytes:02x?}");
    }

    #[test]
    fn content_tells_the_container() {
        check(b"RIFF\0\0\0\0WAVE", Ok((Container::Wave, 0)));
        check(b"fLaC", Ok((Container::Flac, 0)));
        check(b"ID3\x04\0\0\0\0\0\x02..fLaC", Ok((Container::Flac, 12)));
        check(b"OggS", Ok((Container::Ogg, 0)));
        check(b"\0\0\0\x20ftypM4A ", Ok((Container::Mp4, 0)));
        check(b"\x1a\x45\xdf\xa3", Ok((Container::Matroska, 0)));
        check(b"RIFF\0\0\0\0AVI ", Err(ErrorKind::Unsupported));
        check(b"RIFF\0\0\0\0WEBP", Err(ErrorKind::Damaged));
    }

    #[test]
    fn a_chain_of_frames_is_known_by_its_second_frame() {
        let layer_three = [&b"\xff\xfb\x90\xc0"[..], &[0; 413]].concat();
        check(&layer_three.repeat(2), Ok((Container::Mp3, 0)));
        check(&layer_three, Ok((Container::Mp3, 0)));
        let layer_two = [&b"\xff\xfd\x90\xc0"[..], &[0; 518]].concat();
        check(&layer_two.repeat(2), Err(ErrorKind::Unsupported));
        let adts = b"\xff\xf1\x50\x40\x01\x1f\xfc\0";
        check(&adts.repeat(2), Ok((Container::Adts, 0)));
    }

    #[test]
    fn what_is_no_sound_is_said_with_its_first_bytes() {
        for bytes in [
            &b""[..],
            b"hello, world",
            b"\xff\xd8\xff\xe0\0\x10JFIF",
            b"\xff\xfeh\0i\0",
        ] {
            check(bytes, Err(ErrorKind::Damaged));
        }
        let words = probe(b"\x89PNG\r\n\x1a\n...").unwrap_err().to_string();
        assert!(words.contains("expected audio, found bytes that start with 89 50 4e 47 0d 0a 1a 0a"));
        check(b"ID3\x04\0\0\0\0\x7f\x02..fLaC", Err(ErrorKind::Damaged));
    }
}
