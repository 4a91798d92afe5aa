//! The one integration binary: `connector-storage` as a user runs it.

#![expect(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod ahead;
mod authentication;
mod bad_input;
mod command_line;
mod contracts;
mod datasets;
mod encodings;
mod expressions;
mod faults;
#[cfg(target_os = "linux")]
mod full_disk;
mod incremental;
mod jsonpath;
mod kills;
mod layout;
mod library;
mod live;
mod memory;
mod no_schema;
mod processing;
mod relations;
mod responses;
mod resume;
mod rotation;
mod runs;
mod scaffold;
mod seeds;
mod selecting;
mod state;
mod strategies;
mod table;
mod tokens;

use connector_plan::Plan;
use connector_sandbox::{Options, Sandbox};
use connector_tests::Workspace;

const RESOURCE: &str = "cloud_storage_files";
const COLUMNS: [&str; 3] = ["file_id", "file_name", "file_size"];

fn plan() -> Plan {
    connector_storage::CONNECTOR.plan().unwrap()
}

/// A server that speaks the spec of `connector-storage`.
fn server(options: Options) -> Sandbox {
    Sandbox::start(&plan(), options).unwrap()
}

/// Checks that the dataset is what the server says a complete reading gives.
#[track_caller]
fn expect_truth(workspace: &Workspace, server: &Sandbox) {
    let truth = server.truth(RESOURCE);
    let found = workspace.rows(RESOURCE).objects(&COLUMNS);
    assert_eq!(found.len(), truth.len(), "rows");
    assert_eq!(found, connector_tests::truth(&truth, &COLUMNS));
    assert_eq!(workspace.files().unfinished(), [""; 0]);
}
