//! What holds for every text, to be checked by the fuzz target and with its corpus.

use minijinja::Environment;
use minijinja::machinery::ast::{BinOpKind, CallArg, Expr};
use minijinja::machinery::parse_expr;

use super::jinja::{children, is_time};
use super::{Compiled, Found, Piece, parse};

/// Parses a text and checks what comes of it.
///
/// # Panics
///
/// When something does not hold.
pub fn check(text: &str) {
    let outcome = parse(text);
    assert_eq!(parse(text), outcome, "not the same twice: {text}");
    match outcome {
        Ok(pieces) => {
            if !text.contains(['{', '}']) && !text.trim_start().starts_with("dlt.") {
                let plain = Some(text.to_owned()).filter(|text| !text.is_empty());
                assert!(pieces.iter().eq(plain.map(Piece::Text).iter()), "{text}");
            }
            for piece in &pieces {
                if let Piece::Jinja(compiled) = piece {
                    check_compiled(&text[compiled.range.clone()], compiled);
                }
            }
            let again = write(text, &pieces);
            match parse(&again) {
                Ok(found) => assert_eq!(show(&again, &found), show(text, &pieces), "{again}"),
                Err(problems) => assert!(problems.is_empty(), "{text} as {again}: {problems:?}"),
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "{text}");
            for problem in problems {
                let place = text.get(problem.range.clone());
                assert!(place.is_some(), "{problem:?}: {text}");
                assert!(!problem.message.is_empty(), "{problem:?}: {text}");
            }
        }
    }
}

/// The same text in other words: all of it between braces, but for placeholders.
fn write(text: &str, pieces: &[Piece]) -> String {
    let written = pieces.iter().map(|piece| match piece {
        Piece::Text(plain) => {
            let plain = plain.replace('\\', "\\\\").replace('\'', "\\'");
            format!("{{{{ '{plain}' }}}}")
        }
        Piece::Lookup(Found { range, .. }) if text[range.clone()].starts_with('{') => {
            text[range.clone()].to_owned()
        }
        Piece::Lookup(Found { range, .. }) | Piece::Jinja(Compiled { range, .. }) => {
            format!("{{{{ {} }}}}", &text[range.clone()])
        }
    });
    written.collect()
}

/// Pieces, with what stands in their places instead of where that is.
fn show(text: &str, pieces: &[Piece]) -> Vec<String> {
    let show_found = |found: &Found| {
        let place = &text[found.range.clone()];
        let Found {
            root,
            word,
            path,
            default,
            ..
        } = found;
        format!("{root:?} {word} {path:?} {default:?} at {place}")
    };
    let shown = pieces.iter().map(|piece| match piece {
        Piece::Text(plain) => plain.clone(),
        Piece::Lookup(found) => show_found(found),
        Piece::Jinja(compiled) => {
            let uses: Vec<String> = compiled.uses.iter().map(show_found).collect();
            let place = &text[compiled.range.clone()];
            let Compiled {
                source, predicate, ..
            } = compiled;
            format!("{source} {uses:?} {predicate:?} at {place}")
        }
    });
    shown.collect()
}

/// What is compiled is what was written, and can be compiled at run time.
fn check_compiled(written: &str, compiled: &Compiled) {
    let source = &compiled.source;
    let environment = Environment::new();
    let program = environment.compile_expression(source);
    assert!(program.is_ok(), "{written} as {source}: {program:?}");
    let whole = |source| parse_expr(source).ok().map(|expression| tree(&expression));
    assert!(whole(written).is_some(), "{written}");
    assert_eq!(whole(written), whole(source), "{written} as {source}");
}

/// An expression with all its parentheses; sums of times are calls.
fn tree(expression: &Expr<'_>) -> String {
    let mut parts = Vec::new();
    children(expression, &mut |child| parts.push(tree(child)));
    let head = match expression {
        Expr::BinOp(sum) if is_time(expression) => {
            let call = match sum.op {
                BinOpKind::Add => "__add",
                _ => "__subtract",
            };
            parts.insert(0, format!("{call}()"));
            "call".to_owned()
        }
        Expr::Var(variable) => variable.id.to_owned(),
        Expr::Const(constant) => format!("{:?}", constant.value),
        Expr::Slice(slice) => {
            let parts = [&slice.start, &slice.stop, &slice.step];
            format!("slice {:?}", parts.map(Option::is_some))
        }
        Expr::UnaryOp(operation) => format!("{:?}", operation.op),
        Expr::BinOp(operation) => format!("{:?}", operation.op),
        Expr::Compare(compare) => {
            let operations = compare.ops.iter().map(|operation| operation.op);
            format!("{:?}", operations.collect::<Vec<_>>())
        }
        Expr::IfExpr(_) => "if".to_owned(),
        Expr::Filter(filter) => format!("filter {}{}", filter.name, kinds(&filter.args)),
        Expr::Test(test) => format!("test {}{}", test.name, kinds(&test.args)),
        Expr::GetAttr(attribute) => format!(".{}", attribute.name),
        Expr::GetItem(_) => "item".to_owned(),
        Expr::Call(call) => format!("call{}", kinds(&call.args)),
        Expr::List(_) => "list".to_owned(),
        Expr::Tuple(_) => "tuple".to_owned(),
        Expr::Map(map) => format!("map {}", map.keys.len()),
    };
    format!("{head}({})", parts.join(", "))
}

/// How arguments are given, where that is not by position.
fn kinds(arguments: &[CallArg<'_>]) -> String {
    let kinds = arguments.iter().enumerate().map(|(at, kind)| match kind {
        CallArg::Pos(_) => String::new(),
        CallArg::Kwarg(name, _) => format!(" {at}={name}"),
        CallArg::PosSplat(_) => format!(" {at}*"),
        CallArg::KwargSplat(_) => format!(" {at}**"),
    });
    kinds.collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_corpus_holds() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/expression");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            check(&String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
            count += 1;
        }
        assert!(count > 0, "no corpus");
    }
}
