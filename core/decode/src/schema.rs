//! The field table as an Arrow schema.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, Fields, Schema, SchemaRef, TimeUnit};
use connector_plan::{Field, FieldType, RESCUED_COLUMN};

/// The fields of a record and the Arrow schema of its columns.
#[derive(Clone, Debug)]
pub struct RecordSchema {
    fields: Vec<Field>,
    arrow: SchemaRef,
    raw: bool,
    evolves: bool,
}

/// The column of records that have no schema: the JSON text of each. Beside a schema that may grow:
/// the text of those that have something for it, null for the others.
pub const RAW_COLUMN: &str = "_record";

impl RecordSchema {
    /// The schema of records with these fields.
    #[must_use]
    pub fn new(fields: &[Field]) -> Self {
        let mut columns: Vec<ArrowField> = fields.iter().map(arrow_field).collect();
        columns.push(ArrowField::new(RESCUED_COLUMN, DataType::Utf8, true));
        Self {
            fields: fields.to_vec(),
            arrow: Arc::new(Schema::new(columns)),
            raw: false,
            evolves: false,
        }
    }

    /// The schema of records with these fields, which may get more: behind the other columns,
    /// [`RAW_COLUMN`] has the records with something that the contract lets become columns.
    #[must_use]
    pub fn evolving(fields: &[Field]) -> Self {
        let plain = Self::new(fields);
        let mut columns = plain.arrow.fields().to_vec();
        columns.push(Arc::new(ArrowField::new(RAW_COLUMN, DataType::Utf8, true)));
        Self {
            arrow: Arc::new(Schema::new(columns)),
            evolves: true,
            ..plain
        }
    }

    /// The schema of records that are kept as they are: [`RAW_COLUMN`] alone.
    #[must_use]
    pub fn raw() -> Self {
        let field = Field {
            name: RAW_COLUMN.to_owned(),
            field_type: FieldType::Json,
            nullable: false,
            description: String::new(),
        };
        Self {
            raw: true,
            ..Self::new(&[field])
        }
    }

    /// Whether records are kept as they are.
    pub(crate) fn is_raw(&self) -> bool {
        self.raw
    }

    /// Whether records that may give new columns are kept as they are, too.
    pub(crate) fn evolves(&self) -> bool {
        self.evolves
    }

    /// The columns: the fields in their order, then `_rescued`.
    #[must_use]
    pub fn arrow(&self) -> SchemaRef {
        Arc::clone(&self.arrow)
    }

    /// The fields.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
}

/// The name that Arrow's own readers give to the items of a list.
const ITEM: &str = "item";

pub(crate) fn arrow_fields(fields: &[Field]) -> Fields {
    fields.iter().map(arrow_field).collect()
}

/// The items of a list are always nullable: one that does not fit leaves a null behind.
pub(crate) fn arrow_item(item: &FieldType) -> Arc<ArrowField> {
    Arc::new(ArrowField::new(ITEM, arrow_type(item), true))
}

fn arrow_field(field: &Field) -> ArrowField {
    ArrowField::new(&field.name, arrow_type(&field.field_type), field.nullable)
}

fn arrow_type(field_type: &FieldType) -> DataType {
    match field_type {
        FieldType::Boolean => DataType::Boolean,
        FieldType::Integer => DataType::Int64,
        FieldType::Number => DataType::Float64,
        FieldType::String | FieldType::Json => DataType::Utf8,
        FieldType::Timestamp { .. } => {
            DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
        }
        FieldType::Date => DataType::Date32,
        FieldType::Decimal { precision, scale } => {
            // A scale beyond 38 is refused by `Decoder::new`; here it must only not wrap.
            DataType::Decimal128(*precision, i8::try_from(*scale).unwrap_or(i8::MAX))
        }
        FieldType::Object(fields) => DataType::Struct(arrow_fields(fields)),
        FieldType::List(item) => DataType::List(arrow_item(item)),
    }
}

/// What a field expects, for messages.
pub(crate) fn type_name(field_type: &FieldType) -> &'static str {
    match field_type {
        FieldType::Boolean => "a boolean",
        FieldType::Integer => "an integer of 64 bits",
        FieldType::Number => "a number",
        FieldType::String => "a string",
        FieldType::Timestamp { .. } => "a timestamp",
        FieldType::Date => "a date like `2026-01-31`",
        FieldType::Decimal { .. } => "a decimal number",
        FieldType::Json => "any value",
        FieldType::Object(_) => "an object",
        FieldType::List(_) => "an array",
    }
}
