//! Times of the day, in UTC, as logs write them.

use std::time::{SystemTime, UNIX_EPOCH};

/// A time by its calendar.
struct Calendar {
    year: i64,
    month: usize,
    day: i64,
    second_of_day: i64,
    milli: u32,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Calendar {
    fn of(at: SystemTime) -> Calendar {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (mut days, second_of_day) =
            ((since.as_secs() / 86_400) as i64, (since.as_secs() % 86_400) as i64);
        let mut year = 1970;
        let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        // 400 years are a whole number of days: what is far away comes near first.
        year += 400 * (days / 146_097);
        days %= 146_097;
        while days >= 365 + i64::from(is_leap(year)) {
            days -= 365 + i64::from(is_leap(year));
            year += 1;
        }
        let february = 28 + i64::from(is_leap(year));
        let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 0;
        while days >= lengths[month] {
            days -= lengths[month];
            month += 1;
        }
        Calendar { year, month, day: days + 1, second_of_day, milli: since.subsec_millis() }
    }

    fn clock(&self) -> String {
        let second = self.second_of_day;
        format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
    }
}

/// `2026-01-31T23:59:59.123Z` (RFC 3339).
pub(super) fn iso(at: SystemTime) -> String {
    let it = Calendar::of(at);
    format!("{}-{:02}-{:02}T{}.{:03}Z", it.year, it.month + 1, it.day, it.clock(), it.milli)
}

/// `31/Jan/2026:23:59:59 +0000`, as in the Common Log Format.
pub(super) fn common(at: SystemTime) -> String {
    let it = Calendar::of(at);
    format!("{:02}/{}/{}:{} +0000", it.day, MONTHS[it.month], it.year, it.clock())
}
