//! The result: medians and ratios as Markdown.

use std::fmt::Write as _;

use super::peers::Peer;
use super::usage::Measurement;
use super::workload::{Contestant, Part, Workload};

/// The medians of a contestant over all rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Medians {
    pub(crate) contestant: Contestant,
    pub(crate) cpu: f64,
    /// The smallest and the largest of a round.
    spread: (f64, f64),
    pub(crate) wall: f64,
    /// The largest of all rounds.
    pub(crate) peak: u64,
    bytes: u64,
}

impl Medians {
    /// Of at least one round.
    pub(crate) fn new(contestant: Contestant, rounds: &[Measurement]) -> Self {
        let sorted = |of: fn(&Measurement) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let (cpu, wall) = (sorted(|round| round.cpu), sorted(|round| round.wall));
        let most = |of: fn(&Measurement) -> u64| rounds.iter().map(of).max().unwrap_or(0);
        Self {
            contestant,
            cpu: median(&cpu),
            spread: (
                cpu.first().copied().unwrap_or(0.0),
                cpu.last().copied().unwrap_or(0.0),
            ),
            wall: median(&wall),
            peak: most(|round| round.peak),
            bytes: most(|round| round.bytes),
        }
    }
}

/// Of sorted values; 0 where there are none.
pub(crate) fn median(sorted: &[f64]) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    f64::midpoint(sorted[last / 2], sorted[sorted.len() / 2])
}

/// The table of a workload, and what of it has a target.
pub(crate) fn table(workload: &Workload, all: &[Medians]) -> String {
    let is_part = |medians: &&Medians| matches!(medians.contestant, Contestant::Part(_));
    let parts: Vec<&Medians> = all.iter().filter(is_part).collect();
    let floor: f64 = parts.iter().map(|part| part.cpu).sum();
    let ours = all
        .iter()
        .rev()
        .find(|medians| matches!(medians.contestant, Contestant::Ours | Contestant::OursAt(_)));
    let mut text = format!(
        "### {}: {} {}\n\n| | CPU s | (min – max) | × floor | × ours | wall s | × ours | peak MB | MB |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        workload.name,
        thousands(workload.rows),
        workload.title,
    );
    let ratio = |value: f64, base: Option<f64>| match base {
        Some(base) if base > 0.0 => format!("{:.2}", value / base),
        _ => String::new(),
    };
    let has_floor = (parts.len() == Part::ALL.len()).then_some(floor);
    for medians in all {
        let alone = matches!(medians.contestant, Contestant::Part(_));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {:.2} | {:.2} – {:.2} | {} | {} | {:.2} | {} | {} | {:.1} |",
            medians.contestant.name(),
            medians.cpu,
            medians.spread.0,
            medians.spread.1,
            ratio(medians.cpu, has_floor),
            ratio(medians.cpu, ours.map(|ours| ours.cpu)),
            medians.wall,
            ratio(medians.wall, ours.map(|ours| ours.wall)),
            // The parts hold the pages that they are measured with, which says nothing.
            if alone || medians.peak == 0 {
                String::new()
            } else {
                format!("{:.0}", medians.peak as f64 / 1e6)
            },
            medians.bytes as f64 / 1e6,
        );
        if medians.contestant == Contestant::Part(Part::Encode) {
            let wall: f64 = parts.iter().map(|part| part.wall).sum();
            let _ = writeln!(
                text,
                "| floor: their sum | {floor:.2} | | 1.00 | {} | {wall:.2} | {} | | |",
                ratio(floor, ours.map(|ours| ours.cpu)),
                ratio(wall, ours.map(|ours| ours.wall)),
            );
        }
    }
    if let Some(ours) = ours {
        targets(workload, all, ours, has_floor, &mut text);
    }
    text
}

