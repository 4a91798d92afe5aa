//! Paths to one value of a JSON document: dotted, or the part of JSONPath (RFC 9535) that is a path.

use std::ops::Range;

use connector_plan::{Path, Step};

use super::Lowering;
use crate::diagnostic::{Diagnostic, code};
use crate::spec::Text;
use crate::words::quote;
use crate::yaml;

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub range: Range<usize>,
    pub message: &'static str,
    /// Whether JSONPath has it, for more than one value.
    pub is_query: bool,
}

/// Reads a path: `a.b`, `a.*.b`, `$.a[0]['b.c']`.
pub(super) fn parse(text: &str) -> Result<Path, Problem> {
    let mut steps = Path::new();
    let mut at = 0;
    let wrong = |range, message| Problem {
        range,
        message,
        is_query: false,
    };
    let query = |range, message| Problem {
        range,
        message,
        is_query: true,
    };
    if text.is_empty() {
        return Err(wrong(0..0, "an empty path"));
    }
    let rooted = text.starts_with('$') && (text.len() == 1 || text[1..].starts_with(['.', '[']));
    if rooted {
        at = 1;
    }
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with('[') {
            let (step, length) = bracket(rest).map_err(|(message, is_query)| Problem {
                range: at..text.len(),
                message,
                is_query,
            })?;
            steps.push(step);
            at += length;
            continue;
        }
        if rest.starts_with("..") {
            return Err(query(at..at + 2, "a descent through all levels (`..`)"));
        }
        if rest.starts_with('.') {
            at += 1;
            // `a.[0]` is common in hand-written paths and can mean only one thing.
            if text[at..].starts_with('[') {
                continue;
            }
        } else if !steps.is_empty() || rooted {
            return Err(wrong(
                at..text.len(),
                "a path whose steps are not separated",
            ));
        }
        let name = &text[at..];
        let length = name.find(['.', '[']).unwrap_or(name.len());
        let name = &name[..length];
        let range = at..at + length;
        if name.is_empty() {
            return Err(wrong(at.saturating_sub(1)..at, "an empty step"));
        }
        if let Some(character) = name.chars().find(|c| {
            c.is_whitespace()
                || c.is_control()
                || matches!(c, ']' | '\'' | '"' | '?' | '(' | ')' | ',' | '{' | '}')
        }) {
            let at = range.start + name.find(character).unwrap_or(0);
            return Err(wrong(
                at..at + character.len_utf8(),
                "a character that a plain step cannot have",
            ));
        }
        steps.push(if name == "*" {
            Step::Wildcard
        } else if name.bytes().all(|c| c.is_ascii_digit())
            && let Ok(index) = name.parse()
        {
            Step::Index(index)
        } else {
            Step::Key(name.to_owned())
        });
        at = range.end;
    }
    Ok(steps)
}

/// Reads `[…]`; the length is that of the whole bracket.
fn bracket(rest: &str) -> Result<(Step, usize), (&'static str, bool)> {
    let inner = rest[1..].trim_start();
    let before = rest.len() - inner.len();
    if inner.starts_with(['\'', '"']) {
        let Some((name, quoted)) = unquote(inner) else {
            return Err((
                "a quote that does not close, or an escape that JSON has not",
                false,
            ));
        };
        let tail = inner[quoted..].trim_start();
        return match tail.chars().next() {
            Some(']') => Ok((Step::Key(name), rest.len() - tail.len() + 1)),
            Some(',') => Err(("a list of keys", true)),
            _ => Err(("a bracket that does not close", false)),
        };
    }
    let Some(end) = inner.find(']') else {
        return Err(("a bracket that does not close", false));
    };
    let word = inner[..end].trim();
    let length = before + end + 1;
    if word == "*" {
        return Ok((Step::Wildcard, length));
    }
    if let Ok(index) = word.parse() {
        return Ok((Step::Index(index), length));
    }
    Err(match word.chars().next() {
        Some('?') => ("a filter (`[?…]`)", true),
        _ if word.contains(':') => ("a slice (`[a:b]`)", true),
        _ if word.contains(',') => ("a list of indexes", true),
        _ => ("a bracket with neither an index nor a quoted key", false),
    })
}

