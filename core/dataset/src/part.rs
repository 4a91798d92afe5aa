//! A data file, opened.

use std::fs::File;
use std::path::Path;

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use crate::Error;

/// Rows read at a time.
pub(crate) const BATCH_ROWS: usize = 8192;

/// What a data file says of itself: its columns are normalised and have their field ids.
pub(crate) fn read_metadata(path: &Path) -> Result<ArrowReaderMetadata, Error> {
    ArrowReaderMetadata::load(&open(path)?, reader_options())
        .map_err(|source| Error::read(path, source))
}

pub(crate) fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|source| Error::io("open", path, source))
}

/// The types are those of Parquet, whoever wrote the file.
pub(crate) fn reader_options() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_skip_arrow_metadata(true)
}
