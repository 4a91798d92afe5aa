//! Where the records are: a dotted path, or any JSONPath (RFC 9535).
//!
//! What begins with `$` is JSONPath and nothing else. The dotted form is read as a path first, and
//! as JSONPath without its `$` when it has what only JSONPath can say. Of either, the segments that
//! are plain steps become steps, which the decoder follows while it reads; the rest stays a query.

use std::ops::Range;

use connector_plan::{Path, Segment, Selector, Step};
use serde_json_path::JsonPath;

use super::Lowering;
use super::path::{self, unquote};
use crate::diagnostic::{Diagnostic, code};
use crate::spec::Text;
use crate::words::quote;
use crate::yaml;

/// Why a text is no selector, and where in it.
#[derive(Debug)]
struct Problem {
    range: Range<usize>,
    message: String,
}

/// A segment of a JSONPath.
#[derive(Debug)]
enum Part {
    Step(Step),
    Query(Segment),
}

impl Lowering<'_, '_> {
    /// Where the records are.
    pub(super) fn selector(&mut self, text: &Text) -> Selector {
        match parse(&text.value) {
            Ok(selector) => selector,
            Err(problem) => {
                let span = yaml::locate(
                    self.reporter.text,
                    text.span,
                    &text.value,
                    problem.range.start,
                    problem.range.end,
                );
                let message = format!(
                    "{} is not a selector: {}",
                    quote(&text.value),
                    problem.message
                );
                self.report(
                    Diagnostic::error(code::INVALID_VALUE, message)
                        .label(span, "")
                        .help(
                            "a selector is a path `a.b` or `a.*.b`, or JSONPath (RFC 9535) such \
                             as `$.a[?@.kind == 'b']` or `$..items[*]`",
                        ),
                );
                Selector {
                    text: text.value.clone(),
                    ..Selector::default()
                }
            }
        }
    }
}

fn parse(text: &str) -> Result<Selector, Problem> {
    let rooted = text.strip_prefix('$').is_some_and(|rest| {
        rest.is_empty() || rest.starts_with(['.', '[']) || rest.starts_with(char::is_whitespace)
    });
    if rooted {
        return json_path(text, text, 0);
    }
    let problem = match path::parse(text) {
        Ok(steps) => {
            return Ok(Selector {
                text: text.to_owned(),
                steps,
                ..Selector::default()
            });
        }
        Err(problem) => problem,
    };
    if problem.is_query {
        let dot = if text.starts_with(['[', '.']) {
            ""
        } else {
            "."
        };
        return json_path(text, &format!("${dot}{text}"), 1 + dot.len());
    }
    Err(Problem {
        range: problem.range,
        message: problem.message.to_owned(),
    })
}

/// Reads a JSONPath that was made from a text by putting so many bytes in front of it.
fn json_path(text: &str, query: &str, added: usize) -> Result<Selector, Problem> {
    let problem = |range: Range<usize>, message: String| Problem {
        range: range.start.saturating_sub(added)..range.end.saturating_sub(added),
        message,
    };
    if let Err(error) = JsonPath::parse(query) {
        let at = query
            .char_indices()
            .map(|(at, _)| at)
            .take_while(|at| *at <= error.position())
            .last()
            .unwrap_or(0);
        let end = query[at..].chars().next().map_or(at, |c| at + c.len_utf8());
        return Err(problem(at..end, plain_words(error.message())));
    }
    let mut steps = Path::new();
    let mut segments = Vec::new();
    for part in parts(query) {
        match part {
            Part::Step(step) if segments.is_empty() => steps.push(step),
            Part::Step(step) => segments.push(written(step)),
            Part::Query(segment) => segments.push(segment),
        }
    }
    if segments.iter().any(|segment| names_root(&segment.text)) {
        // A condition that looks at the document needs all of it.
        let whole = std::mem::take(&mut steps).into_iter().map(written);
        segments = whole.chain(segments).collect();
    }
    Ok(Selector {
        text: text.to_owned(),
        steps,
        query: segments,
    })
}

/// Whether a segment looks at the root of the document.
fn names_root(segment: &str) -> bool {
    outside_quotes(segment).any(|(_, character)| character == '$')
}

/// The characters of a text that are not in quotes.
fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quoted = None;
    let mut escaped = false;
    text.char_indices().filter(move |(_, character)| {
        match (quoted, *character) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(quote), _) if *character == quote => quoted = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quoted = Some(*character),
            (None, _) => return true,
        }
        false
    })
}

/// What the parser says, on one line and without its own stack.
fn plain_words(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    match first
        .trim_end_matches("parser error")
        .trim_end_matches([',', ' '])
    {
        "" => "it is not JSONPath (RFC 9535)".to_owned(),
        words => format!("it is not JSONPath (RFC 9535): {words}"),
    }
}

/// A plain step behind a query, as JSONPath writes it.
fn written(step: Step) -> Segment {
    match step {
        Step::Key(key) => Segment {
            text: format!("[{}]", serde_json::Value::from(key.as_str())),
            names: vec![key],
        },
        Step::Index(index) => Segment {
            text: format!("[{index}]"),
            names: Vec::new(),
        },
        Step::Wildcard => Segment {
            text: "[*]".to_owned(),
            names: Vec::new(),
        },
    }
}

