//! What a run found, as data, as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::idle::IdleReport;
use super::options::{EchoOptions, Mode};
use super::run::Part;
use super::slow::SlowReport;
use crate::latency::{Latency, SHOWN};
use crate::proc::Cpu;
use crate::text;

/// What the server used during the measured window.
#[derive(Debug, Clone, Copy)]
pub struct ServerUse {
    /// CPU time of all its threads.
    pub cpu: Cpu,
    /// Messages that were echoed in the same time.
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
pub struct EchoReport {
    /// What was asked for.
    pub options: EchoOptions,
    /// Messages (in churn mode: connections) inside the window.
    pub messages: u64,
    /// Messages in all, warm-up and the last replies included.
    pub total_messages: u64,
    /// Bytes that came back, inside the window.
    pub bytes: u64,
    /// Their latencies.
    pub latency: Latency,
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
    /// The first few faults in words.
    pub fault_texts: Vec<String>,
    /// What idle mode found.
    pub idle: Option<IdleReport>,
    /// What slow mode found.
    pub slow: Option<SlowReport>,
}

impl EchoReport {
    pub(crate) fn new(options: &EchoOptions) -> EchoReport {
        EchoReport {
            options: options.clone(),
            messages: 0,
            total_messages: 0,
            bytes: 0,
            latency: Latency::new(),
            server: None,
            generator_idle: 0.0,
            generator_waited: 0.0,
            stalled: 0,
            unanswered: 0,
            faults: 0,
            fault_texts: Vec::new(),
            idle: None,
            slow: None,
        }
    }

    pub(crate) fn add(&mut self, part: Part, threads: usize) {
        self.messages += part.tally.counted;
        self.total_messages += part.tally.messages;
        self.bytes += part.tally.counted_bytes;
        self.latency.merge(&part.tally.latency);
        self.generator_idle += part.shares.idle / threads as f64;
        self.generator_waited = self.generator_waited.max(part.shares.waited);
        self.stalled += part.stalled;
        self.unanswered += part.unanswered;
        self.faults += part.tally.faults;
        self.fault_texts.extend(part.tally.fault_texts);
    }

    /// Messages per second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.messages as f64 / self.options.duration.as_secs_f64().max(1e-9)
    }

    /// Bytes per second in one direction.
    #[must_use]
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.options.duration.as_secs_f64().max(1e-9)
    }

    /// The share of time, from 0 to 1, in which server or generator had work and something else
    /// had the core: the larger of both. From some per cent on the figures mean little.
    #[must_use]
    pub fn disturbed(&self) -> f64 {
        let window = self.options.duration.as_nanos().max(1) as f64;
        let server = self.server.map_or(0.0, |server| server.cpu.waited as f64 / window);
        server.max(self.generator_waited)
    }

    /// Every byte came back, in order, in time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.stalled == 0 && self.unanswered == 0 && self.faults == 0
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
                "{} connections stalled (owed a reply and gave nothing for {:?})",
                self.stalled, self.options.stall
            ));
        }
        if self.unanswered > 0 {
            parts.push(format!("{} messages did not come back", text::thousands(self.unanswered as i64)));
        }
        if self.faults > 0 {
            parts.push(format!("{} connections failed: {}", self.faults, self.fault_texts.join("; ")));
        }
        Some(parts.join("; "))
    }

    /// The report as a few lines of text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let what = if self.options.mode == Mode::Churn { "connections" } else { "messages" };
        if let Some(idle) = &self.idle {
            out.push_str(&idle.to_text());
        } else if let Some(slow) = &self.slow {
            out.push_str(&slow.to_text());
        } else {
            writeln!(
                out,
                "{:>14} {what}/s   {}/s each way   {} {what} in {:?}",
                text::number(self.per_second()),
                text::bytes(self.bytes_per_second().round()),
                text::thousands(self.messages as i64),
                self.options.duration,
            )?;
            writeln!(out, "{}", latency_table(&self.latency, self.options.rate.is_some()))?;
            if let Some(server) = &self.server
                && let Some(cost) = server.per_message()
            {
                writeln!(
                    out,
                    "server    {} µs CPU per message ({:.0} % user), {} KiB resident",
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
        }
        match self.trouble() {
            None => writeln!(out, "verified  every byte came back, in order, once"),
            Some(trouble) => writeln!(out, "TROUBLE   {trouble}"),
        }
    }

    /// The report as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "mode": format!("{:?}", self.options.mode).to_lowercase(),
            "target": self.options.target.to_string(),
            "connections": self.options.connections,
            "size": self.options.size,
            "depth": self.options.depth,
            "rate": self.options.rate,
            "seconds": self.options.duration.as_secs_f64(),
            "messages": self.messages,
            "messages_per_second": self.per_second(),
            "bytes_per_second": self.bytes_per_second(),
            "latency_us": self.latency.to_json(),
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
            "faults": self.faults,
            "fault_texts": self.fault_texts,
            "idle": self.idle.map(IdleReport::to_json),
            "slow": self.slow.as_ref().map(SlowReport::to_json),
        })
    }
}

/// The percentiles side by side.
fn latency_table(latency: &Latency, open_loop: bool) -> String {
    let from = if open_loop { "latency from due time" } else { "latency" };
    let mut head = format!("{from:<22}");
    let mut line = " ".repeat(22);
    let columns = SHOWN.map(|(name, percent)| (name, latency.percentile(percent)));
    for (name, micros) in columns.into_iter().chain([("max", latency.max())]) {
        let _ = write!(head, "{name:>12}");
        let _ = write!(line, "{:>12}", text::micros(micros));
    }
    format!("{head}\n{line}")
}
