//! What can be typed. Every flag is an environment variable too.

// What every service has in common, told once: by echo, or where that was left out, by each of the others.
macro_rules! printed {
    () => {
        "Stdout gets one `Listening on` line for each address, and a summary at the end. \
Stderr gets logs, errors and, on a terminal, a status line that is renewed every second."
    };
}
macro_rules! signalled {
    () => {
        "Ctrl-C (or SIGTERM) drains: no new connections, what has arrived is still answered. \
A second one stops at once. Either way the exit code is 0; \
it is 1 if the server could not start, and 2 if the command line is wrong.

Under systemd, sockets of a socket unit are taken where an address fits, and a unit of Type=notify is told when the server serves."
    };
}
#[cfg(feature = "echo")]
macro_rules! as_echo {
    ($what:literal) => {
        concat!($what, " are as with `windlass echo`.")
    };
    ($what:literal, $message:literal) => {
        concat!($what, " are as with `windlass echo`; a message is ", $message, ".")
    };
}
#[cfg(not(feature = "echo"))]
macro_rules! as_echo {
    ($what:literal) => {
        concat!(printed!(), "\n\n", signalled!())
    };
    ($what:literal, $message:literal) => {
        concat!(printed!(), " A message is ", $message, ".\n\n", signalled!())
    };
}

#[cfg(any(feature = "proxy", feature = "top"))]
mod admin;
#[cfg(feature = "proxy")]
mod backends;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "echo")]
mod echo;
#[cfg(feature = "realtime")]
mod game;
#[cfg(feature = "hub")]
mod hub;
#[cfg(feature = "kv")]
mod memcached;
#[cfg(feature = "clients")]
mod mqtt;
#[cfg(feature = "proxy")]
mod proxy;
#[cfg(feature = "top")]
mod top;
#[cfg(feature = "websocket")]
mod websocket;

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use windlass::Address;

use crate::access::{Format, Kind};
#[cfg(feature = "kv")]
use crate::config::shape::Eviction;
use crate::config::shape::{LogFormat, LogLevel, Sandbox};
use crate::limits::Setting;
use crate::quantity;
#[cfg(any(feature = "proxy", feature = "top"))]
pub(crate) use admin::AccessArgs;
#[cfg(feature = "proxy")]
pub(crate) use backends::{BackendsArgs, BackendsCommand, OfBackend};
#[cfg(feature = "demo")]
pub(crate) use demo::DemoArgs;
#[cfg(feature = "echo")]
pub(crate) use echo::EchoArgs;
#[cfg(feature = "realtime")]
pub(crate) use game::{BotsArgs, GameArgs, GameCommand, ReplayArgs};
#[cfg(feature = "hub")]
pub(crate) use hub::{HashName, HubArgs, HubCommand, ImportArgs, PasswdArgs};
#[cfg(feature = "kv")]
pub(crate) use memcached::MemcachedArgs;
#[cfg(feature = "clients")]
pub(crate) use mqtt::{BrokerArgs, PubArgs, Spoken, SubArgs, WillArgs};
#[cfg(all(feature = "clients", feature = "tls"))]
pub(crate) use mqtt::{TlsArgs, TlsSpoken};
#[cfg(feature = "proxy")]
pub(crate) use proxy::ProxyArgs;
#[cfg(feature = "top")]
pub(crate) use top::TopArgs;
#[cfg(feature = "websocket")]
pub(crate) use websocket::WebsocketArgs;

/// Network services on one event loop per core
#[derive(Parser)]
#[command(name = "windlass", version, after_help = first_steps())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const TRY_DEMO: &str = "
  windlass demo                  every service, and a dashboard in the browser";

const TRY_ECHO: &str = "
  windlass echo                  serve on 127.0.0.1:9000
  nc 127.0.0.1 9000              in another terminal: what you type comes back
  windlass help echo             all that can be set";

const TRY_FILE: &str = "
  windlass help init             a configuration to begin with";

