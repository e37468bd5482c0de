//! From the bytes of a document to pixels, with every bound checked before the step that it protects.

use super::extent::{self, Fault};
use super::{Scale, work};
use crate::processors::image::part::{Part, Region};
use crate::processors::image::resize::{self, Frame};
use crate::processors::image::{CHANNELS, ImageConfig, Picture};
use crate::shield::shielded;
use crate::{DataError, ErrorKind, Result};
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{self, ImageHrefResolver, ImageKind, Options, Tree};
use roxmltree::{Document, ParsingOptions};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest text of a document, unpacked, in bytes.
const MAX_TEXT: u64 = 32 << 20;
/// The longest text that entities may be replaced by.
const MAX_ENTITIES: usize = 64 << 20;
/// Nodes of a document, text and attributes not counted.
const MAX_NODES: u32 = 1 << 20;
/// The longest side of a drawing at its own size, in pixels.
const OWN_SIDE: f64 = 1024.0;
/// Pixels of all pictures inside of a drawing.
const MAX_INSIDE: u64 = 64 << 20;
/// Bytes that layers may take together.
const MAX_LAYERS: f64 = (2u64 << 30) as f64;
/// Stack of the thread that draws: elements lie inside of each other, and each level takes some of it.
const STACK: usize = 64 << 20;

pub fn decode(bytes: &[u8], config: &ImageConfig, scale: Scale) -> Result<Part> {
    let text = text(bytes)?;
    let failed = || damaged("the renderer failed on it");
    std::thread::scope(|scope| {
        let draw = || shielded(|| draw(&text, config, scale)).unwrap_or_else(|| Err(failed()));
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, draw);
        let thread = thread.map_err(|error| DataError::new(ErrorKind::Io, error.to_string()))?;
        thread.join().unwrap_or_else(|_| Err(failed()))
    })
}

/// The document as text, unpacked where it is compressed.
fn text(bytes: &[u8]) -> Result<String> {
    let mut unpacked = Vec::new();
    let bytes = match bytes.starts_with(&[0x1f, 0x8b]) {
        false => bytes,
        true => {
            let unpack = flate2::read::GzDecoder::new(bytes)
                .take(MAX_TEXT + 1)
                .read_to_end(&mut unpacked);
            unpack.map_err(|error| damaged(&format!("compressed data that cannot be unpacked: {error}")))?;
            &unpacked
        }
    };
    if bytes.len() as u64 > MAX_TEXT {
        return Err(too_large("a longer text"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let message = "expected an SVG drawing in UTF-8, found other bytes; store it in UTF-8";
        DataError::new(ErrorKind::Unsupported, message).at_offset(error.valid_up_to() as u64)
    })?;
    match entities(text) > MAX_ENTITIES {
        true => Err(too_large("more entities")),
        false => Ok(text.to_string()),
    }
}

/// Bytes that the entities of a document become at most. One reference may stand for 255 others and no more: the
/// parser counts them.
fn entities(text: &str) -> usize {
    let values = text.split("<!ENTITY").skip(1).filter_map(|rest| {
        let at = rest.find(['"', '\''])?;
        rest[at + 1..].split(rest.as_bytes()[at] as char).next()
    });
    let values: Vec<&str> = values.collect();
    let longest = values.iter().map(|value| value.len()).max().unwrap_or(0);
    let inner = if values.iter().any(|value| value.contains('&')) {
        256
    } else {
        1
    };
    let references = text.bytes().filter(|&byte| byte == b'&').count();
    references.saturating_mul(longest).saturating_mul(inner)
}

fn draw(text: &str, config: &ImageConfig, scale: Scale) -> Result<Part> {
    let options = ParsingOptions {
        allow_dtd: true,
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::NodesLimitReached => too_large("more elements"),
        error => damaged(&error.to_string()),
    })?;
    extent::check(&document).map_err(explain)?;
    let tree = Tree::from_xmltree(&document, &self::options()).map_err(|error| match error {
        usvg::Error::ElementsLimitReached => too_large("more elements"),
        error => damaged(&error.to_string()),
    })?;
    let held = work::check(&tree).map_err(|_| too_large("one that is more work to draw"))?;
    let frame = frame(&tree, config, scale);
    if held * 4.0 * (frame.kept.width * frame.kept.height) as f64 > MAX_LAYERS {
        return Err(too_large("one that needs more memory"));
    }
    render(&tree, frame, config.ground)
}

