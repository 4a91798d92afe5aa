//! How answers are read, as it is written: the format of their bodies, and actions.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{FromNode, OneOrMany, Reporter};
use super::scalars::{Amount, Whole};
use super::{Given, Key, Named, Text};
use crate::diagnostic::{Diagnostic, code};
use crate::words::quote;
use crate::yaml::{Name, Node, Value};

mapping! {
    /// How the bodies of pages are read. A format alone, such as `csv`, is short for a mapping.
    ResponseMapping, "response";
    /// The format. With `jsonl`, JSON Lines, every line is what `data_selector` looks into; with
    /// `csv` every row is a record. With `xml` an element is a member, an attribute a member
    /// `@name`, text beside them `#text`, and elements of the same name are a list; `data_selector`
    /// begins with the root element. Texts of `csv` and `xml` become what the schema says.
    format: FormatSpec = "format" | "type", default "json";
    /// Whether the body is a gzip file, beside any content encoding, which needs no mention.
    compression: CompressionSpec = "compression", default "none";
    /// CSV: what stands between two values, an ASCII character.
    delimiter: Text = "delimiter" | "separator", default ",";
    /// CSV: what stands around values with delimiters or line breaks in them, an ASCII character;
    /// null when there is none.
    quote: Text = "quote" | "quote_character", default "\"";
    /// CSV: the names of the columns. They are keys of the schema.
    columns: Vec<Text> = "columns" | "field_names";
    /// CSV: whether the first row names the columns; beside `columns` it is skipped. It does unless
    /// there are `columns`.
    header: bool = "header", default true;
    /// CSV: the values without quotes that are null. By default that is the empty one alone.
    null_values: Vec<Text> = "null_values" | "set_values_to_none", default [""];
    later {
        "encoding" => "the charset is that of the `Content-Type`, or UTF-8",
        "decoder" => "write `{format: json, compression: gzip}` for a gzip file",
    }
}

/// How the bodies of pages are read; a format alone is short for a mapping.
#[derive(Clone, Debug)]
pub(crate) struct ResponseSpec(pub ResponseMapping);

impl FromNode for ResponseSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        if !matches!(node.value, Value::String(_)) {
            return ResponseMapping::from_node(node, reporter).map(Self);
        }
        let mut mapping = ResponseMapping::empty(node.blame);
        mapping.format = Key::Given(Given {
            key: Name {
                text: "format".to_owned(),
                span: node.span,
            },
            span: node.span,
            value: FormatSpec::from_node(node, reporter)?,
        });
        Some(Self(mapping))
    }
}

impl JsonSchema for ResponseSpec {
    fn schema_name() -> Cow<'static, str> {
        "Response".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let word = generator.subschema_for::<FormatSpec>();
        let mapping = ResponseMapping::schema(generator, None);
        json_schema!({ "anyOf": [word, mapping] })
    }
}

choice! {
    /// The format of a body.
    FormatSpec, "format";
    Json = "json" | "JsonDecoder";
    Jsonl = "jsonl" | "ndjson" | "JsonlDecoder";
    Csv = "csv" | "CsvDecoder";
    Xml = "xml" | "XmlDecoder";
    => later {
        "GzipDecoder" => "write `{format: json, compression: gzip}`",
        "ZipfileDecoder" => "",
    }
}

choice! {
    /// How a body is packed as a file.
    CompressionSpec, "compression";
    None = "none";
    Gzip = "gzip";
    => later {
        "zip" => "",
    }
}

mapping! {
    /// What is done about some answers. Everything that it says must be true of an answer; the
    /// first of several that fits counts. Actions come before `retry.statuses`, those of an
    /// endpoint before those of `resource_defaults`, and these before those of `client`. A `401`
    /// renews the credentials once before any action is asked.
    ResponseActionSpec, "response action";
    /// The status, or the statuses: `404`, `5xx`, `500-599`. Every status without it.
    status_code: OneOrMany<StatusSpec> = "status_code" | "status_codes" | "status" | "http_codes";
    /// What the text of the body contains, to the letter.
    content: Text = "content" | "error_message_contains";
    /// Headers that the answer has, with these values.
    headers: Named<Text> = "headers";
    /// What is true of the answer: `{{ response.error.code == 7 }}`, `{{ 'error' in response }}`.
    /// Where the body is no JSON, `response` is empty.
    predicate: Text = "predicate" | "when";
    /// What is done: `ignore` makes it an empty page after which there is no other, and counts it;
    /// `retry` sends the request again by the rules of `retry`; `fail` ends the reading;
    /// `refresh_token` renews the credentials once and sends the request again; `success` takes it
    /// for a page.
    action: ActionSpec = "action" => required;
    /// What an error says; it is shown as it stands.
    message: Text = "message" | "error_message";
    /// How long to wait before a retry, in seconds or by a header. Otherwise `retry` decides.
    wait: OneOrMany<WaitSpec> = "wait";
    /// Airbyte's name for it.
    kind: FilterTypeSpec = "type";
    later {
        "failure_type" => "remove it: the status decides",
    }
}

choice! {
    /// Airbyte's name for a response action.
    FilterTypeSpec, "type";
    HttpResponseFilter = "HttpResponseFilter";
    => later {}
}

choice! {
    /// What is done about an answer.
    ActionSpec, "action";
    Ignore = "ignore" | "IGNORE";
    Retry = "retry" | "RETRY" | "rate_limited" | "RATE_LIMITED";
    Fail = "fail" | "FAIL";
    RefreshToken = "refresh_token" | "REFRESH_TOKEN_THEN_RETRY";
    Success = "success" | "SUCCESS";
    => later {
        "RESET_PAGINATION" => "",
    }
}

/// Statuses from one to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusSpec {
    pub from: u16,
    pub to: u16,
}

