//! Values of a column that has become wider, told in its new type.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, ListArray, StringArray, StructArray, UInt32Array,
    new_empty_array, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options, concat, take};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type};

use crate::Error;

/// Every integer up to this one, and its negative, is equalled by a double.
pub(crate) const EXACT_INTEGERS: u64 = 1 << 53;

/// How the values of a column become those of a wider one; all of them are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Integers become doubles that equal them.
    ToNumber,
    /// Dates and integers become texts.
    ToText,
    /// Integers and decimals become decimals of as many digits before and behind the point.
    ToDecimal,
    /// Booleans, numbers, dates and texts become JSON texts.
    ToJson,
    /// JSON texts of values that say nothing of their type, null, `{}`, `[]`, become such values
    /// of any type.
    FromNothing,
}

impl Conversion {
    /// Whether a row that is the same has another hash afterwards, as a history compares them.
    pub(crate) fn changes_hashes(self) -> bool {
        matches!(self, Self::ToText | Self::ToJson)
    }

    /// # Errors
    /// When a value has no counterpart in the new type.
    pub(crate) fn apply(
        self,
        column: &ArrayRef,
        to: &DataType,
        path: &str,
    ) -> Result<ArrayRef, Error> {
        if column.null_count() == column.len() {
            return Ok(new_null_array(to, column.len()));
        }
        let converted: Option<ArrayRef> = match self {
            Self::ToNumber => numbers(column),
            Self::ToText => texts(column, false),
            Self::ToJson => texts(column, true),
            Self::ToDecimal => decimals(column, to),
            Self::FromNothing => return from_nothing(column, to, path),
        };
        converted
            .filter(|array| array.data_type() == to)
            .ok_or_else(|| refused(path))
    }
}

fn numbers(column: &ArrayRef) -> Option<ArrayRef> {
    let integers = column.as_primitive_opt::<Int64Type>()?;
    let doubles: Option<Vec<Option<f64>>> = integers
        .iter()
        .map(|value| match value {
            None => Some(None),
            Some(value) => {
                let double = value as f64;
                // Beyond 2^63 the way back saturates.
                let same = double as i128 == i128::from(value);
                same.then_some(Some(double))
            }
        })
        .collect();
    Some(Arc::new(Float64Array::from(doubles?)))
}

fn decimals(column: &ArrayRef, to: &DataType) -> Option<ArrayRef> {
    // One that does not fit would be an error, and none is rounded: the scale only grows.
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, to, &options).ok()
}

fn texts(column: &ArrayRef, as_json: bool) -> Option<ArrayRef> {
    let text = |row: usize| -> Option<String> {
        Some(match column.data_type() {
            DataType::Boolean => column.as_boolean().value(row).to_string(),
            DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
            DataType::Float64 => {
                let value = column.as_primitive::<Float64Type>().value(row);
                serde_json::Number::from_f64(value)?.to_string()
            }
            DataType::Utf8 => {
                let value = column.as_string::<i32>().value(row);
                serde_json::Value::from(value).to_string()
            }
            DataType::Date32 => {
                let date = column.as_primitive::<Date32Type>().value_as_date(row)?;
                let date = date.format("%Y-%m-%d");
                if as_json {
                    format!("\"{date}\"")
                } else {
                    date.to_string()
                }
            }
            _ => return None,
        })
    };
    let mut values = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        values.push(if column.is_null(row) {
            None
        } else {
            Some(text(row)?)
        });
    }
    Some(Arc::new(StringArray::from(values)))
}

fn from_nothing(column: &ArrayRef, to: &DataType, path: &str) -> Result<ArrayRef, Error> {
    let texts = column.as_string_opt::<i32>().ok_or_else(|| refused(path))?;
    // Every value is one of two: null, and the empty one of the type.
    let empty: ArrayRef = match to {
        DataType::Struct(fields) => {
            let nulls = fields
                .iter()
                .map(|field| new_null_array(field.data_type(), 1));
            let array = StructArray::try_new(fields.clone(), nulls.collect(), None);
            Arc::new(array.map_err(Error::arrow)?)
        }
        DataType::List(element) => {
            let offsets = arrow::buffer::OffsetBuffer::from_lengths([0]);
            let items = new_empty_array(element.data_type());
            let array = ListArray::try_new(Arc::clone(element), offsets, items, None);
            Arc::new(array.map_err(Error::arrow)?)
        }
        _ => new_null_array(to, 1),
    };
    let both = concat(&[&*new_null_array(to, 1), &*empty]).map_err(Error::arrow)?;
    let mut indices = Vec::with_capacity(texts.len());
    for text in texts {
        indices.push(match (text.map(str::trim), to) {
            (None | Some("null"), _) => 0,
            (Some(text), DataType::Struct(_)) if is_empty(text, '{', '}') => 1,
            (Some(text), DataType::List(_)) if is_empty(text, '[', ']') => 1,
            _ => return Err(refused(path)),
        });
    }
    take(&both, &UInt32Array::from(indices), None).map_err(Error::arrow)
}

