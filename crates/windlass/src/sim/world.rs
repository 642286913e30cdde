//! The simulated system: its clock, what is going to happen, its listeners, ends and descriptors.
//!
//! Read `plan.rs` for what can go wrong, `net.rs` for how bytes travel, `poller.rs` for how a worker
//! hears of it, and `sys.rs` for the calls a worker makes. Everything here is plain data in one place,
//! borrowed for one call at a time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use windlass_proto::testing::Rng;

use super::end::{End, EndId, State};
use super::jobs::Pools;
use super::plan::{Plan, SECOND};
use super::poller::Poller;
use super::remote::{Attempt, Newcomer, RemoteHost};
use super::trace::{self, LAST, Trace, Who};
use super::udp::{Udp, UdpPlan};
use crate::connect::Remote;
use crate::id::ConnId;
use crate::sys::Token;

/// A handle on an accept queue, as one worker holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ListenerId(pub(crate) usize);

/// Connections that wait to be accepted. Several listeners may share one.
#[derive(Debug)]
pub(crate) struct Queue {
    /// What clients connect to: every queue of a group may get the connection.
    pub(crate) group: usize,
    pub(crate) waiting: VecDeque<EndId>,
    pub(crate) listeners: usize,
}

#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) queue: usize,
    pub(crate) registered: Option<(usize, Token)>,
    pub(crate) armed: bool,
    pub(crate) marked: bool,
    pub(crate) closed: bool,
}

/// What happens by itself, at its time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Happening {
    /// The first piece on the wire of this end arrives at the other.
    Arrive(u32),
    Acknowledge(u32, usize),
    /// The other end has room again.
    WindowOpens(u32),
    /// Bytes hidden by an injected short read are to be seen.
    Unhide(u32),
    /// An injected full buffer has room again.
    Unblock(u32),
    Syn {
        end: u32,
        group: usize,
    },
    /// The answer to a SYN: yes, or no.
    Answer {
        end: u32,
        accepted: bool,
    },
    /// A worker's call arrives at the remote.
    Reach {
        end: u32,
        host: usize,
        reset: bool,
    },
    /// The remote's answer to a call arrives: yes,
    Made(u32),
    /// or no.
    Refused {
        end: u32,
        unreachable: bool,
    },
    ClientTimer(u32),
    /// A datagram arrives.
    Datagram(u32),
    /// A UDP socket of the server hears that nobody listens at its peer.
    UdpRefused(u32),
    /// A UDP socket of the server has room again.
    UdpRoom(u32),
    /// A thread of a pool looks for a job.
    JobStarts {
        pool: u32,
        thread: u32,
    },
    JobReturns {
        pool: u32,
        thread: u32,
    },
    /// Out of descriptors from now until then.
    Exhausted(u64),
    Recovered,
    /// Nothing but a reason to look around.
    Look,
}

