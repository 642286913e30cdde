//! The key-value service behind its flags and its tables.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use windlass::{Limits, Serve, serve};
use windlass_kv::store::StoreConfig;
use windlass_kv::{Kv, KvConfig, Protocol, Secret};

use crate::args::{MemcachedArgs, RespArgs, StoreArgs};
use crate::config::File;
use crate::config::shape::{MemcachedTable, RespTable, StoreTable, TlsTable};
use crate::config::value::{Count, FilePath, Listen, Size};
use crate::serving::{
    Ends, Tally, Told, Watched, access_from_flags, from_flags, listening, run_flags, tls_from_flags,
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

/// One service for all listeners of every protocol of the store, since they share it.
pub(crate) fn service(file: &File, told: &Told) -> Result<Option<Serve<Watched<Kv>>>> {
    let resp = file.resp.iter().map(|resp| (Protocol::Resp, &*resp.listen, resp.tls.as_ref()));
    let memcached = file.memcached.iter().map(|it| (Protocol::Memcached, &*it.listen, it.tls.as_ref()));
    let listeners: Vec<(Protocol, &[Listen], Option<&TlsTable>)> = resp.chain(memcached).collect();
    if listeners.is_empty() {
        return Ok(None);
    }
    // Listeners are counted over the whole server, and those of other services come first.
    let before = file.echo.iter().map(|echo| echo.listen.len()).sum();
    let mut protocols = vec![Protocol::Resp; before];
    for (protocol, listen, _) in &listeners {
        protocols.extend(listen.iter().map(|_| *protocol));
    }
    let resp = file.resp.iter().map(|it| (it.access_log.as_ref(), &*it.name, it.listen.len()));
    let memcached = file.memcached.iter().map(|it| (it.access_log.as_ref(), &*it.name, it.listen.len()));
    let ends = Ends::open(resp.chain(memcached), before, told)?;
    let config = KvConfig {
        store: StoreConfig {
            memory_max: file.store.memory_max.0,
            value_max: file.store.value_max.0,
            eviction: file.store.eviction.of_store(),
            // Which keys are drawn when memory is full: any number will do.
            seed: unix_ms(),
            ..StoreConfig::default()
        },
        protocols,
        password: password(file)?,
        ..KvConfig::default()
    };
    let name = match (file.resp.is_empty(), file.memcached.is_empty()) {
        (false, true) => "resp",
        (true, false) => "memcached",
        _ => "kv",
    };
    let own = limits(&file.store);
    let told = told.clone();
    let mut service = serve(move || {
        let kv = Kv::new(KvConfig { unix_ms: unix_ms(), ..config.clone() });
        Watched::new(kv, &told, ends.clone())
    })
    .name(name)
    .tick(Kv::TICK);
    if !file.limits.sets("idle_timeout") {
        service = service.idle_timeout(own.idle_timeout);
    }
    if !file.limits.sets("input_max") {
        service = service.input_max(own.input_max);
    }
    for (_, listen, tls) in listeners {
        service = listening(service, listen, tls)?;
    }
    Ok(Some(service))
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
