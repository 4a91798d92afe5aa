//! Columns that become wider: which changes of a type keep every value exact.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Fields, SchemaRef};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;

use crate::Error;
use crate::conversion::{Conversion, EXACT_INTEGERS};
use crate::load_options::LoadOptions;
use crate::part::read_metadata;
use crate::schema::{self, Conversions};
use crate::store::Store;

/// The columns by which rows are found: their types stay.
pub(crate) fn fixed(options: &LoadOptions) -> Vec<&str> {
    let names = options.primary_key.iter().chain(&options.merge.merge_key);
    names.map(String::as_str).collect()
}

/// The conversions that make the old columns the new ones, where a type has changed into one that
/// holds all of its values. Those of `fixed` stay as they are: rows are found by them.
pub(crate) fn widenings(old: &Fields, new: &Fields, fixed: &[&str]) -> Conversions {
    let mut found = BTreeMap::new();
    let old = old
        .iter()
        .filter(|field| !fixed.contains(&field.name().as_str()));
    of_fields(&old.cloned().collect(), new, "", &mut found);
    found
}

fn of_fields(old: &Fields, new: &Fields, parent: &str, found: &mut Conversions) {
    for field in old {
        if let Some((_, other)) = new.find(field.name()) {
            let path = schema::join(parent, field.name());
            of_type(field.data_type(), other.data_type(), path, found);
        }
    }
}

fn of_type(old: &DataType, new: &DataType, path: String, found: &mut Conversions) {
    match (old, new) {
        (DataType::Struct(old), DataType::Struct(new)) => of_fields(old, new, &path, found),
        (DataType::List(old), DataType::List(new)) => {
            let path = schema::join(&path, "element");
            of_type(old.data_type(), new.data_type(), path, found);
        }
        (old, new) => {
            if let Some(conversion) = widening(old, new) {
                found.insert(path, conversion);
            }
        }
    }
}

/// Checks that the conversions of a dataset with these columns mean one column each and, in a
/// history, leave the hashes of its rows what they are.
///
/// # Errors
/// When they do not.
pub(crate) fn check(
    base: &Fields,
    conversions: &Conversions,
    is_history: bool,
) -> Result<(), Error> {
    let mut paths = Vec::new();
    collect_paths(base, "", &mut paths);
    let refused = |path: &str, why: &str| {
        Error::schema(format!(
            "the type of the column `{path}` cannot change: {why}"
        ))
        .with_hint("read the resource again with `--full-refresh`, or keep the type")
    };
    for (path, conversion) in conversions {
        // A name may have a dot in it.
        if paths.iter().filter(|known| *known == path).count() > 1 {
            return Err(refused(path, "another column is written the same"));
        }
        if is_history && conversion.changes_hashes() {
            return Err(refused(path, "every row of the history would look changed"));
        }
    }
    Ok(())
}

fn collect_paths(fields: &Fields, parent: &str, paths: &mut Vec<String>) {
    for field in fields {
        let path = schema::join(parent, field.name());
        collect_of(field.data_type(), &path, paths);
        paths.push(path);
    }
}

fn collect_of(data_type: &DataType, path: &str, paths: &mut Vec<String>) {
    match data_type {
        DataType::Struct(fields) => collect_paths(fields, path, paths),
        DataType::List(element) => {
            let path = schema::join(path, "element");
            collect_of(element.data_type(), &path, paths);
            paths.push(path);
        }
        _ => {}
    }
}

/// How single values of a type become those of another, where none is lost.
pub(crate) fn widening(old: &DataType, new: &DataType) -> Option<Conversion> {
    use DataType::{Date32, Decimal128, Float64, Int64, Utf8};
    Some(match (old, new) {
        (Int64, Float64) => Conversion::ToNumber,
        (Date32 | Int64, Utf8) => Conversion::ToText,
        (Int64, Decimal128(..)) => Conversion::ToDecimal,
        (Decimal128(precision, scale), Decimal128(wider, finer))
            if (wider, finer) != (precision, scale)
                && finer >= scale
                && i16::from(*wider) - i16::from(*finer)
                    >= i16::from(*precision) - i16::from(*scale) =>
        {
            Conversion::ToDecimal
        }
        _ => return None,
    })
}

/// The rows with the columns of a schema that has more columns, or wider ones.
///
/// # Errors
/// When a value has no counterpart in the wider type, or a column is none of the schema's.
pub fn widen(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Error> {
    let conversions = widenings(batch.schema_ref().fields(), schema.fields(), &[]);
    schema::adapt_converted(batch, schema, &conversions)
}

impl Store {
    /// Whether the integers that a resource's dataset holds in a column, and in the parts of an
    /// object or a list, are all equalled by doubles, as far as its files say.
    ///
    /// # Errors
    /// When a data file cannot be read.
    pub fn has_exact_integers(&self, resource: &str, column: &str) -> Result<bool, Error> {
        let state = self.state();
        let files = state
            .resource(resource)
            .map_or(&[][..], |known| &known.files);
        let folder = self.folder(resource);
        let (disk, _) = self.place();
        for file in files {
            let metadata = read_metadata(disk, &folder.join(&file.name))?;
            if !are_within(metadata.metadata(), column, EXACT_INTEGERS) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether the integers in a column (`owner.size`, `tags.element`) and in its parts are, as far as
/// the file says, at most this far from zero.
pub(crate) fn are_within(metadata: &ParquetMetaData, column: &str, limit: u64) -> bool {
    metadata.row_groups().iter().all(|group| {
        let columns = group.columns().iter();
        let mut own = columns.filter(|chunk| is_part(chunk.column_path().parts(), column));
        own.all(|chunk| match chunk.statistics() {
            Some(Statistics::Int64(values)) => {
                let ends = [values.min_opt(), values.max_opt()];
                let all_null = values.null_count_opt() == u64::try_from(chunk.num_values()).ok();
                let inside = |end: &i64| end.unsigned_abs() <= limit;
                all_null || ends.into_iter().all(|end| end.is_some_and(inside))
            }
            Some(_) => true,
            None => false,
        })
    })
}

/// Whether a leaf of a file is this column, or a part of it.
fn is_part(leaf: &[String], column: &str) -> bool {
    let mut path = String::new();
    for (index, part) in leaf.iter().enumerate() {
        // Lists have a level of their own in Parquet.
        let is_level = part == "list" && leaf.get(index + 1).is_some_and(|next| next == "element");
        if !is_level {
            path = schema::join(&path, part);
        }
    }
    let rest = path.strip_prefix(column);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn conversions_that_mean_two_columns_or_rewrite_a_history_are_refused() {
        let object = DataType::Struct(vec![Field::new("b", DataType::Int64, true)].into());
        let fields: Fields = vec![
            Field::new("a", object, true),
            Field::new("a.b", DataType::Int64, true),
            Field::new("c", DataType::Int64, true),
        ]
        .into();
        let outcome = |path: &str, conversion, is_history| {
            let conversions = Conversions::from([(path.to_owned(), conversion)]);
            check(&fields, &conversions, is_history).is_ok()
        };
        assert!(!outcome("a.b", Conversion::ToNumber, false));
        assert!(outcome("c", Conversion::ToText, false));
        assert!(outcome("c", Conversion::ToNumber, true));
        assert!(!outcome("c", Conversion::ToText, true));
        assert!(!outcome("c", Conversion::ToJson, true));
    }
}
