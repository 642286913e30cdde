//! What the access log of a service says when a connection ends, kept while it is open: nothing, where there
//! is no such log.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use windlass::proto::Time;
use windlass::{Close, Conn, ConnId};

use super::Told;
use crate::access::{AccessLog, Ended, Kind, Record};
use crate::config::shape::AccessTable;

/// The logs of a service's listeners, and what is known of its connections on this worker.
#[derive(Clone, Default)]
pub(crate) struct Ends {
    /// For its listeners, beginning with the one whose number is `first`; a single one is for all.
    logs: Vec<Option<Arc<AccessLog>>>,
    first: usize,
    open: HashMap<ConnId, Open>,
}

#[derive(Clone)]
struct Open {
    since: Time,
    received: u64,
    /// Bytes that it was given and has not taken: it is given them again.
    left: usize,
    messages: u64,
}

impl Ends {
    /// Opens the logs of `services`: their tables, their names, and how many listeners each has. `first` is
    /// the number of their first listener. Errors: one cannot be opened.
    pub(crate) fn open<'f>(
        services: impl IntoIterator<Item = (Option<&'f AccessTable>, &'f str, usize)>,
        first: usize,
        told: &Told,
    ) -> Result<Ends> {
        let mut logs = Vec::new();
        for (table, name, listeners) in services {
            let log = table.map(|table| told.access.open(table, name, Kind::Connections)).transpose()?;
            logs.extend((0..listeners).map(|_| log.clone()));
        }
        if logs.iter().all(Option::is_none) {
            logs.clear();
        }
        Ok(Ends { logs, first, open: HashMap::new() })
    }

    /// Whether there is a log at all.
    pub(super) fn is_any(&self) -> bool {
        !self.logs.is_empty()
    }

    fn log(&self, conn: &Conn<'_>) -> Option<&Arc<AccessLog>> {
        let log = match &*self.logs {
            [] => return None,
            [only] => only,
            logs => logs.get(conn.listener()?.checked_sub(self.first)?)?,
        };
        log.as_ref()
    }

    /// A connection was opened, or refused.
    pub(super) fn opened(&mut self, conn: &Conn<'_>, refused: Option<&Close>) {
        let Some(log) = self.log(conn) else { return };
        match refused {
            Some(why) => log.add(Record::ended(conn, Default::default(), Ended::new(0, 0, why))),
            None => {
                let open = Open { since: conn.now(), received: 0, left: 0, messages: 0 };
                self.open.insert(conn.id(), open);
            }
        }
    }

    /// Its service was offered `there` bytes and has left `left` of them, after so many more messages.
    pub(super) fn given(&mut self, conn: ConnId, there: usize, left: usize, messages: u64) {
        if let Some(open) = self.open.get_mut(&conn) {
            open.received += there.saturating_sub(open.left) as u64;
            open.left = left;
            open.messages += messages;
        }
    }

    /// It has ended.
    pub(super) fn ended(&mut self, conn: &Conn<'_>, why: &Close) {
        if let Some(open) = self.open.remove(&conn.id())
            && let Some(log) = self.log(conn)
        {
            // What was relayed its service was never given.
            let relayed = conn.relayed().map_or(0, |relayed| relayed.received);
            let ended = Ended::new(open.received + relayed, open.messages, why);
            log.add(Record::ended(conn, conn.now().since(open.since), ended));
        }
    }
}
