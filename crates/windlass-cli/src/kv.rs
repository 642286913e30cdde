//! The key-value service behind its flags and its tables.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use windlass::{Change, Limits, Mailbox, Serve, serve};
use windlass_kv::store::StoreConfig;
use windlass_kv::{Kv, KvConfig, KvSettings, Protocol, Secret};

use crate::args::{MemcachedArgs, RespArgs, StoreArgs};
use crate::config::File;
use crate::config::shape::{MemcachedTable, RespTable, StoreTable, TlsTable};
use crate::config::value::{Count, FilePath, Listen, Size};
use crate::serving::{Report, Tally, Told, Watched, from_flags, listening, owner, run_flags, tls_from_flags};

/// Serves RESP until told to stop.
pub(crate) fn resp(args: &RespArgs) -> Result<()> {
    let mut file = from_flags(&args.serving);
    // The store is on one worker; others would have nothing to do.
    file.server.workers = Count(1);
    file.store = table(&args.store);
    file.resp = vec![RespTable {
        listen: args.listen.iter().cloned().map(Listen).collect(),
        password_file: args.password_file.clone().map(FilePath),
        tls: tls_from_flags(&args.serving),
        ..RespTable::default()
    }];
    run_flags(&file, &args.serving)
}

/// Serves memcached until told to stop.
pub(crate) fn memcached(args: &MemcachedArgs) -> Result<()> {
    let mut file = from_flags(&args.serving);
    file.server.workers = Count(1);
    file.store = table(&args.store());
    file.memcached = vec![MemcachedTable {
        listen: args.listen.iter().cloned().map(Listen).collect(),
        tls: tls_from_flags(&args.serving),
        ..MemcachedTable::default()
    }];
    run_flags(&file, &args.serving)
}

fn table(args: &StoreArgs) -> StoreTable {
    StoreTable { memory_max: Size(args.memory_max), value_max: Size(args.value_max), eviction: args.eviction }
}

/// The way to the service that is there, and what the engine calls it.
#[derive(Clone, Default)]
pub(crate) struct Link(Arc<Mutex<Option<(String, Mailbox<KvSettings>)>>>);

