//! A log that another process still has: the one before this, in a hand-over.
//!
//! Clients are taken meanwhile, and wait with their CONNECT unread. The log is asked for off the loop, since reading it
//! blocks; once it is there, the sessions are, and whoever waits goes on.

use std::sync::Arc;

use windlass::{Conn, Mailbox, Offload, Scope, Sessions as Clients};

use super::Done;
use crate::client::{Client, Stage};
use crate::journal::{Log, LogError, Recovered};
use crate::parts;
use crate::service::{Hub, Mail};

/// Opens the log: what [`Hub::journal_later`] is given. It blocks.
pub type OpenLog = Arc<dyn Fn() -> Result<(Log, Recovered), LogError> + Send + Sync>;

/// Gives the log that was opened before: what [`Hub::journal`] is given. The first time; `None` from then on.
pub type TakeLog = Arc<dyn Fn() -> Option<(Log, Recovered)> + Send + Sync>;

/// How far it is.
#[derive(Default)]
pub(crate) enum Opening {
    /// There is nothing to wait for.
    #[default]
    Over,
    /// It is there, and taken at the start.
    Taken(TakeLog),
    /// To be asked for.
    Wanted(OpenLog),
    /// Somebody asks.
    Asked(OpenLog),
    /// Another worker deals it out.
    Awaited,
    /// This one has its part: until every worker knows of all sessions.
    Dealt,
}

impl Hub {
    /// The same as [`Hub::journal`], with a log that another process lets go of soon: it is asked for again and again
    /// with `open`, and until it is there clients wait with their CONNECT.
    #[must_use]
    pub fn journal_later(mut self, open: OpenLog, mailbox: &Mailbox<Mail>, pool: &Offload<Done>) -> Hub {
        self.mailbox = Some(mailbox.clone());
        self.durable.pool = Some(pool.clone());
        self.durable.opening = Opening::Wanted(open);
        self
    }

    /// Whether nobody is served yet, since sessions are not there.
    pub(crate) fn has_no_log(&self) -> bool {
        !matches!(self.durable.opening, Opening::Over)
    }

    /// Whether the client waits for the log; what it says stays where it is.
    pub(crate) fn waits_for_log(&self, conn: &mut Conn<'_>, client: &Client) -> bool {
        let waits = parts::JOURNAL && self.has_no_log() && matches!(client.stage, Stage::New);
        if waits {
            conn.pause();
            conn.cancel_wake();
        }
        waits
    }

    /// The worker starts: the log is the first one's, who deals it out.
    pub(crate) fn begin_log(&mut self, scope: &mut Scope<'_>, clients: &mut Clients<Client>) {
        self.durable.begin(self.watch.totals().epoch(self.config.unix_ms, self.now));
        if !parts::JOURNAL {
            return;
        }
        if self.worker != 0 {
            let is_durable = self.has_no_log();
            // One without sessions has nothing to wait for.
            self.durable.opening =
                if is_durable && self.siblings.are_there() { Opening::Awaited } else { Opening::Over };
        }
        if self.has_no_log() {
            self.routes.hold_to_limits(false);
        }
        if let Opening::Taken(take) = &self.durable.opening {
            let taken = take();
            let (log, recovered) = taken.map_or_else(Default::default, |(log, found)| (Some(log), found));
            self.has_log(scope, clients, log, recovered);
        }
        self.ask_for_log(scope);
    }

    fn has_log(
        &mut self,
        scope: &mut Scope<'_>,
        clients: &mut Clients<Client>,
        log: Option<Log>,
        recovered: Recovered,
    ) {
        self.deal(scope, clients, log, recovered);
        self.durable.commit(scope);
        self.see_to();
    }

    /// Asks for the log, if it is to be asked for.
    pub(crate) fn ask_for_log(&mut self, scope: &mut Scope<'_>) {
        let Opening::Wanted(open) = &self.durable.opening else { return };
        let (open, Some(pool)) = (open.clone(), &self.durable.pool) else { return };
        let ask = open.clone();
        if pool.submit(scope, move || Done::Opened(ask())).is_ok() {
            self.durable.opening = Opening::Asked(open);
        }
    }

    /// What came of it. `None`: the job was lost, as a commit is.
    pub(super) fn opened(
        &mut self,
        scope: &mut Scope<'_>,
        clients: &mut Clients<Client>,
        opened: Option<Result<(Log, Recovered), LogError>>,
    ) {
        match opened {
            Some(Ok((log, recovered))) => self.has_log(scope, clients, Some(log), recovered),
            // Not yet, or not at all: a disk that cannot be read may be read later, and nobody is served without.
            Some(Err(_)) | None => {
                if let Opening::Asked(open) = std::mem::take(&mut self.durable.opening) {
                    self.durable.opening = Opening::Wanted(open);
                }
            }
        }
    }
}
