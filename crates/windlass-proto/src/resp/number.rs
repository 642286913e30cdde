//! Decimal numbers, as the protocol writes them.

/// The number that `text` writes, if it is written the one right way: no leading zero, no plus sign, no
/// space (`string2ll` of Redis).
///
/// ```
/// use windlass_proto::resp::parse_decimal;
/// assert_eq!(parse_decimal(b"-12"), Some(-12));
/// assert_eq!(parse_decimal(b"012"), None);
/// ```
pub fn parse_decimal(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [] => return None,
        [b'0'] => return (!negative).then_some(0),
        [b'0', ..] => return None,
        _ => {}
    }
    // Counted downwards, where there is one number more.
    let mut number: i64 = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_sub(i64::from(digit))?;
    }
    if negative { Some(number) } else { number.checked_neg() }
}

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Calls `write` with the digits of a number, sign included.
#[inline]
pub fn decimal<R>(number: i64, write: impl FnOnce(&[u8]) -> R) -> R {
    let mut text = [0; 20];
    let mut at = text.len();
    let mut rest = number.unsigned_abs();
    while rest >= 100 {
        let pair = 2 * (rest % 100) as usize;
        rest /= 100;
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if rest >= 10 {
        let pair = 2 * rest as usize;
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        text[at] = b'0' + rest as u8;
    }
    if number < 0 {
        at -= 1;
        text[at] = b'-';
    }
    write(&text[at..])
}

/// A length or count at the front of `bytes`: digits without leading zero up to CR LF, nine at most, and
/// how many bytes it took with them. `None` for anything else, and whoever asks looks closer then.
#[inline]
pub(super) fn short_count(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = bytes.first()?.wrapping_sub(b'0');
    if first > 9 {
        return None;
    }
    let mut number = usize::from(first);
    let mut at = 1;
    loop {
        let byte = *bytes.get(at)?;
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (byte == b'\r' && *bytes.get(at + 1)? == b'\n').then_some((number, at + 2));
        }
        if at == 9 || number == 0 {
            return None;
        }
        number = number * 10 + usize::from(digit);
        at += 1;
    }
}
