//! The key-value load generators: SET, GET and INCR over RESP and over memcached's two protocols, every
//! value checked.
//!
//! `script.rs` says what a connection does and what it must get back; `resp.rs`, `text.rs` and `binary.rs`
//! say how that stands on the wire.

mod binary;
mod resp;
mod script;
mod text;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, ensure};
use clap::ArgAction;
use clap::builder::FalseyValueParser;
use serde_json::json;
use windlass_proto::Input;

pub use self::script::Mix;
use self::script::{Script, Step};
use crate::args::{self, Place};
use crate::load::{self, Bench, Fault, LoadArgs, Options, Speech, StreamArgs, Talk, Talker, Wire, excerpt};
use crate::pattern::{Pattern, Values};
use crate::text as words;

/// The options that key-value stores share.
#[derive(Debug, Clone, clap::Args)]
pub struct StoreArgs {
    /// Connections at once
    #[arg(short, long, value_name = "N", value_parser = args::count, default_value = "64", env = "WINDLASS_CONNECTIONS", hide_env = true)]
    pub connections: u64,
    /// Bytes of a value, as in 64, 16KiB, 1MiB
    #[arg(short, long, value_name = "SIZE", value_parser = args::size, default_value = "64", env = "WINDLASS_SIZE", hide_env = true)]
    pub size: usize,
    /// Keys, of all connections together; each has its share, and at least one
    #[arg(long, value_name = "N", value_parser = args::count, default_value = "1000", env = "WINDLASS_KEYS", hide_env = true)]
    pub keys: u64,
    /// How often each operation comes, in parts
    #[arg(long, value_name = "PARTS", default_value_t = Mix::default(), env = "WINDLASS_MIX", hide_env = true)]
    pub mix: Mix,
    /// What names of keys begin with. Two loads at once need different ones; what was stored stays
    #[arg(long, value_parser = prefix, default_value = "windlass-bench:", env = "WINDLASS_PREFIX", hide_env = true)]
    pub prefix: String,
    /// What every load has
    #[command(flatten)]
    pub load: LoadArgs,
    /// What every load over connections has
    #[command(flatten)]
    pub stream: StreamArgs,
}

/// The options of `resp`.
#[derive(Debug, Clone, clap::Args)]
pub struct RespArgs {
    /// The server: HOST:PORT or unix:PATH
    #[arg(default_value = "127.0.0.1:6379", env = "WINDLASS_TARGET", hide_env = true)]
    pub target: Place,
    /// Show the password in the first line of this file (AUTH)
    #[arg(long, value_name = "FILE", env = "WINDLASS_PASSWORD_FILE", hide_env = true)]
    pub password_file: Option<PathBuf>,
    /// What every load of a store has
    #[command(flatten)]
    pub store: StoreArgs,
}

/// The options of `memcached`.
#[derive(Debug, Clone, clap::Args)]
pub struct MemcachedArgs {
    /// The server: HOST:PORT or unix:PATH
    #[arg(default_value = "127.0.0.1:11211", env = "WINDLASS_TARGET", hide_env = true)]
    pub target: Place,
    /// Speak the binary protocol
    #[arg(long, env = "WINDLASS_BINARY", hide_env = true)]
    #[arg(action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub binary: bool,
    /// What every load of a store has
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Runs the RESP load as a command.
///
/// # Errors
/// The server cannot be reached, a reply was wrong, or nothing was served.
pub fn resp(args: RespArgs) -> Result<()> {
    let password = args.password_file.as_deref().map(args::first_line).transpose()?;
    let dialect = resp::Resp { password: password.map(Arc::from), replies: Default::default() };
    run(&args.target, &args.store, "resp", dialect)
}

/// Runs the memcached load as a command.
///
/// # Errors
/// The server cannot be reached, a reply was wrong, or nothing was served.
pub fn memcached(args: MemcachedArgs) -> Result<()> {
    let longest = KEY_MAX - args.store.prefix.len().min(KEY_MAX);
    ensure!(longest >= "4294967295:4294967295".len(), "the prefix is too long for memcached's keys");
    match args.binary {
        true => run(&args.target, &args.store, "memcached-binary", binary::Binary),
        false => run(&args.target, &args.store, "memcached", text::Text),
    }
}

/// The longest key of memcached, in bytes.
const KEY_MAX: usize = 250;

/// Spaces and line ends would end a key elsewhere.
fn prefix(text: &str) -> Result<String, String> {
    match text.bytes().find(|byte| !byte.is_ascii_graphic()) {
        Some(_) => Err("a prefix has printable ASCII characters and no spaces".into()),
        None => Ok(text.into()),
    }
}

fn run<D: Dialect>(place: &Place, args: &StoreArgs, kind: &str, dialect: D) -> Result<()> {
    let options = Options {
        connections: args.connections as usize,
        size: args.size,
        ..Options::new(place, &args.load, &args.stream)
    };
    let speech = KvSpeech {
        dialect,
        keys: (args.keys as usize).div_ceil(options.connections),
        size: args.size,
        mix: args.mix,
        prefix: args.prefix.as_str().into(),
        pattern: Arc::new(Pattern::new()),
    };
    load::command(&args.load, |tell| {
        let mut report = load::run(&speech, &options, tell)?;
        report.unit = "operations";
        let what = format!("{} values, {} keys, {}", words::bytes(args.size as f64), args.keys, args.mix);
        let more =
            json!({ "kind": kind, "keys": args.keys, "mix": args.mix.to_string(), "prefix": args.prefix });
        Ok(Bench::new(options.headline(&what), report, more))
    })
}

/// How the steps of a script stand on the wire.
trait Dialect: Clone + Send + Sync {
    /// Writes what stands before the first step; false: nothing does.
    fn greet(&self, out: &mut Vec<u8>) -> bool {
        let _ = out;
        false
    }

