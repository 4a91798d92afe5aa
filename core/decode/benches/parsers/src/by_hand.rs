//! Decoders of the one shape, on the tokenizer of ours.

use crate::Result;
use crate::columns::{Columns, Text};
use crate::number::Numeric;
use crate::timestamp::rfc3339;
use crate::tokens::Tokens;

/// Members in the order of the fields, without space between them.
pub fn in_order(page: &[u8], columns: &mut Columns) -> Result<()> {
    simdutf8::basic::from_utf8(page)?;
    let tokens = &mut Tokens::new(page, 64);
    expect(tokens, b"{\"records\":[")?;
    if tokens.take(b']') {
        return expect(tokens, b"}");
    }
    loop {
        expect(tokens, b"{\"id\":")?;
        text(tokens, &mut columns.id)?;
        expect(tokens, b",\"number\":")?;
        columns.number.push(integer(tokens)?);
        expect(tokens, b",\"name\":")?;
        text(tokens, &mut columns.name)?;
        expect(tokens, b",\"owner\":")?;
        text(tokens, &mut columns.owner)?;
        expect(tokens, b",\"status\":")?;
        text(tokens, &mut columns.status)?;
        expect(tokens, b",\"path\":")?;
        text(tokens, &mut columns.path)?;
        expect(tokens, b",\"size\":")?;
        columns.size.push(integer(tokens)?);
        expect(tokens, b",\"score\":")?;
        columns.score.push(number(tokens)?);
        expect(tokens, b",\"latitude\":")?;
        columns.latitude.push(number(tokens)?);
        expect(tokens, b",\"shared\":")?;
        columns.shared.push(boolean(tokens)?);
        expect(tokens, b",\"created_at\":")?;
        columns.created_at.push(instant(tokens)?);
        expect(tokens, b",\"updated_at\":")?;
        columns.updated_at.push(instant(tokens)?);
        expect(tokens, b"}")?;
        if !tokens.take(b',') {
            return expect(tokens, b"]}");
        }
    }
}

/// Members in any order; each record has all of them once.
pub fn by_key(page: &[u8], columns: &mut Columns) -> Result<()> {
    simdutf8::basic::from_utf8(page)?;
    let tokens = &mut Tokens::new(page, 64);
    expect(tokens, b"{\"records\":[")?;
    if tokens.take(b']') {
        return expect(tokens, b"}");
    }
    loop {
        tokens.open()?;
        loop {
            let (key, _) = tokens.raw_string()?;
            tokens.colon()?;
            match key {
                b"id" => text(tokens, &mut columns.id)?,
                b"number" => columns.number.push(integer(tokens)?),
                b"name" => text(tokens, &mut columns.name)?,
                b"owner" => text(tokens, &mut columns.owner)?,
                b"status" => text(tokens, &mut columns.status)?,
                b"path" => text(tokens, &mut columns.path)?,
                b"size" => columns.size.push(integer(tokens)?),
                b"score" => columns.score.push(number(tokens)?),
                b"latitude" => columns.latitude.push(number(tokens)?),
                b"shared" => columns.shared.push(boolean(tokens)?),
                b"created_at" => columns.created_at.push(instant(tokens)?),
                b"updated_at" => columns.updated_at.push(instant(tokens)?),
                _ => tokens.skip_value()?,
            }
            if !tokens.separator(b'}')? {
                break;
            }
        }
        if !tokens.take(b',') {
            return expect(tokens, b"]}");
        }
    }
}

#[inline]
fn expect(tokens: &mut Tokens<'_>, text: &[u8]) -> Result<()> {
    let rest = tokens.bytes().get(tokens.at..).unwrap_or_default();
    if !rest.starts_with(text) {
        return Err(tokens.malformed("something else").into());
    }
    tokens.at += text.len();
    Ok(())
}

#[inline]
fn text(tokens: &mut Tokens<'_>, column: &mut Text) -> Result<()> {
    if tokens.peek() != b'"' || !tokens.read_string(&mut column.values)? {
        return Err(tokens.malformed("a text").into());
    }
    column.end();
    Ok(())
}

#[inline]
fn integer(tokens: &mut Tokens<'_>) -> Result<i64> {
    match tokens.read_integer()? {
        Numeric::Value(value) => Ok(value),
        Numeric::Unfit => Err(tokens.malformed("an integer").into()),
    }
}

#[inline]
fn number(tokens: &mut Tokens<'_>) -> Result<f64> {
    match tokens.read_double()? {
        Numeric::Value(value) => Ok(value),
        Numeric::Unfit => Err(tokens.malformed("a number").into()),
    }
}

#[inline]
fn boolean(tokens: &mut Tokens<'_>) -> Result<bool> {
    let value = tokens.peek() == b't';
    tokens.literal(if value { "true" } else { "false" })?;
    Ok(value)
}

#[inline]
fn instant(tokens: &mut Tokens<'_>) -> Result<i64> {
    if tokens.peek() == b'"'
        && let Some(text) = tokens.bytes().get(tokens.at + 1..)
        && let Some((micros, length)) = rfc3339(text)
        && text.get(length) == Some(&b'"')
    {
        tokens.at += length + 2;
        return Ok(micros);
    }
    Err(tokens.malformed("an instant").into())
}
