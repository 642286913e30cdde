//! Answers binary requests.

use windlass::proto::memcached::reply::Response;
use windlass::proto::memcached::{Mode, Operation, Request, Status};
use windlass::{Close, Conn};

use super::cache::{Counted, Item, Stored};
use super::stats::Stats;
use super::{Memcached, VERSION, write_value};
use crate::store::Store;

impl Memcached {
    /// Answers one request. `Err` is its wish to end the connection.
    #[inline]
    pub(super) fn binary(
        &mut self,
        store: &mut Store,
        conn: &mut Conn<'_>,
        request: Request<'_>,
    ) -> Result<(), Close> {
        self.counts.commands += 1;
        let (opcode, opaque, quiet) = (request.opcode, request.opaque, request.quiet);
        let cas = Some(request.cas).filter(|cas| *cas != 0);
        let mut done = Response::new(opcode, opaque, Status::Ok);
        let status = match request.operation {
            Operation::Get { key, with_key, exptime } => {
                self.binary_get(store, conn, &request, key, with_key, exptime);
                return Ok(());
            }
            Operation::Store { mode, key, flags, exptime, value } => {
                let item = Item { mode, key, value, flags, exptime: exptime.into(), cas };
                let stored = self.store(store, &item);
                done.cas = store.last_version();
                stored_status(stored, mode)
            }
            Operation::TooLarge { key, mode } => {
                self.too_large(store, key, mode);
                Status::TooLarge
            }
            Operation::Delete { key } => match store.peek(key).map(|entry| entry.version()) {
                Some(version) if cas.is_some_and(|cas| cas != version) => Status::Exists,
                _ if self.delete(store, key) => Status::Ok,
                _ => Status::NotFound,
            },
            Operation::Touch { key, exptime } => match store.peek(key).map(|entry| entry.flags()) {
                Some(flags) if self.touch(store, key, exptime.into()) => {
                    let version = store.peek(key).map_or(0, |entry| entry.version());
                    let head = Response { cas: version, extras: 4, ..done };
                    self.head(&head);
                    self.line.put(&flags.to_be_bytes());
                    self.write_line(conn);
                    return Ok(());
                }
                Some(_) => Status::NotFound,
                None => {
                    self.counts.cmd_touch += 1;
                    self.counts.touch_misses += 1;
                    Status::NotFound
                }
            },
            Operation::Arith { key, down, delta, initial, exptime } => {
                match self.count_or_set(store, key, down, delta, initial, exptime, cas) {
                    Ok(number) if !quiet => {
                        self.head(&Response { value: 8, cas: store.last_version(), ..done });
                        self.line.put(&number.to_be_bytes());
                        self.write_line(conn);
                        return Ok(());
                    }
                    Ok(_) => Status::Ok,
                    Err(status) => status,
                }
            }
            Operation::FlushAll { delay } => {
                self.flush_all(store, delay.into());
                Status::Ok
            }
            // There is one verbosity, that of the log.
            Operation::Noop | Operation::Verbosity => Status::Ok,
            Operation::Version => {
                self.head(&Response { value: VERSION.len() as u32, ..done });
                self.line.put(VERSION.as_bytes());
                self.write_line(conn);
                return Ok(());
            }
            Operation::Quit => {
                if !quiet {
                    self.respond(conn, opcode, opaque, Status::Ok);
                }
                return Err(Close::Done);
            }
            Operation::Stat { key } => {
                self.binary_stat(store, conn, &done, key);
                return Ok(());
            }
            Operation::Unknown => {
                self.counts.refused += 1;
                Status::Unknown
            }
            _ => Status::Unknown,
        };
        if status != Status::Ok {
            self.respond(conn, opcode, opaque, status);
        } else if !quiet {
            self.head(&done);
            self.write_line(conn);
        }
        Ok(())
    }

