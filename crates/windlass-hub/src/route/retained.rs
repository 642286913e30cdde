//! The last message of each topic (section 3.3.1.3).

use std::sync::Arc;

use windlass::Time;
use windlass_proto::mqtt::{Child, Filter, Retained, Scan, Topic, TreeLimits};

use crate::session::message::Message;

/// Retained messages, within their limits.
#[derive(Debug)]
pub(crate) struct Kept {
    tree: Retained<Arc<Message>>,
    bytes: usize,
    /// How many of them expire: without any, nobody looks for them.
    expiring: usize,
    /// The search for those that have expired, while one is under way.
    sweep: Option<Scan>,
}

/// Why a message was not retained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

/// Nodes looked at in one step of a search for expired messages.
const SWEEP_NODES: usize = 256;

impl Kept {
    pub(crate) fn new(limits: TreeLimits) -> Kept {
        Kept { tree: Retained::new(limits), bytes: 0, expiring: 0, sweep: None }
    }

    pub(crate) fn len(&self) -> usize {
        self.tree.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a message in place of the one before it, if the limits allow it.
    pub(crate) fn insert(&mut self, message: Arc<Message>, max: usize, bytes_max: usize) -> Result<(), Full> {
        let topic = message.topic().map_err(|_| Full)?;
        let before = self.tree.get(topic);
        let (count, less) = (usize::from(before.is_none()), before.map_or(0, |before| before.len()));
        if self.tree.len() + count > max || self.bytes - less + message.len() > bytes_max {
            return Err(Full);
        }
        let (len, expires) = (message.len(), message.expires.is_some());
        let before = self.tree.insert(topic, message.clone()).map_err(|_| Full)?;
        self.bytes += len;
        self.expiring += usize::from(expires);
        self.gone(before);
        Ok(())
    }

    fn gone(&mut self, before: Option<Arc<Message>>) -> bool {
        let Some(before) = before else { return false };
        self.bytes -= before.len();
        self.expiring -= usize::from(before.expires.is_some());
        true
    }

    /// Keeps nothing of a topic any more; whether there was something.
    pub(crate) fn remove(&mut self, topic: Topic<'_>) -> bool {
        let before = self.tree.remove(topic);
        self.gone(before)
    }

    pub(crate) fn scan(&mut self, filter: Filter<'_>) -> Scan {
        self.tree.scan(filter)
    }

    pub(crate) fn scan_all(&mut self) -> Scan {
        self.tree.scan_all()
    }

    /// See [`Retained::proceed`].
    pub(crate) fn proceed(&self, scan: &mut Scan, nodes: usize, found: impl FnMut(&Arc<Message>)) -> bool {
        self.tree.proceed(scan, nodes, found)
    }

    /// See [`Retained::children`].
    pub(crate) fn children<'k>(
        &'k self,
        above: Option<&str>,
        max: usize,
        found: impl FnMut(Child<'k, Arc<Message>>),
    ) -> bool {
        self.tree.children(above, max, found)
    }

    pub(crate) fn end(&mut self, scan: Scan) {
        self.tree.end(scan);
    }

    /// Goes on with the search for expired messages, and takes those out that it finds; calls `gone` for each.
    pub(crate) fn sweep(&mut self, now: Time, mut gone: impl FnMut(&Arc<Message>)) {
        if self.sweep.is_none() {
            if self.expiring == 0 {
                return;
            }
            self.sweep = Some(self.tree.scan_all());
        }
        let Some(mut scan) = self.sweep.take() else { return };
        let mut expired = Vec::new();
        let over = self.tree.proceed(&mut scan, SWEEP_NODES, |message| {
            if message.is_expired(now) {
                expired.push(message.clone());
            }
        });
        for message in expired {
            if let Ok(topic) = message.topic() {
                self.remove(topic);
                gone(&message);
            }
        }
        if over { self.tree.end(scan) } else { self.sweep = Some(scan) }
    }
}