impl FromNode for StatusSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        let range = match &node.value {
            Value::Integer(status) => u16::try_from(*status).ok().map(|status| (status, status)),
            Value::String(text) => statuses(text),
            _ => {
                reporter.wrong_type(node, "a status such as `404`, `5xx` or `500-599`");
                return None;
            }
        };
        match range {
            Some((from, to)) if (100..=599).contains(&from) && (from..=599).contains(&to) => {
                Some(Self { from, to })
            }
            _ => {
                let written = quote(node.span.of(reporter.text));
                reporter.report(
                    Diagnostic::error(code::INVALID_VALUE, format!("{written} is no status"))
                        .label(node.span, "expected `404`, `5xx` or `500-599`"),
                );
                None
            }
        }
    }
}

fn statuses(text: &str) -> Option<(u16, u16)> {
    let lower = text.trim().to_ascii_lowercase();
    if let Some(class) = lower.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class))?;
        return Some((class * 100, class * 100 + 99));
    }
    match lower.split_once('-') {
        Some((from, to)) => Some((from.trim().parse().ok()?, to.trim().parse().ok()?)),
        None => lower.parse().ok().map(|status| (status, status)),
    }
}

impl JsonSchema for StatusSpec {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Status".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": "^([1-5][0-9][0-9]|[1-5][xX][xX])( *- *[1-5][0-9][0-9])?$" },
        ] })
    }
}

mapping! {
    /// A wait that a header tells; exactly one of the two.
    WaitMapping, "wait";
    /// The header that has the seconds to wait.
    header: Text = "header";
    /// The header that has the second since 1970 at which to go on.
    until_header: Text = "until_header";
    /// The shortest wait until then, in seconds.
    minimum: Amount = "minimum" | "min_wait", default 0;
    later {}
}

/// How long to wait: seconds, or a header that tells.
#[derive(Clone, Debug)]
pub(crate) enum WaitSpec {
    Seconds(Amount),
    Header(Box<WaitMapping>),
}

impl FromNode for WaitSpec {
    fn from_node(node: &Node, reporter: &mut Reporter<'_>) -> Option<Self> {
        match &node.value {
            Value::Mapping(_) => {
                let mapping = WaitMapping::from_node(node, reporter)?;
                if mapping.header.is_absent() == mapping.until_header.is_absent() {
                    reporter.report(
                        Diagnostic::error(code::CONFLICT, "a wait is told by one header")
                            .label(node.blame, "expected `header` or `until_header`")
                            .help("write `{header: X-Retry-In}` or `{until_header: X-RateLimit-Reset}`"),
                    );
                    return None;
                }
                Some(Self::Header(Box::new(mapping)))
            }
            _ => Amount::from_node(node, reporter).map(Self::Seconds),
        }
    }
}

impl JsonSchema for WaitSpec {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "WaitFor".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let seconds = generator.subschema_for::<Amount>();
        let header = generator.subschema_for::<WaitMapping>();
        json_schema!({ "anyOf": [seconds, header] })
    }
}

mapping! {
    /// Airbyte's form of response actions and retry rules. What it says about answers comes before
    /// the other actions of the same place; the conditions of one filter are alternatives.
    ErrorHandlerSpec, "error_handler";
    /// Airbyte's name for it.
    kind: ErrorHandlerTypeSpec = "type";
    /// The actions.
    response_filters: Vec<ResponseActionSpec> = "response_filters";
    /// Handlers, of whose filters the first that fits counts.
    error_handlers: Vec<ErrorHandlerSpec> = "error_handlers";
    /// The attempts after the first, in place of `retry.max_retries`.
    max_retries: Whole<0, 100> = "max_retries";
    /// How long to wait before a retry: the first that the answer has a value for counts.
    backoff_strategies: Vec<BackoffSpec> = "backoff_strategies";
    later {
        "max_time" => "remove it: `max_retries` and `retry.max_delay` bound the time",
    }
}

choice! {
    /// Airbyte's name for an error handler.
    ErrorHandlerTypeSpec, "type";
    DefaultErrorHandler = "DefaultErrorHandler";
    CompositeErrorHandler = "CompositeErrorHandler";
    => later {
        "CustomErrorHandler" => "",
    }
}

tagged! {
    /// How long to wait before a retry, as Airbyte has it.
    BackoffSpec, "backoff strategy";
    Header(HeaderBackoffSpec) = "WaitTimeFromHeader";
    Until(UntilBackoffSpec) = "WaitUntilTimeFromHeader";
    Constant(ConstantBackoffSpec) = "ConstantBackoffStrategy";
    Exponential(ExponentialBackoffSpec) = "ExponentialBackoffStrategy";
    => later {
        "CustomBackoffStrategy" => "",
    }
}

mapping! {
    /// As many seconds as a header says.
    HeaderBackoffSpec, "backoff strategy";
    /// The header.
    header: Text = "header" => required;
    later {
        "regex" => "",
        "max_waiting_time_in_seconds" => "use `retry.max_delay`",
    }
}

mapping! {
    /// Until the second since 1970 that a header says.
    UntilBackoffSpec, "backoff strategy";
    /// The header.
    header: Text = "header" => required;
    /// The shortest wait, in seconds.
    min_wait: Amount = "min_wait", default 0;
    later {
        "regex" => "",
    }
}

mapping! {
    /// Always the same wait.
    ConstantBackoffSpec, "backoff strategy";
    /// The wait, in seconds.
    seconds: Amount = "backoff_time_in_seconds" => required;
    later {}
}

mapping! {
    /// A wait that doubles: `retry.backoff_factor`.
    ExponentialBackoffSpec, "backoff strategy";
    /// The first wait, in seconds.
    factor: Amount = "factor", default 5;
    later {}
}
