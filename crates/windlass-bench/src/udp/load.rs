//! The loop: fill the window, wait, take what came back, check it, fill again.

use std::io::{ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::event::{PollFd, PollFlags, poll};

use crate::clock;

/// As long as the most that the kernel puts together, and no power of two apart.
const BUFFER: usize = 64 * 1024;
const STRIDE: usize = BUFFER + 192;
/// A datagram that has not come back after this is lost.
const LOST: u64 = 200_000_000;
/// Room for answers that come while the generator sends.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;
/// Datagrams that go out in one call, where they go to the same place and come from it.
const SEGMENTS: usize = 16;
/// What stands in front of each datagram: its place in the window and its number.
const HEAD: usize = 12;

/// What came of a load.
#[derive(Debug, Clone, Copy, Default)]
pub struct UdpTally {
    /// Datagrams that came back as they were sent.
    pub answered: u64,
    /// Datagrams that did not come back in time.
    pub lost: u64,
    /// Datagrams that came back changed, twice, or to another peer.
    pub wrong: u64,
    /// How long it took.
    pub seconds: f64,
}

/// One place of the window.
#[derive(Clone, Copy)]
struct Place {
    number: u64,
    sent_at: u64,
    peer: u32,
    waiting: bool,
}

/// A closed loop against one server.
pub(crate) struct UdpLoad {
    socket: UdpSocket,
    state: UdpSocketState,
    server: SocketAddr,
    peers: usize,
    size: usize,
    places: Vec<Place>,
    free: Vec<u32>,
    next_number: u64,
    next_peer: u32,
    inbound: Vec<u8>,
    outbound: Vec<u8>,
}

impl UdpLoad {
    pub(crate) fn new(server: SocketAddr, peers: usize, size: usize, window: usize) -> Result<UdpLoad> {
        ensure!(server.is_ipv4() && server.ip().is_loopback(), "peers need IPv4 loopback addresses");
        ensure!((HEAD..=65_507).contains(&size), "a datagram has {HEAD} to 65,507 bytes");
        ensure!((1..=1 << 16).contains(&peers), "from 1 to 65,536 peers");
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("cannot open a socket")?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // As much as the system grants.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER);
        let place = Place { number: 0, sent_at: 0, peer: 0, waiting: false };
        Ok(UdpLoad {
            socket,
            state,
            server,
            peers,
            size,
            places: vec![place; window],
            free: (0..window as u32).collect(),
            next_number: 1,
            next_peer: 0,
            inbound: vec![0; BATCH_SIZE * STRIDE],
            outbound: Vec::with_capacity(SEGMENTS * size),
        })
    }

    /// Drives the load for `length`, and then takes what is still under way.
    pub(crate) fn run(&mut self, length: Duration) -> Result<UdpTally> {
        let begun = clock::now();
        let ends = begun + clock::nanos(length);
        let mut tally = UdpTally::default();
        while clock::now() < ends {
            self.fill()?;
            self.take(&mut tally)?;
        }
        tally.seconds = (clock::now() - begun) as f64 / 1e9;
        while self.free.len() < self.places.len() {
            self.take(&mut tally)?;
        }
        Ok(tally)
    }

    fn address(peer: u32) -> IpAddr {
        // 127.1.0.0 and on: nobody else's.
        IpAddr::V4(Ipv4Addr::from(0x7F01_0000 + 1 + peer))
    }

    /// What datagram `number` holds behind its head.
    fn filling(number: u64) -> u8 {
        (number.wrapping_mul(0x9E37_79B9) >> 16) as u8
    }

    /// Sends until the window is full.
    fn fill(&mut self) -> Result<()> {
        let most = if self.peers == 1 { SEGMENTS.min(65_000 / self.size).max(1) } else { 1 };
        while !self.free.is_empty() {
            let peer = self.next_peer;
            self.next_peer = (peer + 1) % self.peers as u32;
            self.outbound.clear();
            let now = clock::now();
            for _ in 0..most {
                let Some(place) = self.free.pop() else { break };
                let number = self.next_number;
                self.next_number += 1;
                self.places[place as usize] = Place { number, sent_at: now, peer, waiting: true };
                self.outbound.extend_from_slice(&place.to_be_bytes());
                self.outbound.extend_from_slice(&number.to_be_bytes());
                let end = self.outbound.len() - HEAD + self.size;
                self.outbound.resize(end, Self::filling(number));
            }
            let several = self.outbound.len() > self.size;
            let transmit = Transmit {
                destination: self.server,
                ecn: None,
                contents: &self.outbound,
                segment_size: several.then_some(self.size),
                src_ip: Some(Self::address(peer)),
            };
            match self.state.try_send(UdpSockRef::from(&self.socket), &transmit) {
                Ok(()) => {}
                // Counted as lost when its time is over.
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e).context("cannot send"),
            }
        }
        Ok(())
    }

    /// Waits for answers and takes them.
    fn take(&mut self, tally: &mut UdpTally) -> Result<()> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut bufs: [IoSliceMut<'_>; BATCH_SIZE] = {
            let mut chunks = self.inbound.chunks_mut(STRIDE);
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().map_or(&mut [], |c| &mut c[..BUFFER])))
        };
        match self.state.recv(UdpSockRef::from(&self.socket), &mut bufs, &mut metas) {
            Ok(n) => {
                for (buffer, meta) in metas[..n].iter().enumerate() {
                    let at = buffer * STRIDE;
                    for part in 0..meta.len.div_ceil(meta.stride.max(1)) {
                        let from = at + part * meta.stride;
                        let to = (from + meta.stride).min(at + meta.len);
                        let good = check(
                            &mut self.places,
                            &mut self.free,
                            &self.inbound[from..to],
                            meta,
                            (self.server, self.size),
                        );
                        *(if good { &mut tally.answered } else { &mut tally.wrong }) += 1;
                    }
                }
                Ok(())
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
                let wait = rustix::time::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
                match poll(&mut fds, Some(&wait)) {
                    Ok(0) => self.give_up(tally),
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(e) => return Err(e).context("cannot wait"),
                }
                Ok(())
            }
            Err(e) => Err(e).context("cannot receive: does the server run?"),
        }
    }

    /// Takes back the places of those that will not come.
    fn give_up(&mut self, tally: &mut UdpTally) {
        let now = clock::now();
        for (n, place) in self.places.iter_mut().enumerate() {
            if place.waiting && now - place.sent_at > LOST {
                place.waiting = false;
                self.free.push(n as u32);
                tally.lost += 1;
            }
        }
    }
}

/// Whether a datagram is the answer to one that is under way; its place is free then.
fn check(
    places: &mut [Place],
    free: &mut Vec<u32>,
    bytes: &[u8],
    meta: &RecvMeta,
    (server, size): (SocketAddr, usize),
) -> bool {
    let (Some(place), Some(number)) = (bytes.get(..4), bytes.get(4..HEAD)) else { return false };
    let at = u32::from_be_bytes([place[0], place[1], place[2], place[3]]);
    let number = number.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
    let Some(place) = places.get_mut(at as usize) else { return false };
    let filling = UdpLoad::filling(number);
    let good = place.waiting
        && place.number == number
        && bytes.len() == size
        && bytes[HEAD..].iter().all(|&byte| byte == filling)
        && meta.addr == server
        && meta.dst_ip == Some(UdpLoad::address(place.peer));
    if good {
        place.waiting = false;
        free.push(at);
    }
    good
}
