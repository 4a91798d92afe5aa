//! What work has used: CPU time, wall time, memory.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use super::Result;

/// What something cost, and what can be checked of its work.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measurement {
    /// Seconds of user and system time, of all threads.
    pub(crate) cpu: f64,
    /// Seconds.
    pub(crate) wall: f64,
    /// The most bytes of memory that one process had resident; 0 where the system does not tell.
    pub(crate) peak: u64,
    /// The bytes of pages that came in, or of the dataset that went out.
    pub(crate) bytes: u64,
}

/// Where a process leaves its measurement for the one that started it.
pub(crate) const FILE: &str = "measurement.json";

impl Measurement {
    /// Leaves it for the process that started this one.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let Self {
            cpu,
            wall,
            peak,
            bytes,
        } = self;
        let value = json!({"cpu": cpu, "wall": wall, "peak": peak, "bytes": bytes});
        Ok(std::fs::write(folder.join(FILE), value.to_string())?)
    }

    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let value: Value = serde_json::from_slice(&std::fs::read(folder.join(FILE))?)?;
        let float = |name: &str| value[name].as_f64().ok_or("an incomplete measurement");
        let integer = |name: &str| value[name].as_u64().ok_or("an incomplete measurement");
        Ok(Self {
            cpu: float("cpu")?,
            wall: float("wall")?,
            peak: integer("peak")?,
            bytes: integer("bytes")?,
        })
    }

    /// Does work in this process and adds what it costs.
    pub(crate) fn of<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (wall, before) = (Instant::now(), cpu());
        let result = work();
        self.cpu += cpu() - before;
        self.wall += wall.elapsed().as_secs_f64();
        result
    }
}

/// Runs a command to its end and tells what it and its own processes cost.
///
/// Only in a small process: on Linux, the most memory of a process is at least that of the one which
/// started it.
pub(crate) fn run(command: &mut Command) -> Result<Measurement> {
    use wait4::Wait4 as _;

    let start = Instant::now();
    let ended = command.spawn()?.wait4()?;
    let wall = start.elapsed().as_secs_f64();
    if !ended.status.success() {
        return Err(format!("it ended with {}", ended.status).into());
    }
    let usage = ended.rusage;
    Ok(Measurement {
        cpu: (usage.utime + usage.stime).as_secs_f64(),
        wall,
        peak: usage.maxrss,
        bytes: 0,
    })
}

/// The CPU seconds of all threads of this process, of user and system; 0 where it is not measured.
fn cpu() -> f64 {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    }
    #[cfg(not(unix))]
    0.0
}

/// The system's load of the last minute; nothing where it does not tell.
pub(crate) fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut measurement = Measurement {
            bytes: 7,
            peak: 1 << 40,
            ..Measurement::default()
        };
        assert_eq!(measurement.of(|| 5), 5);
        assert!(measurement.wall > 0.0);
        // Of other numbers the last digit may be lost.
        (measurement.cpu, measurement.wall) = (1.25, 0.5);
        measurement.write(folder.path()).unwrap();
        let read = Measurement::read(folder.path()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{measurement:?}"));
    }
}
