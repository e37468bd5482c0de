//! The bounds that a schema sets to numbers, and the widths of Rust's number types.

use std::cmp::Ordering;

use serde_json::{Number, Value as Json};
use toml::Value as Toml;

use super::alternatives::Keywords;

/// Whether `value` is inside the bounds of `keywords`; not-a-number is inside no bounds, and what
/// is no number inside all.
pub(super) fn in_bounds(keywords: &Keywords, value: &Toml) -> bool {
    let fits = |name: &str, accepted: &[Ordering]| {
        let Some(Json::Number(bound)) = keywords.get(name) else {
            return true;
        };
        compare(value, bound).is_some_and(|ordering| accepted.contains(&ordering))
    };
    let is_number = matches!(value, Toml::Integer(_) | Toml::Float(_));
    !is_number
        || fits("minimum", &[Ordering::Greater, Ordering::Equal])
            && fits("exclusiveMinimum", &[Ordering::Greater])
            && fits("maximum", &[Ordering::Less, Ordering::Equal])
            && fits("exclusiveMaximum", &[Ordering::Less])
}

/// Whether the Rust type that `format` names can hold `value`. The schema has no bounds for 32
/// bits.
pub(super) fn fits_width(keywords: &Keywords, value: &Toml) -> bool {
    match (keywords.get("format").and_then(Json::as_str), value) {
        (Some("int32"), Toml::Integer(value)) => i32::try_from(*value).is_ok(),
        (Some("uint32"), Toml::Integer(value)) => u32::try_from(*value).is_ok(),
        (Some("float"), Toml::Float(value)) => !value.is_finite() || value.abs() <= f64::from(f32::MAX),
        _ => true,
    }
}

fn compare(value: &Toml, bound: &Number) -> Option<Ordering> {
    match (value, bound.as_i128(), bound.as_f64()) {
        (Toml::Integer(value), Some(bound), _) => Some(i128::from(*value).cmp(&bound)),
        (Toml::Integer(value), None, Some(bound)) => (*value as f64).partial_cmp(&bound),
        (Toml::Float(value), _, Some(bound)) => value.partial_cmp(&bound),
        _ => None,
    }
}

/// The bounds in words that follow "a number": ` from 0 to 1`, ` above 0`, or nothing.
pub(super) fn in_words(keywords: &Keywords) -> String {
    let bound = |name: &str| keywords.get(name).and_then(Json::as_number).map(short);
    let low = bound("minimum").map(|low| format!("of at least {low}"));
    let low = low.or(bound("exclusiveMinimum").map(|low| format!("above {low}")));
    let high = bound("maximum").map(|high| format!("of at most {high}"));
    let high = high.or(bound("exclusiveMaximum").map(|high| format!("below {high}")));
    match (bound("minimum"), bound("maximum"), low, high) {
        (Some(low), Some(high), ..) => format!(" from {low} to {high}"),
        (_, _, Some(low), Some(high)) => format!(" {low} and {high}"),
        (_, _, Some(only), None) | (_, _, None, Some(only)) => format!(" {only}"),
        (_, _, None, None) => String::new(),
    }
}

/// `number` without the `.0` of a whole float.
fn short(number: &Number) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(schema: Json, words: &str, inside: &[Toml], outside: &[Toml]) {
        let keywords = schema.as_object().unwrap();
        let fits = |value: &&Toml| in_bounds(keywords, value) && fits_width(keywords, value);
        assert_eq!(in_words(keywords), words);
        assert_eq!(inside.iter().find(|value| !fits(value)), None, "{schema}");
        assert_eq!(outside.iter().find(fits), None, "{schema}");
    }

    #[test]
    fn bounds_hold_at_their_edges() {
        let [int, float] = [Toml::Integer, |value| Toml::Float(value as f64)];
        check(json!({}), "", &[int(-5), Toml::Float(f64::NAN)], &[]);
        let closed = json!({ "minimum": 0.0, "maximum": 1 });
        check(
            closed,
            " from 0 to 1",
            &[int(0), float(1)],
            &[int(2), Toml::Float(f64::NAN)],
        );
        let above = json!({ "exclusiveMinimum": 0 });
        check(above, " above 0", &[int(1), Toml::Float(1e-9)], &[int(0), float(0)]);
        let mixed = json!({ "minimum": 1, "exclusiveMaximum": 2.5 });
        check(
            mixed,
            " of at least 1 and below 2.5",
            &[int(1), int(2)],
            &[Toml::Float(2.5), int(0)],
        );
        let most = json!({ "maximum": i64::MAX - 1 });
        let words = " of at most 9223372036854775806";
        check(most, words, &[int(i64::MAX - 1)], &[int(i64::MAX)]);
    }

    #[test]
    fn widths_are_those_of_the_rust_types() {
        let limit = i64::from(u32::MAX);
        let outside = [Toml::Integer(limit + 1), Toml::Integer(-1)];
        check(json!({ "format": "uint32" }), "", &[Toml::Integer(limit)], &outside);
        let inside = [Toml::Float(f64::INFINITY), Toml::Float(3e38)];
        check(json!({ "format": "float" }), "", &inside, &[Toml::Float(4e38)]);
    }
}
