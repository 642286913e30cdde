//! The loop of every load over connections: one thread, one epoll, its share of the connections.
//!
//! One pass waits for events, reads and verifies what arrived, and answers every completed message
//! with the next one (closed loop) or sends what has become due (open loop). Nothing is allocated
//! per message, and each ready connection costs one read and one write.

use std::collections::{BTreeMap, VecDeque};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

use super::line::{Fault, Line};
use super::pace::{Cursor, Pace};
use crate::clock;
use crate::latency::Latency;
use crate::net::Dialer;

/// Shared by all connections of a thread. Larger does not help: it must fit into the cache
/// together with the pattern.
const SCRATCH: usize = 256 * 1024;
const EVENTS: usize = 1024;
/// Longest sleep, so that deadlines and stalls are noticed.
const NAP: u64 = 10_000_000;
/// An open loop sleeps only until this long before the next message is due, and spins from there:
/// waking up takes longer than the gap between messages.
const SPIN: u64 = 200_000;
/// Faults that are kept word by word; the rest is only counted.
const FAULTS_KEPT: usize = 5;

/// What one thread has seen.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Messages since the start, warm-up included.
    pub(crate) messages: u64,
    /// What of it the other threads have been told.
    pub(crate) published: u64,
    pub(crate) published_faults: u64,
    /// Messages and bytes inside the measured window.
    pub(crate) counted: u64,
    pub(crate) counted_bytes: u64,
    pub(crate) latency: Latency,
    /// In an open loop, the latencies of the same messages from the moment each was sent.
    pub(crate) from_sending: Latency,
    /// Connections that ended in good order and were replaced.
    pub(crate) reconnects: u64,
    /// Time in polls that found nothing and did not sleep.
    pub(crate) spun: u64,
    pub(crate) faults: u64,
    /// The faults by their kind.
    pub(crate) errors: BTreeMap<&'static str, u64>,
    pub(crate) fault_texts: Vec<String>,
}

impl Tally {
    /// Counts a fault of what `text` names.
    pub(crate) fn fault(&mut self, fault: &Fault, text: impl FnOnce(&Fault) -> String) {
        self.faults += 1;
        *self.errors.entry(fault.kind()).or_default() += 1;
        if self.fault_texts.len() < FAULTS_KEPT {
            self.fault_texts.push(text(fault));
        }
    }
}

/// The connections of one thread and all that drives them.
pub(crate) struct Load<L> {
    epoll: OwnedFd,
    dialer: Dialer,
    scratch: Vec<u8>,
    /// `None`: the connection has failed, and was counted as a fault.
    streams: Vec<Option<L>>,
    /// Streams from here on carry one bulk message each and are neither timed nor refilled.
    measured: usize,
    /// Bulk streams are not read while this is set.
    pub(crate) held: bool,
    /// A Unix socket reports "writable" whenever the peer reads, so it is asked for only while
    /// a write is blocked; for these streams it is being asked for.
    watching_write: Vec<bool>,
    tcp: bool,
    depth: u64,
    /// When message `n` of stream `s` was issued: `starts[s * depth + n % depth]`.
    starts: Vec<u64>,
    /// In an open loop, when each message was sent that is not answered, the oldest first.
    sent: Vec<VecDeque<u64>>,
    /// Connections begun in place of others.
    redialled: u64,
    /// The schedule of an open loop, and this thread's place in it.
    pace: Option<(Pace, Cursor)>,
    first: u64,
    stride: u64,
    /// Completed messages are followed by new ones.
    issuing: bool,
    /// Only what falls between these two moments is counted.
    pub(crate) window: (u64, u64),
    pub(crate) tally: Tally,
}

impl<L: Line> Load<L> {
    /// An empty load whose stream `i` is number `first + i * stride` of the whole run.
    pub(crate) fn new(dialer: &Dialer, depth: u64, first: u64, stride: u64) -> std::io::Result<Load<L>> {
        Ok(Load {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            dialer: dialer.clone(),
            scratch: vec![0; SCRATCH],
            streams: Vec::new(),
            measured: usize::MAX,
            held: false,
            watching_write: Vec::new(),
            tcp: dialer.is_tcp(),
            depth,
            starts: Vec::new(),
            sent: Vec::new(),
            redialled: 0,
            pace: None,
            first,
            stride,
            issuing: false,
            window: (0, u64::MAX),
            tally: Tally::default(),
        })
    }

    /// The number, in the whole run, of the connection that is added next.
    pub(crate) fn next_number(&self) -> usize {
        self.first as usize + self.streams.len() * self.stride as usize
    }

