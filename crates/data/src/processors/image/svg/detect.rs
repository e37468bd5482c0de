//! Whether bytes are an SVG, whatever their name: the first element decides.

use std::io::Read;

/// Bytes of a compressed document that are looked at.
const LOOK: u64 = 64 << 10;

/// Whether the first element of a document, plain or compressed by gzip, is called `svg`.
pub fn is_svg(bytes: &[u8]) -> bool {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return begins(bytes);
    }
    let mut start = Vec::new();
    // What could be read before a fault still tells the kind.
    let _ = flate2::read::GzDecoder::new(bytes).take(LOOK).read_to_end(&mut start);
    begins(&start)
}

/// Passes over the byte order mark, white space, the declaration, comments and the document type.
fn begins(bytes: &[u8]) -> bool {
    let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    loop {
        rest = rest.trim_ascii_start();
        let next = if rest.starts_with(b"<?") {
            behind(rest, b"?>")
        } else if rest.starts_with(b"<!--") {
            behind(&rest[4..], b"-->")
        } else if rest.starts_with(b"<!DOCTYPE") {
            behind_type(rest)
        } else {
            return is_element(rest);
        };
        match next {
            Some(next) => rest = next,
            None => return false,
        }
    }
}

fn behind<'a>(bytes: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    let at = bytes.windows(end.len()).position(|window| window == end)?;
    Some(&bytes[at + end.len()..])
}

/// What follows a document type; its own declarations stand between brackets.
fn behind_type(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes.iter().position(|byte| matches!(byte, b'[' | b'>'))?;
    match bytes[at] {
        b'[' => behind(behind(&bytes[at..], b"]")?, b">"),
        _ => Some(&bytes[at + 1..]),
    }
}

/// Whether an element called `svg`, in any namespace, begins here.
fn is_element(bytes: &[u8]) -> bool {
    let Some(name) = bytes.strip_prefix(b"<") else {
        return false;
    };
    let end = name
        .iter()
        .position(|byte| byte.is_ascii_whitespace() || b"/>".contains(byte));
    let name = &name[..end.unwrap_or(name.len())];
    name == b"svg" || (name.ends_with(b":svg") && name.iter().all(u8::is_ascii_graphic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn check(text: &str, expected: bool) {
        assert_eq!(is_svg(text.as_bytes()), expected, "{text}");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        assert_eq!(is_svg(&packed.finish().unwrap()), expected, "{text}, compressed");
    }

    #[test]
    fn the_first_element_tells() {
        check("<svg/>", true);
        check("\u{feff}\n <svg xmlns='http://www.w3.org/2000/svg'>", true);
        check("<?xml version='1.0'?>\n<!-- <html> -->\n<svg>", true);
        check(
            "<!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\" \"svg11.dtd\">\n<svg >",
            true,
        );
        check(
            "<!DOCTYPE svg [<!ENTITY ns \"http://example.org/\">]>\n<s:svg xmlns:s='x'>",
            true,
        );
        check("<?xml version='1.0'?><html><svg/></html>", false);
        check("<svgs/>", false);
        check("<!-- <svg/>", false);
        check("<!DOCTYPE svg [", false);
        check("svg", false);
        check("", false);
        assert!(!is_svg(b"\x1f\x8b"));
    }
}
