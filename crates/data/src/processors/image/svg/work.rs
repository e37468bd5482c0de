//! How much drawing a document asks for, in shares of the picture's area, so that the answer is the same at every size.
//! It follows the renderer: layers of their own for groups with opacity, masks, clips and filters, tiles for patterns.

use resvg::tiny_skia::{Rect, Transform};
use resvg::usvg::filter::{Filter, Kind};
use resvg::usvg::{ClipPath, Group, ImageKind, Mask, Node, Paint, Path, Tree};

/// Areas of the picture that may be painted one over the other.
const MAX_PAINTED: f64 = 4096.0;
/// Areas of the picture that may be held at once: a blurred group that reaches far beyond the picture takes hundreds.
const MAX_HELD: f64 = 1024.0;
/// Pieces of lines that may be followed.
const MAX_PIECES: f64 = 50e6;
/// The renderer cuts layers to five times the picture's width and height; turned ones take at most twice that.
const MAX_LAYER: f64 = 50.0;
/// Painted areas that one primitive of a filter is worth.
const PRIMITIVE: f64 = 20.0;
/// The side of the picture in pixels that counts for what grows with pixels.
const SIDE: f64 = 1024.0;

/// More drawing than a picture is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuch;

/// Refuses a drawing that would take too long or too much memory; otherwise the areas that are held at once.
pub fn check(tree: &Tree) -> Result<f64, TooMuch> {
    let size = tree.size();
    let mut work = Work {
        painted: 0.0,
        pieces: 0.0,
        held: 0.0,
    };
    let scale = Transform::from_scale(1.0 / size.width(), 1.0 / size.height());
    work.group(tree.root(), scale, 1.0, 1.0)?;
    Ok(work.held)
}

struct Work {
    painted: f64,
    pieces: f64,
    /// The most areas held at once.
    held: f64,
}

impl Work {
    fn paint(&mut self, areas: f64) -> Result<(), TooMuch> {
        self.painted += areas;
        // A sum that is no number is refused too.
        let within = self.painted <= MAX_PAINTED && self.pieces <= MAX_PIECES && self.held <= MAX_HELD;
        within.then_some(()).ok_or(TooMuch)
    }

    /// A group on a layer of area `canvas`; `scale` brings its absolute coordinates to the unit square, and `held` is
    /// what the layers around it take.
    fn group(&mut self, group: &Group, scale: Transform, canvas: f64, held: f64) -> Result<(), TooMuch> {
        let (mut canvas, mut held) = (canvas, held);
        if group.should_isolate() {
            let layer = area(group.abs_layer_bounding_box().to_rect(), scale).min(MAX_LAYER);
            canvas = if layer.is_nan() { MAX_LAYER } else { layer };
            let results: usize = group.filters().iter().map(|filter| filter.primitives().len() + 3).sum();
            held += canvas * (3 + results) as f64;
            self.held = self.held.max(held);
            self.paint(2.0 * canvas)?;
            for filter in group.filters() {
                self.filter(filter, canvas, held)?;
            }
            group.clip_path().map_or(Ok(()), |clip| self.clip(clip, canvas, held))?;
            group.mask().map_or(Ok(()), |mask| self.mask(mask, canvas, held))?;
        }
        self.children(group, scale, canvas, held)
    }

    fn children(&mut self, group: &Group, scale: Transform, canvas: f64, held: f64) -> Result<(), TooMuch> {
        for node in group.children() {
            match node {
                Node::Group(group) => self.group(group, scale, canvas, held)?,
                Node::Path(path) => self.path(path, scale, canvas, held)?,
                Node::Image(image) if matches!(image.kind(), ImageKind::SVG(_)) => return Err(TooMuch),
                // A picture is decoded each time it is shown.
                Node::Image(image) => {
                    let pixels = f64::from(image.size().width()) * f64::from(image.size().height());
                    self.paint(canvas + 10.0 * pixels / (SIDE * SIDE))?;
                }
                Node::Text(_) => {}
            }
        }
        Ok(())
    }

