//! Requests that come when they come, whatever has become of those before: an open loop.
//!
//! Arrivals are drawn from the clock alone (exponential gaps around a rate), and a request's time runs from
//! when it should have been sent, so a client that falls behind does not hide what the server did
//! ("coordinated omission"). A client gives up after its patience and closes the connection, as people do.

use std::collections::VecDeque;
use std::io::Read as _;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

use anyhow::Result;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;
use windlass_proto::http::{ClientConn, Limits, ResponsePart, Status};
use windlass_proto::{Decode as _, Input};

use crate::args::Target;
use crate::clock;
use crate::latency::Latency;
use crate::load::Wire;
use crate::net::Dialer;

const EVENTS: usize = 512;
/// Connections at most; who finds none left counts as refused.
const CONNECTIONS_MAX: usize = 16_000;
pub(super) const SECOND: u64 = 1_000_000_000;

/// How requests come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Over connections that are kept: an idle one if there is any, else a new one.
    Kept,
    /// Each over a connection of its own.
    Fresh,
}

/// What became of the requests that were due in some time.
#[derive(Clone, Default)]
pub(super) struct Outcome {
    pub(super) offered: u64,
    /// Answered with 200 in time.
    pub(super) good: u64,
    /// Answered with 503.
    pub(super) busy: u64,
    /// Reset, or not let in.
    pub(super) refused: u64,
    /// Nothing in time.
    pub(super) late: u64,
    /// Time of the good ones.
    pub(super) latency: Latency,
}

impl Outcome {
    pub(super) fn add(&mut self, other: &Outcome) {
        self.offered += other.offered;
        self.good += other.good;
        self.busy += other.busy;
        self.refused += other.refused;
        self.late += other.late;
        self.latency.merge(&other.latency);
    }
}

enum Fate {
    Good,
    Busy,
    Refused,
    Late,
}

struct Line {
    stream: TcpStream,
    conn: ClientConn,
    left: Vec<u8>,
    /// When the request under way was due; none is where this is `None`.
    due: Option<u64>,
    /// It is written to the stream.
    sent: bool,
    ok: bool,
}

pub(super) struct Offer {
    dialer: Dialer,
    epoll: OwnedFd,
    patience: u64,
    way: Way,
    lines: Vec<Option<Line>>,
    /// Counts the uses of a place, so that old events and deadlines find nobody.
    uses: Vec<u32>,
    free: Vec<usize>,
    idle: Vec<(usize, u32)>,
    deadlines: VecDeque<(u64, usize, u32)>,
    begun: u64,
    random: u64,
    buffer: Vec<u8>,
    request: Vec<u8>,
    /// What became of requests, by the slice of time in which they were due.
    slices: Vec<Outcome>,
    opened: u64,
    slice: u64,
}

impl Offer {
    pub(super) fn new(address: SocketAddr, way: Way, patience: u64) -> Result<Offer> {
        let dialer = Dialer::new(&Target::Tcp(address), false)?;
        Ok(Offer {
            dialer,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            patience,
            way,
            lines: Vec::new(),
            uses: Vec::new(),
            free: Vec::new(),
            idle: Vec::new(),
            deadlines: VecDeque::new(),
            begun: 0,
            random: 7,
            buffer: vec![0; 64 * 1024],
            request: Vec::new(),
            slices: Vec::new(),
            opened: 0,
            slice: SECOND,
        })
    }

