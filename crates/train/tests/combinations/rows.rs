//! The toy set: four bars that a picture, a sound, a video and a text each tell in full, and targets for every task.

use crate::bars::{self, Bar};
use crate::tones::tones;
use serde_json::{Value, json};
use std::path::Path;

/// Each bar once on the left and once on the right, which a text beside the media tells: to answer takes both.
pub const PLACED: &str = "placed.jsonl";
/// One row for each bar.
pub const BARS: &str = "bars.jsonl";

const PLACES: [&str; 2] = ["left", "right"];

const FRAMES: u32 = 4;

/// Writes the media and both manifests into `folder`.
pub fn write(folder: &Path) {
    let bars: Vec<Bar> = bars::draw(folder).into_iter().take(4).collect();
    let told = bars.iter().enumerate().map(|(index, bar)| tell(folder, index / 2, bar));
    let told: Vec<Value> = told.collect();
    write_rows(&folder.join(BARS), told.iter().cloned());
    let placed = PLACES
        .iter()
        .flat_map(|place| bars.iter().zip(&told).map(|(bar, told)| put(place, bar, told)));
    write_rows(&folder.join(PLACED), placed);
}

fn write_rows(path: &Path, rows: impl Iterator<Item = Value>) {
    let lines: String = rows.map(|row| format!("{row}\n")).collect();
    std::fs::write(path, lines).unwrap();
}

/// The media of a bar and what can be said of it alone.
fn tell(folder: &Path, color: usize, bar: &Bar) -> Value {
    let Bar {
        name,
        color: word,
        shape,
    } = bar;
    let (sound, video) = (format!("{word}-{shape}.wav"), format!("{word}-{shape}"));
    std::fs::write(folder.join(&sound), tones(color, *shape == "lying", 800)).unwrap();
    film(&folder.join(&video), &folder.join(name), *shape == "lying");
    json!({
        "image": name, "sound": sound, "video": video, "text": format!("a {word} bar is {shape}"),
        "caption": format!("{word} {shape}"), "split": "train"
    })
}

/// A folder of frames in which a standing bar rises and a lying one sinks, so that the mean of each frame, which is all
/// that a recurrent network sees of it, tells them apart by its course.
fn film(folder: &Path, picture: &Path, sinks: bool) {
    std::fs::create_dir(folder).unwrap();
    let [red, green, blue] = image::open(picture).unwrap().to_rgb8().get_pixel(8, 8).0;
    for frame in 0..FRAMES {
        let height = 4 * if sinks { FRAMES - frame } else { frame + 1 };
        let pixel = |_, y| image::Rgb(if y >= 16 - height { [red, green, blue] } else { [240; 3] });
        let frame = folder.join(format!("{frame}.png"));
        image::RgbImage::from_fn(16, 16, pixel).save(frame).unwrap();
    }
}

/// The row of a bar at a place. Every target says the colour, the posture and the place.
fn put(place: &str, bar: &Bar, told: &Value) -> Value {
    let Bar { color, shape, .. } = bar;
    let signs = [*color == "red", *shape == "lying", place == "left"].map(|sign| if sign { 1.0 } else { -1.0 });
    let answers = ["red", "green"]
        .map(|color| ["lying", "standing"].map(|shape| PLACES.map(|place| format!("{color} {shape} {place}"))));
    let mut row = told.clone();
    row["place"] = format!("on the {place}").into();
    row["answer"] = format!("{color} {shape} {place}").into();
    row["tags"] = json!([color, shape, place]);
    row["number"] = signs.iter().sum::<f64>().into();
    row["candidates"] = answers.concat().concat().into();
    row
}
