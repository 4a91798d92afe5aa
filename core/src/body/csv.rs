//! Comma-separated values (RFC 4180) to JSON: an object of texts per row.
//!
//! Not by the crate `csv`, which takes every input: an open quote at the end and text behind a
//! closing one, the signs of a page that was cut off, pass there without a word.

use std::collections::HashSet;

use connector_plan::Csv;

use super::{Unreadable, push_json, too_large};

/// A page of rows as an array of objects whose values are texts or null.
///
/// Lines end in CRLF, LF or CR. A quote only counts at the start of a value. Blank lines are no
/// rows, unless there is just one column.
pub(super) fn to_json(text: &str, csv: &Csv, limit: usize) -> Result<Vec<u8>, Unreadable> {
    let mut rows = Rows::new(text, csv);
    let mut columns = csv.columns.clone();
    if csv.header {
        let header = rows.header()?;
        if columns.is_empty() {
            unique(&header)?;
            columns = header;
        } else if columns.len() != header.len() {
            return Err(Unreadable::new(format!(
                "the header of the CSV page has {} columns, the spec has {}",
                header.len(),
                columns.len()
            ))
            .hint("correct `columns` of `response` in the spec"));
        }
    }
    let mut keys = Vec::with_capacity(columns.len());
    for (number, column) in columns.iter().enumerate() {
        let mut key = vec![if number == 0 { b'{' } else { b',' }];
        push_json(&mut key, column)?;
        key.push(b':');
        keys.push(key);
    }
    let mut out = vec![b'['];
    let mut value = String::new();
    while rows.more() {
        let start = out.len();
        if start > 1 {
            out.push(b',');
        }
        let line = rows.line;
        let mut count = 0;
        let mut blank = true;
        let end = loop {
            let (quoted, end) = rows.value(&mut value)?;
            blank &= !quoted && value.is_empty();
            if let Some(key) = keys.get(count) {
                out.extend_from_slice(key);
                if !quoted && csv.nulls.contains(&value) {
                    out.extend_from_slice(b"null");
                } else {
                    push_json(&mut out, &value)?;
                }
            }
            count += 1;
            if end != End::Value {
                break end;
            }
        };
        if count == 1 && blank && columns.len() != 1 {
            out.truncate(start);
            continue;
        }
        if count != columns.len() {
            let message = format!(
                "line {line} of the CSV page has {count} values, but there are {} columns",
                columns.len()
            );
            // What is missing at the very end may be missing because the rest is.
            let error = if end == End::Text && count < columns.len() {
                Unreadable::cut(message)
            } else {
                Unreadable::new(message)
            };
            return Err(error.hint("check `delimiter`, `quote` and `columns` of `response`"));
        }
        out.push(b'}');
        if out.len() > limit {
            return Err(too_large(limit));
        }
    }
    out.push(b']');
    Ok(out)
}

/// Checks that every column has a name of its own.
fn unique(columns: &[String]) -> Result<(), Unreadable> {
    let mut seen = HashSet::new();
    let Some(column) = columns.iter().find(|column| !seen.insert(column.as_str())) else {
        return Ok(());
    };
    let shown: String = column.chars().take(60).collect();
    Err(
        Unreadable::new(format!("the CSV page has two columns called `{shown}`"))
            .hint("name them yourself: `response: {format: csv, header: true, columns: […]}`"),
    )
}

/// What stands behind a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Value,
    Row,
    Text,
}

#[derive(Debug)]
struct Rows<'t> {
    text: &'t str,
    at: usize,
    line: u64,
    delimiter: u8,
    quote: Option<u8>,
}

