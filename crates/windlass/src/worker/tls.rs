//! Reading a connection with TLS: handshake, plaintext for the service, and how the stream ended.
//!
//! [`Worker::read_tls`] is [`Worker::read`] with a session between the socket and the service. Limits and
//! budgets hold for plaintext; a turn reads no more ciphertext than plaintext.

use std::io;

use crate::close::Close;
use crate::connect::{Connect, ConnectError};
use crate::core::slot::flag;
use crate::planted::{Fault, planted};
use crate::service::BeforeTls;
use crate::sys::Sys;
use crate::tls::session::{Call, End, Session, plaintext_max};
use crate::tls::{TlsTarget, handshake_error};
use crate::tls_error::TlsError;

use super::Worker;
use super::moving::peer_of;
use super::read::{INTERRUPTS_MAX, NO_READING};
use super::relay::{Moved, send_relayed};

/// Ciphertext is read in pieces of at least this, however little of it the service has room for: what is
/// too much waits decrypted.
const READ_MIN: usize = 16 * 1024;

/// What one look at a connection brought.
struct Filled {
    /// Plaintext, for the service.
    plain: usize,
    /// Ciphertext, from the socket.
    wire: usize,
    /// There is no more for now.
    short: bool,
}

impl<Y: Sys> Worker<Y> {
    /// Takes in a connection of a TLS listener: no session yet, neither of TLS nor of the service, only a
    /// deadline.
    pub(super) fn adopt_tls(&mut self, index: u32) {
        self.await_handshake(index);
        self.core.arm(index);
    }

    /// Begins the handshake of a connection we made.
    pub(super) fn connect_tls(&mut self, index: u32, target: &TlsTarget, connect: &Connect) {
        self.await_handshake(index);
        let (tag, while_draining) = (connect.tag, connect.while_draining);
        let call = Call { tag, while_draining, verdict: None };
        if let Err(error) = self.core.start_tls_client(index, target, call) {
            self.core.counters.tls_failed_by[error.kind()] += 1;
            self.core.counters.tls_handshakes_failed += 1;
            let why = ConnectError::Tls(error);
            // Without a session there is nothing to take leave of.
            let (id, service) = (self.core.id(index), self.core.slot(index).service);
            self.core.leave_service(index);
            self.destroy(index, true);
            return self.tell_connect_failed(id, service, tag, why);
        }
        self.core.arm(index);
    }

    fn await_handshake(&mut self, index: u32) {
        self.core.slot(index).set(flag::TLS | flag::HANDSHAKE);
        let timeout = self.core.limits.tls_handshake_timeout;
        if !timeout.is_zero() && !planted(Fault::NoHandshakeDeadline) {
            let at = self.core.tick_after(timeout);
            let slot = self.core.slot(index);
            slot.wake = at;
            slot.set(flag::HAS_WAKE);
        }
    }

    /// Reads until the socket is empty, the budget is spent, or the service has enough.
    pub(super) fn read_tls(&mut self, index: u32) {
        let mut budget = self.core.pool.read_budget;
        let mut interrupts = 0;
        loop {
            let slot = &self.core.slots[index as usize];
            if !slot.is(flag::READABLE) || slot.is_held(NO_READING) {
                return;
            }
            if slot.is(flag::HANDSHAKE) && self.core.tls.left == 0 {
                self.core.counters.tls_handshakes_deferred += 1;
                return self.core.queue(index);
            }
            let held = slot.input.as_ref().map_or(0, |residue| residue.len());
            let room = self.core.input_max(index).saturating_sub(held);
            let mut head = 0;
            if self.copies(held)
                && let Some(residue) = &slot.input
            {
                self.core.pool.copy_input(residue, &mut self.scratch);
                head = held;
            }
            // At the limit, one byte more is too much, but the end may be all that follows.
            let wanted = (self.scratch.len() - head).min(room).min(budget).max(1);
            let filled = match self.fill(index, head, wanted) {
                Ok(Some(filled)) => filled,
                Ok(None) => return,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.core.counters.reads_would_block += 1;
                    return self.nothing_to_read(index);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted && !planted(Fault::InterruptedIsFatal) => {
                    interrupts += 1;
                    if interrupts == INTERRUPTS_MAX {
                        return self.core.queue(index);
                    }
                    continue;
                }
                Err(e) => {
                    self.core.slot(index).clear(flag::READABLE);
                    return self.core.close(index, Close::from_io(e));
                }
            };
            let newcomer = self.core.slot(index).is(flag::HANDSHAKE);
            if newcomer && !self.shake_hands(index, filled.plain) {
                return;
            }
            if filled.plain > 0 {
                if room == 0 {
                    return self.core.close(index, Close::InputFull);
                }
                self.deliver(index, held, head, filled.plain);
            }
            if newcomer && !self.core.slot(index).is(flag::HANDSHAKE) {
                // Behind what came with the end of the handshake.
                self.tell_late(index);
                // Telling uncorks, and what follows is corked again.
                self.core.cork_owner = index;
            }
            budget = budget.saturating_sub(filled.plain.max(filled.wire));
            if filled.short {
                return;
            }
            if self.core.output_len(index) >= self.core.limits.output_high {
                return self.core.queue(index);
            }
            if budget == 0 {
                self.core.counters.budget_spent += 1;
                if !planted(Fault::LostBudget) {
                    self.core.queue(index);
                }
                return;
            }
        }
    }

