//! Arrow batches to a plain Parquet dataset: write dispositions, journal, state.
//!
//! ```text
//! <out>/<connector>/<resource>/part-00000-<run>.parquet   only live data: a glob is always right
//! <out>/<connector>/_connector/state.json                 what the connector remembers
//!                              lock                       held while a run writes
//!                              journal/<resource>.json    a load being published
//!                              tmp/<run>/                 what is not yet part of a dataset
//!                              resume/<resource>/         a load that a later run can go on with
//!                              runs/<run>.json            what happened in a run
//! ```
//!
//! A [`Store`] holds the folder of one connector for one run. [`Store::begin`] opens a [`Load`] of
//! one resource, which stages Parquet files as batches arrive; [`Load::commit`] compares their
//! primary keys with those of the dataset, rewrites what changes and publishes the result in one
//! step: the dataset is the old or the new one at every instant, whatever happens to the process or
//! the disk. Memory is bounded whatever the number of rows.
//!
//! A merge costs what it changes, as far as plain Parquet allows it:
//!
//! - Keys are compared where the statistics of a row group allow one of the load, and its bloom
//!   filters, which are made where keys come in no order, as UUIDs do; of these row groups only the
//!   columns of the key are decoded.
//! - Files without a change are left alone. Of the others, row groups without a change are copied as
//!   bytes, with their statistics, page indexes and bloom filters.
//! - Where rows keep their places (updates of a load that fits in
//!   [`update_bytes`](WriterOptions::update_bytes), versions of a history that end), only the columns
//!   that differ are encoded again, the others copied as bytes. Rows that are sent again as they were
//!   change nothing.
//! - What is left: row groups that lose rows, or have fewer columns than the dataset has now, are
//!   decoded and encoded again. Small row groups and files are joined within
//!   [`compaction_bytes`](WriterOptions::compaction_bytes).
//!
//! Of [`memory_bytes`](WriterOptions::memory_bytes) a merge holds the open row group (at most twice
//! [`row_group_bytes`](WriterOptions::row_group_bytes)), `update_bytes`, 28 MiB of keys being sorted,
//! the rest of them spilled to disk, and 4 MiB that tell most keys that are not in the load; where
//! that is more, less of each. A bit for each row of the files with a change comes on top.

mod arrange;
mod arrangement;
mod arranger;
mod checkpoint;
mod conversion;
mod disk;
mod encoding;
mod error;
mod flatten;
mod fresh;
mod history;
mod journal;
mod key;
mod layout;
mod load;
mod load_options;
mod load_report;
mod lock;
mod memory;
mod merge;
mod part;
mod partition;
mod probe;
mod publish;
mod ranges;
mod rank;
mod records;
mod remote;
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

pub use checkpoint::{Checkpoint, Kept};
pub use conversion::Conversion;
pub use disk::{FailPoint, Step};
pub use error::{Error, ErrorKind};
pub use load::{Load, Prior};
pub use load_options::{Inferred, LoadOptions};
pub use load_report::LoadReport;
pub use records::RunRecords;
pub use remote::{Condition, Found, Objects, Tag, is_address, work_folder};
pub use run_id::RunId;
pub use schema::{ColumnChange, SchemaChange};
pub use schema_diff::{ColumnDiff, DiffKind, schema_diff};
pub use source_id::SourceId;
pub use state::{DataFile, ResourceState, STATE_VERSION, State};
pub use store::{Store, StoreOptions};
pub use widening::widen;
pub use writer::WriterOptions;
