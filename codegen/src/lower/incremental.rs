//! The cursor of a resource: what it is compared as, where its range goes, and what fits together.

use connector_plan::{
    Body, CursorKind, Endpoint, Field, FieldType, Incremental, Length, Lookup, Method,
    MissingCursor, Resource, Root, RowOrder, Step, Target, Template, WriteDisposition,
};
use serde_json::Value;

use super::Lowering;
use super::fields::format_problem;
use super::inputs::{is_date, is_timestamp};
use super::template::{Purpose, text_of};
use crate::diagnostic::{Diagnostic, code};
use crate::expression::Found;
use crate::source::Span;
use crate::spec::{
    EndpointMapping, IncrementalSpec, InjectSpec, Key, MissingSpec, MomentSpec, Named,
    ParameterSpec, PlaceSpec, RangeSpec, ResourceMapping, RowOrderSpec, Scalar, Text,
};
use crate::words::{list, nearest, quote};

/// The names that `{incremental.…}` and `stream_interval` know, with what they mean.
const NAMES: [(&str, &str); 6] = [
    ("start_value", "start_value"),
    ("last_value", "start_value"),
    ("start_time", "start_value"),
    ("initial_value", "initial_value"),
    ("end_value", "end_value"),
    ("end_time", "end_value"),
];

/// The cursor of a resource as it is written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) spec: IncrementalSpec,
    /// The parameter that has the cursor as its value.
    param: Option<Text>,
    /// What to point at when the cursor as a whole is wrong.
    blame: Span,
}

/// The lookup of the start (0) or the end (1) of the range.
pub(super) fn interval(end: usize, default: Option<Value>) -> Lookup {
    let name = if end == 1 { "end_value" } else { "start_value" };
    Lookup {
        root: Root::Interval,
        path: vec![Step::Key(name.to_owned())],
        default,
    }
}

impl Lowering<'_, '_> {
    /// Finds the cursor of a resource, before its requests are lowered.
    pub(super) fn open_interval(
        &mut self,
        resource: &ResourceMapping,
        endpoint: &EndpointMapping,
    ) -> Option<Written> {
        let mut found: Vec<Written> = Vec::new();
        for given in [resource.incremental.given(), endpoint.incremental.given()]
            .into_iter()
            .flatten()
        {
            found.push(Written {
                spec: given.value.clone(),
                param: None,
                blame: given.key.span,
            });
        }
        for (name, given) in endpoint.params.get().into_iter().flat_map(Named::given) {
            if let ParameterSpec::Incremental(spec) = &given.value {
                found.push(Written {
                    spec: (**spec).clone(),
                    param: Some(Text {
                        value: name.text.clone(),
                        span: name.span,
                    }),
                    blame: name.span,
                });
            }
        }
        if let [first, second, ..] = found.as_slice() {
            let (first, second) = (first.blame, second.blame);
            self.reporter.conflict(
                "a resource has one cursor",
                first.max(second),
                first.min(second),
            );
        }
        let written = found.into_iter().next()?;
        let name = |key: &Key<Text>, default: &str| {
            key.get()
                .map_or_else(|| default.to_owned(), |text| text.value.clone())
        };
        self.scope.interval = Some([
            name(&written.spec.partition_field_start, "start_time"),
            name(&written.spec.partition_field_end, "end_time"),
        ]);
        Some(written)
    }

