//! `MULTI` and `WATCH`: what a connection has queued, and what must not have changed meanwhile.

use windlass::proto::resp::{Command, Encoder, Version};

use super::fail::Fail;

/// Keys watched by one connection.
pub(super) const WATCHED_MAX: usize = 1024;

/// A transaction of one connection, or what it watches before one.
#[derive(Default)]
pub(super) struct Transaction {
    /// The commands, as they would be sent.
    pub(super) queued: Vec<u8>,
    pub(super) count: usize,
    begun: bool,
    spoiled: bool,
    /// Keys, and the versions they had; 0 for none.
    pub(super) watched: Vec<(Box<[u8]>, u64)>,
}

impl Transaction {
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

    pub(super) fn queue(&mut self, command: &Command<'_>, max: usize) -> Result<(), Fail> {
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
        self.count += 1;
        Ok(())
    }
}
