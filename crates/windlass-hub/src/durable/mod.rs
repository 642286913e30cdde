//! The hub's side of the journal: what is recorded, what waits until it is committed, and what a start finds.
//!
//! This file has the waiting: what a client is told of durable work leaves when the log has it. `record.rs` is what is
//! written down and when, `restore.rs` a start, `walk.rs` a checkpoint, `opening.rs` a log that another process still has.

mod opening;
mod record;
mod restore;
mod walk;

use std::collections::VecDeque;
use std::fmt;

use windlass::{Answer, Bytes, ConnId, Mailbox, Offload, Scope, Sessions as Clients, Time, Work};
use windlass_proto::mqtt::QoS;

pub(crate) use opening::Opening;
pub use opening::{OpenLog, TakeLog};

use crate::client::{Client, wire};
use crate::journal::{
    Committed, Journal, JournalStats, Latency, Log, LogError, Recovered, RecoveredWillDue, Refusal,
};
use crate::memory::{Charge, Memory};
use crate::parts;
use crate::service::{Hub, Mail};
use crate::session::{Key, Link, Pumped, flag};
use crate::stats::HubStats;

/// What a hub has done off the loop: the answers of its [`Offload`] pool.
#[derive(Debug)]
#[non_exhaustive]
pub enum Done {
    /// A commit of the journal.
    Committed(Committed),
    /// Who a client is.
    Checked(Box<crate::identity::Checked>),
    /// The log was asked for.
    Opened(Result<(Log, Recovered), LogError>),
}

/// How a hub keeps what has to outlive the process.
pub(crate) struct Durable {
    pub(crate) journal: Journal,
    pool: Option<Offload<Done>>,
    /// What was put together for this connection says that something durable is done.
    pub(crate) binding: bool,
    /// Where in that begins what ends the connection.
    farewell: Option<usize>,
    /// What leaves when it is committed, in the order of the records it waits for.
    held: VecDeque<Held>,
    /// Buffers of some that have left.
    spare: Vec<Vec<u8>>,
    pub(crate) opening: Opening,
    /// Wills of sessions that are gone, until they can be published.
    pub(crate) wills_due: Vec<RecoveredWillDue>,
    /// Unix milliseconds when the service began, and when that was.
    unix_ms: u64,
    began: Time,
    walk: Option<walk::Walk>,
}

struct Held {
    until: u64,
    conn: ConnId,
    key: Key,
    is_websocket: bool,
    packets: Vec<u8>,
    /// A long payload, behind them.
    payload: Option<Bytes>,
    /// What of it counts in [`Link::held_bytes`].
    counted: usize,
    /// What it is counted with in the hub's memory.
    _charge: Charge,
}

/// Bytes that one takes, at most, besides what is in its packet: its place, the head of the packet, and what an allocator
/// adds.
const HELD: usize = 2 * size_of::<Held>() + 64;

/// A connection for which as many bytes wait is not read until they have left: the client waits for them anyway.
pub(crate) const HELD_MAX: u32 = 64 << 10;

/// What counts against it of each packet or more that waits, besides its bytes.
const HELD_OVERHEAD: usize = 64;

/// Of an answer to a request, whose connection has no session: whether it is the last one is what is counted.
const NOBODY: Key = Key::MAX;

/// Buffers that are kept for others, and how long one may be.
const SPARE_MAX: usize = 256;
const SPARE_BYTES_MAX: usize = 16 << 10;

impl Default for Durable {
    fn default() -> Durable {
        Durable {
            journal: Journal::off(0, 1),
            pool: None,
            binding: false,
            farewell: None,
            held: VecDeque::new(),
            spare: Vec::new(),
            opening: Opening::Over,
            wills_due: Vec::new(),
            unix_ms: 0,
            began: Time::ZERO,
            walk: None,
        }
    }
}

