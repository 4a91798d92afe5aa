//! What a process has used: CPU time, wall time, memory.

use std::time::Instant;

/// A stretch of work that is being measured.
#[derive(Debug)]
pub struct Stopwatch {
    cpu: f64,
    wall: Instant,
}

/// What stretches of work came to, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    pub cpu: f64,
    pub wall: f64,
}

impl Stopwatch {
    pub fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu: cpu(),
        }
    }

    pub fn stop(self, spent: &mut Spent) {
        spent.cpu += cpu() - self.cpu;
        spent.wall += self.wall.elapsed().as_secs_f64();
    }
}

/// Does work and measures it.
pub fn measure<T>(spent: &mut Spent, work: impl FnOnce() -> T) -> T {
    let watch = Stopwatch::start();
    let result = work();
    watch.stop(spent);
    result
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

/// The most memory that this process has had resident, in bytes; 0 where the system does not tell.
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// The system's load of the last minute; nothing where it does not tell.
pub fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}
