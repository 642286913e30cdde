//! Graceful shutdown: take in who is waiting, stop listening, tell services, let connections finish,
//! abort the rest at the deadline. A second request aborts at once.

use std::sync::atomic::Ordering::Relaxed;

use windlass_proto::Time;

use crate::close::Close;
use crate::core::slot::flag;
use crate::datagram::table::{SocketSlot, flag as udp_flag};
use crate::mailbox::Shut;
use crate::parts;
use crate::planted::{Fault, planted};
use crate::scope::Scope;
use crate::shared::{DRAINING, RUNNING, STOPPING, SUPERSEDED};
use crate::sys::Sys;

use super::Worker;

/// Where a worker is on its way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Running,
    /// A successor listens instead; connections go on as ever.
    Superseded {
        deadline: Option<Time>,
    },
    /// No longer listening; everything that has arrived is being read before services are told.
    LastRead {
        deadline: Time,
    },
    /// Services know; connections are finishing.
    Draining {
        deadline: Time,
    },
    /// Everything is being aborted.
    Stopping,
}

impl Phase {
    pub(super) fn next_wake(self, now: Time) -> Option<Time> {
        match self {
            Phase::Running => None,
            Phase::Superseded { deadline } => deadline,
            Phase::LastRead { .. } | Phase::Stopping => Some(now),
            Phase::Draining { deadline } => Some(deadline),
        }
    }
}

impl<Y: Sys> Worker<Y> {
    /// Takes the shutdown one step on.
    pub(super) fn drain(&mut self) {
        let requested = self.shared.stop_state();
        if requested == RUNNING {
            return;
        }
        if parts::HANDOVER {
            self.close_retired_sockets();
        }
        if requested == STOPPING && self.phase != Phase::Stopping {
            return self.stop_now();
        }
        match self.phase {
            Phase::Running if parts::HANDOVER && requested == SUPERSEDED => self.be_superseded(),
            Phase::Superseded { .. } if planted(Fault::SupersededForEver) => {}
            Phase::Running | Phase::Superseded { .. } if requested == DRAINING => self.begin_drain(),
            Phase::Superseded { deadline: Some(at) } if parts::HANDOVER && self.core.now >= at => {
                self.begin_drain()
            }
            Phase::LastRead { deadline } => {
                self.phase = Phase::Draining { deadline };
                self.tell_draining();
                self.end();
                // Where there are no others, nothing else may happen that would have it asked again.
                self.let_stayers_leave(deadline);
            }
            Phase::Draining { deadline } if self.core.now < deadline => self.let_stayers_leave(deadline),
            Phase::Draining { .. } if !planted(Fault::DrainForgets) => self.stop_now(),
            // Whatever was still handed over or held back by the close budget.
            Phase::Stopping => self.stop_now(),
            _ => {}
        }
    }

    /// Once they are alone, services that stay while others drain begin to leave too, unless the deadline
    /// ends everything now.
    fn let_stayers_leave(&mut self, deadline: Time) {
        if self.core.now >= deadline || self.stayers_leave || !self.others_are_gone() {
            return;
        }
        self.stayers_leave = true;
        for service in 0..self.services.len() as u16 {
            let members = &self.core.members[usize::from(service)];
            // One that was removed before is on its way already.
            if members.stays && !members.leaving {
                self.begin_to_leave(service, None);
            }
        }
    }

    /// Whether only services are left that stay while others drain.
    fn others_are_gone(&self) -> bool {
        let core = &self.core;
        let socket =
            |slot: &SocketSlot| slot.is(udp_flag::LIVE) && !core.members[usize::from(slot.service)].stays;
        self.shared.workers[self.index].load.load(Relaxed) == core.staying
            && (!parts::UDP || core.udp.open == 0 || !core.udp.slots.iter().any(socket))
    }

    pub(super) fn is_stopped(&mut self) -> bool {
        let ended = self.phase != Phase::Running
            && !matches!(self.phase, Phase::LastRead { .. })
            && self.core.counters.connections == 0
            && self.acceptors.iter().all(|acceptor| acceptor.listener.is_none())
            && (!parts::UDP || self.core.udp.open == 0)
            && self.core.closing.is_empty()
            && self.handoffs.close_if_empty(self.index);
        if !ended || self.phase == Phase::Stopping {
            return ended;
        }
        // A message that was accepted is delivered, unless it must be at once.
        let hosts = self.services.iter_mut().map(|service| service.host.close_mailbox_if_empty());
        let shut = hosts.max().unwrap_or(Shut::Closed);
        self.mail_left |= shut == Shut::Mail;
        shut == Shut::Closed
    }