    /// Gets up to `wanted` bytes of plaintext into the scratch at `head`. `None`: the stream is over, and
    /// everybody has been told.
    fn fill(&mut self, index: u32, head: usize, wanted: usize) -> io::Result<Option<Filled>> {
        let mut session = self.core.tls.take(index);
        let mut wire = self.core.tls.wire();
        let mut rest = 0;
        if let Some(waiting) = &mut session {
            let plain = waiting.take_backlog(&mut self.scratch[head..head + wanted]);
            let end = if plain == 0 { waiting.take_end() } else { None };
            if plain > 0 || end.is_some() {
                self.put_session(index, session, wire);
                return Ok(match end {
                    None => Some(Filled { plain, wire: 0, short: false }),
                    Some(end) => {
                        self.end_of_tls(index, end);
                        None
                    }
                });
            }
            rest = waiting.rest().len();
            wire[..rest].copy_from_slice(waiting.rest());
        }
        let most = (wire.len() - rest).min(wanted.max(READ_MIN));
        self.core.counters.reads += 1;
        let read = self.io.read(index, &mut wire[rest..rest + most]);
        let n = match read {
            Ok(n @ 1..) => n,
            other => {
                self.put_session(index, session, wire);
                return match other {
                    Ok(_) => {
                        self.fin_of_tls(index);
                        Ok(None)
                    }
                    Err(e) => Err(e),
                };
            }
        };
        let mut short = self.book_read(index, n, most);
        let Some(mut session) = session.or_else(|| self.first_bytes(index)) else {
            self.core.tls.wire = wire;
            return Ok(None);
        };
        let mut out = Vec::new();
        let plain = session.open(&mut wire[..rest + n], &mut self.scratch[head..head + wanted], &mut out);
        if session.has_more() && !planted(Fault::PlaintextHeldBack) {
            // Decrypted, or known to be the end: no event will tell of it.
            self.core.slot(index).set(flag::READABLE);
            short = false;
        }
        self.put_session(index, Some(session), wire);
        if !out.is_empty() {
            if self.core.slot(index).is(flag::HANDSHAKE) {
                // This was no idle byte: it took an answer.
                self.core.tls.left -= 1;
            }
            self.core.queue_protocol(index, &out);
        }
        Ok(Some(Filled { plain, wire: n, short }))
    }

    /// One step of a relay with TLS at one end or at both.
    pub(super) fn copy_tls(&mut self, from: u32, to: u32, budget: usize) -> Moved {
        let mut room = self.relay_room(budget);
        let sealed = self.core.slot(to).is(flag::TLS);
        if sealed {
            room = plaintext_max(room).max(1);
        }
        let wanted = self.scratch.len().min(room);
        let filled = if self.core.slot(from).is(flag::TLS) {
            self.fill(from, 0, wanted)
        } else {
            self.core.counters.reads += 1;
            self.io.read(from, &mut self.scratch[..wanted]).map(|n| {
                let book = |n| Filled { plain: n, wire: n, short: self.book_read(from, n, wanted) };
                (n > 0).then_some(n).map(book)
            })
        };
        let filled = match filled {
            Ok(Some(filled)) => filled,
            Ok(None) if self.core.slot(from).is(flag::CLOSING) => return Moved::Over,
            Ok(None) => return self.nothing_read(from, to, Ok(0)),
            Err(e) => return self.nothing_read(from, to, Err(e)),
        };
        let plain = filled.plain;
        if plain > 0 {
            self.core.book_relayed(from, plain);
            let whole = if sealed {
                let mut out = std::mem::take(&mut self.core.tls.out);
                out.clear();
                self.core.seal_to(to, &self.scratch[..plain], &mut out);
                let whole = send_relayed(&mut self.core, &mut self.io, to, &out);
                self.core.tls.out = out;
                whole
            } else {
                send_relayed(&mut self.core, &mut self.io, to, &self.scratch[..plain])
            };
            if !whole {
                return Moved::Over;
            }
        }
        if filled.short { Moved::Over } else { Moved::Some(filled.plain.max(filled.wire)) }
    }

    fn put_session(&mut self, index: u32, session: Option<Box<Session>>, wire: Box<[u8]>) {
        self.core.tls.wire = wire;
        if let Some(session) = session {
            self.core.tls.put(index, session);
            self.core.book_tls(index);
        }
    }

