//! The tokens of an expression.

use std::ops::Range;

/// A token and its bytes in the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub range: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    Word(String),
    Text(String),
    Integer(i64),
    Number(f64),
    /// Punctuation, or anything that no token begins with.
    Sign,
    /// A text whose quote does not close.
    OpenText,
    /// The end of the text.
    End,
}

/// The token at or behind `at`.
pub(super) fn next(text: &str, at: usize) -> Token {
    let start = at + (text[at..].len() - text[at..].trim_start().len());
    let rest = &text[start..];
    let token = |kind, length: usize| Token {
        kind,
        range: start..start + length,
    };
    let Some(first) = rest.chars().next() else {
        return token(TokenKind::End, 0);
    };
    if first.is_ascii_alphabetic() || first == '_' {
        let length = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        return token(TokenKind::Word(rest[..length].to_owned()), length);
    }
    if first == '\'' || first == '"' {
        return quoted(rest, first).map_or_else(
            || token(TokenKind::OpenText, rest.len()),
            |(value, length)| token(TokenKind::Text(value), length),
        );
    }
    let digits = &rest[usize::from(first == '-')..];
    if digits.starts_with(|c: char| c.is_ascii_digit()) {
        let length = rest.len() - digits.len()
            + digits
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '.')
                .unwrap_or(digits.len());
        let number = &rest[..length];
        let kind = if let Ok(integer) = number.parse() {
            TokenKind::Integer(integer)
        } else if let (true, Ok(float)) = (number.contains('.'), number.parse()) {
            TokenKind::Number(float)
        } else {
            TokenKind::Sign
        };
        return token(kind, length);
    }
    for sign in ["}}", "==", "!=", "<=", ">=", "//", "**"] {
        if rest.starts_with(sign) {
            return token(TokenKind::Sign, 2);
        }
    }
    token(TokenKind::Sign, first.len_utf8())
}

/// A text in quotes: its value and its length with the quotes.
fn quoted(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                other => value.push(other),
            },
            _ if character == quote => return Some((value, at + 1)),
            _ => value.push(character),
        }
    }
    None
}
