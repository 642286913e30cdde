//! `windlass echo`.

use clap::Args;
use windlass::Address;

use super::{SERVING, ServingArgs, workers};

pub(super) const ABOUT: &str = concat!(
    "Serve echo: every client gets back what it sends\n\n",
    printed!(),
    " A message in its figures is one piece of input as it arrived, or one datagram: \
echo knows nothing of where your messages begin and end. \
Datagrams from a port below 1024, or from the port that it has itself, are not answered: \
two echoes that are told of each other would never stop.\n\n",
    signalled!()
);

pub(super) const EXAMPLES: &str = "\
Every flag is an environment variable too: --log-level is WINDLASS_LOG_LEVEL, ADDR is
WINDLASS_LISTEN. Several values stand behind each other with commas.

Examples:
  windlass echo
      On 127.0.0.1:9000, reachable from this machine only.
  windlass echo :9000
      On every address of this machine, IPv4 and IPv6: reachable by others.
  windlass echo '[::1]:9000' unix:/tmp/echo.sock
      On IPv6 loopback and on a Unix socket.
  windlass echo udp:127.0.0.1:9000
      Datagrams: try it with nc -u 127.0.0.1 9000.
  windlass echo 127.0.0.1:0 -q
      On a port that the system chooses; the one line printed tells which.
  windlass echo :9443 --tls-cert chain.pem --tls-key key.pem
      Over TLS 1.2 and 1.3. Try `openssl s_client -connect localhost:9443`.
  windlass echo --workers 1 --limit idle_timeout=30s --limit connections_max=10k
      On one thread, at most 10,000 connections, silent ones ended after 30 s.
  windlass echo :9000 --control /run/echo.control
      The first serves; the next, started the same way, takes over from it while it serves.
  windlass echo --log-level debug 2>echo.log
      With every connection logged, as one JSON object per line. On a terminal it would be text.";

/// The flags of `windlass echo`.
#[derive(Args)]
pub(crate) struct EchoArgs {
    /// Where to listen: HOST:PORT, [IPv6]:PORT, :PORT for every address of this machine, the same behind udp: for datagrams, or unix:PATH.
    /// Port 0 lets the system choose. Several may be given
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:9000", value_delimiter = ',')]
    #[arg(env = "WINDLASS_LISTEN", hide_env = true)]
    pub(crate) listen: Vec<Address>,

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
