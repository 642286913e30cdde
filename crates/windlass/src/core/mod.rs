//! What a worker knows without its driver: connections' state, queued output, deadlines, counters.
//!
//! Nothing here is generic over the driver, so a [`Conn`](crate::Conn) can be a plain cursor into it
//! and services never see the seam. The two calls that need the driver from inside a callback go
//! through [`Direct`].
//!
//! Read `slot.rs` first, then this file, then `flush.rs`.

pub(crate) mod connecting;
pub(crate) mod flush;
mod input;
mod members;
pub(crate) mod output;
pub(crate) mod overload;
pub(crate) mod region;
pub(crate) mod relay;
mod reserve;
pub(crate) mod slot;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use windlass_proto::Time;

use crate::budget::Budget;
use crate::close::Close;
use crate::config::Limits;
use crate::datagram::send::DirectUdp;
use crate::datagram::table::Sockets;
use crate::id::ConnId;
use crate::observe::flows::{Flow, Flows};
use crate::observe::traffic::TrafficTable;
use crate::parts;
use crate::planted::{Fault, planted};
use crate::serve::OwnLimits;
use crate::shared::Shared;
use crate::stats::Counters;
use crate::sys::INDEX_MAX;
use crate::wheel::{Tick, Wheel, reached};

use connecting::Connecting;
pub(crate) use members::Members;
use output::Pool;
use overload::Overload;
use relay::Relays;
use slot::{PeerAddr, Slot, flag};

/// Output up to this is gathered in the worker's cork before it is sent; less where memory is budgeted.
pub(crate) const CORK_MAX: usize = 64 * 1024;
/// One write of at least this size is not copied to the cork, but sent from where it lies.
const DIRECT_MIN: usize = 8 * 1024;
/// Slots for which room is reserved at the start, at most: 1 Mi, about 80 MiB of address space.
pub(crate) const TABLE_RESERVED_MAX: usize = 1 << 20;
/// Room for a turn's lists of connections from the start: more than one poll reports, so that they do
/// not grow in the steady state.
pub(crate) const LIST_RESERVED: usize = 1024;
/// Nothing a service writes is taken. What goes to a coupled connection comes from its other end alone.
pub(crate) const NO_WRITING: u32 = flag::CLOSING | flag::FINISH | flag::WRITE_FAILED | flag::RELAYED;
/// No member.
const NONE: u32 = u32::MAX;

/// What a callback may ask of the driver at once.
pub(crate) trait Direct: DirectUdp {
    fn write(&mut self, index: u32, bytes: &[u8]) -> io::Result<usize>;
    fn writev(&mut self, index: u32, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
    /// A write found the stream full. Tells whether the registration had to be changed.
    fn want_write(&mut self, index: u32, generation: u32) -> io::Result<bool>;
    fn finish(&mut self, index: u32) -> io::Result<()>;
    /// Sends up to `len` bytes out of a pipe.
    fn splice_out(&mut self, index: u32, pipe: u32, len: usize) -> io::Result<usize>;
    /// Takes a pipe back: empty, to be used again, or else to be closed.
    fn give_pipe(&mut self, pipe: u32, empty: bool);
    fn short_ends(&self) -> bool;
    fn random(&mut self) -> u64;
    /// Our address on a stream; `None` on a Unix socket.
    fn local_addr(&mut self, index: u32) -> Option<SocketAddr>;
}

pub(crate) struct Core {
    pub(crate) worker: u16,
    pub(crate) now: Time,
    pub(crate) tick: Tick,
    /// The time at which `tick` was `TICK_ORIGIN`.
    origin: Time,
    pub(crate) limits: Limits,
    pub(crate) draining: bool,
    /// Slots of services that stay while others drain.
    pub(crate) staying: usize,
    /// The tags of listeners, by their numbers.
    pub(crate) tags: Vec<u32>,
    /// Our addresses on what they take in, where those are known.
    pub(crate) locals: Vec<Option<SocketAddr>>,

    pub(crate) slots: Vec<Slot>,
    /// Slots there may be.
    slots_max: usize,
    free: Vec<u32>,
    /// Closed in this turn: free only after it, so that nothing in it can mistake them.
    freed: Vec<u32>,
    pub(crate) members: Vec<Members>,
    pub(crate) wheel: Wheel,

