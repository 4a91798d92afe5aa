//! The fields of a record.

use std::collections::HashMap;

use connector_plan::{Field, FieldType, RESCUED_COLUMN};

use super::Lowering;
use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::spec::{FieldSpec, Key, Named, SchemaSpec, Text, TypeSpec};
use crate::words::quote;

/// What begins the names of columns that are ours.
const OWN_PREFIX: &str = "_connector";

/// Conversions of a timestamp format (those of strptime, and fractions of a second).
const CONVERSIONS: [&str; 40] = [
    "%", "+", ".3f", ".6f", ".9f", ".f", "3f", "6f", "9f", ":z", "::z", "A", "B", "C", "D", "F",
    "G", "H", "I", "M", "P", "R", "S", "T", "V", "Y", "Z", "a", "b", "c", "d", "e", "f", "h", "j",
    "k", "l", "m", "p", "s",
];

/// Conversions that come in the same form, and may stand alone.
const MORE_CONVERSIONS: [&str; 8] = ["g", "n", "r", "t", "u", "x", "y", "z"];

impl Lowering<'_, '_> {
    /// The fields of a resource's records; `place` is the resource's own.
    pub(super) fn schema(&mut self, schema: &SchemaSpec, place: &str) -> Vec<Field> {
        let Some(given) = schema.fields.given() else {
            if schema.fields.is_unset() {
                self.missing(
                    "fields",
                    "`schema`",
                    schema.blame,
                    "write `fields: {id: integer, name: string}`",
                );
            }
            return Vec::new();
        };
        if given.value.0.is_empty() {
            self.invalid(
                "a record needs at least one field",
                given.key.span,
                "none here",
            );
        }
        for (name, _) in &given.value.0 {
            if is_own(&name.text) {
                self.report(
                    Diagnostic::error(
                        code::RESERVED_NAME,
                        format!("a field cannot be called {}", quote(&name.text)),
                    )
                    .label(name.span, "every dataset has a column of this name")
                    .help("leave it out: it is kept as part of `_rescued`"),
                );
            }
        }
        self.fields(&given.value, place)
    }

    fn fields(&mut self, fields: &Named<FieldSpec>, place: &str) -> Vec<Field> {
        let mut seen: HashMap<String, Span> = HashMap::new();
        let mut lowered = Vec::new();
        for (name, key) in &fields.0 {
            self.field_name(&name.text, name.span);
            if let Some(first) = seen.insert(name.text.to_lowercase(), name.span) {
                self.report(
                    Diagnostic::error(
                        code::DUPLICATE_FIELD,
                        format!(
                            "the field {} differs from another only in case",
                            quote(&name.text)
                        ),
                    )
                    .label(name.span, "this one")
                    .label(first, "and this one")
                    .note("SQL engines such as DuckDB do not tell them apart")
                    .help("leave one of them out: it is kept as part of `_rescued`"),
                );
            }
            let place = format!("{place}.{}", name.text);
            let spec = match key {
                Key::Given(given) => &given.value,
                Key::Null(span) => {
                    self.missing(
                        "type",
                        &format!("the field {}", quote(&name.text)),
                        *span,
                        "write it as `name: string`",
                    );
                    continue;
                }
                Key::Absent | Key::Invalid(_) => continue,
            };
            let field_type = self.field_type(spec, &place, name.span);
            self.place(place, name.span);
            lowered.push(Field {
                name: name.text.clone(),
                field_type,
                nullable: spec.0.nullable.get().copied().unwrap_or(true),
                description: spec
                    .0
                    .description
                    .get()
                    .map_or_else(String::new, |text| text.value.trim().to_owned()),
            });
        }
        lowered
    }

    fn field_name(&mut self, name: &str, span: Span) {
        let problem = if name.is_empty() {
            "it is empty"
        } else if name.len() > 255 {
            "it is longer than 255 bytes"
        } else if name.chars().any(char::is_control) {
            "it has control characters"
        } else {
            return;
        };
        self.report(
            Diagnostic::error(
                code::INVALID_NAME,
                format!("{} is not the name of a field", quote(name)),
            )
            .label(span, problem),
        );
    }

