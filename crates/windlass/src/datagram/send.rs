//! How datagrams leave: queued in order, sent as far as the system has room, dropped by rule beyond it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::config::WhenDatagramsFull;
use crate::core::{Core, Direct};
use crate::planted::{Fault, planted};
use crate::sys::{Outbound, UdpBuffers, is_too_long};

use super::queue::{Queue, Route};
use super::table::flag;

/// Output is not gathered beyond this: it is sent while it is still in the cache.
const GATHER_MAX: usize = 64 * 1024;
/// The longest datagram that a packet can hold: the length of IPv4 counts its own header too.
const DATAGRAM_MAX: usize = 65_507;
const DATAGRAM_MAX_SIX: usize = 65_527;
/// Interrupted or refused calls in a row before the socket waits for its next turn.
const AGAIN_MAX: usize = 16;

/// What a callback may ask of the driver at once.
pub(crate) trait DirectUdp {
    fn send(&mut self, index: u32, out: &Outbound<'_>) -> io::Result<()>;
    fn segments_max(&self, index: u32) -> usize;
    fn want_room(&mut self, index: u32, generation: u32, wanted: bool) -> io::Result<()>;
    /// Opens and registers a socket; tells its address and how many datagrams one call may send.
    fn connect_udp(
        &mut self,
        index: u32,
        generation: u32,
        peer: SocketAddr,
        buffers: UdpBuffers,
    ) -> io::Result<(SocketAddr, usize)>;
}

/// Queues a datagram, within the limits; false if it was dropped.
#[inline]
pub(crate) fn queue<D: Direct + ?Sized>(
    core: &mut Core,
    io: &mut D,
    index: u32,
    route: Route,
    bytes: &[u8],
) -> bool {
    let slot = &core.udp.slots[index as usize];
    if slot.is(flag::CLOSING) || !slot.is(flag::LIVE) {
        return false;
    }
    core.counters.datagrams_queued += 1;
    if let Some(why) = unsendable(&route, bytes.len()) {
        core.counters.datagrams_unsent += 1;
        told(core, index, io::Error::new(ErrorKind::InvalidInput, why));
        return false;
    }
    let queued = slot.output_len();
    if queued + bytes.len() > GATHER_MAX && slot.is(flag::WRITABLE) {
        flush(core, io, index);
    }
    if !has_room(core, index, bytes.len()) && !make_room(core, io, index, bytes.len()) {
        core.counters.datagrams_dropped += 1;
        return false;
    }
    let segments_max = core.udp.slots[index as usize].segments_max;
    if core.udp.slots[index as usize].output.is_none() {
        core.udp.slots[index as usize].output = Some(core.udp.new_queue());
    }
    let slot = &mut core.udp.slots[index as usize];
    let Some(output) = &mut slot.output else { return false };
    output.push(route, bytes, segments_max);
    core.buffered += bytes.len();
    let peak = &mut core.counters.datagram_output_peak_bytes;
    *peak = (*peak).max(output.len() as u64);
    core.udp.touch(index);
    true
}

/// What no system sends, in words.
#[inline]
fn unsendable(route: &Route, len: usize) -> Option<&'static str> {
    if len > DATAGRAM_MAX && (len > DATAGRAM_MAX_SIX || route.is_four()) {
        return Some("longer than a datagram can be");
    }
    (route.to.port() == 0).then_some("nobody has port 0")
}

#[inline]
fn has_room(core: &Core, index: u32, more: usize) -> bool {
    if planted(Fault::NoDatagramCap) {
        return true;
    }
    let limits = &core.limits;
    let (bytes, datagrams) = match &core.udp.slots[index as usize].output {
        Some(output) => (output.len(), output.datagrams()),
        None => (0, 0),
    };
    bytes + more <= limits.datagram_output_max
        && datagrams < limits.datagrams_queued_max
        && core.buffered + more <= limits.buffered_max
}

/// Sends what can be sent, and then drops what the policy says; false if that is the new datagram.
#[cold]
fn make_room<D: Direct + ?Sized>(core: &mut Core, io: &mut D, index: u32, more: usize) -> bool {
    flush(core, io, index);
    let own = core.udp.slots[index as usize].output_len();
    // Where the room is taken by others, what this socket drops of its own gives none.
    let may_fit =
        more <= core.limits.datagram_output_max && core.buffered - own + more <= core.limits.buffered_max;
    if core.limits.when_datagrams_full == WhenDatagramsFull::DropOldest && may_fit {
        while !has_room(core, index, more) {
            let Some(output) = &mut core.udp.slots[index as usize].output else { break };
            let Some(bytes) = output.pop_oldest() else { break };
            core.buffered -= bytes;
            core.counters.datagrams_dropped += 1;
        }
    }
    has_room(core, index, more)
}

