//! What a scalar means, and where each of its characters stands in the file.

use saphyr_parser::{ScalarStyle, Tag};

use super::Value;
use crate::source::Span;

/// The meaning of a scalar in the core schema; the error says why its tag does not fit.
pub(super) fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let Some(tag) = tag else {
        return Ok(if style == ScalarStyle::Plain {
            plain(text)
        } else {
            Value::String(text.to_owned())
        });
    };
    // `!` alone makes any scalar a string (YAML 1.2, section 6.9.1).
    if tag.handle.is_empty() && tag.suffix == "!" || tag.handle == "!" && tag.suffix.is_empty() {
        return Ok(Value::String(text.to_owned()));
    }
    if !tag.is_yaml_core_schema() {
        return Err(
            "only the tags of YAML's core schema are understood, such as `!!str`".to_owned(),
        );
    }
    let value = plain(text);
    match (tag.suffix.as_str(), value) {
        ("str", _) => Ok(Value::String(text.to_owned())),
        ("null", Value::Null) => Ok(Value::Null),
        ("bool", value @ Value::Boolean(_))
        | ("int", value @ Value::Integer(_))
        | ("float", value @ Value::Float(_)) => Ok(value),
        #[expect(clippy::cast_precision_loss, reason = "the spec asks for a float")]
        ("float", Value::Integer(value)) => Ok(Value::Float(value as f64)),
        ("null" | "bool" | "int" | "float", _) => {
            Err(format!("the value is no `!!{}`", tag.suffix))
        }
        _ => Err(format!(
            "`!!{}` is not a scalar of YAML's core schema",
            tag.suffix
        )),
    }
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Boolean(true),
        "false" | "False" | "FALSE" => return Value::Boolean(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Value::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let radix = |prefix, radix| {
        text.strip_prefix(prefix)
            .filter(|digits: &&str| digits.starts_with(|c: char| c.is_ascii_hexdigit()))
            .and_then(|digits| i64::from_str_radix(digits, radix).ok())
    };
    if let Some(value) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Value::Integer(value);
    }
    if let Ok(value) = text.parse() {
        return Value::Integer(value);
    }
    let numeric = text.bytes().any(|byte| byte.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    match text.parse() {
        Ok(value) if numeric => Value::Float(value),
        _ => Value::String(text.to_owned()),
    }
}

/// Where bytes `start..end` of a string stand in the file.
///
/// Quotes, escapes, folded lines and indentation are walked through; where that fails the whole
/// scalar is the answer, which is never wrong.
pub(crate) fn locate(file: &str, scalar: Span, value: &str, start: usize, end: usize) -> Span {
    let raw = scalar.of(file);
    offset_in(raw, value, start)
        .zip(offset_in(raw, value, end.max(start)))
        .map_or(scalar, |(first, last)| {
            Span::new(scalar.start + first, scalar.start + last)
        })
}

/// The offset in the raw scalar of an offset in its value.
fn offset_in(raw: &str, value: &str, target: usize) -> Option<usize> {
    let (mut at, style) = match raw.as_bytes().first()? {
        b'"' => (1, ScalarStyle::DoubleQuoted),
        b'\'' => (1, ScalarStyle::SingleQuoted),
        b'|' | b'>' => (raw.find('\n')? + 1, ScalarStyle::Literal),
        _ => (0, ScalarStyle::Plain),
    };
    let mut done = 0;
    while done < target {
        let wanted = value[done..].chars().next()?;
        let rest = &raw[at..];
        let found = rest.chars().next()?;
        if style == ScalarStyle::DoubleQuoted && found == '\\' {
            let length = match rest[1..].chars().next()? {
                'x' => 4,
                'u' => 6,
                'U' => 10,
                '\n' | '\r' => return None,
                other => 1 + other.len_utf8(),
            };
            at += length;
            done += wanted.len_utf8();
        } else if style == ScalarStyle::SingleQuoted && rest.starts_with("''") {
            at += 2;
            done += 1;
        } else if wanted.is_whitespace() && found.is_whitespace() {
            if wanted == found && !matches!(wanted, '\n' | '\r') && target - done == 1 {
                return Some(at + 1);
            }
            let blanks = |text: &str| text.len() - text.trim_start().len();
            let skipped = blanks(&value[done..]);
            if done + skipped > target {
                return None;
            }
            done += skipped;
            at += blanks(rest);
            continue;
        } else if wanted == found {
            at += found.len_utf8();
            done += wanted.len_utf8();
        } else if style == ScalarStyle::Literal && done == 0 && found.is_whitespace() {
            at += found.len_utf8();
            continue;
        } else {
            return None;
        }
        if !raw.is_char_boundary(at) {
            return None;
        }
    }
    if style == ScalarStyle::Literal && done == 0 {
        at += raw[at..].len() - raw[at..].trim_start().len();
    }
    (done == target).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_follow_the_core_schema() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            assert_eq!(format!("{:?}", plain(text)), expect, "{text}");
        }
        check("", "Null");
        check("~", "Null");
        check("True", "Boolean(true)");
        check("yes", r#"String("yes")"#);
        check("12", "Integer(12)");
        check("+12", "Integer(12)");
        check("0x1F", "Integer(31)");
        check("0x-1", r#"String("0x-1")"#);
        check("0o17", "Integer(15)");
        check("1_000", r#"String("1_000")"#);
        check("9223372036854775808", "Float(9.223372036854776e18)");
        check("1.5e3", "Float(1500.0)");
        check(".inf", "Float(inf)");
        check("inf", r#"String("inf")"#);
        check("infinity1", r#"String("infinity1")"#);
        check("2026-01-31", r#"String("2026-01-31")"#);
        check("1.2.3", r#"String("1.2.3")"#);
    }

    #[test]
    fn characters_of_a_value_are_found_in_the_file() {
        #[track_caller]
        fn check(raw: &str, value: &str, needle: &str, expect: &str) {
            let start = value.find(needle).unwrap();
            let span = locate(
                raw,
                Span::new(0, raw.len()),
                value,
                start,
                start + needle.len(),
            );
            assert_eq!(span.of(raw), expect);
        }
        check("plain {x} y", "plain {x} y", "{x}", "{x}");
        check("'it''s {x}'", "it's {x}", "{x}", "{x}");
        check(r#""a\tb\u00e4 {x}""#, "a\tb\u{e4} {x}", "{x}", "{x}");
        check(r#""\"{x}\"""#, "\"{x}\"", "{x}", "{x}");
        check("|\n  one\n  {x} two\n", "one\n{x} two\n", "{x}", "{x}");
        check(">-\n  one\n  two {x}\n", "one two {x}", "{x}", "{x}");
        check("one\n    two {x}", "one two {x}", "{x}", "{x}");
        check("'a  b'", "a  b", "b", "b");
        check("'ä{x}'", "ä{x}", "{x}", "{x}");
        // What cannot be followed is pointed at as a whole.
        check("\"a\\\n  b {x}\"", "ab {x}", "{x}", "\"a\\\n  b {x}\"");
    }
}