/// A handle that was dropped without a call to close it, as a message in a queue may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dropped {
    Stream(EndId),
    Listener(ListenerId),
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) origin: u64,
    pub(crate) rng: Rng,
    pub(crate) plan: Plan,
    pub(crate) trace: Trace,
    heap: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    sequence: u64,
    pub(crate) ends: Vec<End>,
    pub(crate) queues: Vec<Queue>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) pollers: Vec<Poller>,
    /// Where each client calls from.
    pub(crate) addresses: Vec<IpAddr>,
    /// Clients that something happened to, to be run.
    pub(crate) stirred: Vec<u32>,
    /// Whom services can connect to, and who of them has accepted a call and has no seat yet.
    pub(crate) remotes: Vec<RemoteHost>,
    pub(crate) newcomers: Vec<Newcomer>,
    /// Calls that a test answers by hand.
    pub(crate) held: Vec<(EndId, Remote)>,
    /// Streams accepted and not closed.
    pub(crate) descriptors: usize,
    pub(crate) exhausted: bool,
    pub(crate) spare: bool,
    /// What a pipe may hold, if the system has pipes to splice through.
    pub(crate) pipes: Option<std::ops::Range<u64>>,
    /// Broken rules, in the order they were found. The first is what the seed fails with.
    pub(crate) failures: Vec<String>,
    pub(crate) dropped: Arc<Mutex<Vec<Dropped>>>,
    pub(crate) counts: Counts,
    pub(crate) random: Rng,
    pub(crate) udp: Udp,
    pub(crate) jobs: Pools,

    // What oracles go by.
    /// Connections asked for by services, without an answer yet.
    pub(crate) attempts: BTreeMap<ConnId, Attempt>,
    /// The worker's ends of those that were begun.
    pub(crate) calls: BTreeMap<ConnId, EndId>,
    pub(crate) shutdown_at: Option<u64>,
    /// Servers in this run, each with the limits for itself.
    pub(crate) servers: usize,
    /// A second shutdown was asked for, which aborts everything.
    pub(crate) stop_now: bool,
    /// A service was replaced: its connections may be told to finish.
    pub(crate) replaced: bool,
    /// The server's limits, as far as they decide who may be turned away; 0: none.
    pub(crate) connections_max: usize,
    /// How long a good client may seem to do nothing.
    pub(crate) patience: u64,
    pub(crate) source_connections_max: usize,
    /// When the turn that runs now, or ran last, began.
    pub(crate) turn_started: u64,
    pub(crate) turn_calls: u64,
    pub(crate) turn_longest: u64,
    /// The longest that anybody was known to have waited to be accepted.
    pub(crate) wait_longest: u64,
    /// More lateness than this for a while makes a worker overloaded.
    pub(crate) lag_max: u64,
    /// So little may be queued that newcomers may be turned away for it.
    pub(crate) memory_tight: bool,
    pub(crate) callbacks: u64,
    pub(crate) ticks: u64,
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    /// Left one worker, and did not come to another yet.
    pub(crate) moving: i64,
    /// Connections whose service never heard of their end.
    pub(crate) never_closed: usize,
    /// Driven by a test, which may ask for the reason of every end.
    pub(crate) by_hand: bool,
    /// What travels is encrypted with keys that are not the seed's.
    pub(crate) speaks_tls: bool,
}

/// What the world has seen, for oracles and for the report.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) accepted: u64,
    pub(crate) shed: u64,
    pub(crate) bytes: u64,
    /// Anything that moved a connection forward: the clock of the spin oracle.
    pub(crate) progress: u64,
    /// Attempts to accept that were refused for want of descriptors.
    pub(crate) accept_refused: u64,
    pub(crate) connects: u64,
    /// Calls made by workers.
    pub(crate) calls_out: u64,
}

/// Drawn apart, so that the rest of a seed's world is the same with and without.
fn draw_pipes(seed: u64) -> Option<std::ops::Range<u64>> {
    let mut rng = Rng::new(seed ^ 0x91BE5);
    rng.chance(2, 3).then(|| 64 << rng.below(4)..1 << 20)
}

impl World {
    pub(crate) fn new(seed: u64, plan: Plan, workers: usize) -> World {
        let mut rng = Rng::new(seed ^ 0x5EED);
        // Not zero, so that code which takes zero for "never" is caught.
        let origin = SECOND + rng.below(1000 * SECOND);
        let mut world = World {
            now: origin,
            origin,
            trace: Trace::new(seed, origin, LAST),
            heap: BinaryHeap::new(),
            sequence: 0,
            ends: Vec::new(),
            queues: Vec::new(),
            listeners: Vec::new(),
            pollers: (0..workers).map(|_| Poller::default()).collect(),
            addresses: Vec::new(),
            stirred: Vec::new(),
            remotes: Vec::new(),
            newcomers: Vec::new(),
            held: Vec::new(),
            attempts: BTreeMap::new(),
            calls: BTreeMap::new(),
            descriptors: 0,
            exhausted: false,
            spare: plan.spare.hit(&mut rng),
            pipes: draw_pipes(seed),
            failures: Vec::new(),
            dropped: Arc::default(),
            counts: Counts::default(),
            random: Rng::new(seed ^ 0x0DD5),
            udp: Udp::new(UdpPlan::calm(), seed),
            jobs: Pools::new(seed),
            shutdown_at: None,
            servers: 1,
            stop_now: false,
            replaced: false,
            connections_max: 0,
            patience: SECOND,
            source_connections_max: 0,
            turn_started: origin,
            turn_calls: 0,
            turn_longest: 0,
            wait_longest: 0,
            lag_max: 0,
            memory_tight: false,
            callbacks: 0,
            ticks: 0,
            opened: 0,
            closed: 0,
            moving: 0,
            never_closed: 0,
            by_hand: false,
            speaks_tls: false,
            plan,
            rng,
        };
        if let Some(every) = world.plan.emfile_every.clone() {
            let mut at = world.now;
            for _ in 0..world.rng.below(6) {
                at += super::plan::log_draw(&mut world.rng, &every);
                let until = at + super::plan::log_draw(&mut world.rng, &world.plan.emfile_for);
                world.at(at, Happening::Exhausted(until));
                at = until;
            }
        }
        world
    }