/// The segments of a valid JSONPath.
fn parts(query: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut at = 1;
    loop {
        let rest = query[at..].trim_start();
        at = query.len() - rest.len();
        if rest.is_empty() {
            return parts;
        }
        let descends = rest.starts_with("..");
        let dots = if descends {
            2
        } else {
            usize::from(rest.starts_with('.'))
        };
        let inner = rest[dots..].trim_start();
        let from = rest.len() - inner.len();
        let length = if inner.starts_with('[') {
            bracket_length(inner)
        } else {
            // At least one character, so that this ends whatever the text is.
            let first = inner.chars().next().map_or(1, char::len_utf8);
            let tail = inner.get(first..).unwrap_or_default();
            first
                + tail
                    .find(|c: char| matches!(c, '.' | '[') || c.is_whitespace())
                    .unwrap_or(tail.len())
        };
        let selection = &inner[..length.min(inner.len())];
        let text = &rest[..(from + length).min(rest.len())];
        parts.push(part(selection, text, descends));
        at += text.len();
    }
}

fn part(selection: &str, text: &str, descends: bool) -> Part {
    let names = match selection
        .strip_prefix('[')
        .and_then(|s| s.strip_suffix(']'))
    {
        None if selection == "*" => None,
        None => Some(vec![selection.to_owned()]),
        Some(inside) => names(inside),
    };
    if !descends {
        match (names.as_deref(), selection) {
            (Some([name]), _) => return Part::Step(Step::Key(name.clone())),
            (None, "*") => return Part::Step(Step::Wildcard),
            (None, bracket) => {
                let inside = bracket.trim_matches(['[', ']']).trim();
                if inside == "*" {
                    return Part::Step(Step::Wildcard);
                }
                if let Ok(index) = inside.parse() {
                    return Part::Step(Step::Index(index));
                }
            }
            (Some(_), _) => {}
        }
    }
    Part::Query(Segment {
        text: text.to_owned(),
        names: names.unwrap_or_default(),
    })
}

/// The names of a bracket that has nothing else.
fn names(inside: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = inside.trim();
    loop {
        let (name, length) = unquote(rest)?;
        names.push(name);
        rest = rest[length..].trim_start();
        if rest.is_empty() {
            return Some(names);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

/// The bytes of the bracket that a text begins with.
fn bracket_length(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, character) in outside_quotes(text) {
        match character {
            '[' => depth += 1,
            ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_steps_and_what_no_step_can_say() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            let shown = match parse(text) {
                Ok(selector) => {
                    let steps = selector.steps.iter().map(|step| match step {
                        Step::Key(key) => format!("/{key}"),
                        Step::Index(index) => format!("#{index}"),
                        Step::Wildcard => "*".to_owned(),
                    });
                    let query = selector.query.iter().map(|segment| {
                        let names = segment.names.join("|");
                        format!(" {}{{{names}}}", segment.text)
                    });
                    steps.chain(query).collect()
                }
                Err(problem) => {
                    // What the parser says beside it is its own affair.
                    let message = problem.message.split(": ").next().unwrap_or_default();
                    format!("{message}@{}", &text[problem.range])
                }
            };
            assert_eq!(shown, expect, "{text}");
        }
        check("files", "/files");
        check("entries.*.item", "/entries*/item");
        check("a.0.b", "/a#0/b");
        check("$", "");
        check("$.a", "/a");
        check("$.a.b[*].c", "/a/b*/c");
        check("$['a']", "/a");
        check("$ .a\n['b.c'][ 0 ]", "/a/b.c#0");
        check("$['it\\'s'][\"\\u00e4\\n\"]", "/it's/ä\n");
        check("$.a[?@.b > 1]", "/a [?@.b > 1]{}");
        check(
            "$.a[?@['x]'] == ']'].c",
            "/a [?@['x]'] == ']']{} [\"c\"]{c}",
        );
        check("$..a", " ..a{a}");
        check("$.x..['a', \"b\"][*]", "/x ..['a', \"b\"]{a|b} [*]{}");
        check("$..*", " ..*{}");
        check("$.a[1:3]", "/a [1:3]{}");
        check("$.a[0,2].b", "/a [0,2]{} [\"b\"]{b}");
        check("$['a','b']", " ['a','b']{a|b}");
        check("$['a',0]", " ['a',0]{}");
        // The dotted form, where a path cannot say it.
        check("a..b", "/a ..b{b}");
        check("items[?@.active]", "/items [?@.active]{}");
        check("items[?(@.n > 1)].x", "/items [?(@.n > 1)]{} [\"x\"]{x}");
        check("[0:2]", " [0:2]{}");
        check("a['b','c']", "/a ['b','c']{b|c}");
        check("$count", "/$count");
        check("many-results", "/many-results");
        check("", "an empty path@");
        check("a b", "a character that a plain step cannot have@ ");
        check("a[0", "a bracket that does not close@[0");
        check("$.a.[0]", "it is not JSONPath (RFC 9535)@[");
        check("$.many-results", "it is not JSONPath (RFC 9535)@-");
        check("$.a[?@.b >]", "it is not JSONPath (RFC 9535)@>");
        check("a[?@.b == ]", "it is not JSONPath (RFC 9535)@=");
        check("a[?unknown(@.b)]", "it is not JSONPath (RFC 9535)@u");
    }
}
