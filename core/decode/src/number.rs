//! Numbers, exactly: integers, doubles and decimals from their digits.

use crate::error::Error;
use crate::tokens::{Tokens, first_byte};

/// The most digits that a `Decimal128` or an `i128` holds whatever they are.
const MAX_DIGITS: u32 = 38;

/// What the digits of a number are worth to a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Numeric<T> {
    /// It holds them exactly (a double: as the nearest double).
    Value(T),
    /// It does not.
    Unfit,
}

impl Tokens<'_> {
    /// Takes a number as an integer; `1.0` and `1e3` are integers, `1.5` is not.
    #[inline]
    pub(crate) fn read_integer(&mut self) -> Result<Numeric<i64>, Error> {
        let start = self.at;
        let negative = self.peek() == b'-';
        let first = start + usize::from(negative);
        let (value, digits) = self.digits(first, 0);
        let next = self.byte(first + digits);
        // 18 digits always fit. A leading zero, and what only looks like a number, are for the
        // careful way.
        if digits > 18
            || digits == 0
            || matches!(next, b'.' | b'e' | b'E')
            || (digits > 1 && self.byte(first) == b'0')
        {
            return self.read_integer_carefully();
        }
        self.at = first + digits;
        let value = value.cast_signed();
        Ok(Numeric::Value(if negative { -value } else { value }))
    }

    #[cold]
    #[inline(never)]
    fn read_integer_carefully(&mut self) -> Result<Numeric<i64>, Error> {
        let start = self.at;
        self.skip_number()?;
        Ok(
            match exact(self.since(start), 0).and_then(|value| i64::try_from(value).ok()) {
                Some(value) => Numeric::Value(value),
                None => Numeric::Unfit,
            },
        )
    }

    /// Takes a number as the nearest double; an integer that no double equals does not fit.
    #[inline]
    pub(crate) fn read_double(&mut self) -> Result<Numeric<f64>, Error> {
        let start = self.at;
        let negative = self.peek() == b'-';
        let first = start + usize::from(negative);
        let (mut mantissa, whole) = self.digits(first, 0);
        let mut end = first + whole;
        let mut fraction = 0;
        if self.byte(end) == b'.' {
            (mantissa, fraction) = self.digits(end + 1, mantissa);
            end += 1 + fraction;
            if fraction == 0 {
                return self.read_double_carefully();
            }
        }
        // Clinger's fast path: both operands are doubles exactly, so one division rounds once.
        if whole == 0
            || whole + fraction > 18
            || mantissa > 1 << 53
            || matches!(self.byte(end), b'e' | b'E')
            || (whole > 1 && self.byte(first) == b'0')
        {
            return self.read_double_carefully();
        }
        let Some(power) = POWERS.get(fraction) else {
            return self.read_double_carefully();
        };
        self.at = end;
        #[expect(clippy::cast_precision_loss, reason = "at most 2^53, see above")]
        let value = mantissa as f64 / power;
        Ok(Numeric::Value(if negative { -value } else { value }))
    }

    #[cold]
    #[inline(never)]
    fn read_double_carefully(&mut self) -> Result<Numeric<f64>, Error> {
        let start = self.at;
        self.skip_number()?;
        Ok(match double(self.since(start)) {
            Some(value) => Numeric::Value(value),
            None => Numeric::Unfit,
        })
    }

    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.bytes().get(at).copied().unwrap_or(0)
    }

    /// The value of a run of digits behind `value`, and how many they are. Beyond 19 digits the
    /// value is meaningless.
    #[inline]
    fn digits(&self, start: usize, mut value: u64) -> (u64, usize) {
        let mut count = 0;
        loop {
            let word = self.word(start + count) ^ 0x3030_3030_3030_3030;
            let other = (word.wrapping_add(0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080;
            if other == 0 {
                value = value
                    .wrapping_mul(100_000_000)
                    .wrapping_add(eight_digits(word));
                count += 8;
                continue;
            }
            let some = first_byte(other);
            if some > 0 {
                // Moved up, so that zeros come first.
                let word = word << (64 - 8 * some);
                value = value
                    .wrapping_mul(TENS[some & 7])
                    .wrapping_add(eight_digits(word));
            }
            return (value, count + some);
        }
    }
}

const TENS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// The powers of ten that are doubles exactly and that 18 digits can ask for.
const POWERS: [f64; 19] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18,
];

/// The value of eight digits, the first one in the lowest byte.
#[inline]
fn eight_digits(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xFFFF_FFFF
}

/// The nearest double of a JSON number, unless it is an integer that no double equals or is beyond
/// all doubles.
pub(crate) fn double(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    if !value.is_finite() {
        return None;
    }
    let integer = !text.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    if integer && value.abs() >= 9_007_199_254_740_992.0 {
        // Beyond 38 digits nobody can tell, and nobody counts that far.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the cast saturates, unequal then"
        )]
        let same = exact(text, 0) == Some(value as i128);
        return same.then_some(value);
    }
    Some(value)
}

/// A decimal number in units of 10^-`scale`; nothing when it has other digits than that, more than
/// 38 of them, or is no decimal number at all.
///
/// Accepts what JSON accepts and, for texts, also a leading `+`, leading zeros, `.5` and `5.`.
pub(crate) fn exact(text: &[u8], scale: u32) -> Option<i128> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut value: i128 = 0;
    let mut count = 0;
    let mut zeros: u32 = 0;
    let mut exponent: i64 = i64::from(scale);
    let mut in_fraction = false;
    let mut any = false;
    let mut rest = digits.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'0'..=b'9' => {
                any = true;
                exponent -= i64::from(in_fraction);
                if byte == b'0' {
                    // Zeros count only when another digit follows.
                    zeros += u32::from(value != 0);
                    continue;
                }
                count += zeros + 1;
                if count > MAX_DIGITS {
                    return None;
                }
                value = value * 10_i128.pow(zeros + 1) + i128::from(byte - b'0');
                zeros = 0;
            }
            b'.' if !in_fraction => in_fraction = true,
            b'e' | b'E' if any => {
                exponent = exponent.checked_add(exponent_of(rest.as_slice())?)?;
                break;
            }
            _ => return None,
        }
    }
    if !any {
        return None;
    }
    if value == 0 {
        return Some(0);
    }
    let exponent = u32::try_from(exponent + i64::from(zeros)).ok()?;
    if count.checked_add(exponent)? > MAX_DIGITS {
        return None;
    }
    let value = value * 10_i128.pow(exponent);
    Some(if negative { -value } else { value })
}

/// The exponent behind `e`; one too large for anything is as good as any other such.
fn exponent_of(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i64 = 0;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = (value * 10 + i64::from(byte - b'0')).min(1 << 40);
    }
    Some(if negative { -value } else { value })
}