    pub(crate) fn end(&self, id: EndId) -> &End {
        &self.ends[id.0 as usize]
    }

    pub(crate) fn end_mut(&mut self, id: EndId) -> &mut End {
        &mut self.ends[id.0 as usize]
    }

    /// The server relays between two connections, named as their worker names them.
    pub(crate) fn couple(&mut self, worker: usize, a: ConnId, b: ConnId) {
        if let (Some(a), Some(b)) = (self.find(worker, a), self.find(worker, b)) {
            (self.end_mut(a).coupled, self.end_mut(b).coupled) = (Some(b), Some(a));
        }
    }

    pub(crate) fn fail(&mut self, what: String) {
        self.trace.note(self.now, Who::World, "FAILURE", trace::NONE, 0);
        self.failures.push(what);
    }

    pub(crate) fn at(&mut self, at: u64, happening: Happening) {
        self.sequence += 1;
        self.heap.push(Reverse((at.max(self.now), self.sequence, happening)));
    }

    /// Makes sure that time stops at `at`, because a worker may have something to hear then.
    pub(crate) fn wake_world_at(&mut self, at: u64) {
        if at > self.now {
            self.at(at, Happening::Look);
        }
    }

    /// When the next thing happens by itself.
    pub(crate) fn next_happening(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Lets everything happen that is due.
    pub(crate) fn happen(&mut self) {
        while self.heap.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
            if let Some(Reverse((_, _, happening))) = self.heap.pop() {
                self.one(happening);
            }
        }
    }