    /// Resolves `{incremental.start_value}`, `stream_interval.start_time` and the like.
    pub(super) fn resolve_interval(&mut self, found: Found, span: Span) -> Lookup {
        if self.scope.interval.is_none() {
            self.report(
                Diagnostic::error(code::UNBOUND, "there is no incremental cursor")
                    .label(span, "nothing gives this a value")
                    .help("write `incremental: {cursor_path: updated_at, initial_value: …}` in the resource"),
            );
        }
        let name = match found.path.as_slice() {
            [Step::Key(name)] => name.as_str(),
            _ => "",
        };
        let Some((_, meaning)) = NAMES.iter().find(|(known, _)| *known == name) else {
            let names: Vec<&str> = NAMES.iter().map(|(known, _)| *known).collect();
            let near = nearest(name, names.iter().copied());
            self.report(
                Diagnostic::error(
                    code::EXPRESSION,
                    format!("the cursor has no value {}", quote(name)),
                )
                .label(span, format!("expected {}", list(&names, "or")))
                .help_if(near.map(|near| format!("did you mean {}?", quote(near)))),
            );
            return interval(0, found.default);
        };
        self.scope.interval_uses[usize::from(*meaning == "end_value")].push(span);
        Lookup {
            path: vec![Step::Key((*meaning).to_owned())],
            ..interval(0, found.default)
        }
    }

    /// The cursor of a resource whose requests and fields are known.
    pub(super) fn incremental(
        &mut self,
        written: &Written,
        endpoint: &Endpoint,
        fields: &[Field],
        disposition: WriteDisposition,
    ) -> Option<Incremental> {
        let spec = &written.spec;
        let Some(cursor_path) = spec.cursor_path.get() else {
            if spec.cursor_path.is_unset() {
                self.missing(
                    "cursor_path",
                    "`incremental`",
                    spec.blame,
                    "write `cursor_path: updated_at`",
                );
            }
            return None;
        };
        let cursor = self.single_path(cursor_path);
        let field_type = self.cursor_field(&cursor, cursor_path, fields)?;
        let (kind, record_formats, default_format) =
            self.cursor_kind(spec, field_type, cursor_path)?;
        let format = match spec.format.get() {
            None => default_format,
            Some(text) => {
                if !matches!(kind, CursorKind::Timestamp | CursorKind::Date) {
                    self.no_effect(
                        "a format",
                        text.span,
                        "this cursor is no instant and no date",
                    );
                }
                self.instant_format(text)
            }
        };
        let mut value_formats = Vec::new();
        let initial = self.moment(&spec.initial_value, kind, &mut value_formats);
        let end = self.moment(&spec.end_value, kind, &mut value_formats);
        let start_target = self.end_place(
            [&spec.start_param, &spec.start_body_path, &spec.start_header],
            &spec.start_option,
            written.param.as_ref(),
            endpoint,
        );
        let end_target = self.end_place(
            [&spec.end_param, &spec.end_body_path, &spec.end_header],
            &spec.end_option,
            None,
            endpoint,
        );
        let step = self.extent(&spec.step, kind, "step");
        let granularity = self.extent(&spec.granularity, kind, "granularity");
        let lag = self.extent(&spec.lag, kind, "lag");
        let lowered = Incremental {
            cursor,
            kind,
            record_formats,
            format,
            value_formats,
            initial,
            end,
            start_target,
            end_target,
            start_open: spec.range_start.get() == Some(&RangeSpec::Open),
            end_closed: spec.range_end.get() == Some(&RangeSpec::Closed),
            step,
            granularity,
            lag,
            client_side: spec.client_side.get().copied().unwrap_or(true),
            row_order: spec.row_order.get().map(|order| match order {
                RowOrderSpec::Ascending => RowOrder::Ascending,
                RowOrderSpec::Descending => RowOrder::Descending,
            }),
            missing: match spec.on_cursor_value_missing.get() {
                None | Some(MissingSpec::Raise) => MissingCursor::Raise,
                Some(MissingSpec::Include) => MissingCursor::Include,
                Some(MissingSpec::Exclude) => MissingCursor::Exclude,
            },
            names: self.scope.interval.clone().unwrap_or_default(),
        };
        self.check_incremental(written, &lowered, disposition);
        Some(lowered)
    }

