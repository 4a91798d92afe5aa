//! JSON text, written without intermediate values.

/// Writes a whole number.
pub(crate) fn push_u64(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes the last `width` digits of a number, with leading zeros.
pub(crate) fn push_digits(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Writes a number with at least `width` digits.
pub(crate) fn push_padded(out: &mut Vec<u8>, number: u64, width: usize) {
    if number < 10_u64.saturating_pow(width as u32) {
        push_digits(out, number, width);
    } else {
        push_u64(out, number);
    }
}

/// Writes bytes in lower-case hexadecimal.
pub(crate) fn push_hex(out: &mut Vec<u8>, number: u64, width: usize) {
    out.extend(
        (0..width)
            .rev()
            .map(|digit| b"0123456789abcdef"[(number >> (4 * digit)) as usize & 15]),
    );
}

/// Writes the inside of a JSON string (RFC 8259, section 7).
///
/// With `ascii`, characters beyond ASCII are written as escapes, in surrogate pairs where needed.
pub(crate) fn push_escaped(out: &mut Vec<u8>, text: &str, ascii: bool) {
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if c < ' ' || (ascii && !c.is_ascii()) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(b"\\u");
                    push_hex(out, u64::from(*unit), 4);
                }
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> Vec<u8> {
    let mut out = vec![b'"'];
    push_escaped(&mut out, text, false);
    out.push(b'"');
    out
}