    #[inline]
    fn binary_get(
        &mut self,
        store: &mut Store,
        conn: &mut Conn<'_>,
        request: &Request<'_>,
        key: &[u8],
        with_key: bool,
        exptime: Option<u32>,
    ) {
        let entry = store.get(key);
        let echoed = if with_key { key } else { b"" };
        let hit = match entry.and_then(|entry| Some((entry, entry.bytes()?))) {
            Some((entry, value)) => {
                let head = Response {
                    cas: entry.version(),
                    extras: 4,
                    key: echoed.len() as u16,
                    value: value.len() as u32,
                    ..Response::new(request.opcode, request.opaque, Status::Ok)
                };
                self.line.clear();
                self.line.put(&head.head()).put(&entry.flags().to_be_bytes()).put(echoed);
                self.counts.bytes_written += write_value(conn, &mut self.line, value, b"");
                true
            }
            None => false,
        };
        match exptime {
            Some(exptime) => {
                self.touch(store, key, exptime.into());
                self.counts.get_misses += u64::from(!hit);
            }
            None => {
                *if hit { &mut self.counts.get_hits } else { &mut self.counts.get_misses } += 1;
            }
        }
        self.counts.cmd_get += u64::from(exptime.is_none() || !hit);
        if !hit && !request.quiet {
            if with_key {
                let head = Response {
                    key: key.len() as u16,
                    ..Response::new(request.opcode, request.opaque, Status::NotFound)
                };
                self.head(&head);
                self.line.put(key);
                self.write_line(conn);
            } else {
                self.respond(conn, request.opcode, request.opaque, Status::NotFound);
            }
        }
    }

    /// Counts, or stores the first number where there is none.
    #[allow(clippy::too_many_arguments, reason = "they are those of the request")]
    fn count_or_set(
        &mut self,
        store: &mut Store,
        key: &[u8],
        down: bool,
        delta: u64,
        initial: u64,
        exptime: Option<u32>,
        cas: Option<u64>,
    ) -> Result<u64, Status> {
        match self.count(store, key, delta, down, cas) {
            Counted::Number(number) => Ok(number),
            Counted::NotNumeric => Err(Status::NotNumeric),
            Counted::Exists => Err(Status::Exists),
            Counted::NoMemory => Err(Status::OutOfMemory),
            Counted::NotFound => {
                let exptime = exptime.ok_or(Status::NotFound)?;
                let made = self.first_number(store, key, initial, exptime.into());
                made.map(|()| initial).map_err(|_| Status::OutOfMemory)
            }
        }
    }

    fn binary_stat(&mut self, store: &mut Store, conn: &mut Conn<'_>, done: &Response, key: &[u8]) {
        if key == b"reset" {
            self.counts.reset();
            self.head(done);
            return self.write_line(conn);
        }
        let Some(stats) = Stats::find(key) else {
            return self.respond(conn, done.opcode, done.opaque, Status::NotFound);
        };
        for (name, value) in stats.list(self, store) {
            self.head(&Response { key: name.len() as u16, value: value.len() as u32, ..*done });
            self.line.put(name.as_bytes()).put(value.as_bytes());
            self.write_line(conn);
        }
        // The end of them: one without a name.
        self.head(done);
        self.write_line(conn);
    }

    /// A response of a status and its text.
    pub(super) fn respond(&mut self, conn: &mut Conn<'_>, opcode: u8, opaque: u32, status: Status) {
        self.head(&Response { value: status.text().len() as u32, ..Response::new(opcode, opaque, status) });
        self.line.put(status.text());
        self.write_line(conn);
    }

    #[inline]
    fn head(&mut self, response: &Response) {
        self.line.clear();
        self.line.put(&response.head());
    }
}

fn stored_status(stored: Stored, mode: Mode) -> Status {
    match (stored, mode) {
        (Stored::Done, _) => Status::Ok,
        (Stored::Forbidden, Mode::Add) => Status::Exists,
        (Stored::Forbidden, Mode::Replace) => Status::NotFound,
        (Stored::Forbidden, _) => Status::NotStored,
        (Stored::Exists, _) => Status::Exists,
        (Stored::NotFound, _) => Status::NotFound,
        (Stored::TooLarge, _) => Status::TooLarge,
        (Stored::NoMemory, _) => Status::OutOfMemory,
    }
}
