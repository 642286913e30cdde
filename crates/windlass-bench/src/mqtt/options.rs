//! What a run of the MQTT load is told: the command line, and the plain data behind it.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, ensure};
use clap::builder::FalseyValueParser;
use clap::{ArgAction, ValueEnum};
use windlass_proto::mqtt::{QoS, Version};

use super::flow::HEAD;
use super::peer::Login;
use crate::args::{self, Place};
use crate::load::{LoadArgs, Options, StreamArgs};
use crate::text;
use crate::url::Url;

/// Who publishes to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// As many publishers as subscribers, each with a topic that only those two know.
    Pairs,
    /// Many publishers of one topic, and one subscriber.
    FanIn,
    /// One publisher, and many subscribers.
    FanOut,
    /// Publishers alone: what is counted is what the broker acknowledges.
    Publish,
    /// Each connection is opened, subscribes, and is closed; as many at once as connections.
    Connect,
    /// Connections with one subscription each, and silence: what do they cost the broker?
    Idle,
}

/// A version of the protocol, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Spoken {
    /// MQTT 5.0
    #[value(name = "5", alias = "5.0")]
    V5,
    /// MQTT 3.1.1
    #[value(name = "3.1.1", alias = "311", alias = "4")]
    V311,
}

impl From<Spoken> for Version {
    fn from(spoken: Spoken) -> Version {
        match spoken {
            Spoken::V5 => Version::V5,
            Spoken::V311 => Version::V311,
        }
    }
}

/// Where a broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    place: Place,
    secure: bool,
    /// Host and path of the WebSocket.
    web: Option<(String, String)>,
}

/// The path of a WebSocket that was typed without one.
const WEB_PATH: &str = "/mqtt";

impl FromStr for Broker {
    type Err = String;

    fn from_str(text: &str) -> Result<Broker, String> {
        let (secure, rest) = match text.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            Some(("ws" | "wss", _)) => {
                let url: Url = text.parse()?;
                let path = if url.path == "/" { WEB_PATH.into() } else { url.path };
                let web = Some((url.authority, path));
                return Ok(Broker { place: url.place, secure: url.secure, web });
            }
            Some((other, _)) => return Err(format!("`{other}` is no scheme of MQTT: mqtt, mqtts, ws, wss")),
            None => (false, text),
        };
        let rest = rest.trim_end_matches('/');
        let with_port = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let place = match with_port || rest.starts_with("unix:") {
            true => rest.parse()?,
            false if rest.is_empty() => return Err(format!("`{text}` names no broker")),
            false => format!("{rest}:{}", if secure { 8883 } else { 1883 }).parse()?,
        };
        Ok(Broker { place, secure, web: None })
    }
}

/// The options of `windlass bench mqtt` and `windlass-bench mqtt`.
#[derive(Debug, Clone, clap::Args)]
pub struct MqttArgs {
    /// The broker: HOST:PORT, unix:PATH, or an URL of mqtt, mqtts, ws or wss
    #[arg(value_name = "URL", default_value = "127.0.0.1:1883", env = "WINDLASS_TARGET", hide_env = true)]
    pub target: Broker,
    /// Who publishes to whom
    #[arg(long, value_enum, default_value = "pairs", env = "WINDLASS_MODE", hide_env = true)]
    pub mode: Mode,
    /// Pairs, publishers, subscribers or connections at once, as the mode says [default: 100;
    /// fan-in and fan-out 1000, connect 1, idle 9000]
    #[arg(short, long, value_name = "N", value_parser = args::count, env = "WINDLASS_CONNECTIONS", hide_env = true)]
    pub connections: Option<u64>,
    /// Bytes of a payload, as in 64, 16KiB; at least 8
    #[arg(short, long, value_name = "SIZE", value_parser = args::size, default_value = "64", env = "WINDLASS_SIZE", hide_env = true)]
    pub size: usize,
    /// The QoS of messages and subscriptions
    #[arg(short, long, value_name = "QOS", default_value = "0", env = "WINDLASS_QOS", hide_env = true)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,
    /// The version of the protocol
    #[arg(
        long,
        value_enum,
        value_name = "VERSION",
        default_value = "5",
        env = "WINDLASS_PROTOCOL",
        hide_env = true
    )]
    pub protocol: Spoken,
    /// Publish retained messages; each topic's is taken back at the end
    #[arg(long, env = "WINDLASS_RETAIN", hide_env = true)]
    #[arg(action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub retain: bool,
    /// Subscribe with sessions that outlive their connections
    #[arg(long, env = "WINDLASS_DURABLE", hide_env = true)]
    #[arg(action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub durable: bool,
    /// Subscribers beside those that are measured, that never read: do the others wait for them?
    #[arg(long, value_name = "N", value_parser = args::count, env = "WINDLASS_STALLED", hide_env = true)]
    pub stalled: Option<u64>,
    /// What topics and client identifiers begin with; this process's number follows
    #[arg(long, value_name = "TEXT", default_value = "bench", env = "WINDLASS_PREFIX", hide_env = true, value_parser = prefix)]
    pub prefix: String,
    /// Connect as this user
    #[arg(long, value_name = "NAME", env = "WINDLASS_USERNAME", hide_env = true)]
    pub username: Option<String>,
    /// The password, in the first line of this file
    #[arg(long, value_name = "FILE", env = "WINDLASS_PASSWORD_FILE", hide_env = true)]
    pub password_file: Option<PathBuf>,
    /// What every load has
    #[command(flatten)]
    pub load: LoadArgs,
    /// What every load over connections has
    #[command(flatten)]
    pub stream: StreamArgs,
}

