//! The columns of a history of versions: when each was valid, and what it held.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{
    DataType, Field, Fields, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use connector_plan::History;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;

use crate::disk::Disk;
use crate::key::{Bound, extremes};
use crate::part;
use crate::row_hash::row_hashes;
use crate::row_set::RowSet;
use crate::{Error, RunId};

/// The columns of a history of versions, in one load.
#[derive(Clone, Debug)]
pub(crate) struct Versions {
    columns: History,
    /// Where versions of this load begin and the ones before them end, in microseconds since 1970.
    boundary: i64,
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

impl Versions {
    /// The load's boundary is the start of the run, or later where the dataset has later ones: a
    /// clock that was set back makes no version end before it begins.
    ///
    /// # Errors
    /// When an existing file has no history, or cannot be read.
    pub(crate) fn new(
        columns: &History,
        run: RunId,
        disk: &Disk,
        existing: &[PathBuf],
    ) -> Result<Self, Error> {
        let mut boundary = run.micros();
        for path in existing {
            if let Some(latest) = latest(columns, disk, path)? {
                boundary = boundary.max(latest.saturating_add(1));
            }
        }
        Ok(Self {
            columns: columns.clone(),
            boundary,
        })
    }

    pub(crate) fn row_hash(&self) -> &str {
        &self.columns.row_hash
    }

    pub(crate) fn valid_to(&self) -> &str {
        &self.columns.valid_to
    }

    pub(crate) fn retire_absent(&self) -> bool {
        self.columns.retire_absent
    }

    /// The columns of a load, with these behind them.
    ///
    /// # Errors
    /// When the load has a column of the same name.
    pub(crate) fn extend_schema(&self, schema: &Schema) -> Result<SchemaRef, Error> {
        let own = [
            Field::new(&self.columns.valid_from, instant(), false),
            Field::new(&self.columns.valid_to, instant(), true),
            Field::new(&self.columns.row_hash, DataType::Utf8, false),
        ];
        let fields = schema.fields().iter().cloned();
        let fields: Fields = fields.chain(own.map(Arc::new)).collect();
        Ok(Arc::new(Schema::new(fields)))
    }

    /// The rows of a batch as new versions.
    pub(crate) fn extend(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let schema = self.extend_schema(batch.schema_ref())?;
        let rows = batch.num_rows();
        let from = TimestampMicrosecondArray::from(vec![self.boundary; rows]).with_timezone("UTC");
        let to = TimestampMicrosecondArray::from(vec![None; rows]).with_timezone("UTC");
        let own: [ArrayRef; 3] = [Arc::new(from), Arc::new(to), Arc::new(row_hashes(batch)?)];
        let columns = batch.columns().iter().cloned().chain(own).collect();
        RecordBatch::try_new(schema, columns).map_err(Error::arrow)
    }

    /// Ends the versions of these rows; `first_row` is the number of rows before the batch.
    pub(crate) fn retire(
        &self,
        batch: &RecordBatch,
        first_row: u64,
        retired: &RowSet,
    ) -> Result<RecordBatch, Error> {
        let schema = batch.schema();
        let index = schema.index_of(self.valid_to()).map_err(Error::arrow)?;
        let ends = batch
            .column(index)
            .as_primitive::<TimestampMicrosecondType>();
        let ends: TimestampMicrosecondArray = (0..batch.num_rows())
            .map(|row| {
                if retired.contains(first_row + row as u64) {
                    Some(self.boundary)
                } else {
                    ends.is_valid(row).then(|| ends.value(row))
                }
            })
            .collect();
        let DataType::Timestamp(_, zone) = schema.field(index).data_type() else {
            return Err(no_history(self.valid_to()));
        };
        let mut columns = batch.columns().to_vec();
        if let Some(column) = columns.get_mut(index) {
            *column = Arc::new(ends.with_timezone_opt(zone.clone()));
        }
        RecordBatch::try_new(schema, columns).map_err(Error::arrow)
    }
}

fn no_history(column: &str) -> Error {
    Error::conflict(format!(
        "the existing dataset has no column `{column}`: it keeps no history of versions"
    ))
    .with_hint("read the resource again with `--full-refresh`, or choose another `--out`")
}

/// The latest instant at which a version of a file began or ended.
fn latest(columns: &History, disk: &Disk, path: &std::path::Path) -> Result<Option<i64>, Error> {
    let metadata = part::read_metadata(disk, path)?;
    for (name, expected) in [
        (&columns.valid_from, instant()),
        (&columns.valid_to, instant()),
        (&columns.row_hash, DataType::Utf8),
    ] {
        let found = metadata.schema().field_with_name(name);
        if found.map(Field::data_type).ok() != Some(&expected) {
            return Err(no_history(name));
        }
    }
    let mut latest = None;
    for name in [&columns.valid_from, &columns.valid_to] {
        let failed = |source| Error::read(path, source);
        let converter =
            StatisticsConverter::try_new(name, metadata.schema(), metadata.parquet_schema())
                .map_err(failed)?;
        let highs = converter
            .row_group_maxes(metadata.metadata().row_groups())
            .map_err(failed)?;
        if let Some((_, Bound::Integer(high))) = extremes(&highs) {
            latest = latest.max(i64::try_from(high).ok());
        }
    }
    Ok(latest)
}
