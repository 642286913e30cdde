//! Datagrams on a worker: receiving, delivering, sending, and the ends of sockets.
//!
//! The same rules as for connections. An event marks; the run list is served within a budget; output
//! goes out when the socket's turn is over; a closed slot is reused after the turn.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::core::Core;
use crate::datagram::send::{self, DirectUdp};
use crate::datagram::table::{SocketSlot, canonical, flag};
use crate::datagram::{Datagram, Socket};
use crate::hosted::Hosted;
use crate::observe::trace::Of;
use crate::parts;
use crate::planted::{Fault, planted};
use crate::sys::{Outbound, Readiness, Received, Sys, Token, UdpBuffers, ecn_of};
use crate::wheel::reached;

use super::Worker;
use super::io::Io;

/// Buffers filled by one call.
pub(crate) const BATCH_MAX: usize = 32;
/// Asked for first: on a quiet socket each buffer more is work for nothing.
const BATCH_FIRST: usize = 4;
/// As long as the longest datagram, and the most that the system puts together.
const BUFFER: usize = 64 * 1024;
/// From one buffer to the next: not a power of two, or the first lines of all of them, which is where
/// small datagrams are, would compete for the same few places in the processor's caches.
pub(crate) const STRIDE: usize = BUFFER + 3 * 64;
/// Errors of one socket in a row before receiving pauses, and for how long.
const ERRORS_MAX: usize = 32;
const ERROR_PAUSE: Duration = Duration::from_millis(10);
/// How long until a registration that failed is tried again.
const REGISTER_RETRY: Duration = Duration::from_millis(100);

/// A socket bound to an address, on its way into a worker: with the address it has and the numbers of
/// that address and of its service.
pub(crate) type BoundUdp<U> = (U, SocketAddr, u16, u16);

/// What datagrams are received into, shared by all sockets of a worker.
pub(super) struct Inbound {
    /// Empty on a worker that never had a socket, as `received` is.
    bytes: Vec<u8>,
    /// Buffers there are.
    batch: usize,
    received: Vec<Received>,
}

impl Inbound {
    pub(super) fn new(batch: usize) -> Inbound {
        Inbound { bytes: Vec::new(), batch, received: Vec::new() }
    }