    /// Offers so many requests a second for each of these lengths of time (in nanoseconds), one right after
    /// the other, and waits for the last answers. What became of them, for each slice of time.
    pub(super) fn run(&mut self, steps: &[(f64, u64)], slice: u64) -> Result<Vec<Outcome>> {
        let began = clock::now();
        let length: u64 = steps.iter().map(|(_, length)| length).sum();
        self.slices = vec![Outcome::default(); length.div_ceil(slice) as usize];
        (self.opened, self.slice) = (began, slice);
        let mut until = began;
        for (rate, length) in steps {
            let mut due = until.max(clock::now()) + self.gap(*rate);
            until += length;
            while due < until {
                let now = clock::now();
                while due <= now && due < until {
                    self.ask(due)?;
                    due += self.gap(*rate);
                }
                self.give_up(now);
                let next = self.deadlines.front().map_or(due, |(at, ..)| due.min(*at));
                self.pass(next.min(until).saturating_sub(clock::now()))?;
            }
        }
        while !self.deadlines.is_empty() {
            let now = clock::now();
            self.give_up(now);
            self.pass(10_000_000)?;
        }
        Ok(std::mem::take(&mut self.slices))
    }

    /// Keeps so many requests under way for a while: answers a second.
    pub(super) fn closed_loop(&mut self, depth: usize, length: u64) -> Result<f64> {
        let began = clock::now();
        self.slices = vec![Outcome::default(); 1];
        (self.opened, self.slice) = (began, u64::MAX);
        let (patience, until) = (std::mem::replace(&mut self.patience, 60 * SECOND), began + length);
        // The first answers tell of an empty server.
        let warm = began + length / 4;
        let mut counted = None;
        while clock::now() < until {
            let under_way = self.lines.iter().flatten().filter(|line| line.due.is_some()).count();
            for _ in under_way..depth {
                self.ask(clock::now())?;
            }
            self.pass(1_000_000)?;
            if counted.is_none() && clock::now() >= warm {
                counted = Some((clock::now(), self.slices[0].good));
            }
        }
        let (since, before) = counted.unwrap_or((began, 0));
        let rate = (self.slices[0].good - before) as f64 * 1e9 / (clock::now() - since) as f64;
        self.patience = patience;
        for index in 0..self.lines.len() {
            self.close(index);
        }
        self.deadlines.clear();
        Ok(rate)
    }

    /// A gap between two arrivals.
    fn gap(&mut self, rate: f64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let uniform = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        ((-(1.0 - uniform).ln() / rate) * 1e9) as u64
    }

    fn outcome(&mut self, due: u64) -> Option<&mut Outcome> {
        let slice = (due.saturating_sub(self.opened) / self.slice) as usize;
        self.slices.get_mut(slice)
    }

    fn ask(&mut self, due: u64) -> Result<()> {
        if let Some(outcome) = self.outcome(due) {
            outcome.offered += 1;
        }
        let mut kept = None;
        while let Some((index, uses)) = self.idle.pop() {
            if self.uses[index] == uses && self.lines[index].is_some() {
                kept = Some(index);
                break;
            }
        }
        let index = match kept {
            Some(index) => index,
            None => match self.open()? {
                Some(index) => index,
                None => {
                    self.count(due, Fate::Refused);
                    return Ok(());
                }
            },
        };
        let Some(line) = &mut self.lines[index] else { return Ok(()) };
        (line.due, line.sent, line.ok) = (Some(due), false, false);
        self.deadlines.push_back((due + self.patience, index, self.uses[index]));
        self.send(index);
        Ok(())
    }

    fn open(&mut self) -> Result<Option<usize>> {
        if self.free.is_empty() && self.lines.len() >= CONNECTIONS_MAX {
            return Ok(None);
        }
        self.begun += 1;
        let Ok(Wire::Plain(socket)) = self.dialer.begin(self.begun) else { return Ok(None) };
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        let index = self.free.pop().unwrap_or_else(|| {
            self.lines.push(None);
            self.uses.push(0);
            self.lines.len() - 1
        });
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let name = (u64::from(self.uses[index]) << 32) | index as u64;
        epoll::add(&self.epoll, &stream, EventData::new_u64(name), interest)?;
        let conn = ClientConn::new(Limits::default());
        self.lines[index] = Some(Line { stream, conn, left: Vec::new(), due: None, sent: false, ok: false });
        Ok(Some(index))
    }

