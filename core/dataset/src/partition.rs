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
use crate::disk::hexadecimal;

/// The folder of rows without a value, as Hive and its readers call it.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";
/// The longest name of a folder in bytes: file systems allow 255, some that encrypt names fewer.
const LONGEST_NAME: usize = 140;
/// The longest name in front of the `=` in bytes: a hash behind what is cut leaves it whole.
const LONGEST_KEY: usize = 100;
/// The bytes of a hash that tells names apart, and of the `~` before it.
const HASH_BYTES: usize = 13;
/// The deepest folder of a data file.
const DEEPEST: usize = 8;

/// Tells the folder of each row.
#[derive(Clone, Debug)]
pub(crate) struct Partitioning {
    columns: Vec<PartitionColumn>,
    /// Whether rows without a column are rows without a value.
    may_lack: bool,
}

impl Partitioning {
    /// # Errors
    /// When a column is missing, has no values that can name folders, or a folder's name would be
    /// that of a column.
    pub(crate) fn new(
        schema: &Schema,
        columns: &[PartitionColumn],
        may_lack: bool,
    ) -> Result<Self, Error> {
        if columns.len() > DEEPEST {
            return Err(Error::configuration(format!(
                "`partition_by` has {} columns, and {DEEPEST} at most are possible",
                columns.len()
            )));
        }
        for (index, partition) in columns.iter().enumerate() {
            let PartitionColumn { column, by, name } = partition;
            let field = schema.column_with_name(column).map(|(_, field)| field);
            if field.is_none() && !may_lack {
                return Err(Error::configuration(format!(
                    "`partition_by` names `{column}`, which is not a column of the resource"
                ))
                .with_hint("declare it as a field in the specification"));
            }
            if let Some(field) = field
                && !can_name(field.data_type(), *by)
            {
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
            // Many readers do not tell names apart by their case.
            let is_same = |other: &str| other.eq_ignore_ascii_case(name);
            let mut others = columns.iter().take(index);
            let reason = if others.any(|other| is_same(&other.name)) {
                "others are called so already"
            } else if schema.fields().iter().any(|field| is_same(field.name())) {
                "a column has this name"
            } else if name.is_empty() {
                "the name is empty"
            } else if encode_name(name).len() > LONGEST_KEY {
                "the name is too long"
            } else {
                continue;
            };
            return Err(Error::configuration(format!(
                "folders cannot be called `{}=…`: {reason}",
                name.escape_debug()
            ))
            .with_hint("name them with `as` in `partition_by`"));
        }
        Ok(Self {
            columns: columns.to_vec(),
            may_lack,
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
            let values = match batch.column_by_name(column) {
                Some(array) => values(array, *by)?,
                None if self.may_lack => StringArray::new_null(batch.num_rows()),
                None => {
                    return Err(Error::schema(format!(
                        "the data has no column `{column}`, by which it is partitioned"
                    )));
                }
            };
            texts.push((encode_name(name), values));
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
fn encode_onto(text: &str, encoded: &mut String) {
    // A real value of this name is another one than none.
    encode_part(text, text == NO_VALUE, encoded);
}

/// The name in front of the `=`. Readers pass over folders that begin with `_` or `.`.
fn encode_name(name: &str) -> String {
    let mut encoded = String::new();
    encode_part(name, name.starts_with(['_', '.']), &mut encoded);
    encoded
}

fn encode_part(text: &str, encodes_first: bool, encoded: &mut String) {
    use std::fmt::Write as _;
    for (index, c) in text.char_indices() {
        // Windows drops a dot at the end.
        let is_last_dot = c == '.' && index + 1 == text.len();
        let is_plain = c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_kept = is_plain && !is_last_dot && !(encodes_first && index == 0);
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
/// So are those with characters that can be written in several ways, whose forms some take for one.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    /// The folders that there are, by their names without case.
    known: BTreeMap<String, String>,
}

impl Folders {
    /// The folders of these files, which have names below the dataset's folder.
    pub(crate) fn new<'a>(files: impl IntoIterator<Item = &'a str>) -> Self {
        let mut folders = Self::default();
        for file in files {
            for (end, _) in file.match_indices('/') {
                let folder = file.get(..end).unwrap_or_default();
                let entry = folders.known.entry(without_case(folder));
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
            let known = self.known.get(&without_case(&child));
            if known.is_some_and(|known| *known != child) {
                child = join(&path, &hashed(segment));
            }
            self.known
                .entry(without_case(&child))
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
    match segment.len() <= LONGEST_NAME && segment.chars().all(has_one_form) {
        true => segment.to_owned(),
        false => hashed(segment),
    }
}

/// A name as file systems without case compare it: `Straße` is `STRASSE`.
fn without_case(name: &str) -> String {
    name.to_uppercase().to_lowercase()
}

/// Whether a character is its own composed form (NFC) whatever stands beside it: ASCII and the
/// letters of Latin, Cyrillic, Kana, Han and Hangul scripts, without marks that combine.
fn has_one_form(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{7f}'
            | '\u{c0}'..='\u{24f}'
            | '\u{400}'..='\u{481}'
            | '\u{3041}'..='\u{3096}'
            | '\u{30a1}'..='\u{30fa}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7a3}'
    )
}

/// As much of a name as there is room for, and a hash of all of it.
fn hashed(segment: &str) -> String {
    let hash = Sha256::digest(segment.as_bytes());
    let hash = hexadecimal(&hash);
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
        let partitioning = Partitioning::new(&batch.schema(), &columns, false).unwrap();
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
            let error = Partitioning::new(&schema, columns, false).unwrap_err();
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
        let called = |name: &str| PartitionColumn {
            name: name.to_owned(),
            ..column("at", PartitionBy::Day)
        };
        check(&[called("")], "the name is empty");
        check(&[called("PRICE")], "a column has this name");
        check(&[called("a"), called("A")], "others are called so");
        check(&[called(&"x".repeat(101))], "the name is too long");
        check(&[called(&"/".repeat(34))], "the name is too long");
    }

    #[test]
    fn no_folder_is_hidden() {
        #[track_caller]
        fn check(name: &str, expect: &str) {
            assert_eq!(encode_name(name), expect);
        }
        check("_type_value", "%5Ftype_value");
        check(".kind", "%2Ekind");
        check("a_type.b", "a_type.b");
        check("__", "%5F_");
        check(&format!("{NO_VALUE}_"), &format!("%5F{}_", &NO_VALUE[1..]));
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
        // Not all file systems tell these apart.
        for (one, two) in [
            ("Straße", "STRASSE"),
            ("\u{e9}", "e\u{301}"),
            ("Zürich", "ZÜRICH"),
            ("\u{c5}", "\u{212b}"),
            ("й", "и\u{306}"),
            ("한", "\u{1112}\u{1161}\u{11ab}"),
            ("Σ", "ς"),
        ] {
            let (one, two) = (format!("a={one}"), format!("a={two}"));
            let mut folders = Folders::default();
            let names = [folders.name(&one), folders.name(&two)];
            assert!(names.iter().any(|name| name.contains('~')), "{names:?}");
            assert_ne!(without_case(&names[0]), without_case(&names[1]));
            // The next load finds them.
            let files = names.clone().map(|name| format!("{name}/x"));
            let mut next = Folders::new(files.iter().map(String::as_str));
            assert_eq!([next.name(&one), next.name(&two)], names);
        }
        for plain in ["a=Zürich", "a=東京", "a=Москва", "a=서울"] {
            assert_eq!(Folders::default().name(plain), plain);
        }
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
