//! Text with expressions: `{{ … }}`, dlt's `dlt.secrets["x"]`, and its `{placeholders}`.
//!
//! Plain lookups become paths; whatever else stands between the braces is Jinja, whose names are
//! checked. What is neither is a [`Problem`] that knows the offending token.

#[cfg(any(test, fuzzing))]
pub mod check;
mod jinja;
mod lookup;
mod token;

use std::ops::Range;

use connector_plan::{Path, Root, Step};

pub(crate) use self::jinja::Compiled;
use crate::diagnostic::code;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    Lookup(Found),
    Jinja(Compiled),
}

/// A lookup, and where it stands in the text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub root: Root,
    /// The root as written: two words mean the partition, and dlt has its own.
    pub word: String,
    pub path: Path,
    pub default: Option<serde_json::Value>,
    /// The bytes of the expression, without braces.
    pub range: Range<usize>,
}

/// What is wrong with a text, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub code: &'static str,
    pub message: String,
    pub range: Range<usize>,
    pub label: Box<str>,
    pub note: Option<&'static str>,
    pub help: Option<String>,
    /// Whether it may still be an expression of the full grammar.
    pub more: bool,
}

/// What expressions can be, for messages.
pub(crate) const SUPPORTED: &str = "an expression is a plain lookup: `config.name`, \
    `secrets.name`, `response.a.b`, `response['a']`, `response.get('a', {}).get('b')`, \
    `headers['name']`, or a text in quotes";

/// The names of variables.
pub(crate) fn names(roots: &[Root]) -> impl Iterator<Item = &'static str> {
    lookup::ROOTS
        .iter()
        .filter(|(_, root)| roots.contains(root))
        .map(|(name, _)| *name)
}

/// Splits a text; every problem in it is reported, not only the first.
pub(crate) fn parse(text: &str) -> Result<Vec<Piece>, Vec<Problem>> {
    let blanks = text.len() - text.trim_start().len();
    if text.trim_start().starts_with("dlt.") {
        let (piece, _) = lookup::parse(text, blanks, true).map_err(|problem| vec![problem])?;
        return Ok(vec![piece]);
    }
    let mut pieces = Vec::new();
    let mut problems = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    while let Some(offset) = text[at..].find(['{', '}']) {
        plain.push_str(&text[at..at + offset]);
        at += offset;
        if text[at..].starts_with("{{") {
            match lookup::parse(text, at + 2, false) {
                Ok((Piece::Text(literal), end)) => {
                    plain.push_str(&literal);
                    at = end;
                }
                Ok((piece, end)) => {
                    push(&mut pieces, &mut plain);
                    pieces.push(piece);
                    at = end;
                }
                Err(problem) if problem.more && jinja::end(text, at + 2).is_some() => {
                    let end = jinja::end(text, at + 2).unwrap_or(text.len());
                    match jinja::compile(text, at + 2..end) {
                        Ok(compiled) => {
                            push(&mut pieces, &mut plain);
                            pieces.push(Piece::Jinja(compiled));
                        }
                        Err(found) => problems.extend(found),
                    }
                    at = end + 2;
                }
                Err(problem) => {
                    // Reading goes on behind the braces, wherever they close.
                    let rest = problem.range.end.max(at + 2);
                    at = text[rest..]
                        .find("}}")
                        .map_or(text.len(), |end| rest + end + 2);
                    problems.push(problem);
                }
            }
        } else if let Some((found, end)) = placeholder(text, at) {
            push(&mut pieces, &mut plain);
            pieces.push(Piece::Lookup(found));
            at = end;
        } else {
            let (problem, end) = brace(text, at);
            problems.push(problem);
            at = end;
        }
    }
    plain.push_str(&text[at..]);
    push(&mut pieces, &mut plain);
    if problems.is_empty() {
        Ok(pieces)
    } else {
        Err(problems)
    }
}

fn push(pieces: &mut Vec<Piece>, plain: &mut String) {
    if !plain.is_empty() {
        pieces.push(Piece::Text(std::mem::take(plain)));
    }
}

/// What a single brace at `at` means: nothing that this version has. Returns where to go on.
fn brace(text: &str, at: usize) -> (Problem, usize) {
    let problem = |code, message: String, end, label: &str, help: String| Problem {
        code,
        message,
        range: at..end,
        label: label.into(),
        note: None,
        help: Some(help),
        more: false,
    };
    let opening = text[at..].starts_with('{');
    if opening && text[at..].starts_with("{%") || text[at..].starts_with("{#") {
        let end = text[at..].find('}').map_or(text.len(), |end| at + end + 1);
        let mut found = problem(
            code::EXPRESSION,
            "statements and comments are not supported in expressions".to_owned(),
            end,
            "not an expression",
            "remove it".to_owned(),
        );
        found.note = Some(SUPPORTED);
        return (found, end);
    }
    let (sign, word) = if opening {
        ('{', "opening")
    } else {
        ('}', "closing")
    };
    let found = problem(
        code::EXPRESSION,
        format!("a single {word} brace"),
        at + 1,
        "braces enclose expressions",
        format!("write a literal brace as `{{{{ '{sign}' }}}}`"),
    );
    (found, at + 1)
}

