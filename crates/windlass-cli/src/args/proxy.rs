//! What can be typed behind `windlass proxy`.

use std::time::Duration;

use clap::Args;
use windlass::Address;
use windlass_proxy::{Source, Target};

use super::{SERVING, ServingArgs, workers};
use crate::config::proxy::{BalanceName, ModeName, ProxyVersion};
use crate::config::value::Network;
use crate::quantity;

pub(super) const ABOUT: &str = concat!(
    "\
Pass connections or requests on to backends, and spread them

Each client is connected to one of the backends, and what either says goes to the other until both have \
ended. A backend that cannot be reached is passed over and another one tried; one that fails again and again \
gets no new clients for some time.

With --mode http it is the requests of HTTP/1.1 that are passed on, one by one, over connections to backends that all \
clients share, WebSocket too. Backends are told who asks in X-Forwarded-* headers. A file ([[proxy]]: `windlass init proxy`) has more: weights, TLS to \
backends, routes by server name or by host and path, redirects, header rules, error pages, every timeout.

With --mode udp it is datagrams: what comes from one port of a client stays with one backend until both have been \
silent for a minute, and --listen and --to are UDP ports.

A message in its figures is a client that was connected to a backend, or a request, or a client's flow of \
datagrams. \
",
    as_echo!("Output, signals and systemd")
);

pub(super) const EXAMPLES: &str = "\
Every flag is an environment variable too: --to is WINDLASS_TO, --listen is WINDLASS_LISTEN.
Several values stand behind each other with commas.

Examples:
  windlass proxy --listen :8080 --to 10.0.0.1:80 --to 10.0.0.2:80
      Two backends, one client after the other.
  windlass proxy --listen :443 --tls-cert chain.pem --tls-key key.pem --to unix:/run/app.sock
      TLS ends here.
  windlass proxy --listen :5432 --to db.internal:5432 --connections-max 100
      A name, which is resolved while it runs; clients beyond the hundredth wait.
  windlass proxy --listen :8080 --discover srv:_http._tcp.web.internal
      As many backends as DNS names, for as long as it names them.
  windlass proxy --mode http --listen :8080 --to 10.0.0.1:80 --to 10.0.0.2:80 --access-log -
      Requests, and a line for each.
  windlass proxy --mode http --listen :8080 --sticky srv --to unix:/run/a.sock --to unix:/run/b.sock
      The same client to the same backend, by a cookie.
  windlass proxy --mode udp --listen :53 --to 10.0.0.1:53 --to 10.0.0.2:53 --balance source-hash
      Datagrams, the same client to the same backend.
  windlass proxy --listen :8080 --accept-proxy-from 10.0.0.0/8 --send-proxy v2 --to 10.1.0.1:80
      Behind another proxy: who the client is, is heard from it and passed on.";

/// The flags of `windlass proxy`.
#[derive(Args)]
pub(crate) struct ProxyArgs {
    /// Where to listen: HOST:PORT, [IPv6]:PORT, :PORT for every address of this machine, or unix:PATH.
    /// Port 0 lets the system choose. Several may be given
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_delimiter = ',')]
    #[arg(env = "WINDLASS_LISTEN", hide_env = true, help_heading = SERVING)]
    pub(crate) listen: Vec<Address>,

    /// A backend: HOST:PORT, of a name too, or unix:PATH. Several may be given
    #[arg(long, value_name = "BACKEND", value_delimiter = ',', help_heading = PROXY)]
    #[arg(required_unless_present = "discover", env = "WINDLASS_TO", hide_env = true)]
    pub(crate) to: Vec<Target>,

    /// Where backends come from: file:PATH, which is watched, dns:NAME:PORT for all addresses of a name, or
    /// srv:NAME for the targets of a service. Several may be given
    #[arg(long, value_name = "SOURCE", value_delimiter = ',', help_heading = PROXY)]
    #[arg(env = "WINDLASS_DISCOVER", hide_env = true)]
    pub(crate) discover: Vec<Source>,

    /// What is passed on
    #[arg(long, value_name = "MODE", value_enum, default_value_t = ModeName::Tcp, help_heading = PROXY)]
    #[arg(env = "WINDLASS_MODE", hide_env = true)]
    pub(crate) mode: ModeName,

    /// How a backend is chosen
    #[arg(long, value_name = "WAY", value_enum, default_value_t = BalanceName::RoundRobin, help_heading = PROXY)]
    #[arg(env = "WINDLASS_BALANCE", hide_env = true)]
    pub(crate) balance: BalanceName,

    /// Connections to each backend; clients beyond them wait. 0: any number
    #[arg(long, value_name = "N", default_value = "0", help_heading = PROXY)]
    #[arg(env = "WINDLASS_CONNECTIONS_MAX", hide_env = true, value_parser = quantity::count::<usize>)]
    pub(crate) connections_max: usize,

    /// Tell backends in a PROXY header of this version who the client is
    #[arg(long, value_name = "VERSION", value_enum, help_heading = PROXY)]
    #[arg(env = "WINDLASS_SEND_PROXY", hide_env = true)]
    pub(crate) send_proxy: Option<ProxyVersion>,

    /// Ask clients from this network for a PROXY header, and believe it; refuse all others. `unix` for
    /// those of Unix sockets. Several may be given
    #[arg(long, value_name = "NETWORK", value_delimiter = ',', help_heading = PROXY)]
    #[arg(env = "WINDLASS_ACCEPT_PROXY_FROM", hide_env = true)]
    pub(crate) accept_proxy_from: Vec<Network>,

    /// With --mode http: believe the X-Forwarded-* and Forwarded headers of clients from this network, and
    /// continue them; all others' are taken out. `unix` for those of Unix sockets. Several may be given
    #[arg(long, value_name = "NETWORK", value_delimiter = ',', help_heading = PROXY)]
    #[arg(env = "WINDLASS_TRUST_FORWARDED_FROM", hide_env = true)]
    pub(crate) trust_forwarded_from: Vec<Network>,

    /// With --mode http: bring each client back to the backend it had, by a cookie of this name
    #[arg(long, value_name = "COOKIE", help_heading = PROXY)]
    #[arg(env = "WINDLASS_STICKY", hide_env = true)]
    pub(crate) sticky: Option<String>,

    /// How often backends are checked, by connecting to them. 0: never
    #[arg(long, value_name = "TIME", default_value = "0s", help_heading = PROXY)]
    #[arg(env = "WINDLASS_CHECK_EVERY", hide_env = true, value_parser = quantity::duration)]
    pub(crate) check_every: Duration,

    /// Worker threads; 0 is one per core. A single worker runs on the main thread
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = SERVING)]
    #[arg(env = "WINDLASS_WORKERS", hide_env = true, value_parser = workers)]
    pub(crate) workers: usize,

    /// Take over from the server that hands over at this Unix socket, if there is one, and hand over there
    /// to the next. Nobody is refused meanwhile, and connections stay where they are. Linux
    #[arg(long, value_name = "PATH", help_heading = SERVING)]
    #[arg(env = "WINDLASS_CONTROL", hide_env = true)]
    pub(crate) control: Option<std::path::PathBuf>,

    #[command(flatten)]
    pub(crate) serving: ServingArgs,
}

const PROXY: &str = "Proxy";
