//! How records are merged: strategies, keys, and the fields that delete and decide.

use connector_plan::{
    DedupSort, Field, FieldType, History, Merge, MergeStrategy, SortOrder, WriteDisposition,
};

use super::Lowering;
use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::spec::{
    DedupSortSpec, DispositionMapping, FieldMapping, FieldSpec, Key, Named, OnParentErrorSpec,
    ResourceMapping, Strategy, WriteDispositionSpec,
};
use crate::words::quote;

/// A field that says something about merging, with where it says so.
struct Hint<T> {
    field: String,
    span: Span,
    value: T,
}

impl Lowering<'_, '_> {
    /// How the records are merged; without `merge` there is nothing to say.
    pub(super) fn merge(
        &mut self,
        resource: &ResourceMapping,
        fields: &[Field],
        primary_key: &[String],
        disposition: WriteDisposition,
    ) -> Merge {
        let written = resource.write_disposition.get();
        let mapping = match written {
            Some(WriteDispositionSpec::Mapping(mapping)) => Some(mapping),
            _ => None,
        };
        let (hard_delete, dedup_sort) = self.hints(resource);
        if disposition != WriteDisposition::Merge {
            let key = resource.merge_key.key_span();
            self.only_merged("`merge_key`", key);
            self.only_merged("`hard_delete`", hard_delete.map(|hint| hint.span));
            self.only_merged("`dedup_sort`", dedup_sort.map(|hint| hint.span));
            return Merge::default();
        }
        let asked = mapping.and_then(|mapping| mapping.strategy.get().copied());
        let strategy = asked.unwrap_or(if resource.merge_key.is_unset() {
            Strategy::Upsert
        } else {
            Strategy::DeleteInsert
        });
        if let Some(mapping) = mapping
            && strategy != Strategy::Scd2
        {
            self.only_history(mapping);
        }
        let merge_key = self.merge_key(resource, fields, strategy);
        if primary_key.is_empty()
            && resource.primary_key.is_unset()
            && let Some(span) = resource.write_disposition.key_span()
        {
            let problem = match strategy {
                Strategy::Upsert | Strategy::InsertOnly => {
                    Some("records are matched by primary key")
                }
                Strategy::DeleteInsert if resource.merge_key.is_unset() => {
                    Some("records are matched by `merge_key`, or else by primary key")
                }
                _ => None,
            };
            if let Some(problem) = problem {
                self.no_key(resource, "`merge` needs a primary key", span, problem);
            }
            if let Some(hint) = &dedup_sort {
                let label = "decides between records with the same primary key";
                self.no_key(
                    resource,
                    "`dedup_sort` needs a primary key",
                    hint.span,
                    label,
                );
            }
            if let (Some(hint), Strategy::Scd2) = (&hard_delete, strategy) {
                let label = "ends the version of the record's primary key";
                self.no_key(
                    resource,
                    "`hard_delete` needs a primary key",
                    hint.span,
                    label,
                );
            }
        }
        if let (Some(hint), Strategy::InsertOnly) = (&hard_delete, strategy) {
            self.report(
                Diagnostic::error(code::CONFLICT, "`insert-only` never deletes a row")
                    .label(hint.span, "marks records whose row is to be deleted")
                    .help("remove it, or choose the strategy `upsert`"),
            );
        }
        if let Some(hint) = &dedup_sort {
            self.check_order(hint, fields);
        }
        Merge {
            strategy: match strategy {
                Strategy::Upsert => MergeStrategy::Upsert,
                Strategy::DeleteInsert => MergeStrategy::DeleteInsert,
                Strategy::InsertOnly => MergeStrategy::InsertOnly,
                Strategy::Scd2 => MergeStrategy::Scd2(self.history(resource, mapping)),
            },
            merge_key,
            hard_delete: hard_delete.map(|hint| hint.field),
            dedup_sort: dedup_sort.map(|hint| DedupSort {
                column: hint.field,
                order: match hint.value {
                    DedupSortSpec::Asc => SortOrder::Asc,
                    DedupSortSpec::Desc => SortOrder::Desc,
                },
            }),
        }
    }

    /// What is absent is known only when everything is read.
    pub(super) fn only_whole(
        &mut self,
        resource: &ResourceMapping,
        merge: &Merge,
        primary_key: &[String],
    ) {
        if let Some(span) = resource.merge_key.key_span()
            && merge.strategy == MergeStrategy::DeleteInsert
            && merge.merge_key != primary_key
        {
            self.report(
                Diagnostic::warning(
                    code::MERGE_KEY,
                    "the rows of a `merge_key` are replaced by those that a run reads",
                )
                .label(span, "the others of the same value are deleted")
                .note("an incremental run reads only what is new or has changed")
                .help("merge by the primary key, or remove the cursor, unless all rows of a value change together"),
            );
        }
        let Some(WriteDispositionSpec::Mapping(mapping)) = resource.write_disposition.get() else {
            return;
        };
        if let Some(span) = mapping.retire_absent.key_span()
            && merge.history().is_some_and(|history| history.retire_absent)
        {
            self.report(
                Diagnostic::error(
                    code::CONFLICT,
                    "an incremental resource cannot tell which records are absent",
                )
                .label(span, "would end the versions of all that has not changed")
                .help("remove `retire_absent`, or the cursor"),
            );
        }
    }

