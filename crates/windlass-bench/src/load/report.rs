//! What a run found, as data, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::options::Options;
use super::run::Part;
use crate::latency::{Latency, SHOWN};
use crate::proc::Cpu;
use crate::text;

/// What the server used during the measured window.
#[derive(Debug, Clone, Copy)]
pub struct ServerUse {
    /// CPU time of all its threads.
    pub cpu: Cpu,
    /// Messages that were answered in the same time.
    pub messages: u64,
    /// Resident memory at the end of the window, in KiB.
    pub resident_kib: u64,
}

impl ServerUse {
    /// CPU microseconds per message, or `None` if there were no messages.
    #[must_use]
    pub fn per_message(&self) -> Option<f64> {
        (self.messages > 0).then(|| self.cpu.total as f64 / 1e3 / self.messages as f64)
    }

    /// The share of the CPU time that was spent outside the kernel, from 0 to 1.
    #[must_use]
    pub fn user_share(&self) -> f64 {
        self.cpu.user as f64 / ((self.cpu.user + self.cpu.system).max(1)) as f64
    }
}

/// What a run found.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was asked for.
    pub options: Options,
    /// What a message is called: "messages", "requests", ...
    pub unit: &'static str,
    /// How much of the duration was measured: less, if the run ended early.
    pub measured: Duration,
    /// Messages (with [`Options::churn`]: connections) inside the window.
    pub messages: u64,
    /// Messages in all, warm-up and the last replies included.
    pub total_messages: u64,
    /// Bytes that came back, inside the window.
    pub bytes: u64,
    /// Their latencies: in an open loop from when each was due, else from when it was sent.
    pub latency: Latency,
    /// In an open loop, their latencies from when each was sent: what a load that waits for its server
    /// would have told.
    pub from_sending: Latency,
    /// What the server used, if its process id was given.
    pub server: Option<ServerUse>,
    /// The share of time in which the generator's threads had nothing to do, from 0 to 1.
    pub generator_idle: f64,
    /// The share of time in which a generator thread had work and something else had its core.
    pub generator_waited: f64,
    /// Connections that gave nothing for too long while they owed a reply.
    pub stalled: u64,
    /// Messages that had not come back when the run ended.
    pub unanswered: u64,
    /// Connections that failed, by a wrong byte, an early close or an error.
    pub faults: u64,
    /// The same, stalls and lost datagrams included, by kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// The first few faults in words.
    pub fault_texts: Vec<String>,
    /// Connections that the server ended in good order, and that were replaced.
    pub reconnects: u64,
    /// Datagrams that did not come back in time. Datagrams may be lost: it is no trouble.
    pub lost: u64,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Report {
        Report {
            options: options.clone(),
            unit: if options.churn { "connections" } else { "messages" },
            measured: options.duration,
            messages: 0,
            total_messages: 0,
            bytes: 0,
            latency: Latency::new(),
            from_sending: Latency::new(),
            server: None,
            generator_idle: 0.0,
            generator_waited: 0.0,
            stalled: 0,
            unanswered: 0,
            faults: 0,
            errors: BTreeMap::new(),
            fault_texts: Vec::new(),
            reconnects: 0,
            lost: 0,
        }
    }

    /// Adds what one of so many threads has brought home.
    pub(crate) fn add(&mut self, part: Part, threads: usize) {
        let measured = Duration::from_nanos(part.measured);
        self.measured = if self.total_messages == 0 { measured } else { self.measured.max(measured) };
        self.messages += part.tally.counted;
        self.total_messages += part.tally.messages;
        self.bytes += part.tally.counted_bytes;
        self.latency.merge(&part.tally.latency);
        self.from_sending.merge(&part.tally.from_sending);
        self.generator_idle += part.shares.idle / threads as f64;
        self.generator_waited = self.generator_waited.max(part.shares.waited);
        self.stall(part.stalled);
        self.unanswered += part.unanswered;
        self.faults += part.tally.faults;
        self.reconnects += part.tally.reconnects;
        self.fault_texts.extend(part.tally.fault_texts);
        for (kind, n) in part.tally.errors {
            *self.errors.entry(kind).or_default() += n;
        }
    }

    /// Counts faults of a kind.
    pub(crate) fn fault(&mut self, kind: &'static str, n: u64, text: String) {
        self.faults += n;
        *self.errors.entry(kind).or_default() += n;
        self.fault_texts.push(text);
    }

    /// Counts connections that gave nothing any more.
    pub(crate) fn stall(&mut self, n: u64) {
        self.stalled += n;
        if n > 0 {
            *self.errors.entry("stalled").or_default() += n;
        }
    }

    /// Messages per second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.messages as f64 / self.measured.as_secs_f64().max(1e-9)
    }

    /// Bytes per second in one direction.
    #[must_use]
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.measured.as_secs_f64().max(1e-9)
    }

    /// The share of time, from 0 to 1, in which server or generator had work and something else
    /// had the core: the larger of both. From some per cent on the figures mean little.
    #[must_use]
    pub fn disturbed(&self) -> f64 {
        let window = self.options.duration.as_nanos().max(1) as f64;
        let server = self.server.map_or(0.0, |server| server.cpu.waited as f64 / window);
        server.max(self.generator_waited)
    }

    /// Every message came back as it must, in time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.stalled == 0 && self.unanswered == 0 && self.faults == 0 && self.messages > 0
    }

    /// What was wrong, in one line; `None` if nothing was.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        if self.is_clean() {
            return None;
        }
        let mut parts = Vec::new();
        if self.stalled > 0 {
            parts.push(format!(
                "{} connection{} stalled (owed a reply and gave nothing for {:?})",
                self.stalled,
                text::plural(self.stalled),
                self.options.stall
            ));
        }
        if self.unanswered > 0 {
            let (n, unit) = (text::thousands(self.unanswered as i64), self.unit);
            parts.push(format!("{n} {unit} were not answered"));
        }
        if self.faults > 0 {
            let more = if self.faults > self.fault_texts.len() as u64 { "; .." } else { "" };
            parts.push(format!(
                "{} fault{}: {}{more}",
                self.faults,
                text::plural(self.faults),
                self.fault_texts.join("; ")
            ));
        }
        if self.messages == 0 {
            parts.push("nothing was served".into());
        }
        Some(parts.join("; "))
    }

    /// The report as a few lines of text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_figures(&mut out);
        let _ = self.write_verdict(&mut out);
        out
    }

    /// Throughput, latency, and what the server took for it.
    pub(crate) fn write_figures(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "{:>14} {unit}/s   {}/s back   {} {unit} in {:?}",
            text::number(self.per_second()),
            text::bytes(self.bytes_per_second().round()),
            text::thousands(self.messages as i64),
            Duration::from_millis(self.measured.as_millis() as u64),
            unit = self.unit,
        )?;
        // Of nothing there is no latency, and zero would be a good one.
        if self.messages > 0 {
            out.push_str(&self.latency_table());
        }
        if let Some(server) = &self.server
            && let Some(cost) = server.per_message()
        {
            writeln!(
                out,
                "server    {} µs CPU for each ({:.0} % user), {} KiB resident",
                text::number(cost),
                server.user_share() * 100.0,
                text::thousands(server.resident_kib as i64)
            )?;
            let waited = server.cpu.waited as f64 / self.options.duration.as_nanos().max(1) as f64;
            if waited > 0.02 {
                writeln!(
                    out,
                    "          disturbed: it waited {:.0} % of the time for a core",
                    waited * 100.0
                )?;
            }
        }
        writeln!(out, "generator {:.0} % idle", self.generator_idle * 100.0)?;
        if self.reconnects > 0 {
            let n = text::thousands(self.reconnects as i64);
            writeln!(out, "reconnect {n} connections that the server ended in good order")?;
        }
        if self.lost > 0 {
            let all = (self.lost + self.total_messages).max(1);
            let share = self.lost as f64 / all as f64 * 100.0;
            let n = text::thousands(self.lost as i64);
            writeln!(out, "lost      {n} of {} ({share:.3} %)", text::thousands(all as i64))?;
        }
        Ok(())
    }

    /// Whether all was well, and what was not.
    pub(crate) fn write_verdict(&self, out: &mut String) -> std::fmt::Result {
        let Some(trouble) = self.trouble() else {
            let what = match self.unit {
                // Datagrams may overtake each other, and get lost.
                "datagrams" => "datagram that came back",
                "deliveries" => "delivery, in order, once",
                _ => "reply, in order, once",
            };
            return writeln!(out, "verified  every {what}");
        };
        if !self.errors.is_empty() {
            let kinds: Vec<String> = self.errors.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
            writeln!(out, "errors    {}", kinds.join(", "))?;
        }
        writeln!(out, "TROUBLE   {trouble}")
    }

    /// The report as JSON. What stands in it stays: names and meanings do not change, more may come.
    ///
    /// - `target`, `tls`, `connections`, `size` (bytes of one message), `depth`, `rate` (a second, or null),
    ///   `seconds` (that were measured): what was run.
    /// - `messages`, `messages_per_second`, `bytes_per_second` (that came back): inside the window.
    /// - `latency_us`: `count`, `min`, `max`, `p50`, `p90`, `p99`, `p99.9`, in microseconds; in an open loop
    ///   from when each message was due. `latency_from_sending_us`: the same from when it was sent, or null.
    /// - `server`: null, or `cpu_us_per_message`, `user_share`, `waited_us`, `resident_kib`.
    /// - `generator_idle`, `disturbed`: shares of the time from 0 to 1.
    /// - `stalled` (connections), `unanswered`, `lost` (datagrams), `reconnects`, `faults`; `errors`: how many
    ///   of each kind (`wrong_reply`, `error_reply`, `closed`, `reset`, `connect`, `tls`, `io`, `stalled`,
    ///   and of messages through a broker `missing` and `repeated`);
    ///   `fault_texts`: the first few in words.
    /// - `verified`: whether all was well, which is what the exit code says.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "target": self.options.target.to_string(),
            "tls": self.options.tls.is_some(),
            "connections": self.options.connections,
            "size": self.options.size,
            "depth": self.options.depth,
            "rate": self.options.rate,
            "seconds": self.measured.as_secs_f64(),
            "messages": self.messages,
            "messages_per_second": self.per_second(),
            "bytes_per_second": self.bytes_per_second(),
            "latency_us": self.latency.to_json(),
            "latency_from_sending_us": self.options.rate.map(|_| self.from_sending.to_json()),
            "server": self.server.map(|server| json!({
                "cpu_us_per_message": server.per_message(),
                "user_share": server.user_share(),
                "waited_us": server.cpu.waited as f64 / 1e3,
                "resident_kib": server.resident_kib,
            })),
            "generator_idle": self.generator_idle,
            "disturbed": self.disturbed(),
            "stalled": self.stalled,
            "unanswered": self.unanswered,
            "lost": self.lost,
            "reconnects": self.reconnects,
            "faults": self.faults,
            "errors": self.errors,
            "fault_texts": self.fault_texts,
            "verified": self.is_clean(),
        })
    }

    /// The percentiles side by side; in an open loop, from both moments.
    fn latency_table(&self) -> String {
        let mut table = format!("{:<22}", "latency");
        for (name, _) in SHOWN.into_iter().chain([("max", 0.0)]) {
            let _ = write!(table, "{name:>12}");
        }
        table.push('\n');
        let lines = match self.options.rate {
            None => vec![("", &self.latency)],
            Some(_) => vec![("  from when due", &self.latency), ("  from when sent", &self.from_sending)],
        };
        for (name, latency) in lines {
            let _ = write!(table, "{name:<22}");
            for micros in
                SHOWN.map(|(_, percent)| latency.percentile(percent)).into_iter().chain([latency.max()])
            {
                let _ = write!(table, "{:>12}", text::micros(micros));
            }
            table.push('\n');
        }
        table
    }
}
