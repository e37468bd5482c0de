//! Histograms: the bars of a distribution, its axes and its quartiles.

use super::unit::Unit;
use crate::page::format;
use crate::page::scale::Scale;
use sensorium_data::check::Histogram;
use serde::Serialize;

/// Bins that are shown at least, so that a single bar stands among its neighbours.
const FEWEST: usize = 7;
/// Labels along an axis of bounds, and round numbers along one of values, about.
const TICKS: usize = 7;
const ROUND_TICKS: usize = 9;

/// A distribution ready for the template.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BarsView {
    pub title: &'static str,
    pub bars: Vec<Bar>,
    pub x_ticks: Vec<Tick>,
    pub y_ticks: Vec<Tick>,
    /// Names and values of the summary.
    pub summary: Vec<(&'static str, String)>,
}

/// A bin: its height in percent, and what it counts in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bar {
    pub height: String,
    pub title: String,
}

/// A place along an axis in percent, from the left or from the bottom.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tick {
    pub at: String,
    pub label: String,
}

/// How a histogram is read: `total` adds the sum of its values.
pub struct Subject {
    pub title: &'static str,
    /// What is said after a value that all have.
    pub short: &'static str,
    pub unit: Unit,
    pub total: bool,
}

/// `None` where all values are the same, which [`same`] says in words.
pub fn bars(subject: &Subject, histogram: &Histogram) -> Option<BarsView> {
    if histogram.minimum == histogram.maximum {
        return None;
    }
    let unit = subject.unit;
    let (first, last) = shown(&histogram.counts);
    let tallest = histogram.counts.iter().copied().max().unwrap_or(0);
    let y = Scale::round([0.0, tallest as f64].into_iter(), 4).whole();
    let bar = |bin: usize| Bar {
        height: percent(y.share(histogram.counts[bin] as f64)),
        title: format!(
            "{}: {}",
            range(unit, histogram, bin),
            format::count(histogram.counts[bin] as u64)
        ),
    };
    Some(BarsView {
        title: subject.title,
        bars: (first..=last).map(bar).collect(),
        x_ticks: match unit {
            Unit::Plain => even_ticks(histogram),
            _ => bound_ticks(unit, histogram, first, last),
        },
        y_ticks: y
            .ticks()
            .into_iter()
            .map(|value| Tick {
                at: percent(y.share(value)),
                label: format::tick(value, y.step),
            })
            .collect(),
        summary: summary(subject, histogram),
    })
}

/// The one value that all have, `64 px` wide, and what they sum up to; nothing where values differ.
pub fn same(subject: &Subject, histogram: &Histogram) -> Vec<(&'static str, String)> {
    let show = |value| subject.unit.show(value);
    let mut facts = Vec::new();
    if histogram.minimum == histogram.maximum {
        facts.push((subject.short, show(histogram.minimum)));
        if subject.total {
            facts.push(("in all", show(histogram.sum)));
        }
    }
    facts
}

fn percent(share: f64) -> String {
    format!("{:.2}", share * 100.0)
}

/// The first and the last bin to show: those that hold something, and where they are few empty ones to both sides.
fn shown(counts: &[usize]) -> (usize, usize) {
    let mut first = counts.iter().position(|count| *count > 0).unwrap_or(0);
    let mut last = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
    while last - first + 1 < FEWEST.min(counts.len()) {
        last = (last + 1).min(counts.len() - 1);
        if last - first + 1 < FEWEST {
            first = first.saturating_sub(1);
        }
    }
    (first, last)
}

/// The bound below a bin; `None` where there is nothing below.
fn below(histogram: &Histogram, bin: usize) -> Option<f64> {
    bin.checked_sub(1).map(|before| histogram.bounds[before])
}

fn range(unit: Unit, histogram: &Histogram, bin: usize) -> String {
    let text = |value: f64| unit.bound(value);
    match (below(histogram, bin), histogram.bounds.get(bin)) {
        (Some(low), Some(high)) => format!("{} to {}", text(low), text(*high)),
        (None, Some(high)) => format!("below {}", text(*high)),
        (Some(low), None) => format!("{} and more", text(low)),
        (None, None) => "all".to_string(),
    }
}

/// Bins of one width have a linear axis with round numbers on it.
fn even_ticks(histogram: &Histogram) -> Vec<Tick> {
    let scale = Scale::tight([histogram.minimum, histogram.maximum].into_iter(), ROUND_TICKS);
    let tick = |value: f64| Tick {
        at: percent(scale.share(value)),
        label: format::tick(value, scale.step),
    };
    scale.ticks().into_iter().map(tick).collect()
}