fn first_steps() -> String {
    let demo = if cfg!(feature = "demo") { TRY_DEMO } else { "" };
    let more = if cfg!(feature = "echo") { TRY_ECHO } else { TRY_FILE };
    format!("Try it:{demo}{more}{}", crate::built::in_help())
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show every service and the dashboard, on this machine alone
    #[cfg(feature = "demo")]
    #[command(long_about = demo::ABOUT, after_long_help = demo::EXAMPLES)]
    Demo(DemoArgs),
    /// Serve echo: every client gets back what it sends
    #[cfg(feature = "echo")]
    #[command(long_about = echo::ABOUT, after_long_help = echo::EXAMPLES)]
    Echo(Box<EchoArgs>),
    /// Serve echo to WebSocket clients, with a page for browsers
    #[cfg(feature = "websocket")]
    #[command(long_about = websocket::ABOUT, after_long_help = websocket::EXAMPLES)]
    Websocket(Box<WebsocketArgs>),
    /// Pass connections or requests on to backends, and spread them
    #[cfg(feature = "proxy")]
    #[command(long_about = proxy::ABOUT, after_long_help = proxy::EXAMPLES)]
    Proxy(Box<ProxyArgs>),
    /// Look at the backends of a running proxy, and add, drain, weigh and remove them
    #[cfg(feature = "proxy")]
    #[command(long_about = backends::ABOUT, after_long_help = backends::EXAMPLES)]
    Backends(Box<BackendsArgs>),
    /// Serve an in-memory key-value store to Redis clients
    #[cfg(feature = "kv")]
    #[command(long_about = RESP_ABOUT, after_long_help = RESP_EXAMPLES)]
    Resp(Box<RespArgs>),
    /// Serve an in-memory cache to memcached clients
    #[cfg(feature = "kv")]
    #[command(long_about = memcached::ABOUT, after_long_help = memcached::EXAMPLES)]
    Memcached(Box<MemcachedArgs>),
    /// Serve MQTT 3.1.1 and 5.0: an IoT hub
    #[cfg(feature = "hub")]
    #[command(long_about = hub::ABOUT, after_long_help = hub::EXAMPLES)]
    Hub(Box<HubArgs>),
    /// Serve a real-time game: rooms that tick, and the arena to play
    #[cfg(feature = "realtime")]
    #[command(long_about = game::ABOUT, after_long_help = game::EXAMPLES)]
    Game(Box<GameArgs>),
    /// Publish messages to an MQTT broker
    #[cfg(feature = "clients")]
    #[command(long_about = mqtt::PUB_ABOUT, after_long_help = mqtt::PUB_EXAMPLES, disable_help_flag = true)]
    #[command(override_usage = mqtt::PUB_USAGE)]
    Pub(Box<PubArgs>),
    /// Subscribe to topics of an MQTT broker, and print what comes
    #[cfg(feature = "clients")]
    #[command(long_about = mqtt::SUB_ABOUT, after_long_help = mqtt::SUB_EXAMPLES, disable_help_flag = true)]
    Sub(Box<SubArgs>),
    /// Serve what a configuration file says: any number of services in one process
    #[command(long_about = RUN_ABOUT, after_long_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Have a new process take over from the server of a configuration file
    #[cfg(unix)]
    #[command(long_about = UPGRADE_ABOUT, after_long_help = UPGRADE_EXAMPLES)]
    Upgrade(UpgradeArgs),
    /// Look for mistakes in a configuration file, and tell all of them
    #[command(long_about = CHECK_ABOUT)]
    Check(CheckArgs),
    /// Write a commented configuration file to begin with
    Init(InitArgs),
    /// Print the configuration in effect, or the JSON Schema of the file
    Config(ConfigArgs),
    /// Put load on a server and measure it
    #[cfg(all(target_os = "linux", feature = "bench"))]
    #[command(subcommand, long_about = windlass_bench::Bench::ABOUT)]
    #[command(after_long_help = windlass_bench::Bench::EXAMPLES)]
    Bench(windlass_bench::Bench),
    /// Watch a running server in the terminal
    #[cfg(feature = "top")]
    #[command(long_about = top::ABOUT, after_long_help = top::EXAMPLES)]
    Top(TopArgs),
    /// Ask a running server whether it serves: exit code 0 if it does
    #[command(after_long_help = HEALTH_EXAMPLES)]
    Health(HealthArgs),
    /// Print a manual page, or write them all to a folder
    #[command(after_help = MAN_EXAMPLE)]
    Man(ManArgs),
    /// Print a script that completes commands in your shell
    #[command(after_help = COMPLETIONS_EXAMPLE)]
    Completions {
        /// The shell to complete in
        shell: clap_complete::Shell,
    },
}

