//! The UDP sockets of one worker, as the core knows them: their state, output and deadlines.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::core::slot::NO_LISTENER;
use crate::core::{Core, Direct};
use crate::observe::flows::Flow;
use crate::parts;
use crate::sys::{UDP_MAX, UdpBuffers};
use crate::wheel::{Tick, Wheel, reached};

use super::SocketId;
use super::queue::Queue;

/// State bits of a socket.
pub(crate) mod flag {
    /// The slot is in use.
    pub(crate) const LIVE: u32 = 1;
    /// Receiving may find something.
    pub(crate) const READABLE: u32 = 1 << 1;
    /// Sending may find room.
    pub(crate) const WRITABLE: u32 = 1 << 2;
    /// An event told of an error: a short batch is no reason to stop.
    pub(crate) const BROKEN: u32 = 1 << 3;
    /// On the run list.
    pub(crate) const QUEUED: u32 = 1 << 4;
    /// On the list of those to flush.
    pub(crate) const TOUCHED: u32 = 1 << 5;
    /// Closes at the end of the turn.
    pub(crate) const CLOSING: u32 = 1 << 6;
    /// A send found no room, and not everything has been sent since.
    pub(crate) const BLOCKED: u32 = 1 << 7;
    /// Registered for writing too.
    pub(crate) const WANTS_ROOM: u32 = 1 << 8;
    /// The service is owed a call to `drained`.
    pub(crate) const OWED_DRAINED: u32 = 1 << 9;
    /// `wake` holds a deadline.
    pub(crate) const HAS_WAKE: u32 = 1 << 10;
    /// `retry` holds the time before which receiving is not tried again.
    pub(crate) const HAS_RETRY: u32 = 1 << 11;
    /// Bound to all addresses of the machine, so that a reply must say which it is from.
    pub(crate) const WILDCARD: u32 = 1 << 12;
    /// The last batch was full: the next asks for more at once.
    pub(crate) const BUSY: u32 = 1 << 13;
    /// Closes not at the end of the turn, but when its output has been sent.
    pub(crate) const SENDING_LAST: u32 = 1 << 14;
    /// A successor receives what comes to it: it is there for answers that are still under way.
    pub(crate) const RETIRED: u32 = 1 << 15;
    /// The poll does not know of it yet: its registration failed, and is tried again.
    pub(crate) const UNREGISTERED: u32 = 1 << 16;
}

/// One socket. The socket itself is in the driver's table, at the same index.
pub(crate) struct SocketSlot {
    pub(crate) flags: u32,
    pub(crate) generation: u32,
    pub(crate) service: u16,
    /// The number of the address it was bound to; of no meaning with a peer.
    pub(crate) listener: u16,
    pub(crate) local: SocketAddr,
    pub(crate) peer: Option<SocketAddr>,
    /// The service's own, to find what belongs to the socket.
    pub(crate) tag: u64,
    /// Attached only while output waits.
    pub(crate) output: Option<Box<Queue>>,
    /// Datagrams that one call may send.
    pub(crate) segments_max: usize,
    /// Told to the service in the next turn.
    pub(crate) error: Option<io::Error>,
    pub(crate) wake: Tick,
    pub(crate) retry: Tick,
}

impl SocketSlot {
    #[inline]
    pub(crate) fn is(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    #[inline]
    pub(crate) fn set(&mut self, flags: u32) {
        self.flags |= flags;
    }

    #[inline]
    pub(crate) fn clear(&mut self, flags: u32) {
        self.flags &= !flags;
    }

    pub(crate) fn output_len(&self) -> usize {
        self.output.as_ref().map_or(0, |output| output.len())
    }

    /// Addresses as the system wants them: on an IPv6 socket an IPv4 address is a mapped one.
    #[inline]
    pub(crate) fn in_family(&self, to: SocketAddr, from: Option<IpAddr>) -> (SocketAddr, Option<IpAddr>) {
        if self.local.is_ipv4() {
            return (to, from);
        }
        let mapped = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
            ip => ip,
        };
        let to = if to.is_ipv4() { SocketAddr::new(mapped(to.ip()), to.port()) } else { to };
        (to, from.map(mapped))
    }
}

/// An address as people know it: a mapped IPv4 address is an IPv4 address.
#[inline]
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddr::new(ip.into(), v6.port()),
            None => addr,
        },
        SocketAddr::V4(_) => addr,
    }
}

