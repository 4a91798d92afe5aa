//! The shape of the data files, as it is written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{FromNode, Given, Key, OneOrMany, Reporter};
use super::{Text, Whole};
use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::words::{list, nearest, quote};
use crate::yaml::{Name, Node, Value};

/// The codecs that the runtime is built with.
const CODECS: [&str; 3] = ["zstd", "snappy", "none"];
/// Codecs that Parquet has beside them.
const OTHER_CODECS: [&str; 6] = ["gzip", "lz4", "lz4_raw", "brotli", "lzo", "deflate"];
/// Units of bytes.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

mapping! {
    /// The shape of the data files. It applies to what a run writes: files of earlier runs, and row
    /// groups that a merge copies, stay as they are. Changing it needs no
    /// `--full-refresh`, but for
    /// `partition_by` and `flatten`.
    LayoutSpec, "layout";
    /// How pages are compressed: `zstd`, `zstd(9)` or `{type: zstd, level: 9}`, `snappy`, `none`.
    compression: CodecSpec = "compression" | "compression_codec", default "zstd(1)";
    /// The length at which a new file begins, in bytes or with a unit: `128 MiB` (2²⁰ bytes), `1GB`
    /// (10⁹ bytes). 1 MiB to 1 TiB. Pages that are not full yet count as long as they are before
    /// they are compressed: small files of many columns become shorter. Files in a bucket end at
    /// 1 GiB at the latest: what is longer, stores do not copy by one request.
    file_bytes: Size<{ 1 << 20 }, { 1 << 40 }> = "file_bytes" | "file_max_bytes",
        default "256 MiB";
    /// The memory at which a row group is closed, in bytes or with a unit. Row groups of less than
    /// 50,000 rows may take twice as much. 1 MiB to 1 GiB: each resource that is being written has
    /// one row group in memory, a merge two.
    row_group_bytes: Size<{ 1 << 20 }, { 1 << 30 }> = "row_group_bytes", default "16 MiB";
    /// The most rows of a row group, 100 to 100,000,000.
    row_group_rows: Whole<100, 100_000_000> = "row_group_rows" | "row_group_size", default 1_000_000;
    /// The fields by which the rows of a load are sorted, the first one first: `created_at`, or
    /// `{field: id, order: descending, nulls: first}`. Rows with equal values keep the order in which
    /// they came. Every file is sorted by itself, and says so (`sorting_columns`): queries that filter
    /// by these fields read a small part of it. A row that an update gives another place is written
    /// anew. Files of earlier runs keep their order.
    sort_by: OneOrMany<SortSpec> = "sort_by" | "sort" | "order_by";
    /// The fields by which the files lie in folders, as Hive names them: `region`, or
    /// `{field: created_at, by: day}` with `year`, `month`, `day` or `hour`, in UTC. The folders are
    /// called `region_value=eu/created_at_day=2026-01-31/`; the fields stay in the files, so that
    /// readers have them with their types whether or not they look at folders. Other partitions for
    /// a dataset that exists need `--full-refresh`.
    partition_by: OneOrMany<PartitionSpec> = "partition_by" | "partition_cols" | "partition_columns";
    /// Whether the members of objects are columns of their own in the files, `owner__name` for
    /// `owner.name`: `true`, a list of fields, or `{separator: "__", depth: 1, fields: [owner]}`. The
    /// members of an object that is null are null; arrays stay as they are. Records, as programs, filters
    /// and contracts see them, keep their objects. Another `flatten` for a dataset that exists needs
    /// `--full-refresh`.
    flatten: FlattenColumnsSpec = "flatten", default false;
    later {
        "block_size_mb" => "write `row_group_bytes: 128 MiB`",
        "page_size_kb" => "remove it: pages are sized by what they hold",
        "dictionary_page_size_kb" => "remove it: encodings are chosen by what columns hold",
        "dictionary_encoding" => "remove it: encodings are chosen by what columns hold",
    }
}

mapping! {
    /// How the members of objects become columns.
    FlattenMapping, "flatten";
    /// What stands between the names: 1 to 8 letters, digits, `_`, `.` and `-`.
    separator: Text = "separator" | "delimiter", default "__";
    /// How many levels of objects are lifted, 1 to 100; all of them by default.
    depth: Whole<1, 100> = "depth" | "levels";
    /// The fields of the record that are lifted; all of them by default.
    fields: OneOrMany<Text> = "fields";
    later {}
}

/// Whether and how the members of objects become columns.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few, and they live shortly"
)]
pub(crate) enum FlattenColumnsSpec {
    Switch(bool),
    Fields(Vec<Text>),
    Mapping(FlattenMapping),
}