const COMPLETIONS_EXAMPLE: &str = "\
Example:
  windlass completions bash > ~/.local/share/bash-completion/completions/windlass";

const MAN_EXAMPLE: &str = "\
Examples:
  windlass man run | man -l -
  windlass man windlass.toml | man -l -
  windlass man -o /usr/local/share/man";

const HEALTH_EXAMPLES: &str = "\
Examples:
  windlass health 127.0.0.1:9900
      Succeeds as long as the server takes newcomers; in a drain it fails.
  windlass health -c /etc/windlass/windlass.toml --live
      Asks at the first address of `admin.listen`, and succeeds in a drain too.";

#[cfg(feature = "kv")]
const RESP_ABOUT: &str = concat!(
    "\
Serve an in-memory key-value store to Redis clients, in RESP2 and RESP3

Strings with expiry, counters, lists, hashes, sets, sorted sets, publish and subscribe: \
what redis-cli, redis-benchmark and the client libraries use. `COMMAND` lists it all. \
Nothing is written to disk: what is stored is gone with the process.

One worker owns the one keyspace, as the one thread of Redis does. \
Memory has a limit; --eviction says what happens when it is reached. \
Without a password, whoever can connect can read and change everything: \
the default address is reachable from this machine only.

",
    as_echo!("Output, signals and systemd")
);

#[cfg(feature = "kv")]
const RESP_EXAMPLES: &str = "\
Every flag is an environment variable too: --memory-max is WINDLASS_MEMORY_MAX, ADDR is
WINDLASS_LISTEN. Several values stand behind each other with commas.

Examples:
  windlass resp
      On 127.0.0.1:6379. Try it with redis-cli, or `printf 'PING\\r\\n' | nc -q1 127.0.0.1 6379`.
  windlass resp --memory-max 64MiB --eviction allkeys-lru
      A cache: when 64 MiB are in use, what was not used for longest goes.
  windlass resp :6379 --password-file /etc/windlass/password --tls-cert chain.pem --tls-key key.pem
      Reachable by others who know the password, over TLS: redis-cli --tls --askpass.
  windlass resp unix:/run/kv.sock -q
      On a Unix socket, printing nothing but where it listens.";

const RUN_ABOUT: &str = concat!(
    "\
Serve what a configuration file says: any number of services in one process

SIGHUP has the file read again. If anything is wrong with it nothing changes, and the log says what is \
wrong and where. Otherwise everything changes at once: services and listeners come and go, limits, \
certificates, passwords and the bounds of the store are set anew, and what did not change goes on, \
connections included. Connections of a service that is removed, or whose own settings are others, are told to \
finish within drain_timeout. The number of workers, their buffers, the congestion control, the \
control socket and the format of the log need another process; the log says so.

SIGUSR2 starts that process: the program that is now where this one was started from, with the same \
arguments. It takes over at `server.control`, as with `windlass upgrade`.

",
    as_echo!("Output and the other signals")
);

#[cfg(unix)]
const UPGRADE_ABOUT: &str = "\
Have a new process take over from the server of a configuration file

Checks the file, starts `windlass run` in the background, and waits until it serves. \
The two meet at the Unix socket that `server.control` names: every listener is passed from one to the other, \
so nobody is refused, and connections stay with the old process until they end, \
for at most handover_drain_timeout. If the new process fails, the old one goes on.

