//! A run keeps to the memory that it is given, whatever it has to write and compare.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use connector_sandbox::{Answer, Options, Sandbox};
use connector_tests::{Rows, Workspace};

/// Resources that are made from the same pages, so that all of them are loaded at the same time.
const RESOURCES: usize = 8;
const RECORDS: u64 = 16_000;
const PAGE: u64 = 250;
/// Without its being shared, the first run takes 219 MiB.
const MEMORY_MIB: u64 = 160;

fn spec() -> String {
    let mut spec = format!(
        "client: {{base_url: https://texts.example.com, concurrency: 1}}\n\
         resource_defaults:\n  primary_key: id\n  write_disposition: merge\n\
         \x20 endpoint: {{path: /texts, data_selector: items, paginator: {{type: offset, limit: {PAGE}}}}}\n\
         \x20 schema: {{fields: {{id: integer, text: string}}}}\nresources:\n"
    );
    for number in 0..RESOURCES {
        spec.push_str(&format!("- name: texts_{number}\n"));
    }
    spec
}

/// A text of a kilobyte that no other record of this version has.
fn text(id: u64, version: u64) -> String {
    let mut word = (id << 8 | version).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::with_capacity(1024);
    while text.len() < 1024 {
        word ^= word >> 12;
        word ^= word << 25;
        word ^= word >> 27;
        text.push_str(&format!("{word:016x}"));
    }
    text
}

fn page(offset: u64, version: u64) -> String {
    let end = RECORDS.min(offset + PAGE);
    let records: Vec<String> = (offset..end)
        .map(|id| format!("{{\"id\":{id},\"text\":\"{}\"}}", text(id, version)))
        .collect();
    format!("{{\"items\":[{}]}}", records.join(","))
}

/// The most memory that a process has had, in bytes, when it has ended.
fn peak(mut child: Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(mark) = mark {
            let kib: u64 = mark.trim().trim_end_matches(" kB").parse().unwrap();
            peak = peak.max(kib << 10);
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return peak;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// The rows of all resources take almost as much memory as the run may have.
#[test]
fn merges_of_many_resources_share_the_memory_of_the_run() {
    let workspace = Workspace::new();
    fs::write(workspace.path("texts.yaml"), spec()).unwrap();
    let plan = connector_tests::plan("texts", spec());
    let version = Arc::new(AtomicU64::new(0));
    let now = Arc::clone(&version);
    let options = Options {
        responder: Some(Arc::new(move |request, _| {
            let offset = request.param("offset").unwrap_or("0").parse().unwrap();
            let body = page(offset, now.load(Ordering::SeqCst));
            Some(Answer::new(200, "application/json", body))
        })),
        ..Options::default()
    };
    let server = Sandbox::start(&plan, options).unwrap();
    for run in ["into nothing", "updates", "updates of updates"] {
        let spec = workspace.path("texts.yaml");
        let mut command = (workspace.cargo_connector("texts"))
            .args(["run", spec.to_str().unwrap(), "--progress", "none"])
            .args(["--memory", &MEMORY_MIB.to_string()])
            .against(&server)
            .into_command();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let peak = peak(command.spawn().unwrap());
        assert!(peak <= MEMORY_MIB << 20, "{run}: {} MiB", peak >> 20);
        version.fetch_add(1, Ordering::SeqCst);
    }
    for number in 0..RESOURCES {
        let folder = workspace.path("data/texts").join(format!("texts_{number}"));
        assert_eq!(Rows::read(&folder).count(), RECORDS as usize);
    }
}
