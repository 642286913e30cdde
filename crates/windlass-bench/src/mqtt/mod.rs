//! The MQTT load generator: publishers and subscribers in groups, every delivery verified.
//!
//! A message is one delivery: it goes from a publisher through the broker to a subscriber, and carries who
//! published it and the how manieth it is. So what is lost, comes twice, out of order or changed is found. A
//! publisher has so many messages under way as the window allows; a message is done when every subscriber has
//! it and, with QoS 1 and 2, the broker has acknowledged it.
//!
//! Read `flow` for what is verified, `drive` for the loop, `peer` for what a client says.

mod drive;
mod flow;
mod idle;
mod options;
mod peer;
mod storm;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

pub use options::{Broker, Mode, MqttArgs, Spoken};

pub(crate) use idle::run as hold;
pub(crate) use options::MqttOptions;
pub(crate) use storm::StormSpeech;

use self::drive::MqttLoad;
use self::peer::Login;

use crate::latency::Latency;
use crate::load::{self, At, Bench, Meter, Options, Pace, Part, Progress, Report, ServerUse, Share, Tally};
use crate::net::{Dialer, allow_descriptors};
use crate::proc::Cpu;
use crate::{clock, text};

/// How often stalls are looked for, in nanoseconds.
const CHECK: u64 = 50_000_000;
/// How long a broker may go on working after its slice.
const SETTLES: Duration = Duration::from_millis(2);

/// Runs the generator as a command.
///
/// # Errors
/// The broker cannot be reached or refuses, a message was lost, came twice or changed, or none was delivered.
pub fn main(args: MqttArgs) -> Result<()> {
    let options = MqttOptions::of(&args)?;
    load::command(&args.load, |tell| {
        let headline = options.load.headline(&options.what());
        match options.mode {
            Mode::Idle => {
                let (report, idle) = idle::run(&options, tell)?;
                let mut words = idle.to_text();
                // Writing to a string cannot fail.
                let _ = report.write_verdict(&mut words);
                let bench = Bench::new(headline, report, more(&options, None, Some(idle.to_json())));
                Ok(Bench { text: words, ..bench })
            }
            Mode::Connect => {
                let report = load::run(&StormSpeech::new(&options), &options.load, tell)?;
                Ok(Bench::new(headline, report, more(&options, None, None)))
            }
            _ => {
                let (report, acknowledged) = run(&options, tell)?;
                let mut words = String::new();
                let _ = report.write_figures(&mut words);
                if !acknowledged.is_empty() {
                    let [p50, p99] =
                        [50.0, 99.0].map(|percent| text::micros(acknowledged.percentile(percent)));
                    let max = text::micros(acknowledged.max());
                    let n = text::thousands(acknowledged.len() as i64);
                    let _ = writeln!(words, "acks      {n}: p50 {p50}, p99 {p99}, max {max}");
                }
                let _ = report.write_verdict(&mut words);
                let bench = Bench::new(headline, report, more(&options, Some(&acknowledged), None));
                Ok(Bench { text: words, ..bench })
            }
        }
    })
}

/// What MQTT adds to the JSON of every load.
fn more(options: &MqttOptions, acknowledged: Option<&Latency>, idle: Option<Value>) -> Value {
    let mode = clap::ValueEnum::to_possible_value(&options.mode);
    let (publishers, subscribers) = options.group();
    json!({
        "kind": "mqtt",
        "mode": mode.map(|mode| mode.get_name().to_owned()),
        "publishers": publishers * options.groups(),
        "subscribers": subscribers * options.groups(),
        "qos": options.qos as u8,
        "protocol": if options.version == windlass_proto::mqtt::Version::V5 { "5" } else { "3.1.1" },
        "retain": options.retain,
        "durable": options.durable,
        "stalled": options.stalled,
        "websocket": options.web.is_some(),
        "acknowledged_us": acknowledged.filter(|it| !it.is_empty()).map(Latency::to_json),
        "idle": idle,
    })
}

/// Runs publishers and subscribers; what was delivered, and how soon it was acknowledged.
fn run(options: &MqttOptions, tell: &mut dyn FnMut(Progress)) -> Result<(Report, Latency)> {
    let share =
        Groups { options, login: Arc::new(options.login()), acknowledged: Mutex::new(Latency::new()) };
    let mut report = load::run_shares(&share, &options.load, tell)?;
    report.unit = if options.mode == Mode::Publish { "messages" } else { "deliveries" };
    let acknowledged = share.acknowledged.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    Ok((report, acknowledged))
}