Logs of the new process go to the stderr of this command; what it prints goes nowhere. \
Under systemd the service needs NotifyAccess=all: the new process says that it is the main one.

The exit code is 0 if the new process serves, 78 if the configuration is wrong, and 1 if anything else is.";

#[cfg(unix)]
const UPGRADE_EXAMPLES: &str = "\
Examples:
  windlass upgrade -c /etc/windlass/windlass.toml
      With this very program, which has just been installed.
  windlass upgrade --program /opt/windlass-next/windlass
      With another one.";

const RUN_EXAMPLES: &str = "\
Examples:
  windlass init KIND -o windlass.toml
      Writes a file with every key of such a service in it.
  windlass check
      Tells what is wrong with windlass.toml, if anything is.
  windlass run
      Serves it.
  windlass run -c /etc/windlass/windlass.toml
      Serves another one.
  kill -HUP PID
      Has it read its file again.";

const CHECK_ABOUT: &str = "\
Look for mistakes in a configuration file, and tell all of them

Reads the file and what it includes; unknown keys, wrong values and conflicts are told with their line. \
Then it tries what only this machine can tell: whether certificates load, addresses can be listened on \
(a server that runs already listens there: then use --no-environment), and descriptors suffice.

The exit code is 0 if nothing is wrong and 78 if something is.";

/// The flags of `windlass run`.
#[derive(Args)]
pub(crate) struct RunArgs {
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "windlass.toml")]
    #[arg(env = "WINDLASS_CONFIG", hide_env = true)]
    pub(crate) config: PathBuf,

    /// Print nothing but the `Listening on` lines and errors
    #[arg(short, long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(env = "WINDLASS_QUIET", hide_env = true)]
    pub(crate) quiet: bool,
}

/// The flags of `windlass upgrade`.
#[cfg(unix)]
#[derive(Args)]
pub(crate) struct UpgradeArgs {
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "windlass.toml")]
    #[arg(env = "WINDLASS_CONFIG", hide_env = true)]
    pub(crate) config: PathBuf,

    /// The program that takes over. By default this one
    #[arg(long, value_name = "PATH", env = "WINDLASS_PROGRAM", hide_env = true)]
    pub(crate) program: Option<PathBuf>,

    /// How long it may take until it serves; then it is stopped
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = quantity::duration)]
    #[arg(env = "WINDLASS_TIMEOUT", hide_env = true)]
    pub(crate) timeout: std::time::Duration,

    /// Have the new process print nothing but errors
    #[arg(short, long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(env = "WINDLASS_QUIET", hide_env = true)]
    pub(crate) quiet: bool,
}

/// The flags of `windlass check`.
#[derive(Args)]
pub(crate) struct CheckArgs {
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "windlass.toml")]
    #[arg(env = "WINDLASS_CONFIG", hide_env = true)]
    pub(crate) config: PathBuf,

    /// Look at the file only, not at certificates, addresses and descriptors
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(env = "WINDLASS_NO_ENVIRONMENT", hide_env = true)]
    pub(crate) no_environment: bool,

    /// How mistakes are told: as a compiler does, to stderr, or as JSON, to stdout
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ReportFormat::Text)]
    #[arg(env = "WINDLASS_FORMAT", hide_env = true)]
    pub(crate) format: ReportFormat,
}

/// How mistakes are told.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// What `windlass init` can begin with, as far as it is built.
fn kinds() -> String {
    let all = [
        ("echo", cfg!(feature = "echo")),
        ("websocket", cfg!(feature = "websocket")),
        ("proxy", cfg!(feature = "proxy")),
        ("resp", cfg!(feature = "kv")),
        ("memcached", cfg!(feature = "kv")),
        ("hub", cfg!(feature = "hub")),
        ("game", cfg!(feature = "realtime")),
    ];
    let built: Vec<&str> = all.into_iter().filter_map(|(name, is_built)| is_built.then_some(name)).collect();
    let demo = if cfg!(feature = "demo") { "; or demo, for all of them" } else { "" };
    let none = if built.is_empty() { "none was built" } else { "" };
    format!("The kind of service: {}{none}{demo}", built.join(", "))
}