impl FromNode for FlattenColumnsSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        match &node.value {
            Value::Boolean(switch) => Some(Self::Switch(*switch)),
            Value::Sequence(_) => Vec::from_node(node, reporter).map(Self::Fields),
            Value::Mapping(_) => FlattenMapping::from_node(node, reporter).map(Self::Mapping),
            _ => {
                reporter.wrong_type(node, "`true`, a list of fields or a mapping");
                None
            }
        }
    }
}

impl JsonSchema for FlattenColumnsSpec {
    fn schema_name() -> Cow<'static, str> {
        "FlattenColumns".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mapping = FlattenMapping::schema(generator, None);
        json_schema!({ "anyOf": [
            { "type": "boolean" },
            { "type": "array", "items": { "type": "string" } },
            mapping,
        ] })
    }
}

mapping! {
    /// A field by which rows are sorted.
    SortMapping, "sort_by";
    /// The field: a string, a number, a boolean, a date or a timestamp.
    field: Text = "field" | "column" | "name" => required;
    /// Whether the lowest value comes first (`ascending`) or the highest (`descending`).
    order: OrderSpec = "order" | "direction", default "ascending";
    /// Where rows without a value come, whatever the order: `first` or `last`.
    nulls: NullsSpec = "nulls" | "null_order", default "last";
    later {}
}

mapping! {
    /// A field whose values name folders.
    PartitionMapping, "partition_by";
    /// The field: a string, an integer, a decimal, a boolean or a date; with a part, a timestamp.
    field: Text = "field" | "column" => required;
    /// What of its values: all of it (`value`), or the `year`, `month`, `day` or `hour`, in UTC.
    by: PartSpec = "by" | "transform" | "granularity", default "value";
    /// What the folders are called in front of the `=`; by default the field with the part behind it,
    /// as in `created_at_day` and `region_value`. No field may have this name.
    name: Text = "as" | "name";
    later {}
}

choice! {
    /// Which value comes first.
    OrderSpec, "order";
    Ascending = "ascending" | "asc";
    Descending = "descending" | "desc";
    => later {}
}

choice! {
    /// Where rows without a value come.
    NullsSpec, "order of nulls";
    First = "first" | "nulls_first";
    Last = "last" | "nulls_last";
    => later {}
}

choice! {
    /// What of a value names a folder.
    PartSpec, "part";
    Value = "value" | "identity";
    Year = "year" | "years";
    Month = "month" | "months";
    Day = "day" | "days" | "date";
    Hour = "hour" | "hours";
    => later {
        "bucket" => "sort by the field instead",
        "truncate" => "sort by the field instead",
        "week" => "write `day`",
        "quarter" => "write `month`",
        "minute" => "write `hour`",
    }
}

/// A field by which rows are sorted; its name alone is short for a mapping.
#[derive(Clone, Debug)]
pub(crate) struct SortSpec(pub SortMapping);

/// A field whose values name folders; its name alone is short for a mapping.
#[derive(Clone, Debug)]
pub(crate) struct PartitionSpec(pub PartitionMapping);

/// What a text alone says.
fn field_alone(node: &Node, reporter: &mut Reporter<'_>) -> Option<Key<Text>> {
    Some(Key::Given(Given {
        key: Name {
            text: "field".to_owned(),
            span: node.span,
        },
        span: node.span,
        value: Text::from_node(node, reporter)?,
    }))
}

impl FromNode for SortSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        if !matches!(node.value, Value::String(_)) {
            return SortMapping::from_node(node, reporter).map(Self);
        }
        let mut mapping = SortMapping::empty(node.blame);
        mapping.field = field_alone(node, reporter)?;
        Some(Self(mapping))
    }
}

impl FromNode for PartitionSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        if !matches!(node.value, Value::String(_)) {
            return PartitionMapping::from_node(node, reporter).map(Self);
        }
        let mut mapping = PartitionMapping::empty(node.blame);
        mapping.field = field_alone(node, reporter)?;
        Some(Self(mapping))
    }
}

impl JsonSchema for SortSpec {
    fn schema_name() -> Cow<'static, str> {
        "SortBy".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mapping = SortMapping::schema(generator, None);
        json_schema!({ "anyOf": [{ "type": "string" }, mapping] })
    }
}

impl JsonSchema for PartitionSpec {
    fn schema_name() -> Cow<'static, str> {
        "PartitionBy".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mapping = PartitionMapping::schema(generator, None);
        json_schema!({ "anyOf": [{ "type": "string" }, mapping] })
    }
}

mapping! {
    /// A codec with its level.
    CodecMapping, "compression";
    /// The codec: `zstd`, `snappy` or `none`.
    codec: Text = "type", default "zstd";
    /// For `zstd`, the level, 1 to 22. Higher ones take more time, and more memory for each column.
    level: Whole<1, 22> = "level" | "compression_level", default 1;
    later {}
}

/// How pages are compressed; a word is short for a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodecSpec {
    Zstd(i32),
    Snappy,
    None,
}

