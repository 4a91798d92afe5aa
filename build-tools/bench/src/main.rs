//! The connector's command line and, for what it is measured beside, the tool's: one program, since
//! each takes minutes to link.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("bench" | "run") => connector_build_tools::main(std::env::args_os()),
        _ => connector_core::cli::main(&connector_bench::CONNECTOR, connector_sandbox::start),
    }
}
