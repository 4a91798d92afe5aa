//! How answers are read: the format of their bodies, and what is done about some of them.

use connector_plan::{
    Action, BodyFormat, Client, Csv, CursorSource, Endpoint, Field, FieldType, HeaderValueIs,
    Paginator, ResponseAction, ResponseBody, Retry, Root, StatusRange, Step, Stop, Wait,
};

use super::Lowering;
use super::condition::Moment;
use crate::diagnostic::{Diagnostic, code};
use crate::source::Span;
use crate::spec::{
    ActionSpec, BackoffSpec, ClientSpec, CompressionSpec, EndpointMapping, ErrorHandlerSpec,
    FormatSpec, Given, Key, Named, ResponseActionSpec, ResponseMapping, RetrySpec, Spec,
    StatusSpec, Text, WaitSpec,
};
use crate::words::quote;

impl Lowering<'_, '_> {
    /// How the bodies of an endpoint are read, which must go with everything else about it.
    pub(super) fn response_body(
        &mut self,
        written: &EndpointMapping,
        endpoint: &Endpoint,
        fields: &[Field],
        blame: Span,
    ) -> ResponseBody {
        let Some(given) = written.response.given() else {
            return ResponseBody::default();
        };
        let spec = &given.value.0;
        let word = spec.format.get().copied().unwrap_or(FormatSpec::Json);
        let format = match word {
            FormatSpec::Csv => BodyFormat::Csv(self.csv(spec)),
            FormatSpec::Json => BodyFormat::Json,
            FormatSpec::Jsonl => BodyFormat::Jsonl,
            FormatSpec::Xml => BodyFormat::Xml,
        };
        match &format {
            BodyFormat::Csv(_) => self.check_csv(given.key.span, written, endpoint, fields, blame),
            BodyFormat::Xml => self.check_xml(given.key.span, written, endpoint),
            BodyFormat::Json | BodyFormat::Jsonl => {}
        }
        if word != FormatSpec::Csv {
            self.only_csv(spec);
        }
        ResponseBody {
            format,
            gzip: spec.compression.get() == Some(&CompressionSpec::Gzip),
        }
    }

    fn only_csv(&mut self, spec: &ResponseMapping) {
        let keys = [
            spec.delimiter.key_span(),
            spec.quote.key_span(),
            spec.columns.key_span(),
            spec.header.key_span(),
            spec.null_values.key_span(),
        ];
        for span in keys.into_iter().flatten() {
            self.report(
                Diagnostic::error(
                    code::CONFLICT,
                    format!("{} is for CSV", quote(span.of(self.reporter.text))),
                )
                .label(span, "has no meaning here")
                .help("remove it, or write `format: csv`"),
            );
        }
    }

    fn csv(&mut self, spec: &ResponseMapping) -> Csv {
        let mut csv = Csv::default();
        if let Some(character) = self.character(&spec.delimiter) {
            csv.delimiter = character;
        }
        match &spec.quote {
            Key::Null(_) => csv.quote = None,
            key => csv.quote = self.character(key).or(csv.quote),
        }
        if csv.quote == Some(csv.delimiter)
            && let Some(given) = spec.delimiter.given().or(spec.quote.given())
        {
            self.invalid("the delimiter is the quote", given.span, "they must differ");
        }
        if let Some(nulls) = spec.null_values.get() {
            csv.nulls = nulls.iter().map(|text| text.value.clone()).collect();
        }
        for text in spec.columns.get().into_iter().flatten() {
            if csv.columns.contains(&text.value) {
                self.invalid(
                    format!("the column {} is there twice", quote(&text.value)),
                    text.span,
                    "the second time",
                );
            }
            csv.columns.push(text.value.clone());
        }
        if let Some(given) = spec.columns.given()
            && given.value.is_empty()
        {
            self.invalid("a row needs a column", given.span, "none here");
        }
        csv.header = spec.header.get().copied().unwrap_or(csv.columns.is_empty());
        if !csv.header && spec.columns.is_unset() {
            let span = spec.header.key_span().unwrap_or(spec.blame);
            self.missing(
                "columns",
                "CSV without a header",
                span,
                "write `columns: [id, name]` with the names of the columns",
            );
        }
        csv
    }

    fn character(&mut self, key: &Key<Text>) -> Option<char> {
        let text = key.get()?;
        let mut characters = text.value.chars();
        match (characters.next(), characters.next()) {
            (Some(one), None) if one.is_ascii() && !matches!(one, '\n' | '\r' | '\0') => Some(one),
            _ => {
                self.report(
                    Diagnostic::error(
                        code::INVALID_VALUE,
                        format!("{} is not one ASCII character", quote(&text.value)),
                    )
                    .label(text.span, "expected one character")
                    .help("a tab is written `\"\\t\"`"),
                );
                None
            }
        }
    }

