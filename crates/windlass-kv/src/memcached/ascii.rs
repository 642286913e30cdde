//! Answers text commands.

use windlass::Conn;
use windlass::proto::memcached::{Command, Get, Refusal, Store as Storage, Tokens};

use super::cache::{Counted, Item, Stored};
use super::stats::Stats;
use super::{Memcached, Pending, VERSION, write_value};
use crate::store::Store;

pub(super) const TOO_LARGE: &[u8] = b"SERVER_ERROR object too large for cache\r\n";
pub(super) const NO_MEMORY: &[u8] = b"SERVER_ERROR out of memory storing object\r\n";
pub(super) const NOT_NUMERIC: &[u8] = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";

impl Memcached {
    /// Answers one command. What is returned is the rest of a list of keys for which the output has no
    /// room at the moment.
    #[inline]
    pub(super) fn ascii(
        &mut self,
        store: &mut Store,
        conn: &mut Conn<'_>,
        command: Command<'_>,
    ) -> Option<Box<Pending>> {
        self.counts.commands += 1;
        let (reply, noreply) = match command {
            Command::Get(get) => return self.get(store, conn, get),
            Command::Store(command) => (self.store_reply(store, &command), command.noreply),
            Command::Delete { key, noreply } => {
                (if self.delete(store, key) { &b"DELETED\r\n"[..] } else { b"NOT_FOUND\r\n" }, noreply)
            }
            Command::Touch { key, exptime, noreply } => (
                if self.touch(store, key, exptime) { &b"TOUCHED\r\n"[..] } else { b"NOT_FOUND\r\n" },
                noreply,
            ),
            Command::Arith { key, delta, down, noreply } => match self.count(store, key, delta, down, None) {
                Counted::Number(number) => {
                    if !noreply {
                        self.line.counted(number);
                        self.write_line(conn);
                    }
                    return None;
                }
                Counted::NotNumeric => (NOT_NUMERIC, noreply),
                Counted::NoMemory => (&b"SERVER_ERROR out of memory in incr\r\n"[..], noreply),
                Counted::NotFound | Counted::Exists => (&b"NOT_FOUND\r\n"[..], noreply),
            },
            Command::FlushAll { delay, noreply } => {
                self.flush_all(store, delay);
                (&b"OK\r\n"[..], noreply)
            }
            // There is one verbosity, that of the log.
            Command::Verbosity { noreply } => (&b"OK\r\n"[..], noreply),
            Command::Version => {
                self.line.clear();
                self.line.put(b"VERSION ").put(VERSION.as_bytes()).put(b"\r\n");
                self.write_line(conn);
                return None;
            }
            Command::Stats(arguments) => {
                self.stats_reply(store, conn, arguments);
                return None;
            }
            Command::Meta(meta) => {
                self.meta(store, conn, meta);
                return None;
            }
            Command::Refused { refusal, noreply } => {
                self.counts.refused += 1;
                (refusal.reply(), noreply)
            }
            Command::TooLarge { key, mode, noreply } => {
                self.too_large(store, key, mode);
                (TOO_LARGE, noreply)
            }
            _ => (Refusal::Unknown.reply(), false),
        };
        if !noreply {
            self.write(conn, reply);
        }
        None
    }

    fn store_reply(&mut self, store: &mut Store, command: &Storage<'_>) -> &'static [u8] {
        let Storage { mode, key, value, flags, exptime, cas, .. } = *command;
        match self.store(store, &Item { mode, key, value, flags, exptime, cas }) {
            Stored::Done => b"STORED\r\n",
            Stored::Forbidden => b"NOT_STORED\r\n",
            Stored::Exists => b"EXISTS\r\n",
            Stored::NotFound => b"NOT_FOUND\r\n",
            Stored::TooLarge => TOO_LARGE,
            Stored::NoMemory => NO_MEMORY,
        }
    }

    #[inline]
    fn get(&mut self, store: &mut Store, conn: &mut Conn<'_>, mut get: Get<'_>) -> Option<Box<Pending>> {
        while let Some(key) = get.keys.next() {
            self.value(store, conn, key, get.cas, get.exptime);
            if conn.is_congested() {
                // Copied, since the input goes; as long as one command line at most.
                let keys = get.keys.rest().to_vec();
                return Some(Box::new(Pending { keys, cas: get.cas, exptime: get.exptime, last: get.last }));
            }
        }
        if get.last {
            self.write(conn, b"END\r\n");
        }
        None
    }

    /// Goes on with a list of keys, if there is one and the output has room.
    pub(super) fn resume(
        &mut self,
        store: &mut Store,
        conn: &mut Conn<'_>,
        pending: &mut Option<Box<Pending>>,
    ) {
        if conn.is_congested() {
            return;
        }
        if let Some(rest) = pending.take() {
            let keys = Tokens::new(&rest.keys);
            *pending =
                self.get(store, conn, Get { keys, cas: rest.cas, exptime: rest.exptime, last: rest.last });
        }
    }

    /// The answer to one key, if there is a value.
    #[inline]
    fn value(&mut self, store: &mut Store, conn: &mut Conn<'_>, key: &[u8], cas: bool, exptime: Option<i64>) {
        let entry = store.get(key);
        let hit = match entry.and_then(|entry| Some((entry, entry.bytes()?))) {
            Some((entry, value)) => {
                self.line.value(key, entry.flags(), value.len(), cas.then(|| entry.version()));
                self.counts.bytes_written += write_value(conn, &mut self.line, value, b"\r\n");
                true
            }
            None => false,
        };
        match exptime {
            Some(exptime) => {
                self.touch(store, key, exptime);
                self.counts.get_misses += u64::from(!hit);
            }
            None => {
                *if hit { &mut self.counts.get_hits } else { &mut self.counts.get_misses } += 1;
            }
        }
        self.counts.cmd_get += u64::from(exptime.is_none() || !hit);
    }

    fn stats_reply(&mut self, store: &mut Store, conn: &mut Conn<'_>, mut arguments: Tokens<'_>) {
        let which = arguments.next().unwrap_or(b"");
        if which == b"reset" {
            self.counts.reset();
            return self.write(conn, b"RESET\r\n");
        }
        let Some(stats) = Stats::find(which) else {
            self.counts.refused += 1;
            return self.write(conn, Refusal::Unknown.reply());
        };
        for (name, value) in stats.list(self, store) {
            self.line.clear();
            self.line.put(b"STAT ").put(name.as_bytes()).put(b" ").put(value.as_bytes()).put(b"\r\n");
            self.write_line(conn);
        }
        self.write(conn, b"END\r\n");
    }
}
