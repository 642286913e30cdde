//! Slow mode: a few clients send much and do not read for a while, beside well-behaved ones.
//!
//! A good server stops reading from them, so that its memory does not grow and the good clients
//! notice nothing; and when they read at last, every byte is there.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::options::EchoOptions;
use super::stream::{EchoSpeech, Stream};
use super::{EchoReport, Progress};
use crate::clock;
use crate::latency::Latency;
use crate::load::{self, Line as _, Load, Options};
use crate::net::{Dialer, allow_descriptors};
use crate::proc::resident_kib;
use crate::text;

/// How often the server's memory is looked at. Often enough to see the peak of a phase of seconds.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What slow readers do to the server and to other clients.
#[derive(Debug, Clone)]
pub struct SlowReport {
    /// Clients that did not read.
    pub clients: usize,
    /// Bytes each of them wanted to send.
    pub size: usize,
    /// How long they did not read.
    pub hold: Duration,
    /// The server's resident memory in KiB: before, and the most that was seen. `None` without
    /// the server's process id.
    pub resident_kib: Option<(u64, u64)>,
    /// Bytes that could be sent on each slow connection before it read.
    pub taken: Vec<u64>,
    /// The good clients' messages per second: alone, and while the slow ones did not read.
    pub rates: (f64, f64),
    /// The good clients' latency while they were alone.
    pub alone: Latency,
    /// Their latency while the slow clients did not read.
    pub held: Latency,
    /// Slow clients that got every byte back in the end.
    pub whole: usize,
    /// Slow clients whose connection failed.
    pub dead: usize,
    /// Seconds until all bytes were back, from the moment at which the slow clients began to read.
    pub drain_seconds: f64,
}

impl SlowReport {
    /// How much the server's memory grew, in MiB.
    #[must_use]
    pub fn growth_mib(&self) -> Option<f64> {
        self.resident_kib.map(|(before, most)| most.saturating_sub(before) as f64 / 1024.0)
    }

    /// The good clients' p99 while the others were held, divided by their p99 alone.
    #[must_use]
    pub fn p99_ratio(&self) -> f64 {
        self.held.percentile(99.0) / self.alone.percentile(99.0).max(1e-3)
    }

    pub(crate) fn to_text(&self) -> String {
        let mut out = String::new();
        if let (Some((before, most)), Some(growth)) = (self.resident_kib, self.growth_mib()) {
            let (before, most) = (text::thousands(before as i64), text::thousands(most as i64));
            let _ =
                writeln!(out, "resident  {before} KiB, at most {most}: {} MiB more", text::number(growth));
        } else {
            let _ = writeln!(out, "resident  unknown; give the server's process id with --pid");
        }
        let taken = self.taken.iter().sum::<u64>() as f64 / self.taken.len().max(1) as f64;
        let _ = writeln!(
            out,
            "slow      {} of {} got all {} back in {:.2} s; {} were taken of each in {:?}",
            self.whole,
            self.clients,
            text::bytes(self.size as f64),
            self.drain_seconds,
            text::bytes(taken.round()),
            self.hold,
        );
        for (name, rate, latency) in
            [("alone", self.rates.0, &self.alone), ("while held", self.rates.1, &self.held)]
        {
            let [p99, p999] = [99.0, 99.9].map(|percent| text::micros(latency.percentile(percent)));
            let rate = text::number(rate);
            let _ = writeln!(
                out,
                "good      {name:<10} {rate:>9}/s   p99 {p99}   p99.9 {p999}   max {}",
                text::micros(latency.max())
            );
        }
        out
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "clients": self.clients,
            "size": self.size,
            "hold_seconds": self.hold.as_secs_f64(),
            "resident_kib_before_most": self.resident_kib,
            "growth_mib": self.growth_mib(),
            "taken": self.taken,
            "rate_alone": self.rates.0,
            "rate_held": self.rates.1,
            "alone_us": self.alone.to_json(),
            "held_us": self.held.to_json(),
            "whole": self.whole,
            "dead": self.dead,
            "drain_seconds": self.drain_seconds,
        })
    }
}