fn prefix(text: &str) -> Result<String, String> {
    match text.chars().find(|char| !char.is_ascii_alphanumeric() && !"-_./".contains(*char)) {
        Some(_) => Err("a prefix has letters, digits, -, _, . and /".into()),
        None => Ok(text.into()),
    }
}

/// One run of the generator, as plain data.
#[derive(Debug, Clone)]
pub(crate) struct MqttOptions {
    /// What every load is told: `connections` are all of them, `depth` is of one publisher.
    pub(crate) load: Options,
    pub(crate) mode: Mode,
    /// Pairs, publishers, subscribers, as the mode says.
    pub(crate) count: usize,
    pub(crate) qos: QoS,
    pub(crate) version: Version,
    pub(crate) retain: bool,
    pub(crate) durable: bool,
    /// Subscribers of the first topic that never read.
    pub(crate) stalled: usize,
    /// What topics and client identifiers begin with: another in each run.
    pub(crate) run: String,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) web: Option<(String, String)>,
}

impl MqttOptions {
    /// So many of a mode at `load.target`, as anybody, with version 5.
    pub(crate) fn new(load: Options, mode: Mode, count: usize, qos: u8) -> MqttOptions {
        let qos = QoS::from_bits(qos).unwrap_or_default();
        let run = format!("bench-{}", std::process::id());
        let (user, password, web) = (None, None, None);
        let version = Version::V5;
        let this = MqttOptions {
            load,
            mode,
            count,
            qos,
            version,
            retain: false,
            durable: false,
            stalled: 0,
            run,
            user,
            password,
            web,
        };
        this.counted()
    }

    /// From the command line.
    ///
    /// # Errors
    /// The password cannot be read, or what is asked for cannot be done.
    pub(crate) fn of(args: &MqttArgs) -> Result<MqttOptions> {
        let count = args.connections.unwrap_or(match args.mode {
            Mode::Pairs | Mode::Publish => 100,
            Mode::FanIn | Mode::FanOut => 1000,
            Mode::Connect => 1,
            Mode::Idle => 9000,
        });
        let Broker { place, secure, web } = args.target.clone();
        let stream = secured(args.stream.clone(), secure)?;
        let load = Options { size: args.size, ..Options::new(&place, &args.load, &stream) };
        let qos = QoS::from_bits(args.qos).unwrap_or_default();
        ensure!(args.size >= HEAD, "a payload has {HEAD} bytes at least, which say what it is");
        ensure!(
            args.mode != Mode::Publish || qos != QoS::AtMostOnce,
            "nobody subscribes in this mode, and nothing is acknowledged with QoS 0: give --qos 1 or 2"
        );
        ensure!(
            load.rate.is_none() || !matches!(args.mode, Mode::Connect | Mode::Idle),
            "--rate is for messages, and there are none in this mode"
        );
        let password = args.password_file.as_deref().map(args::first_line).transpose()?;
        let run = format!("{}-{}", args.prefix, std::process::id());
        let (user, version) = (args.username.clone(), args.protocol.into());
        let (retain, durable) = (args.retain, args.durable);
        let stalled = args.stalled.unwrap_or(0) as usize;
        ensure!(
            stalled == 0 || !matches!(args.mode, Mode::Publish | Mode::Connect | Mode::Idle),
            "nobody who is measured subscribes in this mode: --stalled is for the others"
        );
        let options = MqttOptions {
            user,
            password,
            web,
            version,
            retain,
            durable,
            stalled,
            run,
            ..MqttOptions::new(load, args.mode, count as usize, args.qos)
        };
        Ok(options.counted())
    }

