//! The summary at the end.

use std::fmt;
use std::time::Duration;

use windlass::Summary;

use crate::quantity::{rough_bytes, rough_time, thousands};

/// What the server did.
pub(super) struct Figures<'a> {
    pub(super) uptime: Duration,
    pub(super) workers: usize,
    pub(super) messages: u64,
    pub(super) summary: &'a Summary,
}

impl Figures<'_> {
    /// `eof 12, reset 3`: why connections ended.
    fn closes(&self) -> String {
        let closes = self.summary.stats.counters.closes().filter(|(_, n)| *n > 0);
        let closes: Vec<String> = closes.map(|(label, n)| format!("{label} {}", thousands(n))).collect();
        closes.join(", ")
    }

    fn busy_percent(&self) -> f64 {
        100.0 * self.summary.busy(self.uptime, self.workers)
    }

    /// The same as one log event.
    pub(super) fn log(&self) {
        let (counters, turns) = (&self.summary.stats.counters, &self.summary.stats.turn_times);
        tracing::info!(
            uptime_ms = self.uptime.as_millis() as u64,
            connections = counters.opened,
            messages = self.messages,
            bytes_in = counters.bytes_in,
            bytes_out = counters.bytes_out,
            datagrams_in = counters.datagrams_in,
            datagrams_out = counters.datagrams_out,
            datagrams_dropped = counters.datagrams_dropped + counters.datagrams_unsent,
            closes = self.closes(),
            busy_percent = (self.busy_percent() * 10.0).round() / 10.0,
            turn_p50_us = turns.quantile(0.5).as_micros() as u64,
            turn_p99_us = turns.quantile(0.99).as_micros() as u64,
            turn_max_us = turns.quantile(1.0).as_micros() as u64,
            stalls = counters.stalls,
            "stopped"
        );
    }
}

impl fmt::Display for Figures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (counters, turns) = (&self.summary.stats.counters, &self.summary.stats.turn_times);
        let s = if counters.opened == 1 { "" } else { "s" };
        writeln!(f, "Served {} connection{s} in {}", thousands(counters.opened), rough_time(self.uptime))?;
        writeln!(f, "  messages  {}", thousands(self.messages))?;
        let (received, sent) =
            (rough_bytes(counters.bytes_in as f64), rough_bytes(counters.bytes_out as f64));
        writeln!(f, "  bytes     {received} in, {sent} out")?;
        if counters.datagrams_in > 0 {
            let dropped = counters.datagrams_dropped + counters.datagrams_unsent;
            let [received, sent, dropped] =
                [counters.datagrams_in, counters.datagrams_out, dropped].map(thousands);
            writeln!(f, "  datagrams {received} in, {sent} out, {dropped} dropped")?;
        }
        if counters.opened > 0 {
            writeln!(f, "  ended     {}", self.closes())?;
        }
        let s = if self.workers == 1 { "" } else { "s" };
        writeln!(f, "  busy      {:.1} % of {} worker{s}", self.busy_percent(), self.workers)?;
        let quantile = |q| rough_time(turns.quantile(q));
        writeln!(f, "  turns     p50 {}, p99 {}, longest {}", quantile(0.5), quantile(0.99), quantile(1.0))?;
        writeln!(f, "  stalls    {}", thousands(counters.stalls))
    }
}