    /// Untouched memory costs nothing, and small datagrams touch one page of each buffer.
    fn reserve(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = vec![0; self.batch * STRIDE];
            self.received = vec![Received::default(); self.batch];
        }
    }

    /// The first `n` buffers, for one call.
    #[inline]
    fn receive(
        &mut self,
        n: usize,
        call: impl FnOnce(&mut [IoSliceMut<'_>], &mut [Received]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut bufs = [const { None }; BATCH_MAX];
        for (buf, chunk) in bufs.iter_mut().zip(self.bytes.chunks_mut(STRIDE)).take(n) {
            *buf = Some(&mut chunk[..BUFFER]);
        }
        let mut bufs = bufs.map(|buf: Option<&mut [u8]>| IoSliceMut::new(buf.unwrap_or_default()));
        call(&mut bufs[..n], &mut self.received[..n])
    }
}

/// A slot in use has a socket; anything else is the engine's bug.
const NO_SOCKET: &str = "an open UDP socket is in the driver's table";

impl<Y: Sys> Io<Y> {
    fn socket(&mut self, index: u32) -> (&mut Y, &mut Y::Udp) {
        let Io { sys, udp, .. } = self;
        (sys, udp[index as usize].as_mut().expect(NO_SOCKET))
    }

    fn put_socket(&mut self, index: u32, socket: Y::Udp) {
        let index = index as usize;
        if self.udp.len() <= index {
            self.udp.resize_with(index + 1, || None);
        }
        self.udp[index] = Some(socket);
    }

    fn register_udp(&mut self, index: u32, generation: u32) -> io::Result<()> {
        let (sys, socket) = self.socket(index);
        super::io::again(|| sys.register_udp(socket, Token::udp(index, generation)))
    }
}

impl<Y: Sys> DirectUdp for Io<Y> {
    #[inline]
    fn send(&mut self, index: u32, out: &Outbound<'_>) -> io::Result<()> {
        if !parts::UDP {
            return Err(ErrorKind::Unsupported.into());
        }
        let began = self.traced_from();
        let (sys, socket) = self.socket(index);
        let result = sys.send(socket, out);
        if let Some(began) = began {
            let bytes = if result.is_ok() { out.bytes.len() as u64 } else { 0 };
            self.traced("flush", Of::Nothing, bytes, began);
        }
        result
    }

    fn segments_max(&self, index: u32) -> usize {
        if !parts::UDP {
            return 1;
        }
        self.sys.segments_max(self.udp[index as usize].as_ref().expect(NO_SOCKET)).max(1)
    }

    fn want_room(&mut self, index: u32, generation: u32, wanted: bool) -> io::Result<()> {
        if !parts::UDP {
            return Err(ErrorKind::Unsupported.into());
        }
        let (sys, socket) = self.socket(index);
        super::io::again(|| sys.want_room(socket, Token::udp(index, generation), wanted))
    }

    fn connect_udp(
        &mut self,
        index: u32,
        generation: u32,
        peer: SocketAddr,
        buffers: UdpBuffers,
    ) -> io::Result<(SocketAddr, usize)> {
        if !parts::UDP {
            return Err(ErrorKind::Unsupported.into());
        }
        let (socket, local) = super::io::again(|| self.sys.connect_udp(peer, buffers))?;
        self.put_socket(index, socket);
        if let Err(e) = self.register_udp(index, generation) {
            if let Some(socket) = self.udp[index as usize].take() {
                self.sys.close_udp(socket, false);
            }
            return Err(e);
        }
        Ok((local, self.segments_max(index)))
    }
}

/// Notes what an event said about a socket, if it is about the one that is there now.
pub(super) fn mark(core: &mut Core, index: u32, token: Token, readiness: Readiness) {
    let Some(slot) = core.udp.slots.get_mut(index as usize) else { return };
    if Token::udp(index, slot.generation) != token || !slot.is(flag::LIVE) {
        return;
    }
    let has = |bit| readiness.0 & bit != 0;
    if has(Readiness::BROKEN) && !planted(Fault::DatagramErrorNotRearmed) {
        slot.set(flag::READABLE | flag::BROKEN);
    }
    if has(Readiness::READABLE) {
        slot.set(flag::READABLE);
    }
    if has(Readiness::WRITABLE | Readiness::BROKEN) {
        slot.set(flag::WRITABLE);
    }
    if slot.is(flag::READABLE | flag::WANTS_ROOM) {
        core.udp.queue(index);
    }
}

impl<Y: Sys> Worker<Y> {
    /// Room for so many sockets, and for what is received from them and queued on them.
    pub(super) fn reserve_sockets(&mut self, sockets: usize) {
        let limits = &self.core.limits;
        self.core.udp.reserve(sockets, limits.datagram_output_max, limits.datagrams_queued_max);
        self.inbound.reserve();
        self.io.udp.reserve(sockets);
        self.sockets_running.reserve(sockets);
    }

    /// Takes in the sockets the server has bound for this worker.
    pub(super) fn adopt_sockets(&mut self, sockets: Vec<BoundUdp<Y::Udp>>) -> io::Result<()> {
        for (socket, local, listener, service) in sockets {
            let too_many = || io::Error::new(ErrorKind::QuotaExceeded, "too many UDP sockets");
            let index = self.core.udp.insert(self.core.tick, service, local, None).ok_or_else(too_many)?;
            self.put_bound_socket(index, socket, listener);
            self.register_bound_socket(index)?;
            self.core.counters.sockets += 1;
        }
        Ok(())
    }

    pub(super) fn put_bound_socket(&mut self, index: u32, socket: Y::Udp, listener: u16) {
        self.io.put_socket(index, socket);
        let segments_max = self.io.segments_max(index);
        let slot = &mut self.core.udp.slots[index as usize];
        slot.segments_max = segments_max;
        slot.listener = listener;
        // Whatever came before it was registered is found by trying.
        slot.set(flag::READABLE);
        self.core.udp.queue(index);
    }

    /// Registers a socket, or has that tried again after a pause.
    pub(super) fn register_bound_socket(&mut self, index: u32) -> io::Result<()> {
        let generation = self.core.udp.slots[index as usize].generation;
        let registered = self.io.register_udp(index, generation);
        let slot = &mut self.core.udp.slots[index as usize];
        if registered.is_ok() {
            slot.clear(flag::UNREGISTERED);
            self.core.counters.registers += 1;
        } else {
            slot.set(flag::UNREGISTERED);
            let at = self.core.tick_after(REGISTER_RETRY);
            self.core.udp.retry_at(index, at);
        }
        registered
    }

    /// What has arrived by now is received, whatever kept it waiting.
    pub(super) fn receive_once_more(&mut self, index: u32) {
        let slot = &mut self.core.udp.slots[index as usize];
        slot.set(flag::READABLE);
        slot.clear(flag::HAS_RETRY);
        self.core.udp.queue(index);
    }

    /// The same at once.
    pub(super) fn last_receive_of(&mut self, index: u32) {
        let slot = &mut self.core.udp.slots[index as usize];
        slot.set(flag::READABLE);
        slot.clear(flag::HAS_RETRY);
        self.receive(index);
    }

    /// Serves every socket that is ready or has work left, each once.
    pub(super) fn datagrams(&mut self) {
        if self.core.udp.run.is_empty() {
            return;
        }
        let mut running = std::mem::take(&mut self.sockets_running);
        std::mem::swap(&mut running, &mut self.core.udp.run);
        for &index in &running {
            self.serve_socket(index);
        }
        running.clear();
        self.sockets_running = running;
    }

    /// Send, tell, receive and deliver, send: what one socket gets in one turn.
    fn serve_socket(&mut self, index: u32) {
        let slot = &mut self.core.udp.slots[index as usize];
        slot.clear(flag::QUEUED);
        if !slot.is(flag::LIVE) {
            return;
        }
        if slot.is(flag::UNREGISTERED) {
            // Found again by its timer if it fails.
            let _ = self.register_bound_socket(index);
        }
        if self.core.udp.slots[index as usize].output.is_some() {
            send::flush(&mut self.core, &mut self.io, index);
        }
        self.release_write_interest(index);
        let slot = &mut self.core.udp.slots[index as usize];
        if let Some(error) = slot.error.take() {
            self.call_socket("error", index, |service, socket| service.socket_error(socket, error));
        }
        let slot = &mut self.core.udp.slots[index as usize];
        if slot.is(flag::OWED_DRAINED) {
            slot.clear(flag::OWED_DRAINED);
            self.call_socket("drained", index, |service, socket| service.socket_drained(socket));
        }
        self.receive(index);
        send::flush(&mut self.core, &mut self.io, index);
        let slot = &self.core.udp.slots[index as usize];
        if slot.is(flag::SENDING_LAST) && slot.output.is_none() {
            self.core.udp.touch(index);
        }
    }

    /// Write interest doubles a socket's events: it is given up once there is room.
    fn release_write_interest(&mut self, index: u32) {
        let slot = &mut self.core.udp.slots[index as usize];
        if !slot.is(flag::WANTS_ROOM) || !slot.is(flag::WRITABLE) {
            return;
        }
        slot.clear(flag::WANTS_ROOM);
        let generation = slot.generation;
        self.core.counters.modifies += 1;
        if self.io.want_room(index, generation, false).is_err() {
            self.core.udp.slots[index as usize].set(flag::WANTS_ROOM);
        }
    }

    /// Receives within the turn's budget, and delivers.
    fn receive(&mut self, index: u32) {
        let mut budget = self.core.limits.datagrams_per_turn_max;
        let mut errors = 0;
        self.inbound.reserve();
        loop {
            let slot = &self.core.udp.slots[index as usize];
            if !slot.is(flag::READABLE) || slot.is(flag::CLOSING | flag::HAS_RETRY | flag::RETIRED) {
                return;
            }
            if budget == 0 || errors == ERRORS_MAX {
                if errors == ERRORS_MAX {
                    let at = self.core.tick_after(ERROR_PAUSE);
                    return self.core.udp.retry_at(index, at);
                }
                self.core.counters.datagram_budget_spent += 1;
                return self.core.udp.queue(index);
            }
            let wanted = if slot.is(flag::BUSY) { BATCH_MAX } else { BATCH_FIRST }.min(self.inbound.batch);
            let (sys, socket) = self.io.socket(index);
            let result = self.inbound.receive(wanted, |bufs, received| sys.receive(socket, bufs, received));
            if parts::OBSERVE
                && let Some(trace) = &mut self.io.trace
            {
                let got = |&n: &usize| self.inbound.received[..n].iter().map(|one| one.len as u64).sum();
                let bytes = result.as_ref().map_or(0, got);
                trace.ended("read", Of::Nothing, "UDP socket", bytes, self.io.sys.now());
            }
            self.core.counters.receives += 1;
            let slot = &mut self.core.udp.slots[index as usize];
            match result {
                Ok(n) => {
                    let full = n == wanted;
                    if full {
                        slot.set(flag::BUSY);
                    } else {
                        slot.clear(flag::BUSY);
                    }
                    let ends = !full && self.io.sys.short_ends() && !slot.is(flag::BROKEN);
                    if ends || planted(Fault::LostDatagramEdge) {
                        slot.clear(flag::READABLE);
                    }
                    errors = 0;
                    budget = budget.saturating_sub(self.deliver_datagrams(index, n));
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.core.counters.receives_would_block += 1;
                    slot.clear(flag::READABLE | flag::BROKEN | flag::BUSY);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => return self.core.udp.queue(index),
                Err(error) => {
                    errors += 1;
                    budget -= 1;
                    self.core.counters.datagram_errors += 1;
                    if planted(Fault::DatagramErrorEndsReceiving) {
                        slot.clear(flag::READABLE | flag::BROKEN);
                    }
                    self.call_socket("error", index, |service, socket| service.socket_error(socket, error));
                }
            }
        }
    }

    /// Gives the service what the last call received in `n` buffers; tells how many datagrams that were.
    fn deliver_datagrams(&mut self, index: u32, n: usize) -> usize {
        let mut datagrams = 0;
        for buffer in 0..n {
            let meta = self.inbound.received[buffer];
            let len = meta.len.min(BUFFER);
            let stride = if meta.stride == 0 || planted(Fault::StrideIgnored) { len } else { meta.stride };
            let service = self.core.udp.slots[index as usize].service as usize;
            self.begin();
            let (from, ecn) = (canonical(meta.addr), ecn_of(&meta));
            let to = meta.dst_ip.map(|ip| ip.to_canonical());
            let bytes = &self.inbound.bytes[buffer * STRIDE..buffer * STRIDE + len];
            let (mut at, before) = (0, datagrams as u64);
            // An empty datagram is one too.
            while at == 0 || at < len {
                // Closed in its own callback: what came behind is nobody's.
                if self.core.udp.slots[index as usize].is(flag::CLOSING) {
                    self.core.counters.datagrams_undelivered +=
                        (len.max(1) - at).div_ceil(stride.max(1)) as u64;
                    break;
                }
                let end = (at + stride).min(len);
                let datagram = Datagram { from, to, ecn, bytes: &bytes[at..end] };
                let mut socket = Socket::new(&mut self.core, &mut self.io, index);
                self.services[service].host.datagram(&mut socket, datagram);
                datagrams += 1;
                at = end.max(1);
            }
            self.core.counters.bytes_in += len as u64;
            let delivered = datagrams as u64 - before;
            self.core.count_datagrams(index, |flow| {
                flow.bytes_in += len as u64;
                flow.datagrams_in += delivered;
            });
            self.check_stall("datagram", None, service);
        }
        self.core.counters.datagrams_in += datagrams as u64;
        datagrams
    }

    fn call_socket(
        &mut self,
        callback: &'static str,
        index: u32,
        f: impl FnOnce(&mut dyn Hosted, &mut Socket<'_>),
    ) {
        let slot = &self.core.udp.slots[index as usize];
        let service = slot.service as usize;
        if slot.is(flag::CLOSING) {
            return;
        }
        self.begin();
        f(&mut *self.services[service].host, &mut Socket::new(&mut self.core, &mut self.io, index));
        self.check_stall(callback, None, service);
    }

    /// Sends what callbacks queued on sockets other than their own, and closes what is to be closed.
    pub(super) fn flush_sockets(&mut self) {
        while let Some(index) = self.core.udp.touched.pop() {
            let slot = &mut self.core.udp.slots[index as usize];
            if !slot.is(flag::TOUCHED) {
                continue;
            }
            slot.clear(flag::TOUCHED);
            send::flush(&mut self.core, &mut self.io, index);
            let slot = &self.core.udp.slots[index as usize];
            let sending = slot.is(flag::SENDING_LAST) && slot.output.is_some();
            if slot.is(flag::CLOSING) && !sending {
                self.destroy_socket(index);
            }
        }
    }

    fn destroy_socket(&mut self, index: u32) {
        if let Some(output) = self.core.udp.slots[index as usize].output.take() {
            self.core.buffered -= output.len();
            self.core.counters.datagrams_dropped += output.datagrams() as u64;
            self.core.udp.give_back(output);
        }
        if let Some(socket) = self.io.udp[index as usize].take() {
            let slot = &self.core.udp.slots[index as usize];
            if slot.peer.is_none() {
                self.listeners[slot.listener as usize].sockets.fetch_sub(1, Ordering::Release);
            }
            let registered = !slot.is(flag::RETIRED | flag::UNREGISTERED)
                || slot.is(flag::RETIRED) && slot.is(flag::WANTS_ROOM);
            self.io.sys.close_udp(socket, registered);
            self.core.counters.closes_done += 1;
            self.core.counters.sockets -= 1;
        }
        self.core.udp.remove(index);
    }

    /// Acts on the deadlines of sockets.
    pub(super) fn socket_timers(&mut self) {
        if self.core.udp.open == 0 {
            return;
        }
        let mut fired = std::mem::take(&mut self.fired);
        let tick = self.core.tick;
        self.core.udp.advance(tick, &mut fired);
        for &index in &fired {
            let slot = &mut self.core.udp.slots[index as usize];
            if slot.is(flag::HAS_RETRY) && reached(slot.retry, tick) {
                slot.clear(flag::HAS_RETRY);
                self.core.udp.queue(index);
            }
            let slot = &mut self.core.udp.slots[index as usize];
            if slot.is(flag::HAS_WAKE) && reached(slot.wake, tick) {
                slot.clear(flag::HAS_WAKE);
                self.core.counters.deadlines += 1;
                self.call_socket("timeout", index, |service, socket| service.socket_timeout(socket));
            }
            self.core.udp.rearm(index);
        }
        fired.clear();
        self.fired = fired;
    }

    // --- The way out.

    /// A successor receives what comes to the sockets this server has bound, what waits in them included:
    /// they retire. Those it did not take are read once more, and close once their output has been sent.
    /// Sockets with a peer stay, as connections do.
    pub(super) fn give_up_sockets(&mut self) {
        for index in 0..self.core.udp.slots.len() as u32 {
            let slot = &mut self.core.udp.slots[index as usize];
            if !slot.is(flag::LIVE) || slot.peer.is_some() {
                continue;
            }
            let taken = self.listeners[slot.listener as usize].taken.load(Ordering::Acquire);
            if taken && !slot.is(flag::CLOSING) && !planted(Fault::SupersededUnsent) {
                self.retire_socket(index);
                continue;
            }
            if !taken {
                self.last_receive_of(index);
            }
            if planted(Fault::SupersededUnsent) {
                self.core.udp.close(index);
            } else {
                self.core.udp.close_when_sent(index);
            }
        }
        self.flush_sockets();
        self.close_retired_sockets();
    }

    /// Nothing is received from it any more. A registration that waits for room begins anew.
    fn retire_socket(&mut self, index: u32) {
        let (sys, socket) = self.io.socket(index);
        let retired = super::io::again(|| sys.retire_udp(socket)).is_ok();
        let slot = &mut self.core.udp.slots[index as usize];
        slot.clear(flag::READABLE | flag::BROKEN | flag::BUSY);
        slot.set(flag::RETIRED);
        self.core.udp.retired += 1;
        if !retired {
            return self.core.udp.close_when_sent(index);
        }
        if slot.is(flag::WANTS_ROOM) {
            slot.clear(flag::WANTS_ROOM);
            slot.set(flag::WRITABLE);
            self.core.udp.touch(index);
        }
    }

    /// A retired socket is kept for answers of its service that are under way: as long as that has
    /// connections or sockets with a peer here, and somebody receives what comes to it.
    pub(super) fn close_retired_sockets(&mut self) {
        if self.core.udp.retired == 0 {
            return;
        }
        let gone = self.shared.successor_gone.load(Ordering::Acquire);
        for index in 0..self.core.udp.slots.len() as u32 {
            let slot = &self.core.udp.slots[index as usize];
            if slot.is(flag::RETIRED) && !slot.is(flag::CLOSING) && (gone || !self.answers(slot.service)) {
                self.core.udp.close_when_sent(index);
            }
        }
        self.flush_sockets();
    }

    /// Whether a service may yet have something to say on this worker.
    fn answers(&self, service: u16) -> bool {
        let core = &self.core;
        let flow = |slot: &SocketSlot| slot.is(flag::LIVE) && slot.service == service && slot.peer.is_some();
        !core.members[service as usize].is_empty()
            || core.counters.connecting > 0
            || core.udp.slots.iter().any(flow)
    }

    /// What has arrived is still delivered: one more turn of receiving for every socket.
    pub(super) fn last_receive(&mut self) {
        for index in 0..self.core.udp.slots.len() as u32 {
            if self.core.udp.slots[index as usize].is(flag::LIVE) {
                self.receive_once_more(index);
            }
        }
    }

    /// Tells every socket's service of the shutdown: the only one, or all that do not stay.
    pub(super) fn tell_sockets_draining(&mut self, only: Option<u16>) {
        for index in 0..self.core.udp.slots.len() as u32 {
            let slot = &self.core.udp.slots[index as usize];
            if slot.is(flag::LIVE) && self.core.is_meant(slot.service, false, only) {
                self.call_socket("draining", index, |service, socket| service.socket_draining(socket));
            }
        }
        self.flush_sockets();
    }

    /// Closes every socket, whatever it still has to send.
    pub(super) fn close_sockets(&mut self) {
        for index in 0..self.core.udp.slots.len() as u32 {
            if self.core.udp.slots[index as usize].is(flag::LIVE) {
                self.core.udp.close(index);
            }
        }
        self.flush_sockets();
    }
}