    /// A session for a connection that has sent its first bytes. Before that it has none: who connects and
    /// says nothing costs a slot, as without TLS.
    fn first_bytes(&mut self, index: u32) -> Option<Box<Session>> {
        let listener = self.core.slot(index).listener as usize;
        let acceptor = self.listeners[listener].tls.as_ref()?;
        let slot = self.core.slot(index);
        let (peer, service) = (peer_of(slot.peer.to_addr()), usize::from(slot.service));
        let begun = match self.services[service].host.before_tls(peer, listener) {
            BeforeTls::Nothing => self.core.start_tls(index, acceptor, false),
            BeforeTls::ProxyHeader => self.core.start_tls(index, acceptor, true),
            BeforeTls::Refusal => Err(TlsError::Untrusted),
        };
        if let Err(error) = begun {
            self.core.slot(index).clear(flag::READABLE);
            self.core.close(index, Close::Tls(error));
        }
        self.core.tls.take(index)
    }

    /// Gives the service its connection once the handshake is done. False: it is not, or the `plain` bytes
    /// that came with its end, at the front of the scratch, are not to be delivered now.
    fn shake_hands(&mut self, index: u32, plain: usize) -> bool {
        if self.core.tls.get(index).is_none_or(|session| session.is_handshaking()) {
            // On with reading, unless the socket is empty.
            return self.core.slot(index).is(flag::READABLE);
        }
        let tag = self.core.handshake_done(index);
        self.leave_source_to_service(index);
        self.core.count_opened(index);
        match tag {
            None => self.call("open", index, |service, conn| service.open(conn)),
            Some(tag) => {
                self.core.counters.connects_done += 1;
                self.call("connected", index, |service, conn| service.connected(conn, tag));
            }
        }
        self.core.arm(index);
        if !self.core.slot(index).is_held(NO_READING) {
            return true;
        }
        // It is paused, congested or coupled before it was given anything.
        if let Some(mut session) = self.core.tls.take(index) {
            session.put_back(&self.scratch[..plain]);
            if session.has_more() {
                self.core.slot(index).set(flag::READABLE);
            }
            self.core.tls.put(index, session);
            self.core.book_tls(index);
        }
        self.tell_late(index);
        self.core.cork_owner = index;
        false
    }

    /// From here on a service without a limit of a source counts for itself.
    fn leave_source_to_service(&mut self, index: u32) {
        let slot = self.core.slot(index);
        if !slot.is(flag::SOURCE_COUNTED) || !self.services[usize::from(slot.service)].own.any_source {
            return;
        }
        slot.clear(flag::SOURCE_COUNTED);
        if let Some(source) = slot.peer.source() {
            self.shared.leave_source(source);
        }
    }

    /// The end of what the peer says, in TLS.
    fn end_of_tls(&mut self, index: u32, end: End) {
        match end {
            End::Failed(error) => {
                self.core.slot(index).clear(flag::READABLE);
                self.core.close(index, Close::Tls(error));
            }
            End::Clean if self.core.slot(index).is(flag::HANDSHAKE) => self.cut(index),
            // For the relay to pass on.
            End::Clean if self.core.slot(index).is(flag::RELAYED) => {}
            End::Clean => self.end_of_stream(index),
        }
    }

    /// The end of the TCP stream with no end of TLS before it.
    fn fin_of_tls(&mut self, index: u32) {
        if self.core.slot(index).is(flag::HANDSHAKE) {
            return self.cut(index);
        }
        if !planted(Fault::TruncationIsClean)
            && let Some(mut session) = self.core.tls.take(index)
        {
            session.truncated = true;
            self.core.tls.put(index, session);
        }
        if !self.core.slot(index).is(flag::RELAYED) {
            self.end_of_stream(index);
        }
    }

    /// The peer left in the middle of the handshake.
    fn cut(&mut self, index: u32) {
        let slot = self.core.slot(index);
        slot.set(flag::EOF);
        slot.clear(flag::READABLE);
        self.core.close(index, Close::Tls(TlsError::HandshakeCut));
    }

    /// The same for one that we made: the service waits for an answer.
    fn end_connecting(&mut self, index: u32, call: Call, why: Close, closes_left: &mut usize) {
        let orderly = why.is_orderly();
        let (id, service) = (self.core.id(index), self.core.slot(index).service);
        let reset = !orderly && !matches!(why, Close::Reset | Close::Io(_));
        self.go_down(index, orderly, reset, closes_left);
        if planted(Fault::HandshakeFailsSilently) {
            return;
        }
        let why = call.verdict.unwrap_or(match why {
            Close::Aborted => ConnectError::Shutdown,
            why => ConnectError::Tls(handshake_error(&why)),
        });
        self.tell_connect_failed(id, service, call.tag, why);
    }

    /// Carries out the end of a connection that the service never had.
    pub(super) fn end_handshake(&mut self, index: u32, why: Close, closes_left: &mut usize) {
        if let Some(call) = self.core.handshake_failed(index, &why) {
            return self.end_connecting(index, *call, why, closes_left);
        }
        let reset = !why.is_orderly() && !matches!(why, Close::Reset | Close::Io(_));
        self.go_down(index, why.is_orderly(), reset, closes_left);
    }
}
