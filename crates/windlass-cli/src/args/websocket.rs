//! What can be typed behind `windlass websocket`.

use clap::Args;
use windlass::Address;

use super::{SERVING, ServingArgs, workers};

pub(super) const ABOUT: &str = concat!(
    "\
Serve echo to WebSocket clients, with a page for browsers

Every message comes back as it was: at /ws, by RFC 6455 with permessage-deflate refused. \
At / is a page to try it with. Pages of other sites cannot connect.

",
    as_echo!("Output, signals and systemd")
);

pub(super) const EXAMPLES: &str = "\
Every flag is an environment variable too: --log-level is WINDLASS_LOG_LEVEL, ADDR is
WINDLASS_LISTEN. Several values stand behind each other with commas.

Examples:
  windlass websocket
      On 127.0.0.1:9001: open http://127.0.0.1:9001 in a browser.
  windlass websocket :443 --tls-cert chain.pem --tls-key key.pem
      Secure WebSockets, reachable by others.";

/// The flags of `windlass websocket`.
#[derive(Args)]
pub(crate) struct WebsocketArgs {
    /// Where to listen: HOST:PORT, [IPv6]:PORT, :PORT for every address of this machine, or unix:PATH.
    /// Port 0 lets the system choose. Several may be given
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:9001", value_delimiter = ',')]
    #[arg(env = "WINDLASS_LISTEN", hide_env = true)]
    pub(crate) listen: Vec<Address>,

    /// Worker threads; 0 is one per core. A single worker runs on the main thread
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = SERVING)]
    #[arg(env = "WINDLASS_WORKERS", hide_env = true, value_parser = workers)]
    pub(crate) workers: usize,

    #[command(flatten)]
    pub(crate) serving: ServingArgs,
}
