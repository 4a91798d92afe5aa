//! Tables in plain text.

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Renders a table with a header line; columns are two spaces apart.
pub(crate) fn render(header: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = header
        .iter()
        .enumerate()
        .map(|(column, (name, _))| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .chain([name.chars().count()])
                .max()
                .unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    let mut line = |cells: Vec<&str>| {
        let mut line = String::new();
        for ((cell, (_, align)), &width) in cells.into_iter().zip(header).zip(&widths) {
            match align {
                Align::Left => line.push_str(&format!("{cell:width$}  ")),
                Align::Right => line.push_str(&format!("{cell:>width$}  ")),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(header.iter().map(|(name, _)| *name).collect());
    let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
    line(rules.iter().map(String::as_str).collect());
    for row in rows {
        line(row.iter().map(String::as_str).collect());
    }
    text
}

/// A number with thousands separated: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something: `1 run`, `1,250 runs`.
pub(crate) fn many(number: u64, what: &str) -> String {
    format!(
        "{} {what}{}",
        count(number),
        if number == 1 { "" } else { "s" }
    )
}

/// A number of bytes: `1.5 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" {
                format!("{bytes} B")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// A time: `0.42 s`, `12.3 s`, `3 m 05 s`, `2 h 07 m`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..10 => format!("{seconds:.2} s"),
        10..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} m {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} m", count(whole / 3600), whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let text = render(
            &[("resource", Align::Left), ("rows", Align::Right)],
            &[
                vec!["files".into(), count(1_250)],
                vec!["cloud_storage".into(), count(7)],
            ],
        );
        let expect = "resource        rows\n─────────────  ─────\nfiles          1,250\ncloud_storage      7\n";
        assert_eq!(text, expect);
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(
            (many(1, "run").as_str(), many(0, "run").as_str()),
            ("1 run", "0 runs")
        );
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500_000), "1.5 MB");
        assert_eq!(duration(0.424), "0.42 s");
        assert_eq!(duration(59.94), "59.9 s");
        assert_eq!(duration(185.9), "3 m 05 s");
        assert_eq!(duration(7_620.0), "2 h 07 m");
    }
}
