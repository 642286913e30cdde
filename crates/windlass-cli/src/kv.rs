//! `windlass resp` and `windlass memcached`: the key-value service behind its flags.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use windlass::{Address, Limits, serve};
use windlass_kv::store::StoreConfig;
use windlass_kv::{Kv, KvConfig, Protocol, Secret};

use crate::args::{MemcachedArgs, RespArgs, ServingArgs, StoreArgs};
use crate::serving::{Serving, Tally, Watched};

/// Serves RESP until told to stop.
pub(crate) fn resp(args: &RespArgs) -> Result<()> {
    let password = args.password_file.as_deref().map(password).transpose()?;
    let config = KvConfig { protocols: vec![Protocol::Resp], password, ..config(&args.store) };
    run("resp", &args.listen, config, &args.serving)
}

/// Serves memcached until told to stop.
pub(crate) fn memcached(args: &MemcachedArgs) -> Result<()> {
    let config = KvConfig { protocols: vec![Protocol::Memcached], ..config(&args.store()) };
    run("memcached", &args.listen, config, &args.serving)
}

fn run(name: &'static str, listen: &[Address], config: KvConfig, args: &ServingArgs) -> Result<()> {
    let serving = Serving { listen, workers: 1, control: None, limits: limits(&config), args };
    serving.run(|told| {
        serve(move || Watched::new(Kv::new(KvConfig { unix_ms: unix_ms(), ..config.clone() }), &told))
            .name(name)
            .tick(Kv::TICK)
    })
}

/// The first line of a file. An empty one would let everybody in who says nothing.
fn password(path: &Path) -> Result<Secret> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    ensure!(!line.is_empty(), "the first line of {} is empty", path.display());
    Ok(Secret::new(line))
}

/// What every protocol of the store is given.
fn config(args: &StoreArgs) -> KvConfig {
    let store = StoreConfig {
        memory_max: args.memory_max,
        value_max: args.value_max,
        eviction: args.eviction,
        // Which keys are drawn when memory is full: any number will do.
        seed: unix_ms(),
        ..StoreConfig::default()
    };
    KvConfig { store, ..KvConfig::default() }
}

/// A command is as long as its longest value, and some. Clients of a store keep silent connections open,
/// subscribers above all: as with Redis and memcached nobody is ended for silence unless it is asked for.
fn limits(config: &KvConfig) -> Limits {
    let input_max = 2 * config.store.value_max + (1 << 20);
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
