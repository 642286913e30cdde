//! Churn mode: connect, echo one message, close, and again, in as many slots as connections.
//!
//! A "message" here is a whole connection, and its latency runs from `connect` to the last byte of
//! the echo. The client closes first and normally (FIN), as clients do.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use anyhow::Result;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

use super::driven::Tally;
use super::line::{Fault, Line, Speech};
use super::options::Options;
use super::run::{Part, Shared};
use super::steady::Meter;
use crate::clock;
use crate::net::Dialer;

const EVENTS: usize = 1024;
const NAP: i64 = 10_000_000;
/// A server that fails this often is not worth measuring further.
const FAULTS_MAX: u64 = 1000;

/// One connection at a time.
struct Slot<L> {
    stream: Option<L>,
    began: u64,
}

pub(crate) struct Churn<S: Speech> {
    speech: S,
    dialer: Dialer,
    epoll: OwnedFd,
    scratch: Vec<u8>,
    slots: Vec<Slot<S::Line>>,
    /// Connections begun over all time; numbers them for the pattern and the source address.
    begun: u64,
    stride: u64,
    /// Only what is completed between these two moments is counted.
    pub(crate) window: (u64, u64),
    pub(crate) tally: Tally,
}

/// Runs one thread's share from the common start to its end.
pub(crate) fn work<S: Speech>(
    speech: &S,
    options: &Options,
    dialer: &Dialer,
    shared: &Shared,
    thread: usize,
) -> Result<Part> {
    let (start, open, close) = shared.window();
    let mut churn = Churn::new(speech.clone(), options, dialer.clone(), thread)?;
    churn.window = (open, close);
    clock::sleep_until(start);
    let patience = clock::nanos(options.stall);
    let mut meter = Meter::new(open, close);
    let mut stalled = 0;
    loop {
        let now = clock::now();
        let closing = now >= close || churn.tally.faults >= FAULTS_MAX;
        if !closing {
            churn.begin_all(now);
        }
        churn.pass()?;
        shared.publish(&mut churn.tally);
        meter.tick(clock::now(), 0);
        stalled += churn.give_up(now.saturating_sub(patience));
        if closing && churn.slots.iter().all(|slot| slot.stream.is_none()) {
            break;
        }
    }
    let measured = clock::now().clamp(open, close) - open;
    Ok(Part { tally: churn.tally, stalled, unanswered: stalled, measured, shares: meter.shares() })
}

impl<S: Speech> Churn<S> {
    /// Thread number `thread`'s share of the slots, all empty.
    pub(crate) fn new(speech: S, options: &Options, dialer: Dialer, thread: usize) -> io::Result<Churn<S>> {
        let slots = (thread..options.connections).step_by(options.threads).count();
        Ok(Churn {
            speech,
            dialer,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            scratch: vec![0; options.size.clamp(4096, 256 * 1024)],
            slots: (0..slots).map(|_| Slot { stream: None, began: 0 }).collect(),
            begun: thread as u64,
            stride: options.threads as u64,
            window: (0, u64::MAX),
            tally: Tally::default(),
        })
    }

    /// Counts the time of all that is under way from `now` on: the load was at rest until then.
    pub(crate) fn restart(&mut self, now: u64) {
        for slot in &mut self.slots {
            slot.began = slot.began.max(now);
            if let Some(stream) = &mut slot.stream {
                stream.owed_mut().progress = now;
            }
        }
    }

    /// Slots whose connection has given nothing since `since`.
    pub(crate) fn stalled(&self, since: u64) -> usize {
        let stuck =
            |slot: &&Slot<S::Line>| slot.stream.as_ref().is_some_and(|stream| stream.owed().progress < since);
        self.slots.iter().filter(stuck).count()
    }

    /// Fills every empty slot with a new connection.
    pub(crate) fn begin_all(&mut self, now: u64) {
        for index in 0..self.slots.len() {
            if self.slots[index].stream.is_some() {
                continue;
            }
            match self.begin(index, now) {
                Ok(()) => {}
                // The server's backlog is full (Unix sockets say so here): try in the next pass.
                Err(Fault::Failed(Errno::AGAIN)) => break,
                Err(fault) => self.tally.fault(&fault, Fault::to_string),
            }
        }
    }

    fn begin(&mut self, index: usize, now: u64) -> Result<(), Fault> {
        let wire = self.dialer.begin(self.begun)?;
        let mut stream = self.speech.line(wire, self.begun as usize);
        self.begun += self.stride;
        stream.owed_mut().issue(1, now);
        // On loopback the handshake is over by now, and sending at once saves a wake-up. If it is
        // not, the socket refuses and the event that it is writable follows.
        stream.flush()?;
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, stream.wire(), EventData::new_u64(index as u64), interest)
            .map_err(Fault::Failed)?;
        self.slots[index] = Slot { stream: Some(stream), began: now };
        Ok(())
    }

    /// Waits for events once and serves them.
    pub(crate) fn pass(&mut self) -> Result<()> {
        let mut events = [const { MaybeUninit::<Event>::uninit() }; EVENTS];
        let timeout = Timespec { tv_sec: 0, tv_nsec: NAP };
        let ready = match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok((ready, _)) => ready,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for event in ready.iter() {
            // Copied out, because the kernel's structure is packed.
            let data = event.data;
            let index = data.u64() as usize;
            match self.serve(index) {
                Ok(false) => {}
                // Dropping the stream closes its socket.
                Ok(true) => self.slots[index].stream = None,
                Err(fault) => {
                    self.slots[index].stream = None;
                    self.tally.fault(&fault, Fault::to_string);
                }
            }
        }
        Ok(())
    }

    /// Serves one connection. True: its message is back and it can be closed.
    fn serve(&mut self, index: usize) -> Result<bool, Fault> {
        let Slot { stream: Some(stream), began } = &mut self.slots[index] else { return Ok(false) };
        stream.flush()?;
        while stream.owed().outstanding() > 0 {
            let Some(arrived) = stream.read(&mut self.scratch)? else {
                // What was heard may have to be answered.
                stream.flush()?;
                return Ok(false);
            };
            let now = clock::now();
            stream.owed_mut().progress = now;
            if arrived.messages > 0 {
                self.tally.messages += 1;
                if self.window.0 <= now && now < self.window.1 {
                    self.tally.counted += 1;
                    self.tally.counted_bytes += stream.received();
                    self.tally.latency.record(now - *began);
                }
            }
        }
        // Some protocols say good-bye.
        stream.flush()?;
        Ok(true)
    }

    /// Drops connections that have given nothing since `since`; returns how many.
    fn give_up(&mut self, since: u64) -> u64 {
        let mut dropped = 0;
        for slot in &mut self.slots {
            if slot.stream.as_ref().is_some_and(|stream| stream.owed().progress < since) {
                slot.stream = None;
                dropped += 1;
            }
        }
        dropped
    }
}