fn targets(
    workload: &Workload,
    all: &[Medians],
    ours: &Medians,
    floor: Option<f64>,
    text: &mut String,
) {
    let mut lines = Vec::new();
    let of = |contestant| all.iter().find(|other| other.contestant == contestant);
    if let Some(floor) = floor
        && floor > 0.0
    {
        lines.push(format!(
            "CPU {:.2} × the floor (at most 1.25)",
            ours.cpu / floor
        ));
        lines.push(format!(
            "wall {:.2} × CPU (at most 0.75)",
            ours.wall / ours.cpu
        ));
        for (peer, name, least) in [(Peer::Expert, "the script", 3.5), (Peer::Dlt, "dlt", 35.0)] {
            if let Some(other) = of(Contestant::Peer(peer)) {
                let times = other.cpu / ours.cpu;
                lines.push(format!("{times:.1} × less than {name} (at least {least})"));
            }
        }
        lines.push(format!("{:.0} MB (at most 100)", ours.peak as f64 / 1e6));
    }
    if let Some(alone) = of(Contestant::OursAt(1)) {
        let times = alone.wall / ours.wall;
        let what = "× as fast as one request at a time (at least 12)";
        lines.push(format!("{times:.1} {what}"));
    }
    if !lines.is_empty() {
        let _ = writeln!(text, "\nTargets, {}: {}.", workload.name, lines.join("; "));
    }
}

/// `1,000,000`
pub(crate) fn thousands(number: u64) -> String {
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

/// Puts a section between its markers in a document.
pub(crate) fn replace(document: &str, name: &str, section: &str) -> Result<String, String> {
    let (begin, end) = (
        format!("<!-- bench {name} -->\n"),
        format!("<!-- end {name} -->\n"),
    );
    let missing = || {
        format!(
            "the document has no place for `{name}`: `{}`",
            begin.trim_end()
        )
    };
    let from = document.find(&begin).ok_or_else(missing)? + begin.len();
    let to = from + document[from..].find(&end).ok_or_else(missing)?;
    Ok(format!(
        "{}{}\n{}",
        &document[..from],
        section.trim_end(),
        &document[to..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workload::WORKLOADS;

    fn medians(contestant: Contestant, cpu: &[f64]) -> Medians {
        let rounds: Vec<Measurement> = cpu
            .iter()
            .map(|cpu| Measurement {
                cpu: *cpu,
                wall: cpu / 2.0,
                peak: 50_000_000,
                bytes: 1_500_000,
            })
            .collect();
        Medians::new(contestant, &rounds)
    }

    #[test]
    fn medians_and_ratios_are_told() {
        let mut all: Vec<Medians> = Part::ALL
            .map(|part| medians(Contestant::Part(part), &[1.0]))
            .into();
        all.push(medians(Contestant::Ours, &[5.0, 3.0, 4.0, 2.0]));
        all.push(medians(Contestant::Peer(Peer::Dlt), &[140.0]));
        let text = table(&WORKLOADS[0], &all);
        for line in [
            "### flat: 1,000,000 flat records of 12 fields",
            "| decode | 1.00 | 1.00 – 1.00 | 0.33 | 0.29 | 0.50 | 0.29 |  | 1.5 |\n",
            "| floor: their sum | 3.00 | | 1.00 | 0.86 | 1.50 | 0.86 | | |\n",
            "| **ours** | 3.50 | 2.00 – 5.00 | 1.17 | 1.00 | 1.75 | 1.00 | 50 | 1.5 |\n",
            "Targets, flat: CPU 1.17 × the floor (at most 1.25); wall 0.50 × CPU (at most 0.75); \
             40.0 × less than dlt (at least 35); 50 MB (at most 100).\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn sections_are_replaced_between_their_markers() {
        let document = "a\n<!-- bench x -->\nold\n<!-- end x -->\nb\n";
        assert_eq!(
            replace(document, "x", "new\n").unwrap(),
            "a\n<!-- bench x -->\nnew\n<!-- end x -->\nb\n"
        );
        assert!(replace(document, "y", "").is_err());
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!((thousands(0), thousands(999)), ("0".into(), "999".into()));
    }
}