impl fmt::Debug for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Durable")
            .field("journal", &self.journal)
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl Durable {
    /// The service begins: what time it was at one of the engine's.
    pub(crate) fn begin(&mut self, (unix_ms, at): (u64, Time)) {
        (self.unix_ms, self.began) = (unix_ms, at);
    }

    pub(crate) fn is_on(&self) -> bool {
        self.journal.is_on()
    }

    /// Whether there is a log that a successor waits for. One that is still asked for here counts: whoever got it now
    /// would keep it.
    pub(crate) fn is_to_be_handed_over(&self) -> bool {
        parts::JOURNAL && (self.is_on() || !matches!(self.opening, Opening::Over))
    }

    /// Puts the journal's numbers among those of the hub; how long its commits took.
    pub(crate) fn count(&self, stats: &mut HubStats) -> Latency {
        let JournalStats {
            commits, records, bytes, failed, refused, failing, waiting_bytes, latency, ..
        } = self.journal.stats();
        stats.journal_commits = commits;
        stats.journal_records = records;
        stats.journal_bytes = bytes;
        stats.journal_commit_us = latency.sum_us();
        stats.journal_failed = failed;
        stats.journal_refused = refused;
        stats.journal_failing = failing.into();
        stats.journal_waiting_bytes = waiting_bytes;
        latency
    }

    /// Whether new durable work may be taken.
    pub(crate) fn admit(&mut self) -> Result<(), Refusal> {
        self.journal.admit()
    }

    /// From here on what is put together for this connection ends it.
    pub(crate) fn farewell(&mut self, at: usize) {
        if self.is_on() {
            self.farewell.get_or_insert(at);
        }
    }

    /// Nothing was put together for this connection.
    pub(crate) fn no_farewell(&mut self) {
        self.farewell = None;
    }

    /// The record that must be committed before what was put together for this connection leaves; `None`: it may.
    /// Behind what waits, all waits.
    fn waits_for(&mut self, link: Option<&mut Link>) -> Option<u64> {
        if !parts::JOURNAL {
            return None;
        }
        let is_binding = std::mem::take(&mut self.binding);
        let link = link?;
        let committed = self.journal.committed();
        if is_binding && self.journal.recorded() > committed {
            link.held = self.journal.recorded();
        }
        (link.held > committed).then_some(link.held)
    }

    /// Bytes of the copy of a message that waits until its being sent is committed, at most; 0 if none will.
    pub(crate) fn to_hold(&self, number: u64, qos: QoS, len: usize) -> usize {
        if number != 0 && qos == QoS::ExactlyOnce && self.is_on() { HELD + len } else { 0 }
    }

    /// Keeps packets until all that is recorded now is committed, and the payload that is behind the last of them, if that
    /// is not among them.
    pub(crate) fn hold(
        &mut self,
        (key, conn, is_websocket): (Key, ConnId, bool),
        packets: &[u8],
        payload: Option<&Bytes>,
        memory: &Memory,
    ) {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.extend_from_slice(packets);
        let (until, payload, charge) =
            (self.journal.recorded(), payload.cloned(), memory.charge(HELD + buffer.len()));
        self.held.push_back(Held {
            until,
            conn,
            key,
            is_websocket,
            packets: buffer,
            payload,
            counted: 0,
            _charge: charge,
        });
    }

    /// Keeps an answer to a request of HTTP until all that is recorded now is committed, unless it is already. The
    /// connection is to be paused; it goes on when the answer has left, or ends if it is the last.
    pub(crate) fn hold_answer(
        &mut self,
        conn: ConnId,
        answer: &[u8],
        is_last: bool,
        memory: &Memory,
    ) -> bool {
        let until = self.journal.recorded();
        let waits = until > self.journal.committed();
        if waits {
            let (packets, counted) = (answer.to_vec(), usize::from(is_last));
            let (key, is_websocket, payload) = (NOBODY, false, None);
            let _charge = memory.charge(HELD + packets.len());
            self.held.push_back(Held { until, conn, key, is_websocket, packets, payload, counted, _charge });
        }
        waits
    }

    /// What was recorded is on its way, if nothing is.
    pub(crate) fn commit(&mut self, scope: &mut Scope<'_>) {
        if parts::JOURNAL
            && let Some(pool) = &self.pool
        {
            self.journal.submit(scope, pool, Done::Committed);
        }
    }
}

impl Hub {
    /// Keeps what has to outlive the process in the log that `log` gives, and begins with what was found there. Serve
    /// it with this mailbox and this pool, of one thread.
    ///
    /// The first worker asks for the log when it starts, and no other: it deals out what is in it.
    #[must_use]
    pub fn journal(mut self, log: TakeLog, mailbox: &Mailbox<Mail>, pool: &Offload<Done>) -> Hub {
        self.mailbox = Some(mailbox.clone());
        self.durable.pool = Some(pool.clone());
        self.durable.opening = Opening::Taken(log);
        self
    }

    /// PINGRESP. It says nothing that a disk has to have, so it goes before what waits for one: a client that hears
    /// nothing gives its connection up, and would be here again at once.
    pub(crate) fn pong(&mut self, conn: &mut windlass::Conn<'_>, client: &Client, key: Key) {
        const PINGRESP: [u8; 2] = [0xd0, 0];
        let waits = self.sessions.get(key).and_then(|session| session.link.as_deref()).is_some_and(|link| {
            !link.is(flag::OPENING) && (self.durable.binding || link.held > self.durable.journal.committed())
        });
        if waits {
            wire::write(conn, client.wire.is_websocket(), &PINGRESP);
        } else {
            self.out.extend_from_slice(&PINGRESP);
        }
    }

