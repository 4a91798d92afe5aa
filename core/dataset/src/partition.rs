//! Partitions: which folder a row lies in, and how the folders are called.
//!
//! Folders are named as Hive names them, `region_value=eu/created_at_day=2026-01-31`. The columns stay
//! in the files: what stands in front of the `=` is never the name of a column, so that every reader
//! has the values with their types, whether or not it looks at the folders. That is why two values may
//! share a folder without harm.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Schema, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use connector_plan::{PartitionBy, PartitionColumn};
use sha2::{Digest, Sha256};

use crate::Error;

/// The folder of rows without a value, as Hive and its readers call it.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";
/// The longest name of a folder in bytes: file systems allow 255, some that encrypt names fewer.
const LONGEST_NAME: usize = 140;
/// The bytes of a hash that tells names apart, and of the `~` before it.
const HASH_BYTES: usize = 13;
/// The deepest folder of a data file.
const DEEPEST: usize = 8;

/// Tells the folder of each row.
#[derive(Clone, Debug)]
pub(crate) struct Partitioning {
    columns: Vec<PartitionColumn>,
}

impl Partitioning {
    /// # Errors
    /// When a column is missing, has no values that can name folders, or a folder's name would be
    /// that of a column.
    pub(crate) fn new(schema: &Schema, columns: &[PartitionColumn]) -> Result<Self, Error> {
        if columns.len() > DEEPEST {
            return Err(Error::configuration(format!(
                "`partition_by` has {} columns, and {DEEPEST} at most are possible",
                columns.len()
            )));
        }
        for (index, partition) in columns.iter().enumerate() {
            let PartitionColumn { column, by, name } = partition;
            let Some((_, field)) = schema.column_with_name(column) else {
                return Err(Error::configuration(format!(
                    "`partition_by` names `{column}`, which is not a column of the resource"
                ))
                .with_hint("declare it as a field in the specification"));
            };
            if !can_name(field.data_type(), *by) {
                let error = Error::configuration(format!(
                    "the {} of the column `{column}` cannot name folders: its type is {}",
                    by.as_str(),
                    field.data_type()
                ));
                return Err(match field.data_type() {
                    DataType::Timestamp(..) => error.with_hint(
                        "partition by a part of it: `by: year`, `month`, `day` or `hour`",
                    ),
                    _ => error.with_hint(
                        "use strings, integers, booleans, dates, decimals, or a part of a \
                         timestamp or a date",
                    ),
                });
            }
            let is_double = columns.iter().take(index).any(|other| other.name == *name);
            if schema.column_with_name(name).is_some() || is_double || name.is_empty() {
                return Err(Error::configuration(format!(
                    "folders cannot be called `{}=…`: {}",
                    name.escape_debug(),
                    match is_double {
                        true => "others are called so already",
                        false => "a column has this name",
                    }
                ))
                .with_hint("name them with `as` in `partition_by`"));
            }
        }
        Ok(Self {
            columns: columns.to_vec(),
        })
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns
            .iter()
            .map(|partition| partition.column.as_str())
    }

    /// The folder of each row in full: rows of one folder have equal values. [`Folders`] tells what
    /// it is called on disk.
    pub(crate) fn of(&self, batch: &RecordBatch) -> Result<StringArray, Error> {
        let mut texts = Vec::with_capacity(self.columns.len());
        for PartitionColumn { column, by, name } in &self.columns {
            let array = batch.column_by_name(column).ok_or_else(|| {
                Error::schema(format!(
                    "the data has no column `{column}`, by which it is partitioned"
                ))
            })?;
            texts.push((encode(name), values(array, *by)?));
        }
        let mut folder = String::new();
        Ok((0..batch.num_rows())
            .map(|row| {
                folder.clear();
                for (name, values) in &texts {
                    if !folder.is_empty() {
                        folder.push('/');
                    }
                    folder.push_str(name);
                    folder.push('=');
                    match values.is_valid(row) && !values.value(row).is_empty() {
                        true => encode_onto(values.value(row), &mut folder),
                        false => folder.push_str(NO_VALUE),
                    }
                }
                Some(folder.clone())
            })
            .collect())
    }
}

