//! What people write for sizes, times and counts, and how they are shown.

use super::*;

#[test]
fn sizes() {
    for (text, bytes) in [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("64KiB", 65_536),
        ("64 kib", 65_536),
        ("64k", 65_536),
        ("1MiB", 1 << 20),
        ("1.5M", 3 << 19),
        ("2GiB", 2 << 30),
        ("1_000", 1_000),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for text in ["", "KiB", "-1", "4 parsecs", "1e9", "1.2.3", "99999999999GiB"] {
        assert!(size(text).is_err(), "{text}");
    }
}

#[test]
fn times() {
    for (text, ms) in [
        ("0", 0),
        ("0s", 0),
        ("250ms", 250),
        ("10s", 10_000),
        ("1.5s", 1_500),
        ("5m", 300_000),
        ("1h", 3_600_000),
    ] {
        assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
    }
    assert_eq!(duration("3us"), Ok(Duration::from_micros(3)));
    for text in ["", "s", "5 fortnights", "-1s", "99999999999d"] {
        assert!(duration(text).is_err(), "{text}");
    }
    assert!(duration("10").unwrap_err().contains("10s"), "a bare number is answered with its spellings");
}

#[test]
fn counts() {
    for (text, n) in
        [("0", 0), ("500", 500), ("10_000", 10_000), ("10k", 10_000), ("1.5k", 1_500), ("2M", 2_000_000)]
    {
        assert_eq!(count::<usize>(text), Ok(n), "{text}");
    }
    for text in ["", "k", "many", "-3", "64KiB", "99999999999999999999"] {
        assert!(count::<usize>(text).is_err(), "{text}");
    }
    assert!(count::<u32>("5000M").unwrap_err().contains("too large"));
}

#[test]
fn what_is_shown_can_be_typed() {
    for bytes in [0, 1, 1_000, 1_024, 1_536, 65_536, 3 << 20, 1 << 30] {
        assert_eq!(size(&show_size(&bytes)), Ok(bytes));
    }
    for nanos in [0, 1, 1_500, 10_000_000, 1_500_000_000, 300_000_000_000, 7_200_000_000_000] {
        let time = Duration::from_nanos(nanos);
        assert_eq!(duration(&show_duration(&time)), Ok(time));
    }
    assert_eq!(show_duration(&Duration::from_secs(300)), "5m");
    for n in [0usize, 999, 1_000, 65_536, 1_234_567] {
        assert_eq!(count(&show_count(&n)), Ok(n));
    }
    assert_eq!((show_count(&65_536usize), thousands(1_234_567)), ("65_536".into(), "1,234,567".into()));
}

#[test]
fn rough_figures_have_three_digits() {
    for (bytes, text) in [
        (0.0, "0 B"),
        (999.0, "999 B"),
        (1_000.0, "0.98 KiB"),
        (1_023.9 * 1_024.0, "1.00 MiB"),
        (38_400_000.0, "36.6 MiB"),
        (5e15, "4547 TiB"),
    ] {
        assert_eq!(rough_bytes(bytes), text);
    }
    for (time, text) in [
        (Duration::from_nanos(7), "7 ns"),
        (Duration::from_nanos(24_300), "24.3 us"),
        (Duration::from_micros(999_700), "1.00 s"),
        (Duration::from_millis(12), "12.0 ms"),
        (Duration::from_secs(61), "1 min 1 s"),
        (Duration::from_secs(7_300), "2 h 1 min"),
        (Duration::from_secs(200_000), "2 d 7 h"),
    ] {
        assert_eq!(rough_time(time), text);
    }
}
