//! The decoder from outside: pages in, batches out.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a reference that cannot go on has found a difference"
)]

mod agreement;
mod cells;
mod contracts;
mod corpus;
mod documents;
mod input;
mod properties;
mod reference;
mod selectors;
mod shapes;
mod texts;
mod traces;
