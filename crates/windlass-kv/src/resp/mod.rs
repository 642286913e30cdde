//! RESP: sessions, and what is served to them. The codec is [`windlass::proto::resp`].
//!
//! Read this file first: how a command gets from the input to its code. Then `table` for what there is,
//! `commands` for what each does, `pubsub` for messages that answer nothing.
//!
//! Replies are gathered in one buffer of the worker's and written once per callback; a large value goes out
//! from where it lies in the store. A client that does not read its replies is not served on until it does:
//! its commands stay in the input, which is bounded.

mod clients;
mod commands;
mod fail;
mod glob;
mod pubsub;
mod table;
mod transaction;

use windlass::proto::Decode;
use windlass::proto::resp::{Args, Command, Commands, Encoder, RespError, RespLimits, Version};
use windlass::{Close, Conn, Input};

use crate::config::{KvConfig, Secret};
use crate::store::{Store, StoreConfig};
use clients::Clients;
use fail::{Done, Fail};
use pubsub::{Pubsub, Subscriptions};
use table::{Spec, Table};
use transaction::{Holdings, Transaction};

/// Replies gathered before they are handed to the engine.
const FLUSH_BYTES: usize = 32 * 1024;
/// A reply buffer larger than this is not kept.
const KEEP_BYTES: usize = 256 * 1024;
/// A value of at least this many bytes is not copied into the reply buffer.
const LARGE: usize = 16 * 1024;

/// What all connections that speak RESP share.
pub(crate) struct Resp {
    table: Table,
    /// Replies of the callback that runs.
    out: Vec<u8>,
    shared: Shared,
}

/// The part of it that commands use.
pub(crate) struct Shared {
    config: KvConfig,
    clients: Clients,
    pubsub: Pubsub,
    holdings: Holdings,
    counts: Counts,
}

/// What is counted.
#[derive(Default)]
struct Counts {
    commands: u64,
    connections: u64,
    /// Errors replied, by their code: there are some ten.
    errors: Vec<(String, u64)>,
    /// Connections ended for what they sent, by the error's label.
    violations: Vec<(&'static str, u64)>,
    /// Unix time of the first connection or command, in milliseconds.
    began: u64,
}

/// The state of one connection.
pub(crate) struct Session {
    decoder: Commands,
    version: Version,
    authenticated: bool,
    id: u64,
    /// Where the ones that most have none are kept.
    transaction: Option<Box<Transaction>>,
    subscriptions: Option<Box<Subscriptions>>,
}

/// One command being carried out.
pub(crate) struct Run<'r, 'c, 'b> {
    store: &'r mut Store,
    shared: &'r mut Shared,
    table: &'r Table,
    session: &'r mut Session,
    conn: &'r mut Conn<'c>,
    out: &'r mut Vec<u8>,
    spec: &'static Spec,
    /// The words behind the name.
    args: Args<'b>,
    /// Set by what ends the connection.
    close: bool,
}

impl Resp {
    /// Other settings from now on.
    pub(crate) fn set(&mut self, store: &StoreConfig, password: Option<Secret>) {
        self.shared.config.store = store.clone();
        self.shared.config.password = password;
    }

    pub(crate) fn new(config: &KvConfig) -> Resp {
        Resp {
            table: Table::new(),
            out: Vec::new(),
            shared: Shared {
                config: config.clone(),
                clients: Clients::default(),
                pubsub: Pubsub::default(),
                holdings: Holdings::default(),
                counts: Counts::default(),
            },
        }
    }

    pub(crate) fn commands(&self) -> u64 {
        self.shared.counts.commands
    }

    pub(crate) fn open(&mut self, store: &Store, conn: &mut Conn<'_>) -> Session {
        let shared = &mut self.shared;
        shared.counts.connections += 1;
        if shared.counts.began == 0 {
            shared.counts.began = store.now();
        }
        let authenticated = shared.config.password.is_none();
        if !authenticated {
            conn.wake_at(conn.now() + shared.config.auth_timeout);
        }
        let mut decoder = Commands::new(RespLimits {
            args_max: shared.config.args_max,
            bulk_max: shared.config.store.value_max,
            ..RespLimits::default()
        });
        decoder.set_unauthenticated(!authenticated);
        Session {
            decoder,
            version: Version::Resp2,
            authenticated,
            id: shared.clients.add(conn.id(), store.now()),
            transaction: None,
            subscriptions: None,
        }
    }

    pub(crate) fn closed(&mut self, conn: &Conn<'_>, session: &mut Session) {
        self.shared.pubsub.leave(conn.id(), session.subscriptions.take());
        self.shared.clients.remove(session.id);
    }

