//! Paths into JSON documents: dotted, or the part of JSONPath (RFC 9535) that is a path.

use std::ops::Range;

use connector_plan::{Path, Selector, Step};

use super::Lowering;
use crate::diagnostic::{Diagnostic, code};
use crate::spec::Text;
use crate::words::quote;
use crate::yaml;

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    range: Range<usize>,
    message: &'static str,
    /// Whether JSONPath has it.
    later: bool,
}

/// Reads a path: `a.b`, `a.*.b`, `$.a[0]['b.c']`.
fn parse(text: &str) -> Result<Path, Problem> {
    let mut steps = Path::new();
    let mut at = 0;
    let wrong = |range, message| Problem {
        range,
        message,
        later: false,
    };
    let later = |range, message| Problem {
        range,
        message,
        later: true,
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
            let (step, length) = bracket(rest).map_err(|(message, is_later)| Problem {
                range: at..text.len(),
                message,
                later: is_later,
            })?;
            steps.push(step);
            at += length;
            continue;
        }
        if rest.starts_with("..") {
            return Err(later(at..at + 2, "a descent through all levels (`..`)"));
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
    if let Some(quote) = inner.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        let mut name = String::new();
        let mut characters = inner.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            if character == '\\' {
                match characters.next() {
                    Some((_, next)) if matches!(next, '\\' | '\'' | '"' | '/') => name.push(next),
                    _ => return Err(("an escape that is not understood", true)),
                }
            } else if character == quote {
                let tail = inner[at + 1..].trim_start();
                if tail.starts_with(']') {
                    return Ok((Step::Key(name), rest.len() - tail.len() + 1));
                }
                let list = tail.starts_with(',');
                return Err(if list {
                    ("a list of keys", true)
                } else {
                    ("a bracket that does not close", false)
                });
            } else {
                name.push(character);
            }
        }
        return Err(("a quote that does not close", false));
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

impl Lowering<'_, '_> {
    /// Where the records are.
    pub(super) fn selector(&mut self, text: &Text) -> Selector {
        Selector {
            text: text.value.clone(),
            steps: self.steps(text),
        }
    }

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

    fn steps(&mut self, text: &Text) -> Path {
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
        let diagnostic = if problem.later {
            Diagnostic::error(
                code::NOT_SUPPORTED,
                format!("{} is not supported yet", problem.message),
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
                .help("a path is `a.b`, `a.*.b`, `a[0]` or `$['a.b']`"),
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
        check("a['b", "a quote that does not close@['b");
        check(
            "a[b]",
            "a bracket with neither an index nor a quoted key@[b]",
        );
        check("a['b']c", "a path whose steps are not separated@c");
    }
}