impl Link {
    fn lock(&self) -> MutexGuard<'_, Option<(String, Mailbox<KvSettings>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the engine calls the service: as it began, whatever tables there are since.
pub(crate) fn name(file: &File, told: &Told) -> String {
    if let Some((name, mailbox)) = &*told.kv.lock()
        && mailbox.workers() > 0
    {
        return name.clone();
    }
    match (&*file.resp, &*file.memcached) {
        ([only], []) => only.name.clone(),
        ([], [only]) => only.name.clone(),
        _ => "kv".into(),
    }
}

/// One service for all listeners of every protocol of the store, since they share it.
pub(crate) fn service(file: &File, told: &Told) -> Result<Option<Serve<Watched<Kv>>>> {
    let resp = file.resp.iter();
    let resp = resp.map(|it| (Protocol::Resp, owner("resp", &it.name), &*it.listen, it.tls.as_ref()));
    let memcached = file.memcached.iter();
    let memcached =
        memcached.map(|it| (Protocol::Memcached, owner("memcached", &it.name), &*it.listen, it.tls.as_ref()));
    let listeners: Vec<(Protocol, String, &[Listen], Option<&TlsTable>)> = resp.chain(memcached).collect();
    if listeners.is_empty() {
        return Ok(None);
    }
    let config = KvConfig {
        store: StoreConfig {
            memory_max: file.store.memory_max.0,
            value_max: file.store.value_max.0,
            eviction: file.store.eviction.of_store(),
            // Which keys are drawn when memory is full: any number will do.
            seed: unix_ms(),
            ..StoreConfig::default()
        },
        // By the tags of listeners.
        protocols: PROTOCOLS.to_vec(),
        password: password(file)?,
        ..KvConfig::default()
    };
    // A service that was here before is gone, and its mailbox with it.
    told.kv.lock().take_if(|_| true);
    let name = name(file, told);
    let mailbox = Mailbox::new();
    *told.kv.lock() = Some((name.clone(), mailbox.clone()));
    let its = told.clone();
    let mut service =
        serve(move || Watched::new(Kv::new(KvConfig { unix_ms: unix_ms(), ..config.clone() }), &its))
            .name(&name)
            .mailbox(&mailbox)
            .tick(Kv::TICK);
    let (idle_timeout, input_max) = own_limits(file);
    if let Some(timeout) = idle_timeout {
        service = service.idle_timeout(timeout);
    }
    if let Some(bytes) = input_max {
        service = service.input_max(bytes);
    }
    for (protocol, owner, listen, tls) in listeners {
        service = listening(service, told, &owner, (listen, tls, tag(protocol)))?;
    }
    Ok(Some(service))
}

/// What it bounds for itself: what `[limits]` does not say.
fn own_limits(file: &File) -> (Option<Duration>, Option<usize>) {
    let own = limits(&file.store);
    let idle_timeout = (!file.limits.sets("idle_timeout")).then_some(own.idle_timeout);
    let input_max = (!file.limits.sets("input_max")).then_some(own.input_max);
    (idle_timeout, input_max)
}

/// Adds to a change of the server what becomes of a store that stays; what it is to be told when the change
/// is made.
pub(crate) fn change(
    old: &File,
    new: &File,
    told: &Told,
    added: &[String],
    change: &mut Change,
    report: &mut Report,
) -> Result<Option<KvSettings>> {
    let name = name(new, told);
    if (new.resp.is_empty() && new.memcached.is_empty()) || added.contains(&name) {
        return Ok(None);
    }
    let (idle_timeout, input_max) = own_limits(new);
    if (idle_timeout, input_max) != own_limits(old) {
        *change = std::mem::take(change).idle_timeout(&name, idle_timeout).input_max(&name, input_max);
    }
    if old.store != new.store {
        report.changed.push("the store's bounds set; its keys stay".into());
    }
    Ok(Some(KvSettings {
        memory_max: new.store.memory_max.0,
        value_max: new.store.value_max.0,
        eviction: new.store.eviction.of_store(),
        // Read again, though the table may be the same.
        password: password(new)?,
    }))
}

/// Tells the store.
pub(crate) fn set(told: &Told, settings: Option<KvSettings>) {
    if let (Some(settings), Some((_, mailbox))) = (settings, &*told.kv.lock()) {
        // Full it is only if it was told thousands of times in one turn, and closed when the server ends.
        let _ = mailbox.send_to_all(settings);
    }
}

/// The tag of listeners of a kind of table.
pub(crate) fn tag_of_kind(kind: &str) -> Option<u32> {
    match kind {
        "resp" => Some(tag(Protocol::Resp)),
        "memcached" => Some(tag(Protocol::Memcached)),
        _ => None,
    }
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Resp, Protocol::Memcached];

fn tag(protocol: Protocol) -> u32 {
    PROTOCOLS.iter().position(|of| *of == protocol).unwrap_or(0) as u32
}

/// What clients of RESP must say: the first line of a file. An empty one would let everybody in.
pub(crate) fn password(file: &File) -> Result<Option<Secret>> {
    let mut files = file.resp.iter().map(|resp| resp.password_file.as_ref());
    let Some(path) = files.next().flatten() else {
        ensure!(files.all(|file| file.is_none()), "password_file is not the same in every [[resp]]");
        return Ok(None);
    };
    if files.any(|file| file != Some(path)) {
        bail!("password_file is not the same in every [[resp]]");
    }
    let text = std::fs::read(&path.0).with_context(|| format!("cannot read {}", path.0.display()))?;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    ensure!(!line.is_empty(), "the first line of {} is empty", path.0.display());
    Ok(Some(Secret::new(line)))
}

/// A command is as long as its longest value, and some. Clients of a store keep silent connections open,
/// subscribers above all: as with Redis and memcached nobody is ended for silence unless it is asked for.
pub(crate) fn limits(store: &StoreTable) -> Limits {
    let input_max = 2 * store.value_max.0 + (1 << 20);
    Limits { input_max, idle_timeout: Duration::ZERO, ..Limits::default() }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl Tally for Kv {
    fn messages(&self) -> u64 {
        self.commands()
    }
}
