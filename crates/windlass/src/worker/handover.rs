//! Giving way to a successor: it has the same sockets, so whoever waits in their queues is in good
//! hands, and closing them here resets nobody. What is here already stays until it ends.

use std::sync::atomic::Ordering;

use crate::core::slot::flag;
use crate::planted::{Fault, planted};
use crate::sys::Sys;

use super::Worker;
use super::drain::Phase;

impl<Y: Sys> Worker<Y> {
    /// Serves the control socket.
    #[cold]
    pub(super) fn control(&mut self) {
        let turn = self.io.sys.control(self.core.now);
        self.control_at = turn.next;
        let counters = &mut self.core.counters;
        counters.handovers_offered += turn.offered;
        counters.handovers_refused += turn.refused;
        counters.handovers_lost += turn.lost;
        if let Some(taken) = turn.taken {
            self.shared.supersede(&taken);
        }
        if turn.gone {
            self.shared.lose_successor();
        }
    }

    /// Stops listening and receiving, and goes on with the connections there are.
    pub(super) fn be_superseded(&mut self) {
        // A queue that the successor did not take ends here: who waits in it is let in first.
        for n in 0..self.acceptors.len() {
            let id = self.acceptors[n].id as usize;
            if !self.listeners[id].taken.load(Ordering::Acquire) {
                self.accept_all_from(n);
            }
        }
        self.close_listeners();
        self.give_up_sockets();
        // Once more, though nothing may happen there: a successor may have ended meanwhile.
        self.control_at = Some(self.core.now);
        if planted(Fault::SupersededDrains) {
            return self.begin_drain();
        }
        let timeout = self.core.limits.handover_drain_timeout;
        let deadline = (!timeout.is_zero()).then(|| self.core.now + timeout);
        self.phase = Phase::Superseded { deadline };
        for index in 0..self.core.slots.len() as u32 {
            // Those in a handshake are told when it is done.
            let untold = flag::CLOSING | flag::HANDSHAKE;
            let leaving = self.core.members[usize::from(self.core.slots[index as usize].service)].leaving;
            if !leaving && self.core.slot(index).is(flag::LIVE) && !self.core.slot(index).is(untold) {
                self.tell_one_superseded(index);
            }
        }
        self.end();
    }

    pub(super) fn tell_one_superseded(&mut self, index: u32) {
        self.core.cork_owner = index;
        self.call("superseded", index, |service, conn| service.superseded(conn));
        crate::core::flush::uncork(&mut self.core, &mut self.io, index);
    }
}