    /// Output of the connection whose callback runs, until its flush.
    pub(crate) cork: Vec<u8>,
    /// Bytes it holds at most.
    pub(crate) cork_max: usize,
    pub(crate) cork_owner: u32,
    pub(crate) pool: Pool,
    pub(crate) buffered: usize,
    /// What memory is budgeted, if it is.
    budget: Option<Arc<Budget>>,
    /// No service may leave more input untaken than this.
    input_cap: usize,
    /// How late the worker is, and how full `buffered` makes it.
    pub(crate) overload: Overload,
    pub(crate) relays: Relays,

    /// Connections to look at in this turn, and in the next.
    pub(crate) run: Vec<u32>,
    /// Connections with output from elsewhere, to be flushed in this turn.
    pub(crate) touched: Vec<u32>,
    /// Ends decided, not yet carried out.
    pub(crate) closing: VecDeque<(u32, Close)>,
    /// Ended connections whose next step (FIN, close) is due.
    pub(crate) settling: Vec<u32>,
    pub(crate) connecting: Connecting,
    /// Places for IPv6 addresses that nobody needs now.
    #[allow(clippy::vec_box, reason = "a slot holds the box")]
    sixes: Vec<Box<SocketAddrV6>>,

    /// Connections on their way to other workers, once their output is sent.
    pub(crate) moving: Vec<(ConnId, usize)>,
    /// Whether this driver's streams can move, and how many workers there are.
    pub(crate) workers: Option<usize>,

    /// When something from off the loop is overdue, and its inbox wants to be asked.
    pub(crate) answers_due: Time,

    /// UDP sockets.
    pub(crate) udp: Sockets,

    pub(crate) counters: Counters,
    /// What observers see: counts by listener and service, and by connection while somebody looks.
    pub(crate) flows: Flows,
    pub(crate) traffic: TrafficTable,
    #[cfg(feature = "tls")]
    pub(crate) tls: crate::tls::Table,
}

/// Close to the wrap, so that every process that lives a minute has crossed it.
const TICK_ORIGIN: Tick = u32::MAX - 60_000;

impl Core {
    pub(crate) fn new(worker: u16, shared: &Arc<Shared>, now: Time) -> Core {
        let limits = shared.limits();
        // Reserved, not touched: memory nobody uses costs nothing, and no newcomer waits for a table
        // to be moved. Only a hint; without the room, tables grow as they are needed.
        let room = limits.connections_max.min(TABLE_RESERVED_MAX);
        let mut slots = Vec::new();
        let _ = slots.try_reserve_exact(room);
        let mut wheel = Wheel::new(TICK_ORIGIN);
        wheel.reserve(room);
        // As long as is needed, where that is known.
        let lists = shared.budget.as_ref().map_or(LIST_RESERVED, |budget| budget.table);
        let pool = Pool::new(limits.read_budget_bytes);
        Core {
            worker,
            now,
            tick: TICK_ORIGIN,
            origin: now,
            limits,
            draining: false,
            staying: 0,
            tags: Vec::new(),
            locals: Vec::new(),
            slots,
            slots_max: INDEX_MAX as usize,
            free: Vec::new(),
            freed: Vec::new(),
            members: Vec::new(),
            wheel,
            cork: Vec::new(),
            cork_max: CORK_MAX,
            cork_owner: NONE,
            pool,
            buffered: 0,
            budget: None,
            input_cap: usize::MAX,
            overload: Overload::new(now),
            relays: Relays::default(),
            run: Vec::with_capacity(lists),
            touched: Vec::with_capacity(lists),
            closing: VecDeque::new(),
            settling: Vec::new(),
            sixes: Vec::new(),
            udp: Sockets::default(),
            moving: Vec::new(),
            workers: None,
            answers_due: Time::MAX,
            connecting: Connecting::new(shared.clone()),
            counters: Counters::default(),
            flows: Flows::default(),
            traffic: TrafficTable::new(shared.config.traffic),
            #[cfg(feature = "tls")]
            tls: crate::tls::Table::default(),
        }
    }

