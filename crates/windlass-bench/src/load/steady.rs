//! Steady mode: connections that stay open and echo all the time, closed or open loop.

use anyhow::{Result, anyhow};

use super::driven::Load;
use super::line::{Line, Speech};
use super::options::Options;
use super::pace::Pace;
use super::run::{Part, Shared};
use crate::clock;
use crate::net::Dialer;
use crate::proc::Cpu;

/// How often stalls are looked for, in nanoseconds.
const CHECK: u64 = 50_000_000;

/// Opens this thread's share of the connections.
pub(crate) fn connect<S: Speech>(
    speech: &S,
    options: &Options,
    dialer: &Dialer,
    thread: usize,
) -> Result<Load<S::Line>> {
    let stride = options.threads;
    let mut load = Load::new(dialer, options.depth, thread as u64, stride as u64)?;
    for _ in (thread..options.connections).step_by(stride) {
        let number = load.next_number();
        load.add(open(speech, dialer, number)?)?;
    }
    Ok(load)
}

/// Opens one connection, what stands before its first message included.
pub(crate) fn open<S: Speech>(speech: &S, dialer: &Dialer, number: usize) -> Result<S::Line> {
    let mut line = speech.line(dialer.connect()?, number);
    speech.open(&mut line).map_err(|fault| anyhow!("{}: {fault}", dialer.target()))?;
    Ok(line)
}

/// Runs one thread's share from the common start to its end.
pub(crate) fn work<L: Line>(mut load: Load<L>, options: &Options, shared: &Shared) -> Part {
    let (start, open, close) = shared.window();
    load.window = (open, close);
    clock::sleep_until(start);
    match options.rate {
        Some(rate) => load.start_open(Pace { start, rate, connections: options.connections as u64 }),
        None => load.start_closed(),
    }

    let patience = clock::nanos(options.stall);
    let mut meter = Meter::new(open, close);
    let mut next_check = 0;
    let mut stalled = 0;
    loop {
        let now = load.pass();
        shared.publish(&mut load.tally);
        meter.tick(now, load.tally.spun);
        if now >= next_check {
            next_check = now + CHECK;
            stalled = load.stalled(now.saturating_sub(patience));
            // When nobody gives anything any more, the rest of the time would teach nothing.
            if load.live() == stalled {
                break;
            }
        }
        if now >= close {
            load.stop();
            if load.outstanding() == 0 || load.live() == stalled {
                break;
            }
            // What is still owed is owed by stalled connections, once the others have delivered.
            if stalled > 0 && load.stalled(u64::MAX) == stalled {
                break;
            }
        }
    }
    let unanswered = load.outstanding();
    let ended = clock::now().clamp(open, close);
    Part {
        tally: load.tally,
        stalled: stalled as u64,
        unanswered,
        measured: ended - open,
        shares: meter.shares(),
    }
}

/// How a generator thread spent the window, as shares of it from 0 to 1.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shares {
    /// It slept for want of work.
    pub(crate) idle: f64,
    /// It had work, and something else had its core.
    pub(crate) waited: f64,
}

/// Measures how the calling thread spends the window.
pub(crate) struct Meter {
    open: u64,
    close: u64,
    from: Option<(u64, Cpu, u64)>,
    shares: Option<Shares>,
}

impl Meter {
    pub(crate) fn new(open: u64, close: u64) -> Meter {
        Meter { open, close, from: None, shares: None }
    }

    /// Takes note of the time; `spun` is time on the core that was only waiting.
    pub(crate) fn tick(&mut self, now: u64, spun: u64) {
        match self.from {
            None if now >= self.open => self.from = Some((now, Cpu::of_this_thread(), spun)),
            Some((since, before, spun_before)) if now >= self.close && self.shares.is_none() => {
                let used = Cpu::of_this_thread().since(before);
                let wall = (now - since).max(1) as f64;
                let busy = (used.total + used.waited).saturating_sub(spun - spun_before);
                self.shares = Some(Shares {
                    idle: (1.0 - busy as f64 / wall).clamp(0.0, 1.0),
                    waited: (used.waited as f64 / wall).clamp(0.0, 1.0),
                });
            }
            _ => {}
        }
    }

    /// The shares; all idle if the window never ended.
    pub(crate) fn shares(&self) -> Shares {
        self.shares.unwrap_or(Shares { idle: 1.0, waited: 0.0 })
    }
}
