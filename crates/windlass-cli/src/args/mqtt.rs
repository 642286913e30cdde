//! What can be typed behind `windlass pub` and `windlass sub`: the letters of mosquitto_pub and mosquitto_sub.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, ValueEnum};

use crate::mqtt::format::Format;
use crate::mqtt::place::Url;
use crate::quantity;

/// All that can be published, in one line.
pub(super) const PUB_USAGE: &str = "windlass pub [OPTIONS] -t TOPIC {-m TEXT | -f FILE | -l | -s | -n}";

pub(super) const PUB_ABOUT: &str = "\
Publish messages to an MQTT broker

Flags and habits are those of mosquitto_pub. One message comes from the command line, a file or stdin, or one \
from each line of stdin. With QoS 1 and 2 the broker has it when this ends. A connection that is lost is made \
again, and what was not acknowledged is sent again.

The exit code is 0 if everything was published, 1 if not, and 2 if the command line is wrong; if the broker \
refuses the connection, it is the reason code of its answer (3.1.1: 1 to 5; 5.0: 128 and more).";

pub(super) const PUB_EXAMPLES: &str = "\
Every flag is an environment variable too: --host is WINDLASS_HOST. A password is best
there (WINDLASS_PASSWORD) or in a file: others see a command line.

Examples:
  windlass pub -t home/kitchen/temperature -m 21.5
      To the broker at localhost:1883.
  windlass pub -L mqtts://user@example.com/home/door -m open -q 1 -r --password-file secret
      Over TLS, retained, with QoS 1.
  journalctl -f | windlass pub -t log -l
      A message for each line.
  windlass pub -t cam/1 -f picture.jpg -V 5 -D publish content-type image/jpeg
      A file, and what it is.
  windlass pub -t home/kitchen/temperature -n -r
      Takes a retained message back.";

pub(super) const SUB_ABOUT: &str = "\
Subscribe to topics of an MQTT broker, and print what comes

Flags and habits are those of mosquitto_sub. A connection that is lost is made again. Ctrl-C ends it in good \
order.

The exit code is 0 if it ended as it was told to, 1 if something failed, 2 if the command line is wrong, and 27 \
if -W ran out; if the broker refuses the connection, it is the reason code of its answer (3.1.1: 1 to 5; \
5.0: 128 and more).";

pub(super) const SUB_EXAMPLES: &str = "\
Every flag is an environment variable too: --host is WINDLASS_HOST. A password is best
there (WINDLASS_PASSWORD) or in a file: others see a command line.

A format is text, with
  %t topic, %p payload, %x %X payload in hexadecimal, %l its length, %q QoS, %r retained,
  %m packet identifier; of version 5: %A topic alias, %C content type, %D correlation,
  %E expiry, %F payload format, %P user properties, %R response topic, %S subscription;
  %I time (ISO 8601), %U Unix time, %j %J JSON with the payload as a string or as it is,
  %% a percent sign; %-10t and %10.10t are widths; @Y is strftime(3)'s %Y, @N nanoseconds;
  \\n \\t \\0 \\e and the like.

Examples:
  windlass sub -t 'home/#' -v
      Topic and payload of everything below home.
  windlass sub -t '$SYS/#' -F '@H:@M:@S %-50t %p'
      With the time, in columns.
  windlass sub -t answer -C 1 -W 5
      One message, or exit code 27 after five seconds.
  windlass sub -L wss://example.com/mqtt -t 'a/+' -F %j | jq .payload
      Over WebSocket, as JSON.
  windlass sub -t 'old/#' --retained-only --remove-retained -W 2
      Takes all retained messages below old back.";

const BROKER: &str = "Broker";
const SESSION: &str = "Session";
const WILL: &str = "Will";
#[cfg(feature = "tls")]
const TLS: &str = "TLS";
const MESSAGES: &str = "Messages";
const PRINTING: &str = "Printing";

