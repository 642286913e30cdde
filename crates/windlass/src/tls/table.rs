//! The TLS sessions of one worker, beside the table of connections, and what the core does for those that
//! have one: encrypting at the flush, `close_notify` before the FIN, counting handshakes.

use windlass_proto::proxy_protocol::Addresses;

use super::client::TlsTarget;
use super::info::TlsInfo;
use super::server::TlsAcceptor;
use super::session::{Call, FRAGMENT, Session};
use crate::close::Close;
use crate::connect::ConnectError;
use crate::core::slot::flag;
use crate::core::{Core, Direct, flush};
use crate::id::ConnId;
use crate::planted::{Fault, planted};
use crate::tls_error::TlsError;

/// Ciphertext read in one call, with what waited in front of it. More than [`super::session::REST_MAX`]
/// and one read together, so that there is always room.
pub(crate) const WIRE: usize = 160 * 1024;
/// Buffers of written plaintext kept between uses.
const SPARE_MAX: usize = 64;

#[derive(Default)]
pub(crate) struct Table {
    /// At the index of their connections. As long as the last connection that had one.
    sessions: Vec<Option<Box<Session>>>,
    /// What all of them are read into and decrypted in. Empty until the first is.
    pub(crate) wire: Box<[u8]>,
    /// What is encrypted, until it is sent or queued.
    pub(crate) out: Vec<u8>,
    spare: Vec<Vec<u8>>,
    /// Handshakes that may still cost something in this turn.
    pub(crate) left: usize,
}

impl Table {
    /// At the start of a turn.
    pub(crate) fn turn(&mut self, handshakes_max: usize) {
        self.left = handshakes_max;
    }

    /// The session, to work on while the core is needed too; `put` it back.
    pub(crate) fn take(&mut self, index: u32) -> Option<Box<Session>> {
        self.sessions.get_mut(index as usize)?.take()
    }

    pub(crate) fn put(&mut self, index: u32, session: Box<Session>) {
        let index = index as usize;
        if self.sessions.len() <= index {
            self.sessions.resize_with(index + 1, || None);
        }
        self.sessions[index] = Some(session);
    }

    pub(crate) fn get(&self, index: u32) -> Option<&Session> {
        self.sessions.get(index as usize)?.as_deref()
    }

    pub(crate) fn has(&self, index: u32) -> bool {
        self.get(index).is_some()
    }

    fn get_mut(&mut self, index: u32) -> Option<&mut Session> {
        self.sessions.get_mut(index as usize)?.as_deref_mut()
    }

    pub(crate) fn wire(&mut self) -> Box<[u8]> {
        if self.wire.is_empty() { vec![0; WIRE].into() } else { std::mem::take(&mut self.wire) }
    }
}

/// What the end of a connection means to its handshake.
pub(crate) fn handshake_error(why: &Close) -> TlsError {
    match why {
        Close::Tls(error) => error.clone(),
        Close::Idle | Close::SlowConsumer => TlsError::HandshakeTimeout,
        _ => TlsError::HandshakeCut,
    }
}

