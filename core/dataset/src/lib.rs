//! Arrow batches to a plain Parquet dataset: write dispositions, journal, state.
//!
//! ```text
//! <out>/<connector>/<resource>/part-00000-<run>.parquet   only live data: a glob is always right
//! <out>/<connector>/_connector/state.json                 what the connector remembers
//!                              lock                       held while a run writes
//!                              journal/<resource>.json    a load being published
//!                              tmp/<run>/                 what is not yet part of a dataset
//!                              runs/<run>.json            what happened in a run
//! ```
//!
//! A [`Store`] holds the folder of one connector for one run. [`Store::begin`] opens a [`Load`] of
//! one resource, which stages Parquet files as batches arrive; [`Load::commit`] compares their
//! primary keys with those of the dataset, rewrites the files that lose rows and publishes the
//! result in one step: the dataset is the old or the new one at every instant, whatever happens to
//! the process or the disk. Memory is bounded whatever the number of rows.

mod conversion;
mod disk;
mod encoding;
mod error;
mod history;
mod journal;
mod key;
mod layout;
mod load;
mod lock;
mod merge;
mod part;
mod probe;
mod publish;
mod ranges;
mod rank;
mod records;
mod rewrite;
mod row_group;
mod row_hash;
mod row_set;
mod run_id;
mod scan;
mod schema;
mod schema_diff;
mod sorter;
mod source_id;
mod standing;
mod state;
mod store;
mod widening;
mod writer;

pub use conversion::Conversion;
pub use disk::{FailPoint, Step};
pub use error::{Error, ErrorKind};
pub use load::{Inferred, Load, LoadOptions, LoadReport, Prior};
pub use records::RunRecords;
pub use run_id::RunId;
pub use schema::{ColumnChange, SchemaChange};
pub use schema_diff::{ColumnDiff, DiffKind, schema_diff};
pub use source_id::SourceId;
pub use state::{DataFile, ResourceState, STATE_VERSION, State};
pub use store::{Store, StoreOptions};
pub use widening::widen;
pub use writer::WriterOptions;
