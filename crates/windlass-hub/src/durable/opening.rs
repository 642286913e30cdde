//! A log that another process still has: the one before this, in a hand-over.
//!
//! Clients are taken meanwhile, and wait with their CONNECT unread. The log is asked for off the loop, since reading it
//! blocks; once it is there, the sessions are, and whoever waits goes on.

use std::sync::Arc;

use windlass::{Conn, Mailbox, Offload, Scope, Sessions as Clients};

use super::Done;
use crate::client::{Client, Stage};
use crate::journal::{Log, LogError, Recovered};
use crate::service::{Hub, Mail};

/// Opens the log: what [`Hub::journal_later`] is given. It blocks.
pub type OpenLog = Arc<dyn Fn() -> Result<(Log, Recovered), LogError> + Send + Sync>;

/// How far it is.
#[derive(Default)]
pub(crate) enum Opening {
    /// There is nothing to wait for.
    #[default]
    Over,
    /// To be asked for.
    Wanted(OpenLog),
    /// Somebody asks.
    Asked(OpenLog),
}

impl Hub {
    /// The same as [`Hub::journal`], with a log that another process lets go of soon: it is asked for again and again
    /// with `open`, and until it is there clients wait with their CONNECT.
    #[must_use]
    pub fn journal_later(mut self, open: OpenLog, mailbox: &Mailbox<Mail>, pool: &Offload<Done>) -> Hub {
        self.durable.mailbox = Some(mailbox.clone());
        self.durable.pool = Some(pool.clone());
        self.durable.opening = Opening::Wanted(open);
        self
    }

    /// Whether the client waits for the log; what it says stays where it is.
    pub(crate) fn waits_for_log(&self, conn: &mut Conn<'_>, client: &Client) -> bool {
        let waits = !matches!(self.durable.opening, Opening::Over) && matches!(client.stage, Stage::New);
        if waits {
            conn.pause();
            conn.cancel_wake();
        }
        waits
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
            Some(Ok((log, recovered))) => {
                self.durable.opening = Opening::Over;
                self.durable.journal = log.journal(self.worker);
                self.durable.recovered = Some(Box::new(recovered));
                self.restore(scope);
                let (now, timeout) = (self.now, self.config.connect_timeout);
                clients.each(scope, |conn, client| {
                    if matches!(client.stage, Stage::New) {
                        conn.wake_at(now + timeout);
                        conn.resume();
                    }
                });
            }
            // Not yet, or not at all: a disk that cannot be read may be read later, and nobody is served without.
            Some(Err(_)) | None => {
                if let Opening::Asked(open) = std::mem::take(&mut self.durable.opening) {
                    self.durable.opening = Opening::Wanted(open);
                }
            }
        }
    }
}
