//! `cargo connector`: what people do with specs beside building them.
//!
//! One file per subcommand: `check` finds what is wrong with a spec, `expand` prints
//! what is generated from it, `new` makes a connector, `schema` prints the JSON Schema that
//! editors complete and check specs with; `try`, `infer` and `run` are the command line of the
//! connector that a spec makes, without building it; `bench` measures a connector beside its parts
//! and other tools.

mod bench;
mod check;
mod cli;
mod error;
mod expand;
mod live;
mod new;
mod schema;
mod spec_file;
mod streams;
mod workspace;

pub use cli::{main, run};
pub use error::{Error, ErrorKind};
pub use streams::Streams;
