//! Record types: structs that read themselves from a row by column index.

use connector_plan::{Field, FieldType, Plan, Resource};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::docs::{Docs, code, comment, prose};
use crate::Ir;
use crate::names::{self, TypeNames, identifier, singular, type_name};

/// Types nested deeper than this are too complex for clippy, which adds 10, 20, 30 … per level of
/// a generic type and stops at 250.
const CLIPPY_LEVELS: usize = 6;

/// The type names of a plan's records, in the order of its resources.
#[derive(Debug)]
pub(super) struct Records {
    names: Vec<String>,
}

impl Records {
    /// Names the records: first those with a name in the spec, then those that are called like
    /// their resource, then the others by the singular of their resource.
    pub(super) fn new(ir: &Ir, types: &mut TypeNames) -> Self {
        let resources = &ir.plan.resources;
        let mut found: Vec<Option<String>> = vec![None; resources.len()];
        for (resource, slot) in resources.iter().zip(&mut found) {
            let wanted = ir
                .records
                .iter()
                .find(|record| record.resource == resource.name)
                .and_then(|record| record.record_name.as_deref());
            *slot = wanted.map(|wanted| types.take(wanted));
        }
        for unchanged in [true, false] {
            for (resource, slot) in resources.iter().zip(&mut found) {
                let one = singular(&resource.name);
                if slot.is_some() || unchanged != (one == resource.name) {
                    continue;
                }
                // `file` and `files` are better told apart as `File` and `Files` than by a number.
                let plural = types.is_free(&type_name(&resource.name));
                let wanted = if types.is_free(&type_name(&one)) || !plural {
                    &one
                } else {
                    &resource.name
                };
                *slot = Some(types.take(wanted));
            }
        }
        Self {
            names: found.into_iter().map(Option::unwrap_or_default).collect(),
        }
    }

    /// The type of a resource's records.
    pub(super) fn name(&self, index: usize) -> Ident {
        identifier(self.names.get(index).map_or("Record", String::as_str))
    }

    /// The types of all resources and, behind each, those of the objects in it.
    pub(super) fn emit(&self, plan: &Plan, types: &mut TypeNames, docs: &Docs<'_>) -> TokenStream {
        let mut emitter = Emitter {
            types,
            docs,
            items: TokenStream::new(),
        };
        for (index, resource) in plan.resources.iter().enumerate() {
            if resource.inferred {
                emitter.json_object(&self.name(index), resource);
            } else {
                emitter.record(&self.name(index), resource);
            }
        }
        emitter.items
    }
}

struct Emitter<'a> {
    types: &'a mut TypeNames,
    docs: &'a Docs<'a>,
    items: TokenStream,
}

/// A struct that is still to be written.
struct Nested<'a> {
    name: Ident,
    documentation: String,
    key: String,
    fields: &'a [Field],
}

