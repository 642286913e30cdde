//! The game server behind its flags and its tables. `bots` and `replay` are commands of their own, `records` writes
//! matches down.

mod bots;
mod records;
mod replay;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use windlass::{Mailbox, Serve, serve};
use windlass_http::{Http, HttpConfig};
use windlass_realtime::{Arena, Game, GameStats, GameWatch, Key, RoomRow};

use crate::args::{GameArgs, GameCommand};
use crate::config::game::{GameTable, UdpTable};
use crate::config::value::{Count, FilePath, Listen};
use crate::serving::{
    Ends, Tally, Told, Watched, access_from_flags, from_flags, listening, owner, run_flags, tls_from_flags,
};
use records::Records;

/// Serves until told to stop, or does what else was asked for.
pub(crate) fn run(args: &GameArgs) -> Result<()> {
    match &args.command {
        None => {}
        Some(GameCommand::Bots(args)) => return bots::run(args),
        Some(GameCommand::Replay(args)) => return replay::run(args),
    }
    let mut file = from_flags(&args.serving);
    file.server.workers = Count(args.workers);
    file.game = vec![GameTable {
        listen: args.listen.iter().cloned().map(Listen).collect(),
        tls: tls_from_flags(&args.serving),
        access_log: access_from_flags(&args.serving),
        udp: args.udp.clone().map(|at| UdpTable { listen: Listen(at), ..UdpTable::default() }),
        rooms_max: Count(args.rooms_max),
        record: args.record.clone().map(FilePath),
        ..GameTable::default()
    }];
    run_flags(&file, &args.serving)
}

/// The ways to the games that are there, by their names.
#[derive(Clone, Default)]
pub(crate) struct Links(Arc<Mutex<BTreeMap<String, Link>>>);

#[derive(Clone)]
pub(crate) struct Link {
    watch: GameWatch,
    records: Option<Records>,
}

impl Links {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is there now.
    pub(crate) fn now(&self) -> BTreeMap<String, Link> {
        self.lock().clone()
    }

    /// Leads there again, since what was to come does not.
    pub(crate) fn restore(&self, links: BTreeMap<String, Link>) {
        *self.lock() = links;
    }

    /// Forgets those that a configuration does not have.
    pub(crate) fn keep(&self, names: &[&str]) {
        self.lock().retain(|name, _| names.contains(&name.as_str()));
    }

    /// What each has counted, and its rooms.
    pub(crate) fn stats(&self) -> Vec<(String, GameStats, Vec<RoomRow>)> {
        let links = self.lock();
        links.iter().map(|(name, link)| (name.clone(), link.watch.stats(), link.watch.rooms())).collect()
    }

    /// Writes down what is recorded and not written yet: the server has ended.
    pub(crate) fn finish(&self) {
        let links = std::mem::take(&mut *self.lock());
        links.into_values().filter_map(|link| link.records).for_each(|records| records.finish());
    }
}

/// The service of one table.
pub(crate) fn service(table: &GameTable, workers: usize, told: &Told) -> Result<Serve<Watched<Http<Game>>>> {
    let ends = Ends::of(table.access_log.as_ref(), &table.name, told)?;
    let its = told.of(&table.name, "game");
    // Of this process: tickets end with it, as its rooms do.
    let key = Key::random().context("the system gives no random numbers")?;
    let records = match &table.record {
        None => None,
        Some(FilePath(folder)) => Some(Records::new(folder)?),
    };
    let config = table
        .config(key)
        .token_key(token_key(table)?)
        .unix_ms(unix_ms())
        // Connections cannot move to the worker of their room there.
        .home(cfg!(windows).then_some(0))
        .clock(Some(clock))
        .record(records.as_ref().map(Records::sink));
    let watch = GameWatch::new(workers, config.kinds.iter().map(|kind| kind.name.clone()));
    let (config, mailbox) = (Arc::new(config), Mailbox::new());
    told.games.lock().insert(table.name.clone(), Link { watch: watch.clone(), records });
    let mail = mailbox.clone();
    let input_max = table.message_max.0 + (16 << 10);
    let service = serve(move || {
        let http = HttpConfig { clock: Some(since_1970), ..HttpConfig::default() };
        let game = Arena::pages(Game::http(config.clone(), &mail, &watch, http));
        Watched::new(game, &its, ends.clone())
    })
    .name(&table.name)
    .mailbox(&mailbox)
    .movable()
    .tick(Game::TICK)
    .input_max(input_max);
    let owner = owner("game", &table.name);
    let mut service = listening(service, told, &owner, (&table.listen, table.tls.as_ref(), 0))?;
    if let Some(udp) = &table.udp {
        // Where connections cannot move all rooms are on the first.
        let ports = if cfg!(windows) { 1 } else { workers };
        let addresses = udp.addresses(ports).with_context(|| {
            format!("game `{}`: no {ports} ports from {} on, one for each worker", table.name, udp.listen.0)
        })?;
        for (worker, address) in addresses.into_iter().enumerate() {
            service = service.udp_on(worker, address);
        }
    }
    Ok(service)
}

fn token_key(table: &GameTable) -> Result<Option<Key>> {
    let Some(FilePath(path)) = &table.token_key_file else { return Ok(None) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the key of join tokens in {}", path.display()))?;
    let secret = text.lines().next().unwrap_or_default().trim();
    ensure!(
        secret.len() >= KEY_MIN,
        "the key of join tokens in {} is shorter than {KEY_MIN} characters",
        path.display()
    );
    Ok(Some(Key::new(secret.as_bytes())))
}

/// Characters of a secret that is worth one.
const KEY_MIN: usize = 16;

fn unix_ms() -> u64 {
    since_1970().as_millis() as u64
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What ticks are measured with.
fn clock() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

impl Tally for Http<Game> {
    fn messages(&self) -> u64 {
        self.app().messages()
    }
}
