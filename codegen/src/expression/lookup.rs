//! The grammar of plain lookups.

use connector_plan::{Path, Root, Step};
use serde_json::{Value, json};

use super::token::{Token, TokenKind, next};
use super::{Found, Piece, Problem, SUPPORTED};
use crate::diagnostic::code;
use crate::words::{list, nearest, quote};

/// The variables of expressions.
pub(super) const ROOTS: [(&str, Root); 11] = [
    ("config", Root::Config),
    ("secrets", Root::Secrets),
    ("response", Root::Response),
    ("headers", Root::Headers),
    ("record", Root::Record),
    ("last_record", Root::LastRecord),
    ("last_page_size", Root::LastPageSize),
    ("page_size", Root::PageSize),
    ("stream_slice", Root::Partition),
    ("stream_partition", Root::Partition),
    ("stream_interval", Root::Interval),
];

/// Parses the expression that begins at `start`, up to its closing braces, or to the end of the
/// text when it stands `alone`. Returns where the text goes on.
pub(super) fn parse(text: &str, start: usize, alone: bool) -> Result<(Piece, usize), Problem> {
    let mut parser = Parser {
        text,
        token: next(text, start),
        start,
        alone,
    };
    let piece = parser.expression()?;
    if !parser.at_end() {
        return Err(parser.unexpected());
    }
    Ok((piece, parser.token.range.end))
}

struct Parser<'t> {
    text: &'t str,
    token: Token,
    start: usize,
    alone: bool,
}

