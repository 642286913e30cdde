//! How datagrams leave: queued in order, sent as far as the system has room, dropped by rule beyond it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::config::WhenDatagramsFull;
use crate::core::{Core, Direct};
use crate::planted::{Fault, planted};
use crate::sys::{Outbound, UdpBuffers};

use super::queue::{Queue, Route};
use super::table::flag;

/// Output is not gathered beyond this: it is sent while it is still in the cache.
const GATHER_MAX: usize = 64 * 1024;
/// The longest datagram that an IP packet can hold.
const DATAGRAM_MAX: usize = 65_527;
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
    if bytes.len() > DATAGRAM_MAX {
        core.counters.datagrams_unsent += 1;
        failed(core, index, io::Error::new(ErrorKind::InvalidInput, "longer than a datagram can be"));
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
    if core.limits.when_datagrams_full == WhenDatagramsFull::DropOldest
        && more <= core.limits.datagram_output_max
    {
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
    let mut again = 0;
    while let Some((out, datagrams)) = output.front(core.udp.slots[index as usize].segments_max) {
        core.counters.sends += 1;
        let bytes = out.bytes.len();
        match io.send(index, &out) {
            Ok(()) => {
                core.counters.datagrams_out += datagrams as u64;
                core.counters.bytes_out += bytes as u64;
                core.buffered -= bytes;
                output.pop(bytes, datagrams);
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
            Err(e) if e.kind() == ErrorKind::Interrupted && again < AGAIN_MAX => again += 1,
            Err(e) if e.kind() == ErrorKind::Interrupted => {
                core.udp.queue(index);
                break;
            }
            Err(e) => {
                let sent_again = not_sent(core, io, index, e, datagrams, &mut again);
                if !sent_again {
                    core.buffered -= bytes;
                    output.pop(bytes, datagrams);
                }
            }
        }
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
        failed(core, index, e);
    }
}

/// A send failed for good. Tells whether what it was to send is still to be sent.
#[cold]
fn not_sent<D: Direct + ?Sized>(
    core: &mut Core,
    io: &mut D,
    index: u32,
    error: io::Error,
    datagrams: usize,
    again: &mut usize,
) -> bool {
    let segments_max = io.segments_max(index);
    let slot = &mut core.udp.slots[index as usize];
    if datagrams > 1 && segments_max == 1 {
        // This route cannot have datagrams cut up for it: one by one then, from now on.
        slot.segments_max = 1;
        core.counters.gso_stopped += 1;
        return true;
    }
    // What a connected socket reports here is the fate of an earlier datagram; this one was not tried.
    let earlier = slot.peer.is_some() && error.kind() == ErrorKind::ConnectionRefused;
    let retry = earlier && *again < AGAIN_MAX;
    *again += usize::from(retry);
    if !retry {
        core.counters.datagrams_unsent += datagrams as u64;
    }
    failed(core, index, error);
    retry
}

/// Keeps an error for the service, which is told in the next turn.
fn failed(core: &mut Core, index: u32, error: io::Error) {
    core.counters.datagram_errors += 1;
    core.udp.slots[index as usize].error.get_or_insert(error);
    core.udp.queue(index);
}
