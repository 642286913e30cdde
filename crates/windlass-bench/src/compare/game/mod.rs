//! The game server beside what it was to reach: `windlass game` with bots in another process, and controls that do the
//! least of the same in the same run.
//!
//! Server and controls have one core in turn, bots the other. Ticks are held against a program that has nothing but a
//! timer; what many players cost, against one that has nothing but their sockets. ENet's datagrams are held against
//! rusty_enet by a benchmark of its own, which is run here too.

mod bars;
mod control;
mod crowd;
mod datagrams;
mod idle;
mod quiet;
mod serving;
mod sockets;
mod ticks;
mod witness;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

pub use self::control::{TimerArgs, main as timer};
pub use self::sockets::{SocketsArgs, main as sockets};

use self::bars::Bar;
use self::serving::Program;
use super::foreign::Files;
use super::namespace::in_namespace;
use super::peers::Layout;
use super::{Place, kept, machine, server};
use crate::args;

/// Options of `compare game`.
#[derive(Debug, Clone, clap::Args)]
pub struct GameArgs {
    /// Rounds; of each figure the median is told
    #[arg(long, value_parser = args::count, default_value = "3")]
    rounds: u64,
    /// How long each side is measured in a round
    #[arg(long, value_parser = args::duration, default_value = "10s")]
    seconds: Duration,
    /// For how many minutes a full server's ticks are held against the clock at the end
    #[arg(long, value_name = "N", value_parser = args::count, default_value = "1")]
    minutes: u64,
    /// One round of two seconds with a tenth of the players, and nothing is written: to see whether all of it runs
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "minutes"])]
    quick: bool,
    /// Only these parts: ticks, players, idle, drift, enet
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The windlass binary to measure instead of the workspace's; its bots are the workspace's
    #[arg(long, value_name = "PATH")]
    windlass: Option<PathBuf>,
    /// Also count system calls with strace
    #[arg(long)]
    strace: bool,
    /// Run servers, controls and bots with a high priority (needs the privilege)
    #[arg(long)]
    urgent: bool,
    /// Do not build anything first
    #[arg(long)]
    no_build: bool,
    /// Where to write the tables; `-` for nowhere
    #[arg(long, default_value = "benches/GAME.md")]
    output: PathBuf,
    /// Where to write the bars too, between marks, if all was measured; `-` for nowhere
    #[arg(long, default_value = "benches/RESULTS.md")]
    results: PathBuf,
    /// Already in a network namespace of its own
    #[arg(long = "in-namespace", hide = true)]
    in_namespace: bool,
}

const PARTS: [&str; 5] = ["ticks", "players", "idle", "drift", "enet"];
/// What `--quick` divides numbers of players by.
const LESS: usize = 10;

impl Default for GameArgs {
    /// Without any argument.
    fn default() -> GameArgs {
        GameArgs {
            rounds: 3,
            seconds: Duration::from_secs(10),
            minutes: 1,
            quick: false,
            only: Vec::new(),
            windlass: None,
            strace: false,
            urgent: false,
            no_build: false,
            output: "benches/GAME.md".into(),
            results: "benches/RESULTS.md".into(),
            in_namespace: false,
        }
    }
}

impl GameArgs {
    /// What `--quick` stands for.
    fn settled(mut self) -> GameArgs {
        if self.quick {
            (self.rounds, self.seconds, self.minutes) = (1, Duration::from_secs(2), 0);
            (self.output, self.results) = ("-".into(), "-".into());
        }
        self
    }

    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only.eq_ignore_ascii_case(part))
    }

    /// So many rooms of sixteen, or less of them.
    fn rooms(&self, rooms: usize) -> usize {
        if self.quick { rooms / LESS } else { rooms }
    }
}

