//! Expressions at run time: what they see, and what they come to.

mod cache;
mod functions;
mod predicate;
mod time;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use connector_plan::{Condition, Jinja, Lookup, Path, Predicate, Root, Step, follow};
use http::HeaderMap;
use minijinja::value::Serde;
use minijinja::{Environment, Expression, UndefinedBehavior, Value};
use serde_json::Map;

use crate::{Error, ErrorKind, Json, Result, Settings};

/// What an expression can see; a document is seen only where its paths have been captured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View<'a> {
    pub settings: Option<&'a Settings>,
    pub partition: Option<&'a Json>,
    pub interval: Option<&'a Json>,
    pub headers: Option<&'a HeaderMap>,
    pub response: Captured<'a>,
    pub last_record: Captured<'a>,
    pub record: Captured<'a>,
    pub last_page_size: Option<u64>,
    pub page_size: Option<u64>,
}

/// The values that were captured from a document, each with its path.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Captured<'a> {
    pub paths: &'a [Path],
    pub values: &'a [Option<Json>],
}

impl<'a> Captured<'a> {
    fn get(self, path: &[Step]) -> Option<&'a Json> {
        self.paths
            .iter()
            .zip(self.values)
            .filter_map(|(known, value)| Some((path.strip_prefix(known.as_slice())?, value)))
            .find_map(|(rest, value)| follow(value.as_ref()?, rest))
    }

    /// The document as far as it is known.
    fn document<'p>(self, wanted: impl Iterator<Item = &'p Path>) -> Json {
        let mut document = Json::Object(Map::new());
        for path in wanted {
            if let Some(value) = self.get(path) {
                place(&mut document, path, value.clone());
            }
        }
        document
    }
}

fn place(document: &mut Json, path: &[Step], value: Json) {
    match path {
        [] => *document = value,
        [Step::Key(key), rest @ ..] => {
            if !document.is_object() {
                *document = Json::Object(Map::new());
            }
            if let Json::Object(members) = document {
                place(members.entry(key).or_insert(Json::Null), rest, value);
            }
        }
        // Build time ends a path before its first index.
        [Step::Index(_) | Step::Wildcard, ..] => {}
    }
}

impl View<'_> {
    /// The value of a lookup; nothing where it leads nowhere and has no default.
    pub(crate) fn look_up(&self, lookup: &Lookup) -> Option<Json> {
        self.find(lookup.root, &lookup.path)
            .or_else(|| lookup.default.clone())
    }

    fn find(&self, root: Root, path: &[Step]) -> Option<Json> {
        match root {
            Root::Config | Root::Secrets => {
                let (Step::Key(name), rest) = path.split_first()? else {
                    return None;
                };
                follow(&self.settings?.get(name)?.to_json(), rest).cloned()
            }
            Root::Partition => follow(self.partition?, path).cloned(),
            Root::Headers => match path {
                [Step::Key(name)] => {
                    let value = self.headers?.get(name.as_str())?;
                    value.to_str().ok().map(Json::from)
                }
                _ => None,
            },
            Root::Response => self.response.get(path).cloned(),
            Root::LastRecord => self.last_record.get(path).cloned(),
            Root::Record => self.record.get(path).cloned(),
            Root::LastPageSize => self.last_page_size.map(Json::from),
            Root::PageSize => self.page_size.map(Json::from),
            // Null is what an end has that there is not.
            Root::Interval => follow(self.interval?, path)
                .filter(|value| !value.is_null())
                .cloned(),
        }
    }

    /// The variables of an expression.
    fn context(&self, jinja: &Jinja, fixed: &Fixed) -> Value {
        let mut context = fixed.clone();
        for read in &jinja.reads {
            let names: &[&str] = match read.root {
                Root::Config | Root::Secrets => continue,
                Root::Response => &["response"],
                Root::Headers => &["headers"],
                Root::Record => &["record"],
                Root::LastRecord => &["last_record"],
                Root::LastPageSize => &["last_page_size"],
                Root::PageSize => &["page_size"],
                Root::Partition => &["stream_slice", "stream_partition"],
                Root::Interval => &["stream_interval"],
            };
            if names
                .first()
                .is_some_and(|name| context.contains_key(*name))
            {
                continue;
            }
            let paths = jinja.paths(read.root);
            let value = match read.root {
                Root::Response => self.response.document(paths),
                Root::LastRecord => self.last_record.document(paths),
                Root::Record => self.record.document(paths),
                Root::Headers => self.all_headers(),
                Root::LastPageSize | Root::PageSize | Root::Partition | Root::Interval => {
                    self.find(read.root, &[]).unwrap_or(Json::Null)
                }
                // They are fixed.
                Root::Config | Root::Secrets => continue,
            };
            let value = Value::from(Serde(value));
            for name in names {
                context.insert(name, value.clone());
            }
        }
        context.into()
    }

    /// The variables of an expression that are the same for the whole run: its settings.
    fn fixed(&self, jinja: &Jinja) -> Fixed {
        let (mut fixed, mut dlt) = (Fixed::new(), Fixed::new());
        for (name, root) in [("config", Root::Config), ("secrets", Root::Secrets)] {
            let mut paths = jinja.paths(root).peekable();
            if paths.peek().is_none() {
                continue;
            }
            let mut object = Json::Object(Map::new());
            for path in paths {
                if let Some(value) = self.find(root, path) {
                    place(&mut object, path, value);
                }
            }
            let value = Value::from(Serde(object));
            dlt.insert(name, value.clone());
            fixed.insert(name, value);
        }
        fixed.insert("dlt", dlt.into());
        fixed
    }

    fn all_headers(&self) -> Json {
        let headers = self.headers.into_iter().flat_map(|headers| headers.iter());
        Json::Object(
            headers
                .filter_map(|(name, value)| {
                    Some((name.as_str().to_owned(), Json::from(value.to_str().ok()?)))
                })
                .collect(),
        )
    }
}

