//! What every load is told: the command line, and the plain data behind it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::ArgAction;
use clap::builder::FalseyValueParser;

#[cfg(feature = "tls")]
use super::tls::{TlsClient, Trust};
use crate::args::{self, Place, Target};
use crate::text;
use crate::url::Url;

/// The options that mean the same for every protocol.
#[derive(Debug, Clone, clap::Args)]
pub struct LoadArgs {
    /// How long to measure, as in 500ms, 10s, 1m
    #[arg(short = 't', long, value_name = "TIME", value_parser = args::duration, default_value = "10s")]
    #[arg(env = "WINDLASS_DURATION", hide_env = true)]
    pub duration: Duration,
    /// How long to run before measuring
    #[arg(long, value_name = "TIME", value_parser = args::duration, default_value = "1s")]
    #[arg(env = "WINDLASS_WARMUP", hide_env = true)]
    pub warmup: Duration,
    /// Open loop: send this many messages per second in all, ready or not, and count
    /// latency from the moment each was due
    #[arg(long, value_name = "N", value_parser = args::count, env = "WINDLASS_RATE", hide_env = true)]
    pub rate: Option<u64>,
    /// Process id of the server, to report its CPU time and memory
    #[arg(long, env = "WINDLASS_PID", hide_env = true)]
    pub pid: Option<u32>,
    /// Report a connection that owes a reply and gives nothing for this long
    #[arg(long, value_name = "TIME", value_parser = args::duration, default_value = "5s", env = "WINDLASS_STALL", hide_env = true)]
    pub stall: Duration,
    /// Print the report as JSON
    #[arg(long, env = "WINDLASS_JSON", hide_env = true)]
    #[arg(action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub json: bool,
    /// Write a plot of the latencies to FILE.svg or FILE.html
    #[arg(long, value_name = "FILE", env = "WINDLASS_PLOT", hide_env = true)]
    pub plot: Option<PathBuf>,
    /// Write the latencies to FILE as HdrHistogram's tools read them
    #[arg(long, value_name = "FILE", env = "WINDLASS_HGRM", hide_env = true)]
    pub hgrm: Option<PathBuf>,
}

/// The options of loads over connections.
#[derive(Debug, Clone, clap::Args)]
pub struct StreamArgs {
    /// Messages under way on each connection; not with --rate
    #[arg(short, long, value_name = "N", value_parser = args::count, default_value = "1", conflicts_with = "rate")]
    #[arg(env = "WINDLASS_DEPTH", hide_env = true)]
    pub depth: u64,
    /// Threads to generate with
    #[arg(long, value_name = "N", value_parser = args::count, default_value = "1", env = "WINDLASS_THREADS", hide_env = true)]
    pub threads: u64,
    /// Use the cubic congestion control on every connection (BBR paces by timers and
    /// distorts loopback)
    #[arg(long, env = "WINDLASS_CUBIC", hide_env = true)]
    #[arg(action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub cubic: bool,
    /// Speak TLS
    #[cfg(feature = "tls")]
    #[arg(long, help_heading = "TLS", env = "WINDLASS_TLS", hide_env = true)]
    #[arg(action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub tls: bool,
    /// Trust the certificates in this PEM file, and no others [default: what the system trusts]
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", help_heading = "TLS", env = "WINDLASS_TLS_CA", hide_env = true)]
    pub tls_ca: Option<PathBuf>,
    /// Trust any certificate
    #[cfg(feature = "tls")]
    #[arg(
        long,
        conflicts_with = "tls_ca",
        help_heading = "TLS",
        env = "WINDLASS_TLS_INSECURE",
        hide_env = true
    )]
    #[arg(action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub tls_insecure: bool,
    /// The name the certificate must have [default: as the server is addressed]
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "NAME", help_heading = "TLS", env = "WINDLASS_TLS_NAME", hide_env = true)]
    pub tls_name: Option<String>,
}

impl StreamArgs {
    /// With TLS, if the URL asks for it.
    ///
    /// # Errors
    /// It does, and this was built without.
    pub(crate) fn over(self, url: &Url) -> Result<StreamArgs> {
        #[cfg(feature = "tls")]
        return Ok(StreamArgs { tls: self.tls || url.secure, ..self });
        #[cfg(not(feature = "tls"))]
        {
            anyhow::ensure!(!url.secure, "this was built without TLS");
            Ok(self)
        }
    }
}

/// One load, as plain data.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server.
    pub target: Target,
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
    /// Each connection carries one message, and is followed by another.
    pub churn: bool,
    /// Set the cubic congestion control on every connection.
    pub cubic: bool,
    /// Threads that generate.
    pub threads: usize,
    /// Process id of the server.
    pub pid: Option<u32>,
    /// How long a connection may owe a reply and give nothing.
    pub stall: Duration,
    /// How TLS is spoken; `None` is not at all.
    pub tls: Option<Tls>,
}

/// How TLS is spoken.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Whom to trust.
    #[cfg(feature = "tls")]
    pub trust: Trust,
    /// The name the certificate must have.
    pub name: String,
    /// The protocols offered (ALPN).
    pub protocols: &'static [&'static str],
}

#[cfg(feature = "tls")]
impl Tls {
    pub(crate) fn client(&self) -> Result<TlsClient> {
        TlsClient::new(&self.trust, &self.name, self.protocols)
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            target: Target::Tcp(([127, 0, 0, 1], 9000).into()),
            connections: 64,
            size: 64,
            depth: 1,
            duration: Duration::from_secs(10),
            warmup: Duration::from_secs(1),
            rate: None,
            churn: false,
            cubic: false,
            threads: 1,
            pid: None,
            stall: Duration::from_secs(5),
            tls: None,
        }
    }
}

impl Options {
    /// From the command line.
    pub(crate) fn new(place: &Place, load: &LoadArgs, stream: &StreamArgs) -> Options {
        #[cfg(feature = "tls")]
        let tls = stream.tls.then(|| Tls {
            trust: match (&stream.tls_ca, stream.tls_insecure) {
                (Some(path), _) => Trust::File(path.clone()),
                (None, true) => Trust::Anybody,
                (None, false) => Trust::System,
            },
            name: stream.tls_name.clone().unwrap_or_else(|| place.host.clone()),
            protocols: &[],
        });
        #[cfg(not(feature = "tls"))]
        let tls = None;
        Options {
            depth: stream.depth,
            threads: stream.threads as usize,
            cubic: stream.cubic,
            tls,
            ..Options::of(&place.target, load)
        }
    }

    /// From the part of the command line that every load has.
    pub(crate) fn of(target: &Target, load: &LoadArgs) -> Options {
        Options {
            target: target.clone(),
            duration: load.duration,
            warmup: load.warmup,
            rate: load.rate,
            pid: load.pid,
            stall: load.stall,
            ..Options::default()
        }
    }

    /// One line that says what was run, with `what` each connection does.
    pub(crate) fn headline(&self, what: &str) -> String {
        let (target, connections) = (&self.target, text::thousands(self.connections as i64));
        let tls = if self.tls.is_some() { " over TLS" } else { "" };
        let how = match self.rate {
            None => format!("depth {}", self.depth),
            Some(rate) => format!("open loop at {}/s", text::thousands(rate as i64)),
        };
        format!("{target}: {connections} connections{tls}, {what}, {how}")
    }
}
