//! What can be typed.

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Parser, Subcommand};

/// Network services on one event loop per core.
#[derive(Parser)]
#[command(name = "windlass", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Send back to every client what it sends
    Echo(EchoArgs),
}

/// The flags of `windlass echo`.
#[derive(Args)]
pub(crate) struct EchoArgs {
    /// Where to listen: HOST:PORT, :PORT, [IPv6]:PORT or unix:PATH
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:9000", env = "WINDLASS_LISTEN")]
    pub(crate) listen: Vec<String>,

    /// Worker threads; 0 is one per core
    #[arg(long, value_name = "N", default_value_t = 0, env = "WINDLASS_WORKERS")]
    pub(crate) workers: usize,

    /// Use the cubic congestion control on every connection
    #[arg(long, env = "WINDLASS_CUBIC", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) cubic: bool,

    /// Print nothing but the `Listening on` lines and errors
    #[arg(short, long, env = "WINDLASS_QUIET", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,
}
