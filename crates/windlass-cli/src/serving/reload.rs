//! Another configuration for the running server: read, held against the one in effect, and made true in one
//! step, or not at all. What did not change goes on, connections included.
//!
//! A reload reads files, resolves names and binds, so it is never done by a worker: whoever wants one asks
//! the thread that is here for it, and gets the answer from there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Release};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::Value;
use windlass::{Change, Handle};

use super::difference::{Difference, units};
use super::{Told, memory, plan};
#[cfg(feature = "realtime")]
use crate::config::game::UdpTable;
use crate::config::{self, File, Loaded, Places, Problem, Sources, Wrong};
use crate::{configured, logs, notify};

/// What a reload came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Report {
    /// What is different now, each in a few words. Empty if nothing is.
    pub(crate) changed: Vec<String>,
    /// Keys whose new values have no effect before the process begins anew.
    pub(crate) restart_needed: Vec<String>,
}

/// How reloads went since the start.
#[derive(Clone, Default, Debug)]
pub(crate) struct Reloads {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// What was wrong when the last one failed; `None` once one has succeeded.
    pub(crate) last_error: Option<String>,
}

type Answer = Box<dyn FnOnce(Result<Report, Wrong>) + Send>;

/// What the thread is asked to do.
enum Order {
    Reload(Option<Answer>),
    Upgrade,
}

/// Reloads the configuration of a running server. Clones ask the same thread.
#[derive(Clone)]
pub(crate) struct Reloader {
    orders: Sender<Order>,
    reloads: Arc<Mutex<Reloads>>,
}

/// What is in effect.
struct InEffect {
    path: PathBuf,
    file: File,
    handle: Handle,
    told: Told,
    quiet: bool,
    /// Bytes are counted for lines of connections, since there were some to come when it began.
    counts_traffic: bool,
    /// What the engine was given of `server.memory` when it began.
    engine_memory: usize,
    reloads: Arc<Mutex<Reloads>>,
    /// A signal has asked for a reload that has not begun.
    waits: Arc<AtomicBool>,
}

impl Reloader {
    /// Begins to reload the server of `file`, which was read from `path`, whenever it is asked to, and on
    /// `signals`.
    pub(super) fn start(
        (path, file): (&Path, &File),
        handle: Handle,
        told: &Told,
        quiet: bool,
        signals: super::Signals,
    ) -> std::io::Result<Reloader> {
        let (orders, asked) = channel();
        let waits = Arc::new(AtomicBool::new(false));
        let reloads = Arc::new(Mutex::new(Reloads::default()));
        let mut in_effect = InEffect {
            path: path.into(),
            file: file.clone(),
            handle,
            told: told.clone(),
            quiet,
            counts_traffic: plan::counts_traffic(file),
            engine_memory: memory::of_engine(file),
            reloads: reloads.clone(),
            waits: waits.clone(),
        };
        thread::Builder::new().name("reload".into()).spawn(move || in_effect.serve(&asked))?;
        let (reload, upgrade) = (orders.clone(), orders.clone());
        signals.forward(
            // One that waits will read what is in the file by then.
            move || waits.swap(true, AcqRel) || reload.send(Order::Reload(None)).is_ok(),
            move || upgrade.send(Order::Upgrade).is_ok(),
        )?;
        Ok(Reloader { orders, reloads })
    }

    /// Asks for a reload. `answer` is called on the thread that made it, with what came of it; not at all
    /// if the server ends first. May be called from anywhere, a worker too.
    pub(crate) fn request(&self, answer: impl FnOnce(Result<Report, Wrong>) + Send + 'static) {
        let _ = self.orders.send(Order::Reload(Some(Box::new(answer))));
    }

    /// Reloads, and waits for what comes of it. For any thread but a worker's. `None`: the server ends.
    #[allow(dead_code, reason = "for threads that can wait; the admin listener cannot")]
    pub(crate) fn reload(&self) -> Option<Result<Report, Wrong>> {
        let (tell, told) = channel();
        self.request(move |outcome| drop(tell.send(outcome)));
        told.recv().ok()
    }

    /// How reloads went since the start.
    pub(crate) fn reloads(&self) -> Reloads {
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl InEffect {
    fn serve(&mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            match order {
                Order::Reload(answer) => {
                    if answer.is_none() {
                        self.waits.store(false, Release);
                    }
                    notify::reloading();
                    let outcome = self.reload();
                    notify::reloaded();
                    self.tell(&outcome);
                    if let Some(answer) = answer {
                        answer(outcome);
                    }
                }
                #[cfg(unix)]
                Order::Upgrade => super::upgrade::begin_successor(&self.file.server),
                // There is no signal that asks for it.
                #[cfg(not(unix))]
                Order::Upgrade => {}
            }
        }
    }

    /// Logs what came of it, and counts it.
    fn tell(&self, outcome: &Result<Report, Wrong>) {
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(report) => {
                reloads.succeeded += 1;
                reloads.last_error = None;
                for change in &report.changed {
                    tracing::info!("reload: {change}");
                }
                for key in &report.restart_needed {
                    tracing::warn!(key, "reload: restart needed: its new value has no effect yet");
                }
                tracing::info!(changes = report.changed.len(), "reloaded");
            }
            Err(wrong) => {
                reloads.failed += 1;
                reloads.last_error = wrong.problems.first().map(|problem| problem.what.clone());
                if self.quiet {
                    use std::io::Write;
                    let text = wrong.sources.render(&wrong.problems, false);
                    let _ = std::io::stderr().write_all(text.as_bytes());
                }
                for problem in &wrong.problems {
                    let at = wrong.sources.location(problem);
                    tracing::error!(at, "reload: {}", problem.what);
                }
                tracing::error!(problems = wrong.problems.len(), "not reloaded: nothing has changed");
            }
        }
    }

