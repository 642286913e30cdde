//! Sending what is queued: one call for one connection, and what follows from its result.

use std::io::{self, IoSlice};

use super::output::{Output, SLICES_MAX};
use super::slot::flag;
use super::{Core, Direct};
use crate::close::Close;
use crate::planted::{Fault, planted};

/// Calls for one connection in one flush: a queue of many small pieces needs more than one.
const CALLS_MAX: usize = 16;

/// Ends the present connection's hold on the cork and sends what is in it.
///
/// Where callbacks of this turn write to other connections too (a chat, a game), more may come for
/// this one before the turn is over: then its output waits for the flush at the end of the turn, and
/// goes out in one call.
pub(crate) fn uncork<D: Direct + ?Sized>(core: &mut Core, io: &mut D, index: u32) {
    debug_assert_eq!(core.cork_owner, index);
    #[cfg(feature = "tls")]
    if core.slots[index as usize].is(flag::TLS) {
        core.seal_cork(index);
    }
    if !core.cork.is_empty() {
        let mut rest = 0;
        if !core.touched.is_empty() {
            core.touch(index);
        } else if core.slots[index as usize].is(flag::WRITABLE) {
            let result = io.write(index, &core.cork);
            rest = sent(core, io, index, result, core.cork.len()).unwrap_or(core.cork.len());
        }
        if rest < core.cork.len() && !planted(Fault::PartialWriteForgotten) {
            let cork = std::mem::take(&mut core.cork);
            core.enqueue(index, &cork[rest..], None);
            core.cork = cork;
        }
        core.cork.clear();
    }
    core.cork_owner = u32::MAX;
    let slot = &core.slots[index as usize];
    if !slot.is(flag::TOUCHED) && (slot.output.is_some() || slot.is(flag::FINISH)) {
        flush(core, io, index);
    }
}

/// Sends a connection's queue as far as its socket takes it.
pub(crate) fn flush<D: Direct + ?Sized>(core: &mut Core, io: &mut D, index: u32) {
    #[cfg(feature = "tls")]
    if core.slots[index as usize].is(flag::TLS) {
        core.seal_for_flush(index);
    }
    let slot = &mut core.slots[index as usize];
    slot.clear(flag::TOUCHED);
    for _ in 0..CALLS_MAX {
        let slot = &mut core.slots[index as usize];
        if !slot.is(flag::WRITABLE) {
            break;
        }
        // Taken out while the driver reads it, since the rest of the core is needed too.
        let Some(mut output) = slot.output.take() else { break };
        if let Some((pipe, len)) = output.pipe() {
            if send_piped(core, io, index, output, pipe, len) {
                continue;
            }
            break;
        }
        let (result, bytes) = match output.only(&core.pool) {
            // As nearly always.
            Some(bytes) => (io.write(index, bytes), bytes.len()),
            None => write_pieces(core, io, index, &output),
        };
        let n = sent(core, io, index, result, bytes);
        if let Some(n) = n {
            output.consume(n, &mut core.pool);
            core.buffered -= n;
            output.note_progress(n, core.limits.write_progress_min, core.tick);
        }
        if n.is_none() || output.len() == 0 || (n < Some(bytes) && planted(Fault::PartialWriteForgotten)) {
            core.buffered -= output.len();
            core.pool.give_output(output);
            break;
        }
        core.slots[index as usize].output = Some(output);
    }
    after(core, io, index);
}

/// The same of a queue that is not in one piece: apart, since the slices alone are a kilobyte to be filled.
#[inline(never)]
fn write_pieces<D: Direct + ?Sized>(
    core: &Core,
    io: &mut D,
    index: u32,
    output: &Output,
) -> (io::Result<usize>, usize) {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let (filled, bytes) = output.gather(&core.pool, &mut slices);
    (io.writev(index, &slices[..filled]), bytes)
}

/// Sends what is queued on a connection whose callback does not run, and `bytes` behind it, in one call and
/// without copying them; what was not taken is queued.
pub(crate) fn write_through<D: Direct + ?Sized>(core: &mut Core, io: &mut D, index: u32, bytes: &[u8]) {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let mut queued = 0;
    // Taken out while the driver reads it, since the rest of the core is needed too.
    let output = core.slots[index as usize].output.take();
    let mut filled = 0;
    // Too much may be before it to be sent along.
    let fits = output.as_ref().is_none_or(|output| {
        if output.pipe().is_none() {
            (filled, queued) = output.gather(&core.pool, &mut slices);
        }
        queued == output.len() && filled < SLICES_MAX
    });
    if !fits {
        core.slots[index as usize].output = output;
        core.enqueue(index, bytes, None);
        return core.touch(index);
    }
    let result = match filled {
        0 => io.write(index, bytes),
        _ => {
            slices[filled] = IoSlice::new(bytes);
            io.writev(index, &slices[..=filled])
        }
    };
    let sent = sent(core, io, index, result, queued + bytes.len());
    let taken = sent.map_or(queued, |n| n.min(queued));
    if let Some(mut output) = output {
        core.buffered -= taken;
        output.consume(taken, &mut core.pool);
        output.note_progress(sent.unwrap_or(0), core.limits.write_progress_min, core.tick);
        match output.len() {
            0 => core.pool.give_output(output),
            _ => core.slots[index as usize].output = Some(output),
        }
        // Whoever is owed `drained` is found by the flush.
        core.touch(index);
    }
    let Some(n) = sent else { return };
    let rest = &bytes[n - taken..];
    if !rest.is_empty() {
        core.enqueue(index, rest, None);
        core.touch(index);
    }
}

