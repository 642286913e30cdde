//! A configuration, checked, with what all workers need of it made once: groups, tables, counts.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use windlass_proto::ClientHello;

use crate::balance::{Balance, Maglev};
use crate::breaker::Breaker;
use crate::budget::Budget;
use crate::checks::CheckAddress;
use crate::config::{Backend, ProxyConfig, Route};
use crate::discovery::{Discover, SOURCES_MAX};
use crate::guard::Guard;
use crate::http::Action;
use crate::http::policy::{Policy, tidied_host};
use crate::runtime::{Change, Origin, Overlay, Standing};
use crate::target::Target;
use crate::upstream::{Counts, Upstream};

/// The heaviest a backend may be.
pub(crate) const WEIGHT_MAX: u32 = 65_535;

/// A configuration in effect.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Goes up with each.
    pub(crate) version: u64,
    pub(crate) config: ProxyConfig,
    /// Those without a route first; then one for each route, in their order.
    pub(crate) groups: Vec<Group>,
    /// Some backend is told who its clients are.
    pub(crate) tells: bool,
    pub(crate) guard: Guard,
    /// What becomes of requests, where HTTP is served.
    pub(crate) policy: Policy,
}

/// Backends among which one is chosen.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    /// Made where it is asked for.
    pub(crate) maglev: Maglev,
    pub(crate) budget: Arc<Budget>,
}

/// The name of the group that no route leads to.
pub(crate) const OTHERS: &str = "backends";