/// Sends a socket's queue as far as the system takes it.
pub(crate) fn flush<D: Direct + ?Sized>(core: &mut Core, io: &mut D, index: u32) {
    let slot = &mut core.udp.slots[index as usize];
    if !slot.is(flag::WRITABLE) {
        return;
    }
    // Taken out while the driver reads it, since the rest of the core is needed too.
    let Some(mut output) = slot.output.take() else { return };
    let mut failed = Failed::default();
    loop {
        let segments_max = if failed.alone > 0 { 1 } else { core.udp.slots[index as usize].segments_max };
        let Some((out, datagrams)) = output.front(segments_max) else { break };
        core.counters.sends += 1;
        let bytes = out.bytes.len();
        match io.send(index, &out) {
            Ok(()) => {
                core.counters.datagrams_out += datagrams as u64;
                core.counters.bytes_out += bytes as u64;
                core.count_datagrams(index, |flow| {
                    flow.bytes_out += bytes as u64;
                    flow.datagrams_out += datagrams as u64;
                });
                core.buffered -= bytes;
                output.pop(bytes, datagrams);
                failed.but_now_sent(core, index);
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                core.counters.sends_would_block += 1;
                blocked(core, io, index);
                if planted(Fault::BlockedDatagramLost) {
                    core.buffered -= bytes;
                    output.pop(bytes, datagrams);
                }
                break;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted && failed.again < AGAIN_MAX => failed.again += 1,
            Err(e) if e.kind() == ErrorKind::Interrupted => {
                core.udp.queue(index);
                break;
            }
            Err(e) => {
                if !failed.is_to_be_tried_again(core, io, index, e, datagrams) {
                    core.buffered -= bytes;
                    output.pop(bytes, datagrams);
                }
            }
        }
    }
    if let Some(error) = failed.earlier {
        told(core, index, error);
    }
    after(core, index, output);
}

/// What follows once a flush has gone as far as it could.
fn after(core: &mut Core, index: u32, output: Box<Queue>) {
    if !output.is_empty() {
        core.udp.slots[index as usize].output = Some(output);
        return;
    }
    core.udp.give_back(output);
    let slot = &mut core.udp.slots[index as usize];
    if slot.is(flag::BLOCKED) {
        slot.clear(flag::BLOCKED);
        slot.set(flag::OWED_DRAINED);
        core.udp.queue(index);
    }
}

/// The system has no room: wait for the event that says otherwise.
#[cold]
fn blocked<D: Direct + ?Sized>(core: &mut Core, io: &mut D, index: u32) {
    let slot = &mut core.udp.slots[index as usize];
    slot.clear(flag::WRITABLE);
    slot.set(flag::BLOCKED);
    if slot.is(flag::WANTS_ROOM) || planted(Fault::RoomNotAwaited) {
        return;
    }
    slot.set(flag::WANTS_ROOM);
    let generation = slot.generation;
    core.counters.modifies += 1;
    if let Err(e) = io.want_room(index, generation, true) {
        // Nothing would tell of room: it is tried again with whatever the next turn brings.
        let slot = &mut core.udp.slots[index as usize];
        slot.clear(flag::WANTS_ROOM);
        slot.set(flag::WRITABLE);
        told(core, index, e);
    }
}

/// What one flush remembers of its calls that failed.
#[derive(Default)]
struct Failed {
    /// Calls for the datagram at the front that are to be tried again.
    again: usize,
    /// Datagrams at the front that one call was to send and did not: each is sent alone.
    alone: usize,
    /// The system says that it cannot cut up; it may mean something else.
    suspect: bool,
    /// What a connected socket said once, and perhaps of an earlier datagram.
    earlier: Option<io::Error>,
}

impl Failed {
    #[inline]
    fn but_now_sent(&mut self, core: &mut Core, index: u32) {
        if self.alone + self.again > 0 || self.earlier.is_some() {
            self.sent_after_all(core, index);
        }
    }

    #[cold]
    fn sent_after_all(&mut self, core: &mut Core, index: u32) {
        let was_alone = self.alone > 0;
        self.again = 0;
        self.alone = self.alone.saturating_sub(1);
        if std::mem::take(&mut self.suspect) && was_alone {
            // What went alone did not go with others: one by one then, from now on.
            core.udp.slots[index as usize].segments_max = 1;
            core.counters.gso_stopped += 1;
        }
        if let Some(error) = self.earlier.take() {
            told(core, index, error);
        }
    }

    /// A send failed. Tells whether what it was to send is still to be sent.
    #[cold]
    fn is_to_be_tried_again<D: Direct + ?Sized>(
        &mut self,
        core: &mut Core,
        io: &mut D,
        index: u32,
        error: io::Error,
        datagrams: usize,
    ) -> bool {
        if datagrams > 1 {
            let cannot = io.segments_max(index) == 1;
            // A path that is too narrow takes them in fragments, but not that and cut up at once.
            if cannot || is_too_long(&error) {
                (self.alone, self.suspect) = (datagrams, cannot);
                return true;
            }
        }
        let connected = core.udp.slots[index as usize].peer.is_some();
        if connected && error.kind() == ErrorKind::ConnectionRefused && self.again < AGAIN_MAX {
            // The fate of an earlier datagram; this one was not tried.
            self.again += 1;
            told(core, index, error);
            return true;
        }
        if connected && self.earlier.is_none() {
            // So is this, perhaps: the second try tells.
            self.earlier = Some(error);
            return true;
        }
        self.again = 0;
        self.alone = self.alone.saturating_sub(datagrams);
        self.earlier = None;
        core.counters.datagrams_unsent += datagrams as u64;
        told(core, index, error);
        false
    }
}

/// Keeps an error for the service, which is told in the next turn.
fn told(core: &mut Core, index: u32, error: io::Error) {
    core.counters.datagram_errors += 1;
    core.udp.slots[index as usize].error.get_or_insert(error);
    core.udp.queue(index);
}
