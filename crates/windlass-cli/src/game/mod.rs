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
use windlass_realtime::{Arena, Game, GameConfig, GameStats, GameWatch, Key, Mail, OverrunSink, RoomRow};

use crate::args::{GameArgs, GameCommand};
use crate::config::File;
use crate::config::game::{GameTable, UdpTable};
use crate::config::value::{Count, FilePath, Listen, Size};
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

/// The way to one of them.
#[derive(Clone)]
pub(crate) struct Link {
    mailbox: Mailbox<Mail>,
    watch: GameWatch,
    settings: Settings,
    /// What connections may have received and not read fits this.
    message_top: Size,
    /// The last is that of rooms that are opened now; those before it are written to until their rooms close.
    records: Vec<Records>,
}

/// What can be told a game that runs.
#[derive(Clone, PartialEq)]
pub(crate) struct Settings {
    table: GameTable,
    /// What join tokens are signed with.
    secret: Option<String>,
    stop_timeout: Duration,
}

/// Of the time that a drain lasts, what rooms have to come to their end: what they say then has to arrive too.
const STOP_SHARE: u32 = 4;

impl Settings {
    /// What a table says now, files included.
    fn of(table: &GameTable, drain_timeout: Duration) -> Result<Settings> {
        let mut told = table.clone();
        // The service's, not the game's.
        (told.listen, told.tls, told.access_log) = (Vec::new(), None, None);
        let stop_timeout = drain_timeout - drain_timeout / STOP_SHARE;
        Ok(Settings { table: told, secret: secret(table)?, stop_timeout })
    }

    fn config(&self, key: Key, records: Option<&Records>) -> GameConfig {
        let game = self.table.name.clone();
        let overruns = OverrunSink::new(move |it| {
            tracing::warn!(
                game,
                room = %it.room,
                overruns = it.overruns,
                "a tick took {}, and the room has {} for one",
                time_text(it.took),
                time_text(it.period)
            );
        });
        self.table
            .config(key)
            .token_key(self.secret.as_ref().map(|secret| Key::new(secret.as_bytes())))
            .stop_timeout(self.stop_timeout)
            .overruns(Some(overruns))
            .record(records.map(Records::sink))
    }

    fn folder(&self) -> Option<&std::path::Path> {
        self.table.record.as_ref().map(|FilePath(folder)| folder.as_path())
    }
}

