//! What can be typed behind `windlass demo`.

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args};

use crate::quantity;

pub(super) const ABOUT: &str = "\
Show every service and the dashboard, on this machine alone

Every service on its usual port of 127.0.0.1, or on another where that is taken; nothing can be reached \
from elsewhere, and nothing is written to disk. A few clients of its own keep the services busy, so that the \
dashboard has something to show. Ctrl-C drains and ends it.

`windlass init demo` writes the same as a configuration file.";

pub(super) const EXAMPLES: &str = "\
Examples:
  windlass demo
      All services, and 20 clients.
  windlass demo --clients 0
      Without clients: whatever happens is yours.
  windlass init demo -o windlass.toml && windlass run
      The same from a file, to change and reload.";

/// The flags of `windlass demo`.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Clients of its own, each saying something a few times a second
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clients)]
    #[arg(env = "WINDLASS_CLIENTS", hide_env = true)]
    pub(crate) clients: usize,

    /// Print nothing but where it listens, and errors
    #[arg(short, long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(env = "WINDLASS_QUIET", hide_env = true)]
    pub(crate) quiet: bool,
}

const CLIENTS_MAX: usize = 1_000;

fn clients(text: &str) -> Result<usize, String> {
    let n = quantity::count(text)?;
    if n > CLIENTS_MAX {
        Err(format!("at most {CLIENTS_MAX}: `windlass bench` puts load on a server"))
    } else {
        Ok(n)
    }
}