    /// Adds a connection.
    pub(crate) fn add(&mut self, line: L) -> std::io::Result<()> {
        let index = self.streams.len();
        epoll::add(&self.epoll, line.wire(), EventData::new_u64(index as u64), self.interest(self.tcp))?;
        self.streams.push(Some(line));
        self.watching_write.push(false);
        self.starts.resize(self.streams.len() * self.depth as usize, 0);
        Ok(())
    }

    /// Starts the closed loop: fills every connection to its depth.
    pub(crate) fn start_closed(&mut self) {
        self.issuing = true;
        let now = clock::now();
        for index in 0..self.streams.len().min(self.measured) {
            let from = index * self.depth as usize;
            self.starts[from..from + self.depth as usize].fill(now);
            self.issue(index, self.depth, now);
        }
    }

    /// Counts the time of all that is under way from `now` on: the load was at rest until then.
    pub(crate) fn restart(&mut self, now: u64) {
        for start in &mut self.starts {
            *start = now.max(*start);
        }
        for stream in self.streams.iter_mut().flatten() {
            stream.owed_mut().progress = now;
        }
    }

    /// Starts the open loop.
    pub(crate) fn start_open(&mut self, pace: Pace) {
        self.issuing = true;
        let cursor = Cursor::new(pace, self.first, self.stride, self.streams.len() as u64);
        self.pace = Some((pace, cursor));
        self.sent = self.streams.iter().map(|_| VecDeque::new()).collect();
    }

    /// Ends the load. What was due inside the window is still sent, however late we are: leaving it
    /// out would forget the very messages that waited longest.
    pub(crate) fn stop(&mut self) {
        if self.issuing {
            self.send_until(self.window.1.saturating_sub(1), clock::now());
            self.issuing = false;
        }
    }

    /// From now on, streams that are added carry one bulk message each.
    pub(crate) fn begin_bulk(&mut self) {
        self.measured = self.streams.len();
    }

    /// Sends one message on stream `index`.
    pub(crate) fn issue(&mut self, index: usize, messages: u64, now: u64) {
        if let Some(stream) = &mut self.streams[index] {
            stream.owed_mut().issue(messages, now);
        }
        self.settle(index, |load| load.flush(index));
    }