/// Builds ours, measures it, prints the tables and writes them to a file.
///
/// # Errors
/// A build fails, the server or its bots fail, or a player was sent what it could not read.
pub fn main(args: GameArgs) -> Result<()> {
    if !args.in_namespace && in_namespace()? {
        return Ok(());
    }
    let args = args.settled();
    ensure!(PARTS.iter().any(|part| args.wants(part)), "the parts are {}", PARTS.join(", "));
    let layout = Layout::find()?;
    if !args.no_build {
        layout.build_windlass()?;
    }
    crate::net::allow_descriptors(10_000)?;
    let _urgency = args.urgent.then(server::Urgency::claim).transpose()?;
    let place = Place::choose()?;
    let files = Files::new()?;
    let bots = layout.windlass().program;
    let program = Program { server: args.windlass.clone().unwrap_or(bots.clone()), bots, files, place };

    let (mut markdown, mut rows) = (String::new(), Vec::new());
    let mut add = |(text, bars): (String, Vec<Bar>)| {
        markdown += &text;
        rows.extend(bars);
    };
    if args.wants("ticks") {
        add(ticks::section(&args, &program)?);
    }
    if args.wants("drift") {
        add(ticks::drift(&args, &program)?);
    }
    if args.wants("players") {
        add(crowd::section(&args, &program)?);
    }
    if args.wants("idle") {
        add(idle::section(&args, &program)?);
    }
    if args.wants("enet") {
        // It takes a build of its own, of what others wrote: that fails without the rest.
        match datagrams::section(&args, &layout) {
            Ok(found) => add(found),
            Err(error) => eprintln!("NOT MEASURED: enet: {error:#}"),
        }
    }
    let table = bars::table(&rows);
    let markdown = format!("{}\n## Against the bars\n\n{table}{markdown}", head(&args));
    println!("{markdown}");
    let is_whole = args.only.is_empty() && args.windlass.is_none();
    if is_whole {
        let command = command(&args);
        let about = ("game", "The game server against its bars", command.as_str());
        let paths = [args.results.as_path(), args.output.as_path()];
        kept::record(about, &layout, paths, (args.rounds, args.seconds), &table)?;
    }
    if args.output.as_os_str() != "-" {
        let path = layout.root.join(&args.output);
        fs::write(&path, markdown).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", args.output.display());
    }
    Ok(())
}

/// The command that these figures are of: what was asked for, and not what could have been.
fn command(args: &GameArgs) -> String {
    let defaults = GameArgs::default();
    let mut out = String::from("cargo run -p windlass-bench --release -- compare game");
    if args.quick {
        out += " --quick";
    } else {
        for (name, is, default) in [
            ("rounds", args.rounds.to_string(), defaults.rounds.to_string()),
            ("seconds", format!("{:?}", args.seconds), format!("{:?}", defaults.seconds)),
            ("minutes", args.minutes.to_string(), defaults.minutes.to_string()),
        ] {
            if is != default {
                out += &format!(" --{name} {is}");
            }
        }
    }
    if !args.only.is_empty() {
        out += &format!(" --only {}", args.only.join(","));
    }
    for (name, is) in
        [("windlass PATH", args.windlass.is_some()), ("strace", args.strace), ("urgent", args.urgent)]
    {
        if is {
            out += &format!(" --{name}");
        }
    }
    out
}

fn head(args: &GameArgs) -> String {
    let mut out = String::from("# The game server beside its bars\n\n");
    out += &format!("Reproduce with `{}`.\n\n", command(args));
    for (name, value) in machine::facts() {
        out += &format!("- {name}: {value}\n");
    }
    let congestion = if args.in_namespace { "cubic, set on every route" } else { "the system's default" };
    out += &format!(
        "- congestion control here: {congestion}\n\nThe server is `windlass game` with one worker, and has one core; \
         its players are `windlass game bots`, one process on the other core, which reads, checks and confirms every \
         snapshot, and whose own cost is told beside the server's: they share a machine of two cores, so no more \
         players than these can be tried on it. Controls have the server's core while there is no server. {} rounds of \
         {:?}; figures are medians of the rounds, with the least and the most. CPU is the process's, as the scheduler \
         counts it, with its share of what the system does; on loopback, who sends does the receiver's part of that.\n",
        args.rounds, args.seconds
    );
    out
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn parsed(line: &str) -> GameArgs {
        let command = GameArgs::augment_args(clap::Command::new("game"));
        let matches = command.try_get_matches_from(line.split(' ')).unwrap();
        GameArgs::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn a_table_names_the_command_it_is_of() {
        let prefix = "cargo run -p windlass-bench --release -- compare ";
        for line in [
            "game",
            "game --rounds 5 --seconds 20s --minutes 10 --only idle,ticks --strace --urgent",
            "game --quick --only enet",
        ] {
            assert_eq!(command(&parsed(line).settled()), format!("{prefix}{line}"));
        }
        // Beside what decides nothing of the figures.
        assert_eq!(command(&parsed("game --no-build --output x.md")), format!("{prefix}game"));
        assert_eq!(format!("{:?}", parsed("game")), format!("{:?}", GameArgs::default()));
    }
}
