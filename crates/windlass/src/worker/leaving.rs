//! The way out of one service, while the worker goes on with the others: the steps of a drain, for its
//! connections alone. A service that is removed is gone for good at the end of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use windlass_proto::{Input, Time};

use crate::close::Close;
use crate::conn::Conn;
use crate::core::slot::flag;
use crate::datagram::table::flag as udp_flag;
use crate::hosted::Host;
use crate::mailbox::Shut;
use crate::parts;
use crate::scope::Scope;
use crate::serve::ServiceSpec;
use crate::service::Service;
use crate::sys::Sys;

use super::Worker;

/// A service that leaves all workers.
pub(crate) struct Departure {
    spec: Arc<dyn ServiceSpec>,
    workers: usize,
    /// Workers that send no more of its connections to others.
    closed: AtomicUsize,
    /// Workers that it has left.
    left: AtomicUsize,
}

impl Departure {
    pub(crate) fn new(spec: Arc<dyn ServiceSpec>, workers: usize) -> Departure {
        Departure { spec, workers, closed: AtomicUsize::new(0), left: AtomicUsize::new(0) }
    }

    /// A worker has begun; true for the last.
    pub(super) fn leaves(&self) -> bool {
        self.closed.fetch_add(1, Ordering::AcqRel) + 1 == self.workers
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire) == self.workers
    }

    /// The server ends first.
    pub(crate) fn close_mailbox(&self) {
        self.spec.close_mailbox();
    }

    fn has_left(&self) {
        if self.left.fetch_add(1, Ordering::AcqRel) + 1 == self.workers {
            self.spec.close_mailbox();
        }
    }

    /// No worker has it any more: its number may be another's.
    pub(crate) fn is_over(&self) -> bool {
        self.left.load(Ordering::Acquire) == self.workers
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begun,
    /// What has arrived is being read, in one turn.
    LastRead,
    Told,
    Aborted,
}

/// A service on its way out of one worker.
pub(super) struct Leaving {
    service: u16,
    departure: Option<Arc<Departure>>,
    deadline: Time,
    stage: Stage,
    gone: bool,
}

impl Leaving {
    pub(super) fn new(service: u16, departure: Option<Arc<Departure>>, deadline: Time) -> Leaving {
        Leaving { service, departure, deadline, stage: Stage::Begun, gone: false }
    }

    pub(super) fn next_wake(&self, now: Time) -> Option<Time> {
        match self.stage {
            Stage::Begun | Stage::LastRead => Some(now),
            Stage::Told => Some(self.deadline),
            Stage::Aborted => None,
        }
    }
}

impl<Y: Sys> Worker<Y> {
    /// Takes every service that is on its way out one step on.
    #[inline]
    pub(super) fn see_off(&mut self) {
        if !self.leaving.is_empty() {
            self.step_leaving();
        }
    }

    #[cold]
    fn step_leaving(&mut self) {
        let mut leaving = std::mem::take(&mut self.leaving);
        for one in &mut leaving {
            match one.stage {
                Stage::Begun => one.stage = Stage::LastRead,
                Stage::LastRead => {
                    one.stage = Stage::Told;
                    self.tell_service_draining(one.service);
                    self.end();
                }
                Stage::Told if self.core.now >= one.deadline => {
                    one.stage = Stage::Aborted;
                    self.abort_service(one.service);
                }
                Stage::Told | Stage::Aborted => {}
            }
            // Only a change removes a service.
            if parts::CHANGE
                && let Some(departure) = &one.departure
                && matches!(one.stage, Stage::Told | Stage::Aborted)
                && departure.is_closed()
                && self.is_deserted(one.service, one.stage == Stage::Aborted)
            {
                let vacant = Host::new(Nobody, Vec::new(), None, None);
                self.drop_service(one.service, Box::new(vacant));
                departure.has_left();
                one.gone = true;
            }
        }
        leaving.retain(|one| !one.gone);
        leaving.append(&mut self.leaving);
        self.leaving = leaving;
    }

    /// Whether connections that come now, or had their handshake until now, have to be told.
    pub(super) fn has_told(&self, service: u16) -> bool {
        self.leaving
            .iter()
            .any(|one| one.service == service && matches!(one.stage, Stage::Told | Stage::Aborted))
    }

    fn tell_service_draining(&mut self, service: u16) {
        let n = usize::from(service);
        self.coarse = self.io.sys.coarse_now();
        let mut scope = Scope::new(&mut self.core, &mut self.io, service);
        self.services[n].host.shutdown(&mut scope);
        self.check_stall("shutdown", None, n);
        for index in 0..self.core.slots.len() as u32 {
            let slot = self.core.slot(index);
            // Those in a handshake are told when it is done.
            if slot.is(flag::LIVE) && slot.service == service && !slot.is(flag::CLOSING | flag::HANDSHAKE) {
                self.tell_one_draining(index);
            }
        }
        if parts::UDP {
            self.tell_sockets_draining(Some(service));
        }
    }

    fn abort_service(&mut self, service: u16) {
        self.core.members[usize::from(service)].aborted = true;
        if parts::CONNECT {
            self.core.shut_connecting_for(service, true);
        }
        for index in 0..self.core.slots.len() as u32 {
            let slot = self.core.slot(index);
            if slot.is(flag::LIVE) && slot.service == service && !slot.is(flag::CLOSING) {
                self.core.close(index, Close::Aborted);
            }
        }
        let sockets = if parts::UDP { self.core.udp.slots.len() as u32 } else { 0 };
        for index in 0..sockets {
            let slot = &self.core.udp.slots[index as usize];
            if slot.is(udp_flag::LIVE) && slot.service == service {
                self.core.udp.close(index);
            }
        }
    }

    /// Whether nothing of a service is here any more, nor on its way; `late`: its messages have waited
    /// long enough.
    fn is_deserted(&mut self, service: u16, late: bool) -> bool {
        let core = &self.core;
        let connecting = core.counters.connecting > 0
            && core.slots.iter().any(|slot| slot.is(flag::CONNECTING) && slot.service == service);
        let socket = core.udp.slots.iter().any(|slot| slot.is(udp_flag::LIVE) && slot.service == service);
        if !core.members[usize::from(service)].is_empty()
            || connecting
            || socket
            || !self.handoffs.is_quiet(self.index)
        {
            return false;
        }
        let shut = self.services[usize::from(service)].host.close_mailbox_if_empty();
        self.mail_left |= shut == Shut::Mail;
        late || shut == Shut::Closed
    }
}

/// In the place of a service that is gone.
struct Nobody;

impl Service for Nobody {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Err(Close::Refused)
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Err(Close::Refused)
    }
}
