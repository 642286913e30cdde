//! What a configuration may hold: each table with its keys, and where their values go.

use windlass::{Address, Config as Engine, LimitMut, Limits};

use super::Problem;
use super::value::Slot;

/// Tables that there is one of, or one in each entry of a list.
pub(super) const TABLES: &[&str] = &[
    "server",
    "limits",
    "log",
    #[cfg(feature = "metrics")]
    "admin",
    #[cfg(all(feature = "echo", feature = "tls"))]
    "echo.tls",
    #[cfg(all(feature = "relay", feature = "tls"))]
    "proxy.tls",
    #[cfg(all(feature = "hub", feature = "tls"))]
    "hub.tls",
    #[cfg(feature = "relay")]
    "proxy.udp",
    #[cfg(feature = "hub")]
    "hub.identity",
];

/// Lists of tables: `[[echo]]`.
pub(super) const LISTS: &[&str] = &[
    #[cfg(feature = "echo")]
    "echo",
    #[cfg(feature = "relay")]
    "proxy",
    #[cfg(feature = "hub")]
    "hub",
];

/// Everything that a file says.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) workers: usize,
    pub(crate) scratch: usize,
    /// Bytes for everything; 0: as much as it takes.
    pub(crate) memory: usize,
    pub(crate) limits: Limits,
    /// A number of [`LEVELS`].
    pub(crate) level: u8,
    #[cfg(feature = "metrics")]
    pub(crate) admin: Vec<String>,
    #[cfg(feature = "echo")]
    pub(crate) echo: Vec<Echo>,
    #[cfg(feature = "relay")]
    pub(crate) proxy: Vec<Proxy>,
    #[cfg(feature = "hub")]
    pub(crate) hub: Vec<Hub>,
}

/// What is read into where nothing is said: enough for a small machine's network, and no more.
const SCRATCH: usize = 16 * 1024;

const LEVELS: &[&str] = &["off", "error", "warn", "info"];
/// The numbers of `error` and `info` in them.
const QUIET: u8 = 1;
const INFO: u8 = 3;

impl Default for Config {
    fn default() -> Config {
        Config {
            workers: 1,
            scratch: SCRATCH,
            memory: 0,
            // There is nobody here who would be told of a stall, and a report of one is allocated.
            limits: Limits { stall_timeout: std::time::Duration::ZERO, ..Limits::default() },
            level: INFO,
            #[cfg(feature = "metrics")]
            admin: Vec::new(),
            #[cfg(feature = "echo")]
            echo: Vec::new(),
            #[cfg(feature = "relay")]
            proxy: Vec::new(),
            #[cfg(feature = "hub")]
            hub: Vec::new(),
        }
    }
}

/// A certificate and its key, if it was said that there is one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tls {
    pub(crate) cert: String,
    pub(crate) key: String,
    pub(crate) client_ca: String,
    /// A number of [`CLIENT_CERTIFICATES`].
    pub(crate) client_certificate: u8,
    /// Whether the table stands there, be it an empty one: whoever wrote it does not want plain text.
    pub(crate) is_said: bool,
}

/// `required`, or so much more.
const CLIENT_CERTIFICATES: &[&str] = &["required", "optional"];

impl Tls {
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "there is none"))]
    fn slots(&mut self) -> Vec<(&'static str, Slot<'_>)> {
        self.is_said = true;
        vec![
            ("cert", Slot::Text(&mut self.cert)),
            ("key", Slot::Text(&mut self.key)),
            ("client_ca", Slot::Text(&mut self.client_ca)),
            ("client_certificate", Slot::Word(CLIENT_CERTIFICATES, &mut self.client_certificate)),
        ]
    }
}

/// `[[echo]]`.
#[cfg(feature = "echo")]
#[derive(Debug)]
pub(crate) struct Echo {
    pub(crate) line: u32,
    pub(crate) name: String,
    pub(crate) listen: Vec<String>,
    pub(crate) tls: Tls,
}

