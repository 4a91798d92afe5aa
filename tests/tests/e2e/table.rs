//! Tables of cases: each a spec, a server of the test's own, and exactly what has to be asked.
//!
//! The servers are written here, in a few lines each, and know nothing of the plan; so are the
//! requests that each case expects. All cases of a table share one listener and stand below a path
//! of their own.

mod auth;
mod auto;
mod cursors;
mod jwt;
mod links;
mod numbers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use connector_core::{Client, ClientOptions, Connector, Record, Row, Settings};
use connector_sandbox::{Answer, Options, RequestRecord, Sandbox};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};

/// A record of any type: only its columns are looked at.
struct Any;

impl Record for Any {
    fn from_row(_: &Row<'_>) -> connector_core::Result<Self> {
        Ok(Self)
    }
}

/// What answers the requests of one case; also told how many there have been, this one included.
type Server = Box<dyn Fn(&Asked, usize) -> Answer + Send + Sync>;

/// One case of a table.
struct Case {
    name: String,
    /// The lines before `client`.
    inputs: String,
    /// Keys of the client beside `base_url`, one a line.
    client: String,
    /// The endpoint, one key a line.
    endpoint: String,
    settings: Vec<(&'static str, String)>,
    server: Server,
    /// The identifiers read, or parts of the message.
    expect: Result<Vec<i64>, Vec<String>>,
    /// Every request as [`Asked::show`] writes it.
    requests: Vec<String>,
    /// Whether the server answers the same whatever it was asked before: the case is then read with
    /// pages ahead, too.
    ahead: bool,
}

/// A request below the path of its case.
struct Asked {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    /// Those that a case is about: all but what every request has.
    headers: BTreeMap<String, String>,
    body: String,
}

impl Asked {
    fn new(request: &RequestRecord, path: &str) -> Self {
        const USUAL: [&str; 5] = [
            "accept",
            "accept-encoding",
            "content-length",
            "host",
            "user-agent",
        ];
        let headers = request
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .filter(|(name, _)| !USUAL.contains(&name.as_str()))
            .collect();
        Self {
            method: request.method.to_string(),
            path: path.to_owned(),
            query: request.query.clone(),
            headers,
            body: String::from_utf8(request.body.to_vec()).unwrap(),
        }
    }

    /// `GET /items?offset=0&limit=10 | x-size: 10 | body`, headers and members of JSON by name.
    fn show(&self) -> String {
        let mut text = format!("{} {}", self.method, self.path);
        for (position, (name, value)) in self.query.iter().enumerate() {
            let mark = if position == 0 { '?' } else { '&' };
            text.push_str(&format!("{mark}{name}={value}"));
        }
        for (name, value) in &self.headers {
            text.push_str(&format!(" | {name}: {value}"));
        }
        if self.path == "/token" {
            // The order of its fields means nothing.
            // Every assertion is another one: its server looks into it.
            let mut fields: Vec<&str> = self
                .body
                .split('&')
                .map(|field| {
                    if field.starts_with("assertion=") {
                        "assertion=*"
                    } else {
                        field
                    }
                })
                .collect();
            fields.sort_unstable();
            text.push_str(&format!(" | {}", fields.join("&")));
        } else if !self.body.is_empty() {
            text.push_str(&format!(" | {}", self.body));
        }
        text
    }

    fn param(&self, name: &str) -> Option<String> {
        let found = self.query.iter().find(|(known, _)| known == name)?;
        Some(found.1.clone())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    fn form(&self, name: &str) -> Option<String> {
        let mut fields = url::form_urlencoded::parse(self.body.as_bytes());
        let found = fields.find(|(known, _)| known == name)?;
        Some(found.1.into_owned())
    }
}

/// Where a paging value goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Query,
    Header,
    Path,
    /// A member of the JSON body.
    Json,
    /// A member of an object of the JSON body that the spec fills as well.
    Nested,
    /// A member of the JSON body with a dot in its name.
    Dotted,
    Form,
}

/// Every place with every method that can have it.
const PLACES: [(Place, &str); 10] = [
    (Place::Query, "GET"),
    (Place::Header, "GET"),
    (Place::Path, "GET"),
    (Place::Query, "POST"),
    (Place::Header, "POST"),
    (Place::Path, "POST"),
    (Place::Json, "POST"),
    (Place::Nested, "POST"),
    (Place::Dotted, "POST"),
    (Place::Form, "POST"),
];

impl Place {
    /// The line of the paginator that puts the value `name` here.
    fn key(self, name: &str, parameter: &str) -> String {
        match self {
            Self::Query | Self::Path => format!("{name}_param: {parameter}"),
            Self::Header => format!("{name}_header: X-{parameter}"),
            Self::Json | Self::Form => format!("{name}_body_path: {parameter}"),
            Self::Nested => format!("{name}_body_path: page.{parameter}"),
            Self::Dotted => format!("{name}_body_path: \"['page.{parameter}']\""),
        }
    }