pub(crate) fn run(options: &EchoOptions, tell: &mut dyn FnMut(Progress)) -> Result<EchoReport> {
    allow_descriptors(options.load.connections + options.slow_clients)?;
    let load = Options { threads: 1, rate: None, ..options.load.clone() };
    let options = &EchoOptions { load, ..options.clone() };
    let dialer = &Dialer::of(&options.load)?;
    let load = load::connect(&EchoSpeech::new(options.load.size), &options.load, dialer, 0)?;
    let resident = || options.load.pid.map(resident_kib).transpose();
    let before = resident()?;
    let mut most = before;
    let start = clock::now();
    let mut report = std::thread::scope(|scope| -> Result<EchoReport> {
        let worker = scope.spawn(move || work(load, options, dialer));
        while !worker.is_finished() {
            most = most.max(resident()?);
            tell(Progress {
                elapsed: Duration::from_nanos(clock::now() - start),
                total: options.load.warmup + options.load.duration + options.hold,
                messages: 0,
                rate: 0.0,
                faults: 0,
            });
            std::thread::sleep(LOOK_EVERY);
        }
        worker.join().map_err(|_| anyhow!("the generator's thread panicked"))?
    })?;
    most = most.max(resident()?);
    if let Some(slow) = &mut report.slow {
        slow.resident_kib = before.zip(most);
    }
    Ok(report)
}

fn work(mut load: Load<Stream>, options: &EchoOptions, dialer: &Dialer) -> Result<EchoReport> {
    let patience = clock::nanos(options.load.stall);

    // The good clients alone.
    let open = clock::now() + clock::nanos(options.load.warmup);
    load.start_closed();
    let (alone, alone_rate) = phase(&mut load, open, options.load.duration);

    // The slow ones join, send, and do not read.
    load.begin_bulk();
    load.held = true;
    let speech = EchoSpeech::new(options.slow_size);
    for _ in 0..options.slow_clients {
        load.add(load::open(&speech, dialer, load.next_number())?)?;
    }
    let open = clock::now();
    for index in options.load.connections..options.load.connections + options.slow_clients {
        load.issue(index, 1, open);
    }
    let (held, held_rate) = phase(&mut load, open, options.hold);
    let taken = load.bulk().iter().map(|stream| stream.as_ref().map_or(0, Stream::sent)).collect();

    // They read at last.
    load.window = (u64::MAX, u64::MAX);
    let released = clock::now();
    load.release();
    let mut now = released;
    let owing = |load: &Load<Stream>, since: u64| {
        load.bulk()
            .iter()
            .flatten()
            .any(|stream| stream.owed().outstanding() > 0 && stream.owed().progress >= since)
    };
    while owing(&load, now.saturating_sub(patience)) {
        now = load.pass();
    }
    let drain_seconds = (now - released) as f64 / 1e9;
    let whole = load.bulk().iter().flatten().filter(|stream| stream.owed().outstanding() == 0).count();
    let dead = load.bulk().iter().filter(|stream| stream.is_none()).count();

    // And the good ones finish what is under way.
    load.stop();
    let mut stalled = 0;
    while load.outstanding() > 0 && load.stalled(u64::MAX) > stalled {
        let now = load.pass();
        stalled = load.stalled(now.saturating_sub(patience));
    }

    let mut report = EchoReport::new(options);
    let found = &mut report.load;
    found.stalled = stalled as u64;
    found.unanswered = load.outstanding();
    found.faults = load.tally.faults;
    found.errors = std::mem::take(&mut load.tally.errors);
    found.fault_texts = std::mem::take(&mut load.tally.fault_texts);
    found.messages = load.tally.counted;
    found.bytes = load.tally.counted_bytes;
    found.latency = held.clone();
    report.slow = Some(SlowReport {
        clients: options.slow_clients,
        size: options.slow_size,
        hold: options.hold,
        resident_kib: None,
        taken,
        rates: (alone_rate, held_rate),
        alone,
        held,
        whole,
        dead,
        drain_seconds,
    });
    Ok(report)
}

/// Lets the load run for `time` from `open` on; returns latencies and messages per second.
fn phase(load: &mut Load<Stream>, open: u64, time: Duration) -> (Latency, f64) {
    load.window = (open, open + clock::nanos(time));
    let counted = load.tally.counted;
    while load.pass() < load.window.1 {}
    let messages = load.tally.counted - counted;
    (std::mem::take(&mut load.tally.latency), messages as f64 / time.as_secs_f64().max(1e-9))
}
