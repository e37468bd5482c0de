//! What kind of video some bytes are, by their content.

use crate::{DataError, ErrorKind};

/// The formats of moving pictures that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Decoded here.
    Animation(Animation),
    /// Decoded by ffmpeg.
    Container(Container),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Animation {
    Gif,
    Apng,
    WebP,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// MP4 and QuickTime.
    Mp4,
    /// Matroska and WebM.
    Matroska,
    Avi,
    Ogg,
    /// MPEG transport streams.
    TransportStream,
    /// MPEG program streams.
    ProgramStream,
}

impl Animation {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gif => "GIF",
            Self::Apng => "PNG",
            Self::WebP => "WebP",
        }
    }
}

impl Container {
    pub fn name(self) -> &'static str {
        match self {
            Self::Mp4 => "MP4",
            Self::Matroska => "Matroska or WebM",
            Self::Avi => "AVI",
            Self::Ogg => "Ogg",
            Self::TransportStream => "MPEG transport stream",
            Self::ProgramStream => "MPEG program stream",
        }
    }

    /// ffmpeg's word for the one demultiplexer that may read it.
    pub fn demuxer(self) -> &'static str {
        match self {
            Self::Mp4 => "mov",
            Self::Matroska => "matroska",
            Self::Avi => "avi",
            Self::Ogg => "ogg",
            Self::TransportStream => "mpegts",
            Self::ProgramStream => "mpeg",
        }
    }
}

/// How many bytes [`sniff`] looks at.
pub const START: usize = 1024;

/// The format of a file that starts with `start`.
///
/// # Errors
/// [`ErrorKind::Damaged`] for what is no video.
pub fn sniff(start: &[u8]) -> Result<Format, DataError> {
    animation(start)
        .map(Format::Animation)
        .or_else(|| container(start).map(Format::Container))
        .ok_or_else(|| unknown(start))
}

fn animation(start: &[u8]) -> Option<Animation> {
    let is = |bytes: &[u8]| start.starts_with(bytes);
    if is(b"GIF87a") || is(b"GIF89a") {
        Some(Animation::Gif)
    } else if is(b"\x89PNG\r\n\x1a\n") {
        Some(Animation::Apng)
    } else if is(b"RIFF") && start.get(8..12) == Some(b"WEBP") {
        Some(Animation::WebP)
    } else {
        None
    }
}

fn container(start: &[u8]) -> Option<Container> {
    const BOXES: [&[u8]; 8] = [b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp"];
    let at = |place: usize, bytes: &[u8]| start.get(place..).is_some_and(|rest| rest.starts_with(bytes));
    if BOXES.iter().any(|name| at(4, name)) && !at(8, b"avif") && !at(8, b"heic") {
        Some(Container::Mp4)
    } else if at(0, b"\x1a\x45\xdf\xa3") {
        Some(Container::Matroska)
    } else if at(0, b"RIFF") && at(8, b"AVI ") {
        Some(Container::Avi)
    } else if at(0, b"OggS") {
        Some(Container::Ogg)
    } else if at(0, b"\0\0\x01\xba") {
        Some(Container::ProgramStream)
    } else if packet_length(start).is_some() {
        Some(Container::TransportStream)
    } else {
        None
    }
}

/// The length of a transport stream's packets with what some recorders put before or behind each,
/// and where in it the packet starts.
pub fn packet_length(start: &[u8]) -> Option<(usize, usize)> {
    let lengths = [(188, 0), (192, 4), (204, 0)];
    lengths.into_iter().find(|&(length, offset)| {
        let mut packets = start.iter().skip(offset).step_by(length);
        start.len() > length + offset && packets.all(|&sync| sync == 0x47)
    })
}

fn unknown(start: &[u8]) -> DataError {
    let found = match image::guess_format(start) {
        _ if start.is_empty() => "an empty file".to_string(),
        Ok(format) => format!("a picture ({format:?})"),
        Err(_) => {
            let start: Vec<String> = start.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("bytes that start with {}", start.join(" "))
        }
    };
    let message = format!(
        "expected a video (MP4, WebM, Matroska, AVI, Ogg, MPEG) or an animated GIF, PNG or WebP, \
         found {found}; convert or replace it"
    );
    DataError::new(ErrorKind::Damaged, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(start: &[u8], expected: Option<Format>) {
        assert_eq!(sniff(start).ok(), expected, "{start:02x?}");
    }

    #[test]
    fn the_content_tells_the_format() {
        let container = |it| Some(Format::Container(it));
        check(b"GIF89a\x01\x00", Some(Format::Animation(Animation::Gif)));
        check(b"\x89PNG\r\n\x1a\n\0", Some(Format::Animation(Animation::Apng)));
        check(b"RIFF\0\0\0\0WEBPVP8X", Some(Format::Animation(Animation::WebP)));
        check(b"RIFF\0\0\0\0AVI LIST", container(Container::Avi));
        check(b"\0\0\0\x20ftypisom", container(Container::Mp4));
        check(b"\x1a\x45\xdf\xa3\x9f\x42", container(Container::Matroska));
        check(b"OggS\0\x02", container(Container::Ogg));
        check(b"\0\0\x01\xba\x44\0", container(Container::ProgramStream));
        let mut packets = [0; 500];
        for at in [0, 188, 376] {
            packets[at] = 0x47;
        }
        check(&packets, container(Container::TransportStream));
        packets[188] = 0;
        check(&packets, None);
    }

    #[test]
    fn playlists_scripts_and_other_media_are_no_videos() {
        for start in [
            &b"ffconcat version 1.0\nfile /etc/passwd"[..],
            b"#EXTM3U\n#EXT-X-VERSION:3\n",
            b"RIFF\0\0\0\0WAVEfmt ",
            b"<?xml version=\"1.0\"?><MPD>",
            b"\xff\xd8\xff\xe0\0\x10JFIF",
            b"\0\0\0\x20ftypavif",
            b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
            b"G",
            b"",
        ] {
            check(start, None);
        }
        let found = |start: &[u8]| sniff(start).unwrap_err().to_string();
        assert!(found(b"").contains("an empty file"));
        assert!(found(b"\xff\xd8\xff\xe0\0\x10JFIF").contains("a picture (Jpeg)"));
        assert!(found(b"#EXTM3U\n").contains("23 45 58 54 4d 33 55 0a"));
    }
}