    /// The lines of the endpoint before its paginator.
    fn endpoint(self, method: &str, parameter: &str) -> String {
        let path = match self {
            Self::Path => format!("path: \"/items/{{{parameter}}}/list\""),
            _ => "path: /items".to_owned(),
        };
        let body = match self {
            Self::Json | Self::Dotted => "\njson: {kind: a}",
            Self::Nested => "\njson: {kind: a, page: {sort: id}}",
            Self::Form => "\ndata: {kind: a b}",
            _ => "",
        };
        format!("{path}\nmethod: {method}\ndata_selector: data{body}")
    }

    /// The value that a request has here.
    fn read(self, asked: &Asked, parameter: &str) -> Option<String> {
        let text = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        match self {
            Self::Query => asked.param(parameter),
            Self::Header => asked.headers.get(&format!("x-{parameter}")).cloned(),
            Self::Path => asked.path.split('/').nth(2).map(str::to_owned),
            Self::Json => text(&asked.json()[parameter]),
            Self::Nested => text(&asked.json()["page"][parameter]),
            Self::Dotted => text(&asked.json()[format!("page.{parameter}")]),
            Self::Form => asked.form(parameter),
        }
    }

    /// A request with these values, in the form of [`Asked::show`].
    fn show(self, method: &str, values: &[(&str, Value)]) -> String {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let pairs = |separator: &str| {
            let pairs: Vec<String> = values
                .iter()
                .map(|(name, value)| format!("{name}={}", text(value)))
                .collect();
            pairs.join(separator)
        };
        let with_json =
            |body: Value| format!("{method} /items | content-type: application/json | {body}");
        let mut body = json!({"kind": "a"});
        match self {
            _ if values.is_empty() && matches!(self, Self::Query | Self::Header) => {
                format!("{method} /items")
            }
            Self::Query => format!("{method} /items?{}", pairs("&")),
            Self::Header => {
                let mut headers: Vec<String> = values
                    .iter()
                    .map(|(name, value)| format!(" | x-{name}: {}", text(value)))
                    .collect();
                headers.sort();
                format!("{method} /items{}", headers.concat())
            }
            // The first value is in the path, others are parameters.
            Self::Path => {
                let rest: Vec<String> = values[1..]
                    .iter()
                    .map(|(name, value)| format!("?{name}={}", text(value)))
                    .collect();
                format!(
                    "{method} /items/{}/list{}",
                    text(&values[0].1),
                    rest.concat()
                )
            }
            Self::Json => {
                for (name, value) in values {
                    body[*name] = value.clone();
                }
                with_json(body)
            }
            Self::Nested => {
                body["page"] = json!({"sort": "id"});
                for (name, value) in values {
                    body["page"][*name] = value.clone();
                }
                with_json(body)
            }
            Self::Dotted => {
                for (name, value) in values {
                    body[format!("page.{name}")] = value.clone();
                }
                with_json(body)
            }
            Self::Form => {
                let rest = if values.is_empty() {
                    String::new()
                } else {
                    format!("&{}", pairs("&"))
                };
                format!(
                    "{method} /items | content-type: application/x-www-form-urlencoded | kind=a+b{rest}"
                )
            }
        }
    }
}

/// A page of records with these identifiers, beside other members.
fn page(ids: impl IntoIterator<Item = i64>, mut side: Value) -> Value {
    side["data"] = ids.into_iter().map(|id| json!({"id": id})).collect();
    side
}

/// The identifiers of a range that the records `0..all` have.
fn ids(start: usize, size: usize, all: usize) -> Vec<i64> {
    (start..(start + size).min(all).max(start))
        .map(|id| i64::try_from(id).unwrap())
        .collect()
}

/// Puts in where the case is: its whole URL, and the path of it.
fn located(text: &str, base: &str) -> String {
    let path = base.find("/case/").map_or("", |at| &base[at..]);
    text.replace("{base}", base).replace("{path}", path)
}

fn indent(text: &str, by: &str) -> String {
    text.replace('\n', &format!("\n{by}"))
}

impl Case {
    fn spec(&self) -> String {
        let client = if self.client.is_empty() {
            String::new()
        } else {
            format!("\n  {}", indent(&self.client, "  "))
        };
        format!(
            "{}client:\n  base_url: https://api.example.com{client}\n\
             resources:\n- name: rows\n  endpoint:\n    {}\n  schema: {{fields: {{id: integer}}}}\n",
            self.inputs,
            indent(&self.endpoint, "    ")
        )
    }