    /// Takes in everybody who is waiting in the accept queues, then stops listening: closing a
    /// listener resets the connections in its queue.
    pub(super) fn begin_drain(&mut self) {
        self.core.draining = true;
        self.io.sys.stop_listening();
        for n in 0..self.acceptors.len() {
            self.accept_all_from(n);
            if !self.core.members[usize::from(self.acceptors[n].service)].stays {
                self.close_acceptor(n);
            }
        }
        if parts::CONNECT {
            self.core.shut_connecting(false);
        }
        // Nobody leaves any more: those who waited to are read on, in time for the last read.
        if parts::THREADS {
            self.move_out();
        }
        // What a connection has sent before we stopped is answered: one more read for each.
        for index in 0..self.core.slots.len() as u32 {
            if self.core.slot(index).is(flag::LIVE) {
                self.core.slot(index).set(flag::READABLE);
                self.core.queue(index);
            }
        }
        if parts::UDP {
            self.last_receive();
        }
        let deadline = self.core.now + self.core.limits.drain_timeout;
        self.phase = Phase::LastRead { deadline };
    }

    fn tell_draining(&mut self) {
        for n in 0..self.services.len() {
            // One that leaves has been told, or is about to be.
            if self.core.members[n].stays || self.core.members[n].leaving {
                continue;
            }
            let mut scope = Scope::new(&mut self.core, &mut self.io, n as u16);
            self.services[n].host.shutdown(&mut scope);
            self.check_stall("shutdown", None, n);
        }
        for index in 0..self.core.slots.len() as u32 {
            // Those in a handshake are told when it is done.
            let untold = flag::CLOSING | flag::HANDSHAKE;
            let members = &self.core.members[usize::from(self.core.slots[index as usize].service)];
            let concerned = !members.stays && !members.leaving;
            if self.core.slot(index).is(flag::LIVE) && concerned && !self.core.slot(index).is(untold) {
                self.tell_one_draining(index);
            }
        }
        if parts::UDP {
            self.tell_sockets_draining(None);
        }
    }

    pub(super) fn tell_one_draining(&mut self, index: u32) {
        self.core.cork_owner = index;
        self.call("draining", index, |service, conn| service.draining(conn));
        crate::core::flush::uncork(&mut self.core, &mut self.io, index);
    }

    /// Tells a connection that came after the others were told, of a successor or of the drain. What it has
    /// sent by now, or brought along from another worker, is answered before the drain, as theirs was.
    pub(super) fn tell_late(&mut self, index: u32) {
        match self.phase {
            _ if self.core.slot(index).is(flag::CLOSING) => {}
            _ if self.core.members[usize::from(self.core.slots[index as usize].service)].aborted => {
                self.core.close(index, Close::Aborted);
            }
            _ if self.has_told(self.core.slots[index as usize].service) => self.tell_late_of_drain(index),
            _ if self.core.members[usize::from(self.core.slots[index as usize].service)].leaving => {}
            Phase::Superseded { .. } if parts::HANDOVER => self.tell_one_superseded(index),
            Phase::Draining { .. } if !self.core.slot(index).is(flag::STAYS) => {
                self.tell_late_of_drain(index);
            }
            _ => {}
        }
    }

    fn tell_late_of_drain(&mut self, index: u32) {
        self.core.slot(index).set(flag::READABLE);
        self.core.cork_owner = index;
        self.read(index);
        crate::core::flush::uncork(&mut self.core, &mut self.io, index);
        if !self.core.slot(index).is(flag::CLOSING) {
            self.tell_one_draining(index);
        }
    }

    pub(super) fn close_listeners(&mut self) {
        self.io.sys.stop_listening();
        (0..self.acceptors.len()).for_each(|n| self.close_acceptor(n));
    }

    /// Aborts everything, as far as this turn's close budget goes.
    fn stop_now(&mut self) {
        self.core.draining = true;
        self.close_listeners();
        self.phase = Phase::Stopping;
        if parts::CONNECT {
            self.core.shut_connecting(true);
        }
        self.adopt_handed_over();
        let mut left = self.core.limits.closes_per_turn_max;
        for index in 0..self.core.slots.len() as u32 {
            let slot = self.core.slot(index);
            if slot.is(flag::ENDED) && left > 0 {
                left -= 1;
                self.destroy(index, true);
            } else if slot.is(flag::LIVE) && !slot.is(flag::CLOSING) {
                self.core.close(index, Close::Aborted);
            }
        }
        self.end();
        if parts::UDP {
            self.close_sockets();
        }
    }
}