/// Where the broker is, and who is there.
#[derive(Args)]
pub(crate) struct BrokerArgs {
    /// The broker's name or address
    #[arg(short = 'h', long, value_name = "HOST", default_value = "localhost", help_heading = BROKER)]
    #[arg(env = "WINDLASS_HOST", hide_env = true)]
    pub(crate) host: String,

    /// Its port [default: 1883; with TLS 8883; with --ws 80 and 443]
    #[arg(short, long, value_name = "PORT", help_heading = BROKER)]
    #[arg(env = "WINDLASS_PORT", hide_env = true)]
    pub(crate) port: Option<u16>,

    /// All in one: mqtt://USER:PASSWORD@HOST:PORT/TOPIC, or mqtts; or ws and wss, whose path is the
    /// WebSocket's
    #[arg(short = 'L', long, value_name = "URL", help_heading = BROKER, conflicts_with_all = ["port", "unix"])]
    #[arg(env = "WINDLASS_URL", hide_env = true)]
    pub(crate) url: Option<Url>,

    /// A Unix socket instead
    #[arg(long, value_name = "PATH", help_heading = BROKER, conflicts_with = "port")]
    #[arg(env = "WINDLASS_UNIX", hide_env = true)]
    pub(crate) unix: Option<PathBuf>,

    /// Over WebSocket, at this path
    #[arg(long, value_name = "PATH", help_heading = BROKER, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "/mqtt", env = "WINDLASS_WS", hide_env = true)]
    pub(crate) ws: Option<String>,

    /// Connect from this address
    #[arg(short = 'A', long, value_name = "IP", help_heading = BROKER)]
    #[arg(env = "WINDLASS_BIND", hide_env = true)]
    pub(crate) bind: Option<std::net::IpAddr>,

    /// The version of MQTT
    #[arg(short = 'V', long, value_enum, value_name = "VERSION", default_value_t = Spoken::V311, help_heading = SESSION)]
    #[arg(env = "WINDLASS_PROTOCOL", hide_env = true)]
    pub(crate) protocol: Spoken,

    /// The client identifier [default: windlass- and the process id]
    #[arg(short, long, value_name = "ID", help_heading = SESSION, conflicts_with = "id_prefix")]
    #[arg(env = "WINDLASS_ID", hide_env = true)]
    pub(crate) id: Option<String>,

    /// What the client identifier begins with; the process id follows
    #[arg(short = 'I', long, value_name = "PREFIX", help_heading = SESSION)]
    #[arg(env = "WINDLASS_ID_PREFIX", hide_env = true)]
    pub(crate) id_prefix: Option<String>,

    /// Connect as this user
    #[arg(short, long, value_name = "NAME", help_heading = SESSION)]
    #[arg(env = "WINDLASS_USERNAME", hide_env = true)]
    pub(crate) username: Option<String>,

    /// The password; others on this machine can see it
    #[arg(short = 'P', long, value_name = "TEXT", help_heading = SESSION, conflicts_with = "password_file")]
    #[arg(env = "WINDLASS_PASSWORD", hide_env = true, hide_env_values = true)]
    pub(crate) password: Option<String>,

    /// The password, in the first line of this file
    #[arg(long, value_name = "FILE", help_heading = SESSION)]
    #[arg(env = "WINDLASS_PASSWORD_FILE", hide_env = true)]
    pub(crate) password_file: Option<PathBuf>,

