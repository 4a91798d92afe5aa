//! The sample data: field tables turned into JSON records.

mod invented;
mod json;
mod shape;
mod table;
mod text;
mod time;

pub(crate) use invented::with_invented;
pub(crate) use table::Table;
