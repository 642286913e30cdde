//! Numbers as people write and read them: sizes, times, counts.
//!
//! What the `show_` functions of sizes, times and counts print can be typed again.

use std::time::Duration;

/// A size in bytes: `512`, `64KiB`, `1.5MiB`. Units are powers of 1,024, `KB` and `k` included, as
/// in the load generator.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = split(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1u64 << 30,
        _ => return Err(format!("`{text}` is no size: write it as 4096, 64KiB or 1MiB")),
    };
    let bytes = scaled(number, factor)
        .ok_or_else(|| format!("`{text}` is no size: write it as 4096, 64KiB or 1MiB"))?;
    usize::try_from(bytes).map_err(|_| format!("`{text}` is more than this machine can hold"))
}

/// A time: `250ms`, `10s`, `1.5m`, `1h`, or `0`. Other bare numbers are refused, since people differ
/// on their unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: write it as 250ms, 10s or 5m");
    let (number, unit) = split(text);
    let nanos = match unit.to_ascii_lowercase().as_str() {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        "" if scaled(number, 1) == Some(0) => 1,
        "" => return Err(format!("`{text}` has no unit: write it as {text}ms, {text}s or {text}m")),
        _ => return Err(wrong()),
    };
    scaled(number, nanos).map(Duration::from_nanos).ok_or_else(wrong)
}

/// A count: `500`, `10_000`, `10k`, `2M`. Its units are powers of 1,000.
pub(crate) fn count<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let (number, unit) = split(text);
    let factor = match unit {
        "" => Some(1),
        "k" | "K" => Some(1_000),
        "m" | "M" => Some(1_000_000),
        _ => None,
    };
    let n = factor
        .and_then(|factor| scaled(number, factor))
        .ok_or_else(|| format!("`{text}` is no count: write it as 500, 10_000 or 10k"))?;
    N::try_from(n).map_err(|_| format!("`{text}` is too large"))
}

/// `64KiB` into `64` and `KiB`.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    (&text[..at], text[at..].trim())
}

/// A number with an optional fraction, times its unit. Whole numbers stay exact; `None` if it is none,
/// or too large.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let plain = number.replace('_', "");
    if let Ok(whole) = plain.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let value = plain.parse::<f64>().ok()? * factor as f64;
    (value < u64::MAX as f64).then_some(value as u64)
}

/// `64KiB`; a size that is no round number stays plain.
pub(crate) fn show_size(bytes: &usize) -> String {
    for (unit, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if *bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// `5m`, `10s`, `250ms`.
pub(crate) fn show_duration(time: &Duration) -> String {
    let nanos = time.as_nanos();
    let units = [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ];
    match units.into_iter().find(|(_, factor)| nanos > 0 && nanos.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", nanos / factor),
        None => "0".into(),
    }
}

/// `65_536`.
pub(crate) fn show_count<N: Copy + TryInto<u64>>(n: &N) -> String {
    grouped((*n).try_into().unwrap_or(u64::MAX), '_')
}

/// `65,536`, for reading only.
pub(crate) fn thousands(n: u64) -> String {
    grouped(n, ',')
}

fn grouped(n: u64, separator: char) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

/// Bytes to three digits, for reading only: `36.6 MiB`.
pub(crate) fn rough_bytes(bytes: f64) -> String {
    let mut value = bytes;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    // 1,023.5 would round to a fourth digit.
    while value >= 999.5 {
        let Some(next) = units.next() else { break };
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{value:.0} {unit}") } else { format!("{} {unit}", three_digits(value)) }
}

/// A time to three digits, for reading only: `12.3 ms`.
pub(crate) fn rough_time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 999.5e-9 {
        format!("{} ns", time.as_nanos())
    } else if seconds < 999.5e-6 {
        format!("{} us", three_digits(seconds * 1e6))
    } else if seconds < 0.9995 {
        format!("{} ms", three_digits(seconds * 1e3))
    } else if seconds < 60.0 {
        format!("{} s", three_digits(seconds))
    } else {
        let whole = time.as_secs();
        let (days, hours, minutes, seconds) =
            (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
        match (days, hours) {
            (0, 0) => format!("{minutes} min {seconds} s"),
            (0, _) => format!("{hours} h {minutes} min"),
            _ => format!("{days} d {hours} h"),
        }
    }
}

/// `36.6`, `1.25`, `640`: for values below 1,000.
pub(crate) fn three_digits(value: f64) -> String {
    if value >= 99.95 {
        format!("{value:.0}")
    } else if value >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
#[path = "tests/quantity.rs"]
mod tests;