    /// The longest input that the service of a connection may leave untaken.
    #[inline]
    pub(crate) fn input_max(&self, index: u32) -> usize {
        self.members[self.slots[index as usize].service as usize].input_max
    }

    // --- Services.

    /// Makes a place for the connections of a service: a new one, or that of one that is gone.
    pub(crate) fn put_members(&mut self, service: u16, movable: bool, stays: bool, own: OwnLimits) {
        let mut members = Members { movable, stays, ..Members::default() };
        members.bound(own, &self.limits, self.input_cap);
        if self.budget.is_some() {
            members.reserve(self.slots_max);
        }
        match self.members.get_mut(usize::from(service)) {
            Some(place) => *place = members,
            None => self.members.push(members),
        }
    }

    /// Whether the server drains, as far as this service is concerned, or the service is being removed.
    pub(crate) fn is_draining(&self, service: u16) -> bool {
        let members = &self.members[usize::from(service)];
        members.leaving || self.draining && !members.stays
    }

    /// Other limits from now on. What is waiting already is not cut down to them.
    pub(crate) fn set_limits(&mut self, limits: &Limits) {
        self.limits = limits.clone();
        if let Some(budget) = &self.budget {
            budget.bound(&mut self.limits);
        }
        self.pool.set_read_budget(self.limits.read_budget_bytes);
        for members in &mut self.members {
            members.bound(members.own, &self.limits, self.input_cap);
        }
        self.arm_all();
    }

    pub(crate) fn set_own_limits(&mut self, service: u16, own: OwnLimits) {
        let members = &mut self.members[usize::from(service)];
        members.bound(own, &self.limits, self.input_cap);
        self.arm_all();
    }

    /// A deadline may have come nearer.
    fn arm_all(&mut self) {
        for index in 0..self.slots.len() as u32 {
            if self.slots[index as usize].is(flag::LIVE) {
                self.arm(index);
            }
        }
    }

    // --- Time.

    pub(crate) fn set_now(&mut self, now: Time) {
        // The clock is monotonic; should a driver's not be, time stands still instead of going back.
        self.now = self.now.max(now);
        let millis = self.now.since(self.origin).as_nanos() / 1_000_000;
        self.tick = TICK_ORIGIN.wrapping_add(millis as u32);
    }

    /// The first tick at or after `at`. Deadlines further off than the wheel's arithmetic allows are
    /// asked again when it ends.
    pub(crate) fn tick_of(&self, at: Time) -> Tick {
        let far = crate::config::TIMEOUT_MAX.as_millis() as u64;
        let millis = at.since(self.origin).as_nanos().div_ceil(1_000_000) as u64;
        let passed = (self.now.since(self.origin).as_nanos() / 1_000_000) as u64;
        let ahead = millis.saturating_sub(passed).min(far);
        self.tick.wrapping_add(ahead as u32)
    }

    pub(crate) fn tick_after(&self, timeout: Duration) -> Tick {
        // One more, since the present tick has begun already: never early.
        self.tick.wrapping_add((timeout.as_nanos().div_ceil(1_000_000) as u32).saturating_add(1))
    }

    /// When the tick begins.
    pub(crate) fn time_of(&self, tick: Tick) -> Time {
        let passed = (self.now.since(self.origin).as_nanos() / 1_000_000) as u64;
        let ahead = tick.wrapping_sub(self.tick) as i32;
        let millis = passed.saturating_add_signed(ahead.into());
        self.origin + Duration::from_millis(millis)
    }

    // --- Connections.

    #[inline]
    pub(crate) fn slot(&mut self, index: u32) -> &mut Slot {
        &mut self.slots[index as usize]
    }

    pub(crate) fn id(&self, index: u32) -> ConnId {
        ConnId { index, generation: self.slots[index as usize].generation, worker: self.worker }
    }

    /// The slot of a connection that is open: neither closed nor about to be.
    pub(crate) fn find(&self, id: ConnId) -> Option<u32> {
        let slot = self.slots.get(id.index as usize)?;
        let same = slot.generation == id.generation && id.worker == self.worker;
        (same && slot.is(flag::LIVE) && !slot.is(flag::CLOSING | flag::HANDSHAKE)).then_some(id.index)
    }

