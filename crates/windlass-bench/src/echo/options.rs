//! What a run of the generator is told: the command line, and the plain data behind it.

use std::time::Duration;

use clap::ValueEnum;

use crate::args::{self, Place};
use crate::load::{LoadArgs, Options, StreamArgs};

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
    #[arg(default_value = "127.0.0.1:9000", env = "WINDLASS_TARGET", hide_env = true)]
    pub target: Place,
    /// What the connections do
    #[arg(long, value_enum, default_value = "steady", env = "WINDLASS_MODE", hide_env = true)]
    pub mode: Mode,
    /// Connections at once [default: 64; idle 10000, churn 32, slow 16]
    #[arg(short, long, value_name = "N", value_parser = args::count, env = "WINDLASS_CONNECTIONS", hide_env = true)]
    pub connections: Option<u64>,
    /// Bytes in one message, as in 64, 16KiB, 1MiB
    #[arg(short, long, value_name = "SIZE", value_parser = args::size, default_value = "64", env = "WINDLASS_SIZE", hide_env = true)]
    pub size: usize,
    /// What every load has
    #[command(flatten)]
    pub load: LoadArgs,
    /// What every load over connections has
    #[command(flatten)]
    pub stream: StreamArgs,
    /// Mode slow: clients that do not read
    #[arg(long, value_name = "N", value_parser = args::count, default_value = "4", env = "WINDLASS_SLOW_CLIENTS", hide_env = true)]
    pub slow_clients: u64,
    /// Mode slow: bytes each of them sends
    #[arg(long, value_name = "SIZE", value_parser = args::size, default_value = "64MiB", env = "WINDLASS_SLOW_SIZE", hide_env = true)]
    pub slow_size: usize,
    /// Mode slow: how long they do not read
    #[arg(long, value_name = "TIME", value_parser = args::duration, default_value = "5s", env = "WINDLASS_HOLD", hide_env = true)]
    pub hold: Duration,
}

/// One run of the generator, as plain data.
#[derive(Debug, Clone)]
pub struct EchoOptions {
    /// What every load is told.
    pub load: Options,
    /// What the connections do.
    pub mode: Mode,
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
            load: Options::default(),
            mode: Mode::Steady,
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
            load: Options {
                connections: args.connections.unwrap_or(usual) as usize,
                size: args.size,
                ..Options::new(&args.target, &args.load, &args.stream)
            },
            mode: args.mode,
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
    use crate::args::Target;

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
        assert!(options.mode == Mode::Churn);
        let options = options.load;
        assert_eq!(options.target, Target::Unix("/tmp/x".into()));
        assert_eq!((options.connections, options.size, options.depth), (1000, 16_384, 4));
        assert_eq!(options.duration, Duration::from_millis(500));
        assert!(options.cubic && options.threads == 2);
    }

    #[test]
    fn each_mode_has_its_usual_number_of_connections() {
        for (mode, connections) in [("steady", 64), ("churn", 32), ("idle", 10_000), ("slow", 16)] {
            assert_eq!(parse(&format!("--mode {mode}")).unwrap().load.connections, connections);
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