impl Core {
    /// What was agreed with the peer of a connection, if it speaks TLS.
    pub(crate) fn tls_info(&self, index: u32) -> Option<TlsInfo<'_>> {
        self.tls.get(index).map(Session::info)
    }

    pub(crate) fn is_truncated(&self, index: u32) -> bool {
        self.tls.get(index).is_some_and(|session| session.truncated)
    }

    /// Starts the session of a connection whose first bytes have come.
    pub(crate) fn start_tls(
        &mut self,
        index: u32,
        acceptor: &TlsAcceptor,
        header: bool,
    ) -> Result<(), TlsError> {
        self.begin_handshake(index, || Session::server(acceptor.config(), header))
    }

    /// What a PROXY header before the handshake said of a connection.
    pub(crate) fn proxied(&self, index: u32) -> Option<Addresses<'static>> {
        self.tls.get(index).and_then(Session::proxied)
    }

    /// Starts the session of a connection we made, and queues what it says first.
    pub(crate) fn start_tls_client(
        &mut self,
        index: u32,
        target: &TlsTarget,
        call: Call,
    ) -> Result<(), TlsError> {
        self.begin_handshake(index, || Session::client(target, call))?;
        let _ = self.with_out(index, |session, out| {
            session.open(&mut [], &mut [], out);
            Ok(())
        });
        Ok(())
    }

    /// Takes back a connection we made and that is in its handshake; false if it is none.
    pub(crate) fn cancel_handshake(&mut self, id: ConnId) -> bool {
        let same = self.slots.get(id.index as usize).is_some_and(|slot| {
            slot.generation == id.generation && id.worker == self.worker && slot.is(flag::HANDSHAKE)
        });
        same && self.give_up_handshake(id.index, |_| Some(ConnectError::Cancelled))
    }

    /// The shutdown's part of it: all that we made, or those that are not to go on during a drain.
    pub(crate) fn shut_handshakes(&mut self, all: bool, only: Option<u16>) {
        if self.counters.tls_handshakes == 0 {
            return;
        }
        for index in 0..self.slots.len() as u32 {
            let service = self.slot(index).service;
            if self.slot(index).is(flag::HANDSHAKE) && self.is_meant(service, all, only) {
                let ends = |call: &Call| (all || !call.while_draining).then_some(ConnectError::Shutdown);
                self.give_up_handshake(index, ends);
            }
        }
    }

    /// Ends the handshake of a connection we made, if `verdict` has one; false if it has none, or it is not
    /// of our making.
    fn give_up_handshake(&mut self, index: u32, verdict: impl FnOnce(&Call) -> Option<ConnectError>) -> bool {
        let Some(call) = self.tls.get_mut(index).and_then(Session::call) else { return false };
        let Some(verdict) = verdict(call) else { return false };
        call.verdict.get_or_insert(verdict);
        self.close(index, Close::Aborted);
        true
    }

    fn begin_handshake(
        &mut self,
        index: u32,
        make: impl FnOnce() -> Result<Session, TlsError>,
    ) -> Result<(), TlsError> {
        if self.counters.tls_handshakes as usize >= self.limits.tls_handshakes_max {
            return Err(TlsError::HandshakesFull);
        }
        let session = make()?;
        self.tls.put(index, Box::new(session));
        self.counters.tls_handshakes += 1;
        self.counters.tls_handshakes_started += 1;
        Ok(())
    }

    /// The handshake is over, the service may have the connection. Returns the tag of one that we made.
    pub(crate) fn handshake_done(&mut self, index: u32) -> Option<u64> {
        let resumed = self.tls.get(index).is_some_and(Session::is_resumed);
        self.counters.tls_handshakes -= 1;
        self.counters.tls_handshakes_done += 1;
        self.counters.tls_handshakes_resumed += u64::from(resumed);
        self.slot(index).clear(flag::HANDSHAKE | flag::HAS_WAKE | flag::OWED_DRAINED | flag::REDELIVER);
        self.tls.get_mut(index).and_then(Session::take_call).map(|call| call.tag)
    }

    /// The connection ends before the service had it. Returns what is known of one that we made.
    pub(crate) fn handshake_failed(&mut self, index: u32, why: &Close) -> Option<Box<Call>> {
        let kind = handshake_error(why).kind();
        self.counters.tls_failed_by[kind] += 1;
        self.counters.tls_handshakes_failed += 1;
        if self.tls.has(index) {
            self.counters.tls_handshakes -= 1;
        }
        self.slot(index).clear(flag::HANDSHAKE);
        self.tls.get_mut(index).and_then(Session::take_call)
    }

    /// Why a connection of the service ends: its peer may have ended the TCP stream only, and there may be
    /// no room for what was written last.
    pub(crate) fn tls_reason(&mut self, index: u32, why: Close) -> Close {
        let rest_sent = why.is_orderly() || self.slot(index).is(flag::RESET);
        let why = match rest_sent {
            true => self.seal_pending(index).err().unwrap_or(why),
            false => why,
        };
        let truncated = self.is_truncated(index) && !planted(Fault::TruncationIsClean);
        let why = match why {
            Close::Eof | Close::Truncated if truncated => Close::Tls(TlsError::Truncated),
            why => why,
        };
        if let Close::Tls(error) = &why {
            self.counters.tls_failed_by[error.kind()] += 1;
        }
        why
    }

    // --- Output.

    /// `write` for a connection with TLS: gathered as plaintext, encrypted at the flush.
    #[cold]
    pub(crate) fn write_tls<D: Direct + ?Sized>(&mut self, io: &mut D, index: u32, bytes: &[u8]) {
        let Some(Some(session)) = self.tls.sessions.get_mut(index as usize) else { return };
        let corked = self.cork_owner == index
            && self.slots[index as usize].output.is_none()
            && session.pending.is_empty();
        if corked {
            if self.cork.len() + bytes.len() <= self.cork_max {
                return self.cork.extend_from_slice(bytes);
            }
            return self.write_tls_through(io, index, bytes);
        }
        if session.pending.len() + bytes.len() <= FRAGMENT {
            if session.pending.capacity() == 0
                && let Some(spare) = self.tls.spare.pop()
            {
                session.pending = spare;
            }
            session.pending.extend_from_slice(bytes);
            self.book_tls(index);
        } else if self.seal_pending(index).is_ok() {
            self.seal_all(index, bytes);
        }
        self.touch(index);
    }

    fn seal_all(&mut self, index: u32, bytes: &[u8]) {
        for piece in bytes.chunks(self.cork_max) {
            if self.seal(index, piece).is_err() {
                return;
            }
        }
    }

    /// More than the cork holds: encrypts it piece by piece, and sends each at once while the socket
    /// takes it.
    fn write_tls_through<D: Direct + ?Sized>(&mut self, io: &mut D, index: u32, bytes: &[u8]) {
        let mut bytes = bytes;
        loop {
            let room = (self.cork_max - self.cork.len()).min(bytes.len());
            self.cork.extend_from_slice(&bytes[..room]);
            bytes = &bytes[room..];
            if bytes.is_empty() {
                return;
            }
            if !self.seal_cork(index) {
                return;
            }
            let cork = std::mem::take(&mut self.cork);
            let mut sent = 0;
            let slot = &self.slots[index as usize];
            if slot.is(flag::WRITABLE) && slot.output.is_none() {
                let result = io.write(index, &cork);
                sent = flush::sent(self, io, index, result, cork.len()).unwrap_or(cork.len());
            }
            if sent < cork.len() {
                self.enqueue(index, &cork[sent..], None);
            }
            self.cork = cork;
            self.cork.clear();
            if self.slots[index as usize].is(flag::CLOSING | flag::WRITE_FAILED) {
                return;
            }
            if self.slots[index as usize].output.is_some() {
                // The rest goes the way of what waits.
                self.seal_all(index, bytes);
                return self.touch(index);
            }
        }
    }

    /// Turns the cork from plaintext into ciphertext, with `close_notify` behind it when our half ends
    /// with it. False: there is nothing to be sent.
    pub(crate) fn seal_cork(&mut self, index: u32) -> bool {
        if self.cork.is_empty() {
            return false;
        }
        let Some(session) = self.tls.sessions.get_mut(index as usize).and_then(Option::as_mut) else {
            return false;
        };
        let out = &mut self.tls.out;
        out.clear();
        let result = session.seal(&self.cork, out);
        if self.slots[index as usize].is(flag::FINISH) && !planted(Fault::CloseNotifyForgotten) {
            session.notify_close(out);
        }
        std::mem::swap(&mut self.cork, out);
        if let Err(error) = result {
            self.close(index, Close::Tls(error));
        }
        !self.cork.is_empty()
    }

    /// Encrypts what was written, and queues it; `close_notify` behind it when our half ends here.
    pub(crate) fn seal_for_flush(&mut self, index: u32) {
        if self.seal_pending(index).is_ok() && self.slots[index as usize].is(flag::FINISH) {
            self.notify_close(index);
        }
    }

    /// # Errors
    ///
    /// Why it could not be queued; the connection ends for that reason, if it has none yet.
    pub(crate) fn seal_pending(&mut self, index: u32) -> Result<(), Close> {
        let Some(session) = self.tls.get_mut(index) else { return Ok(()) };
        if session.pending.is_empty() {
            return Ok(());
        }
        let mut pending = std::mem::take(&mut session.pending);
        self.book_tls(index);
        let sealed = self.seal(index, &pending);
        if self.tls.spare.len() < SPARE_MAX {
            pending.clear();
            self.tls.spare.push(pending);
        }
        sealed
    }

    /// Encrypts `plain` and queues it.
    pub(crate) fn seal(&mut self, index: u32, plain: &[u8]) -> Result<(), Close> {
        self.with_out(index, |session, out| session.seal(plain, out))
    }

    /// The same for what a relay owes its other end, whatever room there is.
    pub(crate) fn seal_untaken(&mut self, index: u32, plain: &[u8]) {
        let mut out = std::mem::take(&mut self.tls.out);
        out.clear();
        if let Some(session) = self.tls.get_mut(index) {
            let sealed = session.seal(plain, &mut out);
            if !out.is_empty() && !self.slots[index as usize].is(flag::WRITE_FAILED | flag::FINISHED) {
                self.append(index, &out, None);
                self.touch(index);
            }
            if let Err(error) = sealed {
                self.close(index, Close::Tls(error));
            }
        }
        self.tls.out = out;
    }

    /// Queues `close_notify`, once, whatever room there is: it is a few bytes, and without it the stream
    /// looks cut short.
    pub(crate) fn notify_close(&mut self, index: u32) {
        if planted(Fault::CloseNotifyForgotten) {
            return;
        }
        let mut out = std::mem::take(&mut self.tls.out);
        out.clear();
        if let Some(session) = self.tls.get_mut(index) {
            session.notify_close(&mut out);
            if !out.is_empty() && !self.slots[index as usize].is(flag::WRITE_FAILED | flag::FINISHED) {
                if self.has_blocks(index, out.len()) {
                    self.append(index, &out, None);
                    self.touch(index);
                } else {
                    // All that was said is on its way, and may arrive.
                    self.counters.blocks_refused += 1;
                }
            }
        }
        self.tls.out = out;
    }

    fn with_out(
        &mut self,
        index: u32,
        make: impl FnOnce(&mut Session, &mut Vec<u8>) -> Result<(), TlsError>,
    ) -> Result<(), Close> {
        let mut out = std::mem::take(&mut self.tls.out);
        out.clear();
        let mut done = Ok(());
        if let Some(session) = self.tls.get_mut(index) {
            let made = make(session, &mut out);
            done = self.queue_wire(index, &out);
            if let Err(error) = made {
                self.close(index, Close::Tls(error.clone()));
                done = Err(Close::Tls(error));
            }
        }
        self.tls.out = out;
        done
    }

    /// Queues protocol messages that came up while reading. What is corked goes behind them: it is not
    /// encrypted yet, and cork and queue are not to be used at the same time.
    pub(crate) fn queue_protocol(&mut self, index: u32, out: &[u8]) {
        let queued = self.queue_wire(index, out);
        if queued.is_ok() && self.cork_owner == index && self.seal_cork(index) {
            let cork = std::mem::take(&mut self.cork);
            let _ = self.queue_wire(index, &cork);
            self.cork = cork;
            self.cork.clear();
        }
    }

    /// Queues ciphertext, to be flushed in this turn. None of what comes behind a record that was not
    /// queued can be read.
    fn queue_wire(&mut self, index: u32, wire: &[u8]) -> Result<(), Close> {
        if wire.is_empty() || self.slots[index as usize].is(flag::WRITE_FAILED | flag::FINISHED) {
            return Ok(());
        }
        if let Some(why) = self.no_room(index, wire.len()) {
            let again = if matches!(why, Close::Overflow) { Close::Overflow } else { Close::MemoryFull };
            self.close(index, why);
            return Err(again);
        }
        self.append(index, wire, None);
        self.touch(index);
        Ok(())
    }

    /// Has no `close_notify` follow what is queued: the stream that is passed on had none either.
    pub(crate) fn end_without_notice(&mut self, index: u32) {
        if let Some(session) = self.tls.get_mut(index) {
            session.notified = true;
        }
    }

    /// Encrypts `plain` at the end of `out`, behind what is queued.
    pub(crate) fn seal_to(&mut self, index: u32, plain: &[u8], out: &mut Vec<u8>) {
        let Some(session) = self.tls.get_mut(index) else { return };
        if let Err(error) = session.seal(plain, out) {
            self.close(index, Close::Tls(error));
        }
    }

    /// Decrypted, and not given out.
    pub(crate) fn take_decrypted(&mut self, index: u32) -> Vec<u8> {
        let Some(session) = self.tls.get_mut(index) else { return Vec::new() };
        let decrypted = session.take_decrypted();
        self.book_tls(index);
        decrypted
    }

    /// Written and not yet encrypted.
    pub(crate) fn pending_len(&self, index: u32) -> usize {
        self.tls.get(index).map_or(0, |session| session.pending.len())
    }

    /// Counts what waits in a session with what is buffered, and holds it to the worker's bound.
    pub(crate) fn book_tls(&mut self, index: u32) {
        let Some(session) = self.tls.get_mut(index) else { return };
        let held = session.held();
        let booked = std::mem::replace(&mut session.booked, held);
        self.buffered = self.buffered + held - booked;
        if held > booked && self.buffered > self.limits.buffered_max && held > self.limits.output_high {
            self.close(index, Close::MemoryFull);
        }
    }

    /// What of a session is counted with what is buffered.
    pub(crate) fn tls_booked(&self, index: u32) -> usize {
        self.tls.get(index).map_or(0, |session| session.booked)
    }

    /// Lets a session go with a connection that moves to another worker.
    pub(crate) fn release_tls(&mut self, index: u32) -> Option<Box<Session>> {
        let mut session = self.tls.take(index)?;
        self.buffered -= std::mem::take(&mut session.booked);
        if planted(Fault::MoveForgetsDecrypted) {
            session.take_decrypted();
        }
        Some(session)
    }

    /// Takes in the session of a connection that has moved here. What waits in it is to be counted.
    pub(crate) fn receive_tls(&mut self, index: u32, session: Box<Session>) {
        // No event tells of what was read before.
        let more = if session.has_more() { flag::READABLE } else { 0 };
        self.slot(index).set(flag::TLS | more);
        self.tls.put(index, session);
    }

    /// Forgets the session and its keys.
    pub(crate) fn drop_tls(&mut self, index: u32) {
        if let Some(session) = self.tls.take(index) {
            self.buffered -= session.booked;
        }
    }
}
