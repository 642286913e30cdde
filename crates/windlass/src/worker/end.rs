//! Ending connections: the reasons were decided in the turn, here they are carried out.
//!
//! Open -> (reason decided) CLOSING -> (`closed` called) ENDED -> output sent -> FIN sent, lingering
//! -> the peer's FIN or the deadline -> gone. A peer that finished first, or of which nothing is to be
//! expected (a device has no end), is closed without lingering; the reasons that are not orderly go straight to gone.

use crate::close::Close;
use crate::conn::Conn;
use crate::core::slot::flag;
use crate::observe::trace::Of;
use crate::parts;
use crate::planted::{Fault, planted};
use crate::sys::Sys;

use super::Worker;

impl<Y: Sys> Worker<Y> {
    /// Sends what is still queued, tells services about ends, takes ended connections one step on.
    pub(super) fn end(&mut self) {
        let mut closes_left = self.core.limits.closes_per_turn_max;
        loop {
            // Services first: `closed` may write to others, who still get it all in one call.
            while closes_left > 0
                && let Some((index, why)) = self.core.closing.pop_front()
            {
                self.tell_closed(index, why, &mut closes_left);
            }
            // A flush may fail and end one more, or be the last before a FIN.
            self.flush_touched();
            while closes_left > 0
                && let Some(index) = self.core.settling.pop()
            {
                self.step(index, &mut closes_left);
            }
            let done = self.core.closing.is_empty() && self.core.settling.is_empty();
            if closes_left == 0 || (done && self.core.touched.is_empty()) {
                return;
            }
        }
    }

    /// Calls `closed`, once, and begins the way down that the reason asks for.
    fn tell_closed(&mut self, index: u32, why: Close, closes_left: &mut usize) {
        #[cfg(feature = "tls")]
        if self.core.slot(index).is(flag::HANDSHAKE) {
            return self.end_handshake(index, why, closes_left);
        }
        #[cfg(feature = "tls")]
        let why = if self.core.slot(index).is(flag::TLS) { self.core.tls_reason(index, why) } else { why };
        let relayed = self.core.slot(index).is(flag::RELAYED);
        let mut why = why;
        if relayed {
            let cut_off = self.core.slot(index).is(flag::RESET);
            self.core.uncouple(index, &why);
            if !cut_off && self.core.slot(index).is(flag::RESET) && why.is_orderly() {
                // What the other had sent last found no room here.
                why = Close::MemoryFull;
            }
        }
        let orderly = why.is_orderly();
        // A reset that follows what is queued.
        let late_reset = relayed && self.core.slot(index).is(flag::RESET);
        let reset = !orderly && !matches!(why, Close::Reset | Close::Io(_));
        self.core.counters.ended += 1;
        self.core.count(index, |flow| flow.ended += 1);
        self.core.counters.closed_by[why.kind()] += 1;
        let service = self.core.slot(index).service as usize;
        if self.io.is_traced() {
            self.begin_entry();
            self.trace_ended("close", Of::Slot(index), why.label().into());
        }
        if orderly || !planted(Fault::ClosedNotCalled) {
            self.begin();
            let mut conn = Conn::new(&mut self.core, &mut self.io, index);
            self.services[service].host.closed(&mut conn, why);
            self.check_stall("closed", Some(index), service);
        }
        if relayed {
            self.core.leave_relay(index);
        }
        self.go_down(index, orderly || late_reset, reset, closes_left);
    }

    /// Takes a connection out of its service, and on its way down.
    pub(super) fn go_down(&mut self, index: u32, orderly: bool, reset: bool, closes_left: &mut usize) {
        self.core.leave_service(index);
        self.core.drop_input(index);
        #[cfg(feature = "tls")]
        if orderly && self.core.slot(index).is(flag::TLS) {
            // A reset that follows must not find the stream ended.
            if !self.core.slot(index).is(flag::RESET) {
                self.core.notify_close(index);
            }
            self.core.drop_tls(index);
        }
        let slot = self.core.slot(index);
        slot.set(flag::ENDED);
        slot.clear(flag::PAUSED | flag::CONGESTED | flag::OWED_DRAINED | flag::REDELIVER | flag::HAS_WAKE);
        if !orderly {
            *closes_left -= 1;
            return self.destroy(index, reset);
        }
        if slot.output.is_some() {
            // The flush that empties it takes the next step; should it never, the stall deadline does.
            self.core.arm(index);
        } else {
            self.core.settle(index);
        }
        if self.core.slot(index).is(flag::READABLE) {
            self.core.queue(index);
        }
    }

    /// One step of an ended connection whose output has all been sent.
    fn step(&mut self, index: u32, closes_left: &mut usize) {
        let slot = self.core.slot(index);
        // Closed since by a deadline or a shutdown, and perhaps somebody else's by now.
        if !slot.is(flag::SETTLING) {
            return;
        }
        slot.clear(flag::SETTLING);
        if slot.output.is_some() {
            return;
        }
        // Bytes that nobody reads would make the close of a silent one a reset.
        let is_silent = slot.is(flag::SILENT) && !slot.is(flag::READABLE | flag::FINISHED);
        if is_silent || slot.is(flag::EOF | flag::WRITE_FAILED | flag::RESET) {
            *closes_left -= 1;
            let reset = slot.is(flag::RESET);
            return self.destroy(index, reset);
        }
        if !self.io.lingers(index) {
            *closes_left -= 1;
            return self.destroy(index, false);
        }
        let slot = self.core.slot(index);
        if !slot.is(flag::FINISHED) {
            slot.set(flag::FINISHED);
            self.core.counters.finishes += 1;
            use crate::core::Direct;
            // Fails only on a connection that is gone, which reading will find.
            let _ = self.io.finish(index);
        }
        if !self.core.slot(index).is(flag::HAS_WAKE) {
            self.set_linger_deadline(index);
        }
        // Input left unread by a pause has sent its event long ago.
        if self.core.slot(index).is(flag::READABLE) {
            self.core.queue(index);
        }
    }

    fn set_linger_deadline(&mut self, index: u32) {
        if planted(Fault::NoLingerDeadline) {
            return;
        }
        let at = self.core.tick_after(self.core.limits.linger_timeout);
        let slot = self.core.slot(index);
        slot.wake = at;
        slot.set(flag::HAS_WAKE);
        self.core.wheel.arm(index, at);
    }

    /// Closes the socket and gives everything back.
    pub(super) fn destroy(&mut self, index: u32, reset: bool) {
        self.io.close(index, true, reset);
        self.core.counters.closes_done += 1;
        if parts::OBSERVE
            && let Some(trace) = &mut self.io.trace
        {
            // The slot's generation goes with it.
            let id = self.core.id(index);
            trace.name(Some(index), |_| id);
        }
        let slot = self.core.slot(index);
        let listener = slot.listener;
        let source = if slot.is(flag::SOURCE_COUNTED) { slot.peer.source() } else { None };
        self.core.remove(index);
        self.count_out(listener, source);
    }
}
