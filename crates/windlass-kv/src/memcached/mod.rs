//! memcached: text and binary on one port, over the store that RESP uses too.
//!
//! [`Memcached`] is what all its connections share, [`Session`] what each of them has: a decoder, and keys
//! still to be answered when the output was full. Read `cache` first, which is memcached's notion of a
//! cache in terms of the store, then `ascii` and `binary`, which answer commands, and `stats`.
//!
//! - **Expiry** is exact to a millisecond, where memcached counts in seconds.
//! - **Keys of other types** (a list that a RESP client made) are misses to `get`, and can be overwritten
//!   and deleted.
//! - **Output is bounded by its reader**: while a peer is congested no command is taken, and a long `get`
//!   stops between two values.

mod ascii;
mod binary;
mod cache;
mod meta;
mod stats;

use windlass::proto::Decode;
use windlass::proto::memcached::reply::Line;
use windlass::proto::memcached::{Ascii, Binary, Command, Limits, Wire};
use windlass::{Close, Conn, Input};

use crate::store::Store;
use cache::Counts;

/// The version that is told to clients: that of the memcached whose replies these are. Some clients decide
/// by it what they may use.
const VERSION: &str = "1.6.18";

/// What all connections that speak memcached share.
pub(crate) struct Memcached {
    limits: Limits,
    counts: Counts,
    /// When everything is to be forgotten, in Unix milliseconds.
    flush_at: Option<u64>,
    /// When the first connection came, in Unix milliseconds.
    began: Option<u64>,
    line: Line,
}

/// The state of one connection.
pub(crate) enum Session {
    /// Nothing has come.
    New,
    Ascii(Ascii, Option<Box<Pending>>),
    Binary(Binary),
}

/// The rest of a list of keys, whose answer did not fit into the output. As long as a command line at most.
pub(crate) struct Pending {
    keys: Vec<u8>,
    cas: bool,
    exptime: Option<i64>,
    last: bool,
}

impl Memcached {
    pub(crate) fn set_value_max(&mut self, value_max: usize) {
        self.limits.value_max = value_max;
    }

    pub(crate) fn new(value_max: usize) -> Memcached {
        Memcached {
            limits: Limits { value_max, ..Limits::default() },
            counts: Counts::default(),
            flush_at: None,
            began: None,
            line: Line::default(),
        }
    }

    /// How many commands were served.
    pub(crate) fn commands(&self) -> u64 {
        self.counts.commands
    }

    pub(crate) fn open(&mut self, store: &Store) -> Session {
        self.began.get_or_insert(store.now());
        self.counts.curr_connections += 1;
        self.counts.total_connections += 1;
        Session::New
    }

    pub(crate) fn closed(&mut self) {
        self.counts.curr_connections -= 1;
    }

    pub(crate) fn data(
        &mut self,
        store: &mut Store,
        conn: &mut Conn<'_>,
        session: &mut Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        self.tick(store);
        let before = input.len();
        let outcome = self.answer(store, conn, session, input);
        self.counts.bytes_read += (before - input.len()) as u64;
        outcome
    }

    /// The output has room again; input left untaken is offered after this.
    pub(crate) fn drained(&mut self, store: &mut Store, conn: &mut Conn<'_>, session: &mut Session) {
        self.tick(store);
        if let Session::Ascii(_, pending) = session {
            self.resume(store, conn, pending);
        }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, store: &mut Store) {
        if self.flush_at.is_some_and(|at| at <= store.now()) {
            self.flush_at = None;
            store.clear();
        }
    }

    fn answer(
        &mut self,
        store: &mut Store,
        conn: &mut Conn<'_>,
        session: &mut Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        if matches!(session, Session::New) {
            let Some(first) = input.peek().first() else { return Ok(()) };
            *session = match Wire::detect(*first) {
                Wire::Ascii => Session::Ascii(Ascii::new(self.limits), None),
                Wire::Binary => Session::Binary(Binary::new(self.limits)),
            };
        }
        match session {
            Session::New => Ok(()),
            Session::Ascii(decoder, pending) => {
                self.resume(store, conn, pending);
                // What is not taken now is offered again when the output has drained.
                while !conn.is_congested() {
                    match decoder.decode(input) {
                        Ok(Some(Command::Quit)) => return Err(Close::Done),
                        Ok(Some(command)) => *pending = self.ascii(store, conn, command),
                        Ok(None) => break,
                        Err(error) => {
                            self.counts.count_violation(error.label());
                            self.write(conn, error.reply());
                            return Err(error.into());
                        }
                    }
                }
                Ok(())
            }
            Session::Binary(decoder) => {
                while !conn.is_congested() {
                    match decoder.decode(input) {
                        Ok(Some(request)) => self.binary(store, conn, request)?,
                        Ok(None) => break,
                        Err(error) => {
                            self.counts.count_violation(error.label());
                            if let Some((opcode, opaque, status)) = error.response() {
                                self.respond(conn, opcode, opaque, status);
                            }
                            return Err(error.into());
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// Writes, and counts what was written.
    #[inline]
    fn write(&mut self, conn: &mut Conn<'_>, bytes: &[u8]) {
        self.counts.bytes_written += bytes.len() as u64;
        conn.write(bytes);
    }

    /// Writes what has been put together in `line`.
    #[inline]
    fn write_line(&mut self, conn: &mut Conn<'_>) {
        self.counts.bytes_written += self.line.bytes().len() as u64;
        conn.write(self.line.bytes());
    }
}

/// Queues a head, a value and what follows it: in one piece where that is cheap, and where the value is
/// large from where it lies.
#[inline]
fn write_value(conn: &mut Conn<'_>, head: &mut Line, value: &[u8], tail: &[u8]) -> u64 {
    let bytes = (head.bytes().len() + value.len() + tail.len()) as u64;
    if head.room() >= value.len() + tail.len() {
        head.put(value).put(tail);
        conn.write(head.bytes());
        return bytes;
    }
    conn.write(head.bytes());
    if value.len() <= COPIED_MAX {
        // In pieces below what the engine sends at once: one call less is worth the copy.
        value.chunks(PIECE).for_each(|piece| conn.write(piece));
    } else {
        conn.write(value);
    }
    conn.write(tail);
    bytes
}

/// Values up to this are copied behind their head, so that they go out in one call with what follows.
const COPIED_MAX: usize = 32 * 1024;
const PIECE: usize = 4 * 1024;
