//! Expressions beyond plain lookups: their names are checked, what they look at is listed, and
//! conditions that need no interpreter are recognised.

use std::ops::Range;

use connector_plan::{
    Comparison, FILTERS, FUNCTIONS, Lookup, Operand, Path, Predicate, Root, Step, TESTS,
};
use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, UnaryOpKind};
use minijinja::machinery::{Span, parse_expr};
use serde_json::{Value, json};

use super::lookup::ROOTS;
use super::{Found, Problem};
use crate::diagnostic::code;
use crate::words::{list, nearest, quote};

/// An expression of the full grammar.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compiled {
    /// The expression without braces.
    pub source: String,
    /// What it looks at: paths of keys, as far as they are known.
    pub uses: Vec<Found>,
    /// The same as a condition, when comparing captured values is all that it does.
    pub predicate: Option<Predicate>,
    /// The bytes of the expression in its text.
    pub range: Range<usize>,
}

/// Where the expression that begins at `start` ends: the place of its closing braces.
pub(super) fn end(text: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quoted = None;
    let mut escaped = false;
    for (at, character) in text[start..].char_indices() {
        match (quoted, character) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(quote), _) if character == quote => quoted = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quoted = Some(character),
            (None, '}') if depth == 0 => {
                return text[start + at..].starts_with("}}").then_some(start + at);
            }
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    None
}

/// Checks the expression in a range of a text.
pub(super) fn compile(text: &str, range: Range<usize>) -> Result<Compiled, Vec<Problem>> {
    let inner = &text[range.clone()];
    let blanks = inner.len() - inner.trim_start().len();
    let source = inner.trim();
    let base = range.start + blanks;
    let whole = base..base + source.len();
    let expression = parse_expr(source).map_err(|error| {
        let detail = error.detail().unwrap_or("it cannot be read").to_owned();
        let place = error
            .range()
            .map(|range| base + range.start..base + range.end.max(range.start))
            .filter(|range| {
                range.start < whole.end
                    && range.end <= whole.end
                    && text.get(range.clone()).is_some()
            })
            .unwrap_or(whole.clone());
        vec![problem(
            format!("not an expression: {detail}"),
            place,
            "not Jinja",
        )]
    })?;
    let mut checker = Checker {
        text,
        base,
        uses: Vec::new(),
        problems: Vec::new(),
    };
    checker.expression(&expression);
    if !checker.problems.is_empty() {
        return Err(checker.problems);
    }
    Ok(Compiled {
        predicate: predicate(&expression),
        source: with_times(source, &expression),
        uses: checker.uses,
        range: whole,
    })
}

fn problem(message: String, range: Range<usize>, label: impl Into<Box<str>>) -> Problem {
    Problem {
        code: code::EXPRESSION,
        message,
        range,
        label: label.into(),
        note: None,
        help: None,
        more: false,
    }
}

struct Checker<'t> {
    text: &'t str,
    /// Where the expression begins in its text.
    base: usize,
    uses: Vec<Found>,
    problems: Vec<Problem>,
}

/// A variable and the way below it.
struct Chain {
    word: String,
    root: Option<Root>,
    path: Path,
    /// The default of the last `get`.
    default: Option<Value>,
    /// Whether a lookup of the plan says all of it.
    exact: bool,
    span: Span,
}

