//! The units of distributions, and their values as people read them.

use crate::page::format;

/// What a distribution measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Plain,
    Characters,
    Pixels,
    Seconds,
    Bytes,
}

impl Unit {
    /// A value by itself, with its unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Plain if value.fract() == 0.0 && (0.0..1e15).contains(&value) => format::count(value as u64),
            Self::Plain => format::number(value),
            Self::Characters => whole_or(value, ""),
            Self::Pixels => whole_or(value, " px"),
            Self::Seconds if value < 1.0 => format!("{value:.2} s"),
            Self::Seconds => format::duration(value),
            Self::Bytes => bytes(value),
        }
    }

    /// The bound of a bin: a round number, without the decimals of [`Unit::show`].
    pub fn bound(self, value: f64) -> String {
        match self {
            Self::Seconds if value == 0.0 => "0".to_string(),
            Self::Seconds if value < 60.0 => format!("{value} s"),
            Self::Seconds if value < 3600.0 => format!("{:.0} min", value / 60.0),
            Self::Seconds => format!("{:.0} h", value / 3600.0),
            Self::Bytes => bytes(value).replace(".0 ", " ").replace("bytes", "B"),
            Self::Characters | Self::Pixels => format::count(value as u64),
            Self::Plain => format::number(value),
        }
    }
}

fn whole_or(value: f64, unit: &str) -> String {
    match value.fract() == 0.0 && value >= 0.0 {
        true => format!("{}{unit}", format::count(value as u64)),
        false => format!("{value:.1}{unit}"),
    }
}

/// In steps of 1,024, as the bins are.
fn bytes(value: f64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let place = (0..UNITS.len() - 1)
        .find(|place| value < 1024f64.powi(*place as i32 + 1))
        .unwrap_or(UNITS.len() - 1);
    let scaled = value / 1024f64.powi(place as i32);
    match place {
        0 => format!("{scaled:.0} {}", UNITS[0]),
        _ if scaled < 100.0 => format!("{scaled:.1} {}", UNITS[place]),
        _ => format!("{scaled:.0} {}", UNITS[place]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_carry_their_units() {
        let check = |unit: Unit, value, shown: &str, bound: &str| {
            assert_eq!((unit.show(value).as_str(), unit.bound(value).as_str()), (shown, bound));
        };
        check(Unit::Bytes, 512.0, "512 bytes", "512 B");
        check(Unit::Bytes, 2048.0, "2.0 KiB", "2 KiB");
        check(Unit::Bytes, 1024.0 * 1024.0, "1.0 MiB", "1 MiB");
        check(Unit::Bytes, 131_072.0, "128 KiB", "128 KiB");
        check(Unit::Seconds, 0.5, "0.50 s", "0.5 s");
        check(Unit::Seconds, 300.0, "5 min 00 s", "5 min");
        check(Unit::Pixels, 64.0, "64 px", "64");
        check(Unit::Characters, 33.25, "33.2", "33");
        check(Unit::Plain, 3.0, "3", "3.000");
        check(Unit::Plain, -0.5, "−0.500", "−0.500");
    }
}