    fn only_merged(&mut self, what: &str, span: Option<Span>) {
        if let Some(span) = span {
            self.report(
                Diagnostic::error(code::CONFLICT, format!("{what} is for `merge` only"))
                    .label(span, "has no meaning here")
                    .help("remove it, or write `write_disposition: merge`"),
            );
        }
    }

    /// Reports keys that only a history has.
    fn only_history(&mut self, mapping: &DispositionMapping) {
        let keys = [
            mapping.validity_column_names.key_span(),
            mapping.row_version_column_name.key_span(),
            mapping.retire_absent.key_span(),
            mapping.active_record_timestamp.key_span(),
        ];
        for span in keys.into_iter().flatten() {
            let key = span.of(self.reporter.text).to_owned();
            self.report(
                Diagnostic::error(
                    code::CONFLICT,
                    format!("{} is for `scd2` only", quote(&key)),
                )
                .label(span, "has no meaning here")
                .help("remove it, or write `strategy: scd2`"),
            );
        }
    }

    fn no_key(&mut self, resource: &ResourceMapping, message: &str, span: Span, label: &str) {
        let name = resource.name.given();
        let blame = name.map_or(resource.blame, |name| name.span);
        self.report(
            Diagnostic::error(code::PRIMARY_KEY, message)
                .label(span, label)
                .label(blame, "this resource has none")
                .help("write `primary_key: id` with the field that identifies a record"),
        );
    }

    fn merge_key(
        &mut self,
        resource: &ResourceMapping,
        fields: &[Field],
        strategy: Strategy,
    ) -> Vec<String> {
        let Some(given) = resource.merge_key.given() else {
            return Vec::new();
        };
        if strategy != Strategy::DeleteInsert {
            self.report(
                Diagnostic::error(code::CONFLICT, "`merge_key` is for `delete-insert` only")
                    .label(given.key.span, "records are matched by `primary_key` here")
                    .help("remove it, or write `strategy: delete-insert`"),
            );
            return Vec::new();
        }
        if given.value.0.is_empty() {
            self.invalid("a merge key needs a field", given.span, "none here");
        }
        let mut names: Vec<String> = Vec::new();
        for text in &given.value.0 {
            if names.contains(&text.value) {
                self.invalid(
                    format!("{} is twice in the merge key", quote(&text.value)),
                    text.span,
                    "the second time",
                );
                continue;
            }
            match fields.iter().find(|field| field.name == text.value) {
                Some(field) if is_composite(&field.field_type) => self.report(
                    Diagnostic::error(
                        code::INVALID_VALUE,
                        format!("{} cannot be a merge key", quote(&text.value)),
                    )
                    .label(text.span, "its type is an object, an array or JSON")
                    .help("a key has scalar fields"),
                ),
                None if !fields.is_empty() && !is_declared(resource, &text.value) => {
                    self.unknown_key("merge key", text, fields, resource);
                }
                _ => {}
            }
            names.push(text.value.clone());
        }
        names
    }

    /// The fields that delete and decide: one of each, and none within another.
    fn hints(
        &mut self,
        resource: &ResourceMapping,
    ) -> (Option<Hint<bool>>, Option<Hint<DedupSortSpec>>) {
        let (mut hard_delete, mut dedup_sort) = (None, None);
        let schema = resource.schema.get();
        let Some(fields) = schema.and_then(|schema| schema.fields.get()) else {
            return (None, None);
        };
        for (name, given) in fields.given() {
            let field = &given.value.0;
            self.nested_hints(field);
            if field.hard_delete.get() == Some(&true) {
                self.one_hint(&mut hard_delete, &name.text, &field.hard_delete);
            }
            self.one_hint(&mut dedup_sort, &name.text, &field.dedup_sort);
        }
        (hard_delete, dedup_sort)
    }

    fn one_hint<T: Copy>(&mut self, found: &mut Option<Hint<T>>, field: &str, key: &Key<T>) {
        let Some(given) = key.given() else { return };
        match found {
            Some(first) => {
                let message = format!("{} is at two fields", quote(&given.key.text));
                self.reporter.conflict(message, given.key.span, first.span);
            }
            None => {
                *found = Some(Hint {
                    field: field.to_owned(),
                    span: given.key.span,
                    value: given.value,
                });
            }
        }
    }