/// What each thread does: its share of the groups.
struct Groups<'o> {
    options: &'o MqttOptions,
    login: Arc<Login>,
    /// Of all threads; each adds its own when it is done.
    acknowledged: Mutex<Latency>,
}

impl Share for Groups<'_> {
    type Ready = Box<MqttLoad>;

    fn prepare(&self, _: &Options, dialer: &Dialer, thread: usize) -> Result<Box<MqttLoad>> {
        MqttLoad::connect(self.options, &self.login, dialer, thread).map(Box::new)
    }

    fn work(&self, mut load: Box<MqttLoad>, at: At<'_>) -> Result<Part> {
        let (start, open, close) = at.shared.window();
        load.flow.window = (open, close);
        clock::sleep_until(start);
        match at.options.rate {
            None => load.start_closed(),
            Some(rate) => {
                let (publishers, _) = self.options.group();
                let all = (publishers * self.options.groups()) as u64;
                let pace = Pace { start, rate, connections: all };
                // Where there are several threads, each group has one publisher.
                load.start_open(pace, at.thread, at.options.threads);
            }
        }
        let patience = clock::nanos(at.options.stall);
        let mut meter = Meter::new(open, close);
        let (mut next_check, mut stalled) = (0, 0);
        loop {
            let now = load.pass();
            at.shared.publish(&mut load.flow.tally);
            meter.tick(now, load.flow.tally.spun);
            let check = now >= next_check;
            if check {
                next_check = now + CHECK;
                stalled = load.stalled(now.saturating_sub(patience));
                // When nothing comes any more, the rest of the time would teach nothing.
                if !load.lives() || stalled == load.flow.publishers.len() {
                    break;
                }
            }
            if now >= close {
                load.stop();
                // What is still awaited is awaited in vain, once the others have delivered.
                if load.awaited() == 0 || check && stalled > 0 && load.stalled(u64::MAX) == stalled {
                    break;
                }
            }
        }
        let unanswered = load.awaited();
        let ended = clock::now().clamp(open, close);
        load.leave();
        if let Ok(mut all) = self.acknowledged.lock() {
            all.merge(&load.flow.acknowledged);
        }
        Ok(Part {
            tally: std::mem::take(&mut load.flow.tally),
            stalled: stalled as u64,
            unanswered,
            measured: ended - open,
            shares: meter.shares(),
        })
    }
}

/// A load of one thread that runs in slices of a fraction of a second and rests in between.
pub(crate) struct Sliced {
    options: MqttOptions,
    load: MqttLoad,
    started: bool,
}

impl Sliced {
    /// Connects; nothing is published yet.
    pub(crate) fn prepare(options: &MqttOptions) -> Result<Sliced> {
        allow_descriptors(options.load.connections)?;
        let dialer = Dialer::of(&options.load)?;
        let load = MqttLoad::connect(options, &Arc::new(options.login()), &dialer, 0)?;
        Ok(Sliced { options: options.clone(), load, started: false })
    }

    /// Drives the load for `length` and tells what came in that time, and what the broker used for it, its last
    /// work included.
    pub(crate) fn slice(&mut self, length: Duration) -> Result<Report> {
        let pid = self.options.load.pid.context("a sliced load needs the broker's process id")?;
        let load = &mut self.load;
        let before = Cpu::of(pid)?;
        let open = clock::now();
        let close = open + clock::nanos(length);
        let mut meter = Meter::new(open, close);
        meter.tick(open, 0);
        load.flow.tally = Tally::default();
        load.flow.window = (open, close);
        match self.started {
            true => load.restart(open),
            false => load.start_closed(),
        }
        self.started = true;
        while clock::now() < close {
            load.pass();
        }
        meter.tick(clock::now().max(close), 0);
        std::thread::sleep(SETTLES);
        let cpu = Cpu::of(pid)?.since(before);
        let tally = std::mem::take(&mut load.flow.tally);
        let stalled = load.stalled(open + 1) as u64;
        let messages = tally.messages;
        let mut report = Report::new(&self.options.load);
        report.options.duration = length;
        let (measured, shares) = (clock::nanos(length), meter.shares());
        report.add(Part { tally, stalled, unanswered: 0, measured, shares }, 1);
        report.server = Some(ServerUse { cpu, messages, resident_kib: 0 });
        Ok(report)
    }
}