impl Checker<'_> {
    fn range(&self, span: Span) -> Range<usize> {
        self.base + span.start_offset as usize..self.base + span.end_offset as usize
    }

    fn expression(&mut self, expression: &Expr<'_>) {
        if let Some(chain) = chain(expression) {
            self.chain(chain, expression.span());
            return;
        }
        match expression {
            Expr::Filter(filter) => {
                let value = filter.expr.as_ref().map(Expr::span);
                self.name("filter", filter.name, FILTERS, value, filter.span());
            }
            Expr::Test(test) => {
                self.name(
                    "test",
                    test.name,
                    TESTS,
                    Some(test.expr.span()),
                    test.span(),
                );
            }
            Expr::Call(call) => {
                match &call.expr {
                    Expr::Var(function) => {
                        self.name("function", function.id, FUNCTIONS, None, function.span());
                    }
                    // A method: it is looked up in the value, not in the document.
                    Expr::GetAttr(method) => self.expression(&method.expr),
                    other => self.expression(other),
                }
                for argument in &call.args {
                    match argument {
                        CallArg::Pos(value)
                        | CallArg::Kwarg(_, value)
                        | CallArg::PosSplat(value)
                        | CallArg::KwargSplat(value) => self.expression(value),
                    }
                }
                return;
            }
            _ => {}
        }
        children(expression, &mut |child| self.expression(child));
    }

    fn chain(&mut self, chain: Chain, span: Span) {
        let start = self.range(chain.span).start;
        let range = start..self.range(span).end.max(start + chain.word.len());
        let Some(root) = chain.root else {
            let names = ROOTS.map(|(name, _)| name);
            let mut found = problem(
                format!("unknown variable {}", quote(&chain.word)),
                start..start + chain.word.len(),
                format!("the variables are {}", list(&names, "and")),
            );
            found.help =
                nearest(&chain.word, names).map(|near| format!("did you mean {}?", quote(near)));
            self.problems.push(found);
            return;
        };
        // Elements of arrays are captured with their array.
        let keys = chain
            .path
            .iter()
            .take_while(|step| matches!(step, Step::Key(_)))
            .count();
        let mut path = chain.path;
        path.truncate(keys);
        if root == Root::Response && path.is_empty() {
            let mut found = problem(
                "an expression over the whole response".to_owned(),
                range,
                "this would keep every page in memory twice",
            );
            found.help = Some(
                "name the member that it needs, such as `response.paging`; \
                 `last_page_size` is the number of records"
                    .to_owned(),
            );
            self.problems.push(found);
            return;
        }
        self.uses.push(Found {
            root,
            word: chain.word,
            path,
            default: None,
            range,
        });
    }

    /// Checks a name that stands in `span`, behind the `value` that it is for.
    fn name(
        &mut self,
        what: &str,
        name: &str,
        known: &[&'static str],
        value: Option<Span>,
        span: Span,
    ) {
        if known.contains(&name) {
            return;
        }
        let whole = self.range(span);
        let behind = value.map_or(whole.start, |value| self.range(value).end);
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let rest = self.text.get(behind..whole.end).unwrap_or_default();
        let range = rest
            .match_indices(name)
            .map(|(at, _)| at..at + name.len())
            .find(|at| !rest[..at.start].ends_with(is_word) && !rest[at.end..].starts_with(is_word))
            .map_or(whole, |at| behind + at.start..behind + at.end);
        let mut found = problem(
            format!("unknown {what} {}", quote(name)),
            range,
            format!("no {what} of expressions"),
        );
        found.help = match nearest(name, known.iter().copied()) {
            Some(near) => Some(format!("did you mean {}?", quote(near))),
            None => Some(format!("the {what}s are {}", list(known, "and"))),
        };
        self.problems.push(found);
    }
}

/// A variable with attributes, constant items and `get`s below it.
fn chain(expression: &Expr<'_>) -> Option<Chain> {
    match expression {
        Expr::Var(variable) => Some(Chain {
            word: variable.id.to_owned(),
            root: ROOTS
                .iter()
                .find(|(name, _)| *name == variable.id)
                .map(|(_, root)| *root),
            path: Path::new(),
            default: None,
            exact: true,
            span: variable.span(),
        }),
        Expr::GetAttr(attribute) => {
            if let Expr::Var(variable) = &attribute.expr
                && variable.id == "dlt"
                && matches!(attribute.name, "secrets" | "config")
            {
                let root = if attribute.name == "secrets" {
                    Root::Secrets
                } else {
                    Root::Config
                };
                return Some(Chain {
                    word: format!("dlt.{}", attribute.name),
                    root: Some(root),
                    path: Path::new(),
                    default: None,
                    exact: true,
                    span: variable.span(),
                });
            }
            Some(step(
                chain(&attribute.expr)?,
                Step::Key(attribute.name.to_owned()),
            ))
        }
        Expr::GetItem(item) => {
            let key = key(&item.subscript_expr)?;
            Some(step(chain(&item.expr)?, key))
        }
        Expr::Call(call) => {
            let Expr::GetAttr(method) = &call.expr else {
                return None;
            };
            let (name, default) = match call.args.as_slice() {
                [CallArg::Pos(name)] => (name, None),
                [CallArg::Pos(name), CallArg::Pos(default)] => (name, Some(literal(default)?)),
                _ => return None,
            };
            if method.name != "get" {
                return None;
            }
            let mut found = step(chain(&method.expr)?, key(name)?);
            found.default = default;
            Some(found)
        }
        _ => None,
    }
}

