//! YAML source specs to strongly typed Rust.
//!
//! The way of a spec: the YAML text becomes a tree with positions, the tree becomes the
//! spec as it is written, and [`lower()`] resolves that into an [`Ir`]: defaults, aliases,
//! references and names. Everything wrong with a spec is found on the way, all at once, and
//! reported as [`Diagnostics`] that underline the place; what comes behind the [`Ir`] cannot fail.

mod build;
mod diagnostic;
mod emit;
mod expression;
mod ir;
mod lower;
mod names;
mod reference;
mod source;
mod spec;
mod words;
mod yaml;

pub use build::{BuildError, Config, Files, compile};
pub use diagnostic::{Diagnostic, Diagnostics, Label, Severity};
pub use emit::{EmitOptions, Generated, emit};
pub use ir::{Ir, RecordIr};
pub use lower::{LowerOptions, lower};
pub use reference::reference;
pub use source::{Source, Span};
pub use spec::schema::json_schema;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use expression::check::check as check_expression;