/// The flags of `windlass init`.
#[derive(Args)]
pub(crate) struct InitArgs {
    #[arg(value_name = "KIND", env = "WINDLASS_KIND", hide_env = true, help = kinds())]
    pub(crate) kind: String,

    /// Give a key of a table this value instead of leaving it out: admin.listen=127.0.0.1:9900. May be given
    /// several times
    #[arg(long, value_name = "KEY=VALUE", env = "WINDLASS_SET", hide_env = true, value_parser = setting)]
    pub(crate) set: Vec<(String, String)>,

    /// Write it there, unless something is there already. Without it, it is printed
    #[arg(short, long, value_name = "FILE", env = "WINDLASS_OUTPUT", hide_env = true)]
    pub(crate) output: Option<PathBuf>,
}

/// The flags of `windlass config`.
#[derive(Args)]
pub(crate) struct ConfigArgs {
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "windlass.toml")]
    #[arg(env = "WINDLASS_CONFIG", hide_env = true)]
    pub(crate) config: PathBuf,

    /// Print the JSON Schema that editors complete and check such files with
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(env = "WINDLASS_SCHEMA", hide_env = true)]
    pub(crate) schema: bool,
}

/// The flags of `windlass health`.
#[derive(Args)]
pub(crate) struct HealthArgs {
    /// Where its admin listener is: HOST:PORT or unix:PATH [default: that of the configuration, or else
    /// 127.0.0.1:9900]
    #[arg(value_name = "ADMIN", env = "WINDLASS_ADMIN", hide_env = true, value_parser = admin)]
    pub(crate) admin: Option<Address>,

    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "windlass.toml")]
    #[arg(env = "WINDLASS_CONFIG", hide_env = true)]
    pub(crate) config: PathBuf,

    /// Ask whether it lives, not whether it takes newcomers
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(env = "WINDLASS_LIVE", hide_env = true)]
    pub(crate) live: bool,

    /// How long to wait for its answer
    #[arg(long, value_name = "TIME", default_value = "2s")]
    #[arg(env = "WINDLASS_TIMEOUT", hide_env = true, value_parser = timeout)]
    pub(crate) timeout: std::time::Duration,
}

/// An address, also as it stands in a browser.
fn admin(text: &str) -> Result<Address, String> {
    let bare = text.strip_prefix("http://").map_or(text, |rest| rest.trim_end_matches('/'));
    bare.parse().map_err(|error: windlass::AddressError| error.to_string())
}

/// The flags of `windlass man`.
#[derive(Args)]
pub(crate) struct ManArgs {
    /// The page: a command, or windlass.toml
    #[arg(value_name = "PAGE", env = "WINDLASS_PAGE", hide_env = true)]
    pub(crate) page: Option<String>,

    /// Write every page to man1 or man5 in this folder
    #[arg(short, long, value_name = "FOLDER", env = "WINDLASS_OUTPUT", hide_env = true)]
    #[arg(conflicts_with = "page")]
    pub(crate) output: Option<PathBuf>,
}

/// The flags of `windlass resp`.
#[cfg(feature = "kv")]
#[derive(Args)]
pub(crate) struct RespArgs {
    /// Where to listen: HOST:PORT, [IPv6]:PORT, :PORT for every address of this machine, or unix:PATH.
    /// Port 0 lets the system choose. Several may be given
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:6379", value_delimiter = ',')]
    #[arg(env = "WINDLASS_LISTEN", hide_env = true)]
    pub(crate) listen: Vec<Address>,

    /// Ask clients for the password in the first line of this file (AUTH, HELLO)
    #[arg(long, value_name = "FILE", help_heading = SERVING)]
    #[arg(env = "WINDLASS_PASSWORD_FILE", hide_env = true)]
    pub(crate) password_file: Option<std::path::PathBuf>,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    #[command(flatten)]
    pub(crate) serving: ServingArgs,
}

