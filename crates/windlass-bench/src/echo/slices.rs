//! A load that runs in slices of a fraction of a second and rests in between.
//!
//! Several servers can then take turns so quickly that whatever else the machine does hits all of
//! them alike. A load at rest is not driven at all: its last replies wait in its sockets, as many as
//! when the slice before began, so that they cancel out.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::EchoReport;
use super::options::{EchoOptions, Mode};
use super::stream::{EchoSpeech, Stream};
use crate::clock;
use crate::load::{self, Churn, Load, Meter, Part, ServerUse, Tally};
use crate::net::{Dialer, allow_descriptors};
use crate::proc::Cpu;

/// How long a server may go on working after its slice: until what was sent to it is answered.
const SETTLES: Duration = Duration::from_millis(2);

enum Driven {
    Steady(Box<Load<Stream>>),
    Churn(Box<Churn<EchoSpeech>>),
}

/// A single-threaded closed loop against one server, whose process id is known.
pub(crate) struct Sliced {
    options: EchoOptions,
    driven: Driven,
    started: bool,
}

impl Sliced {
    /// Connects; nothing is sent yet.
    pub(crate) fn prepare(options: &EchoOptions) -> Result<Sliced> {
        allow_descriptors(options.load.connections)?;
        let dialer = Dialer::of(&options.load)?;
        let speech = EchoSpeech::new(options.load.size);
        let driven = match options.mode {
            Mode::Churn => Driven::Churn(Box::new(Churn::new(speech, &options.load, dialer, 0)?)),
            _ => Driven::Steady(Box::new(load::connect(&speech, &options.load, &dialer, 0)?)),
        };
        Ok(Sliced { options: options.clone(), driven, started: false })
    }

    /// Drives the load for `length` and tells what came back in that time, and what the server
    /// used for it, its last work included.
    pub(crate) fn slice(&mut self, length: Duration) -> Result<EchoReport> {
        let pid = self.options.load.pid.context("a sliced load needs the server's process id")?;
        let before = Cpu::of(pid)?;
        let open = clock::now();
        let close = open + clock::nanos(length);
        let mut meter = Meter::new(open, close);
        meter.tick(open, 0);
        match &mut self.driven {
            Driven::Steady(load) => {
                load.tally = Tally::default();
                load.window = (open, close);
                if self.started {
                    load.restart(open);
                } else {
                    load.start_closed();
                }
                while clock::now() < close {
                    load.pass();
                }
            }
            Driven::Churn(churn) => {
                churn.tally = Tally::default();
                churn.window = (open, close);
                churn.restart(open);
                while clock::now() < close {
                    churn.begin_all(clock::now());
                    churn.pass()?;
                }
            }
        }
        self.started = true;
        let ended = clock::now();
        meter.tick(ended.max(close), 0);
        std::thread::sleep(SETTLES);
        let cpu = Cpu::of(pid)?.since(before);
        let (tally, stalled) = match &mut self.driven {
            Driven::Steady(load) => (std::mem::take(&mut load.tally), load.stalled(open + 1)),
            Driven::Churn(churn) => (std::mem::take(&mut churn.tally), churn.stalled(open + 1)),
        };
        let messages = tally.messages;
        let mut report = EchoReport::new(&self.options);
        report.load.options.duration = length;
        let (measured, shares) = (clock::nanos(length), meter.shares());
        report.load.add(Part { tally, stalled: stalled as u64, unanswered: 0, measured, shares }, 1);
        report.load.server = Some(ServerUse { cpu, messages, resident_kib: 0 });
        Ok(report)
    }
}
