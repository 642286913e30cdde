//! The status line: what the last second was like.

use std::time::{Duration, Instant};

use windlass::{Handle, Stats};

use crate::quantity::{rough_time, thousands, three_digits};
use crate::serving::Messages;

/// The counters at one time.
pub(super) struct Sample {
    at: Instant,
    messages: u64,
    pub(super) stats: Stats,
}

impl Sample {
    pub(super) fn take(handle: &Handle, messages: &Messages) -> Sample {
        Sample { at: Instant::now(), messages: messages.total(), stats: handle.stats() }
    }
}

/// What happened between two samples, `width` columns at most.
pub(super) fn status_line(last: &Sample, now: &Sample, draining: bool, width: usize) -> String {
    let (before, after) = (&last.stats.counters, &now.stats.counters);
    let turns = now.stats.turn_times.since(&last.stats.turn_times);
    let second = Second {
        draining,
        elapsed: now.at.saturating_duration_since(last.at),
        connections: after.connections,
        messages: now.messages.saturating_sub(last.messages),
        bytes_in: after.bytes_in.saturating_sub(before.bytes_in),
        bytes_out: after.bytes_out.saturating_sub(before.bytes_out),
        turn_p99: (turns.count() > 0).then(|| turns.quantile(0.99)),
    };
    second.line(width)
}

/// The figures of one interval.
struct Second {
    draining: bool,
    elapsed: Duration,
    connections: u64,
    messages: u64,
    bytes_in: u64,
    bytes_out: u64,
    turn_p99: Option<Duration>,
}

impl Second {
    /// The widest form that fits; what comes first matters most.
    fn line(&self, width: usize) -> String {
        let seconds = self.elapsed.as_secs_f64();
        let rate = |n: u64| if seconds > 0.0 { n as f64 / seconds } else { 0.0 };
        let connections = thousands(self.connections);
        let s = if self.connections == 1 { "" } else { "s" };
        let draining = if self.draining { "draining | " } else { "" };
        let messages = thousands(rate(self.messages).round() as u64);
        let (input, output) = (mebibytes(rate(self.bytes_in)), mebibytes(rate(self.bytes_out)));
        let p99 = self.turn_p99.map_or("-".into(), rough_time);
        // Where only one rate has room it is that of the answers.
        let forms = [
            format!(
                "{draining}{connections} connection{s} | {messages} messages/s | \
                 {input} MiB/s in, {output} out | turn p99 {p99}"
            ),
            format!(
                "{draining}{connections} connection{s} | {messages} messages/s | {output} MiB/s | turn p99 {p99}"
            ),
            format!("{draining}{connections} conn | {messages} msg/s | {output} MiB/s | p99 {p99}"),
            format!("{connections} conn | {messages} msg/s"),
        ];
        match forms.iter().find(|form| form.len() <= width) {
            Some(form) => form.clone(),
            None => forms[forms.len() - 1].chars().take(width).collect(),
        }
    }
}

/// Bytes as MiB, to three digits.
fn mebibytes(bytes: f64) -> String {
    let value = bytes / (1 << 20) as f64;
    match value {
        0.0 => "0".into(),
        _ if value >= 999.5 => thousands(value.round() as u64),
        _ => three_digits(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second() -> Second {
        Second {
            draining: false,
            elapsed: Duration::from_millis(500),
            connections: 1_000,
            messages: 300_000,
            bytes_in: 19_200_000,
            bytes_out: 19_200_000,
            turn_p99: Some(Duration::from_micros(24)),
        }
    }

    #[test]
    fn the_figures_are_per_second() {
        assert_eq!(
            second().line(200),
            "1,000 connections | 600,000 messages/s | 36.6 MiB/s in, 36.6 out | turn p99 24.0 us"
        );
        let one = Second { connections: 1, draining: true, ..second() };
        assert!(one.line(200).starts_with("draining | 1 connection | "), "{}", one.line(200));
    }

    #[test]
    fn nothing_is_nothing() {
        let idle = Second {
            elapsed: Duration::ZERO,
            connections: 0,
            messages: 0,
            bytes_in: 0,
            bytes_out: 0,
            turn_p99: None,
            draining: false,
        };
        assert_eq!(idle.line(80), "0 connections | 0 messages/s | 0 MiB/s in, 0 out | turn p99 -");
    }

    #[test]
    fn every_width_is_kept() {
        for width in 0..120 {
            let line = second().line(width);
            assert!(line.chars().count() <= width, "{width}: {line}");
            let least = "1,000 conn | 600,000 msg/s";
            assert!(width < least.len() || line.starts_with("1,000 conn"), "{width}: {line}");
        }
        assert!(second().line(79).contains("turn p99"), "80 columns show it all: {}", second().line(79));
    }

    #[test]
    fn mebibytes_have_three_digits() {
        for (bytes, text) in [(0.0, "0"), (1_000.0, "0.00"), (38_400_000.0, "36.6"), (2e9, "1,907")] {
            assert_eq!(mebibytes(bytes), text);
        }
    }
}
