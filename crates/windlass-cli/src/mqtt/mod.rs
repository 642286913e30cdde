//! `windlass pub` and `windlass sub`: clients of an MQTT broker. Read `client` first, then the two jobs.

mod client;
pub(crate) mod format;
mod login;
pub(crate) mod place;
mod property;
mod publish;
mod subscribe;
mod talk;
#[cfg(feature = "tls")]
mod tls;

use std::fmt;
use std::io::{BufRead as _, Read as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use windlass::proto::mqtt::{Filter, PropertiesBuf, QoS, Topic};
use windlass::{Bytes, Limits, Mailbox, serve};

use self::client::{Client, End, Job, Note, Shared};
use self::login::Login;
use self::place::Place;
use self::property::Given;
use self::publish::{Lines, Publisher, Source};
use self::subscribe::Subscriber;
use self::talk::PACKET_MAX;
use crate::args::{BrokerArgs, PubArgs, SubArgs};
use crate::signals;

/// The path of a WebSocket that nobody has said.
const WEB_PATH: &str = "/mqtt";
/// The exit code when the time is up, as mosquitto_sub has it.
const TIMED_OUT: u8 = 27;
/// Lines that are read before they are published.
const LINES_AHEAD: usize = 256;
/// How long a connection may take to end.
const LEAVING: Duration = Duration::from_secs(5);

/// It ended with an exit code of its own; what there was to say was said.
#[derive(Debug)]
pub(crate) struct Ended(u8);

impl Ended {
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.0)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", self.0)
    }
}

impl std::error::Error for Ended {}

/// `windlass pub`.
pub(crate) fn publish(args: &PubArgs) -> Result<()> {
    let url = args.broker.url.as_ref();
    let topic = args.topic.clone().or_else(|| url.and_then(|url| url.topic.clone()));
    let topic = topic.context("where to? Give a topic with -t, or in the URL")?;
    Topic::new(&topic).map_err(|error| anyhow!("topic `{topic}`: {error}"))?;
    let login = Login::of(&args.broker)?;
    let mailbox = Mailbox::new();
    let (source, reader) = source(args, &mailbox)?;
    let mut job = Publisher::new(source, topic, QoS::from_bits(args.qos).unwrap_or_default(), args.retain);
    job.inflight_max = args.inflight_max;
    job.properties = PropertiesBuf::new();
    job.properties.extend(login.given.publish().properties(), |_| true);
    run(&args.broker, login, job, mailbox, None, reader)
}

/// `windlass sub`.
pub(crate) fn subscribe(args: &SubArgs) -> Result<()> {
    let mut filters = args.topic.clone();
    filters.extend(args.broker.url.as_ref().and_then(|url| url.topic.clone()));
    ensure!(
        !filters.is_empty() || !args.unsubscribe.is_empty(),
        "what of? Give a filter with -t, or in the URL"
    );
    for filter in filters.iter().chain(&args.unsubscribe).chain(&args.filter_out) {
        Filter::new(filter).map_err(|error| anyhow!("filter `{filter}`: {error}"))?;
    }
    let login = Login::of(&args.broker)?;
    let job = Subscriber::new(args, filters, Given::parse(&args.broker.property)?);
    run(&args.broker, login, job, Mailbox::new(), args.timeout, || Ok(()))
}

/// What is published, and what has to be started for it once the client runs.
fn source(args: &PubArgs, mailbox: &Mailbox<Note>) -> Result<(Source, impl FnOnce() -> Result<()> + use<>)> {
    let what = &args.what;
    let mut reading = None;
    let source = if what.lines {
        let (sender, lines) = sync_channel(LINES_AHEAD);
        let noted = Arc::new(AtomicBool::new(false));
        reading = Some((sender, noted.clone(), mailbox.clone()));
        Source::Lines(Lines { lines: Mutex::new(lines), noted })
    } else {
        let payload: Vec<u8> = match (&what.message, &what.file) {
            (Some(text), _) => text.clone().into(),
            (None, Some(path)) => {
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            (None, None) if what.stdin => {
                let mut payload = Vec::new();
                let read = std::io::stdin().lock().take(PACKET_MAX as u64 + 1).read_to_end(&mut payload);
                read.context("cannot read stdin")?;
                payload
            }
            (None, None) => Vec::new(),
        };
        ensure!(payload.len() <= PACKET_MAX, "a message of MQTT has at most {PACKET_MAX} bytes");
        Source::Same { payload: payload.into(), left: args.repeat, pause: args.repeat_delay }
    };
    let start = move || {
        let Some((sender, noted, mailbox)) = reading else { return Ok(()) };
        let read = move || read_lines(sender, &noted, &mailbox);
        std::thread::Builder::new().name("stdin".into()).spawn(read).map(drop).context("no thread")
    };
    Ok((source, start))
}

/// Reads stdin, which blocks, and tells the client now and then.
fn read_lines(sender: SyncSender<Bytes>, noted: &AtomicBool, mailbox: &Mailbox<Note>) {
    let note = || {
        if !noted.swap(true, Ordering::AcqRel) {
            // Full or gone: then it knows, or does not need to.
            let _ = mailbox.send(0, Note::More);
        }
    };
    let mut stdin = std::io::stdin().lock();
    loop {
        let mut line = Vec::new();
        match (&mut stdin).take(PACKET_MAX as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        // Blocks while the client has enough to do, and tells it of what is there before that.
        if let Err(full) = sender.try_send(line.into()) {
            note();
            let std::sync::mpsc::TrySendError::Full(line) = full else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
        note();
    }
    drop(sender);
    noted.store(false, Ordering::Release);
    note();
}

/// Runs a client to its end.
fn run<J: Job>(
    args: &BrokerArgs,
    login: Login,
    job: J,
    mailbox: Mailbox<Note>,
    timeout: Option<Duration>,
    start: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let place = Place::of(args)?;
    let quiet = login.is_quiet();
    let shared = Shared::default();
    // The engine's limits are for servers: here one connection may take what a message needs.
    let limits = Limits { output_max: PACKET_MAX + (64 << 20), drain_timeout: LEAVING, ..Limits::default() };
    let made = Mutex::new(Some(Client::new(job, login, place, shared.clone())));
    let make = move || {
        // There is one worker, which asks once.
        let mut made = made.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        made.take().expect("one worker has one client")
    };
    let bound = serve(make)
        .workers(1)
        .limits(limits)
        .idle_timeout(Duration::ZERO)
        .input_max(PACKET_MAX + 1)
        .mailbox(&mailbox)
        .bind()?;
    // Nobody can have set it before.
    let _ = shared.handle.set(bound.handle());
    let bound = signals::stop_on_signals(bound)?;
    start()?;
    if let Some(timeout) = timeout {
        let wait = move || {
            std::thread::sleep(timeout);
            let _ = mailbox.send(0, Note::TimeIsUp);
        };
        std::thread::Builder::new().name("timeout".into()).spawn(wait).context("no thread")?;
    }
    bound.run()?;
    match shared.end() {
        Some(End::Done) => Ok(()),
        // By a signal, before it came to anything.
        None => Err(Ended(1).into()),
        Some(End::Code(1, Some(why))) if !quiet => bail!(why),
        Some(End::Code(code, why)) => {
            if let Some(why) = why.filter(|_| !quiet) {
                crate::failure::report(&anyhow!(why));
            }
            Err(Ended(code).into())
        }
    }
}