    fn field_type(&mut self, spec: &FieldSpec, place: &str, blame: Span) -> FieldType {
        let spec = &spec.0;
        let kind = match (&spec.kind, &spec.fields, &spec.items) {
            (Key::Given(given), ..) => given.value,
            (Key::Invalid(_), ..) => return FieldType::Json,
            (_, Key::Given(_) | Key::Invalid(_), _) => TypeSpec::Object,
            (.., Key::Given(_) | Key::Invalid(_)) => TypeSpec::Array,
            _ => {
                self.missing(
                    "type",
                    "a field",
                    blame,
                    "write `type: string`, or another type",
                );
                return FieldType::Json;
            }
        };
        self.only_for(&spec.formats, kind == TypeSpec::Timestamp, "`timestamp`");
        self.only_for(&spec.fields, kind == TypeSpec::Object, "`object`");
        self.only_for(&spec.items, kind == TypeSpec::Array, "`array`");
        self.only_for(&spec.precision, kind == TypeSpec::Decimal, "`decimal`");
        self.only_for(&spec.scale, kind == TypeSpec::Decimal, "`decimal`");
        match kind {
            TypeSpec::String => FieldType::String,
            TypeSpec::Integer => FieldType::Integer,
            TypeSpec::Number => FieldType::Number,
            TypeSpec::Boolean => FieldType::Boolean,
            TypeSpec::Date => FieldType::Date,
            TypeSpec::Json => FieldType::Json,
            TypeSpec::Timestamp => FieldType::Timestamp {
                formats: self.formats(spec.formats.get().map_or(&[][..], |formats| &formats.0)),
            },
            TypeSpec::Decimal => {
                let number = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
                let precision = spec.precision.get().map_or(38, |value| number(value.0));
                let scale = match spec.scale.get() {
                    Some(value) => number(value.0),
                    None => 9.min(precision),
                };
                if let Some(given) = spec.scale.given()
                    && scale > precision
                {
                    self.invalid(
                        "more digits behind the point than digits",
                        given.span,
                        format!("`precision` is {precision}"),
                    );
                }
                FieldType::Decimal { precision, scale }
            }
            TypeSpec::Object => FieldType::Object(match &spec.fields {
                Key::Given(given) if !given.value.0.is_empty() => self.fields(&given.value, place),
                Key::Invalid(_) => Vec::new(),
                key => {
                    self.missing(
                        "fields",
                        "an object",
                        key.key_span().unwrap_or(blame),
                        "write its `fields`, or `type: json` when its keys are not known",
                    );
                    Vec::new()
                }
            }),
            TypeSpec::Array => match &spec.items {
                Key::Given(given) => {
                    let item = &given.value.0;
                    if item.0.nullable.get() == Some(&false) {
                        self.report(
                            Diagnostic::warning(code::NO_EFFECT, "elements may always be null")
                                .label(
                                    item.0.nullable.key_span().unwrap_or(blame),
                                    "has no effect",
                                ),
                        );
                    }
                    FieldType::List(Box::new(self.field_type(item, place, given.key.span)))
                }
                Key::Invalid(_) => FieldType::Json,
                key => {
                    self.missing(
                        "items",
                        "an array",
                        key.key_span().unwrap_or(blame),
                        "write `items: string`, or `type: json` when its elements differ",
                    );
                    FieldType::Json
                }
            },
        }
    }

    /// Reports a key that does nothing for this type.
    fn only_for<T>(&mut self, key: &Key<T>, fits: bool, kind: &str) {
        if let (Some(given), false) = (key.given(), fits) {
            let mut diagnostic = Diagnostic::error(
                code::CONFLICT,
                format!("{} is for the type {kind} only", quote(&given.key.text)),
            )
            .label(given.key.span, "does not fit the type of this field");
            if given.key.text == "format" {
                diagnostic =
                    diagnostic.help("write `type: timestamp` or `type: date` for text that is one");
            }
            self.report(diagnostic);
        }
    }

    fn formats(&mut self, formats: &[Text]) -> Vec<String> {
        for text in formats {
            if let Some(problem) = format_problem(&text.value) {
                self.report(
                    Diagnostic::error(
                        code::INVALID_VALUE,
                        format!("{} is not a timestamp format", quote(&text.value)),
                    )
                    .label(text.span, problem)
                    .help("write `rfc3339`, `epoch_seconds`, `epoch_milliseconds`, or a form such as `%Y-%m-%d %H:%M:%S`"),
                );
            }
        }
        if formats.is_empty() {
            return vec!["rfc3339".to_owned()];
        }
        formats.iter().map(|text| text.value.clone()).collect()
    }
}

/// Whether every dataset has, or may have, a column of this name.
pub(super) fn is_own(name: &str) -> bool {
    let lower = name.to_lowercase();
    lower == RESCUED_COLUMN || lower.starts_with(OWN_PREFIX)
}

/// What is wrong with a timestamp format.
pub(super) fn format_problem(format: &str) -> Option<String> {
    if matches!(format, "rfc3339" | "epoch_seconds" | "epoch_milliseconds") {
        return None;
    }
    let mut rest = format;
    let mut dated = false;
    let mut any = false;
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        let length = CONVERSIONS
            .iter()
            .chain(&MORE_CONVERSIONS)
            .filter(|conversion| rest.starts_with(**conversion))
            .map(|conversion| conversion.len())
            .max();
        let Some(length) = length else {
            let found: String = rest.chars().take(1).collect();
            return Some(format!("`%{found}` is not a conversion of strptime"));
        };
        any = true;
        dated |= matches!(
            &rest[..length],
            "Y" | "y" | "G" | "g" | "D" | "F" | "c" | "x" | "s" | "+"
        );
        rest = &rest[length..];
    }
    if !any {
        return Some("neither a known name nor a form with `%`".to_owned());
    }
    (!dated).then(|| "it has no year".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_formats_are_checked() {
        #[track_caller]
        fn check(format: &str, expect: Option<&str>) {
            assert_eq!(format_problem(format).as_deref(), expect, "{format}");
        }
        check("rfc3339", None);
        check("epoch_milliseconds", None);
        check("%Y-%m-%d %H:%M:%S", None);
        check("%Y-%m-%dT%H:%M:%S%.f%:z", None);
        check("%s", None);
        check("%d/%m/%y %I:%M %p 100%%", None);
        check("%H:%M", Some("it has no year"));
        check("%Y-%q", Some("`%q` is not a conversion of strptime"));
        check("%Y-%", Some("`%` is not a conversion of strptime"));
        check("%Y-%ä", Some("`%ä` is not a conversion of strptime"));
        check("iso8601", Some("neither a known name nor a form with `%`"));
        check("", Some("neither a known name nor a form with `%`"));
    }
}