/// What is wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no backend at all, or a route without one.
    NoBackends {
        /// Which group.
        group: String,
    },
    /// The same address is twice in one group.
    Twice {
        /// The address.
        backend: String,
    },
    /// A weight above 65,535.
    Weight {
        /// Whose.
        backend: String,
    },
    /// No pattern of host names.
    ServerName {
        /// As it was written.
        name: String,
    },
    /// Two routes of one name.
    Route {
        /// The name.
        name: String,
    },
    /// What is set for HTTP cannot be.
    Http {
        /// Which of [`ProxyConfig::http`]'s settings.
        setting: &'static str,
        /// Why.
        why: String,
    },
    /// What a route has to do with HTTP cannot be.
    HttpRoute {
        /// Its place among the routes.
        route: usize,
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// What only connections can have, for a proxy of datagrams.
    NotForDatagrams {
        /// What it is.
        what: String,
    },
    /// The longest time that answers of name servers count is shorter than the shortest.
    Life,
    /// More than 256 sources of backends.
    Sources,
    /// A timeout that must not be zero.
    Zero {
        /// Which.
        setting: &'static str,
    },
    /// A port to be checked at, of a backend that has none.
    CheckPort {
        /// Whose.
        backend: String,
    },
    /// A check that cannot be made.
    Check {
        /// Why not.
        why: &'static str,
    },
    /// A number that is too small or too large.
    Range {
        /// Which.
        setting: &'static str,
        /// The smallest that fits.
        min: u64,
        /// The largest.
        max: u64,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::NoBackends { group } => write!(f, "{group}: no backend"),
            ConfigError::Twice { backend } => write!(f, "{backend} is there twice"),
            ConfigError::Weight { backend } => {
                write!(f, "{backend}: a weight is at most {WEIGHT_MAX}")
            }
            ConfigError::ServerName { name } => {
                write!(f, "`{name}` is no server name: write www.example.com, *.example.com or *")
            }
            ConfigError::Route { name } => write!(f, "two routes are called `{name}`"),
            ConfigError::Http { setting, why } => write!(f, "http.{setting}: {why}"),
            ConfigError::HttpRoute { name, why, .. } => write!(f, "route `{name}`: {why}"),
            ConfigError::NotForDatagrams { what } => write!(f, "{what} cannot be used with datagrams"),
            ConfigError::Life => {
                f.write_str("answers of name servers would count for at most less than at least")
            }
            ConfigError::Sources => write!(f, "more than {SOURCES_MAX} sources of backends"),
            ConfigError::Zero { setting } => write!(f, "{setting} must not be zero"),
            ConfigError::CheckPort { backend } => {
                write!(f, "{backend}: a Unix socket has no other port to be checked at")
            }
            ConfigError::Check { why } => write!(f, "check: {why}"),
            ConfigError::Range { setting, min, max } => write!(f, "{setting} is from {min} to {max}"),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Plan {
    /// Checks a configuration. Backends that `before` knows keep their counts; new ones get a number from
    /// `next_id`.
    pub(crate) fn new(
        config: ProxyConfig,
        before: Option<&Plan>,
        next_id: &mut u32,
    ) -> Result<Plan, ConfigError> {
        Plan::layered(config, &Overlay::default(), before, next_id)
    }

    /// The same, with what was changed on top of it.
    pub(crate) fn layered(
        config: ProxyConfig,
        overlay: &Overlay,
        before: Option<&Plan>,
        next_id: &mut u32,
    ) -> Result<Plan, ConfigError> {
        let mut config = config;
        for (what, value) in [
            ("timeouts.connect", config.timeouts.connect),
            ("health.check_timeout", config.health.check_timeout),
            ("resolve_every", config.resolve_every),
        ] {
            if value.is_zero() {
                return Err(ConfigError::Zero { setting: what });
            }
        }
        within_range(&config)?;
        if let Some(why) = config.check.problem() {
            return Err(ConfigError::Check { why });
        }
        if config.backends.is_empty() && config.routes.is_empty() && config.discover.is_empty() {
            return Err(ConfigError::NoBackends { group: OTHERS.into() });
        }
        for (n, route) in config.routes.iter_mut().enumerate() {
            tidy(n, route)?;
        }
        check_discovery(&config)?;
        let others = std::iter::once((OTHERS, &config.backends, &config.discover));
        let routes = config.routes.iter().map(|route| (&*route.name, &route.backends, &route.discover));
        let mut groups = Vec::new();
        for (name, backends, discover) in others.chain(routes) {
            if groups.iter().any(|group: &Group| group.name == name) {
                return Err(ConfigError::Route { name: name.into() });
            }
            let known = before.and_then(|plan| plan.groups.iter().find(|group| group.name == name));
            groups.push(group((name, backends, discover), config.balance, overlay, known, next_id)?);
        }
        let mut upstreams = groups.iter().flat_map(|group| &group.upstreams);
        let tells = upstreams.any(|upstream| upstream.config.send_proxy.is_some());
        let policy = Policy::new(&config, &groups)?;
        let guard = Guard::new(&config.guard, before.map(|plan| &plan.guard));
        let version = before.map_or(1, |plan| plan.version + 1);
        Ok(Plan { version, config, groups, tells, guard, policy })
    }

    /// Every backend, with the number of its group.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = (usize, &Arc<Upstream>)> {
        self.groups
            .iter()
            .enumerate()
            .flat_map(|(n, group)| group.upstreams.iter().map(move |upstream| (n, upstream)))
    }

    /// Backends that wait for the end of their connections.
    pub(crate) fn leaving(&self) -> usize {
        self.upstreams().filter(|(_, upstream)| upstream.standing == Standing::Leaving).count()
    }

    /// The backend of this address in this group.
    pub(crate) fn by_key(&self, group: &str, key: &str) -> Option<&Arc<Upstream>> {
        let group = self.groups.iter().find(|other| other.name == group)?;
        group.upstreams.iter().find(|upstream| upstream.key == key)
    }

    /// The backend of this number.
    pub(crate) fn upstream(&self, id: u32) -> Option<&Arc<Upstream>> {
        self.upstreams().map(|(_, upstream)| upstream).find(|upstream| upstream.id() == id)
    }

    /// The group for a client that says hello like this.
    pub(crate) fn route(&self, hello: &ClientHello) -> Option<usize> {
        let rank = |route: &Route| {
            let by_name = match (&*route.server_names, &hello.server_name) {
                ([], _) => Some(0),
                (names, Some(name)) => names.iter().filter_map(|pattern| exactness(pattern, name)).max(),
                (_, None) => None,
            }?;
            let offered = |wanted: &String| hello.alpn.iter().any(|offer| offer == wanted.as_bytes());
            let by_protocol = route.alpn.is_empty() || route.alpn.iter().any(offered);
            by_protocol.then_some((by_name, !route.alpn.is_empty()))
        };
        let ranked = self.config.routes.iter().enumerate().filter_map(|(n, route)| Some((rank(route)?, n)));
        // Of equals the first.
        let best = ranked.max_by_key(|(rank, n)| (*rank, std::cmp::Reverse(*n)));
        best.map(|(_, n)| n + 1).or_else(|| self.others())
    }

    /// The group of those that no route takes, if it has backends.
    pub(crate) fn others(&self) -> Option<usize> {
        (!self.groups[0].upstreams.is_empty()).then_some(0)
    }
}

fn within_range(config: &ProxyConfig) -> Result<(), ConfigError> {
    let (breaker, budget, health) = (&config.health.breaker, &config.retry_budget, &config.health);
    // 0 is no bound. Below 100 some client finds all backends full, however idle they are.
    let load_factor_min = if config.load_factor_percent == 0 { 0 } else { 100 };
    let numbers = [
        ("load_factor_percent", config.load_factor_percent, load_factor_min, u32::MAX),
        ("fail_open_percent", health.fail_open_percent, 0, 100),
        ("ejected_max_percent", health.ejected_max_percent, 0, 100),
        ("breaker.errors_percent", breaker.errors_percent, 0, 100),
        ("breaker.window", breaker.window, 1, Breaker::WINDOW_MAX),
        ("breaker.volume_min", breaker.volume_min, 1, breaker.window),
        ("breaker.probes", breaker.probes, 1, 1_000),
        ("retry_budget.percent", budget.percent, 0, 100),
    ];
    let numbers = numbers.into_iter().chain(config.guard.ranges());
    match { numbers }.find(|(_, value, min, max)| !(min..=max).contains(&value)) {
        Some((setting, _, min, max)) => Err(ConfigError::Range { setting, min: min.into(), max: max.into() }),
        None => Ok(()),
    }
}

fn check_discovery(config: &ProxyConfig) -> Result<(), ConfigError> {
    let discovery = &config.discovery;
    for (what, value) in [
        ("discovery.file_every", discovery.file_every),
        ("discovery.dns_timeout", discovery.dns_timeout),
        ("discovery.ttl_min", discovery.ttl_min),
    ] {
        if value.is_zero() {
            return Err(ConfigError::Zero { setting: what });
        }
    }
    if discovery.ttl_max < discovery.ttl_min {
        return Err(ConfigError::Life);
    }
    if config.sources().count() > SOURCES_MAX {
        return Err(ConfigError::Sources);
    }
    Ok(())
}

/// How exactly a pattern fits a name: 0 would be none at all.
fn exactness(pattern: &str, name: &str) -> Option<usize> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if pattern == "*" {
        return Some(1);
    }
    if pattern == name {
        return Some(usize::MAX);
    }
    let suffix = pattern.strip_prefix('*')?;
    // `*.example.com` is what stands below it, and not itself.
    (name.len() > suffix.len() && name.ends_with(suffix)).then_some(1 + suffix.len())
}

