//! The loop: send what may be sent, wait, take what came back, check it, and again.
//!
//! In a closed loop the window is kept full; in an open loop what is due goes out, and the window is the
//! most that may be under way.

use std::io::{ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::event::{PollFd, PollFlags, poll};

use crate::clock;
use crate::latency::Latency;
use crate::load::{Cursor, Pace, excerpt};

/// As long as the most that the kernel puts together, and no power of two apart.
const BUFFER: usize = 64 * 1024;
const STRIDE: usize = BUFFER + 192;
/// A datagram that has not come back after this is lost.
const LOST: u64 = 200_000_000;
/// How often what will not come is looked for, in nanoseconds.
const LOOK_EVERY: u64 = 100_000_000;
/// Longest wait for an answer, in nanoseconds.
const NAP: u64 = 20_000_000;
/// An open loop waits only until this long before the next datagram is due, and spins from there.
const SPIN: u64 = 200_000;
/// Room for answers that come while the generator sends.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;
/// Datagrams that go out in one call, where they go to the same place and come from it.
const SEGMENTS: usize = 16;
/// What stands in front of each datagram: its place in the window and its number.
const HEAD: usize = 12;

/// What came of a load.
#[derive(Debug, Clone, Default)]
pub struct UdpTally {
    /// Datagrams that came back as they were sent.
    pub answered: u64,
    /// Datagrams that did not come back in time.
    pub lost: u64,
    /// Datagrams that came back when they were given up, or twice. Both happen.
    pub late: u64,
    /// Datagrams that came back changed, or to another peer.
    pub wrong: u64,
    /// How long it took.
    pub seconds: f64,
    /// From when a datagram was due, or in a closed loop from when it was sent.
    pub latency: Latency,
    /// From when it was sent, in an open loop.
    pub from_sending: Latency,
    /// The first that was wrong.
    pub example: Option<String>,
}

/// One place of the window.
#[derive(Clone, Copy, Default)]
struct Slot {
    number: u64,
    due: u64,
    sent_at: u64,
    peer: u32,
    waiting: bool,
}

/// The places of the window, and what came of them.
struct Window {
    slots: Vec<Slot>,
    free: Vec<u32>,
    server: SocketAddr,
    size: usize,
    /// Whether each peer has a loopback address of its own.
    apart: bool,
    open_loop: bool,
    /// What was due, or sent, before is not counted.
    since: u64,
    /// When the last answer came.
    heard: u64,
    tally: UdpTally,
}

/// Datagrams to one server, all through one socket.
pub(crate) struct UdpLoad {
    socket: UdpSocket,
    state: UdpSocketState,
    peers: usize,
    window: Window,
    pace: Option<(Pace, Cursor)>,
    next_number: u64,
    next_peer: u32,
    inbound: Vec<u8>,
    outbound: Vec<u8>,
}

impl UdpLoad {
    pub(crate) fn new(server: SocketAddr, peers: usize, size: usize, window: usize) -> Result<UdpLoad> {
        let apart = server.is_ipv4() && server.ip().is_loopback();
        ensure!(apart || peers == 1, "several peers need a server on an IPv4 loopback address");
        ensure!((HEAD..=65_507).contains(&size), "a datagram has {HEAD} to 65,507 bytes");
        ensure!((1..=1 << 16).contains(&peers), "from 1 to 65,536 peers");
        let any =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { IpAddr::from(Ipv6Addr::UNSPECIFIED) };
        let socket = UdpSocket::bind((any, 0)).context("cannot open a socket")?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // As much as the system grants.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER);
        Ok(UdpLoad {
            socket,
            state,
            peers,
            window: Window {
                slots: vec![Slot::default(); window],
                free: (0..window as u32).collect(),
                server,
                size,
                apart,
                open_loop: false,
                since: 0,
                heard: 0,
                tally: UdpTally::default(),
            },
            pace: None,
            next_number: 1,
            next_peer: 0,
            inbound: vec![0; BATCH_SIZE * STRIDE],
            outbound: Vec::with_capacity(SEGMENTS * size),
        })
    }

    /// From now on sends at a rate, ready or not.
    pub(crate) fn at_rate(&mut self, rate: u64) {
        let pace = Pace { start: clock::now(), rate, connections: 1 };
        self.pace = Some((pace, Cursor::new(pace, 0, 1, 1)));
        self.window.open_loop = true;
    }

    /// Drives the load for `length`, and then takes what is still under way: what came of it.
    pub(crate) fn run(&mut self, length: Duration) -> Result<UdpTally> {
        self.drive(length, Duration::MAX, &mut |_| {})
    }

    /// The same; ends early if nothing is answered for `patience`, and calls `tell` with what came of it
    /// about ten times a second.
    pub(crate) fn drive(
        &mut self,
        length: Duration,
        patience: Duration,
        tell: &mut dyn FnMut(&UdpTally),
    ) -> Result<UdpTally> {
        let begun = clock::now();
        let (ends, patience) = (begun + clock::nanos(length), clock::nanos(patience));
        self.window.tally = UdpTally::default();
        (self.window.since, self.window.heard) = (begun, begun);
        let mut next_look = begun;
        loop {
            let now = clock::now();
            if now >= ends || now.saturating_sub(self.window.heard) > patience {
                break;
            }
            if now >= next_look {
                next_look = now + LOOK_EVERY;
                self.window.give_up(now);
                tell(&self.window.tally);
            }
            self.fill(now, now)?;
            self.take()?;
        }
        let stalled = clock::now() < ends;
        self.window.tally.seconds = (clock::now() - begun) as f64 / 1e9;
        loop {
            // What was due is still sent, however late: left out, it would be what waited longest.
            if self.pace.is_some() && !stalled {
                self.fill(ends.saturating_sub(1), clock::now())?;
            }
            if self.window.free.len() == self.window.slots.len() {
                break;
            }
            self.take()?;
            self.window.give_up(clock::now());
        }
        Ok(std::mem::take(&mut self.window.tally))
    }

    fn address(peer: u32) -> IpAddr {
        // 127.1.0.0 and on: nobody else's.
        IpAddr::V4(Ipv4Addr::from(0x7F01_0000 + 1 + peer))
    }

    /// What datagram `number` holds behind its head.
    fn filling(number: u64) -> u8 {
        (number.wrapping_mul(0x9E37_79B9) >> 16) as u8
    }

    /// Sends what may be sent: in an open loop what is due by `by`.
    fn fill(&mut self, by: u64, now: u64) -> Result<()> {
        let size = self.window.size;
        let most = if self.peers == 1 { SEGMENTS.min(65_000 / size).max(1) } else { 1 };
        loop {
            let peer = self.next_peer;
            self.outbound.clear();
            while self.outbound.len() < most * size && !self.window.free.is_empty() {
                let due = match &mut self.pace {
                    None => now,
                    Some((_, cursor)) => {
                        let due = cursor.next_due();
                        if cursor.take(by).is_none() {
                            break;
                        }
                        due
                    }
                };
                let Some(place) = self.window.free.pop() else { break };
                let number = self.next_number;
                self.next_number += 1;
                self.window.slots[place as usize] = Slot { number, due, sent_at: now, peer, waiting: true };
                self.outbound.extend_from_slice(&place.to_be_bytes());
                self.outbound.extend_from_slice(&number.to_be_bytes());
                let end = self.outbound.len() - HEAD + size;
                self.outbound.resize(end, Self::filling(number));
            }
            if self.outbound.is_empty() {
                return Ok(());
            }
            self.next_peer = (peer + 1) % self.peers as u32;
            let several = self.outbound.len() > size;
            let transmit = Transmit {
                destination: self.window.server,
                ecn: None,
                contents: &self.outbound,
                segment_size: several.then_some(size),
                src_ip: self.window.apart.then(|| Self::address(peer)),
            };
            match self.state.try_send(UdpSockRef::from(&self.socket), &transmit) {
                Ok(()) => {}
                // Counted as lost when its time is over.
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e).context("cannot send"),
            }
        }
    }

    /// How long to wait for answers: not beyond what is due next.
    fn nap(&self) -> u64 {
        let Some((_, cursor)) = &self.pace else { return NAP };
        cursor.next_due().saturating_sub(clock::now()).saturating_sub(SPIN).min(NAP)
    }

    /// Waits for answers and takes them.
    fn take(&mut self) -> Result<()> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut bufs: [IoSliceMut<'_>; BATCH_SIZE] = {
            let mut chunks = self.inbound.chunks_mut(STRIDE);
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().map_or(&mut [], |c| &mut c[..BUFFER])))
        };
        match self.state.recv(UdpSockRef::from(&self.socket), &mut bufs, &mut metas) {
            Ok(n) => {
                let now = clock::now();
                for (buffer, meta) in metas[..n].iter().enumerate() {
                    let at = buffer * STRIDE;
                    for part in 0..meta.len.div_ceil(meta.stride.max(1)) {
                        let from = at + part * meta.stride;
                        let to = (from + meta.stride).min(at + meta.len);
                        self.window.hear(&self.inbound[from..to], meta, self.next_number, now);
                    }
                }
                Ok(())
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
                let wait = rustix::time::Timespec { tv_sec: 0, tv_nsec: self.nap() as _ };
                match poll(&mut fds, Some(&wait)) {
                    Ok(0) => self.window.give_up(clock::now()),
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(e) => return Err(e).context("cannot wait"),
                }
                Ok(())
            }
            Err(e) => Err(e).context("cannot receive: does the server run?"),
        }
    }
}

