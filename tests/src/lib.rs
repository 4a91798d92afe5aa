//! End-to-end tests: real binaries against real HTTP servers on loopback.
//!
//! [`Workspace`] is a folder in which a connector runs with nothing of this machine's environment;
//! every run is searched for the secrets that it was given. The tests are in `tests/e2e`.

mod binary;
mod spec;
mod workspace;

pub use binary::binary;
pub use connector_contract::{Files, Rows, truth};
pub use spec::{connector, plan};
pub use workspace::{Outcome, Run, Workspace};

/// The examples of the README, which must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
