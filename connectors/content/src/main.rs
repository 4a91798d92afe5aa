//! The connector's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    connector_core::cli::main(&connector_content::CONNECTOR, connector_sandbox::start)
}