/// `[[proxy]]`.
#[cfg(feature = "relay")]
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) line: u32,
    pub(crate) name: String,
    pub(crate) mode: u8,
    pub(crate) listen: Vec<String>,
    pub(crate) to: Vec<String>,
    pub(crate) connect_timeout: std::time::Duration,
    /// Where that is said; 0: nowhere.
    pub(crate) connect_timeout_line: u32,
    /// Of a serial line behind `pipe:`; 0 leaves it as it is. `windlass` has no such thing.
    pub(crate) baud: u32,
    /// `flows_max` and `idle_timeout` of `[proxy.udp]`.
    pub(crate) flows_max: usize,
    pub(crate) udp_idle_timeout: std::time::Duration,
    /// Whether `[proxy.udp]` stands there.
    pub(crate) is_udp_said: bool,
    pub(crate) tls: Tls,
}

/// What a `[[proxy]]` may pass on.
#[cfg(feature = "relay")]
pub(crate) const MODES: &[&str] = &["tcp", "udp"];

#[cfg(feature = "relay")]
impl Proxy {
    /// Whether it passes on datagrams.
    pub(crate) fn is_udp(&self) -> bool {
        MODES[usize::from(self.mode)] == "udp"
    }

    /// What cannot be, and was said here.
    fn check(&self) -> Option<&'static str> {
        let is_udp = self.is_udp();
        let problems = [
            (self.to.len() != 1, "needs one address in `to`; only `windlass` balances several"),
            (is_udp && self.tls.is_said, "passes on datagrams, and `tls` is about connections"),
            (!is_udp && self.is_udp_said, "needs `mode = \"udp\"` for its `[proxy.udp]`"),
            (
                self.flows_max == 0 || self.udp_idle_timeout.is_zero(),
                "needs more than 0 for flows_max and idle_timeout of `[proxy.udp]`",
            ),
            (
                self.baud != 0 && !self.to.iter().all(|to| to.starts_with("pipe:")),
                "has a `baud`, which is for `pipe:` in `to`",
            ),
            (
                !is_udp && self.listen.iter().any(|it| is_datagrams(it)),
                "needs `mode = \"udp\"` to listen for datagrams",
            ),
        ];
        problems.into_iter().find(|(is_wrong, _)| *is_wrong).map(|(_, why)| why)
    }
}

/// `[[hub]]`.
#[cfg(feature = "hub")]
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) line: u32,
    pub(crate) name: String,
    pub(crate) listen: Vec<String>,
    pub(crate) listen_plain: Vec<String>,
    pub(crate) tls: Tls,
    /// What is set directly.
    pub(crate) config: windlass_hub::HubConfig,
    pub(crate) exceeded: u8,
    pub(crate) queue_full: u8,
    pub(crate) keep_alive_max: std::time::Duration,
    pub(crate) session_expiry_max: std::time::Duration,
    pub(crate) qos_max: usize,
    pub(crate) identity: Identity,
}

/// `[hub.identity]`.
#[cfg(feature = "hub")]
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) acl_file: String,
    /// 3: nothing is said.
    pub(crate) anonymous: u8,
    pub(crate) client_id_prefixes: Vec<String>,
    pub(crate) client_id_from_user: bool,
    pub(crate) client_id_bound: bool,
}

#[cfg(feature = "hub")]
impl Default for Hub {
    fn default() -> Hub {
        Hub {
            line: 0,
            name: "hub".into(),
            listen: Vec::new(),
            listen_plain: Vec::new(),
            tls: Tls::default(),
            // There is no HTTP in this program.
            config: windlass_hub::HubConfig {
                websocket: false,
                http_publish: false,
                ..windlass_hub::HubConfig::default()
            },
            exceeded: 0,
            queue_full: 0,
            keep_alive_max: std::time::Duration::ZERO,
            session_expiry_max: std::time::Duration::ZERO,
            qos_max: 2,
            identity: Identity {
                acl_file: String::new(),
                anonymous: 3,
                client_id_prefixes: Vec::new(),
                client_id_from_user: false,
                client_id_bound: true,
            },
        }
    }
}

