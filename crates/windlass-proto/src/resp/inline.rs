//! Inline commands: words on a line, as typed into `nc`.
//!
//! Words stand between spaces. Part of a word may be in double quotes, with the escapes `\n \r \t \b \a`,
//! `\xHH` and `\` before anything else, or in single quotes, where only `\'` is one. A closing quote ends
//! the word.
//!
//! The line is rewritten where it lies, so that its words can be borrowed: a word with quotes becomes a
//! `"`, its length in two bytes, and what it means. The quotes and the space or line end behind them made
//! the room for that.

use super::error::RespError;

/// Rewrites a line, its LF included, and returns how many words it has.
pub(super) fn rewrite(line: &mut [u8]) -> Result<usize, RespError> {
    let (mut at, mut words) = (0, 0);
    while at < line.len() {
        if is_space(line[at]) {
            at += 1;
            continue;
        }
        words += 1;
        at = word(line, at)?;
    }
    Ok(words)
}

/// Rewrites the word at `start` and returns where it ended.
fn word(line: &mut [u8], start: usize) -> Result<usize, RespError> {
    let mut at = start;
    while !matches!(line[at], b'"' | b'\'') {
        at += 1;
        // The LF at the end is a space, so every word ends before it.
        if is_space(line[at]) {
            return Ok(at);
        }
    }
    // What is before the quote stays; what is in it is written behind that.
    let mut to = at;
    let quote = line[at];
    at += 1;
    loop {
        let Some(&byte) = line.get(at) else { return Err(RespError::UnbalancedQuotes) };
        if byte == quote {
            at += 1;
            break;
        }
        let escaped = if quote == b'"' { double(&line[at..]) } else { single(&line[at..]) };
        let (meant, taken) = escaped.unwrap_or((byte, 1));
        line[to] = meant;
        (to, at) = (to + 1, at + taken);
    }
    if !line.get(at).copied().is_some_and(is_space) {
        return Err(RespError::UnbalancedQuotes);
    }
    // Three bytes before it: two quotes are gone, and the space behind it may go too.
    let len = to - start;
    line.copy_within(start..to, start + 3);
    line[start] = b'"';
    line[start + 1..start + 3].copy_from_slice(&(len as u16).to_be_bytes());
    let end = start + 3 + len;
    // What escapes leave over becomes space.
    if end < at {
        line[end..at].fill(b' ');
    }
    Ok(end.max(at))
}

/// What an escape in double quotes means, and how long it is.
fn double(text: &[u8]) -> Option<(u8, usize)> {
    let (b'\\', next) = (text[0], *text.get(1)?) else { return None };
    if next == b'x'
        && let Some(high) = text.get(2).and_then(|digit| hex(*digit))
        && let Some(low) = text.get(3).and_then(|digit| hex(*digit))
    {
        return Some((high << 4 | low, 4));
    }
    let meant = match next {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    };
    Some((meant, 2))
}

fn single(text: &[u8]) -> Option<(u8, usize)> {
    text.starts_with(b"\\'").then_some((b'\'', 2))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The next word of a rewritten line.
pub(super) fn next<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let start = bytes.iter().position(|byte| !is_space(*byte))?;
    let rest = &bytes[start..];
    let (word, rest) = match rest {
        [b'"', high, low, rest @ ..] => {
            rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?
        }
        _ => rest.split_at(rest.iter().position(|byte| is_space(*byte)).unwrap_or(rest.len())),
    };
    *bytes = rest;
    Some(word)
}