    fn check_csv(
        &mut self,
        format: Span,
        written: &EndpointMapping,
        endpoint: &Endpoint,
        fields: &[Field],
        blame: Span,
    ) {
        if let Some(span) = written.data_selector.key_span() {
            self.report(
                Diagnostic::error(code::CONFLICT, "CSV has no `data_selector`")
                    .label(span, "every row is a record")
                    .label(format, "the format")
                    .help("remove it"),
            );
        }
        for field in fields {
            let kind = match field.field_type {
                FieldType::Object(_) => "an object",
                FieldType::List(_) => "a list",
                FieldType::Json => "JSON",
                _ => continue,
            };
            self.report(
                Diagnostic::error(
                    code::CONFLICT,
                    format!(
                        "the field {} is {kind}, which CSV has not",
                        quote(&field.name)
                    ),
                )
                .label(format, "the format")
                .label(blame, "the resource")
                .help("declare it as `string`"),
            );
        }
        let stop: Option<&Stop> = match &endpoint.paginator {
            Paginator::Offset(offset) => Some(&offset.stop),
            Paginator::PageNumber(page) => Some(&page.stop),
            Paginator::Cursor(cursor) => Some(&cursor.stop),
            _ => None,
        };
        let source = match &endpoint.paginator {
            Paginator::Cursor(cursor) => match &cursor.source {
                CursorSource::Body(_) => true,
                CursorSource::Jinja(jinja) => jinja.paths(Root::Response).next().is_some(),
                _ => false,
            },
            _ => false,
        };
        let stops = |stop: &Stop| {
            let condition = stop.condition.as_ref();
            stop.total.is_some()
                || stop.has_more.is_some()
                || condition.is_some_and(|condition| !condition.paths(Root::Response).is_empty())
        };
        if source || stop.is_some_and(stops) {
            let span = written.paginator.key_span().unwrap_or(blame);
            self.report(
                Diagnostic::error(code::CONFLICT, "the paginator reads a value of the body")
                    .label(span, "CSV has rows and nothing beside them")
                    .label(format, "the format")
                    .help("page by `offset` or `page_number`, or by a header"),
            );
        }
    }

    fn check_xml(&mut self, format: Span, written: &EndpointMapping, endpoint: &Endpoint) {
        if matches!(endpoint.data_selector.steps.first(), Some(Step::Key(_))) {
            return;
        }
        let span = written.data_selector.key_span().unwrap_or(format);
        self.report(
            Diagnostic::error(
                code::MISSING_KEY,
                "XML needs a `data_selector` from its root element",
            )
            .label(span, "it begins with the name of the root element")
            .help("write `data_selector: feed.entry`"),
        );
    }

    /// What is done about the answers of an endpoint: its own actions, then the client's.
    pub(super) fn response_actions(
        &mut self,
        written: &EndpointMapping,
        client: Option<&ClientSpec>,
    ) -> Vec<ResponseAction> {
        let mut actions = Vec::new();
        self.handler(written.error_handler.given(), &mut actions);
        self.actions(&written.response_actions, &mut actions);
        let Some(client) = client else { return actions };
        // An endpoint's explicit null takes back what the client says.
        if !matches!(written.error_handler, Key::Null(_)) {
            self.handler(client.error_handler.given(), &mut actions);
        }
        if !matches!(written.response_actions, Key::Null(_)) {
            self.actions(&client.response_actions, &mut actions);
        }
        actions
    }

    fn actions(&mut self, key: &Key<Vec<ResponseActionSpec>>, actions: &mut Vec<ResponseAction>) {
        for spec in key.get().into_iter().flatten() {
            let action = self.action(spec, &[]);
            let empty = spec.status_code.get().is_some_and(|all| all.0.is_empty());
            if fits_by_status(spec) && (spec.status_code.is_unset() || empty) {
                self.report(
                    Diagnostic::error(
                        code::MISSING_KEY,
                        "a response action fits some answers only",
                    )
                    .label(spec.blame, "this one fits all of them")
                    .help("write `status_code`, `content`, `headers` or `predicate`"),
                );
            }
            actions.push(action);
        }
    }