impl<'t> Rows<'t> {
    fn new(text: &'t str, csv: &Csv) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
            delimiter: u8::try_from(csv.delimiter).unwrap_or(b','),
            quote: csv.quote.and_then(|quote| u8::try_from(quote).ok()),
        }
    }

    fn more(&self) -> bool {
        self.at < self.text.len()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The text up to where `ends` holds or, if it never does, to the end.
    fn until(&mut self, ends: impl Fn(u8) -> bool) -> &'t str {
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let length = rest.iter().position(|byte| ends(*byte));
        self.at = start + length.unwrap_or(rest.len());
        // Both ends stand beside ASCII characters, so they are between characters.
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// The first row with something in it, which names the columns.
    fn header(&mut self) -> Result<Vec<String>, Unreadable> {
        while matches!(self.peek(), Some(b'\n' | b'\r')) {
            self.line += u64::from(self.peek() == Some(b'\n'));
            self.at += 1;
        }
        let mut columns = Vec::new();
        let mut value = String::new();
        loop {
            let (_, end) = self.value(&mut value)?;
            columns.push(value.trim().to_owned());
            if end != End::Value {
                break;
            }
        }
        Ok(columns)
    }

    /// Takes a value and what stands behind it; also whether it is quoted.
    fn value(&mut self, value: &mut String) -> Result<(bool, End), Unreadable> {
        value.clear();
        let quote = self.quote;
        let quoted = quote.is_some() && self.peek() == quote;
        let line = self.line;
        if quoted {
            loop {
                // The opening quote, or the second of two that stand for one.
                self.at += 1;
                let part = self.until(|byte| Some(byte) == quote);
                self.line += part.bytes().filter(|byte| *byte == b'\n').count() as u64;
                value.push_str(part);
                if self.peek().is_none() {
                    return Err(Unreadable::cut(format!(
                        "the CSV page ends within the quoted value of line {line}"
                    )));
                }
                self.at += 1;
                if self.peek() != quote {
                    break;
                }
                value.extend(quote.map(char::from));
            }
        } else {
            let delimiter = self.delimiter;
            let part = self.until(|byte| byte == delimiter || matches!(byte, b'\n' | b'\r'));
            value.push_str(part);
        }
        let end = match self.peek() {
            None => return Ok((quoted, End::Text)),
            Some(byte) if byte == self.delimiter => End::Value,
            Some(b'\r') => {
                self.line += 1;
                self.at += usize::from(self.text.as_bytes().get(self.at + 1) == Some(&b'\n'));
                End::Row
            }
            Some(b'\n') => {
                self.line += 1;
                End::Row
            }
            Some(_) => {
                return Err(Unreadable::new(format!(
                    "line {line} of the CSV page has something behind a closing quote"
                ))
                .hint(
                    "a quote within a quoted value is written twice; check `quote` of `response`",
                ));
            }
        };
        self.at += 1;
        Ok((quoted, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_with(csv: &Csv, text: &str, expect: Result<&str, (&str, bool)>) {
        let found = to_json(text, csv, 1_000)
            .map(|json| String::from_utf8(json).unwrap())
            .map_err(|error| (error.message, error.cut));
        match (&found, expect) {
            (Err((message, cut)), Err((expect, expect_cut))) => {
                assert!(message.contains(expect), "{message}");
                assert_eq!(*cut, expect_cut, "{text}");
            }
            (Ok(found), Ok(expect)) => assert_eq!(found, expect, "{text}"),
            (found, expect) => panic!("{text}: {found:?} instead of {expect:?}"),
        }
    }

    #[track_caller]
    fn check(text: &str, expect: Result<&str, (&str, bool)>) {
        check_with(&Csv::default(), text, expect);
    }

    #[test]
    fn rows_become_objects_of_texts() {
        let one = r#"[{"a":"1","b":"x y"}]"#;
        check("a,b\n1,x y\n", Ok(one));
        check("a,b\r\n1,x y", Ok(one));
        check("a,b\r1,x y\r", Ok(one));
        check("\na,b\n\n1,x y\n\n\n", Ok(one));
        check(" a , b \n1,x y", Ok(one));
        check("a,b\n", Ok("[]"));
        check("a,b", Ok("[]"));
        check("a,b\n,\"\"\n", Ok(r#"[{"a":null,"b":""}]"#));
        check("a\n\n1\n", Ok(r#"[{"a":null},{"a":"1"}]"#));
        check(
            "a,b\n\"1\n,2\",\"\"\"q\"\" é\"\n",
            Ok(r#"[{"a":"1\n,2","b":"\"q\" é"}]"#),
        );
        check(
            "a,b\n5\" disc,x\"y\"\n",
            Ok(r#"[{"a":"5\" disc","b":"x\"y\""}]"#),
        );
        check(
            "a,b\n1,2\n3,4",
            Ok(r#"[{"a":"1","b":"2"},{"a":"3","b":"4"}]"#),
        );
    }

    #[test]
    fn options_say_how_it_is_written() {
        let csv = Csv {
            delimiter: '\t',
            quote: None,
            header: false,
            columns: vec!["a".into(), "b".into()],
            nulls: vec!["NULL".into()],
        };
        check_with(
            &csv,
            "\"1\"\tNULL\n\t\n",
            Ok(r#"[{"a":"\"1\"","b":null},{"a":"","b":""}]"#),
        );
        let renamed = Csv {
            columns: vec!["x".into(), "y".into()],
            ..Csv::default()
        };
        check_with(&renamed, "a,a\n1,2\n", Ok(r#"[{"x":"1","y":"2"}]"#));
        check_with(
            &renamed,
            "a\n1\n",
            Err(("has 1 columns, the spec has 2", false)),
        );
        let quote = Csv {
            quote: Some('\''),
            ..Csv::default()
        };
        check_with(&quote, "a\n'x''y'\n", Ok(r#"[{"a":"x'y"}]"#));
    }

    #[test]
    fn no_row_is_lost_or_made_up() {
        check(
            "a,b\n1\n2,3\n",
            Err(("line 2 of the CSV page has 1 values", false)),
        );
        check(
            "a,b\n1,2,3\n",
            Err(("has 3 values, but there are 2 columns", false)),
        );
        check("a,b\n1,2\n3", Err(("line 3", true)));
        check("a,b\n1,2,3", Err(("line 2", false)));
        check(
            "a,b\n1,\"2\n3",
            Err(("ends within the quoted value of line 2", true)),
        );
        check(
            "a,b\n1,\"2\"3\n",
            Err(("line 2 of the CSV page has something behind", false)),
        );
        check("a,a\n1,2\n", Err(("two columns called `a`", false)));
        let rows = "x".repeat(2_000);
        check(
            &format!("a\n{rows}\n"),
            Err(("more than 1000 bytes", false)),
        );
    }
}
