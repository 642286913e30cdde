//! Values as people write them: `"64KiB"`, `"10s"`, `10_000`. They mean what they mean to `windlass`.

use std::time::Duration;

use windlass::{WhenDatagramsFull, WhenFull, WhenOverloaded};

use super::toml::Value;

const WAIT_OR_SHED: &[&str] = &["wait", "shed"];
const DROPS: &[&str] = &["drop_newest", "drop_oldest"];

/// Where the value of a key goes, and so what it has to be.
pub(crate) enum Slot<'c> {
    /// Bytes.
    Size(&'c mut usize),
    /// A number, perhaps with `k` or `M`.
    Count(&'c mut usize),
    /// The same, up to what fits.
    Small(&'c mut u32),
    #[cfg_attr(not(feature = "hub"), allow(dead_code, reason = "only hubs have any"))]
    Short(&'c mut u16),
    Time(&'c mut Duration),
    #[cfg_attr(not(feature = "hub"), allow(dead_code, reason = "only hubs have any"))]
    Flag(&'c mut bool),
    Text(&'c mut String),
    Texts(&'c mut Vec<String>),
    /// The number of one of these words.
    Word(&'static [&'static str], &'c mut u8),
    Full(&'c mut WhenFull),
    Overloaded(&'c mut WhenOverloaded),
    DatagramsFull(&'c mut WhenDatagramsFull),
}

impl Slot<'_> {
    /// Puts `value` there; or what is wrong with it, in words behind the key's name.
    pub(crate) fn set(self, value: Value) -> Result<(), String> {
        let wrong = |wanted: &str| Err(crate::joined(&[" should be ", wanted]));
        match (self, value) {
            (Slot::Text(to), Value::Text(text)) => *to = text,
            (Slot::Texts(to), Value::Texts(texts)) => *to = texts,
            // A list of one, as `windlass` takes it too.
            (Slot::Texts(to), Value::Text(text)) => *to = vec![text],
            (Slot::Flag(to), Value::Flag(flag)) => *to = flag,
            (Slot::Word(words, to), Value::Text(text)) => *to = word(words, &text)?,
            (Slot::Full(to), Value::Text(text)) => {
                *to = [WhenFull::Wait, WhenFull::Shed][usize::from(word(WAIT_OR_SHED, &text)?)];
            }
            (Slot::Overloaded(to), Value::Text(text)) => {
                *to = [WhenOverloaded::Wait, WhenOverloaded::Shed][usize::from(word(WAIT_OR_SHED, &text)?)];
            }
            (Slot::DatagramsFull(to), Value::Text(text)) => {
                let policies = [WhenDatagramsFull::DropNewest, WhenDatagramsFull::DropOldest];
                *to = policies[usize::from(word(DROPS, &text)?)];
            }
            (Slot::Size(to), Value::Text(text) | Value::Number(text)) => match size(&text) {
                Some(bytes) => *to = bytes,
                None => return wrong("a size, for example \"64KiB\""),
            },
            (Slot::Time(to), Value::Text(text) | Value::Number(text)) => match time(&text) {
                Some(time) => *to = time,
                None => return wrong("a time, for example \"10s\""),
            },
            (Slot::Count(to), Value::Text(text) | Value::Number(text)) => match count(&text) {
                Some(count) => *to = count,
                None => return wrong("a count, for example 100"),
            },
            (Slot::Small(to), Value::Text(text) | Value::Number(text)) => {
                match count(&text).and_then(|count| count.try_into().ok()) {
                    Some(count) => *to = count,
                    None => return wrong("a count, for example 100"),
                }
            }
            (Slot::Short(to), Value::Text(text) | Value::Number(text)) => {
                match count(&text).and_then(|count| count.try_into().ok()) {
                    Some(count) => *to = count,
                    None => return wrong("a count up to 65535"),
                }
            }
            (Slot::Texts(_), _) => return wrong("a list, for example [\"127.0.0.1:9000\"]"),
            (Slot::Flag(_), _) => return wrong("true or false"),
            (Slot::Size(_) | Slot::Time(_) | Slot::Count(_) | Slot::Small(_) | Slot::Short(_), _) => {
                return wrong("a number");
            }
            _ => return wrong("text, between `\"`"),
        }
        Ok(())
    }
}

/// The number of a word among those that may stand there.
fn word(words: &[&str], text: &str) -> Result<u8, String> {
    let at = words.iter().position(|word| *word == text);
    at.map(|at| at as u8).ok_or_else(|| crate::joined(&[" should be `", &words.join("` or `"), "`"]))
}

/// `512`, `64KiB`, `1.5MiB`: units are powers of 1,024.
fn size(text: &str) -> Option<usize> {
    let (number, unit) = split(text);
    let shift = match unit.as_bytes() {
        b"" | b"B" | b"b" => 0,
        [b'k' | b'K', rest @ ..] if is_bytes(rest) => 10,
        [b'm' | b'M', rest @ ..] if is_bytes(rest) => 20,
        [b'g' | b'G', rest @ ..] if is_bytes(rest) => 30,
        _ => return None,
    };
    scaled(number, 1 << shift)?.try_into().ok()
}

/// What may follow the first letter of `KiB`.
fn is_bytes(rest: &[u8]) -> bool {
    rest.is_empty() || rest.eq_ignore_ascii_case(b"b") || rest.eq_ignore_ascii_case(b"ib")
}

/// `250ms`, `10s`, `1.5m`, `1h`, or `0`. Other bare numbers are refused, since people differ on their unit.
fn time(text: &str) -> Option<Duration> {
    let (number, unit) = split(text);
    let nanos = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        "" if number == "0" => 1,
        _ => return None,
    };
    scaled(number, nanos).map(Duration::from_nanos)
}

/// `500`, `10_000`, `10k`, `2M`: units are powers of 1,000.
fn count(text: &str) -> Option<usize> {
    let (number, unit) = split(text);
    let factor = match unit {
        "" => 1,
        "k" | "K" => 1_000,
        "m" | "M" => 1_000_000,
        _ => return None,
    };
    scaled(number, factor)?.try_into().ok()
}

/// `64KiB` into `64` and `KiB`.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let at = text.bytes().position(|b| !b.is_ascii_digit() && b != b'.' && b != b'_').unwrap_or(text.len());
    (&text[..at], text[at..].trim())
}

/// A number with an optional fraction, of which four digits count, times its unit, without floating point; `None` if it
/// is none, or too large.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (mut whole, mut part, mut parts, mut is_behind, mut is_number) = (0u64, 0u64, 1u64, false, false);
    for byte in number.bytes() {
        match byte {
            b'_' => {}
            b'.' if !is_behind => is_behind = true,
            b'0'..=b'9' => {
                let digit = u64::from(byte - b'0');
                is_number = true;
                if !is_behind {
                    whole = whole.checked_mul(10)?.checked_add(digit)?;
                } else if parts < 10_000 {
                    (part, parts) = (part * 10 + digit, parts * 10);
                }
            }
            _ => return None,
        }
    }
    // The longest unit is a day, of nanoseconds: ten thousand of them are within 64 bits.
    if is_number { whole.checked_mul(factor)?.checked_add(part * factor / parts) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_mean_what_they_say() {
        assert_eq!((size("512"), size("64KiB"), size("1.5 mb")), (Some(512), Some(65_536), Some(1_572_864)));
        assert_eq!((size("1GiB"), size("x"), size("1XB"), size("")), (Some(1 << 30), None, None, None));
        assert_eq!(time("1.5m"), Some(Duration::from_secs(90)));
        assert_eq!((time("250ms"), time("0")), (Some(Duration::from_millis(250)), Some(Duration::ZERO)));
        assert_eq!((time("10"), time("1.2.3s"), time("99999999999d")), (None, None, None));
        assert_eq!(
            (count("10k"), count("10_000"), count("1.5M")),
            (Some(10_000), Some(10_000), Some(1_500_000))
        );
        assert_eq!((count("-1"), count("."), count("99999999999999999999")), (None, None, None));
    }

    /// All that is not so is told at once.
    #[test]
    fn each_unit_is_what_it_is_elsewhere() {
        let mut wrong: Vec<&str> = Vec::new();
        for (text, nanos) in [
            ("7ns", 7),
            ("7us", 7_000),
            ("7ms", 7_000_000),
            ("7s", 7_000_000_000),
            ("7m", 420_000_000_000),
            ("7min", 420_000_000_000),
            ("7h", 25_200_000_000_000),
            ("7d", 604_800_000_000_000),
            ("1.23456s", 1_234_500_000),
        ] {
            wrong.extend((time(text) != Some(Duration::from_nanos(nanos))).then_some(text));
        }
        for (shift, texts) in [
            (0, ["7", "7b", "7B", "7 B"]),
            (10, ["7k", "7K", "7kb", "7KiB"]),
            (20, ["7m", "7M", "7mB", "7MiB"]),
            (30, ["7g", "7G", "7gb", "7GIB"]),
        ] {
            wrong.extend(texts.iter().filter(|text| size(text) != Some(7 << shift)));
        }
        for (factor, texts) in [(1, ["7", "7.0"]), (1_000, ["7k", "7K"]), (1_000_000, ["7m", "7M"])] {
            wrong.extend(texts.iter().filter(|text| count(text) != Some(7 * factor)));
        }
        for text in ["7q", "7iB", "7KiBB", "7 days"] {
            wrong.extend(
                (time(text).is_some() || size(text).is_some() || count(text).is_some()).then_some(text),
            );
        }
        assert_eq!(wrong, [""; 0]);
    }
}
