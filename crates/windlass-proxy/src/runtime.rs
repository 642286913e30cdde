//! What an operator changes while a proxy runs: a layer on top of its configuration, which another
//! configuration does not take away. `plan.rs` puts the layers together; orders come in through
//! [`Front`](crate::Front).

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use windlass::Time;

use crate::config::{Backend, ProxyConfig};
use crate::discovery::Sets;
use crate::front::{Front, Message, Shared};
use crate::plan::{self, ConfigError, OTHERS, Plan};
use crate::stats::BackendStats;

/// Backends of one proxy that differ from its configuration, at most.
pub const RUNTIME_CHANGES_MAX: usize = 4096;

/// What is to become of a backend.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Order {
    /// It gets connections, as far as its weight and its health allow.
    Enable,
    /// It gets no new connections, and keeps those it has. Checks go on.
    Drain,
    /// The same, and nobody checks it: it is being worked on.
    Disable,
    /// Its share of new connections is this, at most 65,535. 0 is the same as to drain it.
    Weight(u32),
    /// It gets no new connections, and is gone when the last of those it has has ended; with `force` they are
    /// reset.
    Remove {
        /// Does not wait for them.
        force: bool,
    },
    /// It is again what the configuration says. One that is not in there is removed, and keeps its connections.
    Reset,
}

/// How an operator wants a backend to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Standing {
    /// It gets connections.
    #[default]
    Enabled,
    /// It gets no new ones.
    Draining,
    /// The same, and nobody checks it.
    Disabled,
    /// The same, and it goes when it has none any more.
    Leaving,
}

/// Where a backend comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Origin {
    /// The configuration.
    #[default]
    Configured,
    /// A source has named it.
    Discovered,
    /// It was added while the proxy ran.
    Added,
}

impl Origin {
    /// A short stable name.
    pub const fn label(self) -> &'static str {
        match self {
            Origin::Configured => "configured",
            Origin::Discovered => "discovered",
            Origin::Added => "added",
        }
    }
}

/// Why an order was not carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OrderError {
    /// There is no such route.
    NoRoute {
        /// As it was asked for.
        route: String,
    },
    /// There is no such backend.
    NoBackend {
        /// As it was asked for.
        backend: String,
    },
    /// Several routes have one.
    Ambiguous {
        /// As it was asked for.
        backend: String,
        /// The routes that have it.
        routes: Vec<String>,
    },
    /// [`RUNTIME_CHANGES_MAX`] backends differ from the configuration already.
    TooMany,
    /// The proxy would not be right any more.
    Wrong(ConfigError),
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OrderError::NoRoute { route } => write!(f, "there is no route `{route}`"),
            OrderError::NoBackend { backend } => write!(f, "there is no backend `{backend}`"),
            OrderError::Ambiguous { backend, routes } => {
                write!(f, "several routes have a backend `{backend}`: say which of {}", routes.join(", "))
            }
            OrderError::TooMany => {
                write!(f, "{RUNTIME_CHANGES_MAX} backends differ from the configuration already")
            }
            OrderError::Wrong(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OrderError {}

impl From<ConfigError> for OrderError {
    fn from(error: ConfigError) -> OrderError {
        OrderError::Wrong(error)
    }
}

/// What an order came to.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Ordered {
    /// The backend afterwards; as it was last, if it is gone and was there before.
    pub backend: Option<BackendStats>,
    /// It is gone.
    pub gone: bool,
}

/// What differs from the configuration of one backend.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Change {
    /// It is not in the configuration, but this.
    pub(crate) added: Option<Backend>,
    pub(crate) standing: Standing,
    pub(crate) weight: Option<u32>,
    /// It is not there any more.
    pub(crate) removed: bool,
}

impl Change {
    fn is_none(&self) -> bool {
        *self == Change::default()
    }
}

/// Everything that differs, by group and address, and what sources have found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Overlay {
    pub(crate) found: Sets,
    changes: Vec<(String, String, Change)>,
}

impl Overlay {
    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn of(&self, group: &str, key: &str) -> Option<&Change> {
        let mut changes = self.changes.iter();
        changes
            .find(|(its_group, its_key, _)| its_group == group && its_key == key)
            .map(|(.., change)| change)
    }

    /// Those that were added to a group and are still there.
    pub(crate) fn added<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Backend> {
        let of_group = self.changes.iter().filter(move |(its_group, ..)| its_group == group);
        of_group.filter_map(|(.., change)| change.added.as_ref())
    }

    fn edit(&mut self, group: &str, key: &str, edit: impl FnOnce(&mut Change)) -> Result<(), OrderError> {
        let at = self.changes.iter().position(|(its_group, its_key, _)| its_group == group && its_key == key);
        let at = match at {
            Some(at) => at,
            None if self.changes.len() >= RUNTIME_CHANGES_MAX => return Err(OrderError::TooMany),
            None => {
                self.changes.push((group.into(), key.into(), Change::default()));
                self.changes.len() - 1
            }
        };
        edit(&mut self.changes[at].2);
        if self.changes[at].2.is_none() {
            self.changes.remove(at);
        }
        Ok(())
    }