    /// A slot for a new connection; `None` when there are as many as a token can name.
    pub(crate) fn insert(&mut self, peer: Option<SocketAddr>, service: u16, listener: u16) -> Option<u32> {
        let index = self.vacant()?;
        let (peer, tick) = (self.peer_addr(peer), self.tick);
        let stays = self.stay_flag(service);
        let key = self.members[service as usize].add(index);
        let slot = &mut self.slots[index as usize];
        // A fresh socket has room; whether it has input, an event will say.
        slot.flags = flag::LIVE | flag::WRITABLE | stays;
        (slot.peer, slot.service, slot.listener, slot.key, slot.active) =
            (peer, service, listener, key, tick);
        slot.opened = self.now;
        self.traffic.begin(index, tick);
        self.counters.connections += 1;
        Some(index)
    }

    /// Counts a slot of a service that stays while others drain.
    pub(crate) fn stay_flag(&mut self, service: u16) -> u32 {
        let stays = self.members[usize::from(service)].stays;
        self.staying += usize::from(stays);
        if stays { flag::STAYS } else { 0 }
    }

    /// A slot that nobody has.
    fn vacant(&mut self) -> Option<u32> {
        if let Some(index) = self.free.pop() {
            return Some(index);
        }
        let index = u32::try_from(self.slots.len()).ok().filter(|n| (*n as usize) < self.slots_max)?;
        self.slots.push(Slot {
            output: None,
            input: None,
            peer: PeerAddr::Unix,
            opened: self.now,
            flags: 0,
            generation: 0,
            key: 0,
            service: 0,
            listener: 0,
            active: 0,
            wake: 0,
        });
        Some(index)
    }

    /// A peer's address, with a place of its own if it is long.
    pub(crate) fn peer_addr(&mut self, addr: Option<SocketAddr>) -> PeerAddr {
        PeerAddr::new(addr, &mut self.sixes)
    }

    /// Takes a connection out of its service: its session is gone.
    pub(crate) fn leave_service(&mut self, index: u32) {
        let (service, key) = (self.slots[index as usize].service, self.slots[index as usize].key);
        self.members[service as usize].remove(key);
    }

    /// Gives the slot back, to be reused after this turn.
    pub(crate) fn remove(&mut self, index: u32) {
        self.drop_output(index);
        self.drop_input(index);
        self.wheel.disarm(index);
        #[cfg(feature = "tls")]
        if self.slots[index as usize].is(flag::TLS) {
            self.drop_tls(index);
        }
        self.staying -= usize::from(self.slots[index as usize].is(flag::STAYS));
        let slot = &mut self.slots[index as usize];
        slot.flags = 0;
        if let PeerAddr::V6(place) = std::mem::replace(&mut slot.peer, PeerAddr::Unix)
            && self.sixes.len() < self.sixes.capacity()
        {
            self.sixes.push(place);
        }
        let slot = &mut self.slots[index as usize];
        if !planted(Fault::SlotReusedTooEarly) {
            slot.generation = slot.generation.wrapping_add(1);
            self.freed.push(index);
        } else {
            self.free.push(index);
        }
        self.counters.connections -= 1;
    }

    /// After the turn: closed slots may be reused.
    pub(crate) fn recycle(&mut self) {
        self.free.append(&mut self.freed);
        if parts::UDP {
            self.udp.recycle();
        }
    }

    /// Our address on a connection, where its listener tells.
    pub(crate) fn local_addr(&self, index: u32) -> Option<SocketAddr> {
        self.locals.get(usize::from(self.slots[index as usize].listener)).copied().flatten()
    }

    // --- Counting.

    /// Counts something of a connection, for its listener and its service.
    #[inline]
    pub(crate) fn count(&mut self, index: u32, add: impl Fn(&mut Flow)) {
        let slot = &self.slots[index as usize];
        self.flows.count(slot.service, slot.listener, add);
    }