/// Sends what is at the front of a queue in a pipe; false when that is all for now.
#[cold]
fn send_piped<D: Direct + ?Sized>(
    core: &mut Core,
    io: &mut D,
    index: u32,
    mut output: Box<Output>,
    pipe: u32,
    len: usize,
) -> bool {
    let result = io.splice_out(index, pipe, len);
    // Unlike a short write, a short splice does not promise an event: only `WouldBlock` does.
    let wanted = result.as_ref().map_or(len, |n| *n);
    let n = sent(core, io, index, result, wanted);
    if let Some(n) = n {
        core.buffered -= n;
        output.note_progress(n, core.limits.write_progress_min, core.tick);
        if let Some(emptied) = output.consume_pipe(n) {
            io.give_pipe(emptied, true);
        }
    }
    if n.is_none() || output.len() == 0 {
        core.buffered -= output.len();
        core.pool.give_output(output);
        return false;
    }
    core.slots[index as usize].output = Some(output);
    true
}

/// What follows once a flush has gone as far as it could.
fn after<D: Direct + ?Sized>(core: &mut Core, io: &mut D, index: u32) {
    // Where hardly a block is free, nobody adds to what waits.
    let low = if core.pool.is_short() { 0 } else { core.limits.output_low };
    let slot = &mut core.slots[index as usize];
    let left = slot.output_len();
    if slot.is(flag::CONGESTED) && left <= low && !planted(Fault::NoResume) {
        slot.clear(flag::CONGESTED);
        slot.set(flag::OWED_DRAINED | flag::REDELIVER);
        core.queue(index);
    }
    let slot = &mut core.slots[index as usize];
    if left > 0 {
        if slot.is(flag::WRITABLE) {
            // Not blocked, only out of calls: on in the next turn.
            core.queue(index);
        }
        core.arm(index);
        return;
    }
    if slot.is(flag::RELAYED) {
        core.relay_drained(index);
    }
    let slot = &mut core.slots[index as usize];
    if slot.is(flag::FINISH) && !slot.is(flag::FINISHED | flag::CLOSING) {
        slot.set(flag::FINISHED);
        core.counters.finishes += 1;
        // Fails only on a connection that is gone, which reading will find.
        let _ = io.finish(index);
        if core.slots[index as usize].is(flag::EOF) {
            // Both halves are finished.
            core.close(index, Close::Eof);
        }
    }
    core.settle(index);
}

/// Books the result of a write of `wanted` bytes: how many were sent (0 when there was no room), or
/// `None` when the connection broke and is being closed.
#[inline]
pub(crate) fn sent<D: Direct + ?Sized>(
    core: &mut Core,
    io: &mut D,
    index: u32,
    result: io::Result<usize>,
    wanted: usize,
) -> Option<usize> {
    core.counters.writes += 1;
    match result {
        // As nearly always.
        Ok(n) if n == wanted => {
            core.count_out(index, n);
            core.slots[index as usize].active = core.tick;
            Some(n)
        }
        result => sent_in_part(core, io, index, result, wanted),
    }
}

#[cold]
fn sent_in_part<D: Direct + ?Sized>(
    core: &mut Core,
    io: &mut D,
    index: u32,
    result: io::Result<usize>,
    wanted: usize,
) -> Option<usize> {
    let tick = core.tick;
    let short_ends = io.short_ends();
    let slot = &mut core.slots[index as usize];
    match result {
        Ok(n) => {
            if n > 0 {
                slot.active = tick;
            }
            core.count_out(index, n);
            if n < wanted && short_ends {
                blocked(core, io, index);
            }
            Some(n)
        }
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
            core.counters.writes_would_block += 1;
            blocked(core, io, index);
            Some(0)
        }
        // Nothing was sent, and the socket may well have room: the next flush tries again.
        Err(e) if e.kind() == io::ErrorKind::Interrupted && !planted(Fault::InterruptedIsFatal) => {
            core.queue(index);
            Some(0)
        }
        Err(e) => {
            write_failed(core, index, Close::from_io(e));
            None
        }
    }
}

/// Nothing more can be sent. Input that came before the break is still there and is read before the
/// end is believed; where nobody reads, the connection ends here.
fn write_failed(core: &mut Core, index: u32, why: Close) {
    core.drop_output(index);
    let slot = &mut core.slots[index as usize];
    slot.set(flag::WRITE_FAILED | flag::READ_CLOSED | flag::READABLE);
    if slot.is(flag::CONGESTED) {
        // What was left for want of room is offered once more.
        slot.set(flag::REDELIVER);
    }
    slot.clear(flag::WRITABLE | flag::CONGESTED);
    if slot.is(flag::PAUSED | flag::EOF) || !matches!(why, Close::Reset) || planted(Fault::ErrorBeforeData) {
        core.close(index, why);
    }
    core.queue(index);
    core.settle(index);
}

/// The socket is full: wait for the event that says otherwise.
fn blocked<D: Direct + ?Sized>(core: &mut Core, io: &mut D, index: u32) {
    let slot = &mut core.slots[index as usize];
    slot.clear(flag::WRITABLE);
    if slot.is(flag::WANTS_WRITE) {
        return;
    }
    slot.set(flag::WANTS_WRITE);
    let generation = slot.generation;
    match io.want_write(index, generation) {
        Ok(modified) => core.counters.modifies += u64::from(modified),
        Err(e) => core.close(index, Close::from_io(e)),
    }
}