    /// The type of the cursor's field; nothing when something is wrong, which has been reported.
    fn cursor_field<'f>(
        &mut self,
        cursor: &[Step],
        text: &Text,
        fields: &'f [Field],
    ) -> Option<&'f FieldType> {
        // Without fields something else is wrong.
        if fields.is_empty() || cursor.is_empty() {
            return None;
        }
        match Field::resolve(fields, cursor) {
            Ok(field) => Some(&field.field_type),
            Err(fields) => {
                let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                self.report(
                    Diagnostic::error(
                        code::UNKNOWN_FIELD,
                        format!("the cursor {} is not a field", quote(&text.value)),
                    )
                    .label(text.span, "not in the schema")
                    .known("fields", &text.value, &names),
                );
                None
            }
        }
    }

    /// How cursors are compared, how records write them, and how requests do by default.
    fn cursor_kind(
        &mut self,
        spec: &IncrementalSpec,
        field: &FieldType,
        cursor: &Text,
    ) -> Option<(CursorKind, Vec<String>, String)> {
        let written = spec.cursor_formats.given();
        let own = match field {
            FieldType::Timestamp { formats } => {
                let first = formats.first().cloned().unwrap_or_default();
                Some((CursorKind::Timestamp, first))
            }
            FieldType::Date => Some((CursorKind::Date, "%Y-%m-%d".to_owned())),
            FieldType::Integer => Some((CursorKind::Integer, String::new())),
            FieldType::Decimal { scale, .. } => Some((CursorKind::Decimal(*scale), String::new())),
            FieldType::String => Some((CursorKind::String, String::new())),
            _ => None,
        };
        if let Some(given) = written
            && matches!(
                field,
                FieldType::String | FieldType::Integer | FieldType::Number
            )
        {
            let formats: Vec<String> = given
                .value
                .0
                .iter()
                .map(|text| self.instant_format(text))
                .collect();
            let first = formats.first().cloned().unwrap_or_default();
            if formats.is_empty() {
                self.invalid("`cursor_formats` lists no format", given.span, "none here");
            }
            return Some((CursorKind::Timestamp, formats, first));
        }
        if let (Some(given), Some(_)) = (written, &own) {
            self.no_effect(
                "`cursor_formats`",
                given.key.span,
                "the field has formats of its own: write them there",
            );
        }
        let Some((kind, format)) = own else {
            let number = matches!(field, FieldType::Number);
            self.report(
                Diagnostic::error(
                    code::WRONG_TYPE,
                    format!("{} cannot be a cursor", quote(&cursor.value)),
                )
                .label(cursor.span, "its type has no exact order")
                .note("a cursor is a timestamp, a date, an integer, a decimal or a string")
                .help_if(number.then(|| {
                    "write `cursor_formats: epoch_seconds` when it is an instant, or declare the field as `integer`"
                        .to_owned()
                })),
            );
            return None;
        };
        Some((kind, Vec::new(), format))
    }

    fn no_effect(&mut self, what: &str, span: Span, label: &str) {
        self.report(
            Diagnostic::error(code::NO_EFFECT, format!("{what} without effect")).label(span, label),
        );
    }

    /// A format in the words of this language.
    fn instant_format(&mut self, text: &Text) -> String {
        let format = match text.value.as_str() {
            "%s" | "%s_as_float" => "epoch_seconds",
            "%ms" | "%_ms" => "epoch_milliseconds",
            format => {
                if let Some(problem) = format_problem(format) {
                    self.report(
                        Diagnostic::error(
                            code::INVALID_VALUE,
                            format!("{} is not a timestamp format", quote(format)),
                        )
                        .label(text.span, problem)
                        .help("write `rfc3339`, `epoch_seconds`, `epoch_milliseconds`, or a form such as `%Y-%m-%d`"),
                    );
                }
                format
            }
        };
        format.to_owned()
    }

    /// An end of the range.
    fn moment(
        &mut self,
        key: &Key<MomentSpec>,
        kind: CursorKind,
        formats: &mut Vec<String>,
    ) -> Option<Template> {
        let scalar = match key.get()? {
            MomentSpec::Value(scalar) => scalar,
            MomentSpec::Mapping(mapping) => {
                if let Some(format) = mapping.format.get() {
                    let format = self.instant_format(format);
                    if !formats.contains(&format) {
                        formats.push(format);
                    }
                }
                match mapping.datetime.get() {
                    Some(scalar) => scalar,
                    None => {
                        if mapping.datetime.is_unset() {
                            self.missing(
                                "datetime",
                                "an instant",
                                mapping.blame,
                                "write `datetime: '2024-01-01T00:00:00Z'`",
                            );
                        }
                        return None;
                    }
                }
            }
        };
        // The range itself is made from this, so it cannot name the range.
        let interval = self.scope.interval.take();
        let uses = self.scope.interval_uses.clone();
        let template = self.template(&text_of(scalar), Purpose::Other);
        self.scope.interval = interval;
        self.scope.interval_uses = uses;
        if let Template::Literal(value) = &template {
            self.check_moment(value, scalar.span, kind, formats);
        }
        for expression in template.expressions() {
            let partitioned = match expression {
                connector_plan::Expression::Lookup(lookup) => lookup.root == Root::Partition,
                connector_plan::Expression::Jinja(jinja) => {
                    jinja.paths(Root::Partition).next().is_some()
                }
                _ => false,
            };
            if partitioned {
                self.invalid(
                    "the ends of a range are the same for all partitions",
                    scalar.span,
                    "this depends on the partition",
                );
            }
        }
        Some(template)
    }

    fn check_moment(&mut self, value: &Value, span: Span, kind: CursorKind, formats: &[String]) {
        let fits = match (kind, value) {
            (CursorKind::Integer, Value::Number(number)) => number.is_i64(),
            (CursorKind::Integer, Value::String(text)) => text.parse::<i64>().is_ok(),
            (CursorKind::Decimal(_), value) => value.is_number() || value.is_string(),
            (CursorKind::Timestamp, Value::Number(_)) => true,
            (CursorKind::Date, Value::String(text)) => {
                is_date(text) || is_timestamp(text) || !formats.is_empty()
            }
            // Whether a text is in one of the formats is known at run time at the latest; what can
            // be none of them is told now.
            (CursorKind::Timestamp, Value::String(text)) => {
                text.bytes().any(|byte| byte.is_ascii_digit())
            }
            (CursorKind::String, Value::String(_)) => true,
            _ => false,
        };
        if !fits {
            let expected = match kind {
                CursorKind::Timestamp => "an instant such as `2024-01-01T00:00:00Z`",
                CursorKind::Date => "a date such as `2024-01-01`",
                CursorKind::Integer => "a 64-bit integer",
                CursorKind::Decimal(_) => "a decimal number",
                CursorKind::String => "a string in quotes",
            };
            self.invalid(
                format!("{} is no value of this cursor", quote(&plain(value))),
                span,
                format!("expected {expected}"),
            );
        }
    }

    /// A length of the range.
    fn extent(&mut self, key: &Key<Scalar>, kind: CursorKind, name: &str) -> Option<Template> {
        let scalar = key.get()?;
        if matches!(kind, CursorKind::String | CursorKind::Decimal(_)) {
            self.no_effect(
                &quote(name),
                key.key_span().unwrap_or(scalar.span),
                "this cursor has no lengths",
            );
            return None;
        }
        let template = self.template(&text_of(scalar), Purpose::Other);
        let length = |text: &str| Length::parse(text);
        let zero = name != "step";
        let fits = match &template {
            Template::Literal(Value::Number(number)) => {
                number.as_u64().is_some_and(|number| number > 0 || zero)
            }
            Template::Literal(Value::String(text)) => match kind {
                CursorKind::Integer => text.parse::<u64>().is_ok_and(|n| n > 0 || zero),
                CursorKind::Date => length(text).is_some_and(|length| {
                    length.micros % 86_400_000_000 == 0 && (zero || !length.is_zero())
                }),
                _ => length(text).is_some_and(|length| zero || !length.is_zero()),
            },
            Template::Expression(_) | Template::Parts(_) => true,
            _ => false,
        };
        if !fits {
            let expected = match kind {
                CursorKind::Integer => "a number",
                CursorKind::Date => "a length of whole days, such as `P1D`, `P1M` or `7 days`",
                _ => "a length of time such as `P1D`, `PT1H`, `P1M` or `7 days`",
            };
            self.invalid(
                format!("{} is no {name}", quote(&plain(&scalar.value))),
                scalar.span,
                format!("expected {expected}"),
            );
        }
        Some(template)
    }

    /// Where an end of the range goes.
    fn end_place(
        &mut self,
        [param, body, header]: [&Key<Text>; 3],
        option: &Key<PlaceSpec>,
        implied: Option<&Text>,
        endpoint: &Endpoint,
    ) -> Option<Target> {
        let option = option.given();
        let written: Vec<Span> = [param, body, header]
            .iter()
            .filter_map(|key| key.given().map(|given| given.key.span))
            .chain(option.map(|given| given.key.span))
            .chain(implied.map(|text| text.span))
            .collect();
        if let [first, second, ..] = written.as_slice() {
            self.reporter.conflict(
                "an end of the range goes to one place",
                *first.max(second),
                *first.min(second),
            );
        }
        let target = if let Some(text) = header.get() {
            self.header_name(&text.value, text.span);
            Target::Header(text.value.clone())
        } else if let Some(text) = body.get() {
            let keys = self.body_path(text);
            self.body_place(keys, text.span, endpoint)
        } else if let Some(text) = param.get().or(implied) {
            Target::Query(text.value.clone())
        } else {
            self.option_place(&option?.value, endpoint)?
        };
        let span = written.first().copied().unwrap_or_default();
        let taken = match &target {
            Target::Query(name) => endpoint.params.iter().any(|param| param.name == *name),
            Target::Json(keys) => match (&endpoint.body, keys.as_slice()) {
                (Some(Body::Json(members)), [key]) => {
                    members.iter().any(|member| member.name == *key)
                }
                _ => false,
            },
            Target::Form(name) => match &endpoint.body {
                Some(Body::Form(fields)) => fields.iter().any(|field| field.name == *name),
                _ => false,
            },
            Target::Header(_) | Target::Path(_) => false,
        };
        if taken {
            self.report(
                Diagnostic::error(code::CONFLICT, "the request has this value already")
                    .label(span, "the cursor sends it, too")
                    .help("remove it from the request, or name the value by a placeholder instead"),
            );
        }
        if let Target::Query(name) = &target
            && name.is_empty()
        {
            self.invalid("the name of a parameter is empty", span, "");
        }
        Some(target)
    }

    fn option_place(&mut self, place: &PlaceSpec, endpoint: &Endpoint) -> Option<Target> {
        if place.inject_into.is_unset() {
            self.missing(
                "inject_into",
                "a place",
                place.blame,
                "write `inject_into: request_parameter`",
            );
        }
        let inject = *place.inject_into.get()?;
        let keys: Vec<String> = match (place.field_name.get(), place.field_path.get()) {
            (Some(name), None) => vec![name.value.clone()],
            (None, Some(path)) => path.iter().map(|key| key.value.clone()).collect(),
            _ => Vec::new(),
        };
        let (Some(first), true) = (
            keys.first(),
            matches!(inject, InjectSpec::Body) || keys.len() == 1,
        ) else {
            self.missing(
                "field_name",
                "a place",
                place.blame,
                "write `field_name: since`; a member of the body may have a `field_path` instead",
            );
            return None;
        };
        Some(match inject {
            InjectSpec::Parameter => Target::Query(first.clone()),
            InjectSpec::Header => {
                self.header_name(first, place.blame);
                Target::Header(first.clone())
            }
            InjectSpec::Body => self.body_place(keys, place.blame, endpoint),
        })
    }

    fn body_place(&mut self, keys: Vec<String>, span: Span, endpoint: &Endpoint) -> Target {
        if endpoint.method == Method::Get {
            self.report(
                Diagnostic::error(code::CONFLICT, "a `GET` request has no body")
                    .label(span, "this would go into the body")
                    .help("write `method: POST` in the endpoint"),
            );
        }
        if !matches!(endpoint.body, Some(Body::Form(_))) {
            return Target::Json(keys);
        }
        if keys.len() > 1 {
            self.invalid(
                "a form has no levels",
                span,
                "the body of this request is the form `data`",
            );
        }
        Target::Form(keys.into_iter().next().unwrap_or_default())
    }

    /// Checks the rules between the keys.
    fn check_incremental(
        &mut self,
        written: &Written,
        cursor: &Incremental,
        disposition: WriteDisposition,
    ) {
        let spec = &written.spec;
        let blame = written.blame;
        if cursor.initial.is_none() && spec.initial_value.is_unset() {
            let use_of_start = self.scope.interval_uses[0].first().copied();
            let need = use_of_start.or(cursor.step.is_some().then(|| {
                let key = spec.step.key_span();
                key.unwrap_or(blame)
            }));
            if let Some(span) = need {
                self.report(
                    Diagnostic::error(code::MISSING_KEY, "`incremental` needs `initial_value`")
                        .label(span, "the first run has no other start")
                        .help("write `initial_value: '2024-01-01T00:00:00Z'`, or send the start by `start_param`, which leaves it out as long as there is none"),
                );
            }
        }
        if cursor.step.is_some() {
            let [start, end] = &self.scope.interval_uses;
            let missing = match (
                cursor.start_target.is_some() || !start.is_empty(),
                cursor.end_target.is_some() || !end.is_empty(),
            ) {
                (true, true) => None,
                (false, _) => Some("start_param"),
                (true, false) => Some("end_param"),
            };
            let span = spec.step.key_span().unwrap_or(blame);
            if let Some(key) = missing {
                self.missing(
                    key,
                    "reading in windows",
                    span,
                    "without it every window would be the same request",
                );
            }
            if cursor.kind == CursorKind::Integer && spec.end_value.is_unset() {
                self.missing(
                    "end_value",
                    "reading integers in windows",
                    span,
                    "an integer has no `now` at which windows end",
                );
            }
        } else if let Some(span) = spec.granularity.key_span() {
            self.no_effect(
                "`granularity`",
                span,
                "only windows (`step`) have a use for it",
            );
        }
        if disposition != WriteDisposition::Append {
            return;
        }
        let include = (cursor.missing == MissingCursor::Include)
            .then(|| spec.on_cursor_value_missing.key_span())
            .flatten();
        let open = (!cursor.client_side)
            .then(|| spec.client_side.key_span())
            .flatten();
        for (span, what) in [
            (spec.lag.key_span(), "`lag` reads records again"),
            (include, "records without a cursor come in every run"),
            (open, "records from before the start may come again"),
        ] {
            if let Some(span) = span {
                self.report(
                    Diagnostic::error(
                        code::CONFLICT,
                        format!("{what}, and `append` would write them twice"),
                    )
                    .label(span, "not with `append`")
                    .help("write `write_disposition: merge` with a `primary_key`"),
                );
            }
        }
    }

    /// A parent that reads only what is new would hide the children of what is old.
    pub(super) fn check_incremental_parent(
        &mut self,
        parent: &Resource,
        new_only: bool,
        span: Span,
    ) {
        match (&parent.incremental, new_only) {
            (Some(_), false) if parent.write_disposition == WriteDisposition::Append => {
                self.report(
                    Diagnostic::error(
                        code::CONFLICT,
                        format!("{} is incremental and appends", quote(&parent.name)),
                    )
                    .label(span, "its children need all of its records in every run")
                    .help("write `write_disposition: merge` in the parent, or `new_only: true` here, to read the children of new records only"),
                );
            }
            (None, true) => self.no_effect(
                "`new_only`",
                span,
                "this parent is read as a whole: it has no cursor",
            ),
            _ => {}
        }
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
