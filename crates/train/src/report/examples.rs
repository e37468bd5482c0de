//! Example predictions: pictures, heat maps and the likeliest answers.

use super::data::{Example, ExampleInput, HeatMap};
use crate::page::format;
use crate::page::picture::{Embedded, embed};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// How many of the likeliest answers are shown.
const TOP: usize = 5;

/// Falls below this are faint on every map, so that noise does not look like evidence.
const LEAST_SCALE: f64 = 0.1;

/// Width over height of a spectrum, however long its sound is.
const SPECTRUM_ASPECT: &str = "2.500";

/// Longer texts are cut.
const TEXT_CHARACTERS: usize = 600;

#[derive(Debug, Clone, Serialize)]
pub struct ExampleView {
    pub row: String,
    /// `right`, `wrong` or nothing.
    pub verdict: &'static str,
    pub output: String,
    pub expected: Vec<String>,
    pub predicted: String,
    pub probability: String,
    pub pictures: Vec<PictureView>,
    pub sounds: Vec<SoundView>,
    /// Names and texts; `None` where the input is absent.
    pub texts: Vec<(String, Option<String>)>,
    pub top: Vec<Answer>,
}

#[derive(Debug, Clone, Serialize)]
pub struct PictureView {
    pub name: String,
    #[serde(flatten)]
    pub embedded: Embedded,
    pub heat: Option<HeatView>,
    /// Much wider than high.
    pub wide: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct SoundView {
    /// None below a picture that has it.
    pub name: Option<String>,
    pub kind: String,
    /// Has no character that could end an attribute.
    pub base64: String,
}

/// The map as squares on a plane of 100 by 100, blurred by the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeatView {
    pub side: String,
    pub blur: String,
    pub squares: Vec<Square>,
    /// Falls below zero are shown too.
    pub both: bool,
    /// The ends of the legend.
    pub low: String,
    pub high: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Square {
    pub x: String,
    pub y: String,
    /// Hiding this part raised the probability.
    pub rises: bool,
    pub opacity: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    pub value: String,
    pub probability: String,
    pub bar: String,
    pub expected: bool,
    pub predicted: bool,
}

/// How many answers of each kind are shown.
pub fn tally(examples: &[Example]) -> String {
    let count = |right: Option<bool>| examples.iter().filter(|example| example.right == right).count();
    let (open, wrong, right) = (count(None), count(Some(false)), count(Some(true)));
    match (open, right) {
        (0, _) => format!("{wrong} wrong, {right} right"),
        (_, 0) => format!("{} rows", examples.len()),
        _ => format!("{} rows, {right} of them right to the letter", examples.len()),
    }
}

/// Wrong predictions first, otherwise in the order given.
pub fn views(examples: &[Example]) -> Vec<ExampleView> {
    let mut sorted: Vec<&Example> = examples.iter().collect();
    sorted.sort_by_key(|example| example.right);
    sorted.into_iter().map(view).collect()
}

fn view(example: &Example) -> ExampleView {
    let mut heat = example.heat.as_ref();
    let (mut pictures, mut sounds, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for input in &example.inputs {
        if let Some(png) = &input.png {
            pictures.push(picture(input, png, heat.take()));
        }
        sounds.extend(input.sound.as_ref().map(|sound| SoundView {
            name: input.png.is_none().then(|| input.name.clone()),
            kind: sound.kind.clone(),
            base64: STANDARD.encode(&sound.bytes),
        }));
        if input.text.is_some() || (input.png.is_none() && input.sound.is_none()) {
            let text = input.text.as_ref().map(|text| format::shorten(text, TEXT_CHARACTERS));
            texts.push((input.name.clone(), text));
        }
    }
    ExampleView {
        row: format::count(example.row),
        verdict: match example.right {
            Some(true) => "right",
            Some(false) => "wrong",
            None => "",
        },
        output: example.output.clone(),
        expected: example.expected.clone(),
        predicted: example.predicted.clone(),
        probability: example.probability.map(format::percent).unwrap_or_default(),
        pictures,
        sounds,
        texts,
        top: example.top.iter().take(TOP).map(|one| answer(example, one)).collect(),
    }
}

fn answer(example: &Example, (value, probability): &(String, f64)) -> Answer {
    let share = if probability.is_finite() {
        probability.clamp(0.0, 1.0)
    } else {
        0.0
    };
    Answer {
        value: value.clone(),
        probability: format::percent(*probability),
        bar: format!("{:.1}", share * 100.0),
        expected: example.expected.contains(value),
        predicted: *value == example.predicted,
    }
}

fn picture(input: &ExampleInput, png: &[u8], heat: Option<&HeatMap>) -> PictureView {
    let mut embedded = embed(png, heat.map(|heat| [heat.width as u32, heat.height as u32]));
    if input.spectrum {
        embedded.aspect = SPECTRUM_ASPECT.into();
    }
    PictureView {
        name: input.name.clone(),
        wide: embedded.aspect.parse::<f64>().is_ok_and(|aspect| aspect > 2.0),
        embedded,
        heat: heat.and_then(heat_view),
    }
}

/// `None` where the map does not have the cells it claims.
fn heat_view(heat: &HeatMap) -> Option<HeatView> {
    if heat.cells == 0 || heat.cells.checked_mul(heat.cells) != Some(heat.falls.len()) {
        return None;
    }
    let finite = heat.falls.iter().filter(|fall| fall.is_finite());
    let (low, high) = finite.fold((0.0, 0.0), |(low, high): (f64, f64), fall| {
        (low.min(*fall), high.max(*fall))
    });
    let scale = high.max(-low).max(LEAST_SCALE);
    let both = low < -scale / 10.0;
    let side = 100.0 / heat.cells as f64;
    Some(HeatView {
        side: format!("{:.2}", side + 0.05),
        blur: format!("{:.2}", side * 0.42),
        squares: squares(heat, scale, side),
        both,
        low: format::tick(if both { -scale } else { 0.0 }, 0.01),
        high: format::tick(scale, 0.01),
    })
}

/// The cells, with those at the border repeated outside it so that the blur does not fade there.
fn squares(heat: &HeatMap, scale: f64, side: f64) -> Vec<Square> {
    let last = heat.cells - 1;
    let mut squares = Vec::new();
    for row in 0..heat.cells + 2 {
        for column in 0..heat.cells + 2 {
            let [inner_row, inner_column] = [row, column].map(|at| at.saturating_sub(1).min(last));
            let fall = heat.falls[inner_row * heat.cells + inner_column];
            let opacity = 0.85 * (fall.abs() / scale).powf(0.8);
            if opacity.is_finite() && opacity >= 0.02 {
                squares.push(Square {
                    x: format!("{:.2}", (column as f64 - 1.0) * side),
                    y: format!("{:.2}", (row as f64 - 1.0) * side),
                    rises: fall < 0.0,
                    opacity: format!("{opacity:.2}"),
                });
            }
        }
    }
    squares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heat(falls: &[f64]) -> HeatMap {
        let cells = (falls.len() as f64).sqrt() as usize;
        HeatMap {
            cells,
            falls: falls.to_vec(),
            height: 64,
            width: 64,
        }
    }

    #[test]
    fn wrong_ones_come_first_and_the_order_is_kept() {
        let example = |row, predicted: &str| Example {
            row,
            expected: vec!["yes".into()],
            predicted: predicted.into(),
            right: Some(predicted == "yes"),
            ..Example::default()
        };
        let examples = [example(1, "yes"), example(2, "no"), example(3, "yes"), example(4, "no")];
        let rows: Vec<String> = views(&examples).into_iter().map(|one| one.row).collect();
        assert_eq!(rows, ["2", "4", "1", "3"]);
    }

    #[test]
    fn the_heading_counts_verdicts_where_there_are_any() {
        let check = |verdicts: &[Option<bool>], expected: &str| {
            let example = |&right: &Option<bool>| Example {
                right,
                ..Example::default()
            };
            assert_eq!(tally(&verdicts.iter().map(example).collect::<Vec<_>>()), expected);
        };
        check(&[Some(false), Some(true), Some(false)], "2 wrong, 1 right");
        check(&[None, None], "2 rows");
        check(&[None, Some(true)], "2 rows, 1 of them right to the letter");
    }

    #[test]
    fn a_spectrum_is_wide_and_a_sound_is_not_absent() {
        let input = ExampleInput {
            name: "speech".into(),
            png: Some(Vec::new()),
            spectrum: true,
            sound: Some(Default::default()),
            ..ExampleInput::default()
        };
        let example = |input: ExampleInput| Example {
            inputs: vec![input],
            ..Example::default()
        };
        let found = view(&example(input.clone()));
        assert!(found.pictures[0].wide && found.pictures[0].embedded.aspect == SPECTRUM_ASPECT);
        assert_eq!((&found.sounds[0].name, found.texts.len()), (&None, 0));
        let found = view(&example(ExampleInput { png: None, ..input }));
        assert_eq!(
            (found.sounds[0].name.as_deref(), found.texts.len()),
            (Some("speech"), 0)
        );
    }

    #[test]
    fn heat_is_scaled_by_its_largest_fall() {
        let check = |falls: &[f64], low: &str, high: &str, squares: usize| {
            let view = heat_view(&heat(falls)).unwrap();
            assert_eq!((view.low.as_str(), view.high.as_str()), (low, high), "{falls:?}");
            assert_eq!(view.squares.len(), squares, "{falls:?}");
            assert!(
                view.squares
                    .iter()
                    .all(|one| one.opacity.parse::<f64>().unwrap() <= 0.85)
            );
        };
        check(&[0.5], "0", "0.50", 9);
        check(&[0.5, 0.0, 0.0, 0.0], "0", "0.50", 4);
        check(&[0.5, -0.4, 0.0, 0.0], "−0.50", "0.50", 8);
        check(&[0.0, 0.0, 0.0, 0.0], "0", "0.10", 0);
        check(&[f64::NAN, 0.2, f64::INFINITY, 0.0], "0", "0.20", 4);
    }

    #[test]
    fn a_map_without_its_cells_is_left_out() {
        assert_eq!(
            heat_view(&HeatMap {
                cells: 3,
                ..heat(&[1.0])
            }),
            None
        );
        assert_eq!(heat_view(&HeatMap::default()), None);
    }

    #[test]
    fn inputs_with_nothing_to_show_are_absent() {
        let input = ExampleInput {
            name: "speech".into(),
            ..ExampleInput::default()
        };
        let example = Example {
            inputs: vec![input],
            ..Example::default()
        };
        assert_eq!(views(&[example])[0].texts, [("speech".to_string(), None)]);
    }
}