#[cfg(feature = "hub")]
impl Hub {
    fn slots(&mut self) -> Vec<(&'static str, Slot<'_>)> {
        let config = &mut self.config;
        vec![
            ("name", Slot::Text(&mut self.name)),
            ("listen", Slot::Texts(&mut self.listen)),
            ("listen_plain", Slot::Texts(&mut self.listen_plain)),
            ("packet_max", Slot::Size(&mut config.packet_max)),
            ("connect_max", Slot::Size(&mut config.connect_max)),
            ("connect_timeout", Slot::Time(&mut config.connect_timeout)),
            ("topic_levels_max", Slot::Count(&mut config.topic_levels_max)),
            ("user_properties_max", Slot::Count(&mut config.user_properties_max)),
            ("receive_max", Slot::Short(&mut config.receive_max)),
            ("when_receive_exceeded", Slot::Word(&["disconnect", "warn"], &mut self.exceeded)),
            ("in_flight_max", Slot::Short(&mut config.in_flight_max)),
            ("topic_alias_max", Slot::Short(&mut config.topic_alias_max)),
            ("topic_alias_out_max", Slot::Short(&mut config.topic_alias_out_max)),
            ("keep_alive_max", Slot::Time(&mut self.keep_alive_max)),
            ("session_expiry_max", Slot::Time(&mut self.session_expiry_max)),
            ("sessions_max", Slot::Count(&mut config.sessions_max)),
            ("subscriptions_max", Slot::Count(&mut config.subscriptions_max)),
            ("queue_max", Slot::Count(&mut config.queue_max)),
            ("queue_bytes_max", Slot::Size(&mut config.queue_bytes_max)),
            (
                "when_queue_full",
                Slot::Word(&["drop-newest", "drop-oldest", "disconnect"], &mut self.queue_full),
            ),
            ("queue_qos_0", Slot::Flag(&mut config.queue_qos_0)),
            ("output_max", Slot::Size(&mut config.output_max)),
            ("retain", Slot::Flag(&mut config.retain)),
            ("retained_max", Slot::Count(&mut config.retained_max)),
            ("retained_bytes_max", Slot::Size(&mut config.retained_bytes_max)),
            ("memory_max", Slot::Size(&mut config.memory_max)),
            ("qos_max", Slot::Count(&mut self.qos_max)),
            ("proxy_header", Slot::Flag(&mut config.proxy_header)),
            ("wildcards", Slot::Flag(&mut config.wildcards)),
            ("shared", Slot::Flag(&mut config.shared)),
            ("terse", Slot::Flag(&mut config.terse)),
            ("sys_interval", Slot::Time(&mut config.sys_interval)),
        ]
    }

    fn identity_slots(&mut self) -> Vec<(&'static str, Slot<'_>)> {
        let identity = &mut self.identity;
        vec![
            ("acl_file", Slot::Text(&mut identity.acl_file)),
            ("anonymous", Slot::Word(&["never", "local", "everybody"], &mut identity.anonymous)),
            ("client_id_prefixes", Slot::Texts(&mut identity.client_id_prefixes)),
            ("client_id_from_user", Slot::Flag(&mut identity.client_id_from_user)),
            ("client_id_bound", Slot::Flag(&mut identity.client_id_bound)),
        ]
    }

    /// What cannot be, and was said here.
    fn check(&self) -> Option<&'static str> {
        let config = &self.config;
        let problems = [
            (
                config.receive_max == 0 || config.in_flight_max == 0,
                "receive_max and in_flight_max are from 1 on",
            ),
            (self.keep_alive_max.as_secs() > u64::from(u16::MAX), "keep_alive_max is at most 65535 seconds"),
            (is_below_a_second(self.keep_alive_max), "keep_alive_max is 0, for any, or at least 1s"),
            (is_below_a_second(self.session_expiry_max), "session_expiry_max is 0, for ever, or at least 1s"),
            (!(20..=268_435_460).contains(&config.packet_max), "packet_max is from 20 to 268435460 bytes"),
            (!(128..=1 << 20).contains(&config.connect_max), "connect_max is from 128 bytes to 1MiB"),
            (!(1..=1_024).contains(&config.topic_levels_max), "topic_levels_max is from 1 to 1024"),
            (self.qos_max > 2, "qos_max is 0, 1 or 2"),
            (config.connect_timeout.is_zero(), "connect_timeout is more than 0"),
            (
                self.listen.iter().chain(&self.listen_plain).any(|it| is_datagrams(it)),
                "`udp:` is for datagrams, and MQTT has none",
            ),
        ];
        problems.into_iter().find(|(is_wrong, _)| *is_wrong).map(|(_, why)| why)
    }
}