impl FromNode for CodecSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        match &node.value {
            Value::String(text) => from_text(text, node.span, reporter),
            Value::Mapping(_) => {
                let mapping = CodecMapping::from_node(node, reporter)?;
                let codec = match mapping.codec.given() {
                    Some(given) => from_word(&given.value.value, given.span, reporter)?,
                    None if mapping.codec.is_unset() => Self::Zstd(1),
                    None => return None,
                };
                match (codec, mapping.level.given()) {
                    (Self::Zstd(_), Some(level)) => {
                        i32::try_from(level.value.0).ok().map(Self::Zstd)
                    }
                    (Self::Snappy | Self::None, Some(level)) => {
                        no_level(level.key.span, reporter);
                        None
                    }
                    (codec, None) => Some(codec),
                }
            }
            _ => {
                reporter.wrong_type(node, &list(&CODECS, "or"));
                None
            }
        }
    }
}

/// A word, with its level in brackets or, as other tools have it, behind a colon.
fn from_text(text: &str, span: Span, reporter: &mut Reporter<'_>) -> Option<CodecSpec> {
    let parts = match text.trim().strip_suffix(')') {
        Some(text) => text.split_once('('),
        None => text.split_once(':'),
    };
    let (word, level) = match parts {
        Some((word, level)) => (word.trim(), Some(level.trim())),
        None => (text.trim(), None),
    };
    let codec = from_word(word, span, reporter)?;
    let Some(level) = level else {
        return Some(codec);
    };
    if !matches!(codec, CodecSpec::Zstd(_)) {
        no_level(span, reporter);
        return None;
    }
    let parsed = level.parse().ok().filter(|level| (1..=22).contains(level));
    if parsed.is_none() {
        reporter.report(
            Diagnostic::error(
                code::INVALID_VALUE,
                format!("{} is not a level of `zstd`", quote(level)),
            )
            .label(span, "expected an integer from 1 to 22 in the brackets")
            .help("write `zstd(3)`"),
        );
    }
    parsed.map(CodecSpec::Zstd)
}

fn from_word(word: &str, span: Span, reporter: &mut Reporter<'_>) -> Option<CodecSpec> {
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "zstd" => return Some(CodecSpec::Zstd(1)),
        "snappy" => return Some(CodecSpec::Snappy),
        "none" | "uncompressed" => return Some(CodecSpec::None),
        _ => {}
    }
    let built_in = list(&CODECS, "or");
    if OTHER_CODECS.contains(&lower.as_str()) {
        reporter.report(
            Diagnostic::error(
                code::NOT_SUPPORTED,
                format!("the codec {} is not built in", quote(word)),
            )
            .label(span, format!("expected {built_in}"))
            .help("write `zstd`, or leave it out"),
        );
        return None;
    }
    let near = nearest(&lower, CODECS);
    reporter.report(
        Diagnostic::error(
            code::UNKNOWN_VALUE,
            format!("unknown compression {}", quote(word)),
        )
        .label(span, format!("expected {built_in}"))
        .help_if(near.map(|near| format!("did you mean {}?", quote(near)))),
    );
    None
}

fn no_level(span: Span, reporter: &mut Reporter<'_>) {
    reporter.report(
        Diagnostic::error(code::CONFLICT, "only `zstd` has levels")
            .label(span, "has no meaning here")
            .help("remove the level, or choose `zstd`"),
    );
}

impl JsonSchema for CodecSpec {
    fn schema_name() -> Cow<'static, str> {
        "Codec".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mapping = CodecMapping::schema(generator, None);
        json_schema!({ "anyOf": [
            { "type": "string", "examples": ["zstd", "zstd(9)", "snappy", "none"] },
            mapping,
        ] })
    }
}

/// A number of bytes of at least `MINIMUM` and at most `MAXIMUM`; text has a unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size<const MINIMUM: u64, const MAXIMUM: u64>(pub u64);

impl<const MINIMUM: u64, const MAXIMUM: u64> FromNode for Size<MINIMUM, MAXIMUM> {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        let bytes = match &node.value {
            Value::Integer(value) => u128::try_from(*value).unwrap_or(0),
            Value::String(text) => match bytes(text) {
                Ok(bytes) => bytes,
                Err(unit) => {
                    not_a_size(text, unit, node.span, reporter);
                    return None;
                }
            },
            _ => {
                reporter.wrong_type(node, "a number of bytes, or a size such as `128 MiB`");
                return None;
            }
        };
        let size = u64::try_from(bytes).unwrap_or(u64::MAX);
        if (MINIMUM..=MAXIMUM).contains(&size) {
            return Some(Self(size));
        }
        let (minimum, maximum) = (in_words(MINIMUM), in_words(MAXIMUM));
        reporter.report(
            Diagnostic::error(
                code::INVALID_VALUE,
                format!("{} is out of range", quote(node.span.of(reporter.text))),
            )
            .label(
                node.span,
                format!("expected a size from {minimum} to {maximum}"),
            ),
        );
        None
    }
}