    /// With as many connections and threads as that takes.
    fn counted(mut self) -> MqttOptions {
        let (publishers, subscribers) = self.group();
        let groups = self.groups();
        self.load.connections = groups * (publishers + subscribers) + self.stalled;
        self.load.churn = self.mode == Mode::Connect;
        self.load.threads = self.load.threads.min(groups);
        self
    }

    /// Groups of publishers and subscribers that know of each other.
    pub(super) fn groups(&self) -> usize {
        match self.mode {
            Mode::FanIn | Mode::FanOut => 1,
            _ => self.count,
        }
    }

    /// Publishers and subscribers in a group.
    pub(super) fn group(&self) -> (usize, usize) {
        match self.mode {
            Mode::Pairs => (1, 1),
            Mode::FanIn => (self.count, 1),
            Mode::FanOut => (1, self.count),
            Mode::Publish => (1, 0),
            Mode::Connect | Mode::Idle => (0, 1),
        }
    }

    pub(super) fn login(&self) -> Login {
        Login {
            version: self.version,
            user: self.user.clone(),
            password: self.password.clone(),
            web: self.web.clone(),
        }
    }

    /// What is done, for the headline.
    pub(super) fn what(&self) -> String {
        let n = text::thousands(self.count as i64);
        let s = text::plural(self.count as u64);
        let what = match self.mode {
            Mode::Pairs => format!("{n} pair{s}"),
            Mode::FanIn => format!("{n} publisher{s} to one subscriber"),
            Mode::FanOut => format!("one publisher to {n} subscriber{s}"),
            Mode::Publish => format!("{n} publisher{s} alone"),
            Mode::Connect => "each subscribes and is closed".into(),
            Mode::Idle => "each subscribes and is silent".into(),
        };
        let version = if self.version == Version::V5 { "5.0" } else { "3.1.1" };
        let more =
            [(self.retain, ", retained"), (self.durable, ", durable"), (self.web.is_some(), ", WebSocket")];
        let stalled = match self.stalled {
            0 => String::new(),
            n => format!(", {} that never read{}", text::thousands(n as i64), if n == 1 { "s" } else { "" }),
        };
        let more: String = more.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
        let size = text::bytes(self.load.size as f64);
        format!("MQTT {version}{more}, {what}{stalled}, {size} with QoS {}", self.qos as u8)
    }
}

/// With TLS, if the URL asks for it.
fn secured(stream: StreamArgs, secure: bool) -> Result<StreamArgs> {
    #[cfg(feature = "tls")]
    return Ok(StreamArgs { tls: stream.tls || secure, ..stream });
    #[cfg(not(feature = "tls"))]
    {
        ensure!(!secure, "this was built without TLS");
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Target;

    #[test]
    fn brokers() {
        for (text, secure, web, target) in [
            ("127.0.0.1", false, None, "127.0.0.1:1883"),
            ("mqtt://127.0.0.1", false, None, "127.0.0.1:1883"),
            ("mqtt://[::1]:1884/", false, None, "[::1]:1884"),
            ("mqtts://127.0.0.1", true, None, "127.0.0.1:8883"),
            ("unix:/run/hub", false, None, "unix:/run/hub"),
            ("ws://127.0.0.1:9001", false, Some(("127.0.0.1:9001", "/mqtt")), "127.0.0.1:9001"),
            ("wss://127.0.0.1/x?y", true, Some(("127.0.0.1", "/x?y")), "127.0.0.1:443"),
        ] {
            let broker: Broker = text.parse().unwrap();
            let web = web.map(|(host, path): (&str, &str)| (host.to_owned(), path.to_owned()));
            assert_eq!((broker.secure, broker.web), (secure, web), "{text}");
            assert_eq!(broker.place.target.to_string(), target);
        }
        for text in ["", "mqtt://", "http://127.0.0.1", "ws://"] {
            assert!(text.parse::<Broker>().is_err(), "{text}");
        }
    }

    #[test]
    fn connections_are_counted_by_the_mode() {
        for (mode, connections, threads) in [
            (Mode::Pairs, 20, 3),
            (Mode::FanIn, 11, 1),
            (Mode::FanOut, 11, 1),
            (Mode::Publish, 10, 3),
            (Mode::Connect, 10, 3),
        ] {
            let load = Options { threads: 3, target: Target::Unix("x".into()), ..Options::default() };
            let options = MqttOptions::new(load, mode, 10, 1);
            assert_eq!((options.load.connections, options.load.threads), (connections, threads), "{mode:?}");
        }
    }
}
