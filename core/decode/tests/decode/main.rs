//! The decoder from outside: pages in, batches out.

mod cells;
mod documents;
mod properties;
mod reference;
