//! The resources.

use std::collections::HashMap;

use connector_plan::{Client, Condition, Field, FieldType, Relations, Resource, WriteDisposition};

use super::condition::Moment;
use super::{Lowering, identity, is_device, is_snake_case};
use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::spec::{
    Disposition, EndpointMapping, Key, Over as _, ResourceMapping, ResourceSpec, Spec, Text,
    WriteDispositionSpec,
};
use crate::words::quote;

impl Lowering<'_, '_> {
    /// The resources, each with the type name that it asks for.
    pub(super) fn resources(
        &mut self,
        spec: &Spec,
        client: &Client,
    ) -> Vec<(Resource, Option<String>)> {
        if spec.resources.is_unset() {
            let blame = spec.resources.key_span().unwrap_or(spec.blame);
            self.missing("resources", "the spec", blame, "it lists the datasets");
        }
        if let Some(given) = spec.resources.given()
            && given.value.is_empty()
        {
            self.invalid(
                "a connector needs at least one resource",
                given.key.span,
                "none here",
            );
        }
        self.check_actions(spec);
        let defaults = spec.resource_defaults.get();
        if let Some(name) = defaults.and_then(|defaults| defaults.0.name.given()) {
            self.invalid(
                "`resource_defaults` has no `name`",
                name.key.span,
                "every resource has its own",
            );
        }
        let mut names: HashMap<String, Span> = HashMap::new();
        let mut records: HashMap<String, Span> = HashMap::new();
        let mut resources = Vec::new();
        let mut records_of = Vec::new();
        let mut scopes = Vec::new();
        for written in spec.resources.get().into_iter().flatten() {
            let merged = match defaults {
                Some(defaults) => written.over(defaults),
                None => written.clone(),
            };
            // A name is never a default.
            let own = ResourceSpec(ResourceMapping {
                name: written.0.name.clone(),
                ..merged.0
            });
            let resource = self.resource(spec, &own.0, client);
            scopes.push(std::mem::take(&mut self.scope));
            if let Some(given) = own.0.name.given()
                && let Some(first) = names.insert(resource.0.name.clone(), given.span)
            {
                self.duplicate(
                    "two resources are called",
                    &resource.0.name,
                    given.span,
                    first,
                );
            }
            if let (Some(name), Some(given)) = (&resource.1, own.0.record.given())
                && let Some(first) = records.insert(name.clone(), given.span)
            {
                self.duplicate("two record types are called", name, given.span, first);
            }
            resources.push(resource.0);
            records_of.push(resource.1);
        }
        self.relate(&mut resources, &scopes);
        resources.into_iter().zip(records_of).collect()
    }

    fn duplicate(&mut self, message: &str, name: &str, second: Span, first: Span) {
        let mut diagnostic =
            Diagnostic::error(code::DUPLICATE_NAME, format!("{message} {}", quote(name)))
                .label(second, "the second");
        if first != second {
            diagnostic = diagnostic.label(first, "the first");
        }
        self.report(diagnostic);
    }

