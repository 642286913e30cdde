//! What can be typed behind `windlass game`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Subcommand};
use windlass::Address;

use super::{SERVING, ServingArgs, workers};
use crate::quantity;

pub(super) const ABOUT: &str = concat!(
    "\
Serve a real-time game: rooms that tick, players over WebSocket and UDP, and the arena to play

At / is the arena: sixteen players who move, dash, shoot and score, with keys and mouse or with two thumbs. \
Rooms are found and opened over HTTP (/api/rooms), players come over WebSocket (/play), or with --udp by the protocol of \
ENet, and come back to their seat within 30 s by either. Every room lives on one worker and ticks at fixed times; what players do is decided here. \
Rooms of your own are written in Rust, with the crate windlass-realtime.

",
    as_echo!("Output, signals and systemd", "one of a player's")
);

pub(super) const EXAMPLES: &str = "\
Every flag is an environment variable too: --rooms-max is WINDLASS_ROOMS_MAX, ADDR is
WINDLASS_LISTEN. Several values stand behind each other with commas.

Examples:
  windlass game
      On 127.0.0.1:7777: open http://127.0.0.1:7777 in two windows.
  windlass game :7777 --record matches
      For everybody, and every match in a file: see `windlass game replay`.
  windlass game --udp 127.0.0.1:7801 --workers 2
      By UDP too: on port 7801 for the rooms of the first worker, on 7802 for those of the second.
  windlass game bots 40
      Forty players who are no people, in another terminal.";

/// The flags of `windlass game`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct GameArgs {
    #[command(subcommand)]
    pub(crate) command: Option<GameCommand>,

    /// Where to listen: HOST:PORT, [IPv6]:PORT, :PORT for every address of this machine, or unix:PATH.
    /// Port 0 lets the system choose. Several may be given
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:7777", value_delimiter = ',')]
    #[arg(env = "WINDLASS_LISTEN", hide_env = true)]
    pub(crate) listen: Vec<Address>,

    /// Take players by UDP too, by the protocol of ENet: HOST:PORT or :PORT of the first worker. Each other worker has
    /// the port behind the one before; 0 lets the system choose them. A seat says which is its own
    #[arg(long, value_name = "ADDR", help_heading = SERVING)]
    #[arg(env = "WINDLASS_UDP", hide_env = true)]
    pub(crate) udp: Option<Address>,

    /// Worker threads; 0 is one per core. Rooms are spread over them
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = SERVING)]
    #[arg(env = "WINDLASS_WORKERS", hide_env = true, value_parser = workers)]
    pub(crate) workers: usize,

    /// Rooms at once
    #[arg(long, value_name = "N", default_value = "1k", help_heading = SERVING)]
    #[arg(env = "WINDLASS_ROOMS_MAX", hide_env = true, value_parser = quantity::count::<usize>)]
    pub(crate) rooms_max: usize,

    /// The folder in which every match is recorded; it is made if it is not there
    #[arg(long, value_name = "FOLDER", help_heading = SERVING)]
    #[arg(env = "WINDLASS_RECORD", hide_env = true)]
    pub(crate) record: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) serving: ServingArgs,
}

/// What else can be done.
#[derive(Subcommand)]
pub(crate) enum GameCommand {
    /// Play the arena of a server with players who are no people
    #[command(after_long_help = BOTS_EXAMPLES)]
    Bots(BotsArgs),
    /// Play a recorded match again, and see whether it comes to the same end
    #[command(long_about = REPLAY_ABOUT)]
    Replay(ReplayArgs),
}

const BOTS_EXAMPLES: &str = "\
Examples:
  windlass game bots 40
      Forty of them at 127.0.0.1:7777, until Ctrl-C.
  windlass game bots 500 192.0.2.7:7777 --for 1min
      Five hundred somewhere else, for a minute.
  windlass game bots 100 --udp=50
      A hundred, every second of them by UDP, as `windlass game --udp` takes them.
  windlass game bots 500 --hz 60 --json
      At the pace of a server whose tick_hz is 60, for a program to read.";

const REPLAY_ABOUT: &str = "\
Play a recorded match again, and see whether it comes to the same end

A match is what its seed and what players did make of it, so it is the same each time. The record has a hash of the \
room now and then: where the room is another, the exit code is 1, and the tick is told.";

/// The flags of `windlass game bots`.
#[derive(Args)]
pub(crate) struct BotsArgs {
    /// How many
    #[arg(value_name = "N", env = "WINDLASS_BOTS", hide_env = true, value_parser = quantity::count::<usize>)]
    pub(crate) count: usize,

    /// The server: HOST:PORT
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:7777")]
    #[arg(env = "WINDLASS_SERVER", hide_env = true)]
    pub(crate) server: String,

    /// How long they play; until Ctrl-C otherwise
    #[arg(long = "for", value_name = "TIME")]
    #[arg(env = "WINDLASS_FOR", hide_env = true, value_parser = quantity::duration)]
    pub(crate) duration: Option<Duration>,

    /// Come by UDP, by the protocol of ENet: so many of a hundred, all of them if no number is given
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true, default_missing_value = "100", default_value_t = 0)]
    #[arg(env = "WINDLASS_UDP", hide_env = true, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) udp: u8,

    /// Inputs of each in a second: as many as ticks of the server's rooms
    #[arg(long, value_name = "N", default_value_t = 30)]
    #[arg(env = "WINDLASS_HZ", hide_env = true, value_parser = clap::value_parser!(u32).range(1..=240))]
    pub(crate) hz: u32,

    /// Worker threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(env = "WINDLASS_WORKERS", hide_env = true, value_parser = workers)]
    pub(crate) workers: usize,

    /// What they have seen since their start as JSON, one object in a line
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(env = "WINDLASS_JSON", hide_env = true)]
    pub(crate) json: bool,
}

/// The flags of `windlass game replay`.
#[derive(Args)]
pub(crate) struct ReplayArgs {
    /// The record
    #[arg(value_name = "FILE", env = "WINDLASS_FILE", hide_env = true)]
    pub(crate) file: PathBuf,

    /// Print, before all else, a line for every tick: its number, how many are there, and the hash of what clients are
    /// shown of it, to hold against that of a client
    #[arg(long, env = "WINDLASS_TICKS", hide_env = true)]
    pub(crate) ticks: bool,
}