/// The flags of the store.
#[cfg(feature = "kv")]
#[derive(Args)]
pub(crate) struct StoreArgs {
    /// Memory that keys and values may take, their tables included
    #[arg(long, value_name = "SIZE", default_value = "256MiB", help_heading = STORE)]
    #[arg(env = "WINDLASS_MEMORY_MAX", hide_env = true, value_parser = quantity::size)]
    pub(crate) memory_max: usize,

    /// The longest value: a string, an element, a field
    #[arg(long, value_name = "SIZE", default_value = "8MiB", help_heading = STORE)]
    #[arg(env = "WINDLASS_VALUE_MAX", hide_env = true, value_parser = value_max)]
    pub(crate) value_max: usize,

    /// What goes when memory is full
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = Eviction::Noeviction, help_heading = STORE)]
    #[arg(env = "WINDLASS_EVICTION", hide_env = true)]
    pub(crate) eviction: Eviction,
}

/// The flags that are the same for every service.
#[derive(Args)]
pub(crate) struct ServingArgs {
    /// Buffer that a worker reads into, shared by all its connections: how much one call can move
    #[arg(long, value_name = "SIZE", default_value = "256KiB", help_heading = SERVING)]
    #[arg(env = "WINDLASS_SCRATCH", hide_env = true, value_parser = scratch)]
    pub(crate) scratch: usize,

    /// One budget of memory for connections, their buffers and what is kept: divided at the start, and what there is no
    /// room for is refused. Without it memory is taken as it is needed
    #[arg(long, value_name = "SIZE", help_heading = SERVING)]
    #[arg(env = "WINDLASS_MEMORY", hide_env = true, value_parser = quantity::size)]
    pub(crate) memory: Option<usize>,

    /// Speak TLS on every address, with the certificate chain in this PEM file
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = SERVING)]
    #[arg(env = "WINDLASS_TLS_CERT", hide_env = true)]
    pub(crate) tls_cert: Option<std::path::PathBuf>,

    /// The private key of that certificate, as PEM
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = SERVING)]
    #[arg(env = "WINDLASS_TLS_KEY", hide_env = true)]
    pub(crate) tls_key: Option<std::path::PathBuf>,

    /// Use the cubic congestion control on every connection. Only useful to measure on one machine,
    /// where a default of BBR slows large transfers down. Linux and FreeBSD
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = SERVING)]
    #[arg(env = "WINDLASS_CUBIC", hide_env = true)]
    pub(crate) cubic: bool,

    /// Become this user once everything is listened on. Only root can
    #[arg(long, value_name = "USER", help_heading = SERVING)]
    #[arg(env = "WINDLASS_USER", hide_env = true)]
    pub(crate) user: Option<String>,

    /// Be in this group then, instead of those of the user
    #[arg(long, value_name = "GROUP", requires = "user", help_heading = SERVING)]
    #[arg(env = "WINDLASS_GROUP", hide_env = true)]
    pub(crate) group: Option<String>,

    /// Give up what a server that listens does not need: other files and programs; if strict, other ports
    /// and most system calls too. Linux
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Sandbox::Off, help_heading = SERVING)]
    #[arg(env = "WINDLASS_SANDBOX", hide_env = true)]
    pub(crate) sandbox: Sandbox,

    /// Set a limit: idle_timeout=30s, output_max=1MiB, connections_max=10k, when_full=shed. May be
    /// given several times
    #[arg(long = "limit", value_name = "KEY=VALUE", value_delimiter = ',', help_heading = LIMITS)]
    #[arg(env = "WINDLASS_LIMIT", hide_env = true, value_parser = Setting::parse)]
    pub(crate) limit: Vec<Setting>,

    /// Print every limit with its value and what it bounds, and exit
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = LIMITS)]
    #[arg(env = "WINDLASS_LIMITS", hide_env = true)]
    pub(crate) limits: bool,

    /// Print nothing but the `Listening on` lines and errors, whatever the log flags say
    #[arg(short, long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(env = "WINDLASS_QUIET", hide_env = true, help_heading = PRINTING)]
    pub(crate) quiet: bool,

    /// How logs are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    #[arg(env = "WINDLASS_LOG", hide_env = true, help_heading = PRINTING)]
    pub(crate) log: LogFormat,

    /// Write logs to this file instead of stderr. It is opened anew on SIGHUP, and where it was renamed
    #[arg(long, value_name = "PATH", help_heading = PRINTING)]
    #[arg(env = "WINDLASS_LOG_FILE", hide_env = true)]
    pub(crate) log_file: Option<PathBuf>,

    /// Where the journal is
    #[arg(long, value_name = "PATH", default_value = crate::logs::SOCKET, hide = true)]
    #[arg(env = "WINDLASS_JOURNAL_SOCKET", hide_env = true)]
    pub(crate) journal_socket: PathBuf,

    /// What is logged, and everything more urgent
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = LogLevel::Info)]
    #[arg(env = "WINDLASS_LOG_LEVEL", hide_env = true, help_heading = PRINTING)]
    pub(crate) log_level: LogLevel,

    /// Write a line about each connection, when it has ended, to this file, or to stdout (-). The file is
    /// opened anew on SIGHUP, and where it was renamed
    #[arg(long, value_name = "PATH", help_heading = PRINTING)]
    #[arg(env = "WINDLASS_ACCESS_LOG", hide_env = true)]
    pub(crate) access_log: Option<PathBuf>,

    /// What such a line is: json, or a template as '{time} {peer} {duration_ms} {received} {sent} {messages} {reason}'
    #[arg(long, value_name = "FORMAT", requires = "access_log", help_heading = PRINTING)]
    #[arg(env = "WINDLASS_ACCESS_FORMAT", hide_env = true, value_parser = access_format)]
    pub(crate) access_format: Option<Format>,
}