    /// Sends what was put together for a connection, or keeps it until what it says is so.
    pub(crate) fn send_out(&mut self, conn: &mut windlass::Conn<'_>, client: &Client) {
        let (id, is_websocket) = (conn.id(), client.wire.is_websocket());
        let farewell = self.durable.farewell.take();
        let key = client.key();
        let link =
            key.and_then(|key| self.sessions.get_mut(key)).and_then(|session| session.link.as_deref_mut());
        let mut link = link.filter(|link| link.conn == id);
        let is_opening = link.as_ref().is_some_and(|link| link.is(flag::OPENING));
        match (self.durable.waits_for(link.as_deref_mut()), key) {
            (Some(until), Some(key)) => match farewell {
                // The connection ends: what it has not been told so far it will not be.
                Some(at) if !is_opening => wire::write(conn, is_websocket, &self.out[at..]),
                Some(_) => {}
                None => {
                    let mut packets = self.durable.spare.pop().unwrap_or_default();
                    std::mem::swap(&mut packets, &mut self.out);
                    let counted = packets.len() + HELD_OVERHEAD;
                    if let Some(link) = link {
                        link.held_bytes = link.held_bytes.saturating_add(counted as u32);
                        if link.held_bytes > HELD_MAX {
                            conn.pause();
                        }
                    }
                    self.durable.held.push_back(Held {
                        until,
                        conn: id,
                        key,
                        is_websocket,
                        _charge: self.memory.charge(HELD + packets.len()),
                        packets,
                        payload: None,
                        counted,
                    });
                }
            },
            _ => {
                wire::write(conn, is_websocket, &self.out);
                if let Some(link) = link {
                    link.opened();
                }
            }
        }
        self.out.clear();
    }

    /// Sends what waited for what is committed now.
    pub(crate) fn release(&mut self, scope: &mut Scope<'_>) {
        let committed = self.durable.journal.committed();
        while let Some(held) = self.durable.held.pop_front_if(|held| held.until <= committed) {
            let Held { conn, key, is_websocket, mut packets, payload, counted, .. } = held;
            if let Some(mut conn) = scope.conn(conn) {
                wire::write(&mut conn, is_websocket, &packets);
                if let Some(payload) = payload {
                    conn.write_shared(payload);
                }
                match (key, counted) {
                    (NOBODY, 0) => conn.resume(),
                    (NOBODY, _) => conn.close(),
                    _ => {}
                }
            }
            packets.clear();
            // Where memory is bounded, what waits for nothing has none.
            if !self.memory.is_bounded()
                && self.durable.spare.len() < SPARE_MAX
                && packets.capacity() <= SPARE_BYTES_MAX
            {
                self.durable.spare.push(packets);
            }
            let link = self.sessions.get_mut(key).and_then(|session| session.link.as_deref_mut());
            let Some(link) = link.filter(|link| link.conn == conn) else { continue };
            let was = link.held_bytes;
            link.held_bytes = was.saturating_sub(counted as u32);
            if was > HELD_MAX
                && link.held_bytes <= HELD_MAX
                && let Some(mut conn) = scope.conn(conn)
            {
                conn.resume();
            }
            // What had to come behind CONNACK.
            if link.is(flag::OPENING) {
                link.opened();
                if self.pump(scope, key) == Pumped::More
                    && let Some(mut conn) = scope.conn(conn)
                {
                    conn.wake_at(self.now);
                }
            }
        }
    }
}

impl Work for Hub {
    type Answer = Done;

    fn answer(&mut self, scope: &mut Scope<'_>, clients: &mut Clients<Client>, answer: Answer<Done>) {
        self.now = scope.now();
        // Only who a client is is asked for a connection.
        if let Some(id) = answer.conn {
            self.answered_about(scope, clients, id, answer);
            return;
        }
        let committed = match answer.result {
            Ok(Done::Opened(opened)) => return self.opened(scope, clients, Some(opened)),
            // Nothing else is asked of the pool before the log is there.
            Err(_) if !matches!(self.durable.opening, Opening::Over) => {
                return self.opened(scope, clients, None);
            }
            Ok(Done::Committed(committed)) => Ok(committed),
            Ok(Done::Checked(_)) => return,
            Err(error) => Err(error),
        };
        self.durable.journal.answered(committed, self.now);
        self.siblings.committed(self.durable.journal.committed());
        self.release(scope);
        self.durable.commit(scope);
        self.see_to();
    }
}
