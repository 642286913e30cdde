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

#[derive(Clone)]
struct Open {
    since: Time,
    received: u64,
    /// Bytes that it was given and has not taken: it is given them again.
    left: usize,
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
            let ended = Ended::new(open.received, open.messages, why);
            log.add(Record::ended(conn, conn.now().since(open.since), ended));
        }
    }
}