    fn resource(
        &mut self,
        spec: &Spec,
        resource: &ResourceMapping,
        client: &Client,
    ) -> (Resource, Option<String>) {
        let name = self.resource_name(resource);
        let blame = resource
            .name
            .given()
            .map_or(resource.blame, |given| given.span);
        let place = format!("resources.{name}");
        self.place(place.clone(), blame);
        self.open_scope(resource, blame);
        let nowhere = EndpointMapping::empty(blame);
        let endpoint = resource
            .endpoint
            .get()
            .map_or(&nowhere, |endpoint| &endpoint.0);
        let no_paginator = Key::Absent;
        let paginator = spec
            .client
            .get()
            .map_or(&no_paginator, |client| &client.paginator);
        let record_filter = self.record_filter(resource, endpoint);
        let written = endpoint;
        let cursor = self.open_interval(resource, endpoint);
        let mut endpoint = self.endpoint(endpoint, &name, client, paginator, blame);
        endpoint.actions = self.response_actions(written, spec.client.get());
        endpoint.retry = self.endpoint_retry(written, endpoint.retry.take(), client);
        let inferred = resource.schema.is_unset();
        let mut fields = match resource.schema.get() {
            Some(schema) => self.schema(schema, &place),
            None => {
                if inferred {
                    self.report(
                        Diagnostic::warning(
                            code::NO_SCHEMA,
                            format!("{} has no schema", quote(&name)),
                        )
                        .label(blame, "its columns are inferred from its records")
                        .help("`cargo connector infer SPEC` prints a `schema` to start with"),
                    );
                }
                Vec::new()
            }
        };
        endpoint.response = self.response_body(written, &endpoint, &fields, blame);
        let primary_key = self.primary_key(resource, &mut fields);
        let write_disposition = self.write_disposition(resource);
        let merge = self.merge(resource, &fields, &primary_key, write_disposition);
        let contract = self.contract(resource, &fields, &merge);
        let processing_steps = self.processing_steps(resource, &fields, &primary_key);
        if let Some(written) = cursor.as_ref().filter(|_| inferred) {
            self.report(
                Diagnostic::error(code::MISSING_KEY, "`incremental` needs `schema`")
                    .label(written.spec.blame, "nothing tells the type of its cursor")
                    .help(
                        "`cargo connector infer SPEC` prints one while there is no `incremental`",
                    ),
            );
        }
        let incremental = cursor
            .and_then(|cursor| self.incremental(&cursor, &endpoint, &fields, write_disposition));
        if incremental.is_some() {
            self.only_whole(resource, &merge, &primary_key);
        }
        let record = resource.record.get();
        if let Some(text) = record {
            self.check_record(text);
        }
        let layout = self.layout(resource, &fields);
        let identity = identity::of_resource(
            &endpoint,
            record_filter.as_ref(),
            &processing_steps,
            &fields,
            &primary_key,
            write_disposition,
            merge.history(),
        );
        let lowered = Resource {
            name,
            description: resource
                .description
                .get()
                .map_or_else(String::new, |text| text.value.trim().to_owned()),
            selected: resource.selected.get().copied().unwrap_or(true),
            endpoint,
            record_filter,
            processing_steps,
            // Parents are known when all resources are.
            relations: Relations::default(),
            incremental,
            fields,
            inferred,
            contract,
            primary_key,
            write_disposition,
            merge,
            layout,
            identity,
        };
        (lowered, record.map(|text| text.value.clone()))
    }

    /// Which records are kept; resources and their endpoints alike may say it.
    fn record_filter(
        &mut self,
        resource: &ResourceMapping,
        endpoint: &EndpointMapping,
    ) -> Option<Condition> {
        let (own, inner) = (
            resource.record_filter.given(),
            endpoint.record_filter.given(),
        );
        if let (Some(own), Some(inner)) = (own, inner) {
            self.reporter.conflict(
                "the filter stands in the resource and in its endpoint",
                own.key.span.max(inner.key.span),
                own.key.span.min(inner.key.span),
            );
        }
        let given = own.or(inner)?;
        self.condition(&given.value, Moment::Record)
    }

    fn resource_name(&mut self, resource: &ResourceMapping) -> String {
        let Some(text) = resource.name.get() else {
            if resource.name.is_unset() {
                self.missing("name", "a resource", resource.blame, "write `name: files`");
            }
            return "unnamed".to_owned();
        };
        let name = &text.value;
        if !is_snake_case(name) {
            let snake = to_snake_case(name);
            self.report(
                Diagnostic::error(
                    code::INVALID_NAME,
                    format!("{} is not the name of a resource", quote(name)),
                )
                .label(
                    text.span,
                    "expected at most 64 lower-case letters, digits and `_`, a letter first",
                )
                .help_if(is_snake_case(&snake).then(|| {
                    format!(
                        "write {}, and the API's own name in `endpoint.path`",
                        quote(&snake)
                    )
                })),
            );
        } else if is_device(name) {
            self.report(
                Diagnostic::error(
                    code::RESERVED_NAME,
                    format!("a resource cannot be called {}", quote(name)),
                )
                .label(
                    text.span,
                    "on Windows this is a device and cannot be a folder",
                )
                .help("choose another name; `endpoint.path` can stay"),
            );
        }
        name.clone()
    }