    /// Waits for events once and serves them; returns the time.
    pub(crate) fn pass(&mut self) -> u64 {
        let mut events = [const { MaybeUninit::<Event>::uninit() }; EVENTS];
        let nap = self.send_due();
        let before = if nap == 0 { clock::now() } else { 0 };
        let timeout = Timespec { tv_sec: 0, tv_nsec: nap as _ };
        match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok((ready, _)) => {
                for event in ready.iter() {
                    // Copied out, because the kernel's structure is packed.
                    let (data, flags) = (event.data, event.flags);
                    let index = data.u64() as usize;
                    self.settle(index, |load| load.serve(index, flags));
                }
                let now = clock::now();
                if ready.is_empty() && nap == 0 {
                    self.tally.spun += now - before;
                }
                now
            }
            Err(error) => {
                if error != Errno::INTR {
                    self.tally.fault(&Fault::Failed(error), |_| format!("epoll: {error}"));
                }
                clock::now()
            }
        }
    }

    /// Reads whatever bulk streams were held back.
    pub(crate) fn release(&mut self) {
        self.held = false;
        let now = clock::now();
        for index in self.measured..self.streams.len() {
            if let Some(stream) = &mut self.streams[index] {
                stream.owed_mut().progress = now;
            }
            self.settle(index, |load| load.serve(index, EventFlags::IN));
        }
    }

    /// Connections that still live.
    pub(crate) fn live(&self) -> usize {
        self.streams.iter().flatten().count()
    }

    /// Messages that have not come back, over all connections.
    pub(crate) fn outstanding(&self) -> u64 {
        self.streams.iter().flatten().map(|stream| stream.owed().outstanding()).sum()
    }

    /// Connections that owe a reply and have given nothing since `since`.
    pub(crate) fn stalled(&self, since: u64) -> usize {
        let stuck = |stream: &&L| stream.owed().outstanding() > 0 && stream.owed().progress < since;
        self.streams.iter().flatten().filter(stuck).count()
    }

    /// The bulk streams, those that failed included.
    pub(crate) fn bulk(&self) -> &[Option<L>] {
        &self.streams[self.measured.min(self.streams.len())..]
    }

    /// Sends what is due in an open loop; returns how long to sleep.
    fn send_due(&mut self) -> u64 {
        let now = clock::now();
        let Some(next) = self.send_until(now, now) else { return NAP };
        next.saturating_sub(now).saturating_sub(SPIN).min(NAP)
    }

    /// Sends what is due by `due` in an open loop; returns when the next message is.
    fn send_until(&mut self, due: u64, now: u64) -> Option<u64> {
        let (pace, mut cursor) = self.pace.filter(|_| self.issuing)?;
        while let Some(index) = cursor.take(due) {
            self.issue(index, 1, now);
        }
        self.pace = Some((pace, cursor));
        Some(cursor.next_due())
    }

    /// Serves one event of one connection.
    fn serve(&mut self, index: usize, flags: EventFlags) -> Result<(), Fault> {
        let waking = EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        if flags.intersects(waking) && !(self.held && index >= self.measured) {
            // Behind the data of a closing peer stands an end that no further event announces.
            let ending = flags.intersects(waking.difference(EventFlags::IN));
            self.drain(index, ending)?;
        }
        self.flush(index)
    }

    fn drain(&mut self, index: usize, ending: bool) -> Result<(), Fault> {
        let Some(stream) = &mut self.streams[index] else { return Ok(()) };
        let depth = self.depth as usize;
        let starts = index * depth..(index + 1) * depth;
        loop {
            let Some(arrived) = stream.read(&mut self.scratch)? else { return Ok(()) };
            let now = clock::now();
            stream.owed_mut().progress = now;
            let in_window = self.window.0 <= now && now < self.window.1;
            if in_window && index < self.measured {
                self.tally.counted += arrived.messages;
                self.tally.counted_bytes += arrived.bytes;
            }
            if index < self.measured && arrived.messages > 0 {
                let starts = &mut self.starts[starts.clone()];
                self.tally.messages += arrived.messages;
                let done = stream.owed().done;
                for nth in done - arrived.messages..done {
                    if let Some((pace, _)) = &self.pace {
                        // Counted from the due time: a message that left late waited, too.
                        let due = pace.due(self.first + index as u64 * self.stride, nth);
                        let sent = self.sent[index].pop_front().unwrap_or(due);
                        if self.window.0 <= due && due < self.window.1 {
                            self.tally.latency.record(now.saturating_sub(due));
                            self.tally.from_sending.record(now.saturating_sub(sent));
                        }
                    } else {
                        let slot = &mut starts[nth as usize % depth];
                        if in_window {
                            self.tally.latency.record(now - *slot);
                        }
                        // In a closed loop message `n + depth` is issued when message `n` is back.
                        *slot = now;
                    }
                }
                if self.issuing && self.pace.is_none() {
                    stream.owed_mut().issue(arrived.messages, now);
                }
            }
            if arrived.over {
                return self.redial(index);
            }
            // A short read has emptied the socket; asking again would only give EAGAIN.
            if !arrived.more && !ending {
                return Ok(());
            }
        }
    }

    /// Gives a line whose connection has ended in good order another one.
    fn redial(&mut self, index: usize) -> Result<(), Fault> {
        self.redialled += self.stride;
        let wire = self.dialer.begin(self.first + self.redialled)?;
        let interest = self.interest(self.tcp);
        epoll::add(&self.epoll, &wire, EventData::new_u64(index as u64), interest).map_err(Fault::Failed)?;
        self.watching_write[index] = false;
        if let Some(sent) = self.sent.get_mut(index) {
            sent.clear();
        }
        if let Some(stream) = &mut self.streams[index] {
            self.tally.reconnects += 1;
            stream.renew(wire);
        }
        Ok(())
    }

    fn flush(&mut self, index: usize) -> Result<(), Fault> {
        let Some(stream) = &mut self.streams[index] else { return Ok(()) };
        let blocked = stream.flush()?;
        if self.pace.is_some() {
            let sent = &mut self.sent[index];
            let news = (stream.begun() - stream.owed().done) as usize;
            if news > sent.len() {
                sent.resize(news, clock::now());
            }
        }
        if !self.tcp && blocked != self.watching_write[index] {
            self.watching_write[index] = blocked;
            let interest = self.interest(blocked);
            if let Some(stream) = &self.streams[index] {
                let data = EventData::new_u64(index as u64);
                epoll::modify(&self.epoll, stream.wire(), data, interest).map_err(Fault::Failed)?;
            }
        }
        Ok(())
    }

    /// Runs `step` and, if it fails, ends that connection.
    fn settle(&mut self, index: usize, step: impl FnOnce(&mut Load<L>) -> Result<(), Fault>) {
        if let Err(fault) = step(self) {
            self.streams[index] = None;
            let number = self.first + index as u64 * self.stride;
            self.tally.fault(&fault, |fault| format!("connection {number}: {fault}"));
        }
    }

    fn interest(&self, write: bool) -> EventFlags {
        let read = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        if write { read | EventFlags::OUT } else { read }
    }
}