    fn reload(&mut self) -> Result<Report, Wrong> {
        let Loaded { mut file, sources, places } =
            config::load(&self.path, &|name| std::env::var(name).ok())?;
        let mut problems = Vec::new();
        configured::readable(&file, &places, &mut problems);
        let mut report = Report::default();
        self.keep_what_stays(&mut file, &places, &mut report, &mut problems);
        if problems.is_empty()
            && let Err(error) = self.change(&file, &mut report)
        {
            problems.push(placed(&error, &file, &places));
        }
        if !problems.is_empty() {
            return Err(Wrong { sources, problems });
        }
        self.file = file;
        Ok(report)
    }

    /// What cannot change before the process begins anew stays what it is.
    fn keep_what_stays(
        &self,
        file: &mut File,
        places: &Places,
        report: &mut Report,
        problems: &mut Vec<Problem>,
    ) {
        let differ = |table: &str, old: Value, new: Value| {
            let keys = old.as_object().into_iter().chain(new.as_object()).flat_map(|table| table.keys());
            let keys: BTreeSet<&String> = keys.filter(|key| old[*key] != new[*key]).collect();
            keys.into_iter().map(|key| format!("{table}.{key}")).collect::<Vec<_>>()
        };
        let value =
            |table: &dyn Fn(&File) -> serde_json::Result<Value>, file| table(file).unwrap_or_default();
        let server = |file: &File| serde_json::to_value(&file.server);
        let log = |file: &File| serde_json::to_value(&file.log);
        report.restart_needed = differ("server", value(&server, &self.file), value(&server, file));
        // The level is set.
        let logs = differ("log", value(&log, &self.file), value(&log, file));
        report.restart_needed.extend(logs.into_iter().filter(|key| key != "log.level"));
        file.server = self.file.server.clone();
        let level = std::mem::replace(&mut file.log, self.file.log.clone()).level;
        file.log.level = level;
        for (key, what) in memory::follow(file, &self.file, self.engine_memory, &mut report.restart_needed) {
            problems.push(configured::placed(places, &key, what));
        }
        #[cfg(feature = "realtime")]
        self.keep_rooms(file, report);
        #[cfg(feature = "kv")]
        if file.server.control.is_some() && !(file.resp.is_empty() && file.memcached.is_empty()) {
            let what =
                "a key-value store cannot be handed over, and this server was started with `server.control`";
            let path = if file.resp.is_empty() { "memcached[0]" } else { "resp[0]" };
            problems.push(match places.get(path) {
                Some(place) => Problem::at(place.clone(), what, ""),
                None => Problem::without_place(what),
            });
        }
        let _ = (places, problems);
    }

    /// What a game that runs cannot be told stays what it is: another service would begin without its rooms.
    #[cfg(feature = "realtime")]
    fn keep_rooms(&self, file: &mut File, report: &mut Report) {
        for game in &mut file.game {
            let Some(before) = self.file.game.iter().find(|before| before.name == game.name) else {
                continue;
            };
            if game.access_log != before.access_log {
                report.restart_needed.push(format!("access_log of the game {}", game.name));
                game.access_log = before.access_log.clone();
            }
            if let Some(top) = self.told.games.message_top(&game.name)
                && game.message_max.0 > top.0
            {
                report
                    .restart_needed
                    .push(format!("message_max of the game {}, beyond what it began with", game.name));
                game.message_max = top;
            }
            if !UdpTable::same_but_host(game.udp.as_ref(), before.udp.as_ref()) {
                report.restart_needed.push(format!("udp of the game {}", game.name));
                let host = game.udp.take().map(|udp| udp.host);
                game.udp = before.udp.clone();
                if let (Some(udp), Some(host)) = (&mut game.udp, host) {
                    udp.host = host;
                }
            }
        }
    }

    /// Makes the server what `file` says. With an error nothing has changed: what was noted for services that
    /// then did not come is forgotten.
    fn change(&self, file: &File, report: &mut Report) -> anyhow::Result<()> {
        let told = &self.told;
        #[cfg(feature = "tls")]
        let shown = told.certificates.owners();
        #[cfg(feature = "kv")]
        let linked = told.kv.now();
        #[cfg(feature = "hub")]
        let hubs = told.hubs.now();
        #[cfg(feature = "realtime")]
        let games = told.games.now();
        #[cfg(feature = "proxy")]
        let fronts = told.proxies.now();
        let outcome = self.make(file, report);
        if outcome.is_err() {
            #[cfg(feature = "tls")]
            told.certificates.keep(&shown);
            #[cfg(feature = "kv")]
            told.kv.restore(linked);
            #[cfg(feature = "hub")]
            told.hubs.restore(hubs);
            #[cfg(feature = "realtime")]
            told.games.restore(games);
            #[cfg(feature = "proxy")]
            told.proxies.restore(fronts);
        }
        outcome
    }