    /// Finds the actions that never count, because one before them in the same list fits the same
    /// answers. Those of another place may: that is how a default is replaced.
    pub(super) fn check_actions(&mut self, spec: &Spec) {
        let client = spec.client.get().map(|client| &client.response_actions);
        let defaults = spec.resource_defaults.get().into_iter();
        let resources = defaults.chain(spec.resources.get().into_iter().flatten());
        let endpoints = resources.filter_map(|resource| resource.0.endpoint.get());
        let lists = endpoints.map(|endpoint| &endpoint.0.response_actions);
        for list in client.into_iter().chain(lists) {
            let mut seen: Vec<(&StatusSpec, Span)> = Vec::new();
            for action in list.get().into_iter().flatten() {
                let statuses = action.status_code.get().map_or(&[][..], |all| &all.0);
                let by = |status: &StatusSpec| {
                    let covers =
                        |known: &StatusSpec| known.from <= status.from && status.to <= known.to;
                    seen.iter()
                        .find(|(known, _)| covers(known))
                        .map(|(_, span)| *span)
                };
                let covered: Option<Vec<Span>> = statuses.iter().map(by).collect();
                if let Some(first) = covered.as_ref().and_then(|spans| spans.first()) {
                    self.reporter.conflict(
                        "this response action never counts: one before it fits the same answers",
                        action.blame,
                        *first,
                    );
                } else if fits_by_status(action) {
                    seen.extend(statuses.iter().map(|status| (status, action.blame)));
                }
            }
        }
    }

    fn action(&mut self, spec: &ResponseActionSpec, waits: &[Wait]) -> ResponseAction {
        if spec.action.is_unset() {
            self.missing(
                "action",
                "a response action",
                spec.blame,
                "write `action: ignore`",
            );
        }
        let action = match spec.action.get() {
            Some(ActionSpec::Ignore) | None => Action::Ignore,
            Some(ActionSpec::Retry) => Action::Retry,
            Some(ActionSpec::Fail) => Action::Fail,
            Some(ActionSpec::RefreshToken) => Action::RefreshToken,
            Some(ActionSpec::Success) => Action::Success,
        };
        let statuses = spec
            .status_code
            .get()
            .map_or(&[][..], |statuses| &statuses.0);
        let headers = spec.headers.get().into_iter().flat_map(Named::given);
        let headers: Vec<HeaderValueIs> = headers
            .map(|(name, given)| HeaderValueIs {
                name: name.text.to_ascii_lowercase(),
                value: given.value.value.trim().to_owned(),
            })
            .collect();
        if let Some(text) = spec.content.get()
            && text.value.is_empty()
        {
            self.invalid(
                "every body contains an empty text",
                text.span,
                "write some text",
            );
        }
        let mut own: Vec<Wait> = Vec::new();
        for wait in spec.wait.get().map_or(&[][..], |waits| &waits.0) {
            own.extend(self::wait(wait));
        }
        if let Some(span) = spec.wait.key_span()
            && action != Action::Retry
        {
            self.report(
                Diagnostic::error(code::CONFLICT, "only `retry` waits")
                    .label(span, "has no meaning here")
                    .help("remove it, or write `action: retry`"),
            );
        }
        if action == Action::Retry {
            own.extend(waits.iter().cloned());
        }
        ResponseAction {
            statuses: statuses
                .iter()
                .map(|status| StatusRange {
                    from: status.from,
                    to: status.to,
                })
                .collect(),
            headers,
            content: spec.content.get().map(|text| text.value.clone()),
            predicate: spec
                .predicate
                .get()
                .and_then(|text| self.condition(text, Moment::Answer)),
            action,
            message: spec.message.get().map(|text| text.value.clone()),
            waits: own,
        }
    }

    /// The filters of a handler and of those in it. The conditions of a filter are alternatives, as
    /// published manifests mean them: each is an action of its own.
    fn handler(
        &mut self,
        handler: Option<&Given<ErrorHandlerSpec>>,
        actions: &mut Vec<ResponseAction>,
    ) {
        if let Some(given) = handler {
            self.filters(&given.value, actions);
        }
    }

    fn filters(&mut self, handler: &ErrorHandlerSpec, actions: &mut Vec<ResponseAction>) {
        for strategy in handler.backoff_strategies.get().into_iter().flatten() {
            self.check_backoff(strategy);
        }
        let waits = waits(
            handler
                .backoff_strategies
                .get()
                .map_or(&[][..], Vec::as_slice),
        );
        for spec in handler.response_filters.get().into_iter().flatten() {
            let whole = self.action(spec, &waits);
            let bare = ResponseAction {
                statuses: Vec::new(),
                content: None,
                predicate: None,
                headers: whole.headers.clone(),
                ..whole.clone()
            };
            let before = actions.len();
            if !whole.statuses.is_empty() {
                actions.push(ResponseAction {
                    statuses: whole.statuses,
                    ..bare.clone()
                });
            }
            // What a success says is not an error message.
            let failed = vec![StatusRange { from: 400, to: 599 }];
            if whole.content.is_some() {
                actions.push(ResponseAction {
                    statuses: failed,
                    content: whole.content,
                    ..bare.clone()
                });
            }
            if whole.predicate.is_some() {
                actions.push(ResponseAction {
                    predicate: whole.predicate,
                    ..bare
                });
            }
            if actions.len() == before {
                self.report(
                    Diagnostic::error(
                        code::MISSING_KEY,
                        "a response filter fits some answers only",
                    )
                    .label(spec.blame, "this one fits all of them")
                    .help("write `http_codes`, `error_message_contains` or `predicate`"),
                );
            }
        }
        for inner in handler.error_handlers.get().into_iter().flatten() {
            self.filters(inner, actions);
        }
    }

