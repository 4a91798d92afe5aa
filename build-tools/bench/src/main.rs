//! The connector's command line and, for what it is measured beside, the tool's: one program, since
//! each takes minutes to link.

use std::process::ExitCode;

fn main() -> ExitCode {
    // For the parts as for the connector.
    connector_core::cli::keep_freed_memory();
    match std::env::args().nth(1).as_deref() {
        Some("bench" | "run") => connector_build_tools::main(std::env::args_os()),
        _ => connector_core::cli::main(&connector_bench::CONNECTOR, connector_sandbox::start),
    }
}