const SERVING: &str = "Serving";
#[cfg(feature = "kv")]
const STORE: &str = "Store";
const LIMITS: &str = "Limits";
const PRINTING: &str = "Printing";

/// More workers than any machine has cores are a typing error.
const WORKERS_MAX: usize = 1_024;

fn workers(text: &str) -> Result<usize, String> {
    let n = quantity::count(text)?;
    if n > WORKERS_MAX { Err(format!("at most {WORKERS_MAX}")) } else { Ok(n) }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let wrong = "write it as TABLE.KEY=VALUE, for example server.workers=2";
    let (key, value) = text.split_once('=').ok_or(wrong)?;
    if key.contains('.') { Ok((key.trim().into(), value.trim().into())) } else { Err(wrong.into()) }
}

fn timeout(text: &str) -> Result<std::time::Duration, String> {
    let timeout = quantity::duration(text)?;
    // A socket cannot wait no time at all.
    if timeout.is_zero() { Err("longer than nothing".into()) } else { Ok(timeout) }
}

fn access_format(text: &str) -> Result<Format, String> {
    let format = Format::parse(text)?;
    format.check(Kind::Connections).map(|()| format)
}

fn scratch(text: &str) -> Result<usize, String> {
    let bytes = quantity::size(text)?;
    // The engine clamps; a person who asks for more should know.
    if (4 << 10..=16 << 20).contains(&bytes) { Ok(bytes) } else { Err("from 4KiB to 16MiB".into()) }
}

#[cfg(feature = "kv")]
fn value_max(text: &str) -> Result<usize, String> {
    let bytes = quantity::size(text)?;
    if (1..=512 << 20).contains(&bytes) { Ok(bytes) } else { Err("from 1 to 512MiB".into()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_is_an_environment_variable() {
        let cli = super::Cli::command();
        let serving = cli.get_subcommands().filter(|it| !["bench", "completions"].contains(&it.get_name()));
        for arg in serving.flat_map(|it| it.get_arguments()).filter(|arg| arg.get_id() != "help") {
            let name = arg.get_env().unwrap_or_else(|| panic!("{} has none", arg.get_id()));
            assert!(name.to_str().unwrap().starts_with("WINDLASS_"), "{name:?}");
        }
    }
}
