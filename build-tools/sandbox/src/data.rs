//! The sample data: field tables turned into JSON records.

mod json;
mod shape;
mod table;
mod text;
mod time;

pub(crate) use table::Table;
