//! Specs as tests write them, without a crate of their own.

use connector_codegen::{LowerOptions, Source, lower};
use connector_core::Connector;
use connector_plan::Plan;

/// The plan of a spec.
///
/// # Panics
/// When the spec is wrong, with what is wrong.
#[must_use]
#[track_caller]
#[expect(clippy::panic, reason = "a test that cannot start has failed")]
pub fn plan(name: &str, spec: impl Into<String>) -> Plan {
    match lower(&Source::new("spec.yaml", spec), &LowerOptions::new(name)) {
        Ok((ir, _)) => ir.plan,
        Err(found) => panic!("{}", found.render(false)),
    }
}

/// The connector of a spec, as its crate would embed it.
///
/// # Panics
/// When the spec is wrong, with what is wrong.
#[must_use]
#[track_caller]
#[expect(clippy::expect_used, reason = "a test that cannot start has failed")]
pub fn connector(name: &'static str, spec: impl Into<String>) -> Connector {
    Connector {
        name,
        version: "0.0.0",
        // As a compiled one has it: for the whole life of the process.
        plan: plan(name, spec).to_json().expect("a plan is JSON").leak(),
    }
}