    /// Reports hints at the fields of a field.
    fn nested_hints(&mut self, field: &FieldMapping) {
        let mut inner: Vec<&FieldSpec> = Vec::new();
        let below = field.fields.get().map(Named::given);
        inner.extend(below.into_iter().flatten().map(|(_, given)| &given.value));
        inner.extend(field.items.get().map(|items| &*items.0));
        for field in inner {
            let field = &field.0;
            for span in [field.hard_delete.key_span(), field.dedup_sort.key_span()] {
                let Some(span) = span else { continue };
                let key = span.of(self.reporter.text).to_owned();
                self.report(
                    Diagnostic::error(
                        code::CONFLICT,
                        format!("{} is for the fields of a record only", quote(&key)),
                    )
                    .label(span, "this field is part of another"),
                );
            }
            self.nested_hints(field);
        }
    }

    fn check_order(&mut self, hint: &Hint<DedupSortSpec>, fields: &[Field]) {
        let field = fields.iter().find(|field| field.name == hint.field);
        if field.is_some_and(|field| is_composite(&field.field_type)) {
            self.report(
                Diagnostic::error(
                    code::CONFLICT,
                    format!("the values of {} have no order", quote(&hint.field)),
                )
                .label(hint.span, "its type is an object, an array or JSON")
                .help("choose a scalar field"),
            );
        }
    }

    fn history(
        &mut self,
        resource: &ResourceMapping,
        mapping: Option<&DispositionMapping>,
    ) -> History {
        let mut history = History::default();
        let Some(mapping) = mapping else {
            return history;
        };
        let mut names: Vec<(&str, Span)> = Vec::new();
        if let Some(given) = mapping.validity_column_names.given() {
            match given.value.as_slice() {
                [from, to] => {
                    history.valid_from.clone_from(&from.value);
                    history.valid_to.clone_from(&to.value);
                    names.extend([from, to].map(|text| (text.value.as_str(), text.span)));
                }
                _ => self.invalid(
                    "`validity_column_names` has two names",
                    given.span,
                    "one for the begin of a version and one for its end",
                ),
            }
        }
        if let Some(text) = mapping.row_version_column_name.get() {
            history.row_hash.clone_from(&text.value);
            names.push((&text.value, text.span));
        }
        for (name, span) in names {
            let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            let is_good = starts
                && name.len() <= 64
                && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
                && !super::fields::is_own(name);
            if !is_good {
                self.report(
                    Diagnostic::error(
                        code::INVALID_NAME,
                        format!("{} cannot be the name of this column", quote(name)),
                    )
                    .label(span, "expected at most 64 letters, digits and `_`"),
                );
            }
        }
        self.check_columns(resource, mapping, &history);
        if let Some(given) = mapping.active_record_timestamp.given() {
            self.report(
                Diagnostic::error(code::NOT_SUPPORTED, "active versions end at null")
                    .label(given.span, "another end is not supported")
                    .help("remove it, or write `active_record_timestamp: null`"),
            );
        }
        history.retire_absent = mapping.retire_absent.get() == Some(&true);
        if let (Some(given), Some(OnParentErrorSpec::Skip)) = (
            mapping.retire_absent.given(),
            resource.on_parent_error.get(),
        ) && given.value
        {
            let skip = resource.on_parent_error.key_span();
            self.reporter.conflict(
                "records of a skipped parent value would be taken for absent",
                given.key.span,
                skip.unwrap_or(given.key.span),
            );
        }
        history
    }

    /// The columns of a history differ from each other and from the fields.
    fn check_columns(
        &mut self,
        resource: &ResourceMapping,
        mapping: &DispositionMapping,
        history: &History,
    ) {
        let blame = mapping.strategy.key_span().unwrap_or(mapping.blame);
        let own = [&history.valid_from, &history.valid_to, &history.row_hash];
        for (index, name) in own.iter().enumerate() {
            let is_same = |other: &&&String| other.eq_ignore_ascii_case(name);
            if own.iter().take(index).any(|other| is_same(&other)) {
                let key = mapping.row_version_column_name.key_span();
                let key = key.or(mapping.validity_column_names.key_span());
                self.invalid(
                    format!("two columns of the history are called {}", quote(name)),
                    key.unwrap_or(blame),
                    "each needs a name of its own",
                );
            }
            let schema = resource.schema.get();
            let fields = schema.and_then(|schema| schema.fields.get());
            let fields = fields.into_iter().flat_map(|fields| &fields.0);
            for (field, _) in fields {
                if field.text.eq_ignore_ascii_case(name) {
                    self.report(
                        Diagnostic::error(
                            code::CONFLICT,
                            format!("the history has a column {} too", quote(name)),
                        )
                        .label(field.span, "this field")
                        .label(blame, "this strategy adds the column")
                        .help(
                            "choose other names by `validity_column_names` and \
                             `row_version_column_name`",
                        ),
                    );
                }
            }
        }
    }
}

fn is_composite(field_type: &FieldType) -> bool {
    matches!(
        field_type,
        FieldType::Object(_) | FieldType::List(_) | FieldType::Json
    )
}

/// Whether a field is declared, even wrongly.
pub(super) fn is_declared(resource: &ResourceMapping, name: &str) -> bool {
    let schema = resource.schema.get();
    let fields = schema.and_then(|schema| schema.fields.get());
    fields.is_some_and(|fields| fields.0.iter().any(|(field, _)| field.text == name))
}