    /// Seconds of silence after which the broker is asked whether it is there; 0 is never
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60, help_heading = SESSION)]
    #[arg(env = "WINDLASS_KEEP_ALIVE", hide_env = true)]
    pub(crate) keep_alive: u16,

    /// Go on with the session that the broker has of this client identifier, and have it keep it
    #[arg(short = 'c', long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(help_heading = SESSION, env = "WINDLASS_KEEP_SESSION", hide_env = true)]
    pub(crate) keep_session: bool,

    /// Seconds that the session outlives its connection, with version 5; -1 is for ever [default: 0;
    /// with -c -1]
    #[arg(short = 'x', long, value_name = "SECONDS", help_heading = SESSION, allow_negative_numbers = true)]
    #[arg(env = "WINDLASS_SESSION_EXPIRY", hide_env = true, value_parser = expiry)]
    pub(crate) session_expiry: Option<u32>,

    /// A property of version 5 in a packet: COMMAND NAME VALUE, as in publish content-type text/plain; a
    /// user-property has a name and a value. May be given several times
    #[arg(short = 'D', long, value_names = ["COMMAND", "NAME", "VALUE"], num_args = 1..=4, help_heading = SESSION)]
    #[arg(action = ArgAction::Append, env = "WINDLASS_PROPERTY", hide_env = true)]
    pub(crate) property: Vec<String>,

    #[command(flatten)]
    pub(crate) will: WillArgs,

    #[cfg(feature = "tls")]
    #[command(flatten)]
    pub(crate) tls: TlsArgs,

    /// Tell on stderr what is said and heard
    #[arg(short, long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(help_heading = PRINTING, env = "WINDLASS_DEBUG", hide_env = true)]
    pub(crate) debug: bool,

    /// Print no errors
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(help_heading = PRINTING, env = "WINDLASS_QUIET", hide_env = true)]
    pub(crate) quiet: bool,

    /// Print help
    #[arg(long, action = ArgAction::HelpLong, help_heading = PRINTING)]
    help: Option<bool>,
}

/// What the broker publishes when this client is gone.
#[derive(Args)]
pub(crate) struct WillArgs {
    /// Have the broker publish to this topic if this client is gone without a word
    #[arg(long, value_name = "TOPIC", help_heading = WILL, env = "WINDLASS_WILL_TOPIC", hide_env = true)]
    pub(crate) will_topic: Option<String>,

    /// This; otherwise nothing is in it
    #[arg(long, value_name = "TEXT", help_heading = WILL, requires = "will_topic")]
    #[arg(env = "WINDLASS_WILL_PAYLOAD", hide_env = true)]
    pub(crate) will_payload: Option<String>,

    /// With this QoS
    #[arg(long, value_name = "QOS", default_value_t = 0, help_heading = WILL)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=2), env = "WINDLASS_WILL_QOS", hide_env = true)]
    pub(crate) will_qos: u8,

    /// And retain it
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = WILL)]
    #[arg(env = "WINDLASS_WILL_RETAIN", hide_env = true)]
    pub(crate) will_retain: bool,
}

/// How TLS is spoken: if any of these, or an URL, asks for it.
#[cfg(feature = "tls")]
#[derive(Args)]
pub(crate) struct TlsArgs {
    /// Speak TLS, and trust the certificates in this PEM file
    #[arg(long, value_name = "FILE", help_heading = TLS, env = "WINDLASS_CAFILE", hide_env = true)]
    pub(crate) cafile: Option<PathBuf>,

    /// Speak TLS, and trust the certificates in the PEM files of this folder
    #[arg(long, value_name = "FOLDER", help_heading = TLS, env = "WINDLASS_CAPATH", hide_env = true)]
    pub(crate) capath: Option<PathBuf>,

    /// Speak TLS, and trust whom the system trusts; an URL of mqtts or wss means that, too
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = TLS)]
    #[arg(env = "WINDLASS_TLS_USE_OS_CERTS", hide_env = true)]
    pub(crate) tls_use_os_certs: bool,

    /// The certificate chain to show, as PEM
    #[arg(long, value_name = "FILE", requires = "key", help_heading = TLS)]
    #[arg(env = "WINDLASS_CERT", hide_env = true)]
    pub(crate) cert: Option<PathBuf>,

    /// Its private key, as PEM
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = TLS)]
    #[arg(env = "WINDLASS_KEY", hide_env = true)]
    pub(crate) key: Option<PathBuf>,

    /// The name that the broker's certificate must have [default: as the broker is addressed]
    #[arg(long, value_name = "NAME", help_heading = TLS, env = "WINDLASS_TLS_NAME", hide_env = true)]
    pub(crate) tls_name: Option<String>,

    /// Offer this protocol (ALPN)
    #[arg(long, value_name = "NAME", help_heading = TLS, env = "WINDLASS_TLS_ALPN", hide_env = true)]
    pub(crate) tls_alpn: Option<String>,

    /// Speak this version alone [default: both]
    #[arg(long, value_enum, value_name = "VERSION", help_heading = TLS)]
    #[arg(env = "WINDLASS_TLS_VERSION", hide_env = true)]
    pub(crate) tls_version: Option<TlsSpoken>,
}