    /// Counts bytes that a connection has received.
    #[inline]
    pub(crate) fn count_in(&mut self, index: u32, n: usize) {
        self.counters.bytes_in += n as u64;
        self.count(index, |flow| flow.bytes_in += n as u64);
        self.traffic.received(index, n);
    }

    /// Counts bytes that a connection has sent.
    #[inline]
    pub(crate) fn count_out(&mut self, index: u32, n: usize) {
        self.counters.bytes_out += n as u64;
        self.count(index, |flow| flow.bytes_out += n as u64);
        self.traffic.sent(index, n);
    }

    /// Counts a connection that its service gets.
    pub(crate) fn count_opened(&mut self, index: u32) {
        self.counters.opened += 1;
        self.count(index, |flow| flow.opened += 1);
    }

    // --- Lists.

    /// Has the connection looked at in the next run.
    pub(crate) fn queue(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        if !slot.is(flag::QUEUED) {
            slot.set(flag::QUEUED);
            self.run.push(index);
        }
    }

    pub(crate) fn touch(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        if !slot.is(flag::TOUCHED) {
            slot.set(flag::TOUCHED);
            self.touched.push(index);
        }
    }

    /// Decides that a connection ends. The first reason wins, but an abort overrides good order, and so does
    /// output for which there was no room: what lacks some bytes must not look whole. Carried out at the end
    /// of the turn, never inside a callback.
    pub(crate) fn close(&mut self, index: u32, why: Close) {
        self.close_for(index, why);
    }

    /// The same; false if its end is being carried out already.
    fn close_for(&mut self, index: u32, why: Close) -> bool {
        let slot = &mut self.slots[index as usize];
        if !slot.is(flag::CLOSING) {
            slot.set(flag::CLOSING);
            slot.clear(flag::HAS_WAKE);
            self.closing.push_back((index, why));
            return true;
        }
        if !matches!(why, Close::Aborted | Close::Overflow | Close::MemoryFull) {
            return true;
        }
        let Some((_, first)) = self.closing.iter_mut().find(|(n, _)| *n == index) else { return false };
        if first.is_orderly() {
            *first = why;
        }
        true
    }

    pub(crate) fn settle(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        if slot.is(flag::ENDED) && !slot.is(flag::SETTLING) {
            slot.set(flag::SETTLING);
            self.settling.push(index);
        }
    }

    // --- Deadlines.

    /// The earliest deadline of a connection, if it has any.
    fn deadline(&self, index: u32) -> Option<Tick> {
        Deadlines::of(&self.limits, &self.members, &self.overload).first(&self.slots[index as usize])
    }

    /// Arms the connection's timer for its earliest deadline.
    pub(crate) fn arm(&mut self, index: u32) {
        if let Some(at) = self.deadline(index) {
            self.wheel.arm(index, at);
        }
    }

    pub(crate) fn wake_at(&mut self, index: u32, at: Time) {
        let tick = self.tick_of(at);
        let never = at.since(self.now) > crate::config::TIMEOUT_MAX;
        let slot = self.slot(index);
        if slot.is(flag::CLOSING) {
            return;
        }
        if never {
            return slot.clear(flag::HAS_WAKE);
        }
        slot.wake = tick;
        slot.set(flag::HAS_WAKE);
        self.wheel.arm(index, tick);
    }

    // --- Output.

    /// Bytes a connection has queued, its cork included.
    pub(crate) fn output_len(&self, index: u32) -> usize {
        let cork = if self.cork_owner == index { self.cork.len() } else { 0 };
        #[cfg(feature = "tls")]
        let cork = cork + if self.slots[index as usize].is(flag::TLS) { self.pending_len(index) } else { 0 };
        self.slots[index as usize].output_len() + cork
    }