    fn make(&self, file: &File, report: &mut Report) -> anyhow::Result<()> {
        let told = &self.told;
        #[cfg(feature = "kv")]
        let (before, after) = (crate::kv::name(&self.file, told), crate::kv::name(file, told));
        #[cfg(not(feature = "kv"))]
        let (before, after) = (String::new(), String::new());
        let (old, new) = (units(&self.file, &before, told), units(file, &after, told));
        let difference = Difference::of(&old, &new);
        #[cfg(feature = "tls")]
        let owned = told.certificates.owners();
        let mut change = Change::new();
        for name in &difference.remove {
            change = change.remove(name);
        }
        for (name, address) in &difference.unlisten {
            change = change.unlisten(name, address);
        }
        for (name, listener) in &difference.listen {
            change = match &listener.tls {
                #[cfg(feature = "tls")]
                Some(table) => {
                    let tls = told.certificates.acceptor(&listener.owner, table)?;
                    change.listen_tls(name, &listener.address, &tls)
                }
                _ => change.listen(name, &listener.address),
            };
            change = change.tag(listener.tag);
        }
        #[cfg(feature = "tls")]
        let certificates = {
            use super::certificates::Read;
            let mut owners = std::collections::BTreeSet::new();
            // Of those that are shown already; others are read when they are asked for.
            let shown = difference.certificates.iter().filter(|it| owned.contains(&it.owner));
            let shown = shown.filter(|it| owners.insert(it.owner.clone()));
            let read = shown.filter_map(|it| Some(Read::new(&it.owner, it.tls.as_ref()?)));
            read.collect::<anyhow::Result<Vec<Read>>>()?
        };
        change = plan::services(file, told, change, &|name| difference.add.iter().any(|add| add == name))?;
        report.changed.extend(difference.in_words());
        let limits = plan::limits(file);
        if limits != plan::limits(&self.file) {
            report.changed.push("limits set".into());
            change = change.limits(limits);
        }
        #[cfg(feature = "kv")]
        let settings = crate::kv::change(&self.file, file, told, &difference.add, &mut change, report)?;
        if plan::counts_traffic(file) && !self.counts_traffic {
            report.restart_needed.push("access_log: bytes received and sent".into());
        }
        #[cfg(feature = "proxy")]
        let proxies = crate::proxy::prepare(&self.file, file, told)?;
        #[cfg(feature = "hub")]
        let identities = crate::hub::identities(file)?;
        #[cfg(feature = "realtime")]
        let games = crate::game::settings(file)?;
        let applied = self.handle.apply(change)?;
        for address in applied.addresses() {
            tracing::info!(%address, "listening");
        }
        let addresses = (0..).map_while(|number| self.handle.listener_address(number));
        told.access.set_addresses(addresses.collect());
        // From here on nothing fails that was not tried.
        #[cfg(feature = "tls")]
        {
            for read in certificates {
                if told.certificates.show(read).unwrap_or(false) {
                    report.changed.push("a certificate was read again".into());
                }
            }
            let owners: Vec<_> = difference.certificates.iter().map(|it| it.owner.clone()).collect();
            told.certificates.keep(&owners);
        }
        #[cfg(feature = "proxy")]
        {
            report.changed.extend(crate::proxy::change(proxies, told));
            told.proxies.keep(file);
        }
        #[cfg(feature = "kv")]
        crate::kv::set(told, settings);
        #[cfg(feature = "hub")]
        report.changed.extend(told.hubs.change(file, identities));
        #[cfg(feature = "realtime")]
        report.changed.extend(told.games.change(games));
        if file.log.level != self.file.log.level && logs::set_level(file.log.level) {
            report.changed.push("the level of the log was set".into());
        }
        Ok(())
    }
}

/// An error of the change, at the address it is about if it is about one.
fn placed(error: &anyhow::Error, file: &File, places: &Places) -> Problem {
    let what = format!("{error:#}");
    for service in config::services(file) {
        for (at, listen) in service.listen.iter().enumerate() {
            if what.starts_with(&format!("cannot listen on {listen}:"))
                && let Some(place) = places.get(&service.place_of(at))
            {
                return Problem::at(place.clone(), what, "");
            }
        }
    }
    Problem::without_place(what)
}

impl Sources {
    /// Where a problem is: `FILE:LINE`, or nothing.
    fn location(&self, problem: &Problem) -> String {
        let Some(place) = &problem.place else { return String::new() };
        let line = self.text(place.file)[..place.span.start].matches('\n').count() + 1;
        format!("{}:{line}", self.path(place.file).display())
    }
}