    /// Sends the request, if it is not sent and the connection is there.
    fn send(&mut self, index: usize) {
        use std::io::Write as _;
        let Some(line) = &mut self.lines[index] else { return };
        if line.sent || line.due.is_none() {
            return;
        }
        self.request.clear();
        let mut conn = ClientConn::new(Limits::default());
        let head = conn.request(&mut self.request, "GET", "/", "localhost");
        let head = if self.way == Way::Fresh { head.close() } else { head };
        if head.empty().is_err() {
            return;
        }
        match line.stream.write(&self.request) {
            // A hundred bytes into an empty socket: it takes them, or nothing.
            Ok(_) => {
                line.sent = true;
                line.conn = conn;
            }
            Err(e)
                if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::NotConnected) => {}
            Err(_) => self.broken(index),
        }
    }

    fn count(&mut self, due: u64, fate: Fate) {
        let took = clock::now().saturating_sub(due);
        let Some(outcome) = self.outcome(due) else { return };
        match fate {
            Fate::Good => {
                outcome.good += 1;
                outcome.latency.record(took);
            }
            Fate::Busy => outcome.busy += 1,
            Fate::Refused => outcome.refused += 1,
            Fate::Late => outcome.late += 1,
        }
    }

    fn close(&mut self, index: usize) {
        if self.lines[index].take().is_some() {
            self.uses[index] = self.uses[index].wrapping_add(1);
            self.free.push(index);
        }
    }

    fn broken(&mut self, index: usize) {
        if let Some(due) = self.lines[index].as_ref().and_then(|line| line.due) {
            self.count(due, Fate::Refused);
        }
        self.close(index);
    }

    /// Whose patience is over goes.
    fn give_up(&mut self, now: u64) {
        while let Some(&(at, index, uses)) = self.deadlines.front() {
            let due = self.lines[index].as_ref().and_then(|line| line.due);
            // Answered since, perhaps with another request under way.
            let same = self.uses[index] == uses && due.is_some_and(|due| due + self.patience == at);
            if same && at > now {
                return;
            }
            self.deadlines.pop_front();
            if same && let Some(due) = due {
                self.count(due, Fate::Late);
                self.close(index);
            }
        }
    }

    fn pass(&mut self, most: u64) -> Result<()> {
        let mut events = [const { MaybeUninit::<Event>::uninit() }; EVENTS];
        let timeout = Timespec { tv_sec: (most / SECOND) as i64, tv_nsec: (most % SECOND) as i64 };
        let ready = match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok((ready, _)) => ready,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for event in ready.iter() {
            // The event is packed: a copy of its field is not.
            let (name, flags) = (event.data.u64(), event.flags);
            let (index, uses) = ((name & 0xFFFF_FFFF) as usize, (name >> 32) as u32);
            if self.uses[index] != uses {
                continue;
            }
            self.send(index);
            if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::ERR | EventFlags::HUP) {
                self.receive(index);
            }
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) {
        loop {
            let Some(line) = &mut self.lines[index] else { return };
            match line.stream.read(&mut self.buffer) {
                Ok(0) => return self.broken(index),
                Ok(n) => line.left.extend_from_slice(&self.buffer[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => return self.broken(index),
            }
            let mut input = Input::new(&mut line.left);
            let mut over = false;
            loop {
                match line.conn.decode(&mut input) {
                    Ok(Some(ResponsePart::Head(head))) => line.ok = head.status == Status::OK,
                    Ok(Some(ResponsePart::End)) => over = true,
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return self.broken(index),
                }
            }
            let left = input.len();
            line.left.drain(..line.left.len() - left);
            if over {
                let (due, ok) = (line.due.take(), line.ok);
                if let Some(due) = due {
                    self.count(due, if ok { Fate::Good } else { Fate::Busy });
                }
                if self.way == Way::Fresh {
                    return self.close(index);
                }
                self.idle.push((index, self.uses[index]));
            }
        }
    }
}
