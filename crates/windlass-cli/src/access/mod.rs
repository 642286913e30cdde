//! Access logs: a line for each connection when it has ended, or for each request where there are requests, or for
//! each flow of datagrams.
//!
//! A worker makes a [`Record`] and hands it to a bounded queue; one thread for all access logs makes lines of
//! them and writes those. What finds the queue full, or the disk, is dropped and counted. Read `format` for
//! what a line looks like, `record` for what is known, and `writer` for the thread.

mod fields;
mod format;
mod line;
mod record;
mod when;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};

use anyhow::{Context as _, Result};

use crate::config::shape::AccessTable;
use crate::logfile::{LogFile, is_stdout};
use crate::signals::set_on_hangup;
pub(crate) use fields::Kind;
pub(crate) use format::Format;
pub(crate) use record::{Ended, Record};
use writer::Queue;

/// Lines that were dropped since the start.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many lines of access logs were dropped since the start.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Relaxed)
}

/// The access log of one service.
pub(crate) struct AccessLog {
    file: Arc<Number>,
    format: Format,
    service: String,
    logs: AccessLogs,
}

/// One open file, by its number.
struct Number(usize);

/// All access logs of the process.
#[derive(Clone, Default)]
pub(crate) struct AccessLogs(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: OnceLock<Queue>,
    open: Mutex<Open>,
    /// The thread may run: privileges are given up.
    begun: AtomicBool,
    on_stdout: AtomicBool,
    reopen: Arc<AtomicBool>,
    /// Where the server listens, in the order of its listeners.
    addresses: RwLock<Vec<String>>,
}

#[derive(Default)]
struct Open {
    next: usize,
    by_path: BTreeMap<PathBuf, Weak<Number>>,
}

impl AccessLogs {
    /// The log that `table` describes, for a service of this name; two may write to one file. Errors: it
    /// cannot be opened.
    pub(crate) fn open(&self, table: &AccessTable, service: &str, kind: Kind) -> Result<Arc<AccessLog>> {
        let path = &table.path.0;
        let queue = self.0.queue.get_or_init(|| Queue::new(self.0.reopen.clone()));
        if self.0.begun.load(Relaxed) {
            self.start(queue).context("cannot start the thread of access logs")?;
        }
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match open.by_path.get(path).and_then(Weak::upgrade) {
            Some(file) => file,
            None => {
                let file = LogFile::open(path).with_context(|| {
                    format!("cannot write the access log of `{service}` to {}", path.display())
                })?;
                let number = Arc::new(Number(open.next));
                open.next += 1;
                open.by_path.retain(|_, number| number.strong_count() > 0);
                open.by_path.insert(path.clone(), Arc::downgrade(&number));
                queue.add_file(file, Arc::downgrade(&number));
                number
            }
        };
        if is_stdout(path) {
            self.0.on_stdout.store(true, Relaxed);
        }
        let format = table.format.as_ref().map_or_else(|| Format::usual(kind), |format| format.0.clone());
        Ok(Arc::new(AccessLog { file, format, service: service.into(), logs: self.clone() }))
    }

    /// Starts the thread, if there is a log, or else with the first that is opened: what is handed over before
    /// waits. Apart from opening, since a process gives its privileges up in between, and with one thread.
    pub(crate) fn begin(&self) -> std::io::Result<()> {
        self.0.begun.store(true, Relaxed);
        self.0.queue.get().map_or(Ok(()), |queue| self.start(queue))
    }

    fn start(&self, queue: &Queue) -> std::io::Result<()> {
        match queue.start()? {
            true => set_on_hangup(self.0.reopen.clone()),
            false => Ok(()),
        }
    }

    /// Whether lines go to stdout, where nothing else should then.
    pub(crate) fn is_on_stdout(&self) -> bool {
        self.0.on_stdout.load(Relaxed)
    }

    /// Where the server listens now.
    pub(crate) fn set_addresses(&self, addresses: Vec<String>) {
        *self.0.addresses.write().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// Writes what still waits, for a second at most, and ends the thread.
    pub(crate) fn finish(&self) {
        if let Some(queue) = self.0.queue.get() {
            queue.finish();
        }
    }
}

impl AccessLog {
    /// Hands over a record, or drops and counts it. Never waits.
    pub(crate) fn add(self: &Arc<Self>, record: Record) {
        if let Some(queue) = self.logs.0.queue.get() {
            queue.add(self.clone(), record);
        }
    }

    fn address(&self, listener: Option<usize>) -> Option<String> {
        let addresses = self.logs.0.addresses.read().unwrap_or_else(PoisonError::into_inner);
        addresses.get(listener?).cloned()
    }
}