    fn check_backoff(&mut self, strategy: &BackoffSpec) {
        let (key, given, blame) = match strategy {
            BackoffSpec::Header(spec) => ("header", !spec.header.is_unset(), spec.blame),
            BackoffSpec::Until(spec) => ("header", !spec.header.is_unset(), spec.blame),
            BackoffSpec::Constant(spec) => {
                let key = "backoff_time_in_seconds";
                (key, !spec.seconds.is_unset(), spec.blame)
            }
            BackoffSpec::Exponential(_) => return,
        };
        if !given {
            let help = format!("write `{key}`, or remove the strategy");
            self.missing(key, "a backoff strategy", blame, &help);
        }
    }

    /// The retry rules of an error handler, over those that hold without it.
    pub(super) fn handler_retry(
        &mut self,
        handler: &Key<ErrorHandlerSpec>,
        written: &Key<RetrySpec>,
        base: &Retry,
    ) -> Option<Retry> {
        let handler = &handler.given()?.value;
        let mut all = Vec::new();
        with_inner(handler, &mut all);
        let strategies: Vec<BackoffSpec> = all
            .iter()
            .flat_map(|handler| handler.backoff_strategies.get().into_iter().flatten())
            .cloned()
            .collect();
        let max_retries = all.iter().find_map(|handler| handler.max_retries.given());
        if let (Some(handler), Some(written)) = (
            max_retries,
            written.get().and_then(|retry| retry.max_retries.given()),
        ) {
            self.reporter.conflict(
                "the retries are counted in `retry` and in `error_handler`",
                handler.key.span.max(written.key.span),
                handler.key.span.min(written.key.span),
            );
        }
        if strategies.is_empty() && max_retries.is_none() {
            return None;
        }
        let mut retry = base.clone();
        if let Some(given) = max_retries {
            retry.max_retries = u32::try_from(given.value.0).unwrap_or(u32::MAX);
        }
        retry.waits = waits(&strategies);
        for strategy in &strategies {
            if let BackoffSpec::Exponential(exponential) = strategy {
                retry.backoff_factor = exponential.factor.get().map_or(5.0, |factor| factor.0);
            }
        }
        Some(retry)
    }

    /// The rules of retry for an endpoint whose error handler, or whose own rules, differ from
    /// those of the client.
    pub(super) fn endpoint_retry(
        &mut self,
        written: &EndpointMapping,
        own: Option<Retry>,
        client: &Client,
    ) -> Option<Retry> {
        let base = own.clone().unwrap_or_else(|| client.retry.clone());
        self.handler_retry(&written.error_handler, &written.retry, &base)
            .or(own)
    }
}

/// An error handler and all within it, outer ones first.
fn with_inner<'s>(handler: &'s ErrorHandlerSpec, all: &mut Vec<&'s ErrorHandlerSpec>) {
    all.push(handler);
    for inner in handler.error_handlers.get().into_iter().flatten() {
        with_inner(inner, all);
    }
}

/// Whether an action fits every answer of its statuses.
fn fits_by_status(spec: &ResponseActionSpec) -> bool {
    spec.headers.is_unset() && spec.content.is_unset() && spec.predicate.is_unset()
}

/// How long to wait; nothing where a mistake has been reported.
pub(super) fn wait(spec: &WaitSpec) -> Option<Wait> {
    let mapping = match spec {
        WaitSpec::Seconds(seconds) => return Some(Wait::Seconds(seconds.0)),
        WaitSpec::Header(mapping) => mapping,
    };
    let until = mapping.until_header.get().map(|header| Wait::Until {
        header: header.value.clone(),
        minimum: mapping.minimum.get().map_or(0.0, |amount| amount.0),
    });
    let header = mapping.header.get();
    until.or_else(|| header.map(|header| Wait::Header(header.value.clone())))
}

fn waits(strategies: &[BackoffSpec]) -> Vec<Wait> {
    let header = |key: &Key<Text>| key.get().map(|text| text.value.clone());
    strategies
        .iter()
        .filter_map(|strategy| match strategy {
            BackoffSpec::Header(spec) => header(&spec.header).map(Wait::Header),
            BackoffSpec::Until(spec) => header(&spec.header).map(|header| Wait::Until {
                header,
                minimum: spec.min_wait.get().map_or(0.0, |amount| amount.0),
            }),
            BackoffSpec::Constant(spec) => spec.seconds.get().map(|wait| Wait::Seconds(wait.0)),
            BackoffSpec::Exponential(_) => None,
        })
        .collect()
}