    /// The group and address of one that was removed.
    fn removed(&self, route: Option<&str>, key: &str) -> Option<(String, String)> {
        let mut changes = self.changes.iter();
        let found = changes.find(|(group, its_key, change)| {
            change.removed && its_key == key && route.is_none_or(|route| route == group)
        });
        found.map(|(group, key, _)| (group.clone(), key.clone()))
    }

    pub(crate) fn order(&mut self, group: &str, key: &str, order: &Order) -> Result<(), OrderError> {
        self.edit(group, key, |change| match order {
            Order::Enable => {
                change.standing = Standing::Enabled;
                change.removed = false;
            }
            Order::Drain => change.standing = Standing::Draining,
            Order::Disable => change.standing = Standing::Disabled,
            Order::Weight(weight) => change.weight = Some(*weight),
            Order::Remove { .. } => change.standing = Standing::Leaving,
            Order::Reset => *change = Change::default(),
        })
    }

    /// A backend that was leaving has left. It stays away, whatever the configuration says of it.
    pub(crate) fn left(&mut self, group: &str, key: &str, is_configured: bool) {
        let gone = Change { removed: is_configured, ..Change::default() };
        // There is an entry already: it cannot be one too many.
        let _ = self.edit(group, key, |change| *change = gone);
    }

    /// Without what says nothing about a configuration any more: of backends that are not in it and were not
    /// added, and of groups that are gone. What was added and is in it now is the configuration's. Where sources
    /// find backends all is kept, for those that come back.
    pub(crate) fn fitted(&self, config: &ProxyConfig) -> Overlay {
        let mut overlay = Overlay { found: self.found.clone().fitted(config), changes: self.changes.clone() };
        for (group, key, change) in &mut overlay.changes {
            if change.added.is_some() && backends(config, group).is_some_and(|list| has(list, key)) {
                change.added = None;
            }
        }
        overlay.changes.retain(|(group, key, change)| {
            let list = backends(config, group);
            let finds = || config.sources().any(|(its_group, _)| its_group == *group);
            !change.is_none() && list.is_some_and(|list| change.added.is_some() || has(list, key) || finds())
        });
        overlay
    }
}

fn has(list: &[Backend], key: &str) -> bool {
    list.iter().any(|backend| backend.to.to_string() == key)
}

/// What a configuration says of a group; `None`: there is no such group.
fn backends<'a>(config: &'a ProxyConfig, group: &str) -> Option<&'a [Backend]> {
    if group == OTHERS {
        return Some(&config.backends);
    }
    // A route without a name is called what `plan.rs` calls it.
    config.routes.iter().find(|route| plan::name(route) == group).map(|route| &*route.backends)
}

/// The group of this name and the address of the backend that is meant: by its address or its name.
pub(crate) fn find(plan: &Plan, route: Option<&str>, backend: &str) -> Result<(String, String), OrderError> {
    if let Some(route) = route
        && !plan.groups.iter().any(|group| group.name == route)
    {
        return Err(OrderError::NoRoute { route: route.into() });
    }
    let groups = plan.groups.iter().filter(|group| route.is_none_or(|route| group.name == route));
    let mut found = Vec::new();
    for group in groups {
        // An address is exact; a name may be anything, even the address of another one.
        let by_key = group.upstreams.iter().find(|upstream| upstream.key == backend);
        let by_name = || group.upstreams.iter().find(|upstream| upstream.config.name == backend);
        found.extend(by_key.or_else(by_name).map(|upstream| (group.name.clone(), upstream.key.clone())));
    }
    match found.len() {
        0 => Err(OrderError::NoBackend { backend: backend.into() }),
        1 => Ok(found.remove(0)),
        _ => Err(OrderError::Ambiguous {
            backend: backend.into(),
            routes: found.into_iter().map(|(group, _)| group).collect(),
        }),
    }
}

/// The group that a backend without a route is added to: the only one there is.
pub(crate) fn group(plan: &Plan, route: Option<&str>) -> Result<String, OrderError> {
    let wanted = route.unwrap_or(OTHERS);
    match plan.groups.iter().find(|group| group.name == wanted) {
        Some(group) => Ok(group.name.clone()),
        None => Err(OrderError::NoRoute { route: wanted.into() }),
    }
}