#[derive(Default)]
pub(crate) struct Sockets {
    pub(crate) slots: Vec<SocketSlot>,
    free: Vec<u32>,
    /// Closed in this turn: free only after it.
    freed: Vec<u32>,
    /// In use.
    pub(crate) open: usize,
    /// Of these: retired.
    pub(crate) retired: usize,
    /// Sockets to look at in this turn, and in the next.
    pub(crate) run: Vec<u32>,
    /// Sockets with output from elsewhere, or to be closed.
    pub(crate) touched: Vec<u32>,
    /// Queues nobody needs now.
    #[allow(clippy::vec_box, reason = "a slot holds a box, and gets this very one")]
    pool: Vec<Box<Queue>>,
    /// Made with the first socket: most workers have none.
    wheel: Option<Box<Wheel>>,
}

/// Queues kept for their next use.
const POOL_MAX: usize = 64;

impl Core {
    /// Counts something of a socket, for its service and, unless it has a peer, for its address.
    #[inline]
    pub(crate) fn count_datagrams(&mut self, index: u32, add: impl Fn(&mut Flow)) {
        let slot = &self.udp.slots[index as usize];
        let listener = if slot.peer.is_some() { NO_LISTENER } else { slot.listener };
        self.flows.count(slot.service, listener, add);
    }
}

impl Sockets {
    pub(crate) fn id(&self, worker: u16, index: u32) -> SocketId {
        SocketId { worker, index, generation: self.slots[index as usize].generation }
    }

    /// Room for so many sockets, each with a queue of so many bytes and datagrams.
    pub(crate) fn reserve(&mut self, sockets: usize, bytes: usize, datagrams: usize) {
        self.slots.reserve(sockets);
        for list in [&mut self.free, &mut self.freed, &mut self.run, &mut self.touched] {
            list.reserve(sockets);
        }
        // Each socket that there is may need one too, if it has none now.
        let live = self.slots.iter().filter(|slot| slot.is(flag::LIVE)).count();
        let queues = self.pool.len() + self.slots.iter().filter(|slot| slot.output.is_some()).count();
        let missing = (live + sockets).saturating_sub(queues);
        self.pool.extend((0..missing).map(|_| Box::new(Queue::with_room(bytes, datagrams))));
    }

    /// The slot of a socket that is open and not about to close.
    pub(crate) fn find(&self, worker: u16, id: SocketId) -> Option<u32> {
        let slot = self.slots.get(id.index as usize)?;
        let same = slot.generation == id.generation && id.worker == worker;
        (same && slot.is(flag::LIVE) && !slot.is(flag::CLOSING)).then_some(id.index)
    }

    /// A slot for a new socket; `None` when there are as many as a token can name.
    pub(crate) fn insert(
        &mut self,
        now: Tick,
        service: u16,
        local: SocketAddr,
        peer: Option<SocketAddr>,
    ) -> Option<u32> {
        self.wheel.get_or_insert_with(|| Box::new(Wheel::new(now)));
        let mut flags = flag::LIVE | flag::WRITABLE;
        if local.ip().is_unspecified() && peer.is_none() {
            flags |= flag::WILDCARD;
        }
        let generation = |old: Option<&SocketSlot>| old.map_or(0, |slot| slot.generation);
        let index = match self.free.pop() {
            Some(index) => index,
            None => u32::try_from(self.slots.len()).ok().filter(|n| (*n as usize) < UDP_MAX)?,
        };
        let slot = SocketSlot {
            flags,
            generation: generation(self.slots.get(index as usize)),
            service,
            listener: 0,
            local,
            peer,
            tag: 0,
            output: None,
            segments_max: 1,
            error: None,
            wake: 0,
            retry: 0,
        };
        match self.slots.get_mut(index as usize) {
            Some(old) => *old = slot,
            None => self.slots.push(slot),
        }
        self.open += 1;
        Some(index)
    }

    /// Gives the slot back, to be reused after this turn. Its output is gone already.
    pub(crate) fn remove(&mut self, index: u32) {
        if let Some(wheel) = &mut self.wheel {
            wheel.disarm(index);
        }
        let slot = &mut self.slots[index as usize];
        self.retired -= usize::from(slot.is(flag::RETIRED));
        slot.flags = 0;
        slot.error = None;
        slot.generation = slot.generation.wrapping_add(1);
        self.open -= 1;
        self.freed.push(index);
    }