fn can_name(data_type: &DataType, by: PartitionBy) -> bool {
    match by {
        PartitionBy::Value => {
            data_type.is_integer()
                || matches!(
                    data_type,
                    DataType::Boolean
                        | DataType::Utf8
                        | DataType::Date32
                        | DataType::Decimal128(..)
                )
        }
        PartitionBy::Hour => matches!(data_type, DataType::Timestamp(..)),
        PartitionBy::Year | PartitionBy::Month | PartitionBy::Day => {
            matches!(data_type, DataType::Timestamp(..) | DataType::Date32)
        }
    }
}

/// What of the values of a column names folders.
fn values(array: &ArrayRef, by: PartitionBy) -> Result<StringArray, Error> {
    let text = |array: &ArrayRef| -> Result<StringArray, Error> {
        let text = cast(array, &DataType::Utf8).map_err(Error::arrow)?;
        Ok(text.as_string::<i32>().clone())
    };
    let format = match by {
        PartitionBy::Value => return text(array),
        PartitionBy::Year => "%Y",
        PartitionBy::Month => "%Y-%m",
        PartitionBy::Day => "%Y-%m-%d",
        PartitionBy::Hour => "%Y-%m-%d-%H",
    };
    // An instant beyond the calendar is told as a number.
    let tell = |instant: Option<DateTime<Utc>>, number: i64| match instant {
        Some(instant) => instant.format(format).to_string(),
        None => number.to_string(),
    };
    Ok(match array.data_type() {
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().iter();
            let of = |days: i32| {
                let seconds = i64::from(days) * 86_400;
                tell(DateTime::from_timestamp(seconds, 0), days.into())
            };
            days.map(|days| days.map(of)).collect()
        }
        _ => {
            let zone = Some("UTC".into());
            let array = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, zone));
            let array = array.map_err(Error::arrow)?;
            let of = |micros: i64| tell(DateTime::from_timestamp_micros(micros), micros);
            let instants = array.as_primitive::<TimestampMicrosecondType>().iter();
            instants.map(|micros| micros.map(of)).collect()
        }
    })
}

/// A text as a part of a path, as Hive and its readers know it: all of ASCII but letters, digits, `-`,
/// `_` and `.` is percent-encoded. What is not ASCII stays: Hive decodes bytes, not characters.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    encode_onto(text, &mut encoded);
    encoded
}

fn encode_onto(text: &str, encoded: &mut String) {
    use std::fmt::Write as _;
    // A real value of this name is another one than none.
    let is_reserved = text == NO_VALUE;
    for (index, c) in text.char_indices() {
        // Windows drops a dot at the end.
        let is_last_dot = c == '.' && index + 1 == text.len();
        let is_plain = c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_kept = is_plain && !is_last_dot && !(is_reserved && index == 0);
        if is_kept || !c.is_ascii() && !c.is_control() {
            encoded.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                // Writing to a `String` cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
}

/// What the folders of a dataset are called on disk: names that are too long are cut, and those which
/// differ from others only by their case, as some file systems cannot tell, are told apart by a hash.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    /// The folders that there are, by their names in lower case.
    known: BTreeMap<String, String>,
}

impl Folders {
    /// The folders of these files, which have names below the dataset's folder.
    pub(crate) fn new<'a>(files: impl IntoIterator<Item = &'a str>) -> Self {
        let mut folders = Self::default();
        for file in files {
            for (end, _) in file.match_indices('/') {
                let folder = file.get(..end).unwrap_or_default();
                let entry = folders.known.entry(folder.to_lowercase());
                entry.or_insert_with(|| folder.to_owned());
            }
        }
        folders
    }

    /// The name of a folder that [`Partitioning::of`] tells.
    pub(crate) fn name(&mut self, folder: &str) -> String {
        let mut path = String::new();
        for segment in folder.split('/') {
            let mut child = join(&path, &cut(segment));
            let known = self.known.get(&child.to_lowercase());
            if known.is_some_and(|known| *known != child) {
                child = join(&path, &hashed(segment));
            }
            self.known
                .entry(child.to_lowercase())
                .or_insert_with(|| child.clone());
            path = child;
        }
        path
    }
}

