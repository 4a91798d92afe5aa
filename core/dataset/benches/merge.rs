//! What merging changes into large tables costs: CPU seconds, peak memory, bytes written and what
//! became of the row groups.
//!
//! `cargo bench -p connector-dataset --bench merge -- [ROWS …] [--key KEY] [--folder FOLDER]`; tables of
//! 2 and 20 million rows by default, by `number`, `id` and as a `history`. Making the records is
//! measured alone and taken off. Every result is checked: the counts of the report, the rows of the
//! dataset, and that the peak is within the memory of a load.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

#[path = "sample/records.rs"]
#[expect(dead_code, reason = "another benchmark uses the rest")]
mod sample;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use connector_dataset::{LoadOptions, LoadReport, SourceId, Store, StoreOptions, WriterOptions};
use connector_plan::{History, MergeStrategy, WriteDisposition};
use sample::{PAGE, cpu, forget_peak, peak, records, scramble};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The columns that an ordinary change gives another value.
const CHANGING: [&str; 4] = ["status", "size", "updated_at", "note"];

/// A table, and what identifies its rows: `number` counts upwards, `id` is a random UUID.
#[derive(Clone, Copy)]
struct Table {
    rows: u64,
    key: &'static str,
    is_history: bool,
}

/// Which rows change.
#[derive(Clone, Copy)]
enum Spread {
    /// The last ones.
    Newest,
    /// Any, each with the same probability.
    Anywhere,
}

struct Scenario {
    table: Table,
    changes: u64,
    spread: Spread,
    /// Whether all columns but the keys change, or only those of [`CHANGING`].
    whole: bool,
}

fn main() -> Result<()> {
    let mut sizes = Vec::new();
    let mut folder = std::env::temp_dir();
    let mut only = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--folder" => folder = words.next().ok_or("--folder needs a folder")?.into(),
            "--key" => only = words.next(),
            "--bench" => {}
            number => sizes.push(number.parse()?),
        }
    }
    if sizes.is_empty() {
        sizes = vec![2_000_000, 20_000_000];
    }
    println!(
        "| rows | key | changes | columns | CPU s | of it commit | peak MiB | MB of dataset | MB \
         written | row groups left | copied | rewritten |\n\
         |--:|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    for rows in sizes {
        for (name, key, is_history) in [
            ("number", "number", false),
            ("id", "id", false),
            ("history", "id", true),
        ] {
            if only.as_ref().is_some_and(|only| only != name) {
                continue;
            }
            let table = Table {
                rows,
                key,
                is_history,
            };
            let out = tempfile::tempdir_in(&folder)?;
            measure(&out.path().join("table"), &table.first())?;
            for (changes, spread, whole) in [
                (rows / 100, Spread::Newest, false),
                (rows / 100, Spread::Anywhere, false),
                (rows / 100, Spread::Anywhere, true),
                (100, Spread::Anywhere, false),
                (100, Spread::Newest, false),
            ] {
                let copy = out.path().join("copy");
                link_all(&out.path().join("table"), &copy)?;
                let scenario = Scenario {
                    table,
                    changes,
                    spread,
                    whole,
                };
                measure(&copy, &scenario)?;
                fs::remove_dir_all(&copy)?;
            }
        }
    }
    Ok(())
}

impl Table {
    /// The load that makes it.
    fn first(self) -> Scenario {
        Scenario {
            table: self,
            changes: self.rows,
            spread: Spread::Newest,
            whole: true,
        }
    }

    fn options(self) -> LoadOptions {
        let mut merge = connector_plan::Merge::default();
        if self.is_history {
            merge.strategy = MergeStrategy::Scd2(History::default());
        }
        let schema = with_uuids(&records(&[0], 0), &[0]).schema();
        LoadOptions {
            primary_key: vec![self.key.to_owned()],
            merge,
            ..LoadOptions::new("table", schema, WriteDisposition::Merge)
        }
    }
}

impl Scenario {
    fn is_first(&self) -> bool {
        self.changes == self.table.rows
    }

    /// The rows that it changes, in the order of the API; a tenth of them is new.
    fn numbers(&self) -> Vec<u64> {
        let rows = self.table.rows;
        if self.is_first() {
            return (0..rows).collect();
        }
        let new = self.changes / 10;
        let old = self.changes - new;
        let mut numbers: Vec<u64> = match self.spread {
            Spread::Newest => (rows - old..rows).collect(),
            Spread::Anywhere => {
                let step = rows / old;
                (0..old).map(|n| n * step + scramble(n) % step).collect()
            }
        };
        numbers.extend(rows..rows + new);
        numbers
    }