impl Config {
    /// Begins another entry of the list at `path`, if there is such a list.
    pub(super) fn begin(&mut self, path: &str, line: u32) -> bool {
        let _ = line;
        match path {
            #[cfg(feature = "echo")]
            "echo" => {
                self.echo.push(Echo { line, name: path.into(), listen: Vec::new(), tls: Tls::default() })
            }
            #[cfg(feature = "relay")]
            "proxy" => self.proxy.push(Proxy {
                line,
                name: path.into(),
                mode: 0,
                listen: Vec::new(),
                to: Vec::new(),
                connect_timeout: std::time::Duration::from_secs(5),
                connect_timeout_line: 0,
                baud: 0,
                flows_max: 1024,
                udp_idle_timeout: std::time::Duration::from_secs(60),
                is_udp_said: false,
                tls: Tls::default(),
            }),
            #[cfg(feature = "hub")]
            "hub" => self.hub.push(Hub { line, ..Hub::default() }),
            _ => return false,
        }
        true
    }

    /// The keys of the table at `path`, of a list's last entry, if there is such a table.
    pub(super) fn slots(&mut self, path: &str) -> Option<Vec<(&'static str, Slot<'_>)>> {
        Some(match path {
            "server" => {
                vec![
                    ("workers", Slot::Count(&mut self.workers)),
                    ("scratch", Slot::Size(&mut self.scratch)),
                    ("memory", Slot::Size(&mut self.memory)),
                ]
            }
            "limits" => limit_slots(&mut self.limits),
            "log" => vec![("level", Slot::Word(LEVELS, &mut self.level))],
            #[cfg(feature = "metrics")]
            "admin" => vec![("listen", Slot::Texts(&mut self.admin))],
            #[cfg(feature = "echo")]
            "echo" => {
                let echo = self.echo.last_mut()?;
                vec![("name", Slot::Text(&mut echo.name)), ("listen", Slot::Texts(&mut echo.listen))]
            }
            #[cfg(feature = "relay")]
            "proxy" => {
                let proxy = self.proxy.last_mut()?;
                vec![
                    ("name", Slot::Text(&mut proxy.name)),
                    ("mode", Slot::Word(MODES, &mut proxy.mode)),
                    ("listen", Slot::Texts(&mut proxy.listen)),
                    ("to", Slot::Texts(&mut proxy.to)),
                    ("connect_timeout", Slot::Time(&mut proxy.connect_timeout)),
                    ("baud", Slot::Small(&mut proxy.baud)),
                ]
            }
            #[cfg(feature = "relay")]
            "proxy.udp" => {
                let proxy = self.proxy.last_mut()?;
                proxy.is_udp_said = true;
                vec![
                    ("flows_max", Slot::Count(&mut proxy.flows_max)),
                    ("idle_timeout", Slot::Time(&mut proxy.udp_idle_timeout)),
                ]
            }
            #[cfg(feature = "hub")]
            "hub" => self.hub.last_mut()?.slots(),
            #[cfg(feature = "hub")]
            "hub.identity" => self.hub.last_mut()?.identity_slots(),
            #[cfg(all(feature = "echo", feature = "tls"))]
            "echo.tls" => self.echo.last_mut()?.tls.slots(),
            #[cfg(all(feature = "relay", feature = "tls"))]
            "proxy.tls" => self.proxy.last_mut()?.tls.slots(),
            #[cfg(all(feature = "hub", feature = "tls"))]
            "hub.tls" => self.hub.last_mut()?.tls.slots(),
            _ => return None,
        })
    }

    /// Keeps where a key was said that does not go with every other.
    #[cfg(feature = "relay")]
    pub(super) fn said(&mut self, path: &str, line: u32) {
        if let (Some(proxy), "proxy.connect_timeout") = (self.proxy.last_mut(), path) {
            proxy.connect_timeout_line = line;
        }
    }

    /// What flags say: one service of this kind.
    pub(crate) fn of_flags(
        kind: &str,
        listen: Vec<String>,
        to: Vec<String>,
        quiet: bool,
    ) -> Result<Config, Problem> {
        let mut config = Config { level: if quiet { QUIET } else { INFO }, ..Config::default() };
        config.begin(kind, 0);
        for (name, slot) in config.slots(kind).unwrap_or_default() {
            match (name, slot) {
                ("listen", Slot::Texts(it)) => *it = listen.clone(),
                ("to", Slot::Texts(it)) => *it = to.clone(),
                _ => {}
            }
        }
        config.check()?;
        Ok(config)
    }

    /// Says no more than where it listens.
    pub(crate) fn quiet(&mut self) {
        self.level = self.level.min(QUIET);
    }