/// The text in the quotes that a text begins with, and the bytes up to its end.
pub(super) fn unquote(text: &str) -> Option<(String, usize)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    // As a string of JSON, in which only the other quote is spelled differently.
    let mut json = String::from("\"");
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => match characters.next()?.1 {
                '\'' => json.push('\''),
                escaped => json.extend(['\\', escaped]),
            },
            end if end == quote => {
                json.push('"');
                return Some((serde_json::from_str(&json).ok()?, at + 1));
            }
            '"' => json.push_str("\\\""),
            other => json.push(other),
        }
    }
    None
}

impl Lowering<'_, '_> {
    /// A path to at most one value.
    pub(super) fn single_path(&mut self, text: &Text) -> Path {
        let steps = self.steps(text);
        if steps.contains(&Step::Wildcard) {
            self.invalid(
                "a path to one value cannot have `*`",
                text.span,
                "this may lead to many values",
            );
        } else if steps.is_empty() && text.value.starts_with('$') {
            self.invalid(
                "a path to one value needs a step",
                text.span,
                "this is the whole page",
            );
        }
        steps
    }

    /// A path of keys, for what is put into a body.
    pub(super) fn body_path(&mut self, text: &Text) -> Vec<String> {
        let mut keys = Vec::new();
        for step in self.single_path(text) {
            match step {
                Step::Key(key) => keys.push(key),
                Step::Index(_) | Step::Wildcard => {
                    self.invalid(
                        "a path into a request body has keys only",
                        text.span,
                        "this has an index",
                    );
                    break;
                }
            }
        }
        keys
    }

    /// A path that may have wildcards.
    pub(super) fn steps(&mut self, text: &Text) -> Path {
        let problem = match parse(&text.value) {
            Ok(steps) => return steps,
            Err(problem) => problem,
        };
        let span = yaml::locate(
            self.reporter.text,
            text.span,
            &text.value,
            problem.range.start,
            problem.range.end,
        );
        let diagnostic = if problem.is_query {
            Diagnostic::error(
                code::INVALID_VALUE,
                format!(
                    "{} is not a path to one value: it has {}",
                    quote(&text.value),
                    problem.message
                ),
            )
        } else {
            Diagnostic::error(
                code::INVALID_VALUE,
                format!("{} is not a path: {}", quote(&text.value), problem.message),
            )
        };
        self.report(
            diagnostic
                .label(span, "")
                .help("a path is `a.b`, `a[0]` or `$['a.b']`"),
        );
        Path::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_dotted_or_jsonpath() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            let shown = match parse(text) {
                Ok(steps) => steps
                    .iter()
                    .map(|step| match step {
                        Step::Key(key) => format!("/{key}"),
                        Step::Index(index) => format!("#{index}"),
                        Step::Wildcard => "*".to_owned(),
                    })
                    .collect(),
                Err(problem) => format!("{}@{}", problem.message, &text[problem.range]),
            };
            assert_eq!(shown, expect, "{text}");
        }
        check("files", "/files");
        check("data.items", "/data/items");
        check("entries.*.item", "/entries*/item");
        check("entries.*", "/entries*");
        check("$", "");
        check("$.a", "/a");
        check("$[*].a", "*/a");
        check("$['a.b'][0]", "/a.b#0");
        check("a[-1]", "/a#-1");
        check("a.0.b", "/a#0/b");
        check("a.[0]", "/a#0");
        check("$count", "/$count");
        check("[\"it's\"]", "/it's");
        check("['it\\'s']", "/it's");
        check("many-results", "/many-results");
        check("ä.ö", "/ä/ö");
        check("", "an empty path@");
        check("a..b", "a descent through all levels (`..`)@..");
        check("a.", "an empty step@.");
        check(".a", "/a");
        check("a b", "a character that a plain step cannot have@ ");
        check("a[?(@.x)]", "a filter (`[?…]`)@[?(@.x)]");
        check("a[1:2]", "a slice (`[a:b]`)@[1:2]");
        check("a[1,2]", "a list of indexes@[1,2]");
        check("a['b','c']", "a list of keys@['b','c']");
        check("a[0", "a bracket that does not close@[0");
        check(
            "a['b",
            "a quote that does not close, or an escape that JSON has not@['b",
        );
        check("a['\\u00e4\\'\"']", "/a/ä'\"");
        check(
            "a[b]",
            "a bracket with neither an index nor a quoted key@[b]",
        );
        check("a['b']c", "a path whose steps are not separated@c");
    }
}