    fn batch(&self, numbers: &[u64]) -> RecordBatch {
        let before = with_uuids(&records(numbers, 0), numbers);
        if self.is_first() {
            return before;
        }
        let after = with_uuids(&records(numbers, 1), numbers);
        if self.whole {
            return after;
        }
        let schema = before.schema();
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let columns = names.zip(before.columns().iter().zip(after.columns()));
        let columns = columns.map(|(name, (before, after))| {
            let is_changed = CHANGING.contains(&name);
            Arc::clone(if is_changed { after } else { before })
        });
        let columns = columns.collect();
        RecordBatch::try_new(schema, columns).expect("columns of one length")
    }
}

/// The records, identified by random UUIDs.
fn with_uuids(batch: &RecordBatch, numbers: &[u64]) -> RecordBatch {
    let ids = numbers.iter().map(|number| {
        let (one, two) = (scramble(*number), scramble(!*number));
        let text = format!("{one:016x}{two:016x}");
        let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
        let parts = [
            part(0..8),
            part(8..12),
            part(12..16),
            part(16..20),
            part(20..32),
        ];
        parts.join("-")
    });
    let mut columns = batch.columns().to_vec();
    columns[0] = Arc::new(StringArray::from_iter_values(ids)) as ArrayRef;
    RecordBatch::try_new(batch.schema(), columns).expect("columns of one length")
}

fn measure(out: &Path, scenario: &Scenario) -> Result<()> {
    let numbers = scenario.numbers();
    let pages = numbers.chunks(usize::try_from(PAGE)?);
    let start = cpu();
    for page in pages.clone().take(200) {
        drop(std::hint::black_box(scenario.batch(page)));
    }
    let making = (cpu() - start) / pages.len().min(200) as f64 * pages.len() as f64;
    forget_peak();
    let start = cpu();
    let store = Store::open(out, StoreOptions::new("bench", SourceId::Sandbox, ""))?;
    let mut load = store.begin(scenario.table.options())?;
    for page in pages {
        load.write(&scenario.batch(page))?;
    }
    let staged = cpu();
    let report = load.commit(None)?;
    let (whole, commit) = (cpu() - start - making, cpu() - staged);
    // The list of rows is this benchmark's own.
    let own = (numbers.len() * size_of::<u64>()) as u64 >> 20;
    let peak = peak().saturating_sub(own);
    drop(store);
    let most = WriterOptions::default().memory_bytes as u64 >> 20;
    if peak > most {
        return Err(format!("{peak} MiB of memory, and a load may take {most} MiB").into());
    }
    check(scenario, &report)?;
    let Table {
        rows,
        key,
        is_history,
    } = scenario.table;
    let changes = match (scenario.is_first(), scenario.spread) {
        (true, _) => "all, into nothing".to_owned(),
        (_, Spread::Newest) => format!("{} newest", scenario.changes),
        (_, Spread::Anywhere) => format!("{} anywhere", scenario.changes),
    };
    println!(
        "| {rows} | {key}{} | {changes} | {} | {whole:.2} | {commit:.2} | {peak} | {:.0} | {:.1} | {} \
         | {} | {} |",
        if is_history { ", scd2" } else { "" },
        if scenario.whole { "all" } else { "4 of 13" },
        report.bytes as f64 / 1e6,
        report.bytes_added as f64 / 1e6,
        report.row_groups_left,
        report.row_groups_copied,
        report.row_groups_rewritten,
    );
    Ok(())
}

/// The counts are what the changes are.
fn check(scenario: &Scenario, report: &LoadReport) -> Result<()> {
    let rows = scenario.table.rows;
    let (inserted, updated) = match scenario.is_first() {
        true => (rows, 0),
        false => (
            scenario.changes / 10,
            scenario.changes - scenario.changes / 10,
        ),
    };
    let versions = if scenario.table.is_history {
        updated
    } else {
        0
    };
    let total = if scenario.is_first() { 0 } else { rows } + inserted + versions;
    let found = (report.inserted, report.updated, report.rows_written);
    if found != (inserted, updated, total) {
        return Err(format!("{found:?} instead of {:?}", (inserted, updated, total)).into());
    }
    Ok(())
}

/// A copy of a folder by hard links: published files never change.
fn link_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target: PathBuf = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link_all(&entry.path(), &target)?;
        } else {
            fs::hard_link(entry.path(), target)?;
        }
    }
    Ok(())
}
