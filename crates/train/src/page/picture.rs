//! Pictures that lie in the page itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// Pictures narrower than this are enlarged without blurring their pixels.
const SMALL: u32 = 160;

/// A PNG file ready for a template.
#[derive(Debug, Clone, Serialize)]
pub struct Embedded {
    /// Has no character that could end an attribute.
    pub base64: String,
    /// Width over height.
    pub aspect: String,
    pub small: bool,
}

/// `size` is the width and height of a file whose header does not say.
pub fn embed(png: &[u8], size: Option<[u32; 2]>) -> Embedded {
    let [width, height] = png_size(png).or(size).unwrap_or([1, 1]);
    // A very long picture would leave no room for what stands beside it.
    let aspect = f64::from(width.max(1)) / f64::from(height.max(1));
    Embedded {
        base64: STANDARD.encode(png),
        aspect: format!("{:.3}", aspect.clamp(0.4, 8.0)),
        small: width < SMALL,
    }
}

/// Width and height from a PNG file's header.
fn png_size(png: &[u8]) -> Option<[u32; 2]> {
    let read = |at: usize| Some(u32::from_be_bytes(png.get(at..at + 4)?.try_into().ok()?));
    (png.starts_with(b"\x89PNG\r\n\x1a\n")).then_some(())?;
    Some([read(16)?, read(20)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_takes_its_size_from_its_header() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend([0, 0, 1, 64, 0, 0, 0, 160]);
        let check = |png: &[u8], size: Option<[u32; 2]>, aspect: &str, small: bool| {
            let found = embed(png, size);
            assert_eq!((found.aspect.as_str(), found.small), (aspect, small));
        };
        check(&png, None, "2.000", false);
        check(&png[..20], None, "1.000", true);
        check(&png[..20], Some([300, 200]), "1.500", false);
        check(b"", None, "1.000", true);
    }
}
