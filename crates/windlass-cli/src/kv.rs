//! The key-value service behind its flags and its tables.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use windlass::{Change, Limits, Mailbox, Serve, serve};
use windlass_kv::store::StoreConfig;
use windlass_kv::{Kv, KvConfig, KvSettings, Protocol, Secret};

use crate::args::{MemcachedArgs, RespArgs, StoreArgs};
use crate::config::File;
use crate::config::shape::{AccessTable, MemcachedTable, RespTable, StoreTable, TlsTable};
use crate::config::value::{Count, FilePath, Listen, Size};
use crate::serving::{
    Ends, Report, Tally, Told, Watched, access_from_flags, from_flags, listening, owner, run_flags,
    tls_from_flags,
};

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
        access_log: access_from_flags(&args.serving),
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
        access_log: access_from_flags(&args.serving),
        ..MemcachedTable::default()
    }];
    run_flags(&file, &args.serving)
}

fn table(args: &StoreArgs) -> StoreTable {
    StoreTable { memory_max: Size(args.memory_max), value_max: Size(args.value_max), eviction: args.eviction }
}

/// The way to the service that is there, and what the engine calls it.
#[derive(Clone, Default)]
pub(crate) struct Link(Arc<Mutex<Option<Linked>>>);

struct Linked {
    name: String,
    mailbox: Mailbox<KvSettings>,
    logged: Logged,
}

/// Tables with an access log when the service began, by the names of their certificates, were there any: its
/// connections go into these, whatever tables there are since.
type Logged = Vec<(String, AccessTable)>;

fn logged(file: &File) -> Logged {
    let resp = file.resp.iter().map(|it| (owner("resp", &it.name), it.access_log.clone()));
    let memcached = file.memcached.iter().map(|it| (owner("memcached", &it.name), it.access_log.clone()));
    resp.chain(memcached).filter_map(|(owner, log)| Some((owner, log?))).take(LOGS_MAX).collect()
}

/// Which of the service's access logs is that of a table: 0 is none.
fn slot(told: &Told, owner: &str) -> usize {
    let link = told.kv.lock();
    let logged = link.as_ref().map(|link| &*link.logged).unwrap_or_default();
    logged.iter().position(|(of, _)| of == owner).map_or(0, |at| at + 1)
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, Option<Linked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the engine calls the service: as it began, whatever tables there are since.
pub(crate) fn name(file: &File, told: &Told) -> String {
    if let Some(link) = &*told.kv.lock()
        && link.mailbox.workers() > 0
    {
        return link.name.clone();
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
    let logs = logged(file);
    let named =
        logs.iter().map(|(owner, log)| (Some(log), owner.split_once(' ').map_or("", |(_, name)| name)));
    let ends = Ends::open([(None, "")].into_iter().chain(named), log_of, told)?;
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
        protocols: PROTOCOLS.repeat(LOGS_MAX + 1),
        password: password(file)?,
        ..KvConfig::default()
    };
    // A service that was here before is gone, and its mailbox with it.
    told.kv.lock().take_if(|_| true);
    let name = name(file, told);
    let mailbox = Mailbox::new();
    *told.kv.lock() = Some(Linked { name: name.clone(), mailbox: mailbox.clone(), logged: logged(file) });
    let kind = match (file.resp.is_empty(), file.memcached.is_empty()) {
        (false, true) => "resp",
        (true, false) => "memcached",
        _ => "kv",
    };
    let its = told.of(&name, kind);
    let mut service = serve(move || {
        let kv = Kv::new(KvConfig { unix_ms: unix_ms(), ..config.clone() });
        Watched::new(kv, &its, ends.clone())
    })
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
        let tag = tag(protocol, slot(told, &owner));
        service = listening(service, told, &owner, (listen, tls, tag))?;
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
    let before = told.kv.lock().as_ref().map(|link| link.logged.clone()).unwrap_or_default();
    if logged(new) != before {
        report.restart_needed.push("access_log of the store's tables".into());
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
    if let (Some(settings), Some(Linked { mailbox, .. })) = (settings, &*told.kv.lock()) {
        // Full it is only if it was told thousands of times in one turn, and closed when the server ends.
        let _ = mailbox.send_to_all(settings);
    }
}

/// The tag of listeners of a table of this kind and owner.
pub(crate) fn tag_of(kind: &str, owner: &str, told: &Told) -> Option<u32> {
    match kind {
        "resp" => Some(tag(Protocol::Resp, slot(told, owner))),
        "memcached" => Some(tag(Protocol::Memcached, slot(told, owner))),
        _ => None,
    }
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Resp, Protocol::Memcached];
/// Tables of the store that may have an access log of their own.
const LOGS_MAX: usize = 256;

/// What the service is to know of a listener: its protocol, and which access log is its.
fn tag(protocol: Protocol, slot: usize) -> u32 {
    let protocol = PROTOCOLS.iter().position(|of| *of == protocol).unwrap_or(0);
    (slot * PROTOCOLS.len() + protocol) as u32
}

/// The access log, among a service's, of connections whose listener has this tag.
fn log_of(tag: u32) -> usize {
    tag as usize / PROTOCOLS.len()
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
