//! The `windlass-bench` binary: `echo` and its like put load on one server, `compare` measures several.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use windlass_bench::{Bench, compare};

/// Load generators and side-by-side comparisons.
#[derive(Parser)]
#[command(name = "windlass-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Bench(Bench),
    /// Offer an HTTP server more than it can do; tell what was answered in time, and how soon it recovers.
    Overload(compare::OverloadArgs),
    /// Measure windlass and its peers side by side.
    #[command(subcommand)]
    Compare(Compare),
    /// Run a program on one core; used by `compare` to start servers.
    #[command(hide = true)]
    Pinned(compare::PinnedArgs),
    /// The server behind the HTTP proxies of `compare proxy`.
    #[command(hide = true)]
    Origin(compare::OriginArgs),
    /// The control of ticks of `compare game`: a timer alone.
    #[command(hide = true)]
    Timer(compare::TimerArgs),
    /// The control of players of `compare game`: sockets alone.
    #[command(hide = true)]
    Sockets(compare::SocketsArgs),
    /// Slow clients of the proxies of `compare proxy`.
    #[command(hide = true)]
    Slow(compare::SlowArgs),
}

#[derive(Subcommand)]
enum Compare {
    /// Echo servers, over nine workloads.
    Echo(compare::CompareArgs),
    /// UDP echo servers: one flow and 1,000 peers.
    Udp(compare::UdpCompareArgs),
    /// TCP relays: windlass' alone beside HAProxy and nginx, which come from the system's packages.
    Relay(compare::RelayArgs),
    /// Proxies of TCP, HTTP and UDP: `windlass proxy` beside HAProxy and nginx, which come from the system's packages,
    /// and beside Pingora and Sozu, if they were built.
    Proxy(compare::ProxyArgs),
    /// MQTT brokers: `windlass hub` beside mosquitto, which comes from the system's packages, rmqtt and rumqttd.
    Hub(compare::HubArgs),
    /// The game server: `windlass game` with thousands of players, beside a timer and sockets that do nothing else.
    Game(compare::GameArgs),
    /// Key-value servers: `windlass resp` beside redis-server, which comes from the system's packages.
    Resp(compare::RespArgs),
    /// Caches: `windlass memcached` beside memcached, which comes from the system's packages.
    Memcached(compare::MemcachedArgs),
    /// Where TLS ends: handshakes, bulk and small messages, beside HAProxy and nginx.
    #[cfg(feature = "tls")]
    Tls(compare::TlsCompareArgs),
    /// How large small servers are, idle: `windlass-mini` beside busybox, mosquitto, lighttpd and dropbear, which come
    /// from the system's packages.
    Mini(compare::MiniArgs),
    /// A small page over keep-alive connections: the example `pages` beside nginx.
    Http(compare::HttpCompareArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are no mistakes, and belong on standard output.
        Err(error) if !error.use_stderr() => error.exit(),
        // Nothing was asked for: show what there is.
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            eprint!("{error}");
            return ExitCode::FAILURE;
        }
        Err(error) => {
            let text = error.to_string();
            eprintln!("{}; try --help", text.lines().next().unwrap_or("error: bad arguments"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = match cli.command {
        Command::Bench(bench) => bench.run(),
        Command::Overload(args) => compare::overload(args),
        Command::Compare(Compare::Udp(args)) => compare::udp(args),
        Command::Compare(Compare::Echo(args)) => compare::main(args),
        Command::Compare(Compare::Relay(args)) => compare::relay(args),
        Command::Compare(Compare::Proxy(args)) => compare::proxy(args),
        Command::Compare(Compare::Hub(args)) => compare::hub(args),
        Command::Compare(Compare::Game(args)) => compare::game(args),
        Command::Compare(Compare::Resp(args)) => compare::resp(args),
        Command::Compare(Compare::Memcached(args)) => compare::memcached(args),
        #[cfg(feature = "tls")]
        Command::Compare(Compare::Tls(args)) => compare::tls(args),
        Command::Compare(Compare::Http(args)) => compare::http(args),
        Command::Compare(Compare::Mini(args)) => compare::mini(args),
        Command::Timer(args) => compare::timer(args),
        Command::Sockets(args) => compare::sockets(args),
        Command::Pinned(args) => compare::pinned(args),
        Command::Origin(args) => compare::origin(args),
        Command::Slow(args) => compare::slow(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
