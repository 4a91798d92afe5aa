//! What other columns would do to a dataset, before anything is done.

use std::path::Path;

use arrow::datatypes::{DataType, Fields, TimeUnit};
use serde::Serialize;

use crate::Error;
use crate::conversion::{Conversion, EXACT_INTEGERS};
use crate::disk;
use crate::load_options::LoadOptions;
use crate::part::read_metadata;
use crate::schema::{self, Conversions};
use crate::state::ResourceState;
use crate::widening::{are_within, widening};

/// What becomes of one column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnDiff {
    /// The column, with its parents: `owner.name`, `tags.element`.
    pub column: String,
    /// What happens to it.
    pub change: DiffKind,
    /// Its type in the dataset, in the words of the spec language; text and JSON text are one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its type in the load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// What happens to a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffKind {
    /// It is new; the rows that are there have null in it.
    Added,
    /// It is no longer declared; new rows have null in it.
    Absent,
    /// It held no nulls and now may.
    Nullable,
    /// It has a wider type: the rows that are there are converted, and their files written again.
    Widened,
    /// Its type becomes one that the values that are there cannot be told in exactly, or rows are
    /// found by it: the load is refused.
    Refused,
}

/// What a load with these options would do to the columns of the dataset below `out` that a state
/// tells of. No lock is taken, and nothing changes.
///
/// # Errors
/// When a column of the load cannot be held by Parquet, or a data file cannot be read.
pub fn schema_diff(
    out: &Path,
    connector: &str,
    state: &ResourceState,
    options: &LoadOptions,
) -> Result<Vec<ColumnDiff>, Error> {
    let (disk, layout) = disk::reach(out, connector)?;
    let live = layout.live(&options.resource);
    let mut files = Vec::new();
    let mut fields: Option<Fields> = None;
    for file in &state.files {
        let metadata = read_metadata(&disk, &live.join(&file.name))?;
        let found = metadata.schema().fields().clone();
        fields = Some(match fields {
            None => found,
            Some(fields) => schema::unify(&fields, &found, &Conversions::new(), &mut Vec::new())?,
        });
        files.push(metadata.metadata().clone());
    }
    let Some(fields) = fields else {
        return Ok(Vec::new());
    };
    let mut diff = Diff {
        is_within: &|column, limit| files.iter().all(|file| are_within(file, column, limit)),
        found: Vec::new(),
    };
    let mut own = own_columns(&fields, options);
    let new = schema::normalise(&*options.flat_schema()?)?;
    // Columns of the library's own are in every load.
    own.retain(|name| new.find(name).is_none());
    let old = fields
        .iter()
        .filter(|field| !own.contains(&field.name().as_str()));
    let old: Fields = old.cloned().collect();
    diff.fields(&old, &new, "", options);
    Ok(diff.found)
}

/// The columns that a history adds to those of the resource.
fn own_columns<'o>(fields: &Fields, options: &'o LoadOptions) -> Vec<&'o str> {
    let history = options.merge.history().into_iter();
    let names = history.flat_map(|own| [&own.valid_from, &own.valid_to, &own.row_hash]);
    let names = names.map(String::as_str);
    names.filter(|name| fields.find(name).is_some()).collect()
}

struct Diff<'a> {
    /// Whether the integers of a column are at most so far from zero.
    is_within: &'a dyn Fn(&str, u64) -> bool,
    found: Vec<ColumnDiff>,
}

impl Diff<'_> {
    fn fields(&mut self, old: &Fields, new: &Fields, parent: &str, options: &LoadOptions) {
        for field in old {
            let path = schema::join(parent, field.name());
            let Some((_, other)) = new.find(field.name()) else {
                self.note(path, DiffKind::Absent, Some(field.data_type()), None);
                continue;
            };
            if other.is_nullable() && !field.is_nullable() {
                self.note(path.clone(), DiffKind::Nullable, None, None);
            }
            let keys = options.primary_key.iter().chain(&options.merge.merge_key);
            let is_key = parent.is_empty() && keys.into_iter().any(|key| key == field.name());
            self.types(field.data_type(), other.data_type(), path, is_key, options);
        }
        for field in new.iter().filter(|field| old.find(field.name()).is_none()) {
            let path = schema::join(parent, field.name());
            self.note(path, DiffKind::Added, None, Some(field.data_type()));
        }
    }

    fn types(
        &mut self,
        old: &DataType,
        new: &DataType,
        path: String,
        is_key: bool,
        options: &LoadOptions,
    ) {
        match (old, new) {
            (DataType::Struct(old), DataType::Struct(new)) => {
                self.fields(old, new, &path, options);
            }
            (DataType::List(old), DataType::List(new)) => {
                let path = schema::join(&path, "element");
                self.types(old.data_type(), new.data_type(), path, is_key, options);
            }
            (old, new) if old == new => {}
            (old, new) => {
                let is_history = options.merge.history().is_some();
                let conversion = widening(old, new)
                    .filter(|conversion| !(is_key || is_history && conversion.changes_hashes()));
                let change = match conversion {
                    Some(conversion) if self.is_exact(conversion, new, &path) => DiffKind::Widened,
                    _ => DiffKind::Refused,
                };
                self.note(path, change, Some(old), Some(new));
            }
        }
    }

    fn is_exact(&self, conversion: Conversion, new: &DataType, path: &str) -> bool {
        let limit = match (conversion, new) {
            (Conversion::ToNumber, _) => EXACT_INTEGERS,
            (Conversion::ToDecimal, DataType::Decimal128(precision, scale)) => {
                let digits = i16::from(*precision) - i16::from(*scale);
                let digits = u32::try_from(digits).unwrap_or(0);
                10_u64.checked_pow(digits).map_or(u64::MAX, |next| next - 1)
            }
            _ => return true,
        };
        limit == u64::MAX || (self.is_within)(path, limit)
    }

    fn note(
        &mut self,
        column: String,
        change: DiffKind,
        from: Option<&DataType>,
        to: Option<&DataType>,
    ) {
        self.found.push(ColumnDiff {
            column,
            change,
            from: from.map(word),
            to: to.map(word),
        });
    }
}

/// A type in the words of the spec language.
fn word(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int64 => "integer".to_owned(),
        DataType::Float64 => "number".to_owned(),
        DataType::Utf8 => "string".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamp".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision}, {scale})"),
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{}: {}", field.name(), word(field.data_type())))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        DataType::List(element) => format!("[{}]", word(element.data_type())),
        other => other.to_string(),
    }
}
