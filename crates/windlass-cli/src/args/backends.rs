//! What can be typed behind `windlass backends`.

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Subcommand};
use windlass_proxy::Target;

use super::AccessArgs;
use crate::client::Place;
use crate::quantity;

pub(super) const ABOUT: &str = "\
Look at the backends of a running proxy, and add, drain, weigh and remove them

Asks the admin listener. Without a command it prints every backend of every proxy. What is changed takes effect \
at once and touches nobody else's connections. It lasts until it is reset or the process ends: a reload of the \
file leaves it, a restart and an upgrade go by the file again.";

pub(super) const EXAMPLES: &str = "\
A proxy is called by its `name` in the file: `proxy` if nothing else was said.
A backend is called by its address or its name.

Examples:
  windlass backends
      All of them, and how they are.
  windlass backends drain web 10.0.0.1:80 --wait
      No new connections; comes back when those it has have ended.
  windlass backends enable web 10.0.0.1:80
      It gets connections again.
  windlass backends add web 10.0.0.3:80 --weight 2
      One more.
  windlass backends remove web 10.0.0.3:80 --force
      Gone at once, its connections reset.
  windlass backends reset web
      What the file says, and nothing else.";

/// The flags of `windlass backends`.
#[derive(Args)]
pub(crate) struct BackendsArgs {
    /// The admin listener: HOST:PORT, :PORT or unix:PATH [default: that of the configuration, or else
    /// 127.0.0.1:9900]
    #[arg(long, value_name = "ADMIN", env = "WINDLASS_ADMIN", hide_env = true, global = true)]
    pub(crate) admin: Option<Place>,

    #[command(flatten)]
    pub(crate) access: AccessArgs,

    /// Print JSON
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), global = true)]
    #[arg(env = "WINDLASS_JSON", hide_env = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Option<BackendsCommand>,
}

/// What is to be done.
#[derive(Subcommand)]
pub(crate) enum BackendsCommand {
    /// Print every backend, and how it is
    List,
    /// Add a backend
    Add(AddArgs),
    /// Give a backend connections again, or bring back one that was removed
    Enable(OfBackend),
    /// Give a backend no new connections; it keeps those it has
    Drain {
        #[command(flatten)]
        of: OfBackend,
        /// Come back when it has no connection any more
        #[arg(long)]
        wait: bool,
    },
    /// The same, and do not check it: it is being worked on
    Disable(OfBackend),
    /// Set the share of new connections that a backend gets
    Weight {
        #[command(flatten)]
        of: OfBackend,
        /// Relative to the others; 0 to 65,535
        weight: u32,
    },
    /// Take a backend out when its last connection has ended
    Remove {
        #[command(flatten)]
        of: OfBackend,
        /// Reset its connections instead of waiting for them
        #[arg(long)]
        force: bool,
        /// Come back when it is gone
        #[arg(long)]
        wait: bool,
    },
    /// Undo what was changed while it ran: of one backend, or of all of a proxy
    Reset {
        /// The name of the proxy
        proxy: String,
        /// Its address or its name; all of them if it is left out
        backend: Option<String>,
        /// The name of the route it belongs to, where several have it
        #[arg(long, value_name = "NAME")]
        route: Option<String>,
    },
}

/// Which backend.
#[derive(Args)]
pub(crate) struct OfBackend {
    /// The name of the proxy
    pub(crate) proxy: String,
    /// Its address or its name
    pub(crate) backend: String,
    /// The name of the route it belongs to, where several have it
    #[arg(long, value_name = "NAME")]
    pub(crate) route: Option<String>,
}

/// A new one.
#[derive(Args)]
pub(crate) struct AddArgs {
    /// The name of the proxy
    pub(crate) proxy: String,
    /// Where it is: HOST:PORT, of a name too, or unix:PATH
    pub(crate) backend: Target,
    /// The name of the route it shall belong to
    #[arg(long, value_name = "NAME")]
    pub(crate) route: Option<String>,
    /// What it is called [default: its address]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Its share of new connections, relative to the others
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) weight: u32,
    /// Connections to it; 0: any number [default: as for all backends of the proxy]
    #[arg(long, value_name = "N", value_parser = quantity::count::<usize>)]
    pub(crate) connections_max: Option<usize>,
}
