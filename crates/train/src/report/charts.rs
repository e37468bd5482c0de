//! Line charts: series of points become SVG paths on a plane that the page stretches to its width.
//!
//! Only geometry and text are made here; the markup, with its escaping, is in `charts.html`.

use crate::page::format;
use crate::page::scale::Scale;
use serde::Serialize;
use std::fmt::Write;

/// The plane's size in SVG units, as in the `viewBox` of `charts.html`.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 300.0;

/// More points than this in a line cannot be told apart on a screen.
const BUCKETS: usize = 240;

/// What one line shows. Points are `[x, y]` with rising x; those that are not finite leave a gap.
#[derive(Debug, Clone, Default)]
pub struct Series {
    pub name: String,
    /// The line's class in the style sheet.
    pub style: String,
    pub points: Vec<[f64; 2]>,
    /// Marks every point and not only the line between them.
    pub dots: bool,
    /// Faint and without a readout: a backdrop to another series.
    pub backdrop: bool,
}

/// What a chart is about.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    pub title: String,
    /// Values are shares of one and read as percentages.
    pub share: bool,
    /// The vertical axis starts at zero.
    pub from_zero: bool,
    /// A step to point out.
    pub best_step: Option<u64>,
}

/// A chart ready for the template.
#[derive(Debug, Clone, Serialize)]
pub struct Chart {
    pub title: String,
    /// A remark about what could not be drawn, or empty.
    pub note: String,
    pub lines: Vec<Line>,
    pub x_ticks: Vec<Tick>,
    pub y_ticks: Vec<Tick>,
    /// The step to point out.
    pub marker: Option<Tick>,
    pub x_low: f64,
    pub x_high: f64,
}

/// A place along an axis in percent, from the left or from the bottom.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tick {
    pub at: String,
    pub label: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Line {
    pub name: String,
    pub style: String,
    pub path: String,
    pub dots: Vec<Dot>,
    pub backdrop: bool,
    /// The drawn points for the readout under the pointer: steps and values, joined by blanks.
    pub steps: String,
    pub values: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Dot {
    pub x: String,
    pub y: String,
    pub title: String,
}

/// Lays out `series` on common axes.
pub fn chart(subject: &Subject, series: &[Series]) -> Chart {
    let xs = series.iter().flat_map(|one| &one.points).map(|point| point[0]);
    let x = Scale::tight(xs.chain([0.0]), 6).whole();
    let y = vertical(subject, series);
    let show = |value| match subject.share {
        true => format::percent(value),
        false => format::number(value),
    };
    let best_step = subject
        .best_step
        .filter(|step| (x.low..=x.high).contains(&(*step as f64)));
    let marker = best_step.map(|step| Tick {
        at: percent(x.share(step as f64)),
        label: format!("best, step {}", format::count(step)),
    });
    Chart {
        title: subject.title.clone(),
        note: lost(series),
        lines: series.iter().map(|one| line(one, &x, &y, show)).collect(),
        x_ticks: ticks(&x, |value| format::tick(value, x.step)),
        y_ticks: ticks(&y, |value| match subject.share {
            true => format!("{}%", format::tick(value * 100.0, y.step * 100.0)),
            false => format::tick(value, y.step),
        }),
        marker,
        x_low: x.low,
        x_high: x.high,
    }
}

/// Room for every line, except that rare spikes of a backdrop are cut off at the top.
fn vertical(subject: &Subject, series: &[Series]) -> Scale {
    let mut values = Vec::new();
    for one in series {
        let mut finite: Vec<f64> = one
            .points
            .iter()
            .map(|point| point[1])
            .filter(|value| value.is_finite())
            .collect();
        if one.backdrop {
            finite.sort_by(f64::total_cmp);
            finite.truncate((finite.len() as f64 * 0.99).ceil() as usize);
        }
        values.extend(finite);
    }
    if subject.from_zero {
        values.push(0.0);
    }
    Scale::round(values.into_iter(), 5)
}

fn ticks(scale: &Scale, label: impl Fn(f64) -> String) -> Vec<Tick> {
    let ticks = scale.ticks().into_iter();
    ticks
        .map(|value| Tick {
            at: percent(scale.share(value)),
            label: label(value),
        })
        .collect()
}

fn percent(share: f64) -> String {
    format!("{:.2}", share * 100.0)
}

/// How many points could not be drawn, in words.
fn lost(series: &[Series]) -> String {
    let seen = series.iter().filter(|one| !one.backdrop || series.len() == 1);
    let lost = seen
        .flat_map(|one| &one.points)
        .filter(|point| !point[1].is_finite())
        .count();
    match lost {
        0 => String::new(),
        1 => "1 value was not a finite number and is left out.".into(),
        _ => format!(
            "{} values were not finite numbers and are left out.",
            format::count(lost as u64)
        ),
    }
}

fn line(series: &Series, x: &Scale, y: &Scale, show: impl Fn(f64) -> String) -> Line {
    let points = thin(&series.points, BUCKETS);
    let place = |point: [f64; 2]| {
        let up = y.share(point[1]).clamp(0.0, 1.0);
        [x.share(point[0]) * WIDTH, (1.0 - up) * HEIGHT]
    };
    let drawn: Vec<[f64; 2]> = points.iter().copied().filter(|point| point[1].is_finite()).collect();
    let dots = drawn.iter().filter(|_| series.dots).map(|point| {
        let [left, top] = place(*point);
        let title = format!("{}: {} at step {}", series.name, show(point[1]), whole(point[0]));
        Dot {
            x: format!("{left:.1}"),
            y: format!("{top:.1}"),
            title,
        }
    });
    let readout = if series.backdrop { &[] } else { drawn.as_slice() };
    Line {
        name: series.name.clone(),
        style: series.style.clone(),
        path: path(&points, place),
        dots: dots.collect(),
        backdrop: series.backdrop,
        steps: join(readout.iter().map(|point| format!("{:.0}", point[0]))),
        values: join(readout.iter().map(|point| show(point[1]))),
    }
}

fn whole(step: f64) -> String {
    format::count(step.max(0.0) as u64)
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" ")
}

