//! A load that runs in slices of a fraction of a second and rests in between.
//!
//! Several servers can then take turns so quickly that whatever else the machine does hits all of
//! them alike. A load at rest is not driven at all: its last replies wait in its sockets, as many as
//! when the slice before began, so that they cancel out.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::churn::Churn;
use super::driven::{Load, Tally};
use super::line::Speech;
use super::options::Options;
use super::report::{Report, ServerUse};
use super::run::Part;
use super::steady::{self, Meter};
use crate::clock;
use crate::net::{Dialer, allow_descriptors};
use crate::proc::Cpu;

/// How long a server may go on working after its slice: until what was sent to it is answered.
const SETTLES: Duration = Duration::from_millis(2);

enum Driven<S: Speech> {
    Steady(Box<Load<S::Line>>),
    Churn(Box<Churn<S>>),
}

/// A single-threaded closed loop against one server, whose process id is known.
pub(crate) struct Sliced<S: Speech> {
    options: Options,
    driven: Driven<S>,
    started: bool,
}

impl<S: Speech> Sliced<S> {
    /// Connects, unless each message has a connection of its own; nothing is sent yet.
    pub(crate) fn prepare(speech: &S, options: &Options) -> Result<Sliced<S>> {
        allow_descriptors(options.connections)?;
        let dialer = Dialer::of(options)?;
        let driven = match options.churn {
            true => Driven::Churn(Box::new(Churn::new(speech.clone(), options, dialer, 0)?)),
            false => Driven::Steady(Box::new(steady::connect(speech, options, &dialer, 0)?)),
        };
        Ok(Sliced { options: options.clone(), driven, started: false })
    }

    /// Drives the load for `length` and tells what came back in that time, and what the server
    /// used for it, its last work included.
    pub(crate) fn slice(&mut self, length: Duration) -> Result<Report> {
        let pid = self.options.pid.context("a sliced load needs the server's process id")?;
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
        let mut report = Report::new(&self.options);
        report.options.duration = length;
        let (measured, shares) = (clock::nanos(length), meter.shares());
        report.add(Part { tally, stalled: stalled as u64, unanswered: 0, measured, shares }, 1);
        report.server = Some(ServerUse { cpu, messages, resident_kib: 0 });
        Ok(report)
    }
}
