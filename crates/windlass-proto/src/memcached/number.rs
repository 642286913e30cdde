//! Numbers in decimal: those of a command line, and those that `incr` finds in a value.

/// Digits and nothing else, as a number; `None` for anything else, and for more than 64 bits.
///
/// ```
/// use windlass_proto::memcached::parse_u64;
///
/// assert_eq!(parse_u64(b"0042"), Some(42));
/// assert_eq!(parse_u64(b"18446744073709551616"), None);
/// assert_eq!(parse_u64(b"+1"), None);
/// ```
#[inline]
pub fn parse_u64(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut number: u64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    Some(number)
}

/// The same with an optional sign, for exptimes.
#[inline]
pub(super) fn parse_i64(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => 0_i64.checked_sub_unsigned(parse_u64(digits)?),
        digits => i64::try_from(parse_u64(digits)?).ok(),
    }
}

/// The number a value holds, as `incr` and `decr` read it: white space before it and anything from the
/// first white space behind it do not count, so that a number written shorter in place is still one.
///
/// ```
/// use windlass_proto::memcached::stored_number;
///
/// assert_eq!(stored_number(b"9  "), Some(9));
/// assert_eq!(stored_number(b""), None);
/// assert_eq!(stored_number(b"12x"), None);
/// ```
pub fn stored_number(value: &[u8]) -> Option<u64> {
    // C's `isspace`, which has the vertical tab too.
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let start = value.iter().position(|byte| !is_space(byte))?;
    let text = &value[start..];
    let text = &text[..text.iter().position(is_space).unwrap_or(text.len())];
    parse_u64(text.strip_prefix(b"+").unwrap_or(text))
}

/// Room for the digits of any `u64`.
pub(super) const DIGITS_MAX: usize = 20;

/// Writes `number` at the end of `room` and returns its digits.
#[inline]
pub(super) fn digits(mut number: u64, room: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut at = DIGITS_MAX;
    loop {
        at -= 1;
        room[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &room[at..];
        }
    }
}
