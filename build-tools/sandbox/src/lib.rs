//! A loopback HTTP server that speaks a connector's spec.
//!
//! It has the spec's own authentication, paging and errors, and deterministic sample data made
//! from its field tables. Every connector runs against it when nothing is configured; tests and
//! benchmarks hold it as a [`Sandbox`].
//!
//! It is written against the RFCs and the plan, never against our client: OAuth 2.0 (RFC 6749,
//! 6750), Basic (RFC 7617), links (RFC 8288), HTTP (RFC 9110). Where a standard leaves a choice,
//! it takes the one that a careless client stumbles over: cursors need percent-encoding, members
//! of an object change their order, unknown parameters are refused.
//!
//! Beside the API it serves, without credentials, `GET /_sandbox/truth` (each resource with its
//! number of records), `GET /_sandbox/truth/<resource>` (the records, one JSON text a line) and
//! `GET /_sandbox/counters`.

mod api;
mod assertion;
mod auth;
mod body;
mod condition;
mod cursor;
mod data;
mod document;
mod fault;
mod format;
mod login;
mod options;
mod page;
mod paging;
mod processing;
mod random;
mod received;
mod record;
mod recorder;
mod refusal;
mod related;
mod route;
mod sandbox;
mod selector;
mod server;
mod settings;
mod token;

#[cfg(test)]
mod tests;

pub use options::{
    Answer, Ending, ExpiresIn, LastCursor, LinkForm, Options, Responder, Scripted, When,
};
pub use record::RequestRecord;
pub use recorder::Recorder;
pub use sandbox::{Counters, Sandbox, start};
