//! What a run costs beside its parts: CPU seconds, wall seconds and peak memory.
//!
//! `cargo bench -p connector-tests --bench pipeline -- [--rows N] [--page N] [--rounds N]`
//!
//! A server on loopback serves flat records of 12 fields. `fetch`, `decode` and `encode` are measured
//! alone, then a whole run of a connector, to an empty dataset with the write dispositions `append`
//! and `merge`; all in processes of their own, one after the other, in rounds. The floor is the sum of
//! the parts. Every result is checked against what the server has.
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

mod children;
mod options;
mod sample;
mod server;
mod stages;
mod usage;

use std::process::ExitCode;

use children::Measurement;
use options::Options;
use server::Server;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PARTS: [&str; 3] = ["fetch", "decode", "encode"];
const RUNS: [&str; 2] = ["append", "merge"];
/// CPU seconds of a run, as a multiple of the floor.
const MOST_CPU: f64 = 2.0;
/// Bytes of memory that a run may have.
const MOST_MEMORY: u64 = 120_000_000;

fn main() -> Result<ExitCode> {
    let options = Options::parse(std::env::args().skip(1))?;
    let measured = match options.stage.as_deref() {
        None => return compare(options),
        Some("server") => {
            server::serve(&options)?;
            return Ok(ExitCode::SUCCESS);
        }
        Some("fetch") => (ExitCode::SUCCESS, stages::fetch(&options)?),
        Some("decode") => (ExitCode::SUCCESS, stages::decode(&options)?),
        Some("encode") => (ExitCode::SUCCESS, stages::encode(&options)?),
        Some(resource) => stages::run(resource, &options)?,
    };
    let (code, measurement) = measured;
    measurement.write(&options.folder)?;
    Ok(code)
}

/// Measures every stage in turn, in rounds, and prints the medians.
fn compare(mut options: Options) -> Result<ExitCode> {
    println!(
        "{} rows, {} per page, median of {} rounds, on {} cores{}",
        options.rows,
        options.page,
        options.rounds,
        std::thread::available_parallelism()?,
        usage::load().map_or_else(String::new, |load| format!(" under a load of {load}")),
    );
    let server = Server::start(&options)?;
    options.url.clone_from(&server.url);
    let stages: Vec<&str> = PARTS.into_iter().chain(RUNS).collect();
    let mut rounds = vec![Vec::new(); stages.len()];
    for _ in 0..options.rounds {
        for (stage, measurements) in stages.iter().zip(&mut rounds) {
            let folder = tempfile::tempdir()?;
            options.folder = folder.path().to_owned();
            let mut measurement = children::run(stage, &options)?;
            let resource = match *stage {
                "fetch" | "decode" => None,
                "encode" => Some("append"),
                run => Some(run),
            };
            if let Some(resource) = resource {
                measurement.bytes = stages::check_dataset(folder.path(), resource, &options)?;
            }
            measurements.push(measurement);
        }
    }
    let medians: Vec<Stage> = stages
        .iter()
        .zip(rounds)
        .map(|(name, measurements)| Stage::new(name, &measurements))
        .collect();
    report(&medians, options.rows);
    Ok(ExitCode::SUCCESS)
}

/// The medians of a stage over all rounds.
#[derive(Debug)]
struct Stage {
    name: String,
    cpu: f64,
    /// The smallest and the largest CPU time of a round.
    spread: (f64, f64),
    wall: f64,
    /// The largest of all rounds.
    peak_memory: u64,
    bytes: u64,
}

impl Stage {
    fn new(name: &str, rounds: &[Measurement]) -> Self {
        let median = |of: &dyn Fn(&Measurement) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            let upper = values[values.len() / 2];
            let lower = values[(values.len() - 1) / 2];
            (
                f64::midpoint(lower, upper),
                (values[0], values[values.len() - 1]),
            )
        };
        let (cpu, spread) = median(&|round| round.spent.cpu);
        let of_all = |of: fn(&Measurement) -> u64| rounds.iter().map(of).max().unwrap_or(0);
        Self {
            name: name.to_owned(),
            cpu,
            spread,
            wall: median(&|round| round.spent.wall).0,
            peak_memory: of_all(|round| round.peak_memory),
            bytes: of_all(|round| round.bytes),
        }
    }
}

fn report(stages: &[Stage], rows: u64) {
    println!(
        "\n| stage | CPU s | (min – max) | × floor | wall s | rows/s | peak MB | MB in or out |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|"
    );
    let (parts, runs) = stages.split_at(PARTS.len());
    let floor: f64 = parts.iter().map(|stage| stage.cpu).sum();
    let wall: f64 = parts.iter().map(|stage| stage.wall).sum();
    let line = |stage: &Stage, name: &str| {
        println!(
            "| {name} | {:.2} | {:.2} – {:.2} | {:.2} | {:.2} | {:.0} | {} | {:.1} |",
            stage.cpu,
            stage.spread.0,
            stage.spread.1,
            stage.cpu / floor,
            stage.wall,
            rows as f64 / stage.wall,
            // The parts hold the pages that they are measured with, which says nothing.
            if runs.iter().any(|run| run.name == stage.name) {
                format!("{:.1}", stage.peak_memory as f64 / 1e6)
            } else {
                String::new()
            },
            stage.bytes as f64 / 1e6,
        );
    };
    for part in parts {
        line(part, &part.name);
    }
    println!("| floor: the sum | {floor:.2} | | 1.00 | {wall:.2} | | | |");
    for run in runs {
        line(run, &format!("run, {}", run.name));
    }
    println!();
    if let Some(run) = runs.first() {
        verdict("CPU of `run, append`", run.cpu / floor, MOST_CPU, "× floor");
    }
    for run in runs {
        let name = format!("peak memory of `run, {}`", run.name);
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        verdict(
            &name,
            megabytes(run.peak_memory),
            megabytes(MOST_MEMORY),
            "MB",
        );
    }
}

fn verdict(name: &str, value: f64, most: f64, unit: &str) {
    let word = if value <= most { "met" } else { "MISSED" };
    println!("{name}: {value:.2} {unit}, target {most:.0}: {word}");
}
