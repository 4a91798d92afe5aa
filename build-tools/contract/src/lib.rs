//! The tests that every connector gets, in one line of its `tests/contract.rs`:
//!
//! ```text
//! connector_contract::contract!(connector_storage::CONNECTOR);
//! ```
//!
//! They run the connector's real binary against the [sandbox](connector_sandbox) of its own spec
//! and compare the Parquet files with the records that the sandbox holds. Nothing of the runtime is
//! linked: what is judged is what a user gets.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "this crate is tests: what does not hold is a panic"
)]

mod contract;
mod dataset;
mod truth;

pub use contract::Contract;
pub use dataset::{Files, Rows};
pub use truth::truth;

/// The tests of a connector, given its `CONNECTOR` constant.
///
/// It stands alone in an integration test of the connector's package, whose binary has the
/// package's name.
#[macro_export]
macro_rules! contract {
    ($connector:path) => {
        const CONTRACT: $crate::Contract = $crate::Contract {
            name: $connector.name,
            plan: $connector.plan,
            binary: env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME"))),
        };

        #[test]
        fn the_plan_reads_back_as_it_was_written() {
            CONTRACT.plan_reads_back();
        }

        #[test]
        fn every_resource_is_written_whole() {
            CONTRACT.every_resource_is_written_whole();
        }

        #[test]
        fn a_second_run_changes_nothing() {
            CONTRACT.a_second_run_changes_nothing();
        }

        #[test]
        fn faults_lose_nothing() {
            CONTRACT.faults_lose_nothing();
        }

        #[test]
        fn it_runs_without_any_settings() {
            CONTRACT.runs_without_settings();
        }
    };
}
