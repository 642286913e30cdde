//! Idle mode: what a silent connection with one subscription costs the broker.
//!
//! Memory is taken before and with all connections open. Then they are held, silent, and the broker's CPU
//! time meanwhile is what it costs to keep them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::drive::MqttLoad;
use super::options::MqttOptions;
use crate::clock;
use crate::load::{Progress, Report};
use crate::net::{Dialer, allow_descriptors};
use crate::proc::{Cpu, resident_kib};
use crate::text;

/// Connections that are opened and closed first, so that code and tables which every broker touches once are
/// not counted against the connections.
const REHEARSAL: usize = 8;
/// Time for the broker to give memory back, before it is looked at.
const SETTLE: Duration = Duration::from_millis(300);

/// What idle connections cost the broker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idle {
    pub(crate) connections: usize,
    /// Resident memory in KiB, before and with all open. `None` without the broker's process id.
    pub(crate) resident_kib: Option<[u64; 2]>,
    /// Connections and subscriptions a second, one after the other.
    pub(crate) per_second: f64,
    /// The share of a core that the broker used while all were silent.
    pub(crate) cpu_share: Option<f64>,
}

impl Idle {
    /// Bytes of memory for each connection.
    pub(crate) fn bytes_per_connection(&self) -> Option<f64> {
        let [before, open] = self.resident_kib?;
        Some((open as f64 - before as f64) * 1024.0 / self.connections as f64)
    }

    pub(super) fn to_text(self) -> String {
        let (n, rate) = (text::thousands(self.connections as i64), text::number(self.per_second));
        let mut out = format!("held      {n} connections, opened one after the other at {rate}/s\n");
        // Writing to a string cannot fail.
        let _ = match (self.resident_kib, self.bytes_per_connection()) {
            (Some([before, open]), Some(each)) => writeln!(
                out,
                "resident  {} KiB before, {} KiB open: {} bytes each",
                text::thousands(before as i64),
                text::thousands(open as i64),
                text::number(each)
            ),
            _ => writeln!(out, "resident  unknown; give the broker's process id with --pid"),
        };
        if let Some(share) = self.cpu_share {
            let _ = writeln!(out, "server    {:.2} % of a core while all were silent", share * 100.0);
        }
        out
    }

    pub(super) fn to_json(self) -> Value {
        json!({
            "connections": self.connections,
            "resident_kib_before_open": self.resident_kib,
            "bytes_open": self.bytes_per_connection(),
            "connections_per_second": self.per_second,
            "cpu_share": self.cpu_share,
        })
    }
}

/// Opens the connections and holds them.
pub(crate) fn run(options: &MqttOptions, tell: &mut dyn FnMut(Progress)) -> Result<(Report, Idle)> {
    let load = &options.load;
    allow_descriptors(load.connections)?;
    let dialer = Dialer::of(load)?;
    let login = Arc::new(options.login());
    let resident = || load.pid.map(resident_kib).transpose();
    let few = MqttOptions { count: REHEARSAL, run: format!("{}-first", options.run), ..options.clone() };
    MqttLoad::connect(&few, &login, &dialer, 0)?.leave();
    std::thread::sleep(SETTLE);
    let before = resident()?;

    let start = clock::now();
    let mut held = MqttLoad::connect(options, &login, &dialer, 0)?;
    let took = (clock::now() - start).max(1);
    let per_second = options.count as f64 * 1e9 / took as f64;
    tell(Progress {
        elapsed: Duration::from_nanos(took),
        total: Duration::from_nanos(took) + load.duration + SETTLE,
        messages: options.count as u64,
        rate: per_second,
        faults: 0,
    });
    std::thread::sleep(SETTLE);
    let open = resident()?;
    let cpu = load.pid.map(Cpu::of).transpose()?;
    let silent = clock::now();
    while clock::now() < silent + clock::nanos(load.duration) {
        // Whoever is thrown out is noticed.
        held.pass();
    }
    let after = load.pid.map(Cpu::of).transpose()?;
    let share = |(after, before): (Cpu, Cpu)| {
        after.since(before).total as f64 / clock::nanos(load.duration).max(1) as f64
    };
    let cpu_share = after.zip(cpu).map(share);

    let mut report = Report::new(load);
    report.unit = "connections";
    report.measured = Duration::from_nanos(took);
    (report.messages, report.total_messages) = (options.count as u64, options.count as u64);
    report.faults = held.flow.tally.faults;
    report.errors = std::mem::take(&mut held.flow.tally.errors);
    report.fault_texts = std::mem::take(&mut held.flow.tally.fault_texts);
    held.leave();
    let idle = Idle {
        connections: options.count,
        resident_kib: before.zip(open).map(|(a, b)| [a, b]),
        per_second,
        cpu_share,
    };
    Ok((report, idle))
}
