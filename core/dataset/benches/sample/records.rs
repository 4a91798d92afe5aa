//! Ordinary records of 13 columns, the same in every run.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};

/// The rows of a batch: a page of an API.
pub const PAGE: u64 = 1000;

/// Rows `page * PAGE` and the following; `version` changes the values but not the keys.
pub fn page(page: u64, version: u64) -> RecordBatch {
    let numbers: Vec<u64> = (page * PAGE..(page + 1) * PAGE).collect();
    records(&numbers, version)
}

/// These rows.
pub fn records(numbers: &[u64], version: u64) -> RecordBatch {
    let numbers = || numbers.iter().copied();
    let random = |number: u64, salt: u64| scramble(number ^ (salt + 16 * version) << 56);
    let text = |of: &dyn Fn(u64) -> String| {
        Arc::new(StringArray::from_iter_values(numbers().map(of))) as ArrayRef
    };
    let integer =
        |of: &dyn Fn(u64) -> i64| Arc::new(numbers().map(of).collect::<Int64Array>()) as ArrayRef;
    let instant = |of: &dyn Fn(u64) -> i64| {
        let array = TimestampMicrosecondArray::from_iter_values(numbers().map(of));
        Arc::new(array.with_timezone("UTC")) as ArrayRef
    };
    let pick =
        |words: &[&str], random: u64| words[(random % words.len() as u64) as usize].to_owned();
    const START: i64 = 1_700_000_000_000_000;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", text(&|n| format!("file_{:016x}", scramble(n)))),
        ("number", integer(&|n| n as i64)),
        (
            "name",
            text(&|n| format!("report-{}-{}.pdf", random(n, 1) % 100_000, n)),
        ),
        (
            "owner",
            text(&|n| format!("user{}@example.com", random(n, 2) % 5000)),
        ),
        (
            "status",
            text(&|n| pick(&["active", "archived", "deleted", "pending"], random(n, 3))),
        ),
        (
            "country",
            text(&|n| pick(&["DE", "FR", "US", "JP", "BR", "IN", "GB"], random(n, 4))),
        ),
        ("size", integer(&|n| (random(n, 5) % 50_000_000) as i64)),
        (
            "created_at",
            instant(&|n| START + n as i64 * 1_000_000 + (random(n, 6) % 900_000) as i64),
        ),
        (
            "updated_at",
            instant(&|n| START + (random(n, 7) % 31_536_000) as i64 * 1_000_000),
        ),
        (
            "score",
            Arc::new(
                numbers()
                    .map(|n| (random(n, 8) % 10_000) as f64 / 100.0)
                    .collect::<Float64Array>(),
            ),
        ),
        (
            "shared",
            Arc::new(
                numbers()
                    .map(|n| Some(random(n, 9) % 3 == 0))
                    .collect::<BooleanArray>(),
            ),
        ),
        (
            "path",
            text(&|n| {
                format!(
                    "/teams/{}/projects/{}/",
                    random(n, 10) % 40,
                    random(n, 11) % 2000
                )
            }),
        ),
        (
            "note",
            Arc::new(
                numbers()
                    .map(|n| (random(n, 12) % 4 == 0).then(|| format!("note {:x}", random(n, 13))))
                    .collect::<StringArray>(),
            ),
        ),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// A permutation of the 64-bit numbers (the finaliser of SplitMix64).
pub fn scramble(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ number >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ number >> 31
}

/// The CPU seconds of this process.
pub fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The most memory this process had, in MiB, since the last [`forget_peak`]; 0 where the system does
/// not tell.
pub fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) / 1024
}

/// Starts the measurement of [`peak`] again, where the system allows it.
pub fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