fn is_empty(text: &str, open: char, close: char) -> bool {
    let inside = text
        .strip_prefix(open)
        .and_then(|text| text.strip_suffix(close));
    inside.is_some_and(|inside| inside.trim().is_empty())
}

fn refused(path: &str) -> Error {
    Error::schema(format!(
        "the values of `{path}` in the existing dataset cannot be told in its new type"
    ))
    .with_hint("read the resource again with `--full-refresh`, or choose another `--out`")
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Date32Array, Decimal128Array, Int64Array};
    use arrow::datatypes::{Field, Fields};

    use super::*;

    #[track_caller]
    fn check(conversion: Conversion, from: impl Array + 'static, expect: impl Array + 'static) {
        let from: ArrayRef = Arc::new(from);
        let found = conversion.apply(&from, expect.data_type(), "a").unwrap();
        let expect: ArrayRef = Arc::new(expect);
        assert_eq!(&found, &expect);
    }

    #[test]
    fn values_are_the_same_in_the_wider_type() {
        let integers = || Int64Array::from(vec![Some(1 << 53), None, Some(-7)]);
        check(
            Conversion::ToNumber,
            integers(),
            Float64Array::from(vec![Some(9_007_199_254_740_992.0), None, Some(-7.0)]),
        );
        check(
            Conversion::ToJson,
            integers(),
            StringArray::from(vec![Some("9007199254740992"), None, Some("-7")]),
        );
        let doubles = Float64Array::from(vec![Some(0.1), Some(-0.0), None, Some(1e300)]);
        check(
            Conversion::ToJson,
            doubles,
            StringArray::from(vec![Some("0.1"), Some("-0.0"), None, Some("1e+300")]),
        );
        check(
            Conversion::ToJson,
            StringArray::from(vec![Some("a\"b"), None]),
            StringArray::from(vec![Some("\"a\\\"b\""), None]),
        );
        check(
            Conversion::ToJson,
            BooleanArray::from(vec![Some(true), None]),
            StringArray::from(vec![Some("true"), None]),
        );
        check(
            Conversion::ToText,
            Date32Array::from(vec![Some(0), None]),
            StringArray::from(vec![Some("1970-01-01"), None]),
        );
        check(
            Conversion::ToText,
            Int64Array::from(vec![Some(-12), None]),
            StringArray::from(vec![Some("-12"), None]),
        );
        let decimals = |values: Vec<Option<i128>>, precision, scale| {
            let array = Decimal128Array::from(values);
            array.with_precision_and_scale(precision, scale).unwrap()
        };
        check(
            Conversion::ToDecimal,
            Int64Array::from(vec![Some(-12), None]),
            decimals(vec![Some(-1200), None], 10, 2),
        );
        check(
            Conversion::ToDecimal,
            decimals(vec![Some(125), None], 3, 2),
            decimals(vec![Some(12500), None], 9, 4),
        );
        check(
            Conversion::FromNothing,
            StringArray::from(vec![None::<&str>, None]),
            Int64Array::from(vec![None, None]),
        );
        let element = Arc::new(Field::new("element", DataType::Int64, true));
        let lists = ListArray::try_new(
            element,
            arrow::buffer::OffsetBuffer::from_lengths([0, 0]),
            Arc::new(Int64Array::from(Vec::<i64>::new())),
            Some(vec![true, false].into()),
        );
        check(
            Conversion::FromNothing,
            StringArray::from(vec![Some("[ ]"), None]),
            lists.unwrap(),
        );
        let fields = Fields::from(vec![Field::new("b", DataType::Int64, true)]);
        let inner: ArrayRef = Arc::new(Int64Array::from(vec![None, None]));
        let objects = StructArray::try_new(fields, vec![inner], Some(vec![true, false].into()));
        check(
            Conversion::FromNothing,
            StringArray::from(vec![Some("{}"), None]),
            objects.unwrap(),
        );
    }

    #[test]
    fn what_would_not_be_exact_is_refused() {
        #[track_caller]
        fn check(conversion: Conversion, from: impl Array + 'static, to: &DataType) {
            let from: ArrayRef = Arc::new(from);
            let error = conversion.apply(&from, to, "a.b").unwrap_err();
            assert!(error.to_string().contains("`a.b`"), "{error}");
            assert!(
                error
                    .hint()
                    .is_some_and(|hint| hint.contains("--full-refresh"))
            );
        }
        let odd = Int64Array::from(vec![(1 << 53) + 1]);
        check(Conversion::ToNumber, odd.clone(), &DataType::Float64);
        check(Conversion::ToDecimal, odd, &DataType::Decimal128(10, 2));
        let text = StringArray::from(vec!["1"]);
        check(Conversion::FromNothing, text.clone(), &DataType::Int64);
        check(Conversion::ToNumber, text, &DataType::Float64);
    }
}