    pub(crate) fn data(
        &mut self,
        store: &mut Store,
        conn: &mut Conn<'_>,
        session: &mut Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        loop {
            if self.out.len() >= FLUSH_BYTES {
                self.flush(conn);
            }
            // What it was sent waits to be read: its commands wait too.
            if conn.is_congested() {
                break;
            }
            match session.decoder.decode(input) {
                Ok(Some(command)) => {
                    if self.command(store, conn, session, &command) {
                        self.flush(conn);
                        return Err(Close::Done);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.violation(error, session.version);
                    self.flush(conn);
                    return Err(error.into());
                }
            }
        }
        self.flush(conn);
        Ok(())
    }

    fn flush(&mut self, conn: &mut Conn<'_>) {
        if !self.out.is_empty() {
            conn.write(&self.out);
            self.out.clear();
            if self.out.capacity() > KEEP_BYTES {
                self.out = Vec::new();
            }
        }
    }

    fn violation(&mut self, error: RespError, version: Version) {
        Encoder::new(&mut self.out, version).error(&format!("ERR {error}"));
        let violations = &mut self.shared.counts.violations;
        match violations.iter_mut().find(|(label, _)| *label == error.label()) {
            Some((_, n)) => *n += 1,
            None => violations.push((error.label(), 1)),
        }
    }

    /// Carries out one command. True if it ends the connection.
    #[inline]
    fn command(
        &mut self,
        store: &mut Store,
        conn: &mut Conn<'_>,
        session: &mut Session,
        command: &Command<'_>,
    ) -> bool {
        self.shared.counts.commands += 1;
        let at = self.out.len();
        let mut args = command.args();
        let name = args.next().unwrap_or_default();
        let Some(spec) = self.table.find(name) else {
            if let Some(transaction) = &mut session.transaction {
                transaction.spoil();
            }
            self.fail(at, session.version, fail::unknown_command(name, args));
            return false;
        };
        let mut run = Run {
            store,
            shared: &mut self.shared,
            table: &self.table,
            session,
            conn,
            out: &mut self.out,
            spec,
            args,
            close: false,
        };
        let done = if run.session.is_plain() && spec.takes(command.len()) {
            (spec.run)(&mut run)
        } else {
            run.checked(command)
        };
        let close = run.close;
        if let Err(fail) = done {
            self.fail(at, session.version, fail);
        }
        close
    }

    /// Writes an error in place of what was written of a reply.
    #[cold]
    fn fail(&mut self, at: usize, version: Version, fail: Fail) {
        self.out.truncate(at);
        write_fail(&mut self.out, version, &mut self.shared.counts, fail);
    }
}

#[cold]
fn write_fail(out: &mut Vec<u8>, version: Version, counts: &mut Counts, fail: Fail) {
    let text = fail.text();
    let code = text.split(' ').next().unwrap_or_default();
    match counts.errors.iter_mut().find(|(counted, _)| counted == code) {
        Some((_, n)) => *n += 1,
        None => counts.errors.push((code.into(), 1)),
    }
    Encoder::new(out, version).error(&text);
}

impl Session {
    /// Whether any command may come: it has said who it is, and is in no special state.
    #[inline]
    fn is_plain(&self) -> bool {
        self.authenticated && self.transaction.is_none() && self.subscriptions.is_none()
    }

    /// Whether it may only manage its subscriptions: in RESP2 nothing else can be told from a message.
    fn is_subscriber(&self) -> bool {
        self.version == Version::Resp2
            && self.subscriptions.as_ref().is_some_and(|subscriptions| subscriptions.len() > 0)
    }
}

impl<'b> Run<'_, '_, 'b> {
    /// A command that may not be allowed in the session's state, or has the wrong number of words.
    #[cold]
    fn checked(&mut self, command: &Command<'_>) -> Done {
        let spec = self.spec;
        if !self.session.authenticated && !spec.has(table::NO_AUTH) {
            return Err(Fail::Text("NOAUTH Authentication required."));
        }
        if !spec.takes(command.len()) {
            if let Some(transaction) = &mut self.session.transaction {
                transaction.spoil();
            }
            return Err(fail::arity(spec.name));
        }
        if self.session.is_subscriber() && !spec.has(table::SUBSCRIBER) {
            return Err(Fail::Said(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
                spec.name
            )));
        }
        let max = (self.shared.config.transaction_max, self.shared.config.transactions_max);
        match &mut self.session.transaction {
            Some(transaction) if transaction.begun() && !spec.has(table::NOT_QUEUED) => {
                transaction.queue(command, max)?;
                self.reply().simple("QUEUED");
                Ok(())
            }
            _ => (spec.run)(self),
        }
    }

    #[inline]
    fn reply(&mut self) -> Encoder<'_> {
        Encoder::new(self.out, self.session.version)
    }

    fn ok(&mut self) -> Done {
        self.reply().simple("OK");
        Ok(())
    }

    fn integer(&mut self, number: usize) -> Done {
        self.reply().integer(number as i64);
        Ok(())
    }

    /// The next word. The number of words was checked against the table: only where it may vary can this
    /// be the empty word that nobody sent.
    #[inline]
    fn arg(&mut self) -> &'b [u8] {
        self.args.next().unwrap_or_default()
    }

    /// The next word as an integer.
    fn number(&mut self) -> Result<i64, Fail> {
        fail::integer(self.arg())
    }
}

/// Replies with a value of the store: a large one from where it lies. What was written before goes out when
/// there is much of it, however many values follow; so a command that has begun with this may not fail.
#[inline]
fn bulk(out: &mut Vec<u8>, conn: &mut Conn<'_>, value: &[u8]) {
    // The version makes no difference to a bulk string.
    if value.len() < LARGE {
        if out.len() >= FLUSH_BYTES {
            spill(out, conn);
        }
        return Encoder::new(out, Version::Resp2).bulk(value);
    }
    Encoder::new(out, Version::Resp2).bulk_head(value.len());
    spill(out, conn);
    conn.write(value);
    out.extend_from_slice(b"\r\n");
}

/// Hands the replies so far to the engine.
#[cold]
fn spill(out: &mut Vec<u8>, conn: &mut Conn<'_>) {
    conn.write(out);
    out.clear();
}

/// `text` in capitals, if it is short enough for a word that means something.
fn upper<'w>(text: &[u8], word: &'w mut [u8; 16]) -> &'w [u8] {
    match word.get_mut(..text.len()) {
        Some(word) => {
            word.copy_from_slice(text);
            word.make_ascii_uppercase();
            word
        }
        None => b"",
    }
}