/// dlt's placeholder at `at`, a value of the partition or of the cursor; also where the text goes
/// on.
fn placeholder(text: &str, at: usize) -> Option<(Found, usize)> {
    let name = name_in_braces(text, at)?;
    let end = at + name.len() + 2;
    let (root, word, key) = match name.split_once('.') {
        Some(("resources", rest)) => (Root::Partition, "resources", rest),
        Some(("incremental", rest)) => (Root::Interval, "incremental", rest),
        _ => (Root::Partition, "stream_slice", name),
    };
    let found = Found {
        root,
        word: word.to_owned(),
        path: vec![Step::Key(key.to_owned())],
        default: None,
        range: at..end,
    };
    Some((found, end))
}

/// The name of a placeholder whose brace opens at `at`.
fn name_in_braces(text: &str, at: usize) -> Option<&str> {
    let inside = text[at..].strip_prefix('{')?;
    let end = inside.find(['{', '}'])?;
    let name = inside[end..].starts_with('}').then(|| &inside[..end])?;
    is_placeholder(name).then_some(name)
}

/// Whether text between single braces is a placeholder of dlt rather than, say, JSON.
fn is_placeholder(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| {
            c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']' | '*' | '$')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An expression as its source, `?` when it is a predicate, and what it looks at.
    fn show_compiled(compiled: &Compiled) -> String {
        let uses: Vec<String> = compiled
            .uses
            .iter()
            .map(|found| {
                let keys = found.path.iter().map(|step| match step {
                    Step::Key(key) => format!("/{key}"),
                    other => format!("{other:?}"),
                });
                format!("{:?}{}", found.root, keys.collect::<String>())
            })
            .collect();
        let sign = if compiled.predicate.is_some() {
            "?"
        } else {
            ""
        };
        format!("<{}{sign} {}>", compiled.source, uses.join(" "))
    }

    /// Pieces as text: lookups as `<root/path|default>`.
    fn show(text: &str) -> String {
        let problem =
            |problem: &Problem| format!("{}@{}", problem.message, &text[problem.range.clone()]);
        match parse(text) {
            Err(problems) => problems.iter().map(problem).collect::<Vec<_>>().join("; "),
            Ok(pieces) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.clone(),
                    Piece::Jinja(compiled) => show_compiled(compiled),
                    Piece::Lookup(found) => {
                        let path: String = found
                            .path
                            .iter()
                            .map(|step| match step {
                                Step::Key(key) => format!("/{key}"),
                                Step::Index(index) => format!("#{index}"),
                                Step::Wildcard => "*".to_owned(),
                            })
                            .collect();
                        let default = found
                            .default
                            .as_ref()
                            .map(|default| format!("|{default}"))
                            .unwrap_or_default();
                        format!("<{:?}{path}{default}>", found.root)
                    }
                })
                .collect(),
        }
    }

    #[test]
    fn expressions_are_plain_lookups() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            assert_eq!(show(text), expect, "{text}");
        }
        check("", "");
        check("plain", "plain");
        check("{{ config.start }}", "<Config/start>");
        check("{{config.start}}", "<Config/start>");
        check("{{ config['start'] }}", "<Config/start>");
        check("{{ config.get('start') }}", "<Config/start>");
        check("{{ config.get(\"start\", 'x') }}", "<Config/start|\"x\">");
        check("a {{ secrets.x }} b", "a <Secrets/x> b");
        check("dlt.secrets[\"x\"]", "<Secrets/x>");
        check("  dlt.secrets['x'] ", "<Secrets/x>");
        check("dlt.config[\"x\"]", "<Config/x>");
        check("{{ dlt.secrets['x'] }}", "<Secrets/x>");
        check(
            "{{ response.get('next_marker') }}",
            "<Response/next_marker>",
        );
        check("{{ response.get('next', '') }}", "<Response/next|\"\">");
        check(
            "{{ response.get('paging', {}).get('next_link', {}) }}",
            "<Response/paging/next_link|{}>",
        );
        check("{{ response['a'][0]['b'] }}", "<Response/a#0/b>");
        check("{{ response.a[-1].b }}", "<Response/a#-1/b>");
        check("{{ response.get('n', 12) }}", "<Response/n|12>");
        check("{{ response.get('n', -1.5) }}", "<Response/n|-1.5>");
        check("{{ response.get('n', none) }}", "<Response/n|null>");
        check("{{ response.get('n', []) }}", "<Response/n|[]>");
        check("{{ response.get('n', True) }}", "<Response/n|true>");
        check("{{ headers['X-Next'] }}", "<Headers/X-Next>");
        check("{{ stream_slice['file_id'] }}", "<Partition/file_id>");
        check("{{ stream_partition.file_id }}", "<Partition/file_id>");
        check("/a/{id}/b", "/a/<Partition/id>/b");
        check("{resources.a.b.c}", "<Partition/a.b.c>");
        check("{incremental.start_value}", "<Interval/start_value>");
        check("{{ last_record['id'] }}", "<LastRecord/id>");
        check("{{ '{' }}x{{ '}' }}", "{x}");
        check("{{ \"it's\" }}", "it's");
        check("{{ 'a\\'b\\n' }}", "a'b\n");
        check("{{ '}}' }}", "}}");
    }

    #[test]
    fn what_is_no_plain_lookup_is_jinja() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            assert_eq!(show(text), expect, "{text}");
        }
        check("{{ config.a | upper }}", "<config.a | upper Config/a>");
        check("x{{ config.a + 1 }}y", "x<config.a + 1 Config/a>y");
        check("{{ now_utc().year }}", "<now_utc().year >");
        check(
            "{{ response.chunk_size == 0 }}",
            "<response.chunk_size == 0? Response/chunk_size>",
        );
        check(
            "{{ response.get('next_marker') is none }}",
            "<response.get('next_marker') is none? Response/next_marker>",
        );
        check(
            "{{ not response.get('paging', {}).get('next_link', {}) }}",
            "<not response.get('paging', {}).get('next_link', {})? Response/paging/next_link>",
        );
        check(
            "{{ record['type'] == 'file' }}",
            "<record['type'] == 'file'? Record/type>",
        );
        check(
            "{{ record.a.b != 1 and record.c not in ['x', 'y'] or record.get('d') }}",
            "<record.a.b != 1 and record.c not in ['x', 'y'] or record.get('d')? Record/a/b Record/c Record/d>",
        );
        check("{{ 1 < record.n <= 3 }}", "<1 < record.n <= 3? Record/n>");
        check("{{ record.n | int > 3 }}", "<record.n | int > 3 Record/n>");
        check(
            "{{ record.name.startswith('a') }}",
            "<record.name.startswith('a') Record/name>",
        );
        check("{{ record | length }}", "<record | length Record>");
        check(
            "{{ response.rows[-1].id + 1 }}",
            "<response.rows[-1].id + 1 Response/rows>",
        );
        check(
            "{{ response.a[config.k] ~ '}}' }}",
            "<response.a[config.k] ~ '}}' Response/a Config/k>",
        );
        check("{{ {'a': 1}.a }}", "<{'a': 1}.a >");
        check(
            "{{ last_page_size < page_size }}",
            "<last_page_size < page_size? LastPageSize PageSize>",
        );
        check(
            "{{ dlt.secrets['a'] ~ ':' }}",
            "<dlt.secrets['a'] ~ ':' Secrets/a>",
        );
        check(
            "{{ (now_utc() - duration('P1D')).strftime('%s') }}",
            "<(__subtract(now_utc() , duration('P1D'))).strftime('%s') >",
        );
        check(
            "{{ now_utc() + duration('P1D') - duration('PT1H') }}",
            "<__subtract(__add(now_utc() , duration('P1D')) , duration('PT1H')) >",
        );
        check(
            "{{ now_utc()-duration('P1D')+duration('PT1H') }}",
            "<__add(__subtract(now_utc(),duration('P1D')),duration('PT1H')) >",
        );
    }

    #[test]
    fn everything_else_is_pointed_at() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            assert_eq!(show(text), expect, "{text}");
        }
        check("{{ cfg.a }}", "unknown variable `cfg`@cfg");
        check("{{ now_utcc() }}", "unknown function `now_utcc`@now_utcc");
        check(
            "{{ response.items() }}",
            "an expression over the whole response@response",
        );
        check(
            "{{ response | length }}",
            "an expression over the whole response@response",
        );
        check(
            "{{ response[x] }}",
            "an expression over the whole response@response; unknown variable `x`@x",
        );
        check("{{ config.a | uppper }}", "unknown filter `uppper`@uppper");
        check("{{ config.a is nonne }}", "unknown test `nonne`@nonne");
        check(
            "{{ config.a | uppper('é', 2) + 1 }}",
            "unknown filter `uppper`@uppper",
        );
        check("{{ config.a is nonne('é') }}", "unknown test `nonne`@nonne");
        check(
            "{{ not cfg.a and x == 1 }}",
            "unknown variable `cfg`@cfg; unknown variable `x`@x",
        );
        check(
            "{{ response.get('a', 'x').get('b') }}",
            "a default that is looked into@'x'",
        );
        check("{{ }}", "an empty expression@ ");
        check("{{ config.a", "an expression without `}}`@{{ config.a");
        check("{{ 'abc }}", "a text without closing quote@'abc }}");
        check(
            "{{ config. }}",
            "not an expression: unexpected end of input, expected identifier or integer@.",
        );
        check(
            "{{ config.ä }}",
            "not an expression: unexpected character@config.ä",
        );
        check(
            "{% if x %}",
            "statements and comments are not supported in expressions@{% if x %}",
        );
        check(
            "{\"a\": 1}",
            "a single opening brace@{; a single closing brace@}",
        );
        check("a}", "a single closing brace@}");
        check("dlt.secrets[\"x\"] y", "unexpected `y` in an expression@y");
        check("dlt.foo", "unknown variable `dlt.foo`@foo");
        check(
            "{{ a }} and {{ b }}",
            "unknown variable `a`@a; unknown variable `b`@b",
        );
        check("{{ '{' ", "an expression without `}}`@{{ '{' ");
    }
}
