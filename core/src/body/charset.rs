//! Charsets: bytes to UTF-8, exactly or not at all.

use std::borrow::Cow;

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::Unreadable;
use super::media::MediaType;

/// The text of a body in UTF-8, without a byte order mark.
///
/// A byte order mark counts before the `charset` of the content type (RFC 7303, section 3.3), that
/// before what an XML declaration says, and UTF-8 is the default. UTF-16 without any of them is
/// recognised by its first characters, which are ASCII in every format. Labels mean what the
/// Encoding Standard says: `iso-8859-1` is windows-1252, as in every browser.
pub(super) fn decode<'b>(
    bytes: Cow<'b, [u8]>,
    media: &MediaType,
    xml: bool,
) -> Result<Cow<'b, [u8]>, Unreadable> {
    if let Some((encoding, length)) = Encoding::for_bom(&bytes) {
        if encoding == UTF_8 {
            return Ok(match bytes {
                Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(length..).unwrap_or_default()),
                Cow::Owned(mut bytes) => {
                    bytes.drain(..length);
                    Cow::Owned(bytes)
                }
            });
        }
        let rest = bytes.get(length..).unwrap_or_default();
        return recode(encoding, rest).map(Cow::Owned);
    }
    let wide = match bytes.get(..2) {
        Some([0, second]) if *second != 0 => Some(UTF_16BE),
        Some([first, 0]) if *first != 0 => Some(UTF_16LE),
        _ => None,
    };
    let declared;
    let label = match &media.charset {
        Some(charset) => Some(charset.as_str()),
        None if xml && wide.is_none() => {
            declared = xml_encoding(&bytes);
            declared.as_deref()
        }
        None => None,
    };
    let encoding = match label {
        None => wide.unwrap_or(UTF_8),
        Some(label) => match Encoding::for_label(label.as_bytes()) {
            // `utf-16` leaves the order of the bytes open.
            Some(encoding) if encoding == UTF_16LE && label.eq_ignore_ascii_case("utf-16") => {
                wide.unwrap_or(UTF_16LE)
            }
            Some(encoding) => encoding,
            None => {
                let label: String = label.chars().take(40).collect();
                return Err(
                    Unreadable::new(format!("the charset `{label}` is not known")).hint(
                        "the charsets of the Encoding Standard (encoding.spec.whatwg.org) are",
                    ),
                );
            }
        },
    };
    if encoding == UTF_8 {
        // Whoever reads it checks it.
        return Ok(bytes);
    }
    recode(encoding, &bytes).map(Cow::Owned)
}

fn recode(encoding: &'static Encoding, bytes: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len());
    let mut text = vec![0; room.unwrap_or(bytes.len())];
    let (result, read, written) =
        decoder.decode_to_utf8_without_replacement(bytes, &mut text, true);
    text.truncate(written);
    let name = encoding.name();
    match result {
        DecoderResult::InputEmpty => Ok(text),
        DecoderResult::OutputFull => Err(Unreadable::new(format!(
            "the body is too large to be read as {name}"
        ))),
        DecoderResult::Malformed(bad, after) => {
            let at = read.saturating_sub(usize::from(bad) + usize::from(after));
            let message = format!("the body is not {name} at byte {at}");
            Err(if read == bytes.len() && after == 0 {
                Unreadable::cut(message)
            } else {
                Unreadable::new(message)
            }
            .hint(
                "the API or a proxy has cut or recoded it, or names another charset than it uses",
            ))
        }
    }
}

/// The encoding that an XML declaration names; it is ASCII in every encoding that it can name.
fn xml_encoding(bytes: &[u8]) -> Option<String> {
    let start = bytes.get(..bytes.len().min(200))?;
    let declaration = start.strip_prefix(b"<?xml")?;
    let end = declaration.windows(2).position(|two| two == b"?>")?;
    let declaration = std::str::from_utf8(&declaration[..end]).ok()?;
    let (_, rest) = declaration.split_once("encoding")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (label, _) = rest.get(1..)?.split_once(quote)?;
    Some(label.to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::CONTENT_TYPE;

    use super::*;

    #[track_caller]
    fn check(content_type: &str, bytes: &[u8], expect: Result<&str, &str>) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        let media = MediaType::of(&headers);
        let xml = content_type.contains("xml");
        let found = decode(Cow::Borrowed(bytes), &media, xml)
            .map(|text| String::from_utf8(text.into_owned()).unwrap())
            .map_err(|error| error.message);
        match (&found, expect) {
            (Err(found), Err(expect)) => assert!(found.contains(expect), "{found}"),
            _ => assert_eq!(found.as_deref().map_err(|_| ""), expect, "{content_type}"),
        }
    }

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| {
                if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            })
            .collect()
    }

    #[test]
    fn charsets_are_told_by_mark_then_header_then_declaration() {
        let text = "[\"é€😀\"]";
        check("application/json", text.as_bytes(), Ok(text));
        check("application/json; charset=UTF-8", text.as_bytes(), Ok(text));
        let marked = [b"\xEF\xBB\xBF", text.as_bytes()].concat();
        check("application/json", &marked, Ok(text));
        check("application/json; charset=iso-8859-1", &marked, Ok(text));
        check(
            "application/json; charset=iso-8859-1",
            b"[\"\xE9\"]",
            Ok("[\"é\"]"),
        );
        check(
            "application/json; charset=\"windows-1252\"",
            b"[\"\x80\"]",
            Ok("[\"€\"]"),
        );
        check("text/csv; header=present; CHARSET=latin1", b"\xE9", Ok("é"));
        check(
            "text/csv; charset=shift_jis",
            b"\x83\x65\x83\x58",
            Ok("テス"),
        );
        for big in [true, false] {
            let plain = utf16(text, big);
            let marked = utf16(&format!("\u{FEFF}{text}"), big);
            check("application/json", &marked, Ok(text));
            check("application/json; charset=utf-16", &marked, Ok(text));
            check("application/json", &plain, Ok(text));
            check("application/json; charset=utf-16", &plain, Ok(text));
        }
        check(
            "application/json; charset=utf-16be",
            &utf16(text, true),
            Ok(text),
        );
        let xml = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE9</a>";
        check(
            "application/xml",
            xml,
            Ok("<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>"),
        );
    }

    #[test]
    fn what_is_not_in_the_charset_is_an_error_with_its_place() {
        check(
            "a/b; charset=klingon",
            b"[]",
            Err("the charset `klingon` is not known"),
        );
        check(
            "a/b; charset=utf-16le",
            b"[\0\x00\xD8a\0",
            Err("not UTF-16LE at byte 2"),
        );
        check(
            "a/b; charset=shift_jis",
            b"ab\x83\xFFcd",
            Err("not Shift_JIS at byte 2"),
        );
        let media = MediaType::of(&HeaderMap::new());
        let mut odd = utf16("[]", false);
        odd.push(b'x');
        assert!(decode(Cow::Owned(odd), &media, false).unwrap_err().cut);
    }
}