/// What a route is called.
pub(crate) fn name(route: &Route) -> String {
    if !route.name.is_empty() {
        return route.name.clone();
    }
    // Routes for one host differ in their paths.
    let first = |list: &[String]| list.first().cloned().unwrap_or_default();
    let request = first(&route.http.hosts).to_ascii_lowercase() + &first(&route.http.paths);
    let server = first(&route.server_names);
    let server = server.strip_suffix('.').unwrap_or(&server).to_ascii_lowercase();
    let known = [server, first(&route.alpn), request];
    known.into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| "any".into())
}

/// Names in lower case, and a name for the route.
fn tidy(n: usize, route: &mut Route) -> Result<(), ConfigError> {
    for name in &mut route.server_names {
        let tidied = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let rest = tidied.strip_prefix("*.").unwrap_or(&tidied);
        let label = |label: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            (1..=63).contains(&label.len()) && label.bytes().all(fits)
        };
        // `*.` would be everything in a way that nobody means.
        let fits = name == "*" || (rest.len() <= 253 && rest.split('.').all(label));
        if !fits {
            return Err(ConfigError::ServerName { name: name.clone() });
        }
        *name = tidied;
    }
    let mut hosts = std::mem::take(&mut route.http.hosts);
    let tidied = hosts.iter_mut().try_for_each(|host| tidied_host(host).map(|tidied| *host = tidied));
    route.http.hosts = hosts;
    route.name = name(route);
    tidied.map_err(|why| ConfigError::HttpRoute { route: n, name: route.name.clone(), why })?;
    if route.backends.is_empty() && route.discover.is_empty() && route.http.action == Action::Forward {
        return Err(ConfigError::NoBackends { group: route.name.clone() });
    }
    Ok(())
}

