//! What can be typed behind `windlass hub`.

use std::path::PathBuf;

use clap::Args;
use windlass::Address;

use super::{SERVING, ServingArgs};
use crate::config::hub::{Durability, QueueFull};
use crate::quantity;

pub(super) const ABOUT: &str = "\
Serve MQTT 3.1.1 and 5.0: an IoT hub

Clients of both versions share one space of topics. QoS 0, 1 and 2, retained messages, wills, sessions that \
outlive their connections, shared subscriptions, and all that version 5 adds. \
A connection that begins with a request of HTTP becomes a WebSocket (subprotocol mqtt), on the same port.

Everything is in memory, and gone with the process: unless --data names a folder. Then sessions, their messages, \
what is retained and wills outlive it, and what was acknowledged is on the disk, through kill -9 and a loss of power. \
One worker serves all, since there is one space of topics. \
Whoever can connect can read and write everything: \
the default address is reachable from this machine only.

Output, signals and systemd are as with `windlass echo`; a message is a packet that was received.";

pub(super) const EXAMPLES: &str = "\
Every flag is an environment variable too: --queue-max is WINDLASS_QUEUE_MAX, ADDR is
WINDLASS_LISTEN. Several values stand behind each other with commas.

Examples:
  windlass hub
      On 127.0.0.1:1883. Try `mosquitto_sub -t 'a/#' -v` and `mosquitto_pub -t a/b -m hello`.
  windlass hub --data /var/lib/windlass/hub
      What was acknowledged is there after a restart, whatever ended the process.
  windlass hub :8883 --tls-cert chain.pem --tls-key key.pem
      Over TLS, reachable by others.
  windlass hub --queue-max 10k --when-queue-full drop-oldest
      Up to 10,000 messages wait for each client that is away; then the oldest go.";

/// The flags of `windlass hub`.
#[derive(Args)]
pub(crate) struct HubArgs {
    /// Where to listen: HOST:PORT, [IPv6]:PORT, :PORT for every address of this machine, or unix:PATH.
    /// Port 0 lets the system choose. Several may be given
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:1883", value_delimiter = ',')]
    #[arg(env = "WINDLASS_LISTEN", hide_env = true)]
    pub(crate) listen: Vec<Address>,

    /// The longest packet that is taken
    #[arg(long, value_name = "SIZE", default_value = "2000000", help_heading = SERVING)]
    #[arg(env = "WINDLASS_PACKET_MAX", hide_env = true, value_parser = quantity::size)]
    pub(crate) packet_max: usize,

    /// Messages that wait for one session
    #[arg(long, value_name = "N", default_value = "1k", help_heading = SERVING)]
    #[arg(env = "WINDLASS_QUEUE_MAX", hide_env = true, value_parser = quantity::count::<usize>)]
    pub(crate) queue_max: usize,

    /// The folder in which sessions, messages and what is retained outlive the process; it is made if it is not there
    #[arg(long, value_name = "FOLDER", help_heading = SERVING)]
    #[arg(env = "WINDLASS_DATA", hide_env = true)]
    pub(crate) data: Option<PathBuf>,

    /// When what is kept there is acknowledged
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Durability::Commit, help_heading = SERVING)]
    #[arg(env = "WINDLASS_DURABILITY", hide_env = true)]
    pub(crate) durability: Durability,

    /// What becomes of one more
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = QueueFull::DropNewest, help_heading = SERVING)]
    #[arg(env = "WINDLASS_WHEN_QUEUE_FULL", hide_env = true)]
    pub(crate) when_queue_full: QueueFull,

    #[command(flatten)]
    pub(crate) serving: ServingArgs,
}