    /// The connector of the spec, as its crate would embed it.
    fn connector(&self) -> Connector {
        connector_tests::connector("table", self.spec())
    }

    /// Reads the resource from a server at this URL.
    async fn read(&self, base_url: &str, concurrency: u32) -> Result<Vec<i64>, String> {
        let mut settings = Settings::new().with("base_url", base_url);
        for (name, value) in &self.settings {
            settings = settings.with(name, located(value, base_url).as_str());
        }
        let options = ClientOptions {
            concurrency: Some(concurrency),
            ..ClientOptions::default()
        };
        let client = Client::with_options(&self.connector(), settings, &options)
            .map_err(|error| told(&error))?;
        let batches: Vec<_> = client
            .request::<Any>("rows")
            .batches()
            .try_collect()
            .await
            .map_err(|error| told(&error))?;
        let mut ids = Vec::new();
        for batch in batches {
            let column = batch.column(0).as_any();
            let column = column.downcast_ref::<arrow::array::Int64Array>().unwrap();
            ids.extend(column.iter().flatten());
        }
        Ok(ids)
    }
}

/// Everything that an error says.
fn told(error: &connector_core::Error) -> String {
    let context: Vec<String> = error
        .context()
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    format!(
        "{error}\n{}\n{}",
        context.join("\n"),
        error.hints().join("\n")
    )
}

/// Runs every case and reports all that are wrong; `least` keeps a table from shrinking unseen.
#[track_caller]
fn check(least: usize, cases: Vec<Case>) {
    assert!(cases.len() >= least, "{} cases", cases.len());
    let cases: Arc<[Case]> = cases.into();
    let log: Arc<Vec<Mutex<Vec<String>>>> =
        Arc::new(cases.iter().map(|_| Mutex::default()).collect());
    let responder = {
        let (cases, log) = (Arc::clone(&cases), Arc::clone(&log));
        move |request: &RequestRecord, _: u64| {
            let rest = request.path.strip_prefix("/case/")?;
            let (number, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let number: usize = number.parse().ok()?;
            let asked = Asked::new(request, path);
            let mut log = log[number].lock().unwrap();
            log.push(asked.show());
            // A case that does not end must not go on for ever.
            Some(if log.len() > 60 {
                Answer::json(400, "{}")
            } else {
                (cases[number].server)(&asked, log.len())
            })
        }
    };
    let plain = Case::plain("").connector().plan().unwrap();
    let server = Sandbox::start(
        &plain,
        Options {
            responder: Some(Arc::new(responder)),
            keep_requests: false,
            ..Options::default()
        },
    )
    .unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let found = runtime.block_on(case.read(&format!("{}/case/{number}", server.origin()), 1));
        let same = match (&found, &case.expect) {
            (Ok(found), Ok(expect)) => found == expect,
            (Err(found), Err(parts)) => parts.iter().all(|part| found.contains(part)),
            _ => false,
        };
        let mut requests = std::mem::take(&mut *log[number].lock().unwrap());
        let base = format!("{}/case/{number}", server.origin());
        let expected = case.requests.iter().map(|request| located(request, &base));
        let mut same = same && requests.iter().cloned().eq(expected);
        if same && case.ahead {
            let again = runtime.block_on(case.read(&base, 16));
            let asked = std::mem::take(&mut *log[number].lock().unwrap());
            // What comes one after the other is among them, and each request comes once.
            same = again == found
                && requests.iter().all(|request| asked.contains(request))
                && asked.iter().collect::<BTreeSet<_>>().len() == asked.len();
            requests = asked;
        }
        if !same {
            wrong.push(format!(
                "{}\n  found  {found:?}\n  expect {:?}\n  asked  {requests:#?}\n  expect {:#?}",
                case.name, case.expect, case.requests
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases are wrong, such as\n{}",
        wrong.len(),
        cases.len(),
        wrong[..wrong.len().min(4)].join("\n")
    );
}

impl Case {
    /// A case that asks for nothing.
    fn plain(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            inputs: String::new(),
            client: String::new(),
            endpoint: "path: /items\ndata_selector: data".to_owned(),
            settings: Vec::new(),
            server: Box::new(|_, _| Answer::json(404, "{}")),
            expect: Ok(Vec::new()),
            requests: Vec::new(),
            ahead: false,
        }
    }
}
