//! Numbers on axes: where the lines of a grid are, and how values are written.

use crate::cli::table;

/// What the values of a chart are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Count,
    Bytes,
    Seconds,
}

impl Unit {
    /// A value in full.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Count => table::count(value.round() as u64),
            Self::Bytes => table::bytes(value.round() as u64),
            Self::Seconds => table::duration(value),
        }
    }

    /// A value in as few characters as an axis has room for.
    fn short(self, value: f64) -> String {
        let number = |value: f64, unit: &str| {
            let text = format!("{value:.1}");
            format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
        };
        match self {
            Self::Count => match value {
                0.0..1e4 => number(value, ""),
                1e4..1e6 => number(value / 1e3, "k"),
                1e6..1e9 => number(value / 1e6, "M"),
                _ => number(value / 1e9, "G"),
            },
            Self::Bytes => match value {
                0.0..1e3 => number(value, " B"),
                1e3..1e6 => number(value / 1e3, " kB"),
                1e6..1e9 => number(value / 1e6, " MB"),
                1e9..1e12 => number(value / 1e9, " GB"),
                _ => number(value / 1e12, " TB"),
            },
            Self::Seconds => match value {
                0.0 => "0".to_owned(),
                0.0..1.0 => number(value * 1e3, " ms"),
                1.0..7200.0 if value >= 60.0 && value % 60.0 == 0.0 => number(value / 60.0, " min"),
                1.0..7200.0 => number(value, " s"),
                _ => number(value / 3600.0, " h"),
            },
        }
    }
}

/// The values at which a grid has lines, from zero to at least the largest value.
pub(super) fn grid(unit: Unit, largest: f64) -> Vec<(f64, String)> {
    // Nothing was counted: one line above the ground still shows that there is a scale.
    let largest = if largest > 0.0 { largest } else { 1.0 };
    let rough = largest / 4.0;
    let mut step = match unit {
        // Minutes and hours are no tens.
        Unit::Seconds if (5.0..3600.0).contains(&rough) => {
            let minutes = [10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0];
            let step = minutes.into_iter().find(|step| *step >= rough);
            step.unwrap_or(3600.0)
        }
        Unit::Seconds if rough >= 3600.0 => 3600.0 * round(rough / 3600.0),
        _ => round(rough),
    };
    if unit != Unit::Seconds {
        step = step.max(1.0);
    }
    let lines = (largest / step - 1e-9).ceil().max(1.0) as u32;
    (0..=lines)
        .map(|line| f64::from(line) * step)
        .map(|value| (value, unit.short(value)))
        .collect()
}

/// The next number that begins with 1, 2 or 5 and has only zeros behind it.
fn round(number: f64) -> f64 {
    let magnitude = 10f64.powf(number.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * magnitude);
    let next = steps.into_iter().find(|step| *step >= number);
    next.unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(unit: Unit, largest: f64, expect: &[&str]) {
        let labels: Vec<String> = grid(unit, largest)
            .into_iter()
            .map(|(_, label)| label)
            .collect();
        assert_eq!(labels, expect, "{largest}");
    }

    #[test]
    fn a_grid_has_round_numbers_and_reaches_the_largest_value() {
        check(Unit::Count, 0.0, &["0", "1"]);
        check(Unit::Count, 1.0, &["0", "1"]);
        check(Unit::Count, 3.0, &["0", "1", "2", "3"]);
        check(Unit::Count, 1250.0, &["0", "500", "1000", "1500"]);
        check(Unit::Count, 40_000.0, &["0", "10k", "20k", "30k", "40k"]);
        check(Unit::Bytes, 2.2e9, &["0 B", "1 GB", "2 GB", "3 GB"]);
        check(
            Unit::Seconds,
            0.35,
            &["0", "100 ms", "200 ms", "300 ms", "400 ms"],
        );
        check(Unit::Seconds, 35.0, &["0", "10 s", "20 s", "30 s", "40 s"]);
        check(
            Unit::Seconds,
            100.0,
            &["0", "30 s", "1 min", "90 s", "2 min"],
        );
        check(Unit::Seconds, 500.0, &["0", "5 min", "10 min"]);
        check(Unit::Seconds, 20_000.0, &["0", "2 h", "4 h", "6 h"]);
    }
}