    /// Whether to say more than where it listens.
    pub(crate) fn is_quiet(&self) -> bool {
        self.level < INFO
    }

    /// What the engine is made with.
    pub(crate) fn engine(&self) -> Engine {
        Engine {
            workers: 1,
            scratch_bytes: self.scratch,
            memory: self.of_engine(),
            limits: self.limits.clone(),
            ..Engine::default()
        }
    }

    /// What cannot be, though each value can.
    pub(super) fn check(&self) -> Result<(), Problem> {
        if self.workers > 1 {
            return Err(Problem::at(0, "`server.workers` should be 1: this program has one thread"));
        }
        self.limits
            .check()
            .map_err(|what| Problem { line: 0, what: crate::joined(&["`limits`: ", &what]) })?;
        #[cfg(feature = "metrics")]
        if !self.admin.iter().all(|listen| is_here(listen)) {
            return Err(Problem::at(
                0,
                "`admin.listen` should be loopback or `unix:PATH`: this program has no token for others",
            ));
        }
        #[cfg(feature = "hub")]
        for hub in &self.hub {
            if let Some(why) = hub.check() {
                return Err(Problem::at(
                    hub.line,
                    &crate::joined(&["in the [[hub]] that begins here, ", why]),
                ));
            }
        }
        #[cfg(feature = "echo")]
        for echo in self.echo.iter().filter(|it| it.listen.iter().any(|it| is_datagrams(it))) {
            let why = match cfg!(feature = "udp") {
                false => "this program was built without datagrams",
                true if echo.tls.is_said => {
                    "`tls` is about connections, and `udp:` in `listen` about datagrams"
                }
                true => continue,
            };
            return Err(Problem::at(echo.line, &crate::joined(&["in the [[echo]] that begins here, ", why])));
        }
        #[cfg(feature = "relay")]
        for proxy in &self.proxy {
            if let Some(why) = proxy.check() {
                let what = crate::joined(&["the [[proxy]] that begins here ", why]);
                return Err(Problem::at(proxy.line, &what));
            }
            if proxy.is_udp() && proxy.connect_timeout_line > 0 {
                let what =
                    "`proxy.connect_timeout` is about connections, and with `mode = \"udp\"` there are none";
                return Err(Problem::at(proxy.connect_timeout_line, what));
            }
        }
        self.check_names()?;
        self.check_listens()?;
        self.check_addresses()
    }

    /// Metrics tell services apart by their names.
    fn check_names(&self) -> Result<(), Problem> {
        let mut all: Vec<(u32, &str)> = Vec::new();
        #[cfg(feature = "echo")]
        all.extend(self.echo.iter().map(|it| (it.line, &*it.name)));
        #[cfg(feature = "relay")]
        all.extend(self.proxy.iter().map(|it| (it.line, &*it.name)));
        #[cfg(feature = "hub")]
        all.extend(self.hub.iter().map(|it| (it.line, &*it.name)));
        // Of two it is the later one that wants another.
        all.sort_unstable();
        for (at, (line, name)) in all.iter().enumerate() {
            if *name == "admin" {
                return Err(Problem::at(
                    *line,
                    "`admin` is the name of the admin listener: give it another `name`",
                ));
            }
            if all[..at].iter().any(|(_, other)| other == name) {
                let what = ["two services are called `", name, "`: give each a `name` of its own"];
                return Err(Problem::at(*line, &crate::joined(&what)));
            }
        }
        Ok(())
    }

    /// Whoever serves has to listen somewhere.
    fn check_listens(&self) -> Result<(), Problem> {
        let mut all: Vec<(u32, usize, &Tls)> = Vec::new();
        #[cfg(feature = "echo")]
        all.extend(self.echo.iter().map(|it| (it.line, it.listen.len(), &it.tls)));
        #[cfg(feature = "relay")]
        all.extend(self.proxy.iter().map(|it| (it.line, it.listen.len(), &it.tls)));
        #[cfg(feature = "hub")]
        all.extend(self.hub.iter().map(|it| (it.line, it.listen.len() + it.listen_plain.len(), &it.tls)));
        if all.is_empty() {
            let lists = LISTS.join("]] or [[");
            return Err(Problem {
                line: 0,
                what: crate::joined(&["nothing is served: there should be an [[", &lists, "]]"]),
            });
        }
        for (line, listens, tls) in all {
            if listens == 0 {
                return Err(Problem::at(line, "the table that begins here needs an address in `listen`"));
            }
            if tls.is_said && (tls.cert.is_empty() || tls.key.is_empty()) {
                return Err(Problem::at(line, "`tls` of the table that begins here needs `cert` and `key`"));
            }
            if tls.client_certificate != 0 && tls.client_ca.is_empty() {
                let what = "`client_certificate` in `tls` of the table that begins here needs `client_ca`";
                return Err(Problem::at(line, what));
            }
        }
        Ok(())
    }
}

