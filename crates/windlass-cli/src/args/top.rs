//! What can be typed behind `windlass top`.

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args};

use super::AccessArgs;
use crate::client::Place;

pub(super) const ABOUT: &str = "\
Watch a running server in the terminal

Asks the admin listener once a second: totals, workers, services and listeners, the connections with the \
most traffic, why connections ended, stalls, limits, and the backends of proxies. A connection can be closed from here. When the \
server goes away it is asked for until it is back.

With --once, or where stdout is no terminal or a dumb one, one snapshot is printed as text: what happened \
in one second, and what has happened since the start. The exit code is 1 if the server cannot be asked.";

pub(super) const EXAMPLES: &str = "\
Keys: 1-6 or Tab choose what is shown, arrows or h j k l move, s sorts, / filters, x closes a
connection, p pauses, ? tells all of them, q ends it. NO_COLOR is respected.

Examples:
  windlass top
      The server of the windlass.toml here, or else the admin listener at 127.0.0.1:9900.
  windlass top 127.0.0.1:9900
      The usual address, which the demo has too.
  windlass top unix:/run/windlass/admin.sock --once
      A snapshot, for a script.
  windlass top example.com:9900 --token-file token
      A server elsewhere, which wants to be shown a token. WINDLASS_TOKEN may hold it too.";

/// The flags of `windlass top`.
#[derive(Args)]
pub(crate) struct TopArgs {
    /// The admin listener: HOST:PORT, :PORT or unix:PATH [default: that of the configuration, or else
    /// 127.0.0.1:9900]
    #[arg(value_name = "ADMIN", env = "WINDLASS_ADMIN", hide_env = true)]
    pub(crate) admin: Option<Place>,

    #[command(flatten)]
    pub(crate) access: AccessArgs,

    /// Print one snapshot as text
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(env = "WINDLASS_ONCE", hide_env = true)]
    pub(crate) once: bool,
}
