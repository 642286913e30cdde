//! The hub behind its flags and its tables. `identity` reads who may come, `passwd` and `import` are commands of their
//! own, `rules` is where messages go besides.

pub(crate) mod identity;
mod import;
mod passwd;
pub(crate) mod rules;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use windlass::{Mailbox, Offload, OffloadConfig, Serve, serve};
use windlass_hub::identity::Identity;
use windlass_hub::journal::{Folder, Latency, Log, LogError, Recovered};
use windlass_hub::{Done, Hub, HubConfig, HubStats, HubWatch, Mail, OpenLog, TakeLog};

use crate::args::{HubArgs, HubCommand};
use crate::config::File;
use crate::config::hub::HubTable;
use crate::config::identity::IdentityTable;
use crate::config::value::{Count, FilePath, Listen, Size};
use crate::serving::{
    Ends, Tally, Told, Watched, access_from_flags, from_flags, listening, owner, run_flags, tls_from_flags,
};

use rules::Made;
use rules::outlet::Counts;

/// Serves until told to stop, or does what else was asked for.
pub(crate) fn run(args: &HubArgs) -> Result<()> {
    match &args.command {
        None => {}
        Some(HubCommand::Passwd(args)) => return passwd::run(args),
        Some(HubCommand::Import(args)) => return import::run(args),
    }
    let mut file = from_flags(&args.serving);
    file.server.workers = Count(match args.workers {
        0 => crate::serving::cores(),
        workers => workers,
    });
    file.hub = vec![HubTable {
        listen: args.listen.iter().cloned().map(Listen).collect(),
        tls: tls_from_flags(&args.serving),
        access_log: access_from_flags(&args.serving),
        data: args.data.clone().map(FilePath),
        durability: args.durability,
        packet_max: Size(args.packet_max),
        queue_max: Count(args.queue_max),
        when_queue_full: args.when_queue_full,
        identity: IdentityTable {
            password_file: args.password_file.clone().map(FilePath),
            acl_file: args.acl_file.clone().map(FilePath),
            ..IdentityTable::default()
        },
        ..HubTable::default()
    }];
    run_flags(&file, &args.serving)
}

/// The ways to the hubs that are there, by their names.
#[derive(Clone, Default)]
pub(crate) struct Links(Arc<Mutex<BTreeMap<String, Link>>>);

/// The way to one of them.
#[derive(Clone)]
pub(crate) struct Link {
    mailbox: Mailbox<Mail>,
    config: HubConfig,
    watch: HubWatch,
    rules: Made,
    is_durable: bool,
}

/// What a hub has counted.
pub(crate) struct Counted {
    pub(crate) name: String,
    pub(crate) stats: HubStats,
    /// How long commits of its journal took.
    pub(crate) commits: Latency,
    /// It has a journal.
    pub(crate) is_durable: bool,
    /// By the names of its rules.
    pub(crate) rules: Vec<(String, Counts)>,
}

/// How long the end of the program waits for those whom rules tell of messages.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

impl Links {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is there now.
    pub(crate) fn now(&self) -> BTreeMap<String, Link> {
        self.lock().clone()
    }

    /// What each has counted.
    pub(crate) fn counted(&self) -> Vec<Counted> {
        let counted = |(name, link): (&String, &Link)| Counted {
            name: name.clone(),
            stats: link.watch.stats(),
            commits: link.watch.commits(),
            is_durable: link.is_durable,
            rules: link.rules.counts(),
        };
        self.lock().iter().map(counted).collect()
    }

    /// What each has counted, and its bound on memory where it has one.
    pub(crate) fn memory(&self) -> Vec<(String, HubStats, usize)> {
        let links = self.lock();
        let bounded = links.iter().filter(|(_, link)| link.config.memory_max > 0);
        bounded.map(|(name, link)| (name.clone(), link.watch.stats(), link.config.memory_max)).collect()
    }

    /// The way to the workers of a hub: of the only one, if no name is said.
    pub(crate) fn mailbox(&self, name: Option<&str>) -> Option<Mailbox<Mail>> {
        let links = self.lock();
        let link = match name {
            Some(name) => links.get(name),
            None if links.len() == 1 => links.values().next(),
            None => None,
        };
        link.map(|link| link.mailbox.clone())
    }

    /// The process ends: what rules have waiting is tried once more.
    pub(crate) fn finish(&self) {
        for link in self.now().into_values() {
            link.rules.finish(FINISH_TIMEOUT);
        }
    }

    /// Leads there again, since what was to come does not.
    pub(crate) fn restore(&self, links: BTreeMap<String, Link>) {
        *self.lock() = links;
    }

    /// Tells the hubs that stay what is said of them now, and forgets the others; which of them have changed.
    pub(crate) fn change(&self, file: &File, mut identities: BTreeMap<String, Identity>) -> Vec<String> {
        let mut links = self.lock();
        links.retain(|name, _| file.hub.iter().any(|table| table.name == *name));
        let mut changed = Vec::new();
        for table in &file.hub {
            let Some(link) = links.get_mut(&table.name) else { continue };
            let identity = identities.remove(&table.name).unwrap_or_else(|| link.config.identity.clone());
            link.rules = Made::of(table, &link.rules);
            let config = table.config().identity(identity).rules(link.rules.rules.clone());
            if link.config != config {
                link.config = config.clone();
                // Full it is only if it was told thousands of times in one turn, and closed when the server ends.
                for worker in 0..link.mailbox.workers() {
                    let _ = link.mailbox.send(worker, Mail::Set(Box::new(config.clone())));
                }
                changed.push(format!("settings of {}; its sessions stay", table.name));
            }
        }
        changed
    }
}

