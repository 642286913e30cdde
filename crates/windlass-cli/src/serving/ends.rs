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
            Some(why) => log.add(Record::ended(conn, Default::default(), Ended::new(Some((0, 0)), 0, why))),
            None => {
                self.open.insert(conn.id(), Open { since: conn.now(), messages: 0 });
            }
        }
    }

    /// Its service has served so many messages more of it.
    pub(super) fn served(&mut self, conn: ConnId, messages: u64) {
        if let Some(open) = self.open.get_mut(&conn) {
            open.messages += messages;
        }
    }

    /// It has ended.
    pub(super) fn ended(&mut self, conn: &Conn<'_>, why: &Close) {
        if let Some(open) = self.open.remove(&conn.id())
            && let Some(log) = self.log(conn)
        {
            let ended = Ended::new(traffic(conn, why), open.messages, why);
            log.add(Record::ended(conn, conn.now().since(open.since), ended));
        }
    }
}

/// Bytes received and sent. What is still queued is sent too, where the end is an orderly one.
fn traffic(conn: &Conn<'_>, why: &Close) -> Option<(u64, u64)> {
    let traffic = conn.traffic()?;
    let is_dropped = matches!(
        why,
        Close::SlowConsumer
            | Close::Overflow
            | Close::MemoryFull
            | Close::Aborted
            | Close::Reset
            | Close::Io(_)
    );
    let queued = if is_dropped { 0 } else { conn.output_len() as u64 };
    Some((traffic.received, traffic.sent + queued))
}