/// A version of TLS.
#[cfg(feature = "tls")]
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TlsSpoken {
    /// TLS 1.2
    #[value(name = "tlsv1.2")]
    V12,
    /// TLS 1.3
    #[value(name = "tlsv1.3")]
    V13,
}

/// A version of MQTT, by the names that people have for it.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Spoken {
    /// MQTT 3.1.1
    #[value(name = "3.1.1", aliases = ["311", "4", "mqttv311"])]
    V311,
    /// MQTT 5.0
    #[value(name = "5", aliases = ["5.0", "mqttv5"])]
    V5,
}

/// The flags of `windlass pub`.
#[derive(Args)]
pub(crate) struct PubArgs {
    /// Where to publish; an URL may have it
    #[arg(short, long, value_name = "TOPIC", help_heading = MESSAGES, env = "WINDLASS_TOPIC", hide_env = true)]
    pub(crate) topic: Option<String>,

    #[command(flatten)]
    pub(crate) what: WhatArgs,

    /// The QoS of the messages
    #[arg(short, long, value_name = "QOS", default_value_t = 0, help_heading = MESSAGES)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=2), env = "WINDLASS_QOS", hide_env = true)]
    pub(crate) qos: u8,

    /// Have the broker retain them
    #[arg(short, long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = MESSAGES)]
    #[arg(env = "WINDLASS_RETAIN", hide_env = true)]
    pub(crate) retain: bool,

    /// Publish a message so many times
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = MESSAGES, conflicts_with = "lines")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..), env = "WINDLASS_REPEAT", hide_env = true)]
    pub(crate) repeat: u64,

    /// And wait so many seconds in between, as in 1, 0.5 or 100ms
    #[arg(long, value_name = "TIME", default_value = "0", help_heading = MESSAGES)]
    #[arg(value_parser = seconds, env = "WINDLASS_REPEAT_DELAY", hide_env = true)]
    pub(crate) repeat_delay: Duration,

    /// Messages of QoS 1 and 2 under way at once
    #[arg(short = 'M', long, value_name = "N", default_value_t = 20, help_heading = MESSAGES)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..), env = "WINDLASS_INFLIGHT_MAX", hide_env = true)]
    pub(crate) inflight_max: u16,

    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
}

/// What is published.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WhatArgs {
    /// This text
    #[arg(short, long, value_name = "TEXT", help_heading = MESSAGES, allow_hyphen_values = true)]
    #[arg(env = "WINDLASS_MESSAGE", hide_env = true)]
    pub(crate) message: Option<String>,

    /// What is in this file
    #[arg(short, long, value_name = "FILE", help_heading = MESSAGES, env = "WINDLASS_FILE", hide_env = true)]
    pub(crate) file: Option<PathBuf>,

    /// Each line of stdin
    #[arg(short, long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = MESSAGES)]
    #[arg(env = "WINDLASS_LINES", hide_env = true)]
    pub(crate) lines: bool,

    /// All of stdin
    #[arg(short, long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = MESSAGES)]
    #[arg(env = "WINDLASS_STDIN", hide_env = true)]
    pub(crate) stdin: bool,

    /// Nothing: an empty message
    #[arg(short, long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new(), help_heading = MESSAGES)]
    #[arg(env = "WINDLASS_NOTHING", hide_env = true)]
    pub(crate) nothing: bool,
}

