//! The start of a hub whose sessions are in a journal: they are dealt out, and nobody is served before every worker knows
//! where all of them are.
//!
//! The first worker has the log. Each gets its part, and tells the others of the filters in it. When all have said that
//! they know them, and have told theirs, it begins: wills that are due are published, and clients come in.

use std::sync::Arc;

use windlass::{Scope, Sessions as Clients};

use super::home;
use crate::client::{Client, Stage};
use crate::durable::Opening;
use crate::journal::{Log, Recovered, RecoveredSession, RecoveredWillDue};
use crate::service::{Hub, Mail};
use crate::session::message::Message;

/// What a worker begins with: its part of what was found in the log. It is made and read by the hub alone.
pub struct Beginning {
    /// `None`: nothing is kept after all.
    pub(crate) log: Option<Log>,
    pub(crate) sessions: Vec<RecoveredSession>,
    pub(crate) retained: Arc<Vec<Arc<Message>>>,
    pub(crate) wills_due: Vec<RecoveredWillDue>,
    pub(crate) next_version: u64,
}

impl std::fmt::Debug for Beginning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Beginning")
            .field("sessions", &self.sessions.len())
            .field("retained", &self.retained.len())
            .finish_non_exhaustive()
    }
}

impl super::Siblings {
    /// Whether all others have told what they began with.
    fn have_begun(&self) -> bool {
        self.others().all(|worker| self.each[worker].question > 0)
    }
}

impl Hub {
    /// The log is there: each worker gets its part.
    pub(crate) fn deal(
        &mut self,
        scope: &mut Scope<'_>,
        clients: &mut Clients<Client>,
        log: Option<Log>,
        found: Recovered,
    ) {
        let workers = self.siblings.workers();
        let log = log.map(|log| log.for_workers(workers));
        let Recovered { sessions, retained, wills_due, next_version, .. } = found;
        let retained = Arc::new(self.restored_retained(&retained));
        let part = |sessions, wills_due| Beginning {
            log: log.clone(),
            sessions,
            retained: retained.clone(),
            wills_due,
            next_version,
        };
        let mut parts: Vec<Vec<RecoveredSession>> = (0..workers).map(|_| Vec::new()).collect();
        for session in sessions {
            parts[home(&session.client_id, workers)].push(session);
        }
        // So does the home of a session that is over: what it says of that is in order with what comes after it.
        let mut dues: Vec<Vec<RecoveredWillDue>> = (0..workers).map(|_| Vec::new()).collect();
        for due in wills_due {
            dues[home(&due.client_id, workers)].push(due);
        }
        let mut parts = parts.into_iter().zip(dues);
        let (sessions, wills_due) = parts.next().unwrap_or_default();
        let own = part(sessions, wills_due);
        for (worker, (sessions, wills_due)) in (1..).zip(parts) {
            let beginning = Mail::Begin(Box::new(part(sessions, wills_due)));
            // Of a worker that has stopped so soon the server has too.
            let _ = self.mailbox.as_ref().map(|mailbox| mailbox.send(worker, beginning));
        }
        self.begin_with(scope, clients, own);
    }

    /// This worker's part is there.
    pub(crate) fn begin_with(
        &mut self,
        scope: &mut Scope<'_>,
        clients: &mut Clients<Client>,
        part: Beginning,
    ) {
        if let Some(log) = part.log {
            self.durable.journal = log.journal(self.worker);
        }
        self.restore(part.sessions, &part.retained, part.next_version);
        self.durable.wills_due = part.wills_due;
        // The one question before all others.
        if self.siblings.are_there() {
            self.siblings.ask();
        }
        self.durable.opening = Opening::Dealt;
        self.settle(scope, clients);
    }

    /// Begins, if every worker knows of all sessions.
    pub(crate) fn settle(&mut self, scope: &mut Scope<'_>, clients: &mut Clients<Client>) {
        let is_dealt = matches!(self.durable.opening, Opening::Dealt);
        if !is_dealt || self.siblings.answered() == 0 || !self.siblings.have_begun() {
            return;
        }
        self.durable.opening = Opening::Over;
        self.routes.hold_to_limits(true);
        self.resume_sessions(scope);
        let (now, timeout) = (self.now, self.config.connect_timeout);
        clients.each(scope, |conn, client| match &mut client.stage {
            Stage::New => {
                conn.wake_at(now + timeout);
                conn.resume();
            }
            Stage::Asking(asking) if asking.belonging.who.is_some() && asking.waits => {
                match self.arrive(conn, client) {
                    Ok(()) => conn.resume(),
                    Err(_) => conn.close(),
                }
            }
            _ => {}
        });
    }
}