impl Front {
    /// Adds a backend to a route, or without one to those that no route leads to. It stays until it is removed or
    /// the process ends. One that was removed, or is leaving, is back.
    ///
    /// # Errors
    ///
    /// [`OrderError`]; nothing has changed then.
    pub fn add(&self, route: Option<&str>, backend: Backend) -> Result<Ordered, OrderError> {
        let shared = self.shared();
        shared.with_current(|current| {
            let plan = &current.plan;
            let group = group(plan, route)?;
            let key = backend.to.to_string();
            let known = current.overlay.of(&group, &key);
            let is_back = known.is_some_and(|it| it.removed || it.standing == Standing::Leaving);
            let is_configured = backends(&plan.config, &group).is_some_and(|list| has(list, &key));
            if !is_back && (is_configured || known.is_some_and(|it| it.added.is_some())) {
                return Err(ConfigError::Twice { backend: key }.into());
            }
            let mut overlay = current.overlay.clone();
            let weight = is_configured.then_some(backend.weight);
            let added = (!is_configured).then_some(backend);
            overlay.edit(&group, &key, |change| *change = Change { added, weight, ..Change::default() })?;
            let config = current.plan.config.clone();
            shared.install(current, config, overlay)?;
            Ok(ordered(shared, &current.plan, &group, &key, None))
        })
    }

    /// Changes a backend, by its address or its name, while everybody else's connections stay as they are. The
    /// change outlasts other configurations ([`Front::change`]), and ends with the process.
    ///
    /// # Errors
    ///
    /// [`OrderError`]; nothing has changed then.
    pub fn order(&self, route: Option<&str>, backend: &str, order: &Order) -> Result<Ordered, OrderError> {
        let shared = self.shared();
        shared.with_current(|current| {
            let before = current.plan.clone();
            let (group, key) = match find(&before, route, backend) {
                // One that was removed can be asked for by its address, to have it back.
                Err(error @ OrderError::NoBackend { .. }) => {
                    let is_back = matches!(order, Order::Enable | Order::Reset);
                    let removed = current.overlay.removed(route, backend).filter(|_| is_back);
                    removed.ok_or(error)?
                }
                found => found?,
            };
            let mut overlay = current.overlay.clone();
            overlay.order(&group, &key, order)?;
            shared.install(current, before.config.clone(), overlay)?;
            if let Order::Remove { force } = order {
                let id = current.plan.by_key(&group, &key).map(|upstream| upstream.id());
                if let Some(id) = id.filter(|_| *force) {
                    // What a full mailbox does not take ends by itself, or is ordered again.
                    let _ = shared.mailbox.send_to_all(Message::Sever(id));
                }
                shared.let_leave(current);
            }
            Ok(ordered(shared, &current.plan, &group, &key, Some(&before)))
        })
    }

    /// Backends that differ from the configuration.
    pub fn differs(&self) -> usize {
        self.shared().with_current(|current| current.overlay.len())
    }

    /// All that was added or ordered is undone: the backends are those of the configuration. Says how many
    /// differed.
    pub fn reset(&self) -> usize {
        let shared = self.shared();
        shared.with_current(|current| {
            let count = current.overlay.len();
            if count > 0 {
                let config = current.plan.config.clone();
                // It was right without them.
                let overlay = Overlay { found: current.overlay.found.clone(), ..Overlay::default() };
                let _ = shared.install(current, config, overlay);
            }
            count
        })
    }

    /// Takes over what was changed of another proxy, in whose place this one is. Says how many backends differ
    /// from the configuration now.
    pub fn take_over(&self, other: &Front) -> usize {
        let overlay = other.shared().with_current(|current| current.overlay.clone());
        let shared = self.shared();
        shared.with_current(|current| {
            let config = current.plan.config.clone();
            let overlay = overlay.fitted(&config);
            let count = overlay.len();
            match shared.install(current, config, overlay) {
                Ok(()) => count,
                Err(_) => 0,
            }
        })
    }
}

impl Shared {
    /// Backends that leave and have no connection any more are gone.
    pub(crate) fn settle(&self) {
        if self.leaving.load(Relaxed) > 0 {
            self.with_current(|current| self.let_leave(current));
        }
    }

    fn let_leave(&self, current: &mut crate::front::Current) {
        let mut overlay = current.overlay.clone();
        for (n, upstream) in current.plan.upstreams() {
            let has_left =
                upstream.standing == Standing::Leaving && upstream.counts.connections.load(Relaxed) == 0;
            if has_left {
                // What is named elsewhere must not come back.
                let is_configured = upstream.origin != Origin::Added;
                overlay.left(&current.plan.groups[n].name, &upstream.key, is_configured);
            }
        }
        if overlay != current.overlay {
            let config = current.plan.config.clone();
            // With less than before it is no less right.
            let _ = self.install(current, config, overlay);
        }
    }
}

/// How a backend is after an order: as in `plan`, or as it was `before`.
fn ordered(shared: &Shared, plan: &Plan, group: &str, key: &str, before: Option<&Plan>) -> Ordered {
    let now = Time::from_nanos(shared.clock.load(Relaxed));
    let of = |plan: &Plan| {
        let upstream = plan.by_key(group, key)?;
        Some(crate::stats::backend(group, upstream, &plan.config.health.breaker, now))
    };
    match of(plan) {
        Some(backend) => Ordered { backend: Some(backend), gone: false },
        None => Ordered { backend: before.and_then(of), gone: true },
    }
}
