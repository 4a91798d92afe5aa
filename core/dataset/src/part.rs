//! A data file of a dataset, opened.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};

use crate::Error;
use crate::disk::Disk;
use crate::remote::{RemotePart, RemoteRead};

/// Rows read at a time.
pub(crate) const BATCH_ROWS: usize = 8192;

/// A data file of a dataset, opened.
#[derive(Debug)]
pub(crate) enum Part {
    Local(File),
    Remote(RemotePart),
}

impl Part {
    /// Says where everything lies in the file, so that a remote one is read in few requests.
    pub(crate) fn learn(&self, metadata: &ParquetMetaData) {
        if let Self::Remote(part) = self {
            part.learn(metadata);
        }
    }

    /// Says that all columns of a row group will be read, one behind the other.
    pub(crate) fn expect(&self, metadata: &ParquetMetaData, group: usize) {
        if let Self::Remote(part) = self {
            part.expect(metadata, group);
        }
    }

    /// Says that so many columns of a row group will be read side by side, page by page.
    pub(crate) fn expect_rows(&self, metadata: &ParquetMetaData, group: usize, columns: usize) {
        if let Self::Remote(part) = self {
            part.expect_rows(metadata, group, columns);
        }
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Local(file) => Self::Local(file.try_clone()?),
            Self::Remote(part) => Self::Remote(part.clone()),
        })
    }
}

impl Length for Part {
    fn len(&self) -> u64 {
        match self {
            Self::Local(file) => Length::len(file),
            Self::Remote(part) => part.len(),
        }
    }
}

impl ChunkReader for Part {
    type T = PartRead;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(match self {
            Self::Local(file) => PartRead::Local(file.get_read(start)?),
            Self::Remote(part) => PartRead::Remote(part.get_read(start)?),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        match self {
            Self::Local(file) => file.get_bytes(start, length),
            Self::Remote(part) => part.get_bytes(start, length),
        }
    }
}

/// Reads a [`Part`] from a place on.
#[derive(Debug)]
pub(crate) enum PartRead {
    Local(BufReader<File>),
    Remote(RemoteRead),
}

impl Read for PartRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Local(file) => file.read(buffer),
            Self::Remote(part) => part.read(buffer),
        }
    }
}

/// What a data file says of itself: its columns are normalised and have their field ids.
pub(crate) fn read_metadata(disk: &Disk, path: &Path) -> Result<ArrowReaderMetadata, Error> {
    ArrowReaderMetadata::load(&disk.open(path)?, reader_options())
        .map_err(|source| Error::read(path, source))
}

/// The types are those of Parquet, whoever wrote the file.
pub(crate) fn reader_options() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_skip_arrow_metadata(true)
}