fn step(mut chain: Chain, step: Step) -> Chain {
    // Looked into, `{}` is the same as nothing at all; another default is not.
    if let Some(default) = chain.default.take() {
        chain.exact &= default == json!({}) || default.is_null();
    }
    chain.path.push(step);
    chain
}

fn key(expression: &Expr<'_>) -> Option<Step> {
    match literal(expression)? {
        Value::String(key) => Some(Step::Key(key)),
        Value::Number(number) => number.as_i64().map(Step::Index),
        _ => None,
    }
}

/// A constant.
fn literal(expression: &Expr<'_>) -> Option<Value> {
    serde_json::to_value(expression.as_const()?).ok()
}

/// The condition that an expression is, when it only compares lookups and constants.
fn predicate(expression: &Expr<'_>) -> Option<Predicate> {
    Some(match expression {
        Expr::UnaryOp(operation) if matches!(operation.op, UnaryOpKind::Not) => {
            Predicate::Not(Box::new(predicate(&operation.expr)?))
        }
        Expr::BinOp(operation) => {
            let comparison = match operation.op {
                BinOpKind::ScAnd => {
                    return Some(Predicate::All(vec![
                        predicate(&operation.left)?,
                        predicate(&operation.right)?,
                    ]));
                }
                BinOpKind::ScOr => {
                    return Some(Predicate::Any(vec![
                        predicate(&operation.left)?,
                        predicate(&operation.right)?,
                    ]));
                }
                BinOpKind::Eq => CompareOpKind::Eq,
                BinOpKind::Ne => CompareOpKind::Ne,
                BinOpKind::Lt => CompareOpKind::Lt,
                BinOpKind::Lte => CompareOpKind::Lte,
                BinOpKind::Gt => CompareOpKind::Gt,
                BinOpKind::Gte => CompareOpKind::Gte,
                BinOpKind::In => CompareOpKind::In,
                _ => return None,
            };
            compare(&operation.left, comparison, &operation.right)?
        }
        Expr::Compare(chained) => {
            let mut left = &chained.expr;
            let mut all = Vec::new();
            for operation in &chained.ops {
                all.push(compare(left, operation.op, &operation.expr)?);
                left = &operation.expr;
            }
            match all.len() {
                1 => all.remove(0),
                _ => Predicate::All(all),
            }
        }
        Expr::Test(test) if test.name == "none" && test.args.is_empty() => {
            Predicate::Null(operand(&test.expr)?)
        }
        _ => Predicate::Truth(operand(expression)?),
    })
}

fn compare(left: &Expr<'_>, kind: CompareOpKind, right: &Expr<'_>) -> Option<Predicate> {
    let (comparison, negated) = match kind {
        CompareOpKind::Eq => (Comparison::Equal, false),
        CompareOpKind::Ne => (Comparison::Equal, true),
        CompareOpKind::Lt => (Comparison::Less, false),
        CompareOpKind::Lte => (Comparison::LessOrEqual, false),
        CompareOpKind::Gt => (Comparison::Greater, false),
        CompareOpKind::Gte => (Comparison::GreaterOrEqual, false),
        CompareOpKind::In => (Comparison::In, false),
        CompareOpKind::NotIn => (Comparison::In, true),
    };
    let compare = Predicate::Compare(operand(left)?, comparison, operand(right)?);
    Some(if negated {
        Predicate::Not(Box::new(compare))
    } else {
        compare
    })
}

fn operand(expression: &Expr<'_>) -> Option<Operand> {
    if let Some(value) = literal(expression) {
        return Some(Operand::Literal(value));
    }
    let chain = chain(expression).filter(|chain| chain.exact)?;
    let root = chain.root?;
    // The whole of a record or of the headers is for the interpreter.
    let single = matches!(root, Root::LastPageSize | Root::PageSize);
    if chain.path.is_empty() != single {
        return None;
    }
    let mut path = chain.path;
    if let (Root::Headers, [Step::Key(name)]) = (root, path.as_mut_slice()) {
        name.make_ascii_lowercase();
    }
    Some(Operand::Lookup(Lookup {
        root,
        path,
        default: chain.default,
    }))
}