fn join(parent: &str, child: &str) -> String {
    match parent {
        "" => child.to_owned(),
        parent => format!("{parent}/{child}"),
    }
}

fn cut(segment: &str) -> String {
    match segment.len() <= LONGEST_NAME {
        true => segment.to_owned(),
        false => hashed(segment),
    }
}

/// As much of a name as there is room for, and a hash of all of it.
fn hashed(segment: &str) -> String {
    let hash = Sha256::digest(segment.as_bytes());
    let hash = hash.iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    });
    let hash = hash.get(..HASH_BYTES - 1).unwrap_or_default();
    let end = segment.floor_char_boundary(LONGEST_NAME - HASH_BYTES);
    let start = segment.get(..end).unwrap_or_default();
    // Nothing is cut within an encoded byte.
    let whole = match start.rfind('%') {
        Some(percent) if percent + 3 > start.len() => start.get(..percent).unwrap_or_default(),
        _ => start,
    };
    format!("{whole}~{hash}")
}

/// Whether this can be the folder of a data file: some `name=value`, none of which leaves its parent.
pub(crate) fn is_folder(folder: &str) -> bool {
    let is_segment = |segment: &str| {
        segment.len() <= 255
            && segment
                .split_once('=')
                .is_some_and(|(name, _)| !name.is_empty())
            && !segment.contains(|c: char| c.is_control() || c == '\\')
    };
    folder.split('/').count() <= DEEPEST && folder.split('/').all(is_segment)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, Int64Array, TimestampMicrosecondArray,
    };
    use arrow::datatypes::Field;

    use super::*;

    #[track_caller]
    fn check(array: ArrayRef, by: PartitionBy, expect: &[&str]) {
        let batch = RecordBatch::try_from_iter_with_nullable([("a/b", array, true)]).unwrap();
        let columns = [PartitionColumn::new("a/b", by)];
        let partitioning = Partitioning::new(&batch.schema(), &columns).unwrap();
        let found = partitioning.of(&batch).unwrap();
        let found: Vec<&str> = found.iter().flatten().collect();
        let expect: Vec<String> = (expect.iter())
            .map(|value| format!("a%2Fb_{}={value}", by.as_str()))
            .collect();
        assert_eq!(found, expect);
        let names = found.iter().map(|folder| Folders::default().name(folder));
        assert!(names.into_iter().all(|name| is_folder(&name)));
    }

    #[test]
    fn values_name_folders_as_hive_does() {
        use PartitionBy::{Day, Hour, Month, Value, Year};
        let long = "x".repeat(300);
        let texts = [
            ("eu", "eu"),
            ("a/b=c", "a%2Fb%3Dc"),
            ("..", ".%2E"),
            (".", "%2E"),
            ("../../etc", "..%2F..%2Fetc"),
            ("a\0b\n", "a%00b%0A"),
            ("100%", "100%25"),
            ("a b+c~d", "a%20b%2Bc%7Ed"),
            ("C:\\x", "C%3A%5Cx"),
            ("Zürich", "Zürich"),
            ("\u{85}", "%C2%85"),
            ("", NO_VALUE),
            (NO_VALUE, "%5F_HIVE_DEFAULT_PARTITION__"),
            ("007", "007"),
            (&long, &long),
        ];
        let (values, folders): (Vec<&str>, Vec<&str>) = texts.into_iter().unzip();
        check(Arc::new(StringArray::from(values)), Value, &folders);
        check(
            Arc::new(Int64Array::from(vec![Some(-7), None])),
            Value,
            &["-7", NO_VALUE],
        );
        check(
            Arc::new(BooleanArray::from(vec![true, false])),
            Value,
            &["true", "false"],
        );
        let decimals = Decimal128Array::from(vec![150, -5]);
        let decimals = decimals.with_precision_and_scale(10, 2).unwrap();
        check(Arc::new(decimals), Value, &["1.50", "-0.05"]);
        let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(20_484), Some(-1), None]));
        check(days.clone(), Value, &["2026-01-31", "1969-12-31", NO_VALUE]);
        check(days.clone(), Day, &["2026-01-31", "1969-12-31", NO_VALUE]);
        check(days, Year, &["2026", "1969", NO_VALUE]);
        let instants = vec![1_769_835_599_999_999, -1, i64::MAX];
        let instants: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(instants).with_timezone("UTC"));
        let beyond = i64::MAX.to_string();
        check(instants.clone(), Year, &["2026", "1969", &beyond]);
        check(instants.clone(), Month, &["2026-01", "1969-12", &beyond]);
        check(
            instants.clone(),
            Day,
            &["2026-01-31", "1969-12-31", &beyond],
        );
        check(instants, Hour, &["2026-01-31-04", "1969-12-31-23", &beyond]);
    }

    #[test]
    fn what_cannot_name_folders_is_refused() {
        #[track_caller]
        fn check(columns: &[PartitionColumn], expect: &str) {
            let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            let schema = Schema::new(vec![
                Field::new("price", DataType::Float64, true),
                Field::new("at", instant, true),
                Field::new("name", DataType::Utf8, true),
                Field::new("name_value", DataType::Utf8, true),
            ]);
            let error = Partitioning::new(&schema, columns).unwrap_err();
            assert!(error.to_string().contains(expect), "{error}");
        }
        let column = PartitionColumn::new;
        check(
            &[column("price", PartitionBy::Value)],
            "cannot name folders",
        );
        check(&[column("at", PartitionBy::Value)], "cannot name folders");
        check(&[column("name", PartitionBy::Day)], "cannot name folders");
        check(&[column("none", PartitionBy::Value)], "not a column");
        check(
            &[column("name", PartitionBy::Value)],
            "a column has this name",
        );
        let by_day = column("at", PartitionBy::Day);
        check(&[by_day.clone(), by_day.clone()], "others are called so");
        check(&vec![by_day; 9], "8 at most");
    }

    #[test]
    fn folders_differ_on_every_file_system() {
        let mut folders = Folders::new(["a=EU/b=1/part-1", "part-2"]);
        assert_eq!(folders.name("a=EU/b=2"), "a=EU/b=2");
        let other = folders.name("a=eu/b=2");
        assert!(
            other.starts_with("a=eu~") && other.ends_with("/b=2"),
            "{other}"
        );
        assert_eq!(folders.name("a=eu/b=2"), other);
        // The next load finds the same folder.
        let files = ["a=EU/b=2/x".to_owned(), format!("{other}/x")];
        let mut next = Folders::new(files.iter().map(String::as_str));
        assert_eq!(next.name("a=eu/b=2"), other);
        assert_eq!(next.name("a=EU/b=2"), "a=EU/b=2");
        for text in ["x".repeat(300), "ü".repeat(150), "%2F".repeat(100)] {
            let one = folders.name(&format!("a={text}"));
            let two = folders.name(&format!("a={text}y"));
            assert!(one.len() <= LONGEST_NAME && one != two, "{one}");
            assert!(is_folder(&one) && !one.contains("%~") && !one.contains("%2~"));
        }
    }

    #[test]
    fn folders_stay_below_the_dataset() {
        #[track_caller]
        fn check(folder: &str, expect: bool) {
            assert_eq!(is_folder(folder), expect, "{folder:?}");
        }
        check("a=b", true);
        check("a=b/c=", true);
        check("a=..", true);
        for folder in [
            "", "..", "a=b/..", "../a=b", "/a=b", "a=b/", "a", "=a", "a=b\\c", "a=\0",
        ] {
            check(folder, false);
        }
        check(&format!("a={}", "x".repeat(254)), false);
        check(&["a=b"; 9].join("/"), false);
    }
}