    /// Queues `bytes`, or sends them at once when they are many and nothing is before them.
    #[inline]
    pub(crate) fn write<D: Direct + ?Sized>(&mut self, io: &mut D, index: u32, bytes: &[u8]) {
        let slot = &self.slots[index as usize];
        if slot.is(NO_WRITING | flag::TLS) || bytes.is_empty() {
            #[cfg(feature = "tls")]
            if !slot.is(NO_WRITING | flag::HANDSHAKE) {
                self.write_tls(io, index, bytes);
            }
            return;
        }
        if self.cork_owner == index && slot.output.is_none() {
            if bytes.len() < DIRECT_MIN && self.cork.len() + bytes.len() <= self.cork_max {
                self.cork.extend_from_slice(bytes);
            } else {
                self.write_direct(io, index, bytes, None);
            }
            return;
        }
        let much = bytes.len() >= DIRECT_MIN || slot.output_len() + bytes.len() > self.pool.gathered_max;
        if much && slot.is(flag::WRITABLE) && self.cork_owner != index {
            return flush::write_through(self, io, index, bytes);
        }
        self.enqueue(index, bytes, None);
        self.touch(index);
    }

    /// As `write`, but what must wait is kept by reference and not copied.
    pub(crate) fn write_shared<D: Direct + ?Sized>(&mut self, io: &mut D, index: u32, bytes: Bytes) {
        let slot = &self.slots[index as usize];
        if slot.is(NO_WRITING) {
            return;
        }
        // Below this, copying is cheaper than counting references; and what is encrypted, or kept in blocks,
        // is copied.
        if bytes.len() < BLOCK_SHARE_MIN || slot.is(flag::TLS) || self.pool.region.is_some() {
            return self.write(io, index, &bytes);
        }
        if self.cork_owner != index || slot.output.is_some() {
            self.enqueue(index, &bytes, Some(&bytes));
            self.touch(index);
        } else if bytes.len() < DIRECT_MIN && self.cork.len() + bytes.len() <= self.cork_max {
            // A copy is cheaper than a call for each of many.
            self.cork.extend_from_slice(&bytes);
        } else {
            self.write_direct(io, index, &bytes, Some(&bytes));
        }
    }

    /// Sends the cork and `bytes` in one call, without copying them, and queues what was not taken.
    fn write_direct<D: Direct + ?Sized>(
        &mut self,
        io: &mut D,
        index: u32,
        bytes: &[u8],
        shared: Option<&Bytes>,
    ) {
        let mut sent = 0;
        if self.slots[index as usize].is(flag::WRITABLE) {
            let result = if self.cork.is_empty() {
                io.write(index, bytes)
            } else {
                io.writev(index, &[IoSlice::new(&self.cork), IoSlice::new(bytes)])
            };
            match flush::sent(self, io, index, result, self.cork.len() + bytes.len()) {
                Some(n) => sent = n,
                None => return self.cork.clear(),
            }
        }
        let corked = self.cork.len();
        if sent < corked {
            let cork = std::mem::take(&mut self.cork);
            self.enqueue(index, &cork[sent..], None);
            self.cork = cork;
        }
        self.cork.clear();
        let skip = sent.saturating_sub(corked);
        if skip < bytes.len() && !planted(Fault::PartialWriteForgotten) {
            self.enqueue(index, &bytes[skip..], shared.map(|b| b.slice(skip..)).as_ref());
        }
        if self.slots[index as usize].output.is_some() {
            self.touch(index);
        }
    }

    /// Appends to the queue, within the limits; false, and the connection ends, when there is no room.
    pub(crate) fn enqueue(&mut self, index: u32, bytes: &[u8], shared: Option<&Bytes>) -> bool {
        if let Some(why) = self.no_room(index, bytes.len()) {
            if self.pool.region.is_some() {
                self.counters.blocks_refused += u64::from(matches!(why, Close::MemoryFull));
            }
            self.close(index, why);
            return false;
        }
        self.append(index, bytes, shared);
        true
    }

    /// Whether `more` bytes of output are too many, and which limit says so.
    pub(crate) fn no_room(&self, index: u32, more: usize) -> Option<Close> {
        let queued = self.slots[index as usize].output_len() + more;
        if queued > self.limits.output_max && !planted(Fault::NoOutputCap) {
            return Some(Close::Overflow);
        }
        // Short of memory, those within their high-water mark go on; the large ones pay.
        let short = self.buffered + more > self.limits.buffered_max;
        if short && queued > self.limits.output_high {
            return Some(Close::MemoryFull);
        }
        (!self.has_blocks(index, more)).then_some(Close::MemoryFull)
    }

