//! `cargo connector`, see `cargo connector help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    connector_build_tools::main(std::env::args_os())
}
