//! The decoder from outside: pages in, batches out.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a reference that cannot go on has found a difference"
)]

mod cells;
mod contracts;
mod documents;
mod properties;
mod reference;
mod selectors;
mod shapes;
mod texts;