/// Variables of an expression by name.
type Fixed = BTreeMap<&'static str, Value>;

/// The value of an expression; undefined is null.
pub(crate) fn evaluate(jinja: &Jinja, view: &View<'_>) -> Result<Json> {
    Program::with(jinja, view.settings)?.evaluate(view)
}

/// An expression, compiled once for many evaluations.
#[derive(Debug)]
pub(crate) struct Program {
    jinja: Jinja,
    expression: Expression<'static, 'static>,
    fixed: Fixed,
}

impl Program {
    /// The program of a run with these settings.
    pub(crate) fn new(jinja: &Jinja, settings: &Settings) -> Result<Self> {
        Self::with(jinja, Some(settings))
    }

    fn with(jinja: &Jinja, settings: Option<&Settings>) -> Result<Self> {
        static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);
        let expression = ENVIRONMENT
            .compile_expression_owned(jinja.source.clone())
            .map_err(|error| failed(jinja, &describe(&error)))?;
        let view = View {
            settings,
            ..View::default()
        };
        Ok(Self {
            jinja: jinja.clone(),
            expression,
            fixed: view.fixed(jinja),
        })
    }

    /// The paths below a variable that it looks at.
    pub(crate) fn paths(&self, root: Root) -> Vec<Path> {
        self.jinja.paths(root).cloned().collect()
    }

    pub(crate) fn evaluate(&self, view: &View<'_>) -> Result<Json> {
        let value = self.value(view)?;
        if value.is_undefined() {
            return Ok(Json::Null);
        }
        serde_json::to_value(&value)
            .map_err(|_| failed(&self.jinja, "it comes to something that JSON has not"))
    }

    fn value(&self, view: &View<'_>) -> Result<Value> {
        self.expression
            .eval(view.context(&self.jinja, &self.fixed))
            .map_err(|error| {
                // Messages may quote values, and a secret must not be quoted.
                if self.jinja.is_secret() {
                    failed(&self.jinja, "its value cannot be computed")
                } else {
                    failed(&self.jinja, &describe(&error))
                }
            })
    }
}

/// A condition, ready for many decisions.
#[derive(Debug)]
pub(crate) enum Decision {
    Predicate(Predicate),
    Program(Program),
}

impl Decision {
    pub(crate) fn new(condition: &Condition, settings: &Settings) -> Result<Self> {
        Ok(match condition {
            Condition::Predicate(predicate) => Self::Predicate(predicate.clone()),
            Condition::Jinja(jinja) => Self::Program(Program::new(jinja, settings)?),
        })
    }