fn group(
    (name, configured, discover): (&str, &[Backend], &[Discover]),
    balance: Balance,
    overlay: &Overlay,
    before: Option<&Group>,
    next_id: &mut u32,
) -> Result<Group, ConfigError> {
    let mut seen = HashSet::new();
    let mut upstreams = Vec::new();
    let found: Vec<Backend> = overlay.found.backends(name, discover).collect();
    let configured = configured.iter().map(|backend| (backend, Origin::Configured));
    let found = found.iter().map(|backend| (backend, Origin::Discovered));
    let added = overlay.added(name).map(|backend| (backend, Origin::Added));
    for (backend, origin) in configured.chain(found).chain(added) {
        let key = backend.to.to_string();
        let change = overlay.of(name, &key);
        if !seen.insert(key.clone()) {
            match origin {
                Origin::Configured => return Err(ConfigError::Twice { backend: key }),
                // Somebody else knows of it too, and came first.
                _ => continue,
            }
        }
        if backend.weight.max(change.and_then(|change| change.weight).unwrap_or(0)) > WEIGHT_MAX {
            return Err(ConfigError::Weight { backend: backend.name.clone() });
        }
        if matches!((&backend.to, backend.check_address), (Target::Unix(_), Some(CheckAddress::Port(_)))) {
            return Err(ConfigError::CheckPort { backend: backend.name.clone() });
        }
        if change.is_some_and(|change| change.removed) {
            continue;
        }
        let known = before.and_then(|group| group.upstreams.iter().find(|upstream| upstream.key == key));
        let counts = known.map(|upstream| upstream.counts.clone()).unwrap_or_else(|| {
            *next_id += 1;
            Arc::new(Counts::new(*next_id))
        });
        upstreams.push(Arc::new(upstream(backend, origin, change, counts)));
    }
    let maglev = match balance {
        Balance::Maglev => {
            let weighed: Vec<(&str, u32)> =
                upstreams.iter().map(|upstream| (&*upstream.key, upstream.config.weight)).collect();
            Maglev::new(&weighed)
        }
        _ => Maglev::default(),
    };
    let budget = before.map(|group| group.budget.clone()).unwrap_or_default();
    Ok(Group { name: name.into(), upstreams, maglev, budget })
}

/// A backend as it is with what was changed of it.
fn upstream(backend: &Backend, origin: Origin, change: Option<&Change>, counts: Arc<Counts>) -> Upstream {
    let mut config = backend.clone();
    let standing = change.map_or(Standing::Enabled, |change| change.standing);
    let weight = change.and_then(|change| change.weight).unwrap_or(config.weight);
    // Whoever chooses knows weights alone.
    config.weight = if standing == Standing::Enabled { weight } else { 0 };
    Upstream {
        origin,
        standing,
        weight_set: weight,
        is_changed: change.is_some(),
        ..Upstream::new(config, counts)
    }
}