impl Window {
    /// Takes back the places of those that will not come.
    fn give_up(&mut self, now: u64) {
        for (n, slot) in self.slots.iter_mut().enumerate() {
            if slot.waiting && now.saturating_sub(slot.sent_at) > LOST {
                slot.waiting = false;
                self.free.push(n as u32);
                self.tally.lost += u64::from(slot.due >= self.since);
            }
        }
    }

    /// Takes one datagram.
    fn hear(&mut self, bytes: &[u8], meta: &RecvMeta, next_number: u64, now: u64) {
        let Some((at, number)) = self.read(bytes, meta).filter(|&(_, number)| number < next_number) else {
            self.tally.wrong += 1;
            self.tally.example.get_or_insert_with(|| format!("{} from {}", excerpt(bytes), meta.addr));
            return;
        };
        let slot = &mut self.slots[at];
        if !slot.waiting || slot.number != number {
            self.tally.late += 1;
            return;
        }
        if self.apart && meta.dst_ip != Some(UdpLoad::address(slot.peer)) {
            self.tally.wrong += 1;
            self.tally.example.get_or_insert_with(|| format!("an answer for peer {} elsewhere", slot.peer));
            return;
        }
        slot.waiting = false;
        self.free.push(at as u32);
        self.heard = now;
        if slot.due >= self.since {
            self.tally.answered += 1;
            self.tally.latency.record(now.saturating_sub(slot.due));
            if self.open_loop {
                self.tally.from_sending.record(now.saturating_sub(slot.sent_at));
            }
        }
    }

    /// The place and the number of a datagram that is as we send them.
    fn read(&self, bytes: &[u8], meta: &RecvMeta) -> Option<(usize, u64)> {
        let (place, number) = (bytes.get(..4)?, bytes.get(4..HEAD)?);
        let at = u32::from_be_bytes([place[0], place[1], place[2], place[3]]) as usize;
        let number = number.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
        let filling = UdpLoad::filling(number);
        let good = meta.addr == self.server
            && bytes.len() == self.size
            && at < self.slots.len()
            && bytes[HEAD..].iter().all(|&byte| byte == filling);
        good.then_some((at, number))
    }
}
