//! Objects whose members become columns of their own in the files.

use connector_plan::{Field, FieldType, FlatColumn, FlattenColumns};

use super::Lowering;
use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::spec::{FieldSpec, FlattenColumnsSpec, LayoutSpec, Named, ResourceMapping, Text};
use crate::words::quote;

/// The longest separator in bytes.
const LONGEST_SEPARATOR: usize = 8;

impl Lowering<'_, '_> {
    /// How the members of objects become columns.
    pub(super) fn flatten_columns(
        &mut self,
        spec: &LayoutSpec,
        resource: &ResourceMapping,
        fields: &[Field],
    ) -> Option<FlattenColumns> {
        let mut flatten = FlattenColumns::default();
        match spec.flatten.get()? {
            FlattenColumnsSpec::Switch(switch) => return switch.then_some(flatten),
            FlattenColumnsSpec::Fields(names) => {
                flatten.fields = self.flattened_fields(names, resource, fields);
            }
            FlattenColumnsSpec::Mapping(mapping) => {
                if let Some(text) = mapping.separator.get() {
                    self.check_separator(text);
                    flatten.separator.clone_from(&text.value);
                }
                if let Some(depth) = mapping.depth.get() {
                    flatten.depth = u32::try_from(depth.0).unwrap_or(u32::MAX);
                }
                if let Some(names) = mapping.fields.get() {
                    flatten.fields = self.flattened_fields(&names.0, resource, fields);
                }
            }
        }
        Some(flatten)
    }

    fn flattened_fields(
        &mut self,
        names: &[Text],
        resource: &ResourceMapping,
        fields: &[Field],
    ) -> Vec<String> {
        for text in names {
            match fields.iter().find(|field| field.name == text.value) {
                Some(field) if !matches!(field.field_type, FieldType::Object(_)) => self.report(
                    Diagnostic::error(
                        code::INVALID_VALUE,
                        format!("{} has no members to be lifted", quote(&text.value)),
                    )
                    .label(text.span, "its type is no object")
                    .help("name objects; the others are columns already"),
                ),
                None if !fields.is_empty() => {
                    self.unknown_key("`flatten` field", text, fields, resource);
                }
                _ => {}
            }
        }
        names.iter().map(|text| text.value.clone()).collect()
    }

    fn check_separator(&mut self, text: &Text) {
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let length = text.value.len();
        if length == 0 || length > LONGEST_SEPARATOR || !text.value.bytes().all(is_plain) {
            self.invalid(
                format!("{} cannot stand between names", quote(&text.value)),
                text.span,
                "expected 1 to 8 letters, digits, `_`, `.` and `-`",
            );
        }
    }

    /// The columns of the files; reports those that would have one name.
    pub(super) fn flat_columns(
        &mut self,
        flatten: &FlattenColumns,
        resource: &ResourceMapping,
        fields: &[Field],
    ) -> Vec<FlatColumn> {
        let columns = flatten.columns(fields);
        let written = resource.schema.get().and_then(|schema| schema.fields.get());
        for (index, column) in columns.iter().enumerate() {
            let mut before = columns.iter().take(index);
            let Some(other) = before.find(|other| other.field.name == column.field.name) else {
                continue;
            };
            let span =
                |column: &FlatColumn| written.and_then(|written| span_of(written, &column.path));
            let flat = resource
                .layout
                .get()
                .and_then(|layout| layout.flatten.key_span());
            let blame = flat.unwrap_or(resource.blame);
            let mut diagnostic = Diagnostic::error(
                code::DUPLICATE_NAME,
                format!("two columns would be called {}", quote(&column.field.name)),
            )
            .label(span(column).unwrap_or(blame), "the second");
            if let Some(first) = span(other) {
                diagnostic = diagnostic.label(first, "the first");
            }
            if span(column).is_some() {
                diagnostic = diagnostic.label(blame, "because of this");
            }
            self.report(
                diagnostic.help("choose another `separator`, or name the `fields` to flatten"),
            );
        }
        columns
    }
}

/// Where a field is declared.
fn span_of(written: &Named<FieldSpec>, path: &[String]) -> Option<Span> {
    let (first, rest) = path.split_first()?;
    let (name, given) = written.given().find(|(name, _)| name.text == *first)?;
    match rest {
        [] => Some(name.span),
        rest => span_of(given.value.0.fields.get()?, rest),
    }
}
