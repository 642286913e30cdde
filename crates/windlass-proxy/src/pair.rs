//! Clients and their backends' connections, two by two: all that one worker remembers of them.

use std::net::{IpAddr, SocketAddr};

use windlass::{ConnId, Relayed, Time};
use windlass_proto::proxy_protocol::Addresses;

use crate::budget::{Retry, Underway};
use crate::guard::Held;
use crate::refusal::Refusal;
use crate::upstream::Lease;

/// The state of one connection: which pair it belongs to, and which half it is.
#[derive(Debug)]
pub struct Session {
    pub(crate) pair: u32,
    pub(crate) side: Side,
}

/// Which half of a pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Client,
    Upstream,
    /// Of no pair, but the check of a backend; `pair` is its number.
    Check,
}

/// A client, and what becomes of it. It lives until both its connections are gone, and an answer to a call
/// has come.
#[derive(Debug)]
pub(crate) struct Pair {
    /// While its connection is there.
    pub(crate) client: Option<ConnId>,
    /// The same of the backend's.
    pub(crate) upstream: Option<ConnId>,
    pub(crate) phase: Phase,
    /// Held from the choice of a backend to the end of the connection to it.
    pub(crate) lease: Option<Lease>,
    /// What the guard counts it by.
    pub(crate) held: Option<Held>,
    /// What is needed until both are coupled.
    pub(crate) attempt: Option<Box<Attempt>>,
    /// The client has ended its stream; the backend has.
    pub(crate) client_ended: bool,
    pub(crate) server_ended: bool,
    /// When the first of them did.
    pub(crate) ended_at: Time,
    /// What has passed and is counted.
    pub(crate) counted: Relayed,
}

/// Where a pair is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// The client has to say something first.
    Greeting(Greeting),
    /// It waits, under this number, for a backend with room.
    Queued(u64),
    /// A backend is being called.
    Calling(ConnId),
    /// Both are there.
    Coupled,
    /// It is told so at once.
    Refused(Refusal),
    /// Nothing more is done for it.
    Over,
}

/// What a client has to say first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Greeting {
    /// A PROXY header; then what a route asks for, if there are routes.
    Header,
    /// Anything but a PROXY header; then the same.
    NoHeader,
    /// A ClientHello.
    Hello,
}

/// A client on its way to a backend.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Among which backends.
    pub(crate) group: usize,
    /// Who the client is, as we or the proxy before us see it.
    pub(crate) addresses: Addresses<'static>,
    /// Numbers of backends that have failed it.
    pub(crate) tried: Vec<u32>,
    /// How often it has been failed.
    pub(crate) failures: u32,
    /// Until when it may wait in a queue, the times it has waited before included.
    pub(crate) waits_until: Option<Time>,
    /// Counts it in among those on their way to this group.
    pub(crate) underway: Option<Underway>,
    /// Counts its retry, from the call to what comes of it.
    pub(crate) retry: Option<Retry>,
}

impl Attempt {
    /// The client's address: what is hashed where that decides.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        match self.addresses {
            Addresses::Inet { source, .. } => Some(source.ip()),
            _ => None,
        }
    }
}

/// An IPv4 address that came as IPv6 is the same client.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The pairs of a worker.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    table: Vec<Option<Pair>>,
    free: Vec<u32>,
}

impl Pairs {
    pub(crate) fn add(&mut self, pair: Pair) -> u32 {
        if let Some(key) = self.free.pop() {
            self.table[key as usize] = Some(pair);
            return key;
        }
        self.table.push(Some(pair));
        self.table.len() as u32 - 1
    }

    pub(crate) fn get(&mut self, key: u32) -> Option<&mut Pair> {
        self.table.get_mut(key as usize)?.as_mut()
    }

    /// Forgets a pair of which nothing is left.
    pub(crate) fn remove_if_over(&mut self, key: u32) {
        let over = |pair: &Pair| {
            pair.client.is_none() && pair.upstream.is_none() && !matches!(pair.phase, Phase::Calling(_))
        };
        if self.get(key).is_some_and(|pair| over(pair)) {
            self.table[key as usize] = None;
            self.free.push(key);
        }
    }

    /// The next `n` pairs behind the one at `at`, which moves on; round and round.
    pub(crate) fn next(&mut self, at: &mut usize, n: usize) -> impl Iterator<Item = &mut Pair> {
        let from = if *at < self.table.len() { *at } else { 0 };
        let to = (from + n).min(self.table.len());
        *at = to;
        self.table[from..to].iter_mut().flatten()
    }

    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut Pair> {
        self.table.iter_mut().flatten()
    }
}
