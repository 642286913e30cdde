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
#[derive(Clone)]
pub(crate) struct Ends {
    /// A single one is for all its listeners; of several, the tag of a listener says which is its.
    logs: Vec<Option<Arc<AccessLog>>>,
    of_tag: fn(u32) -> usize,
    open: HashMap<ConnId, Open>,
}

/// What is known of a connection.
#[derive(Clone)]
pub(crate) struct Open {
    since: Time,
    messages: u64,
}

impl Ends {
    /// Opens the logs of `tables`, each with its service's name. Of several, `of_tag` says which is that of a
    /// listener with this tag. Errors: one cannot be opened.
    pub(crate) fn open<'f>(
        tables: impl IntoIterator<Item = (Option<&'f AccessTable>, &'f str)>,
        of_tag: fn(u32) -> usize,
        told: &Told,
    ) -> Result<Ends> {
        let mut logs = Vec::new();
        for (table, name) in tables {
            logs.push(table.map(|table| told.access.open(table, name, Kind::Connections)).transpose()?);
        }
        if logs.iter().all(Option::is_none) {
            logs.clear();
        }
        Ok(Ends { logs, of_tag, open: HashMap::new() })
    }

    /// Opens the log of a service, if it has one.
    pub(crate) fn of(table: Option<&AccessTable>, name: &str, told: &Told) -> Result<Ends> {
        Ends::open([(table, name)], |_| 0, told)
    }

    /// Whether there is a log at all.
    pub(super) fn is_any(&self) -> bool {
        !self.logs.is_empty()
    }

    fn log(&self, conn: &Conn<'_>) -> Option<&Arc<AccessLog>> {
        let log = match &*self.logs {
            [] => return None,
            [only] => only,
            logs => logs.get((self.of_tag)(conn.listener_tag()))?,
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

    /// It goes on to another worker: what is known of it.
    pub(super) fn left(&mut self, conn: ConnId) -> Option<Open> {
        self.open.remove(&conn)
    }

    /// It has come from another worker.
    pub(super) fn arrived(&mut self, conn: ConnId, open: Option<Open>) {
        self.open.extend(open.map(|open| (conn, open)));
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