/// The bounds between bins that grow, as many as there is room for.
fn bound_ticks(unit: Unit, histogram: &Histogram, first: usize, last: usize) -> Vec<Tick> {
    let bins = last - first + 1;
    let every = (bins + 1).div_ceil(TICKS);
    let tick = |place: usize| {
        let bound = match first + place {
            0 => 0.0,
            bin => *histogram.bounds.get(bin - 1)?,
        };
        Some(Tick {
            at: percent(place as f64 / bins as f64),
            label: unit.bound(bound),
        })
    };
    (0..=bins).step_by(every).filter_map(tick).collect()
}

fn summary(subject: &Subject, histogram: &Histogram) -> Vec<(&'static str, String)> {
    let show = |value| subject.unit.show(value);
    let mut summary = vec![
        ("least", show(histogram.minimum)),
        ("25%", show(histogram.lower_quartile)),
        ("median", show(histogram.median)),
        ("75%", show(histogram.upper_quartile)),
        ("most", show(histogram.maximum)),
        ("mean", show(histogram.mean)),
    ];
    if subject.total {
        summary.push(("total", show(histogram.sum)));
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[f64], bounds: &[f64]) -> Histogram {
        let mut counts = vec![0; bounds.len() + 1];
        for value in values {
            counts[bounds.partition_point(|bound| bound <= value)] += 1;
        }
        Histogram {
            count: values.len(),
            minimum: values[0],
            lower_quartile: values[values.len() / 4],
            mean: 0.5,
            median: values[values.len() / 2],
            upper_quartile: values[values.len() * 3 / 4],
            maximum: values[values.len() - 1],
            sum: values.iter().sum(),
            bounds: bounds.to_vec(),
            counts,
        }
    }

    fn subject(unit: Unit) -> Subject {
        Subject {
            title: "Size",
            short: "large",
            unit,
            total: unit == Unit::Bytes,
        }
    }

    fn view(unit: Unit, values: &[f64], bounds: &[f64]) -> BarsView {
        let histogram = histogram(values, bounds);
        assert_eq!(same(&subject(unit), &histogram), []);
        bars(&subject(unit), &histogram).unwrap()
    }

    #[test]
    fn one_value_is_said_and_not_drawn() {
        let check = |unit: Unit, value: f64, expected: &[&str]| {
            let histogram = histogram(&[value; 3], &[32.0, 64.0, 128.0]);
            let facts = same(&subject(unit), &histogram);
            assert!(
                facts.iter().map(|fact| fact.1.as_str()).eq(expected.iter().copied()),
                "{facts:?}"
            );
            assert_eq!(bars(&subject(unit), &histogram), None);
        };
        check(Unit::Pixels, 64.0, &["64 px"]);
        check(Unit::Bytes, 512.0, &["512 bytes", "1.5 KiB"]);
    }

    #[test]
    fn bins_stand_between_their_bounds_and_empty_ends_are_left_out() {
        let doubling: Vec<f64> = (0..22).map(|power| f64::from(1 << power)).collect();
        let view = view(Unit::Bytes, &[1024.0, 1500.0, 3000.0], &doubling);
        assert_eq!(view.bars.len(), FEWEST);
        let tall = view.bars.iter().position(|bar| bar.height == "100.00").unwrap();
        assert_eq!(view.bars[tall].title, "1 KiB to 2 KiB: 2");
        let labels: Vec<&str> = view.x_ticks.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(labels, ["256 B", "1 KiB", "4 KiB", "16 KiB"]);
        assert_eq!(view.y_ticks.last().unwrap().label, "2");
        assert_eq!(view.summary.last().unwrap(), &("total", "5.4 KiB".to_string()));
    }

    #[test]
    fn bins_of_one_width_have_round_ticks() {
        let bounds: Vec<f64> = (1..20).map(|place| f64::from(place) * 0.35 - 3.5).collect();
        let view = view(Unit::Plain, &[-3.5, 0.0, 1.0, 3.5], &bounds);
        assert_eq!(view.bars.len(), 20);
        let labels: Vec<&str> = view.x_ticks.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(labels, ["−3", "−2", "−1", "0", "1", "2", "3"]);
    }

    #[test]
    fn the_first_and_the_last_bin_are_open() {
        let view = view(Unit::Seconds, &[0.05, 4000.0], &[0.1, 60.0, 3600.0]);
        assert_eq!(view.bars[0].title, "below 0.1 s: 1");
        assert_eq!(view.bars[3].title, "1 h and more: 1");
        assert_eq!(view.x_ticks[0].label, "0");
        assert_eq!(view.x_ticks.last().unwrap().label, "1 h");
    }
}