    fn path(&mut self, path: &Path, scale: Transform, canvas: f64, held: f64) -> Result<(), TooMuch> {
        let pieces = path.data().len() as f64;
        self.pieces += pieces + dashes(path);
        self.paint(area(path.abs_stroke_bounding_box(), scale).min(canvas))?;
        let stroke = path.stroke().map(|stroke| stroke.paint());
        for paint in path.fill().map(|fill| fill.paint()).into_iter().chain(stroke) {
            if let Paint::Pattern(pattern) = paint {
                let place = scale.pre_concat(path.abs_transform()).pre_concat(pattern.transform());
                let (across, down) = place.get_scale();
                let rect = pattern.rect();
                let tile = f64::from(rect.width() * across) * f64::from(rect.height() * down);
                self.held = self.held.max(held + tile);
                self.paint(tile)?;
                self.children(
                    pattern.root(),
                    Transform::from_scale(f32::MAX, f32::MAX),
                    tile,
                    held + tile,
                )?;
            }
        }
        Ok(())
    }

    fn clip(&mut self, clip: &ClipPath, canvas: f64, held: f64) -> Result<(), TooMuch> {
        self.paint(2.0 * canvas)?;
        // Places inside of a clip or a mask are not known here: everything counts as the whole layer.
        self.group(clip.root(), everywhere(), canvas, held + canvas)?;
        clip.clip_path()
            .map_or(Ok(()), |clip| self.clip(clip, canvas, held + canvas))
    }

    fn mask(&mut self, mask: &Mask, canvas: f64, held: f64) -> Result<(), TooMuch> {
        self.paint(2.0 * canvas)?;
        self.group(mask.root(), everywhere(), canvas, held + canvas)?;
        mask.mask()
            .map_or(Ok(()), |mask| self.mask(mask, canvas, held + canvas))
    }

    fn filter(&mut self, filter: &Filter, canvas: f64, held: f64) -> Result<(), TooMuch> {
        for primitive in filter.primitives() {
            let factor = match primitive.kind() {
                Kind::ConvolveMatrix(it) => f64::from(it.matrix().columns()) * f64::from(it.matrix().rows()),
                // Radii are in units of the document, which have no more pixels than its side has.
                Kind::Morphology(it) => [it.radius_x(), it.radius_y()]
                    .map(|radius| 1.0 + 2.0 * f64::from(radius.get()).min(SIDE))
                    .iter()
                    .product(),
                Kind::Turbulence(it) => 4.0 * f64::from(it.num_octaves()),
                Kind::Image(it) => {
                    self.group(it.root(), everywhere(), canvas, held + canvas)?;
                    1.0
                }
                _ => 1.0,
            };
            self.paint(canvas * (PRIMITIVE + factor))?;
        }
        Ok(())
    }
}

/// A scale at which every part is larger than its layer.
fn everywhere() -> Transform {
    Transform::from_scale(f32::MAX, f32::MAX)
}

/// The share of the picture that a part takes.
fn area(part: Rect, scale: Transform) -> f64 {
    let share = |length: f32, scale: f32| f64::from(length) * f64::from(scale);
    let area = share(part.width(), scale.sx) * share(part.height(), scale.sy);
    // A line has no area, but pixels nevertheless.
    area.max(1.0 / SIDE / SIDE)
}

/// Dashes of a path's stroke at most: the box around a piece is no longer than the path's own.
fn dashes(path: &Path) -> f64 {
    let Some(array) = path.stroke().and_then(|stroke| stroke.dasharray()) else {
        return 0.0;
    };
    let bounds = path.bounding_box();
    let length = f64::from(bounds.width() + bounds.height()) * path.data().len() as f64;
    // The renderer gives a line up where it would have more dashes than this.
    (length * array.len() as f64 / f64::from(array.iter().sum::<f32>())).clamp(0.0, 1e6)
}