    fn check_record(&mut self, text: &Text) {
        let name = &text.value;
        let valid = name.len() <= 64
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|c| c.is_ascii_alphanumeric())
            && (name.len() == 1 || name.bytes().any(|c| c.is_ascii_lowercase()));
        if !valid || name == "Self" {
            self.report(
                Diagnostic::error(
                    code::INVALID_NAME,
                    format!("{} is not the name of a record type", quote(name)),
                )
                .label(
                    text.span,
                    "expected UpperCamelCase, at most 64 letters and digits",
                )
                .help("write `record: StorageFile`, or leave it out"),
            );
        }
    }

    /// The primary key, whose fields become not nullable.
    fn primary_key(&mut self, resource: &ResourceMapping, fields: &mut [Field]) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let Some(given) = resource.primary_key.given() else {
            return names;
        };
        if given.value.0.is_empty() {
            self.invalid("a primary key needs a field", given.span, "none here");
        }
        // Without fields something else is wrong, and has been reported.
        let known = !fields.is_empty();
        let written = resource.schema.get().and_then(|schema| schema.fields.get());
        for text in &given.value.0 {
            if names.contains(&text.value) {
                self.invalid(
                    format!("{} is twice in the primary key", quote(&text.value)),
                    text.span,
                    "the second time",
                );
            }
            let Some(field) = fields.iter_mut().find(|field| field.name == text.value) else {
                // A field may be declared, but wrongly.
                let declared = written.is_some_and(|written| {
                    written.0.iter().any(|(name, _)| name.text == text.value)
                });
                if known && !declared {
                    self.unknown_key("primary key", text, fields, resource);
                }
                // Whether records without a schema have it is seen when they are read.
                if resource.schema.is_unset() && !names.contains(&text.value) {
                    names.push(text.value.clone());
                }
                continue;
            };
            let composite = matches!(
                field.field_type,
                FieldType::Object(_) | FieldType::List(_) | FieldType::Json
            );
            if composite {
                self.report(
                    Diagnostic::error(
                        code::PRIMARY_KEY,
                        format!("{} cannot be a primary key", quote(&text.value)),
                    )
                    .label(text.span, "its type is an object, an array or JSON")
                    .help("a key has scalar fields"),
                );
            }
            let key = written.and_then(|written| {
                let entry = written.0.iter().find(|(name, _)| name.text == text.value);
                entry?.1.get().map(|field| &field.0.nullable)
            });
            if let Some(nullable) = key
                && nullable.get() == Some(&true)
            {
                self.report(
                    Diagnostic::error(
                        code::PRIMARY_KEY,
                        format!("{} is a primary key and cannot be null", quote(&text.value)),
                    )
                    .label(nullable.key_span().unwrap_or(text.span), "says that it can")
                    .label(text.span, "the primary key")
                    .help("remove `nullable`"),
                );
            }
            field.nullable = false;
            names.push(text.value.clone());
        }
        names
    }

    /// Reports a key, in these words, that is no field.
    pub(super) fn unknown_key(
        &mut self,
        word: &str,
        text: &Text,
        fields: &[Field],
        resource: &ResourceMapping,
    ) {
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let mut diagnostic = Diagnostic::error(
            code::UNKNOWN_FIELD,
            format!("the {word} {} is not a field", quote(&text.value)),
        )
        .label(text.span, "not in the schema")
        .known("fields", &text.value, &names);
        if let Some(span) = resource.schema.key_span() {
            diagnostic = diagnostic.label(span, "this schema");
        }
        self.report(diagnostic);
    }

    fn write_disposition(&mut self, resource: &ResourceMapping) -> WriteDisposition {
        let Some(given) = resource.write_disposition.given() else {
            return WriteDisposition::Append;
        };
        let (disposition, strategy) = match &given.value {
            WriteDispositionSpec::Word(word) => (*word, None),
            WriteDispositionSpec::Mapping(mapping) => {
                if mapping.disposition.is_unset() {
                    self.missing(
                        "disposition",
                        "`write_disposition`",
                        mapping.blame,
                        "write `disposition: merge`",
                    );
                }
                let disposition = mapping.disposition.get().copied();
                (
                    disposition.unwrap_or(Disposition::Append),
                    mapping.strategy.given().map(|given| given.key.span),
                )
            }
        };
        if let (Some(span), Disposition::Append | Disposition::Replace) = (strategy, disposition) {
            self.report(
                Diagnostic::error(code::CONFLICT, "only `merge` has a strategy")
                    .label(span, "has no meaning here")
                    .help("remove it, or write `disposition: merge`"),
            );
        }
        match disposition {
            Disposition::Append => WriteDisposition::Append,
            Disposition::Replace => WriteDisposition::Replace,
            Disposition::Merge => WriteDisposition::Merge,
        }
    }
}

/// A name in snake case, as far as that can be guessed.
fn to_snake_case(name: &str) -> String {
    use heck::ToSnakeCase as _;
    name.to_snake_case()
}