    /// Appends to the queue, whatever the limits say: it has been counted already, or must not be lost.
    pub(crate) fn append(&mut self, index: u32, bytes: &[u8], shared: Option<&Bytes>) {
        let queued = self.slots[index as usize].output_len() + bytes.len();
        let slot = &mut self.slots[index as usize];
        let output = slot.output.get_or_insert_with(|| {
            let mut output = self.pool.output();
            output.progress = self.tick;
            output
        });
        let fits = match shared {
            // A block cannot be shared, and what is not a block is not budgeted.
            Some(shared) if self.pool.region.is_none() => output.push_shared(shared.clone()),
            _ => output.push(bytes, &mut self.pool),
        };
        if !fits {
            return self.end_without_block(index);
        }
        self.buffered += bytes.len();
        self.counters.output_peak_bytes = self.counters.output_peak_bytes.max(queued as u64);
        if (queued >= self.limits.output_high || self.pool.is_short())
            && !slot.is(flag::CONGESTED | flag::RELAYED)
            && !planted(Fault::NoReadPause)
        {
            slot.set(flag::CONGESTED);
            self.counters.congestions += 1;
        }
    }

    /// Queues what is in a pipe, on a connection that has nothing queued.
    pub(crate) fn enqueue_pipe(&mut self, index: u32, pipe: u32, len: usize) {
        let mut output = self.pool.output();
        output.progress = self.tick;
        output.set_pipe(pipe, len);
        self.slots[index as usize].output = Some(output);
        self.buffered += len;
        self.counters.output_peak_bytes = self.counters.output_peak_bytes.max(len as u64);
    }

    pub(crate) fn drop_output(&mut self, index: u32) {
        if let Some(output) = self.slots[index as usize].output.take() {
            self.buffered -= output.len();
            self.pool.give_output(output);
        }
    }
}

/// Shared output below this is copied.
const BLOCK_SHARE_MIN: usize = 1024;

/// What decides when connections have had their time.
#[derive(Clone, Copy)]
pub(crate) struct Deadlines<'a> {
    limits: &'a Limits,
    members: &'a [Members],
    /// Into how many parts timeouts are divided while the worker is short of time or memory.
    idle_divisor: u32,
    stall_divisor: u32,
}

impl<'a> Deadlines<'a> {
    pub(crate) fn of(limits: &'a Limits, members: &'a [Members], overload: &Overload) -> Deadlines<'a> {
        let (idle_divisor, stall_divisor) = (overload.idle_divisor(limits), overload.stall_divisor());
        Deadlines { limits, members, idle_divisor, stall_divisor }
    }

    /// The earliest deadline of a connection, if it has any.
    pub(crate) fn first(self, slot: &Slot) -> Option<Tick> {
        if !slot.is(flag::LIVE) {
            return slot.is(flag::CONNECTING).then_some(slot.wake);
        }
        let wake = slot.is(flag::HAS_WAKE).then_some(slot.wake);
        let deadlines = [self.idle(slot), self.stall(slot), wake];
        deadlines.into_iter().flatten().reduce(|a, b| if reached(a, b) { a } else { b })
    }

    pub(crate) fn idle(self, slot: &Slot) -> Option<Tick> {
        let timeout = self.members[slot.service as usize].idle_timeout;
        if timeout.is_zero() || slot.is(flag::CLOSING) || planted(Fault::NoIdleTimeout) {
            return None;
        }
        Some(slot.active.wrapping_add(timeout.as_millis() as u32 / self.idle_divisor + 1))
    }

    pub(crate) fn stall(self, slot: &Slot) -> Option<Tick> {
        // An end is bounded even where a stall is not.
        let off = self.limits.write_stall_timeout.is_zero();
        let timeout = if off { self.limits.linger_timeout } else { self.limits.write_stall_timeout };
        if (off && !slot.is(flag::ENDED)) || planted(Fault::NoWriteStall) {
            return None;
        }
        let output = slot.output.as_ref()?;
        Some(output.progress.wrapping_add(timeout.as_millis() as u32 / self.stall_divisor + 1))
    }
}