impl Config {
    /// Everything that is listened on, with the lines of the tables: 0 for the admin listener.
    fn addresses(&self) -> Vec<(u32, String)> {
        let mut all: Vec<(u32, String)> = Vec::new();
        #[cfg(feature = "metrics")]
        all.extend(self.admin.iter().map(|it| (0, it.clone())));
        #[cfg(feature = "echo")]
        all.extend(self.echo.iter().flat_map(|of| of.listen.iter().map(|it| (of.line, it.clone()))));
        #[cfg(feature = "relay")]
        for of in &self.proxy {
            // What stands in front of an address may be left out.
            let meant = |it: &String| if of.is_udp() { crate::relay::as_udp(it) } else { it.clone() };
            all.extend(of.listen.iter().map(|it| (of.line, meant(it))));
        }
        #[cfg(feature = "hub")]
        for of in &self.hub {
            all.extend(of.listen.iter().chain(&of.listen_plain).map(|it| (of.line, it.clone())));
        }
        // Of two it is the later one that wants another.
        all.sort_by_key(|(line, _)| *line);
        all
    }

    /// The system lets one listen where another does no more.
    fn check_addresses(&self) -> Result<(), Problem> {
        let all = self.addresses();
        // What is no address is told of by its service.
        let parsed: Vec<Option<Address>> = all.iter().map(|(_, it)| it.parse().ok()).collect();
        for (at, (line, listen)) in all.iter().enumerate() {
            let Some(here) = &parsed[at] else { continue };
            let first =
                parsed[..at].iter().position(|it| it.as_ref().is_some_and(|it| it.conflicts_with(here)));
            let Some((other, first)) = first.map(|first| &all[first]) else { continue };
            // What was typed has no lines, and no `[admin]` either.
            let place = match (other, line) {
                (0, 0) => "the command line".into(),
                (0, _) => "`[admin]`".into(),
                (other, _) => crate::joined(&["line ", &other.to_string()]),
            };
            let what = if listen == first {
                crate::joined(&["`", listen, "` is listened on twice: in ", &place, " too"])
            } else {
                crate::joined(&["`", listen, "` is `", first, "` of ", &place, " too: only one can listen"])
            };
            return Err(Problem { line: *line, what });
        }
        Ok(())
    }
}

/// Whether a time that is counted in seconds would be none of them.
#[cfg(feature = "hub")]
fn is_below_a_second(time: std::time::Duration) -> bool {
    !time.is_zero() && time.as_secs() == 0
}

/// Whether datagrams come to an address.
#[cfg(any(feature = "echo", feature = "relay", feature = "hub"))]
fn is_datagrams(listen: &str) -> bool {
    listen.starts_with("udp:")
}

/// Whether only this machine gets to an address.
#[cfg(feature = "metrics")]
fn is_here(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or("", |(host, _)| host);
    listen.starts_with("unix:")
        || host == "localhost"
        || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// Every limit of the engine.
fn limit_slots(limits: &mut Limits) -> Vec<(&'static str, Slot<'_>)> {
    let slot = |(name, limit)| {
        let slot = match limit {
            LimitMut::Bytes(bytes) => Slot::Size(bytes),
            LimitMut::Count(count) => Slot::Count(count),
            LimitMut::Number(number) => Slot::Small(number),
            LimitMut::Time(time) => Slot::Time(time),
            LimitMut::Full(policy) => Slot::Full(policy),
            LimitMut::Overloaded(policy) => Slot::Overloaded(policy),
            LimitMut::DatagramsFull(policy) => Slot::DatagramsFull(policy),
            _ => return None,
        };
        Some((name, slot))
    };
    limits.each_mut().into_iter().filter_map(slot).collect()
}