    /// Takes the answer to the greeting, if it is complete.
    fn greeted(&mut self, input: &mut Input<'_>) -> Result<bool, Fault> {
        let _ = input;
        Ok(true)
    }

    /// Writes a step.
    fn ask(&self, step: Step, names: &Names<'_>, out: &mut Vec<u8>);

    /// Takes the reply to `step`, if it is complete: whether it was. A wrong one is an error.
    fn hear(&mut self, step: Step, names: &Names<'_>, input: &mut Input<'_>) -> Result<bool, Fault>;
}

/// The names of a connection's keys, and their values.
struct Names<'n> {
    keys: &'n [String],
    counter: &'n str,
    number: usize,
    values: Values<'n>,
}

impl Names<'_> {
    /// Appends the value of a key in a version.
    fn write_value(&self, key: usize, version: u32, out: &mut Vec<u8>) {
        self.values.write((self.number, key, version), out);
    }

    /// Whether `value` is that; an error tells how it is not.
    fn check_value(&self, key: usize, version: u32, value: &[u8]) -> Result<(), Fault> {
        if self.values.is((self.number, key, version), value) {
            return Ok(());
        }
        let (name, got) = (&self.keys[key], excerpt(value));
        Err(Fault::Wrong(format!("{name} has another value than was stored: {got}, {} bytes", value.len())))
    }
}

#[derive(Clone)]
struct KvSpeech<D> {
    dialect: D,
    keys: usize,
    size: usize,
    mix: Mix,
    prefix: Arc<str>,
    pattern: Arc<Pattern>,
}

impl<D: Dialect> Speech for KvSpeech<D> {
    type Line = Talker<KvTalk<D>>;

    fn line(&self, wire: Wire, number: usize) -> Self::Line {
        let script = Script::new(number, self.keys, self.mix);
        let prefix = &self.prefix;
        let talk = KvTalk {
            dialect: self.dialect.clone(),
            keys: (0..self.keys).map(|key| format!("{prefix}{number}:{key}")).collect(),
            counter: format!("{prefix}{number}:n"),
            number,
            size: self.size,
            pattern: self.pattern.clone(),
            greeting: Greeting::Due,
            asked: script.clone(),
            heard: script,
            expected: None,
            open: false,
        };
        Talker::new(wire, talk)
    }

    fn open(&self, line: &mut Self::Line) -> Result<(), Fault> {
        line.open()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Greeting {
    Due,
    Sent,
    Done,
}

/// One connection's talk.
struct KvTalk<D> {
    dialect: D,
    keys: Vec<String>,
    counter: String,
    number: usize,
    size: usize,
    pattern: Arc<Pattern>,
    greeting: Greeting,
    /// What is asked next, and what is heard next.
    asked: Script,
    heard: Script,
    /// The step whose reply is not complete.
    expected: Option<Step>,
    /// Every key is stored.
    open: bool,
}

/// Steps that are sent at once while the keys are stored.
const FILLED_AT_ONCE: usize = 64;

impl<D: Dialect> Talk for KvTalk<D> {
    fn is_open(&self) -> bool {
        self.open
    }

    fn open(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.greeting == Greeting::Due {
            let greets = self.dialect.greet(out);
            self.greeting = if greets { Greeting::Sent } else { Greeting::Done };
        }
        for _ in 0..FILLED_AT_ONCE {
            if self.greeting == Greeting::Done && !self.asked.is_filled() {
                self.ask(out)?;
            }
        }
        Ok(())
    }

    fn ask(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let values = Values { pattern: &self.pattern, size: self.size };
        let names = Names { keys: &self.keys, counter: &self.counter, number: self.number, values };
        self.dialect.ask(self.asked.step(), &names, out);
        Ok(())
    }

    fn hear(&mut self, input: &mut Input<'_>, _: &mut Vec<u8>) -> Result<u64, Fault> {
        if self.greeting == Greeting::Sent {
            if !self.dialect.greeted(input)? {
                return Ok(0);
            }
            self.greeting = Greeting::Done;
        }
        let values = Values { pattern: &self.pattern, size: self.size };
        let names = Names { keys: &self.keys, counter: &self.counter, number: self.number, values };
        let mut answered = 0;
        while !input.is_empty() {
            let step = *self.expected.get_or_insert_with(|| self.heard.step());
            if !self.dialect.hear(step, &names, input)? {
                break;
            }
            self.expected = None;
            answered += u64::from(self.open);
            self.open |= step == Step::Reset;
        }
        Ok(answered)
    }

    fn renew(&mut self) {
        let script = Script::new(self.number, self.keys.len(), self.heard.mix());
        (self.asked, self.heard, self.expected) = (script.clone(), script, None);
        (self.greeting, self.open) = (Greeting::Due, false);
    }
}