/// The service of one table, its sessions dealt out among so many workers. `hands_over`: there may be a server before
/// this one, with the same folder.
pub(crate) fn service(
    table: &HubTable,
    workers: usize,
    hands_over: bool,
    told: &Told,
) -> Result<Serve<Watched<Hub>>> {
    let ends = Ends::of(table.access_log.as_ref(), &table.name, told)?;
    let its = told.of(&table.name, "hub");
    let workers = spread_over(table, workers);
    let (mailbox, watch) = (Mailbox::new(), HubWatch::new(workers));
    let before = told.hubs.lock().get(&table.name).map(|link| link.rules.clone());
    let is_there = before.is_some();
    let rules = Made::of(table, &before.unwrap_or_default());
    let config = table.config().identity(identity_of(table)?).rules(rules.rules.clone());
    told.hubs.lock().insert(
        table.name.clone(),
        Link {
            mailbox: mailbox.clone(),
            config: config.clone(),
            watch: watch.clone(),
            rules,
            is_durable: table.data.is_some(),
        },
    );
    // Hashes take all of a core while they last: half of them stay for the workers.
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)).min(8);
    let checks: Offload<Done> =
        Offload::new(OffloadConfig { threads, name: "checks".into(), ..OffloadConfig::default() });
    let its_checks = checks.clone();
    let input_max = table.packet_max.0 + (64 << 10);
    let kept = Kept::of(table, is_there || hands_over)?;
    let pool = Offload::new(OffloadConfig { threads: 1, name: "journal".into(), ..OffloadConfig::default() });
    let (to_itself, commits) = (mailbox.clone(), pool.clone());
    let service = serve(move || {
        let hub = Hub::new(HubConfig { unix_ms: unix_ms(), ..config.clone() }, &watch).checks(&its_checks);
        let hub = hub.spread(&to_itself, workers);
        let hub = match &kept {
            Kept::Nothing => hub,
            Kept::Here(take) => hub.journal(take.clone(), &to_itself, &commits),
            Kept::Elsewhere(open) => hub.journal_later(open.clone(), &to_itself, &commits),
        };
        Watched::new(hub, &its, ends.clone())
    })
    .name(&table.name)
    .mailbox(&mailbox)
    .offload(&checks)
    .offload(&pool)
    .tick(Hub::TICK)
    .movable()
    // How long a client may be silent its keep-alive says.
    .idle_timeout(Duration::ZERO)
    .input_max(input_max);
    let owner = owner("hub", &table.name);
    let service = listening(service, told, &owner, (&table.listen, table.tls.as_ref(), 0))?;
    listening(service, told, &owner, (&table.listen_plain, None, 0))
}

/// How many workers the sessions of a hub are dealt out among: all, if their connections can move to where they are.
fn spread_over(table: &HubTable, workers: usize) -> usize {
    if !cfg!(windows) {
        return workers;
    }
    if workers > 1 {
        tracing::warn!(
            hub = table.name,
            "the hub is served by one worker of {workers}: connections do not move on this system"
        );
    }
    1
}

/// Who may come, by hub; read before anything is changed.
pub(crate) fn identities(file: &File) -> Result<BTreeMap<String, Identity>> {
    file.hub.iter().map(|table| Ok((table.name.clone(), identity_of(table)?))).collect()
}

fn identity_of(table: &HubTable) -> Result<Identity> {
    identity::load(table).map_err(|wrong| {
        // `windlass check` shows all of it, with the lines.
        let first = wrong.first().map(identity::Wrong::in_words).unwrap_or_default();
        anyhow::anyhow!("the identity of {}: {first}", table.name)
    })
}

/// What a hub begins with.
enum Kept {
    /// It keeps nothing.
    Nothing,
    Here(TakeLog),
    /// Another hub has the log still: the one before this, which lets go of it.
    Elsewhere(OpenLog),
}

impl Kept {
    /// Opens the log of a table, if it has one. `follows`: another hub may have it, and will let go of it.
    fn of(table: &HubTable, follows: bool) -> Result<Kept> {
        let Some(FilePath(path)) = table.data.clone() else { return Ok(Kept::Nothing) };
        let (config, name) = (table.log_config(), table.name.clone());
        let open = move || {
            let folder = Folder::open(&path)
                .map_err(|error| LogError::Disk { what: "make it, or enter it".into(), error })?;
            let opened = Log::open(folder, config.clone(), unix_ms())?;
            tell(&name, &opened.1);
            Ok(opened)
        };
        match open() {
            Ok(opened) => {
                let opened = Mutex::new(Some(opened));
                Ok(Kept::Here(Arc::new(move || opened.lock().unwrap_or_else(PoisonError::into_inner).take())))
            }
            Err(LogError::Locked) if follows => {
                tracing::info!(
                    hub = table.name,
                    "clients wait until the hub before this one lets go of `data`"
                );
                Ok(Kept::Elsewhere(Arc::new(open)))
            }
            Err(error) => {
                let path = table.data.as_ref().map(|FilePath(path)| path.display().to_string());
                Err(error).with_context(|| format!("cannot use the folder {}", path.unwrap_or_default()))
            }
        }
    }
}

/// What was found, for the log; what was wrong with it, for the operator.
fn tell(name: &str, recovered: &Recovered) {
    let report = &recovered.report;
    for problem in &report.problems {
        tracing::warn!(hub = name, "{problem}");
    }
    tracing::info!(
        hub = name,
        sessions = recovered.sessions.len(),
        retained = recovered.retained.len(),
        records = report.records,
        torn_bytes = report.torn_bytes,
        "the journal has been read"
    );
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl Tally for Hub {
    fn messages(&self) -> u64 {
        self.packets()
    }
}
