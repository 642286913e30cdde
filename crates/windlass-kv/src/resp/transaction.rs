//! `MULTI` and `WATCH`: what a connection has queued, and what must not have changed meanwhile.

use std::cell::Cell;
use std::rc::Rc;

use windlass::proto::resp::{Command, Encoder, Version};

use super::fail::Fail;

/// Keys watched by one connection.
pub(super) const WATCHED_MAX: usize = 1024;
/// What one takes beside its name.
pub(super) const WATCHED_BYTES: usize = 32;

/// Bytes that the transactions of all connections hold.
#[derive(Clone, Default)]
pub(super) struct Holdings(Rc<Cell<usize>>);

/// A transaction of one connection, or what it watches before one. What it holds is given back when it is
/// dropped.
pub(super) struct Transaction {
    holdings: Holdings,
    held: usize,
    /// The commands, as they would be sent.
    pub(super) queued: Vec<u8>,
    pub(super) count: usize,
    begun: bool,
    spoiled: bool,
    /// Keys, and the versions they had; 0 for none.
    pub(super) watched: Vec<(Box<[u8]>, u64)>,
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.holdings.0.set(self.holdings.0.get() - self.held);
    }
}

impl Transaction {
    pub(super) fn new(holdings: &Holdings) -> Box<Transaction> {
        Box::new(Transaction {
            holdings: holdings.clone(),
            held: 0,
            queued: Vec::new(),
            count: 0,
            begun: false,
            spoiled: false,
            watched: Vec::new(),
        })
    }

    /// Whether `bytes` more may be held, of `max` by all connections; then they are.
    pub(super) fn hold(&mut self, bytes: usize, max: usize) -> bool {
        let all = self.holdings.0.get() + bytes;
        if all > max {
            return false;
        }
        self.holdings.0.set(all);
        self.held += bytes;
        true
    }

    pub(super) fn begin(&mut self) {
        self.begun = true;
    }

    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// Something was wrong with a command: none of them will be carried out.
    pub(super) fn spoil(&mut self) {
        self.spoiled |= self.begun;
    }

    pub(super) fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    /// `max`: of this connection, and of all.
    pub(super) fn queue(&mut self, command: &Command<'_>, (max, all): (usize, usize)) -> Result<(), Fail> {
        let before = self.queued.len();
        let mut encoder = Encoder::new(&mut self.queued, Version::Resp2);
        encoder.array(command.len());
        for arg in command.args() {
            if encoder.len() + arg.len() > max {
                encoder.truncate(before);
                self.spoil();
                return Err(Fail::Text("ERR the transaction is longer than it may be"));
            }
            encoder.bulk(arg);
        }
        let grown = self.queued.len() - before;
        if !self.hold(grown, all) {
            self.queued.truncate(before);
            self.spoil();
            return Err(Fail::Text("ERR the transactions of all clients are longer than they may be"));
        }
        self.count += 1;
        Ok(())
    }
}
