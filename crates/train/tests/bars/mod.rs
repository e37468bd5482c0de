//! Pictures of a coloured bar, lying or standing: the small set that tests learn by heart.

use std::path::Path;

/// One picture.
pub struct Bar {
    /// The picture's file.
    pub name: String,
    pub color: &'static str,
    /// `lying` or `standing`.
    pub shape: &'static str,
}

const COLORS: [(&str, [u8; 3]); 3] = [
    ("red", [220, 30, 30]),
    ("green", [30, 180, 40]),
    ("blue", [40, 60, 220]),
];

/// Draws the six pictures of 16 × 16 into `folder`, in the order of colours and shapes.
pub fn draw(folder: &Path) -> Vec<Bar> {
    let shapes = ["lying", "standing"];
    let all = COLORS.into_iter().flat_map(|color| shapes.map(|shape| (color, shape)));
    let bar = |((color, rgb), shape): ((&'static str, [u8; 3]), &'static str)| {
        let name = format!("{color}-{shape}.png");
        let pixel = |x: u32, y: u32| {
            let (along, across) = if shape == "lying" { (x, y) } else { (y, x) };
            let inside = (2..14).contains(&along) && (6..10).contains(&across);
            image::Rgb(if inside { rgb } else { [240, 240, 240] })
        };
        let picture = image::RgbImage::from_fn(16, 16, pixel);
        picture.save(folder.join(&name)).unwrap();
        Bar { name, color, shape }
    };
    all.map(bar).collect()
}
