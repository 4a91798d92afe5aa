//! What no contestant is needed for: memory by rows, and the time until the first request.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Result;
use super::contest::{Contest, Run};
use super::parts::check_files;
use super::sample::{Shape, Total};
use super::table::{median, thousands};
use crate::Streams;

/// The peak memory of runs of more and more rows.
pub(crate) fn memory(contest: &Contest, scale: u64, streams: &mut Streams<'_>) -> Result<String> {
    let mut text = String::from(
        "### Memory by rows\n\n| | rows | CPU s | wall s | peak MB |\n|---|--:|--:|--:|--:|\n",
    );
    for (resource, shape, sizes) in [
        ("flat", Shape::Flat, [100_000, 1_000_000, 10_000_000]),
        ("nested", Shape::Nested, [20_000, 200_000, 2_000_000]),
    ] {
        for rows in sizes {
            let rows = (rows / scale).max(1);
            contest.server.prepare(shape, rows)?;
            let folder = tempfile::tempdir_in(&contest.folder)?;
            let run = Run {
                spec: None,
                resources: &[resource.to_owned()],
                url: &contest.server.url(shape, rows, 0),
                concurrency: None,
            };
            let measurement = contest.ours(run, folder.path())?;
            check_files(folder.path(), Total::of(rows))?;
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "| {resource} | {} | {:.2} | {:.2} | {:.0} |",
                thousands(rows),
                measurement.cpu,
                measurement.wall,
                measurement.peak as f64 / 1e6
            );
            streams.tell(&format!("memory: {resource} {rows}"));
        }
    }
    Ok(text)
}

/// How long the compiled connector takes to its first request.
pub(crate) fn start(contest: &Contest) -> Result<String> {
    if !contest.is_compiled {
        return Ok("### Start\n\nNot measured: nothing is compiled.\n".to_owned());
    }
    let mut milliseconds = (0..21)
        .map(|_| first_request(&contest.program))
        .collect::<Result<Vec<f64>>>()?;
    milliseconds.sort_by(f64::total_cmp);
    Ok(format!(
        "### Start\n\nFrom the start of the process to its first request: {:.1} ms, the median of {} \
         ({:.1} – {:.1}; target: below 50).\n",
        median(&milliseconds),
        milliseconds.len(),
        milliseconds.first().copied().unwrap_or(0.0),
        milliseconds.last().copied().unwrap_or(0.0),
    ))
}

/// How long a first request is waited for.
const HOPE: Duration = Duration::from_secs(10);

fn first_request(connector: &Path) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // Who never comes is not waited for.
    listener.set_nonblocking(true)?;
    let folder = tempfile::tempdir()?;
    let start = Instant::now();
    let mut process = Command::new(connector)
        .args(["--progress", "none", "--resource", "flat", "--out"])
        .arg(folder.path())
        .env(
            "BENCH_BASE_URL",
            format!("http://{}", listener.local_addr()?),
        )
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let came = visit(&listener, &mut process).map(|()| start.elapsed().as_secs_f64() * 1e3);
    process.kill()?;
    process.wait()?;
    came
}

/// Waits for a request of the process, as long as there is any hope.
fn visit(listener: &TcpListener, process: &mut Child) -> Result<()> {
    let begun = Instant::now();
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(status) = process.try_wait()? {
            return Err(format!("it ended before its first request, with {status}").into());
        }
        if begun.elapsed() > HOPE {
            return Err("it sent no request".into());
        }
        std::thread::sleep(Duration::from_micros(100));
    };
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(HOPE))?;
    stream.read_exact(&mut [0])?;
    Ok(())
}
