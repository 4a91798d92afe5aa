//! The order of rows and their folders: which ones a load asks for, and which ones files have.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use arrow::row::{RowConverter, Rows, SortField};
use connector_plan::{Nulls, SortColumn, SortOrder};
use parquet::file::metadata::{ParquetMetaData, SortingColumn};
use parquet::schema::types::SchemaDescriptor;

use crate::partition::Partitioning;
use crate::schema::Conversions;
use crate::writer::WriterOptions;
use crate::{Error, ErrorKind};

/// The order and the folders of the rows of a load.
#[derive(Debug)]
pub(crate) struct Arrangement {
    partitioning: Option<Partitioning>,
    sort: Vec<SortColumn>,
    /// Folders and sorted values as bytes that order as the rows do.
    keys: RowConverter,
}

impl Arrangement {
    /// `None` where rows come as they arrive, into one folder; `may_lack` says whether columns that
    /// name folders may be missing, as when they are inferred from rows without them.
    ///
    /// # Errors
    /// When a column is missing, or its type has no order or cannot name folders.
    pub(crate) fn new(
        schema: &Schema,
        options: &WriterOptions,
        may_lack: bool,
    ) -> Result<Option<Self>, Error> {
        if options.sort_by.is_empty() && options.partition_by.is_empty() {
            return Ok(None);
        }
        let mut fields = Vec::new();
        let mut partitioning = None;
        if !options.partition_by.is_empty() {
            partitioning = Some(Partitioning::new(schema, &options.partition_by, may_lack)?);
            fields.push(SortField::new(DataType::Utf8));
        }
        for SortColumn {
            column,
            order,
            nulls,
        } in &options.sort_by
        {
            let Some((_, field)) = schema.column_with_name(column) else {
                return Err(Error::configuration(format!(
                    "`sort_by` names `{column}`, which is not a column of the resource"
                ))
                .with_hint("declare it as a field in the specification"));
            };
            if field.data_type().is_nested() {
                return Err(Error::configuration(format!(
                    "`sort_by` names `{column}`, an object or a list, which has no order"
                ))
                .with_hint("name a field that holds a single value"));
            }
            let options = SortOptions {
                descending: *order == SortOrder::Desc,
                nulls_first: *nulls == Nulls::First,
            };
            let data_type = field.data_type().clone();
            fields.push(SortField::new_with_options(data_type, options));
        }
        Ok(Some(Self {
            partitioning,
            sort: options.sort_by.clone(),
            keys: RowConverter::new(fields).map_err(Error::arrow)?,
        }))
    }

    pub(crate) fn partitioning(&self) -> Option<&Partitioning> {
        self.partitioning.as_ref()
    }

    /// The columns that it looks at.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let sorted = self.sort.iter().map(|sort| sort.column.as_str());
        let partitioned = self.partitioning.iter().flat_map(Partitioning::columns);
        sorted.chain(partitioned).collect()
    }

    /// Whether values that are there take other places, or other folders, in wider types.
    pub(crate) fn changes_with(&self, conversions: &Conversions) -> bool {
        let columns = self.columns();
        conversions
            .keys()
            .any(|column| columns.contains(&column.as_str()))
    }

    /// The place of each row: equal for rows of one folder with equal values, and ordered as the rows
    /// are.
    pub(crate) fn places(&self, batch: &RecordBatch) -> Result<Rows, Error> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.sort.len() + 1);
        if let Some(partitioning) = &self.partitioning {
            columns.push(Arc::new(partitioning.of(batch)?));
        }
        for SortColumn { column, .. } in &self.sort {
            let array = batch.column_by_name(column).ok_or_else(|| {
                Error::schema(format!(
                    "the data has no column `{column}`, by which it is sorted"
                ))
            })?;
            columns.push(array.clone());
        }
        self.keys.convert_columns(&columns).map_err(Error::arrow)
    }

    /// The columns of the schema that [`Self::places`] needs.
    pub(crate) fn project(&self, schema: &Schema) -> SchemaRef {
        let columns = self.columns();
        let is_needed = |field: &&FieldRef| columns.contains(&field.name().as_str());
        let fields: Vec<FieldRef> = schema.fields().iter().filter(is_needed).cloned().collect();
        Arc::new(Schema::new(fields))
    }

    /// Whether all rows of a file are in this order, as far as it says.
    pub(crate) fn is_of(&self, file: &ParquetMetaData) -> bool {
        let expect = sorting_columns(&self.sort, file.file_metadata().schema_descr());
        let Ok(expect) = expect else { return false };
        file.row_groups()
            .iter()
            .all(|group| group.sorting_columns() == expect.as_ref())
    }
}

/// An order in Parquet's terms; `None` for none.
///
/// # Errors
/// When a column is missing.
pub(crate) fn sorting_columns(
    sort: &[SortColumn],
    schema: &SchemaDescriptor,
) -> Result<Option<Vec<SortingColumn>>, Error> {
    let mut found = Vec::with_capacity(sort.len());
    for SortColumn {
        column,
        order,
        nulls,
    } in sort
    {
        let mut leaves = schema.columns().iter();
        let leaf = leaves.position(|leaf| matches!(leaf.path().parts(), [name] if name == column));
        let leaf = leaf.and_then(|leaf| i32::try_from(leaf).ok());
        found.push(SortingColumn {
            column_idx: leaf.ok_or_else(|| {
                Error::new(
                    ErrorKind::Internal,
                    format!("the files have no column `{column}`, by which they are sorted"),
                )
            })?,
            descending: *order == SortOrder::Desc,
            nulls_first: *nulls == Nulls::First,
        });
    }
    Ok((!found.is_empty()).then_some(found))
}
