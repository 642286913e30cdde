//! Idle mode: what a silent connection costs the server.
//!
//! Memory is taken three times: before, with all connections open, and after each has echoed one
//! message, since servers allocate at different moments. Then the connections are held, silent,
//! and the server's CPU time meanwhile is what it costs to keep them.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::options::EchoOptions;
use super::stream::{EchoSpeech, Stream};
use super::{EchoReport, Progress};
use crate::clock;
use crate::load::{self, Load, Options};
use crate::net::{Dialer, allow_descriptors};
use crate::proc::{Cpu, resident_kib};
use crate::text;

/// Connections that are opened, used and closed first, so that code and tables which every server
/// touches once are not counted against the connections.
const REHEARSAL: usize = 8;

/// Time for the server to accept, or to give memory back, before it is looked at.
const SETTLE: Duration = Duration::from_millis(300);

/// What idle connections cost the server.
#[derive(Debug, Clone, Copy)]
pub struct IdleReport {
    /// Connections that were open at once.
    pub connections: usize,
    /// Resident memory in KiB: before, with all open, after one echo on each. `None` without the
    /// server's process id.
    pub resident_kib: Option<[u64; 3]>,
    /// The share of a core that the server used while all were silent, from 0 to 1.
    pub cpu_share: Option<f64>,
}

impl IdleReport {
    /// Bytes of memory per connection: just open, and after one echo.
    #[must_use]
    pub fn bytes_per_connection(&self) -> Option<(f64, f64)> {
        let [before, open, used] = self.resident_kib?;
        let each = |now: u64| (now as f64 - before as f64) * 1024.0 / self.connections as f64;
        Some((each(open), each(used)))
    }

    pub(crate) fn to_text(self) -> String {
        let mut out = format!("held      {} connections\n", text::thousands(self.connections as i64));
        if let (Some([before, open, used]), Some(each)) = (self.resident_kib, self.bytes_per_connection()) {
            let kib = |kib: u64| text::thousands(kib as i64);
            let _ = writeln!(out, "resident  {} KiB before", kib(before));
            let _ = writeln!(out, "          {} KiB open: {} bytes each", kib(open), text::number(each.0));
            let _ = writeln!(out, "          {} KiB used: {} bytes each", kib(used), text::number(each.1));
        } else {
            let _ = writeln!(out, "resident  unknown; give the server's process id with --pid");
        }
        if let Some(share) = self.cpu_share {
            let _ = writeln!(out, "server    {:.2} % of a core while all were silent", share * 100.0);
        }
        out
    }

    pub(crate) fn to_json(self) -> Value {
        json!({
            "connections": self.connections,
            "resident_kib_before_open_used": self.resident_kib,
            "bytes_open": self.bytes_per_connection().map(|each| each.0),
            "bytes_used": self.bytes_per_connection().map(|each| each.1),
            "cpu_share": self.cpu_share,
        })
    }
}

pub(crate) fn run(echo: &EchoOptions, tell: &mut dyn FnMut(Progress)) -> Result<EchoReport> {
    let options = &echo.load;
    allow_descriptors(options.connections)?;
    let dialer = Dialer::of(options)?;
    let resident = || options.pid.map(resident_kib).transpose();

    echo_once(open(&dialer, options, REHEARSAL, &mut |_| {})?, options);
    std::thread::sleep(SETTLE);
    let before = resident()?;

    let start = clock::now();
    let mut told = 0;
    let load = open(&dialer, options, options.connections, &mut |opened| {
        let now = clock::now();
        // Ten times a second is often enough, for the terminal's sake.
        if now - told > 100_000_000 {
            told = now;
            tell(Progress {
                elapsed: Duration::from_nanos(now - start),
                total: options.duration + SETTLE * 3,
                messages: opened as u64,
                rate: opened as f64 * 1e9 / (now - start).max(1) as f64,
                faults: 0,
            });
        }
    })?;
    std::thread::sleep(SETTLE);
    let opened = resident()?;
    let (load, stalled) = echo_once(load, options);
    std::thread::sleep(SETTLE);
    let used = resident()?;

    let cpu = options.pid.map(Cpu::of).transpose()?;
    std::thread::sleep(options.duration);
    let cpu_share = match cpu {
        None => None,
        Some(earlier) => {
            let used = Cpu::of(options.pid.unwrap_or(0))?.since(earlier).total;
            Some(used as f64 / clock::nanos(options.duration).max(1) as f64)
        }
    };

    let mut report = EchoReport::new(echo);
    let found = &mut report.load;
    found.unanswered = load.outstanding();
    found.messages = load.tally.counted;
    found.bytes = load.tally.counted_bytes;
    found.latency = load.tally.latency.clone();
    found.faults = load.tally.faults;
    found.errors = load.tally.errors.clone();
    found.fault_texts = load.tally.fault_texts.clone();
    found.stalled = stalled as u64;
    report.idle = Some(IdleReport {
        connections: options.connections,
        resident_kib: match (before, opened, used) {
            (Some(before), Some(opened), Some(used)) => Some([before, opened, used]),
            _ => None,
        },
        cpu_share,
    });
    Ok(report)
}

fn open(
    dialer: &Dialer,
    options: &Options,
    connections: usize,
    tell: &mut dyn FnMut(usize),
) -> Result<Load<Stream>> {
    let speech = EchoSpeech::new(options.size);
    let mut load = Load::new(dialer, 1, 0, 1)?;
    for opened in 0..connections {
        load.add(load::open(&speech, dialer, opened)?)?;
        tell(opened);
    }
    Ok(load)
}

/// Echoes one message on each connection; returns how many connections stalled.
fn echo_once(mut load: Load<Stream>, options: &Options) -> (Load<Stream>, usize) {
    load.start_closed();
    load.stop();
    let patience = clock::nanos(options.stall);
    // Of all together: where thousands wait for their turn, one may wait long without being stalled.
    let (mut left, mut progress) = (load.outstanding(), clock::now());
    loop {
        let now = load.pass();
        if load.outstanding() < left {
            (left, progress) = (load.outstanding(), now);
        }
        if left == 0 || now.saturating_sub(progress) > patience {
            return (load, left as usize);
        }
    }
}
