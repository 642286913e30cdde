//! Connections that change their worker after they were opened.
//!
//! `Conn::move_to` sets MOVING, which stops reading, and puts the connection on a list. Here, at the end
//! of the turn, those whose output has all been sent leave: deregistered, their slot given back, and
//! handed to the other worker like a newcomer, with their untaken input, their seed, and the session of
//! TLS if they have one. Whoever cannot leave any more stays, and is read on.

use std::net::SocketAddr;

use windlass_proto::Time;

use crate::close::Close;
use crate::conn::Conn;
use crate::core::slot::flag;
use crate::core::{Core, flush};
use crate::id::ConnId;
use crate::moving::AnySeed;
use crate::observe::Traffic;
use crate::planted::{Fault, planted};
use crate::sys::Sys;
#[cfg(feature = "tls")]
use crate::tls::session::Session;

use super::Worker;
use super::accept::Handed;

/// What travels with a connection that was open before.
pub(super) struct Moved {
    seed: AnySeed,
    input: Vec<u8>,
    opened: Time,
    traffic: Traffic,
    /// What of its state is true of it wherever it lives: [`TRAVELLING`].
    flags: u32,
    /// Keys, ciphertext that is no whole record yet, and plaintext that nobody has taken.
    #[cfg(feature = "tls")]
    tls: Option<Box<Session>>,
}

/// Owed to the service, or said by it of its peer.
const TRAVELLING: u32 = flag::OWED_DRAINED | flag::READS_ON | flag::SILENT;

/// A connection that ends, or has half ended, stays where it is.
pub(crate) const NOT_MOVING: u32 =
    flag::CLOSING | flag::EOF | flag::FINISH | flag::FINISHED | flag::WRITE_FAILED;

impl<Y: Sys> Worker<Y> {
    /// Lets those leave that can.
    pub(super) fn move_out(&mut self) {
        if self.core.moving.is_empty() {
            return;
        }
        let moving = std::mem::take(&mut self.core.moving);
        for (id, to) in moving {
            let Some(index) = self.core.find(id) else { continue };
            let draining = self.core.is_draining(self.core.slots[index as usize].service);
            // What waits to be encrypted is output too.
            let unsent = self.core.slot(index).output.is_some() || self.core.output_len(index) > 0;
            if self.core.slot(index).is(NOT_MOVING) || draining {
                self.core.stay(index);
            } else if unsent {
                // The flush that empties it ends a turn, and so comes by here.
                self.core.moving.push((id, to));
            } else {
                self.leave(index, to);
            }
        }
    }

    fn leave(&mut self, index: u32, to: usize) {
        if self.io.release(index).is_err() {
            return self.core.stay(index);
        }
        self.core.counters.moved_out += 1;
        let residue = self.core.slot(index).input.as_mut();
        let mut input = residue.map(|residue| std::mem::take(&mut residue.bytes)).unwrap_or_default();
        self.core.buffered -= input.len();
        if self.core.pool.region.is_some()
            && let Some(residue) = &self.core.slots[index as usize].input
        {
            // Blocks stay: each worker has its own.
            input = vec![0; residue.len()];
            self.core.pool.copy_input(residue, &mut input);
            self.core.drop_input(index);
        }
        if planted(Fault::MoveForgetsInput) {
            input.clear();
        }
        let service = self.core.slot(index).service;
        self.begin();
        // From here on it takes no output.
        self.core.slot(index).set(flag::CLOSING);
        let mut conn = Conn::new(&mut self.core, &mut self.io, index);
        let seed = self.services[usize::from(service)].host.move_out(&mut conn);
        self.check_stall("move_out", Some(index), service.into());
        let slot = self.core.slot(index);
        let (peer, listener, opened) = (slot.peer.to_addr(), slot.listener, slot.opened);
        let (source_counted, flags) = (slot.is(flag::SOURCE_COUNTED), slot.flags & TRAVELLING);
        let traffic = self.core.traffic.get(index).unwrap_or_default();
        #[cfg(feature = "tls")]
        let tls = self.core.release_tls(index);
        self.core.leave_service(index);
        self.core.remove(index);
        let Some(stream) = self.io.take(index) else { return };
        let moved = Some(Moved {
            seed,
            input,
            opened,
            traffic,
            flags,
            #[cfg(feature = "tls")]
            tls,
        });
        let handed = Handed { stream, peer, listener, service, source_counted, moved };
        use std::sync::atomic::Ordering::Relaxed;
        self.shared.workers[self.index].load.fetch_sub(1, Relaxed);
        if let Some(handed) = self.hand_over(to, handed) {
            // That worker has stopped since.
            self.adopt_counted(handed);
        }
    }

    /// The other end: `register` has been tried already.
    pub(super) fn move_in(&mut self, index: u32, moved: Moved, registered: std::io::Result<()>) {
        self.core.counters.moved_in += 1;
        let slot = self.core.slot(index);
        slot.opened = moved.opened;
        slot.set(moved.flags);
        #[cfg(feature = "tls")]
        if let Some(session) = moved.tls {
            self.core.receive_tls(index, session);
        }
        self.core.traffic.set(index, self.core.tick, moved.traffic);
        if registered.is_err() {
            // Nobody would tell when it takes more: it takes nothing, and ends behind this.
            self.core.slot(index).set(flag::WRITE_FAILED);
        }
        let service = usize::from(self.core.slot(index).service);
        self.core.cork_owner = index;
        self.begin();
        let mut conn = Conn::new(&mut self.core, &mut self.io, index);
        let result = self.services[service].host.move_in(&mut conn, moved.seed);
        self.check_stall("move_in", Some(index), service);
        if !moved.input.is_empty() {
            self.core.keep_input(index, &moved.input, moved.input.len());
        }
        #[cfg(feature = "tls")]
        self.core.book_tls(index);
        match (result, registered) {
            (Err(why), _) => self.core.close(index, why),
            (Ok(()), Err(e)) => self.core.close(index, Close::Io(e)),
            (Ok(()), Ok(())) => {
                self.core.slot(index).set(flag::REDELIVER);
                self.core.queue(index);
            }
        }
        flush::uncork(&mut self.core, &mut self.io, index);
        self.core.arm(index);
        self.tell_late(index);
    }

    /// Moved, and no place for it here: its service never hears of it again.
    pub(super) fn lose_moved(&mut self, service: u16, listener: u16) {
        self.core.counters.moved_in += 1;
        self.core.counters.ended += 1;
        self.core.flows.count(service, listener, |flow| flow.ended += 1);
        self.core.counters.closed_by[Close::MemoryFull.kind()] += 1;
    }
}

impl Core {
    /// The connection moves at the end of the turn.
    pub(crate) fn begin_move(&mut self, index: u32, to: usize) {
        let id: ConnId = self.id(index);
        self.slot(index).set(flag::MOVING);
        self.moving.push((id, to));
    }

    /// It does not move after all, and is read on.
    fn stay(&mut self, index: u32) {
        let slot = self.slot(index);
        slot.clear(flag::MOVING);
        slot.set(flag::REDELIVER);
        self.queue(index);
    }
}

/// Who a newcomer is, before it has a slot.
pub(super) fn peer_of(addr: Option<SocketAddr>) -> crate::conn::Peer {
    match addr {
        None => crate::conn::Peer::Unix,
        Some(addr) => {
            let ip = addr.ip().to_canonical();
            let is_mapped = ip != addr.ip();
            crate::conn::Peer::Tcp(if is_mapped { SocketAddr::new(ip, addr.port()) } else { addr })
        }
    }
}
