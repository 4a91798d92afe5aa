//! The shape of the data files.

use connector_plan::{
    Compression, Field, FieldType, FlatColumn, FlattenColumns, Layout, Nulls, PartitionBy,
    PartitionColumn, SortColumn, SortOrder,
};

use super::Lowering;
use super::merge::is_declared;
use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::spec::{
    CodecSpec, Key, LayoutSpec, NullsSpec, OrderSpec, PartSpec, ResourceMapping, Text,
};
use crate::words::quote;

/// The most columns that name folders.
const MOST_PARTITIONS: usize = 8;
/// The longest name of folders in bytes, when it is percent-encoded.
const LONGEST_NAME: usize = 64;

impl Lowering<'_, '_> {
    /// The layout of a resource: what is written, and defaults.
    pub(super) fn layout(&mut self, resource: &ResourceMapping, fields: &[Field]) -> Layout {
        let defaults = Layout::default();
        let Some(spec) = resource.layout.get() else {
            return defaults;
        };
        let compression = spec.compression.get().map(|codec| match codec {
            CodecSpec::Zstd(level) => Compression::Zstd { level: *level },
            CodecSpec::Snappy => Compression::Snappy,
            CodecSpec::None => Compression::None,
        });
        let flatten = self.flatten_columns(spec, resource, fields);
        let columns = match &flatten {
            Some(flatten) => self.flat_columns(flatten, resource, fields),
            None => {
                let none = FlattenColumns {
                    depth: 0,
                    ..FlattenColumns::default()
                };
                none.columns(fields)
            }
        };
        Layout {
            compression: compression.unwrap_or(defaults.compression),
            file_bytes: spec
                .file_bytes
                .get()
                .map_or(defaults.file_bytes, |size| size.0),
            row_group_bytes: spec
                .row_group_bytes
                .get()
                .map_or(defaults.row_group_bytes, |size| size.0),
            row_group_rows: spec
                .row_group_rows
                .get()
                .map_or(defaults.row_group_rows, |rows| rows.0),
            sort_by: self.sort_by(spec, resource, &columns),
            partition_by: self.partition_by(spec, resource, &columns),
            flatten,
        }
    }

    fn sort_by(
        &mut self,
        spec: &LayoutSpec,
        resource: &ResourceMapping,
        fields: &[FlatColumn],
    ) -> Vec<SortColumn> {
        let mut columns: Vec<SortColumn> = Vec::new();
        let Some(given) = spec.sort_by.given() else {
            return columns;
        };
        if given.value.0.is_empty() {
            self.invalid("`sort_by` needs a field", given.span, "none here");
        }
        for entry in &given.value.0 {
            let Some(text) = self.field_of(&entry.0.field, entry.0.blame) else {
                continue;
            };
            let field = self.known_field("`sort_by` field", text, resource, fields);
            let column = field.map_or(&text.value, |field| &field.name);
            if columns.iter().any(|other| other.column == *column) {
                self.invalid(
                    format!("{} is twice in `sort_by`", quote(&text.value)),
                    text.span,
                    "the second time",
                );
                continue;
            }
            if let Some(field) = field
                && matches!(
                    field.field_type,
                    FieldType::Object(_) | FieldType::List(_) | FieldType::Json
                )
            {
                self.report(
                    Diagnostic::error(
                        code::INVALID_VALUE,
                        format!("the values of {} have no order", quote(&text.value)),
                    )
                    .label(text.span, "its type is an object, an array or JSON")
                    .help("sort by scalar fields"),
                );
            }
            columns.push(SortColumn {
                column: column.clone(),
                order: match entry.0.order.get() {
                    Some(OrderSpec::Descending) => SortOrder::Desc,
                    Some(OrderSpec::Ascending) | None => SortOrder::Asc,
                },
                nulls: match entry.0.nulls.get() {
                    Some(NullsSpec::First) => Nulls::First,
                    Some(NullsSpec::Last) | None => Nulls::Last,
                },
            });
        }
        columns
    }