impl Parser<'_> {
    fn expression(&mut self) -> Result<Piece, Problem> {
        let first = self.token.range.start;
        match self.token.kind.clone() {
            TokenKind::Text(text) => {
                self.advance();
                Ok(Piece::Text(text))
            }
            TokenKind::Word(word) => {
                let (word, root) = self.root(word)?;
                let mut found = Found {
                    root,
                    word,
                    path: Path::new(),
                    default: None,
                    range: first..first,
                };
                self.steps(&mut found)?;
                found.range.end = self.text[..self.token.range.start].trim_end().len();
                Ok(Piece::Lookup(found))
            }
            _ if self.at_end() && !self.alone => {
                let range = self.start..self.token.range.start;
                Err(self.problem("an empty expression", range, "nothing stands here"))
            }
            _ => Err(self.unexpected()),
        }
    }

    /// The variable that a word names; dlt's have two words.
    fn root(&mut self, word: String) -> Result<(String, Root), Problem> {
        let range = self.token.range.clone();
        self.advance();
        let (word, range) = if word == "dlt" && self.is(".") {
            self.advance();
            let TokenKind::Word(second) = self.token.kind.clone() else {
                return Err(self.unexpected());
            };
            let range = self.token.range.clone();
            self.advance();
            if !matches!(second.as_str(), "secrets" | "config") {
                return Err(self.unknown(&format!("dlt.{second}"), range, "dlt.secrets"));
            }
            (second, range)
        } else {
            (word, range)
        };
        match ROOTS.iter().find(|(known, _)| *known == word) {
            Some((_, root)) => Ok((word, *root)),
            // An operator in front of a variable reads better as the unexpected thing behind it.
            None if matches!(word.as_str(), "not" | "lambda" | "if") => Err(self.unexpected()),
            None => {
                let near =
                    nearest(&word, ROOTS.iter().map(|(known, _)| *known)).unwrap_or_default();
                Err(self.unknown(&word, range, near))
            }
        }
    }

    fn unknown(&self, word: &str, range: std::ops::Range<usize>, near: &str) -> Problem {
        let names: Vec<&str> = ROOTS.iter().map(|(known, _)| *known).collect();
        let mut problem = self.problem(
            &format!("unknown variable {}", quote(word)),
            range,
            &format!("the variables are {}", list(&names, "and")),
        );
        problem.more = true;
        if !near.is_empty() {
            problem.help = Some(format!("did you mean {}?", quote(near)));
        }
        problem
    }

    fn steps(&mut self, found: &mut Found) -> Result<(), Problem> {
        let mut default_range = None;
        loop {
            let dot = self.is(".");
            if !dot && !self.is("[") {
                return Ok(());
            }
            // A default only ends a lookup; looked into, `{}` is the same as nothing at all.
            if let Some(default) = found.default.take()
                && default != json!({})
                && !default.is_null()
            {
                let range = default_range.unwrap_or(0..0);
                return Err(self.problem(
                    "a default that is looked into",
                    range,
                    "only `{}` may stand here",
                ));
            }
            self.advance();
            if !dot {
                let step = self.index()?;
                found.path.push(step);
                self.expect("]")?;
                continue;
            }
            let TokenKind::Word(word) = self.token.kind.clone() else {
                return Err(self.unexpected());
            };
            self.advance();
            if word != "get" || !self.is("(") {
                found.path.push(Step::Key(word));
                continue;
            }
            self.advance();
            let step = self.index()?;
            found.path.push(step);
            if self.is(",") {
                self.advance();
                let start = self.token.range.start;
                found.default = Some(self.literal()?);
                let end = self.text[..self.token.range.start].trim_end().len();
                default_range = Some(start..end.max(start));
            }
            self.expect(")")?;
        }
    }

    /// A key or an index.
    fn index(&mut self) -> Result<Step, Problem> {
        let step = match &self.token.kind {
            TokenKind::Text(text) => Step::Key(text.clone()),
            TokenKind::Integer(index) => Step::Index(*index),
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(step)
    }

    /// A constant.
    fn literal(&mut self) -> Result<Value, Problem> {
        let value = match &self.token.kind {
            TokenKind::Text(text) => json!(text),
            TokenKind::Integer(integer) => json!(integer),
            TokenKind::Number(number) => json!(number),
            TokenKind::Word(word) => match word.as_str() {
                "none" | "None" | "null" => Value::Null,
                "true" | "True" => json!(true),
                "false" | "False" => json!(false),
                _ => return Err(self.unexpected()),
            },
            _ if self.is("{") => {
                self.advance();
                // `{}}}` ends a default and the expression: the token may be two braces.
                return self.close("}").map(|()| json!({}));
            }
            _ if self.is("[") => {
                self.advance();
                return self.close("]").map(|()| json!([]));
            }
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(value)
    }

    /// Takes a closing sign, which may be the first half of a longer one.
    fn close(&mut self, sign: &str) -> Result<(), Problem> {
        let start = self.token.range.start;
        if !self.text[start..].starts_with(sign) {
            return Err(self.unexpected());
        }
        self.token = next(self.text, start + sign.len());
        Ok(())
    }

    fn expect(&mut self, sign: &str) -> Result<(), Problem> {
        if !self.is(sign) {
            return Err(self.unexpected());
        }
        self.advance();
        Ok(())
    }

    fn is(&self, sign: &str) -> bool {
        self.token.kind == TokenKind::Sign && &self.text[self.token.range.clone()] == sign
    }

    fn at_end(&self) -> bool {
        if self.alone {
            self.token.kind == TokenKind::End
        } else {
            self.is("}}")
        }
    }

    fn advance(&mut self) {
        self.token = next(self.text, self.token.range.end);
    }

    fn unexpected(&self) -> Problem {
        let range = self.token.range.clone();
        match self.token.kind {
            TokenKind::End if !self.alone => {
                let range = self.start.saturating_sub(2)..self.text.len();
                self.problem("an expression without `}}`", range, "opened here")
            }
            TokenKind::End => {
                let range = self.start..self.text.len();
                self.problem("an expression that is cut off", range, "incomplete")
            }
            TokenKind::OpenText => {
                self.problem("a text without closing quote", range, "opened here")
            }
            _ => {
                let found = quote(&self.text[range.clone()]);
                let mut problem = self.problem(
                    &format!("unexpected {found} in an expression"),
                    range,
                    "not part of a plain lookup",
                );
                problem.more = true;
                problem
            }
        }
    }

    fn problem(&self, message: &str, range: std::ops::Range<usize>, label: &str) -> Problem {
        Problem {
            code: code::EXPRESSION,
            message: message.to_owned(),
            range: range.start.min(self.text.len())..range.end.min(self.text.len()),
            label: label.into(),
            note: Some(SUPPORTED),
            help: None,
            more: false,
        }
    }
}