    fn one(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive(end) => self.arrive(EndId(end)),
            Happening::Acknowledge(end, n) => self.acknowledge(EndId(end), n),
            Happening::WindowOpens(end) => {
                self.end_mut(EndId(end)).window_update_due = false;
                self.pump(EndId(end));
            }
            Happening::Unhide(end) => self.unhide(EndId(end)),
            Happening::Unblock(end) => {
                self.end_mut(EndId(end)).blocked = false;
                self.space_edge(EndId(end));
            }
            Happening::Syn { end, group } => self.syn(EndId(end), group),
            Happening::Answer { end, accepted } => self.answer(EndId(end), accepted),
            Happening::Reach { end, host, reset } => self.reached(EndId(end), host, reset),
            Happening::Made(end) => self.made(EndId(end)),
            Happening::Refused { end, unreachable } => self.refused(EndId(end), unreachable),
            Happening::ClientTimer(client) => self.stir(client),
            Happening::Datagram(n) => self.datagram_arrives(n),
            Happening::UdpRefused(id) => self.udp_refused(id),
            Happening::UdpRoom(id) => self.udp_room(id),
            Happening::JobStarts { pool, thread } => self.job_starts(pool as usize, thread as usize),
            Happening::JobReturns { pool, thread } => self.job_returns(pool as usize, thread as usize),
            Happening::Exhausted(until) => {
                self.exhausted = true;
                self.trace.note(self.now, Who::World, "exhausted", trace::NONE, until - self.now);
                self.at(until, Happening::Recovered);
            }
            Happening::Recovered => {
                self.exhausted = false;
                self.trace.note(self.now, Who::World, "recovered", trace::NONE, 0);
            }
            Happening::Look => {}
        }
    }

    /// Runs a client soon: something happened to it.
    pub(crate) fn stir(&mut self, client: u32) {
        if !self.stirred.contains(&client) {
            self.stirred.push(client);
        }
    }

    /// Opens an accept queue with one listener on it.
    pub(crate) fn listen(&mut self, group: usize) -> ListenerId {
        self.queues.push(Queue { group, waiting: VecDeque::new(), listeners: 0 });
        self.share(self.queues.len() - 1)
    }

    /// Another listener on an accept queue.
    pub(crate) fn share(&mut self, queue: usize) -> ListenerId {
        self.queues[queue].listeners += 1;
        self.listeners.push(Listener { queue, registered: None, armed: true, marked: false, closed: false });
        ListenerId(self.listeners.len() - 1)
    }

    /// The address client `client` calls from.
    pub(crate) fn address(&self, client: u32, conn: u32) -> SocketAddr {
        let ip = self.addresses.get(client as usize).copied();
        let fallback = IpAddr::V4(Ipv4Addr::new(10, 0, (client >> 8) as u8, client as u8));
        SocketAddr::new(ip.unwrap_or(fallback), 1024 + (conn % 60_000) as u16)
    }

    /// Closes what was dropped without a call. What was registered must not be.
    pub(crate) fn reap(&mut self) {
        let dropped = std::mem::take(&mut *self.dropped.lock().expect("one thread"));
        for handle in dropped {
            match handle {
                Dropped::Stream(id) => {
                    if self.end(id).registered.is_some() {
                        self.fail(format!(
                            "connection #{}: a registered stream was dropped without being closed",
                            id.conn()
                        ));
                    }
                    self.close_descriptor(id, false);
                }
                Dropped::Listener(id) => self.close_listener(id),
            }
        }
    }

    /// Closes a listener, and with the last one its queue: who waits there is reset.
    pub(crate) fn close_listener(&mut self, id: ListenerId) {
        assert!(!self.listeners[id.0].closed, "listener {} closed twice", id.0);
        self.listeners[id.0].closed = true;
        if let Some((worker, token)) = self.listeners[id.0].registered.take() {
            self.deregistered(worker, super::poller::Source::Listener(id), token);
        }
        let queue = self.listeners[id.0].queue;
        self.queues[queue].listeners -= 1;
        if self.queues[queue].listeners > 0 {
            return;
        }
        let waiting = std::mem::take(&mut self.queues[queue].waiting);
        // They had been told that they are connected, so resetting them needs an excuse.
        let room = !self.exhausted
            && self.descriptors < self.plan.descriptors_max
            && (self.connections_max == 0 || self.descriptors + self.attempts.len() < self.connections_max);
        if !waiting.is_empty() && room && !self.stop_now {
            self.fail(format!("{} connections were reset in the accept queue of a listener", waiting.len()));
        }
        for id in waiting {
            self.refuse(id);
        }
    }

    /// Resets a connection that was never handed to the server, by no fault of its client.
    pub(crate) fn refuse(&mut self, id: EndId) {
        self.end_mut(id.peer()).disturbed = true;
        self.end_mut(id).disturbed = true;
        self.end_mut(id).state = State::Open;
        self.close_end(id, true);
    }

    /// Closes a stream the server holds.
    pub(crate) fn close_descriptor(&mut self, id: EndId, reset: bool) {
        let state = self.end(id).state;
        let calling = state == State::Opening && self.end(id).outbound;
        assert!(state == State::Open || calling, "connection #{}: closed while {state:?}", id.conn());
        if let Some((worker, token)) = self.end_mut(id).registered.take() {
            self.deregistered(worker, super::poller::Source::End(id), token);
        }
        self.descriptors -= 1;
        self.counts.progress += 1;
        let end = self.end(id);
        if !reset && !end.reset_arrived && end.written < end.owed {
            let (owed, written) = (end.owed, end.written);
            self.fail(format!(
                "connection #{}: closed in good order with {written} bytes sent, {owed} of them owed by a relay",
                id.conn()
            ));
        }
        if !self.end(id).was_registered {
            self.turned_away(id);
        }
        if calling && self.end(id.peer()).state == State::Queued {
            // Nobody has heard of it.
            self.end_mut(id).state = State::Closed;
            self.end_mut(id.peer()).state = State::Closed;
            return;
        }
        self.close_end(id, reset);
    }
}
