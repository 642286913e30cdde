//! `windlass game bots`: players who are no people.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use windlass::{Limits, serve};
use windlass_realtime::{Bots, BotsConfig, BotsSeen, BotsWatch};

use crate::args::BotsArgs;
use crate::print;
use crate::quantity::{rough_bytes, thousands};
use crate::signals;

/// How often they are told about.
const PERIOD: Duration = Duration::from_secs(1);

pub(super) fn run(args: &BotsArgs) -> Result<()> {
    let server: SocketAddr = args
        .server
        .to_socket_addrs()
        .with_context(|| format!("{} is no address", args.server))?
        .next()
        .with_context(|| format!("{} has no address", args.server))?;
    ensure!(args.count > 0, "no bots");
    let workers = args.workers.max(1);
    let mut config = BotsConfig::new(server, args.count);
    config.host = args.server.clone();
    config.workers = workers;
    config.udp_percent = args.udp.into();
    config.hz = args.hz;
    let watch = BotsWatch::default();
    let counting = watch.clone();
    let limits = Limits { idle_timeout: Duration::from_secs(60), ..Limits::default() };
    let tick = config.tick();
    let service =
        serve(move || Bots::new(config.clone(), counting.clone())).tick(tick).datagrams().workers(workers);
    let bound =
        signals::stop_on_signals(service.limits(limits).bind()?).context("cannot watch for signals")?;
    let handle = bound.handle();
    let (stop, stopped) = channel::<()>();
    let (seen, duration, count, json) = (watch.clone(), args.duration, args.count, args.json);
    let teller = std::thread::spawn(move || {
        let begun = Instant::now();
        let mut before = BotsSeen::default();
        loop {
            let left = duration.map(|duration| duration.saturating_sub(begun.elapsed()));
            if left == Some(Duration::ZERO) {
                handle.shutdown();
                return;
            }
            let wait = left.map_or(PERIOD, |left| left.min(PERIOD));
            let from = Instant::now();
            if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let now = seen.seen();
            if json {
                print(object(&now, begun.elapsed()).as_bytes());
            } else if from.elapsed() >= PERIOD {
                print(line(&before, &now, count, from.elapsed()).as_bytes());
            }
            before = now;
        }
    });
    let begun = Instant::now();
    let outcome = bound.run();
    let took = begun.elapsed();
    drop(stop);
    let _ = teller.join();
    outcome?;
    let seen = watch.seen();
    print(if args.json { object(&seen, took) } else { summary(&seen, took) }.as_bytes());
    ensure!(seen.bad == 0, "{} messages or snapshots could not be read", seen.bad);
    ensure!(seen.joined > 0, "nobody got a seat at {}", args.server);
    Ok(())
}

fn line(before: &BotsSeen, now: &BotsSeen, count: usize, took: Duration) -> String {
    let rate = |of: fn(&BotsSeen) -> u64| (of(now).saturating_sub(of(before))) as f64 / took.as_secs_f64();
    format!(
        "{} of {} seated{}, {:.0} snapshots/s, {:.0} inputs/s, {}/s to each{}\n",
        now.seated,
        count,
        by_udp(now.seated_udp),
        rate(|seen| seen.snapshots),
        rate(|seen| seen.inputs),
        rough_bytes(rate(|seen| seen.bytes) / now.seated.max(1) as f64),
        answered(before, now),
    )
}

fn by_udp(seated: u64) -> String {
    if seated == 0 { String::new() } else { format!(", {seated} by UDP") }
}

/// All that was counted, for a program.
fn object(seen: &BotsSeen, took: Duration) -> String {
    let counts = seen.entries().map(|(name, value)| (name.to_owned(), value.into()));
    let took = ("seconds".to_owned(), took.as_secs_f64().into());
    format!("{}\n", serde_json::Value::Object(std::iter::once(took).chain(counts).collect()))
}

/// How long it took until a snapshot had what a bot did.
fn answered(before: &BotsSeen, now: &BotsSeen) -> String {
    match now.answered.saturating_sub(before.answered) {
        0 => String::new(),
        count => format!(", answered in {} ms", (now.answered_ms - before.answered_ms) / count),
    }
}

fn summary(seen: &BotsSeen, took: Duration) -> String {
    format!(
        "{} seats taken, {} lost, {} refusals; {} snapshots, {} unreadable, {} ticks missed, in {:.1} s{}\n",
        thousands(seen.joined),
        thousands(seen.lost),
        thousands(seen.refused),
        thousands(seen.snapshots),
        thousands(seen.bad),
        thousands(seen.missed),
        took.as_secs_f64(),
        answered(&BotsSeen::default(), seen),
    )
}