/// Path data that lifts the pen at gaps; a lone point becomes a stroke without length, which
/// round line ends make visible.
fn path(points: &[[f64; 2]], place: impl Fn([f64; 2]) -> [f64; 2]) -> String {
    let mut out = String::new();
    for run in points
        .split(|point| !point[1].is_finite())
        .filter(|run| !run.is_empty())
    {
        for (index, point) in run.iter().enumerate() {
            let [left, top] = place(*point);
            let command = if index == 0 { 'M' } else { 'L' };
            write!(out, "{command}{left:.1} {top:.1}").expect("writing to a string cannot fail");
        }
        if run.len() == 1 {
            out.push_str("h0");
        }
    }
    out
}

/// Keeps the lowest and the highest point of each of `buckets` equal shares of the points, in
/// order, so that no spike is lost; a share without a finite point stays a gap.
pub fn thin(points: &[[f64; 2]], buckets: usize) -> Vec<[f64; 2]> {
    if points.len() <= buckets * 2 {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(buckets * 2);
    for bucket in 0..buckets {
        let range = points.len() * bucket / buckets..points.len() * (bucket + 1) / buckets;
        let finite = range.clone().filter(|index| points[*index][1].is_finite());
        let by_height = |a: &usize, b: &usize| points[*a][1].total_cmp(&points[*b][1]);
        let Some(low) = finite.clone().min_by(by_height) else {
            kept.push(points[range.start]);
            continue;
        };
        let high = finite.max_by(by_height).unwrap_or(low);
        kept.push(points[low.min(high)]);
        if low != high {
            kept.push(points[low.max(high)]);
        }
    }
    kept
}

/// The exponential moving average over about `window` points, free of the bias of its start
/// (Kingma and Ba 2015, section 3). Values that are not finite pass through and do not count.
pub fn smooth(points: &[[f64; 2]], window: usize) -> Vec<[f64; 2]> {
    let keep = 1.0 - 2.0 / (window.max(1) as f64 + 1.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    let step = |point: &[f64; 2]| {
        if !point[1].is_finite() {
            return *point;
        }
        sum = keep * sum + (1.0 - keep) * point[1];
        weight = keep * weight + (1.0 - keep);
        [point[0], sum / weight]
    };
    points.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        let points = values.iter().enumerate().map(|(step, value)| [step as f64, *value]);
        Series {
            name: "loss".into(),
            points: points.collect(),
            ..Series::default()
        }
    }

    /// Every number in the path and on the axes is finite; returns the path.
    fn check(values: &[f64], commands: usize) -> Chart {
        let chart = chart(&Subject::default(), &[series(values)]);
        let path = &chart.lines[0].path;
        assert_eq!(path.matches(['M', 'L']).count(), commands, "{path}");
        let numbers = path.split(['M', 'L', ' ']).map(|part| part.trim_end_matches("h0"));
        for number in numbers.filter(|part| !part.is_empty()) {
            assert!(number.parse::<f64>().unwrap().is_finite(), "{path}");
        }
        for tick in chart.x_ticks.iter().chain(&chart.y_ticks) {
            assert!((-0.01..=100.01).contains(&tick.at.parse::<f64>().unwrap()), "{tick:?}");
        }
        assert!(chart.x_high > chart.x_low);
        chart
    }

    #[test]
    fn any_data_gives_a_finite_chart() {
        check(&[], 0);
        check(&[1.0], 1);
        check(&[f64::NAN], 0);
        check(&[0.0, 0.0, 0.0], 3);
        check(&[1.0, f64::NAN, 2.0, f64::INFINITY, f64::NEG_INFINITY], 2);
        check(&[f64::MAX, f64::MIN, 0.0], 3);
        check(&[1e-300, 2e-300], 2);
        check(&vec![1.5; 10_000], BUCKETS * 2);
    }

    #[test]
    fn gaps_lift_the_pen_and_are_counted() {
        let chart = check(&[1.0, 2.0, f64::NAN, 3.0], 3);
        assert_eq!(chart.lines[0].path, "M0.0 300.0L333.3 150.0M1000.0 0.0h0");
        assert_eq!(chart.note, "1 value was not a finite number and is left out.");
    }

    #[test]
    fn thinning_keeps_ends_order_and_spikes() {
        let mut values = vec![1.0; 9_999];
        values[5_000] = 77.0;
        values[5_001] = f64::NAN;
        let thinned = thin(&series(&values).points, 100);
        assert!(thinned.len() <= 200);
        assert!(thinned.iter().any(|point| point[1] == 77.0));
        assert!(thinned.windows(2).all(|pair| pair[0][0] < pair[1][0]));
    }

    #[test]
    fn smoothing_has_no_start_bias_and_skips_gaps() {
        let smoothed = smooth(&series(&[4.0, 4.0, f64::NAN, 4.0]).points, 9);
        for index in [0, 1, 3] {
            assert!((smoothed[index][1] - 4.0).abs() < 1e-12);
        }
        assert!(smoothed[2][1].is_nan());
        let step = smooth(&series(&[0.0, 1.0]).points, 1);
        assert_eq!(step[1][1], 1.0);
    }

    #[test]
    fn shares_and_the_best_step_are_labelled() {
        let subject = Subject {
            share: true,
            best_step: Some(1),
            ..Subject {
                title: "accuracy".into(),
                ..Subject::default()
            }
        };
        let mut one = series(&[0.5, 0.75, 1.0]);
        one.dots = true;
        let chart = chart(&subject, &[one]);
        assert_eq!(chart.y_ticks.last().unwrap().label, "100%");
        assert_eq!(chart.lines[0].dots[1].title, "loss: 75.0% at step 1");
        assert_eq!(chart.marker.unwrap().at, "50.00");
        assert_eq!(chart.lines[0].values, "50.0% 75.0% 100.0%");
    }

    #[test]
    fn a_rare_spike_of_a_backdrop_does_not_flatten_the_rest() {
        let mut values = vec![1.0; 1000];
        values[3] = 1e6;
        let backdrop = Series {
            backdrop: true,
            ..series(&values)
        };
        let chart = chart(&Subject::default(), &[backdrop, series(&[1.0, 2.0])]);
        assert_eq!(chart.y_ticks.last().unwrap().label, "2.0");
    }
}
