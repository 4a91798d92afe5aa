//! What a unit of work costs as there is more of it.

use std::fmt::Write as _;

use super::Result;
use super::contest::{Contest, Run};
use super::parts::check_files;
use super::sample::{Shape, Total};
use super::table::thousands;
use crate::Streams;

/// Something that there can be more of.
struct Line {
    name: &'static str,
    /// What its cost is told for.
    unit: &'static str,
    sizes: &'static [u64],
    measure: fn(u64, u64) -> Point,
}

/// One size of it.
struct Point {
    spec: String,
    resources: Vec<String>,
    shape: Shape,
    /// What the server has, and what of it each resource gets.
    served: u64,
    rows: u64,
    /// How many units there are.
    units: u64,
}

const LINES: &[Line] = &[
    Line {
        name: "rows",
        unit: "row",
        sizes: &[10_000, 100_000, 1_000_000, 10_000_000],
        measure: |rows, scale| {
            let rows = (rows / scale).max(1);
            of(Shape::Flat, rows, 1_000, rows)
        },
    },
    Line {
        name: "fields of a record",
        unit: "value",
        sizes: &[10, 30, 100, 300, 1_000],
        measure: |fields, scale| {
            let rows = (3_000_000 / fields / scale).max(1);
            of(Shape::Fields(fields), rows, 1_000, rows * fields)
        },
    },
    Line {
        name: "objects in objects",
        unit: "value",
        sizes: &[2, 5, 10, 20],
        measure: |depth, scale| {
            let rows = (2_000_000 / depth / scale).max(1);
            of(Shape::Depth(depth), rows, 1_000, rows * depth)
        },
    },
    Line {
        name: "records of a page",
        unit: "row",
        sizes: &[1, 10, 100, 1_000, 10_000, 100_000],
        measure: |page, scale| {
            let rows = (page * 10_000).min(500_000).div_ceil(scale);
            of(Shape::Flat, rows, page, rows)
        },
    },
    Line {
        name: "resources of a spec",
        unit: "resource of 100 rows",
        sizes: &[1, 10, 100, 1_000],
        measure: |count, scale| {
            let count = (count / scale).max(1);
            let mut point = of(Shape::Flat, 100, 1_000, count);
            point.resources = (0..count).map(|index| format!("r{index}")).collect();
            point.spec = spec(Shape::Flat, 1_000, &point.resources);
            point
        },
    },
    Line {
        name: "partitions",
        unit: "partition of 1 row",
        sizes: &[10, 100, 1_000, 10_000, 100_000],
        measure: |count, scale| {
            let count = (count / scale).max(1);
            let mut point = of(Shape::Flat, count, 10_000, count);
            point.spec.push_str(
                "  - name: children\n    parent: {resource: rows, field: number, as: number}\n    \
                 endpoint: {path: '/items/{number}/children', paginator: single_page}\n    \
                 schema: {fields: {id: string, number: integer}}\n",
            );
            point.resources = vec!["children".to_owned()];
            point
        },
    },
];

fn of(shape: Shape, rows: u64, page: u64, units: u64) -> Point {
    let resources = vec!["rows".to_owned()];
    Point {
        spec: spec(shape, page, &resources),
        resources,
        shape,
        served: rows,
        rows,
        units,
    }
}

fn spec(shape: Shape, page: u64, resources: &[String]) -> String {
    let mut text = format!(
        "description: Measured.\n\
         client: {{base_url: https://api.example.com}}\n\
         resource_defaults:\n  \
           endpoint: {{path: /records, data_selector: records, paginator: {{type: offset, limit: {page}}}}}\n  \
           schema:\n    fields:\n      id: string\n      number: integer\n"
    );
    // Writing to a string cannot fail.
    let mut field = |depth: u64, line: &str| {
        let _ = writeln!(text, "{:1$}{line}", "", 6 + 4 * depth as usize);
    };
    match shape {
        Shape::Fields(number) => {
            for index in 0..number {
                let kind = ["string", "integer", "number"][(index % 3) as usize];
                field(0, &format!("f{index}: {kind}"));
            }
        }
        Shape::Depth(number) => {
            for depth in 0..number {
                field(depth, "o:");
                field(depth, "  type: object");
                field(depth, "  fields:");
                field(depth + 1, "v: string");
            }
        }
        _ => {
            for name in ["name", "owner", "status", "path"] {
                field(0, &format!("{name}: string"));
            }
            field(0, "size: integer");
            for name in ["score", "latitude"] {
                field(0, &format!("{name}: number"));
            }
            field(0, "shared: boolean");
            for name in ["created_at", "updated_at"] {
                field(0, &format!("{name}: timestamp"));
            }
        }
    }
    text.push_str("resources:\n");
    for name in resources {
        // A parameter of its own: those that ask for the same share their pages, and are loaded
        // side by side.
        let _ = writeln!(
            text,
            "  - name: {name}\n    endpoint: {{params: {{for: {name}}}}}"
        );
    }
    text
}

/// Measures all lines and gives them as one table.
pub(crate) fn table(contest: &Contest, scale: u64, streams: &mut Streams<'_>) -> Result<String> {
    let mut text = String::from(
        "| more | size | units | CPU s | CPU µs per unit | × the size before | wall s | peak MB |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for line in LINES {
        let mut before = None;
        for size in line.sizes {
            let point = (line.measure)(*size, scale);
            contest.server.prepare(point.shape, point.served)?;
            let folder = tempfile::tempdir_in(&contest.folder)?;
            let measurement = contest.ours(
                Run {
                    spec: Some(&point.spec),
                    resources: &point.resources,
                    url: &contest.server.url(point.shape, point.served, 0),
                    concurrency: None,
                },
                folder.path(),
            )?;
            for resource in &point.resources {
                let files = folder.path().join("bench").join(resource);
                check_files(&files, Total::of(point.rows))?;
            }
            let each = measurement.cpu * 1e6 / point.units as f64;
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:.2} | {:.3} per {} | {} | {:.2} | {:.0} |",
                line.name,
                thousands(*size),
                thousands(point.units),
                measurement.cpu,
                each,
                line.unit,
                before.map_or_else(String::new, |before: f64| format!("{:.2}", each / before)),
                measurement.wall,
                measurement.peak as f64 / 1e6,
            );
            before = Some(each);
            streams.tell(&format!(
                "growth: {} {size}: {:.2} CPU s",
                line.name, measurement.cpu
            ));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use connector_codegen::{LowerOptions, Source, lower};

    use super::*;

    #[test]
    fn every_size_has_a_spec_that_is_right() {
        for line in LINES {
            for size in line.sizes {
                let point = (line.measure)(*size, 1_000);
                let source = Source::new("spec.yaml", point.spec.clone());
                if let Err(diagnostics) = lower(&source, &LowerOptions::new("bench")) {
                    panic!("{} {size}: {diagnostics}", line.name);
                }
            }
        }
    }
}