fn time_text(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// What all games of a configuration are to be told; with what is wrong nothing is told to any.
pub(crate) fn settings(file: &File) -> Result<Vec<Settings>> {
    let drain_timeout = crate::serving::limits(file).drain_timeout;
    let of = |table: &GameTable| {
        let settings = Settings::of(table, drain_timeout)?;
        settings.folder().map(records::make_folder).transpose()?;
        Ok(settings)
    };
    file.game.iter().map(of).collect()
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

    /// Tells the games that stay what is said of them now, and forgets the others; which of them have changed.
    pub(crate) fn change(&self, settings: Vec<Settings>) -> Vec<String> {
        let mut links = self.lock();
        links.retain(|name, _| settings.iter().any(|it| it.table.name == *name));
        let mut changed = Vec::new();
        for settings in settings {
            let name = settings.table.name.clone();
            let Some(link) = links.get_mut(&name).filter(|link| link.settings != settings) else { continue };
            if let Some(folder) = settings.folder() {
                // One that was written to before is so again, by whoever does.
                let at = link.records.iter().position(|it| it.is_in(folder));
                let records = at.map_or_else(|| Records::of(folder), |at| link.records.remove(at));
                link.records.push(records);
            }
            let records = settings.folder().and(link.records.last());
            // Its own key is kept. Full it is only if it was told thousands of times in one turn, and closed when the server
            // ends.
            Game::set(&link.mailbox, settings.config(Key::new(b""), records));
            link.settings = settings;
            changed.push(format!("settings of {name}; its rooms stay"));
        }
        changed
    }

    /// The longest message that can be set for a game that runs.
    pub(crate) fn message_top(&self, name: &str) -> Option<Size> {
        self.lock().get(name).map(|link| link.message_top)
    }

    /// The way to the workers of a game: of the only one, if no name is said.
    pub(crate) fn mailbox(&self, name: Option<&str>) -> Option<Mailbox<Mail>> {
        let links = self.lock();
        one(&links, name).map(|link| link.mailbox.clone())
    }

    /// The rooms of a game, as they are shown: of the only one, if no name is said.
    pub(crate) fn rooms(&self, name: Option<&str>) -> Option<Vec<RoomRow>> {
        let watch = one(&self.lock(), name).map(|link| link.watch.clone())?;
        Some(watch.rooms())
    }

    /// What each has counted, and its rooms.
    pub(crate) fn stats(&self) -> Vec<(String, GameStats, Vec<RoomRow>)> {
        let links = self.lock();
        links.iter().map(|(name, link)| (name.clone(), link.watch.stats(), link.watch.rooms())).collect()
    }

    /// Writes down what is recorded and not written yet: the server has ended.
    pub(crate) fn finish(&self) {
        let links = std::mem::take(&mut *self.lock());
        links.into_values().flat_map(|link| link.records).for_each(|records| records.finish());
    }
}

fn one<'l>(links: &'l BTreeMap<String, Link>, name: Option<&str>) -> Option<&'l Link> {
    match name {
        Some(name) => links.get(name),
        None if links.len() == 1 => links.values().next(),
        None => None,
    }
}

/// Ports that a game with so many workers has for players by UDP.
pub(crate) fn udp_ports(workers: usize) -> usize {
    // Where connections cannot move all rooms are on the first.
    if cfg!(windows) { 1 } else { workers }
}

/// The service of one table.
pub(crate) fn service(
    table: &GameTable,
    workers: usize,
    drain_timeout: Duration,
    told: &Told,
) -> Result<Serve<Watched<Http<Game>>>> {
    let ends = Ends::of(table.access_log.as_ref(), &table.name, told)?;
    let its = told.of(&table.name, "game");
    // Of this process: tickets end with it, as its rooms do.
    let key = Key::random().context("the system gives no random numbers")?;
    let settings = Settings::of(table, drain_timeout)?;
    settings.folder().map(records::make_folder).transpose()?;
    let records: Vec<Records> = settings.folder().map(Records::of).into_iter().collect();
    let config = settings
        .config(key, records.last())
        .unix_ms(unix_ms())
        // Connections cannot move to the worker of their room there.
        .home(cfg!(windows).then_some(0))
        .clock(Some(clock));
    let watch = GameWatch::new(workers, config.kinds.iter().map(|kind| kind.name.clone()));
    let (config, mailbox) = (Arc::new(config), Mailbox::new());
    let link = Link {
        mailbox: mailbox.clone(),
        watch: watch.clone(),
        settings,
        message_top: table.message_max,
        records,
    };
    told.games.lock().insert(table.name.clone(), link);
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
        let ports = udp_ports(workers);
        let addresses = udp.addresses(ports).with_context(|| {
            format!("game `{}`: no {ports} ports from {} on, one for each worker", table.name, udp.listen.0)
        })?;
        for (worker, address) in addresses.into_iter().enumerate() {
            service = service.udp_on(worker, address);
        }
    }
    Ok(service)
}

fn secret(table: &GameTable) -> Result<Option<String>> {
    let Some(FilePath(path)) = &table.token_key_file else { return Ok(None) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the key of join tokens in {}", path.display()))?;
    let secret = text.lines().next().unwrap_or_default().trim();
    ensure!(
        secret.len() >= KEY_MIN,
        "the key of join tokens in {} is shorter than {KEY_MIN} characters",
        path.display()
    );
    Ok(Some(secret.to_owned()))
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