/// The expression with sums of times written as calls: at run time operators know only numbers and
/// texts.
fn with_times(source: &str, expression: &Expr<'_>) -> String {
    let mut edits = Vec::new();
    times(source, expression, &mut edits);
    // Stable: at one place they are in the order of the text.
    edits.sort_by_key(|(at, _, _)| *at);
    let mut text = String::new();
    let mut done = 0;
    for (at, length, replacement) in edits {
        text.push_str(&source[done..at]);
        text.push_str(replacement);
        done = at + length;
    }
    text.push_str(&source[done..]);
    text
}

fn times(source: &str, expression: &Expr<'_>, edits: &mut Vec<(usize, usize, &'static str)>) {
    if let Expr::BinOp(sum) = expression
        && is_time(expression)
    {
        let (call, sign) = match sum.op {
            BinOpKind::Add => ("__add(", '+'),
            _ => ("__subtract(", '-'),
        };
        let from = sum.left.span().end_offset as usize;
        if let Some(operator) = source.get(from..).and_then(|rest| rest.find(sign)) {
            edits.push((sum.span().start_offset as usize, 0, call));
            times(source, &sum.left, edits);
            edits.push((from + operator, 1, ","));
            times(source, &sum.right, edits);
            edits.push((sum.span().end_offset as usize, 0, ")"));
            return;
        }
    }
    children(expression, &mut |child| times(source, child, edits));
}

/// Whether an expression is a time by its form.
pub(super) fn is_time(expression: &Expr<'_>) -> bool {
    match expression {
        Expr::Call(call) => matches!(
            &call.expr,
            Expr::Var(function) if matches!(
                function.id,
                "now_utc" | "today_utc" | "today_with_timezone" | "str_to_datetime" | "strptime" | "duration"
            )
        ),
        Expr::Filter(filter) => filter.name == "strptime",
        Expr::BinOp(sum) if matches!(sum.op, BinOpKind::Add | BinOpKind::Sub) => {
            is_time(&sum.left) || is_time(&sum.right)
        }
        _ => false,
    }
}

/// Calls `see` with every expression right below this one.
pub(super) fn children<'e, 's>(expression: &'e Expr<'s>, see: &mut impl FnMut(&'e Expr<'s>)) {
    let arguments = |arguments: &'e [CallArg<'s>], see: &mut dyn FnMut(&'e Expr<'s>)| {
        for argument in arguments {
            match argument {
                CallArg::Pos(value)
                | CallArg::Kwarg(_, value)
                | CallArg::PosSplat(value)
                | CallArg::KwargSplat(value) => see(value),
            }
        }
    };
    match expression {
        Expr::Var(_) | Expr::Const(_) => {}
        Expr::Slice(slice) => {
            see(&slice.expr);
            let parts = [&slice.start, &slice.stop, &slice.step];
            parts.into_iter().flatten().for_each(see);
        }
        Expr::UnaryOp(operation) => see(&operation.expr),
        Expr::BinOp(operation) => {
            see(&operation.left);
            see(&operation.right);
        }
        Expr::Compare(compare) => {
            see(&compare.expr);
            compare
                .ops
                .iter()
                .for_each(|operation| see(&operation.expr));
        }
        Expr::IfExpr(choice) => {
            see(&choice.test_expr);
            see(&choice.true_expr);
            choice.false_expr.iter().for_each(see);
        }
        Expr::Filter(filter) => {
            filter.expr.iter().for_each(&mut *see);
            arguments(&filter.args, see);
        }
        Expr::Test(test) => {
            see(&test.expr);
            arguments(&test.args, see);
        }
        Expr::GetAttr(attribute) => see(&attribute.expr),
        Expr::GetItem(item) => {
            see(&item.expr);
            see(&item.subscript_expr);
        }
        Expr::Call(call) => {
            see(&call.expr);
            arguments(&call.args, see);
        }
        Expr::List(list) => list.items.iter().for_each(see),
        Expr::Tuple(tuple) => tuple.items.iter().for_each(see),
        Expr::Map(map) => map.keys.iter().chain(&map.values).for_each(see),
    }
}