impl Emitter<'_> {
    /// A record whose members are known only when it is there.
    fn json_object(&mut self, name: &Ident, resource: &Resource) {
        let about = prose(&resource.description, "");
        let text = format!("A record of {}.\n\n{about}", code(&resource.name));
        let text = format!(
            "{}\n\nThe spec declares no schema: the members are those that the API sends.",
            text.trim_end()
        );
        let documentation = self
            .docs
            .block(&text, &format!("resources.{}", resource.name));
        self.items.extend(quote! {
            #documentation
            pub type #name = connector_core::JsonObject;
        });
    }

    fn record(&mut self, name: &Ident, resource: &Resource) {
        let about = prose(&resource.description, "");
        let documentation = format!("A record of {}.\n\n{about}", code(&resource.name));
        let record = Nested {
            name: name.clone(),
            documentation: documentation.trim_end().to_owned(),
            key: format!("resources.{}", resource.name),
            fields: &resource.fields,
        };
        // A stack instead of recursion: nothing in a spec bounds how deep objects nest.
        let mut waiting = self.structure(&record, true);
        while let Some(next) = waiting.pop() {
            let inner = self.structure(&next, false);
            waiting.extend(inner);
        }
    }

    /// Writes a struct and returns those of its objects, the last one first.
    fn structure<'f>(&mut self, record: &Nested<'f>, rescued: bool) -> Vec<Nested<'f>> {
        let Nested { name, fields, .. } = record;
        let keys: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let idents = names::fields(&keys, rescued);
        let mut nested = Vec::new();
        let mut members = TokenStream::new();
        for (field, ident) in fields.iter().zip(&idents) {
            let (value, levels) = self.value_type(record, field, &mut nested);
            let (value, levels) = if field.nullable {
                (quote! { Option<#value> }, levels + 1)
            } else {
                (value, levels)
            };
            let expectation = (levels > CLIPPY_LEVELS).then(|| {
                quote! { #[expect(clippy::type_complexity, reason = "the API nests lists as deep")] }
            });
            let about = self.docs.line(
                &field_prose(field, ident),
                &format!("{}.{}", record.key, field.name),
            );
            members.extend(quote! { #about #expectation pub #ident: #value, });
        }
        let indexes = (0..fields.len()).map(proc_macro2::Literal::usize_unsuffixed);
        let mut values = quote! { #(#idents: row.get(#indexes)?,)* };
        if rescued {
            let ident = format_ident!("{}", names::RESCUED_FIELD);
            let index = proc_macro2::Literal::usize_unsuffixed(fields.len());
            let about = comment(
                "What the fields above could not hold: undeclared fields and values of other types.",
            );
            members.extend(quote! { #about pub #ident: Option<connector_core::Json>, });
            values.extend(quote! { #ident: row.get(#index)?, });
        }
        let row = if values.is_empty() {
            quote! { _row }
        } else {
            quote! { row }
        };
        let about = self.docs.block(&record.documentation, &record.key);
        self.items.extend(quote! {
            #about
            #[derive(Clone, Debug, PartialEq)]
            pub struct #name { #members }

            impl connector_core::Record for #name {
                fn from_row(#row: &connector_core::Row<'_>) -> Result<Self, connector_core::Error> {
                    Ok(Self { #values })
                }
            }
        });
        nested.reverse();
        nested
    }

    /// The type of a field that is not null, and how many types it is made of.
    fn value_type<'f>(
        &mut self,
        record: &Nested<'_>,
        field: &'f Field,
        nested: &mut Vec<Nested<'f>>,
    ) -> (TokenStream, usize) {
        let mut lists = 0;
        let mut kind = &field.field_type;
        while let FieldType::List(items) = kind {
            lists += 1;
            kind = items.as_ref();
        }
        let mut value = match kind {
            FieldType::Boolean => quote! { bool },
            FieldType::Integer => quote! { i64 },
            FieldType::Number => quote! { f64 },
            FieldType::String => quote! { String },
            FieldType::Timestamp { .. } => quote! { connector_core::Timestamp },
            FieldType::Date => quote! { connector_core::Date },
            FieldType::Decimal { .. } => quote! { connector_core::Decimal },
            FieldType::Object(fields) => {
                let own = if lists > 0 {
                    singular(&field.name)
                } else {
                    field.name.clone()
                };
                let wanted = format!("{}_{own}", record.name);
                let name = identifier(&self.types.take(&wanted));
                let relation = if lists > 0 {
                    "An element of"
                } else {
                    "The object"
                };
                nested.push(Nested {
                    name: name.clone(),
                    documentation: format!(
                        "{relation} {} in [`{}`].",
                        code(&field.name),
                        record.name
                    ),
                    key: format!("{}.{}", record.key, field.name),
                    fields,
                });
                quote! { #name }
            }
            // A list cannot come here any more; what is left is kept as JSON.
            FieldType::Json | FieldType::List(_) => quote! { connector_core::Json },
        };
        for _ in 0..lists {
            value = quote! { Vec<Option<#value>> };
        }
        (value, 2 * lists + 1)
    }
}

fn field_prose(field: &Field, ident: &Ident) -> String {
    let name = code(&field.name);
    let renamed = ident.to_string().trim_start_matches("r#") != field.name;
    let about = prose(&field.description, "");
    match (about.is_empty(), renamed) {
        (true, _) => format!("The API's {name}."),
        (false, true) => format!("{name}: {about}"),
        (false, false) => about,
    }
}