/// How a document's references to pictures are answered: never from outside of it.
fn options() -> Options<'static> {
    let inside = AtomicU64::new(0);
    Options {
        image_href_resolver: ImageHrefResolver {
            resolve_data: Box::new(move |_, data, _| embedded(data, &inside)),
            resolve_string: Box::new(|_, _| None),
        },
        ..Options::default()
    }
}

/// A picture inside of the document, unless it or all of them so far are too large.
fn embedded(data: Arc<Vec<u8>>, inside: &AtomicU64) -> Option<ImageKind> {
    let format = image::guess_format(&data).ok()?;
    let reader = image::ImageReader::with_format(std::io::Cursor::new(&data[..]), format);
    let (width, height) = reader.into_dimensions().ok()?;
    let pixels = u64::from(width) * u64::from(height);
    if inside.fetch_add(pixels, Ordering::Relaxed).saturating_add(pixels) > MAX_INSIDE {
        return None;
    }
    match format {
        image::ImageFormat::Png => Some(ImageKind::PNG(data)),
        image::ImageFormat::Jpeg => Some(ImageKind::JPEG(data)),
        image::ImageFormat::Gif => Some(ImageKind::GIF(data)),
        image::ImageFormat::WebP => Some(ImageKind::WEBP(data)),
        _ => None,
    }
}

/// What a drawing is scaled to.
fn frame(tree: &Tree, config: &ImageConfig, scale: Scale) -> Frame {
    let (width, height) = (f64::from(tree.size().width()), f64::from(tree.size().height()));
    match scale {
        Scale::Target => resize::frame(config, height, width),
        Scale::Own => {
            let shrink = (OWN_SIDE / width.max(height)).min(1.0);
            let side = |length: f64| (length * shrink).round().max(1.0) as usize;
            Frame::whole(side(height), side(width))
        }
    }
}

/// Draws the part of the frame that is kept.
fn render(tree: &Tree, frame: Frame, ground: [u8; CHANNELS]) -> Result<Part> {
    let Region {
        top,
        left,
        height,
        width,
    } = frame.kept;
    let mut canvas = Pixmap::new(width as u32, height as u32).ok_or_else(|| too_large("a larger canvas"))?;
    let [red, green, blue] = ground;
    canvas.fill(Color::from_rgba8(red, green, blue, 255));
    let across = frame.width as f32 / tree.size().width();
    let down = frame.height as f32 / tree.size().height();
    let place = Transform::from_row(across, 0.0, 0.0, down, -(left as f32), -(top as f32));
    resvg::render(tree, place, &mut canvas.as_mut());
    let (pixels, _) = canvas.data().as_chunks::<4>();
    let pixels = pixels.iter().flat_map(|&[red, green, blue, _]| [red, green, blue]);
    Ok(Part {
        picture: Picture {
            height,
            width,
            pixels: pixels.collect(),
        },
        top,
        left,
        height: frame.height,
        width: frame.width,
    })
}

fn explain(fault: Fault) -> DataError {
    match fault {
        Fault::TooLong => too_large("one that grows beyond bounds when its references are followed"),
        Fault::TooDeep => too_large("elements too deep inside of each other"),
        Fault::TooManyRules => too_large("too many rules of style for its elements"),
        Fault::Circle => damaged("an element that contains itself by a reference"),
    }
}

fn damaged(found: &str) -> DataError {
    let message = format!("expected an SVG drawing, found one that is cut or altered: {found}; replace the file");
    DataError::new(ErrorKind::Damaged, message)
}

fn too_large(found: &str) -> DataError {
    let message = format!(
        "expected an SVG drawing of at most {MAX_TEXT} bytes and of bounded work, found {found}; simplify it, or \
         convert it to PNG"
    );
    DataError::new(ErrorKind::TooLarge, message)
}