/// The bytes of a size with a unit, a part of a byte dropped; the unit when it is none, `None` when
/// not even the number is one.
fn bytes(text: &str) -> Result<u128, Option<&str>> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '_'));
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = unit.trim();
    let number = number.replace('_', "");
    let (whole, part) = number.split_once('.').unwrap_or((&number, "0"));
    // More digits than any size has would overflow.
    let digits = |text: &str| -> Option<u128> { text.parse().ok().filter(|_| text.len() <= 18) };
    let (Some(whole), Some(part_value)) = (digits(whole), digits(part)) else {
        return Err(None);
    };
    let factor = match UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
    {
        Some((_, factor)) => u128::from(*factor),
        None if unit.is_empty() => 1,
        None => return Err(Some(unit)),
    };
    let parts = 10_u128.pow(u32::try_from(part.len()).unwrap_or(18));
    Ok(whole * factor + part_value * factor / parts)
}

fn not_a_size(text: &str, unit: Option<&str>, span: Span, reporter: &mut Reporter<'_>) {
    let units: Vec<&str> = UNITS.iter().map(|(name, _)| *name).collect();
    let (message, help) = match unit {
        None => (format!("{} is not a size", quote(text)), None),
        Some(unit) => {
            let letter = unit.to_ascii_uppercase();
            let help = match letter.as_str() {
                "K" | "M" | "G" | "T" => {
                    let power = match letter.as_str() {
                        "K" => 1,
                        "M" => 2,
                        "G" => 3,
                        _ => 4,
                    };
                    let decimal = if letter == "K" { "k" } else { &letter };
                    Some(format!(
                        "write `{decimal}B` (1000^{power} bytes) or `{letter}iB` (1024^{power} bytes)"
                    ))
                }
                _ => nearest(unit, units.iter().copied())
                    .map(|near| format!("did you mean {}?", quote(near))),
            };
            (format!("unknown unit {}", quote(unit)), help)
        }
    };
    reporter.report(
        Diagnostic::error(code::INVALID_VALUE, message)
            .label(
                span,
                format!(
                    "expected a number of bytes, or a number and {}",
                    list(&units, "or")
                ),
            )
            .help_if(help),
    );
}

/// A size in the largest binary unit that leaves a whole number.
fn in_words(bytes: u64) -> String {
    let unit = UNITS.iter().rev().find(|(name, factor)| {
        name.ends_with("iB") && bytes.is_multiple_of(*factor) && bytes >= *factor
    });
    match unit {
        Some((name, factor)) => format!("{} {name}", bytes / factor),
        None => format!("{bytes} bytes"),
    }
}

impl<const MINIMUM: u64, const MAXIMUM: u64> JsonSchema for Size<MINIMUM, MAXIMUM> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Size{MINIMUM}To{MAXIMUM}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": MINIMUM, "maximum": MAXIMUM },
            { "type": "string", "examples": ["128 MiB", "1GB"] },
        ] })
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, in_words};

    #[track_caller]
    fn check(text: &str, expect: Result<u128, Option<&str>>) {
        assert_eq!(bytes(text), expect, "{text}");
    }

    #[test]
    fn sizes_have_units() {
        check("128 MiB", Ok(128 << 20));
        check("128MiB", Ok(128 << 20));
        check(" 1 gib ", Ok(1 << 30));
        check("1GB", Ok(1_000_000_000));
        check("2 kB", Ok(2_000));
        check("2 KB", Ok(2_000));
        check("7", Ok(7));
        check("7 B", Ok(7));
        check("1_000_000", Ok(1_000_000));
        check("1.5 KiB", Ok(1536));
        check("0.25 MB", Ok(250_000));
        check("1.0001 KiB", Ok(1024));
        check("999999999999999999 TiB", Ok(999_999_999_999_999_999 << 40));
    }

    #[test]
    fn what_is_no_size_is_told_from_what_has_no_unit() {
        check("", Err(None));
        check("MiB", Err(None));
        check("-1 MiB", Err(None));
        check("1.2.3 MiB", Err(None));
        check("1. MiB", Err(None));
        check("9999999999999999999 B", Err(None));
        check("128 M", Err(Some("M")));
        check("128 MiBs", Err(Some("MiBs")));
        check("1e9", Err(Some("e9")));
    }

    #[test]
    fn limits_are_told_in_units() {
        assert_eq!(in_words(64 << 10), "64 KiB");
        assert_eq!(in_words(1 << 50), "1024 TiB");
        assert_eq!(in_words(1000), "1000 bytes");
    }
}