    /// Whether the condition holds.
    pub(crate) fn holds(&self, view: &View<'_>) -> Result<bool> {
        match self {
            Self::Predicate(predicate) => Ok(predicate::holds(predicate, view)),
            Self::Program(program) => program.value(view).map(|value| value.is_true()),
        }
    }
}

fn describe(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}

fn failed(jinja: &Jinja, problem: &str) -> Error {
    Error::new(
        ErrorKind::Source,
        format!("the expression `{:.120}` fails: {problem}", jinja.source),
    )
    .hint("correct the expression in the spec")
}

/// The language: Jinja with the methods of Python, and the functions that specs expect.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_unknown_method_callback(functions::method);
    functions::add(&mut environment);
    environment
}

#[cfg(test)]
mod tests {
    use connector_plan::{FILTERS, FUNCTIONS, Read, TESTS};
    use serde_json::json;

    use super::*;

    fn key(name: &str) -> Step {
        Step::Key(name.to_owned())
    }

    fn jinja(source: &str) -> Jinja {
        Jinja {
            source: source.to_owned(),
            reads: vec![Read {
                root: Root::Record,
                path: Path::new(),
            }],
        }
    }

    fn run(source: &str, record: &Json) -> std::result::Result<Json, String> {
        let view = View {
            record: Captured {
                paths: &[Path::new()],
                values: &[Some(record.clone())],
            },
            ..View::default()
        };
        evaluate(&jinja(source), &view).map_err(|error| error.to_string())
    }

    #[test]
    fn every_name_that_build_time_knows_is_defined() {
        let environment = environment();
        let known = |source: String| {
            let error = environment
                .compile_expression(&source)
                .map(|expression| expression.eval(()).err());
            match error {
                Ok(None) => true,
                Ok(Some(error)) => !matches!(
                    error.kind(),
                    minijinja::ErrorKind::UnknownFilter
                        | minijinja::ErrorKind::UnknownTest
                        | minijinja::ErrorKind::UnknownFunction
                ),
                Err(error) => panic!("{source}: {error}"),
            }
        };
        for name in FUNCTIONS {
            assert!(known(format!("{name}()")), "function {name}");
        }
        for name in FILTERS {
            assert!(known(format!("'' | {name}")), "filter {name}");
        }
        for name in TESTS {
            assert!(known(format!("'' is {name}('')")), "test {name}");
        }
        assert!(!known("nonsense()".to_owned()));
    }