/// The flags of `windlass sub`.
#[derive(Args)]
pub(crate) struct SubArgs {
    /// A filter of topics; an URL may have it. May be given several times
    #[arg(short, long, value_name = "FILTER", help_heading = MESSAGES, env = "WINDLASS_TOPIC", hide_env = true)]
    pub(crate) topic: Vec<String>,

    /// Take back a subscription of the session. May be given several times
    #[arg(short = 'U', long, value_name = "FILTER", help_heading = MESSAGES)]
    #[arg(env = "WINDLASS_UNSUBSCRIBE", hide_env = true)]
    pub(crate) unsubscribe: Vec<String>,

    /// Print nothing of topics that this filter matches. May be given several times
    #[arg(short = 'T', long, value_name = "FILTER", help_heading = MESSAGES)]
    #[arg(env = "WINDLASS_FILTER_OUT", hide_env = true)]
    pub(crate) filter_out: Vec<String>,

    /// The highest QoS of what comes
    #[arg(short, long, value_name = "QOS", default_value_t = 0, help_heading = MESSAGES)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=2), env = "WINDLASS_QOS", hide_env = true)]
    pub(crate) qos: u8,

    /// End after so many messages
    #[arg(short = 'C', long, value_name = "N", help_heading = MESSAGES)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..), env = "WINDLASS_COUNT", hide_env = true)]
    pub(crate) count: Option<u64>,

    /// End after so many seconds, with exit code 27
    #[arg(short = 'W', long, value_name = "TIME", help_heading = MESSAGES)]
    #[arg(value_parser = seconds, env = "WINDLASS_TIMEOUT", hide_env = true)]
    pub(crate) timeout: Option<Duration>,

    /// End when the broker has answered to all subscriptions
    #[arg(short = 'E', long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(help_heading = MESSAGES, env = "WINDLASS_EXIT_AFTER_SUBSCRIBE", hide_env = true)]
    pub(crate) exit_after_subscribe: bool,

    /// Nothing that was retained
    #[arg(short = 'R', long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(help_heading = MESSAGES, conflicts_with = "retained_only", env = "WINDLASS_NO_RETAINED", hide_env = true)]
    pub(crate) no_retained: bool,

    /// Only what was retained; end with the first message that was not
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(help_heading = MESSAGES, env = "WINDLASS_RETAINED_ONLY", hide_env = true)]
    pub(crate) retained_only: bool,

    /// Take back every retained message that comes, but for those of -T
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(help_heading = MESSAGES, env = "WINDLASS_REMOVE_RETAINED", hide_env = true)]
    pub(crate) remove_retained: bool,

    /// Print the topic in front of each message
    #[arg(short, long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(help_heading = PRINTING, env = "WINDLASS_VERBOSE", hide_env = true)]
    pub(crate) verbose: bool,

    /// Print each message like this: see below
    #[arg(short = 'F', long, value_name = "FORMAT", help_heading = PRINTING, conflicts_with = "verbose")]
    #[arg(env = "WINDLASS_FORMAT", hide_env = true, value_parser = Format::parse)]
    pub(crate) format: Option<Format>,

    /// Print JSON for people, in lines
    #[arg(long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(help_heading = PRINTING, env = "WINDLASS_PRETTY", hide_env = true)]
    pub(crate) pretty: bool,

    /// End no line behind a message
    #[arg(short = 'N', long, action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    #[arg(help_heading = PRINTING, env = "WINDLASS_NO_NEWLINE", hide_env = true)]
    pub(crate) no_newline: bool,

    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
}

/// Seconds for a session; -1 and its like is for ever.
fn expiry(text: &str) -> Result<u32, String> {
    match text {
        "-1" | "∞" | "never" => Ok(u32::MAX),
        text => text.parse().map_err(|_| "seconds, or -1".into()),
    }
}

/// A bare number is seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) => {
            Duration::try_from_secs_f64(seconds).map_err(|_| "so many seconds there are not".into())
        }
        Err(_) => quantity::duration(text),
    }
}