    fn partition_by(
        &mut self,
        spec: &LayoutSpec,
        resource: &ResourceMapping,
        fields: &[FlatColumn],
    ) -> Vec<PartitionColumn> {
        let mut columns: Vec<PartitionColumn> = Vec::new();
        let Some(given) = spec.partition_by.given() else {
            return columns;
        };
        if given.value.0.is_empty() {
            self.invalid("`partition_by` needs a field", given.span, "none here");
        }
        if given.value.0.len() > MOST_PARTITIONS {
            self.invalid(
                format!("`partition_by` has more than {MOST_PARTITIONS} fields"),
                given.span,
                "each combination of values is a folder of its own",
            );
        }
        for entry in &given.value.0 {
            let Some(text) = self.field_of(&entry.0.field, entry.0.blame) else {
                continue;
            };
            if !entry.0.by.is_unset() && entry.0.by.get().is_none() {
                continue;
            }
            let by = match entry.0.by.get() {
                Some(PartSpec::Value) | None => PartitionBy::Value,
                Some(PartSpec::Year) => PartitionBy::Year,
                Some(PartSpec::Month) => PartitionBy::Month,
                Some(PartSpec::Day) => PartitionBy::Day,
                Some(PartSpec::Hour) => PartitionBy::Hour,
            };
            let field = self.known_field("`partition_by` field", text, resource, fields);
            if let Some(field) = field {
                self.check_partition(text, field, by);
            }
            let name = field.map_or(&text.value, |field| &field.name);
            let mut column = PartitionColumn::new(name, by);
            let mut span = text.span;
            if let Some(name) = entry.0.name.get() {
                column.name.clone_from(&name.value);
                span = name.span;
            }
            // Many readers do not tell names apart by their case.
            let is_same = |other: &str| other.eq_ignore_ascii_case(&column.name);
            let clash = fields.iter().any(|other| is_same(&other.field.name));
            let is_double = columns.iter().any(|other| is_same(&other.name));
            let length = encoded_length(&column.name);
            if clash || is_double || length == 0 || length > LONGEST_NAME {
                let label = if clash {
                    "a field has this name"
                } else if is_double {
                    "others are called so already"
                } else {
                    "expected a name of 1 to 64 bytes when it is percent-encoded"
                };
                self.report(
                    Diagnostic::error(
                        code::INVALID_NAME,
                        format!(
                            "folders cannot be called {}",
                            quote(&format!("{}=…", column.name))
                        ),
                    )
                    .label(span, label)
                    .note("readers that look at folders would have two columns of one name")
                    .help("name them: `{field: …, as: …}`"),
                );
            }
            columns.push(column);
        }
        columns
    }

    fn check_partition(&mut self, text: &Text, field: &Field, by: PartitionBy) {
        let (label, help) = match (&field.field_type, by) {
            (FieldType::Timestamp { .. }, PartitionBy::Value) => (
                "every instant would be a folder of its own".to_owned(),
                format!("write `{{field: {}, by: day}}`", text.value),
            ),
            (FieldType::Number, PartitionBy::Value) => (
                "its type is `number`, whose values have no exact text".to_owned(),
                "partition by another field, or declare it as `integer` or `decimal`".to_owned(),
            ),
            (FieldType::Object(_) | FieldType::List(_) | FieldType::Json, _) => (
                "its type is an object, an array or JSON".to_owned(),
                "partition by scalar fields".to_owned(),
            ),
            (_, PartitionBy::Value)
            | (FieldType::Timestamp { .. }, _)
            | (FieldType::Date, PartitionBy::Year | PartitionBy::Month | PartitionBy::Day) => {
                return;
            }
            (FieldType::Date, _) => (
                "a date has no hour".to_owned(),
                "write `by: day`".to_owned(),
            ),
            (_, by) => (
                format!("its type has no {}", by.as_str()),
                "declare it as `timestamp` or `date`, or remove `by`".to_owned(),
            ),
        };
        self.report(
            Diagnostic::error(
                code::INVALID_VALUE,
                format!("{} cannot name folders", quote(&text.value)),
            )
            .label(text.span, label)
            .help(help),
        );
    }

    fn field_of<'s>(&mut self, field: &'s Key<Text>, blame: Span) -> Option<&'s Text> {
        if field.is_unset() {
            self.missing("field", "an entry", blame, "write `field: created_at`");
        }
        field.get()
    }

    /// The column of this name, or of the member of an object that it is lifted from; reported when
    /// there is none. Resources without a schema may have it.
    fn known_field<'f>(
        &mut self,
        word: &str,
        text: &Text,
        resource: &ResourceMapping,
        fields: &'f [FlatColumn],
    ) -> Option<&'f Field> {
        let is_meant = |column: &&FlatColumn| {
            column.field.name == text.value || column.path.join(".") == text.value
        };
        let found = fields.iter().find(is_meant);
        let is_within = |column: &FlatColumn| {
            let path = column.path.iter();
            path.scan(String::new(), |path, name| {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
                Some(*path == text.value)
            })
            .any(|is_meant| is_meant)
        };
        let members: Vec<String> = fields
            .iter()
            .filter(|column| is_within(column))
            .map(|column| quote(&column.field.name))
            .collect();
        if found.is_none() && !members.is_empty() {
            self.report(
                Diagnostic::error(
                    code::UNKNOWN_FIELD,
                    format!("the {word} {} is not a column", quote(&text.value)),
                )
                .label(text.span, "`flatten` makes columns of its members")
                .help(format!("name one of them: {}", members.join(", "))),
            );
            return None;
        }
        if found.is_none() && !fields.is_empty() && !is_declared(resource, &text.value) {
            let columns: Vec<Field> = fields.iter().map(|column| column.field.clone()).collect();
            self.unknown_key(word, text, &columns, resource);
        }
        found.map(|column| &column.field)
    }
}

/// The bytes that a name takes in a folder's: as the dataset encodes it.
fn encoded_length(name: &str) -> usize {
    let of = |c: char| match c {
        '-' | '_' | '.' => 1,
        c if c.is_ascii_alphanumeric() => 1,
        c if c.is_ascii() || c.is_control() => 3 * c.len_utf8(),
        c => c.len_utf8(),
    };
    name.chars().map(of).sum()
}