    #[test]
    fn expressions_come_to_values() {
        #[track_caller]
        fn check(source: &str, expect: Json) {
            let record = json!({
                "a": 1, "name": "Alpha-7", "tags": ["x", "y"], "none": null,
                "when": "2024-03-01T12:30:00Z", "o": {"p": [1, 2]}
            });
            assert_eq!(run(source, &record), Ok(expect), "{source}");
        }
        check("record.a + 1", json!(2));
        check("record['name'].lower()", json!("alpha-7"));
        check("record.name.startswith('Al')", json!(true));
        check("record.get('gone', 'x') ~ record.a", json!("x1"));
        check("record.gone.further", json!(null));
        check("record.none.get('a')", json!(null));
        check("record.none.get('a', 'd')", json!("d"));
        check("record.gone.get('a', {}).get('b')", json!(null));
        check("record.tags | length", json!(2));
        check("record.tags | join(',')", json!("x,y"));
        check("record.o.p[1]", json!(2));
        check("'7' | int + 1", json!(8));
        check("7 | string", json!("7"));
        check("'a b' | urlencode", json!("a%20b"));
        check("record.name | regex_search('-([0-9]+)')", json!("7"));
        check("record.name | regex_search('[A-Z]')", json!("A"));
        check("record.name | regex_search('zzz')", json!(null));
        check("record.name | regex_replace('[^a-z]', '')", json!("lpha"));
        check("'abc' | base64encode", json!("YWJj"));
        check("'YWJj' | base64decode", json!("abc"));
        check(
            "'abc' | hash('sha256')",
            json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        );
        check("'abc' | hash", json!("900150983cd24fb0d6963f7d28e17f72"));
        check(
            "'abc' | hash('md5', 'salt')",
            json!("1e21f6da01c5047e4bf45b0496bd6937"),
        );
        check(
            "'abc' | hash('sha1')",
            json!("a9993e364706816aba3e25717850c26c9cd0d89d"),
        );
        check("max(1, 3, 2)", json!(3));
        check("max(['a', 'c'])", json!("c"));
        check("min(record.when, '2023-01-01')", json!("2023-01-01"));
        check("timestamp(record.when)", json!(1_709_296_200));
        check("timestamp('2024-03-01')", json!(1_709_251_200));
        check("timestamp(5)", json!(5));
        check(
            "format_datetime(record.when, '%Y/%m/%d')",
            json!("2024/03/01"),
        );
        check("record.when | format_datetime('%s')", json!("1709296200"));
        check("format_datetime(0, '%Y-%m-%d')", json!("1970-01-01"));
        check(
            "format_datetime('03.02.2024', '%Y-%m-%d', '%d.%m.%Y')",
            json!("2024-02-03"),
        );
        check(
            "__add(str_to_datetime(record.when), duration('P1D')).strftime('%Y-%m-%d')",
            json!("2024-03-02"),
        );
        check(
            "__subtract(str_to_datetime(record.when), duration('PT30M')).isoformat()",
            json!("2024-03-01T12:00:00+00:00"),
        );
        check("str_to_datetime(record.when).year", json!(2024));
        check("duration('PT1.5S').total_seconds()", json!(1.5));
        check("duration('P1W').total_seconds()", json!(604_800));
        check(
            "__add(str_to_datetime(record.when), __subtract(duration('PT0.5S'), duration('P1M'))).isoformat()",
            json!("2024-02-01T12:30:00.500000+00:00"),
        );
        check(
            "strptime('01.02.2024', '%d.%m.%Y') < str_to_datetime(record.when)",
            json!(true),
        );
        check("now_utc().year >= 2024", json!(true));
        check("now_utc() > str_to_datetime(record.when)", json!(true));
        check(
            "day_delta(0) == today_utc().strftime('%Y-%m-%dT%H:%M:%S')",
            json!(false),
        );
        check(
            "day_delta(-1, '%Y-%m-%d') < day_delta(1, '%Y-%m-%d')",
            json!(true),
        );
        check(
            "today_utc().strftime('%Y-%m-%d') == now_utc().strftime('%Y-%m-%d')",
            json!(true),
        );
    }

    #[test]
    fn what_cannot_be_computed_says_why() {
        #[track_caller]
        fn check(source: &str, expect: &str) {
            let error = run(source, &json!({"a": "x"})).unwrap_err();
            assert!(error.contains(expect), "{error}");
        }
        check("timestamp('tomorrow')", "`tomorrow` is no date");
        check("duration('1 day')", "`1 day` is no ISO 8601 duration");
        check(
            "__add(duration('PT9223372036854775S'), duration('PT9223372036854775S'))",
            "`PT9223372036854775S` is no ISO 8601 duration",
        );
        check(
            "__add(now_utc(), duration('P400000000M'))",
            "cannot be moved by",
        );
        check("'a' | hash('crc')", "unknown hash `crc`");
        check("'a' | regex_search('(')", "no regular expression");
        check("record.a.nonsense()", "nonsense");
        check("1 / 0", "fails");
    }

    #[test]
    fn only_what_is_captured_is_there() -> Result<()> {
        let path = vec![key("paging"), key("next")];
        let view = View {
            response: Captured {
                paths: std::slice::from_ref(&path),
                values: &[Some(json!("n"))],
            },
            last_page_size: Some(3),
            ..View::default()
        };
        let jinja = Jinja {
            source: "response.paging.next ~ last_page_size ~ response.other".to_owned(),
            reads: vec![
                Read {
                    root: Root::Response,
                    path: path.clone(),
                },
                Read {
                    root: Root::LastPageSize,
                    path: Path::new(),
                },
            ],
        };
        assert_eq!(evaluate(&jinja, &view)?, json!("n3"));
        Ok(())
    }
}