    /// After the turn: closed slots may be reused.
    pub(crate) fn recycle(&mut self) {
        self.free.append(&mut self.freed);
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.run.is_empty() || !self.touched.is_empty()
    }

    /// Has the socket looked at in the next run.
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

    pub(crate) fn close(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.set(flag::CLOSING);
        slot.clear(flag::SENDING_LAST);
        self.touch(index);
    }

    /// Closes the socket when the system has taken what is queued.
    pub(crate) fn close_when_sent(&mut self, index: u32) {
        self.close(index);
        self.slots[index as usize].set(flag::SENDING_LAST);
    }

    pub(crate) fn new_queue(&mut self) -> Box<Queue> {
        self.pool.pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&mut self, mut queue: Box<Queue>) {
        if self.pool.len() < POOL_MAX {
            queue.clear();
            self.pool.push(queue);
        }
    }

    // --- Deadlines.

    pub(crate) fn wake_at(&mut self, index: u32, at: Option<Tick>) {
        let slot = &mut self.slots[index as usize];
        slot.clear(flag::HAS_WAKE);
        if let Some(at) = at
            && !slot.is(flag::CLOSING)
        {
            slot.wake = at;
            slot.set(flag::HAS_WAKE);
            self.arm(index, at);
        }
    }

    /// Receives from the socket no earlier than this.
    pub(crate) fn retry_at(&mut self, index: u32, at: Tick) {
        let slot = &mut self.slots[index as usize];
        slot.retry = at;
        slot.set(flag::HAS_RETRY);
        self.arm(index, at);
    }

    fn arm(&mut self, index: u32, at: Tick) {
        if let Some(wheel) = &mut self.wheel {
            wheel.arm(index, at);
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Tick> {
        self.wheel.as_ref()?.next()
    }

    /// Collects the sockets whose deadline has passed.
    pub(crate) fn advance(&mut self, now: Tick, fired: &mut Vec<u32>) {
        let Sockets { wheel: Some(wheel), slots, .. } = self else { return };
        wheel.advance(now, fired, |index| deadline(&slots[index as usize]));
    }

    /// Arms the socket's timer for its earliest deadline.
    pub(crate) fn rearm(&mut self, index: u32) {
        if let Some(at) = deadline(&self.slots[index as usize]) {
            self.arm(index, at);
        }
    }
}

fn deadline(slot: &SocketSlot) -> Option<Tick> {
    let wake = slot.is(flag::HAS_WAKE).then_some(slot.wake);
    let retry = slot.is(flag::HAS_RETRY).then_some(slot.retry);
    match (wake, retry) {
        (Some(wake), Some(retry)) => Some(if reached(wake, retry) { wake } else { retry }),
        (wake, retry) => wake.or(retry),
    }
}

impl Core {
    /// Opens a socket with one peer.
    pub(crate) fn connect_udp<D: Direct + ?Sized>(
        &mut self,
        io: &mut D,
        service: u16,
        peer: SocketAddr,
    ) -> io::Result<SocketId> {
        if !parts::UDP {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let refused = || io::Error::new(io::ErrorKind::QuotaExceeded, "sockets_max is reached");
        if self.udp.open >= self.limits.sockets_max || self.is_draining(service) {
            self.counters.sockets_refused += 1;
            return Err(refused());
        }
        let peer = canonical(peer);
        let buffers = self.udp_buffers();
        // Its own address is known only once it is open.
        let Some(index) = self.udp.insert(self.tick, service, peer, Some(peer)) else {
            return Err(refused());
        };
        let generation = self.udp.slots[index as usize].generation;
        match io.connect_udp(index, generation, peer, buffers) {
            Ok((local, segments_max)) => {
                let slot = &mut self.udp.slots[index as usize];
                (slot.local, slot.segments_max) = (local, segments_max);
                self.counters.registers += 1;
                self.counters.sockets += 1;
                Ok(self.udp.id(self.worker, index))
            }
            Err(e) => {
                self.udp.remove(index);
                self.counters.sockets_refused += 1;
                Err(e)
            }
        }
    }

    pub(crate) fn udp_buffers(&self) -> UdpBuffers {
        let limits = &self.limits;
        UdpBuffers { receive: limits.datagram_receive_buffer_bytes, send: limits.datagram_send_buffer_bytes }
    }
}
