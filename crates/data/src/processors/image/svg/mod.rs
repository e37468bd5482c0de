//! SVG drawings, plain or compressed: rendered at the size that is asked for, so that no line is blurred by a resize.

mod detect;
#[cfg(feature = "svg")]
mod draw;
#[cfg(feature = "svg")]
mod extent;
#[cfg(all(test, feature = "svg"))]
mod tests;
#[cfg(feature = "svg")]
mod work;

pub use detect::is_svg;

use super::ImageConfig;
use super::part::Part;
use crate::Result;
#[cfg(not(feature = "svg"))]
use crate::{DataError, ErrorKind};

/// How large a drawing becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Its own size, or less where that is beyond what a look at it needs.
    Own,
    /// The configured size.
    Target,
}

/// Draws an SVG on the ground colour. Text is left out, because fonts differ between machines, and so are pictures
/// that lie outside of the document: no file and no address is opened.
///
/// # Errors
/// [`Damaged`](crate::ErrorKind::Damaged) for what is no SVG, [`TooLarge`](crate::ErrorKind::TooLarge) for a document
/// that grows beyond bounds when its references are followed or that is too much work to draw, and
/// [`Unsupported`](crate::ErrorKind::Unsupported) for other encodings than UTF-8, or in a build without this feature.
#[cfg(feature = "svg")]
pub fn decode(bytes: &[u8], config: &ImageConfig, scale: Scale) -> Result<Part> {
    draw::decode(bytes, config, scale)
}

#[cfg(not(feature = "svg"))]
pub fn decode(_: &[u8], _: &ImageConfig, _: Scale) -> Result<Part> {
    let message = "expected a PNG, JPEG, WebP, GIF, BMP or TIFF picture, found an SVG drawing, which this build does \
                   not read; build it with the feature `svg`, or convert the drawing to PNG";
    Err(DataError::new(ErrorKind::Unsupported, message))
}
