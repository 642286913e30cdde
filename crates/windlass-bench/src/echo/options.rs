//! What a run of the generator is told: the command line, and the plain data behind it.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use crate::args::{self, Target};

/// What the connections do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Connections stay open and echo messages all the time.
    Steady,
    /// Each connection is opened, echoes one message and is closed; as many at once as connections.
    Churn,
    /// Connections stay open and are silent but for one echo; what do they cost the server?
    Idle,
    /// A few clients send much and do not read, beside well-behaved ones.
    Slow,
}

/// The options of `windlass bench echo` and `windlass-bench echo`.
#[derive(Debug, Clone, clap::Args)]
pub struct EchoArgs {
    /// The server: HOST:PORT or unix:PATH
    #[arg(default_value = "127.0.0.1:9000")]
    pub target: Target,
    /// What the connections do
    #[arg(long, value_enum, default_value = "steady")]
    pub mode: Mode,
    /// Connections at once [default: 64; idle 10000, churn 32, slow 16]
    #[arg(short, long, value_parser = args::count)]
    pub connections: Option<u64>,
    /// Bytes in one message, as in 64, 16KiB, 1MiB
    #[arg(short, long, value_parser = args::size, default_value = "64")]
    pub size: usize,
    /// Messages under way on each connection
    #[arg(short, long, value_parser = args::count, default_value = "1")]
    pub depth: u64,
    /// How long to measure, as in 500ms, 10s, 1m
    #[arg(short = 't', long, value_parser = args::duration, default_value = "10s")]
    pub duration: Duration,
    /// How long to run before measuring
    #[arg(long, value_parser = args::duration, default_value = "1s")]
    pub warmup: Duration,
    /// Open loop: send this many messages per second in all, ready or not, and count
    /// latency from the moment each was due
    #[arg(long, value_parser = args::count, conflicts_with = "depth")]
    pub rate: Option<u64>,
    /// Use the cubic congestion control on every connection (BBR paces by timers and
    /// distorts loopback)
    #[arg(long)]
    pub cubic: bool,
    /// Threads to generate with
    #[arg(long, value_parser = args::count, default_value = "1")]
    pub threads: u64,
    /// Process id of the server, to report its CPU time and memory
    #[arg(long)]
    pub pid: Option<u32>,
    /// Report a connection that owes a reply and gives nothing for this long
    #[arg(long, value_parser = args::duration, default_value = "5s")]
    pub stall: Duration,
    /// Mode slow: clients that do not read
    #[arg(long, value_parser = args::count, default_value = "4")]
    pub slow_clients: u64,
    /// Mode slow: bytes each of them sends
    #[arg(long, value_parser = args::size, default_value = "64MiB")]
    pub slow_size: usize,
    /// Mode slow: how long they do not read
    #[arg(long, value_parser = args::duration, default_value = "5s")]
    pub hold: Duration,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Write a plot of the latencies to FILE.svg or FILE.html
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

/// One run of the generator, as plain data.
#[derive(Debug, Clone)]
pub struct EchoOptions {
    /// The server.
    pub target: Target,
    /// What the connections do.
    pub mode: Mode,
    /// Connections at once, over all threads.
    pub connections: usize,
    /// Bytes in one message.
    pub size: usize,
    /// Messages under way on each connection, in a closed loop.
    pub depth: u64,
    /// How long to measure.
    pub duration: Duration,
    /// How long to run before measuring.
    pub warmup: Duration,
    /// Messages per second over all connections; `None` is a closed loop.
    pub rate: Option<u64>,
    /// Set the cubic congestion control on every connection.
    pub cubic: bool,
    /// Threads that generate.
    pub threads: usize,
    /// Process id of the server.
    pub pid: Option<u32>,
    /// How long a connection may owe a reply and give nothing.
    pub stall: Duration,
    /// In [`Mode::Slow`], clients that do not read.
    pub slow_clients: usize,
    /// In [`Mode::Slow`], bytes each of them sends.
    pub slow_size: usize,
    /// In [`Mode::Slow`], how long they do not read.
    pub hold: Duration,
}

impl Default for EchoOptions {
    fn default() -> Self {
        EchoOptions {
            target: Target::Tcp(([127, 0, 0, 1], 9000).into()),
            mode: Mode::Steady,
            connections: 64,
            size: 64,
            depth: 1,
            duration: Duration::from_secs(10),
            warmup: Duration::from_secs(1),
            rate: None,
            cubic: false,
            threads: 1,
            pid: None,
            stall: Duration::from_secs(5),
            slow_clients: 4,
            slow_size: 64 << 20,
            hold: Duration::from_secs(5),
        }
    }
}

impl From<&EchoArgs> for EchoOptions {
    fn from(args: &EchoArgs) -> EchoOptions {
        let usual = match args.mode {
            Mode::Steady => 64,
            Mode::Churn => 32,
            Mode::Idle => 10_000,
            Mode::Slow => 16,
        };
        EchoOptions {
            target: args.target.clone(),
            mode: args.mode,
            connections: args.connections.unwrap_or(usual) as usize,
            size: args.size,
            depth: args.depth,
            duration: args.duration,
            warmup: args.warmup,
            rate: args.rate,
            cubic: args.cubic,
            threads: args.threads as usize,
            pid: args.pid,
            stall: args.stall,
            slow_clients: args.slow_clients as usize,
            slow_size: args.slow_size,
            hold: args.hold,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: EchoArgs,
    }

    fn parse(line: &str) -> Result<EchoOptions, String> {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| (&cli.args).into()).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_the_default() {
        let options = parse("").unwrap();
        assert_eq!(format!("{options:?}"), format!("{:?}", EchoOptions::default()));
    }

    #[test]
    fn a_full_line() {
        let line = "unix:/tmp/x -c 1,000 -s 16KiB -d 4 -t 500ms --cubic --threads 2 --mode churn";
        let options = parse(line).unwrap();
        assert_eq!(options.target, Target::Unix("/tmp/x".into()));
        assert_eq!((options.connections, options.size, options.depth), (1000, 16_384, 4));
        assert_eq!(options.duration, Duration::from_millis(500));
        assert!(options.cubic && options.threads == 2 && options.mode == Mode::Churn);
    }

    #[test]
    fn each_mode_has_its_usual_number_of_connections() {
        for (mode, connections) in [("steady", 64), ("churn", 32), ("idle", 10_000), ("slow", 16)] {
            assert_eq!(parse(&format!("--mode {mode}")).unwrap().connections, connections);
        }
    }

    #[test]
    fn mistakes_name_what_was_typed() {
        for (line, part) in [
            ("nowhere", "nowhere"),
            ("-s huge", "huge"),
            ("-t 5parsecs", "parsecs"),
            ("-c 0", "zero"),
            ("--mode fast", "fast"),
            ("--rate 100 --depth 4", "--depth"),
        ] {
            assert!(parse(line).unwrap_err().contains(part), "{line}");
        }
    }
}
