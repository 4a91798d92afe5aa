//! The tokens of a JSON document, pulled one at a time from bytes that are known to be UTF-8.
//!
//! Text is looked at eight bytes at a time in a `u64` (SWAR), which needs no `unsafe` and no
//! instruction set; JSON's own texts are mostly too short for more.

use crate::error::{Error, ErrorKind};

/// The most bytes of a page that a message shows.
const EXCERPT: usize = 80;

/// A place in a document and what can be read there.
///
/// Every `read_…` and `skip_…` starts at the first byte of its token and ends behind its last.
#[derive(Debug)]
pub(crate) struct Tokens<'p> {
    bytes: &'p [u8],
    /// The byte that comes next.
    pub(crate) at: usize,
    /// How many arrays and objects are open.
    depth: usize,
    max_depth: usize,
    /// Whether texts stand for values of all types.
    pub(crate) texts: bool,
    /// What `skip_value` has open: true for an object.
    open: Vec<bool>,
}

impl<'p> Tokens<'p> {
    pub(crate) fn new(bytes: &'p [u8], max_depth: usize) -> Self {
        Self {
            bytes,
            at: 0,
            depth: 0,
            max_depth,
            texts: false,
            open: Vec::new(),
        }
    }

    /// The whole page.
    pub(crate) fn bytes(&self) -> &'p [u8] {
        self.bytes
    }

    /// The bytes from `start` to here.
    pub(crate) fn since(&self, start: usize) -> &'p [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// How many arrays and objects are open.
    #[inline]
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Goes back to the start of a value, where so many arrays and objects were open.
    pub(crate) fn rewind(&mut self, start: usize, depth: usize) {
        self.at = start;
        self.depth = depth;
    }

    /// The next byte; 0, which no token starts with, at the end.
    #[inline]
    pub(crate) fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// The next eight bytes, the first one lowest; 0 beyond the end.
    #[inline]
    pub(crate) fn word(&self, at: usize) -> u64 {
        match self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => self.last_word(at),
        }
    }

    #[cold]
    fn last_word(&self, at: usize) -> u64 {
        let mut chunk = [0; 8];
        for (to, from) in chunk
            .iter_mut()
            .zip(self.bytes.get(at..).unwrap_or_default())
        {
            *to = *from;
        }
        u64::from_le_bytes(chunk)
    }

    #[inline]
    pub(crate) fn skip_whitespace(&mut self) {
        if self.peek() <= b' ' {
            self.skip_more_whitespace();
        }
    }

    fn skip_more_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            // Indentation comes in runs.
            while self.word(self.at) == 0x2020_2020_2020_2020 {
                self.at += 8;
            }
            if matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
                self.at += 1;
            }
        }
    }

    /// Takes a byte if it is the next one.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    /// Opens an array or object, whose bracket is the next byte.
    #[inline]
    pub(crate) fn open(&mut self) -> Result<(), Error> {
        if self.depth >= self.max_depth {
            return Err(self.too_deep());
        }
        self.depth += 1;
        self.at += 1;
        self.skip_whitespace();
        Ok(())
    }

    /// Closes an array or object, whose bracket is the next byte.
    #[inline]
    pub(crate) fn close(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// Takes what stands between two members or elements: true when another one follows, which is
    /// then next, false when `close` was found and taken.
    #[inline]
    pub(crate) fn separator(&mut self, close: u8) -> Result<bool, Error> {
        self.skip_whitespace();
        let byte = self.peek();
        if byte == b',' {
            self.at += 1;
            self.skip_whitespace();
            Ok(true)
        } else if byte == close {
            self.close();
            Ok(false)
        } else if close == b'}' {
            Err(self.malformed("`,` or `}`"))
        } else {
            Err(self.malformed("`,` or `]`"))
        }
    }

    /// Takes the colon behind a key and what space surrounds it.
    #[inline]
    pub(crate) fn colon(&mut self) -> Result<(), Error> {
        self.skip_whitespace();
        if !self.take(b':') {
            return Err(self.malformed("`:`"));
        }
        self.skip_whitespace();
        Ok(())
    }

    /// Takes `true`, `false` or `null`.
    #[inline]
    pub(crate) fn literal(&mut self, literal: &'static str) -> Result<(), Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(literal.as_bytes()) {
            return Err(self.malformed("a value"));
        }
        self.at += literal.len();
        Ok(())
    }

    /// Takes a string and gives what stands between its quotes, as it stands there, and whether
    /// that has escapes.
    #[inline]
    pub(crate) fn raw_string(&mut self) -> Result<(&'p [u8], bool), Error> {
        if !self.take(b'"') {
            return Err(self.malformed("`\"`"));
        }
        let start = self.at;
        let mut escaped = false;
        loop {
            self.skip_plain();
            match self.peek() {
                b'"' => {
                    let raw = self.since(start);
                    self.at += 1;
                    return Ok((raw, escaped));
                }
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(self.broken_string()),
            }
        }
    }

    /// Appends the text of a string; false when it has half of a surrogate pair, which is no text
    /// (`out` is then as before).
    #[inline]
    pub(crate) fn read_string(&mut self, out: &mut Vec<u8>) -> Result<bool, Error> {
        // The opening quote.
        self.at += 1;
        // Copying while searching: a text is looked at once, and a copy of constant size is one
        // store where a copy of any size is a call.
        loop {
            let word = self.word(self.at);
            let special = special(word);
            out.extend_from_slice(&word.to_le_bytes());
            if special != 0 {
                let plain = first_byte(special);
                out.truncate(out.len() - 8 + plain);
                self.at += plain;
                break;
            }
            self.at += 8;
        }
        if self.peek() == b'"' {
            self.at += 1;
            return Ok(true);
        }
        self.read_escaped(out)
    }

    /// Takes a string and gives its text, with U+FFFD for half of a surrogate pair.
    pub(crate) fn text(&mut self) -> Result<String, Error> {
        let start = self.at;
        let (raw, escaped) = self.raw_string()?;
        if !escaped {
            return Ok(String::from_utf8_lossy(raw).into_owned());
        }
        let end = std::mem::replace(&mut self.at, start);
        let mut text = Vec::new();
        if !self.read_string(&mut text)? {
            // No other spelling is the same text.
            text = [&b"\xEF\xBF\xBD"[..], raw].concat();
        }
        self.at = end;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The rest of a string that is not plain.
    #[cold]
    #[inline(never)]
    fn read_escaped(&mut self, out: &mut Vec<u8>) -> Result<bool, Error> {
        let mut whole = true;
        let mut utf8 = [0; 4];
        loop {
            let start = self.at;
            self.skip_plain();
            out.extend_from_slice(self.since(start));
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(whole);
                }
                b'\\' => match self.escape()? {
                    Escape::Unit(unit) => match self.character(unit)? {
                        Some(character) => {
                            out.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
                        }
                        None => whole = false,
                    },
                    Escape::Byte(byte) => out.push(byte),
                },
                _ => return Err(self.broken_string()),
            }
        }
    }

    /// The character that starts with a code unit of UTF-16, whose other half may follow.
    fn character(&mut self, unit: u32) -> Result<Option<char>, Error> {
        if !(0xD800..0xDC00).contains(&unit) || self.word(self.at) & 0xFFFF != 0x755C {
            return Ok(char::from_u32(unit));
        }
        // The next one is `\u`, which is 0x5C 0x75.
        let start = self.at;
        match self.escape()? {
            Escape::Unit(low @ 0xDC00..0xE000) => Ok(char::from_u32(
                0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00),
            )),
            _ => {
                // It stands for itself.
                self.at = start;
                Ok(None)
            }
        }
    }

    /// Takes an escape.
    fn escape(&mut self) -> Result<Escape, Error> {
        self.at += 1;
        let byte = match self.peek() {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.at += 1;
                let mut unit = 0;
                for _ in 0..4 {
                    let Some(digit) = char::from(self.peek()).to_digit(16) else {
                        return Err(self.malformed("four hexadecimal digits"));
                    };
                    unit = unit * 16 + digit;
                    self.at += 1;
                }
                return Ok(Escape::Unit(unit));
            }
            _ => return Err(self.malformed("one of the escapes of JSON")),
        };
        self.at += 1;
        Ok(Escape::Byte(byte))
    }

    /// Goes to the next quote, backslash or control character.
    #[inline]
    fn skip_plain(&mut self) {
        loop {
            let special = special(self.word(self.at));
            if special != 0 {
                self.at += first_byte(special);
                return;
            }
            self.at += 8;
        }
    }

    /// Takes a number.
    #[inline]
    pub(crate) fn skip_number(&mut self) -> Result<(), Error> {
        self.take(b'-');
        if self.take(b'0') {
            if self.peek().is_ascii_digit() {
                return Err(self.malformed("a number without leading zeros"));
            }
        } else {
            self.skip_digits()?;
        }
        if self.take(b'.') {
            self.skip_digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.skip_digits()?;
        }
        Ok(())
    }

    #[inline]
    fn skip_digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.malformed("a digit"));
        }
        Ok(())
    }

    /// Takes any value, checking that it is one.
    #[inline]
    pub(crate) fn skip_value(&mut self) -> Result<(), Error> {
        match self.peek() {
            b'"' => self.raw_string().map(|_| ()),
            b'-' | b'0'..=b'9' => self.skip_number(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'{' | b'[' => self.skip_container(),
            _ => Err(self.malformed("a value")),
        }
    }

    fn skip_container(&mut self) -> Result<(), Error> {
        debug_assert!(self.open.is_empty());
        loop {
            // A value is next.
            let byte = self.peek();
            let in_object = byte == b'{';
            if in_object || byte == b'[' {
                self.open()?;
                if self.peek() != if in_object { b'}' } else { b']' } {
                    self.open.push(in_object);
                    if in_object {
                        self.raw_string()?;
                        self.colon()?;
                    }
                    continue;
                }
                self.close();
            } else {
                self.skip_value()?;
            }
            // A value has ended.
            loop {
                let Some(&in_object) = self.open.last() else {
                    return Ok(());
                };
                if self.separator(if in_object { b'}' } else { b']' })? {
                    if in_object {
                        self.raw_string()?;
                        self.colon()?;
                    }
                    break;
                }
                self.open.pop();
            }
        }
    }

    /// How many elements the array has whose bracket is next; it is next again afterwards.
    pub(crate) fn count_elements(&mut self) -> Result<usize, Error> {
        let start = self.at;
        let mut count = 0;
        self.open()?;
        if self.peek() == b']' {
            self.close();
        } else {
            loop {
                self.skip_value()?;
                count += 1;
                if !self.separator(b']')? {
                    break;
                }
            }
        }
        self.at = start;
        Ok(count)
    }

    /// The page is no JSON document: something else was expected here.
    #[cold]
    #[inline(never)]
    pub(crate) fn malformed(&self, expected: &str) -> Error {
        let before = self.bytes.get(..self.at).unwrap_or(self.bytes);
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|&&b| b != b'\n').count();
        let message = if self.at >= self.bytes.len() {
            format!(
                "the document ends at line {line} column {column} (byte {}) where {expected} is \
                 expected, behind `{}`",
                self.at,
                excerpt(
                    before
                        .get(before.len().saturating_sub(40)..)
                        .unwrap_or_default()
                ),
            )
        } else {
            format!(
                "the document is not JSON at line {line} column {column} (byte {}): expected \
                 {expected}, found `{}`",
                self.at,
                excerpt(self.bytes.get(self.at..).unwrap_or_default()),
            )
        };
        Error::new(ErrorKind::Malformed, message).at(self.at)
    }

    #[cold]
    fn broken_string(&self) -> Error {
        if self.at < self.bytes.len() {
            self.malformed("a string without control characters")
        } else {
            self.malformed("`\"`")
        }
    }

    #[cold]
    fn too_deep(&self) -> Error {
        Error::new(
            ErrorKind::Limit,
            format!(
                "the document is nested more than {} levels deep at byte {}",
                self.max_depth, self.at
            ),
        )
        .at(self.at)
    }
}

enum Escape {
    /// A code unit of UTF-16, from `\u`.
    Unit(u32),
    /// A character of ASCII.
    Byte(u8),
}

/// The start of a text in at most [`EXCERPT`] bytes, on one line.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let mut excerpt = String::new();
    let head = bytes.get(..EXCERPT).unwrap_or(bytes);
    for character in String::from_utf8_lossy(head).chars() {
        let shown = match character {
            '\u{FFFD}' if head.len() < bytes.len() => break,
            character if character.is_control() => character.escape_default().to_string(),
            character => character.to_string(),
        };
        if excerpt.len() + shown.len() > EXCERPT {
            break;
        }
        excerpt.push_str(&shown);
    }
    excerpt
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Marks the bytes that end a run of plain text: quote, backslash, control characters.
///
/// The lowest mark is exact; a mark above it may be an echo of it.
#[inline]
fn special(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let quote = quote.wrapping_sub(ONES) & !quote;
    let backslash = backslash.wrapping_sub(ONES) & !backslash;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGH
}

/// The index of the lowest marked byte.
#[inline]
pub(crate) fn first_byte(marks: u64) -> usize {
    // At most 8: the cast cannot lose anything.
    (marks.trailing_zeros() / 8) as usize
}
