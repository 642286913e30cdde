//! Two thousand players: what they cost, whether each got all it should, and how much that is.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::bars::{Bar, Is};
use super::serving::{BY_UDP, Bots, Game, Program, SEATS};
use super::{GameArgs, sockets};
use crate::compare::figures::{median, spread};
use crate::proc::Cpu;
use crate::text;

const HZ: u32 = 30;
const ROOMS: usize = 125;
/// Bytes of the headers of IP and TCP, with timestamps; of IP and UDP.
const TCP: f64 = 52.0;
const UDP: f64 = 28.0;

/// One round.
#[derive(Default, Clone)]
struct Round {
    /// CPU-seconds in a second: the server's, and the bots'.
    server: f64,
    bots: f64,
    /// The server's share of the time in which something else had its core.
    waited: f64,
    /// Of all messages there should be, those that came; and of inputs, to the server.
    delivered: f64,
    heard: f64,
    /// For each player in a second: messages, packets to write them, and bytes as they are written to sockets.
    messages: f64,
    packets: f64,
    bytes: f64,
    /// CPU-seconds in a second of what only has the sockets.
    floor: f64,
}

/// How players come.
#[derive(Clone, Copy)]
struct By {
    name: &'static str,
    args: &'static [&'static str],
    /// Lines of the server's table.
    table: &'static str,
    headers: f64,
    /// Bytes a second that each may be sent, in thousands.
    most: f64,
}

const WEBSOCKET: By = By { name: "WebSocket", args: &[], table: "", headers: TCP, most: 4.0 };
const DATAGRAMS: By = By { name: "UDP", args: &["--udp"], table: BY_UDP, headers: UDP, most: 3.2 };

pub(super) fn section(args: &GameArgs, program: &Program) -> Result<(String, Vec<Bar>)> {
    let (mut text, mut bars) = (String::new(), Vec::new());
    for by in [WEBSOCKET, DATAGRAMS] {
        let (found, more) = of(args, program, by)?;
        text += &found;
        bars.extend(more);
    }
    Ok((text, bars))
}

fn of(args: &GameArgs, program: &Program, by: By) -> Result<(String, Vec<Bar>)> {
    let players = args.rooms(ROOMS) * SEATS;
    let mut rounds = Vec::new();
    for nth in 0..args.rounds {
        let mut round = once(args, program, by, players)?;
        round.floor = floor(args, program, by, &round, players)?;
        eprintln!(
            "round {} {players} players by {}: {:.3} CPU-s/s, bots {:.3}; {:.4} delivered; {:.0} B/s to each; sockets alone {:.3}",
            nth + 1,
            by.name,
            round.server,
            round.bots,
            round.delivered,
            round.bytes,
            round.floor,
        );
        rounds.push(round);
    }
    let each = |of: &dyn Fn(&Round) -> f64| -> Vec<f64> { rounds.iter().map(of).collect() };
    let middle = |of: &dyn Fn(&Round) -> f64| median(&each(of)).unwrap_or(f64::NAN);
    let told = |what: &str, of: &dyn Fn(&Round) -> f64| vec![what.to_owned(), spread(&each(of))];
    let rows = vec![
        told("CPU-seconds in a second, the server's", &|round| round.server),
        told("the bots'", &|round| round.bots),
        told("sockets alone", &|round| round.floor),
        told("waited for its core, %", &|round| round.waited * 100.0),
        told("ticks that came to players, of those there were", &|round| round.delivered),
        told("inputs that came to the server, of those sent", &|round| round.heard),
        told("messages to a player in a second", &|round| round.messages),
        told("bytes to a player in a second", &|round| round.bytes),
        told("the same with headers of IP and below", &|round| round.bytes + by.headers * round.packets),
    ];
    let mut text = format!(
        "\n## {} players in {} rooms at {HZ} Hz, by {}\n\nEach bot moves and shoots, sends an input for every tick and reads \
         every snapshot; it counts ticks between the first and the last that did not come. Bytes are those written to \
         sockets, with the frames around them, or all of ENet's datagrams. \"Sockets alone\" is a program with as many \
         connections, or one socket of datagrams, which reads and writes as many bytes as often, and does nothing else.\n\n{}",
        text::thousands(players as i64),
        players / SEATS,
        by.name,
        text::table(&["", "figure"], &rows)
    );
    if args.strace && by.args.is_empty() {
        text += &calls(program)?;
    }
    let cpu = Bar::new(
        format!("CPU-s/s, {} players at {HZ} Hz by {}", text::thousands(players as i64), by.name),
        middle(&|round| round.server),
        // A tenth of the players is no measure of it.
        if args.quick { Is::Told } else { Is::AtMost(0.35) },
    )
    .beside(middle(&|round| round.floor));
    let bars = vec![
        cpu,
        Bar::new(
            format!("ticks that came, of those there were, by {}", by.name),
            middle(&|round| round.delivered),
            Is::AtLeast(0.999),
        ),
        Bar::new(
            format!("kB/s to a player among 16 movers, by {}", by.name),
            middle(&|round| round.bytes) / 1e3,
            Is::AtMost(by.most),
        ),
        Bar::new(
            format!("the same with headers of IP and below, by {}", by.name),
            middle(&|round| round.bytes + by.headers * round.packets) / 1e3,
            Is::Told,
        ),
    ];
    Ok((text, bars))
}

/// What is counted at one moment.
struct Moment {
    at: Instant,
    server: Cpu,
    bots: Cpu,
    metrics: super::serving::Metrics,
    said: Instant,
    seen: Value,
}

impl Moment {
    fn now(game: &Game, bots: &Bots) -> Result<Moment> {
        let (said, seen) = bots.last()?;
        let metrics = game.metrics()?;
        Ok(Moment {
            at: Instant::now(),
            server: Cpu::of(game.pid())?,
            bots: Cpu::of(bots.pid())?,
            metrics,
            said,
            seen,
        })
    }
}

fn once(args: &GameArgs, program: &Program, by: By, players: usize) -> Result<Round> {
    let game = program.game_with(HZ, by.table, &[])?;
    let bots = program.bots(&game, players, HZ, by.args)?;
    let before = Moment::now(&game, &bots)?;
    std::thread::sleep(args.seconds);
    let after = Moment::now(&game, &bots)?;
    bots.end()?;
    let seconds = after.at.duration_since(before.at).as_secs_f64();
    let server = after.server.since(before.server);
    let grown = |name: &str| after.metrics.get(name) - before.metrics.get(name);
    let seen = |name: &str| {
        let of = |moment: &Moment| moment.seen[name].as_f64().unwrap_or(f64::NAN);
        of(&after) - of(&before)
    };
    ensure!(seen("bad") == 0.0 && seen("lost") == 0.0, "bots lost their seats, or could not read snapshots");
    // Bots tell once a second, so what they tell of is not the same stretch of time.
    let said = after.said.duration_since(before.said).as_secs_f64();
    let (messages, missed) = (seen("messages"), seen("missed"));
    let out = grown("windlass_game_messages_total{direction=\"out\"}");
    // A WebSocket's message is one write, and that one packet; ENet has datagrams with nothing but acknowledgements too.
    let (written, packets) = match by.args {
        [] => (grown("windlass_service_sent_bytes_total{service=\"game\"}"), out),
        _ => (
            grown("windlass_game_udp_bytes_total{direction=\"out\"}"),
            grown("windlass_game_udp_datagrams_total{direction=\"out\"}"),
        ),
    };
    ensure!(out > 0.0 && written > 0.0 && packets > 0.0, "the server does not say what it has sent");
    let inputs = grown("windlass_game_messages_total{direction=\"in\"}");
    Ok(Round {
        server: server.total as f64 / 1e9 / seconds,
        bots: after.bots.since(before.bots).total as f64 / 1e9 / seconds,
        waited: server.waited as f64 / 1e9 / seconds,
        delivered: messages / (messages + missed),
        heard: (inputs / seconds) / (seen("inputs") / said),
        messages: out / seconds / players as f64,
        packets: packets / seconds / players as f64,
        bytes: written / seconds / players as f64,
        floor: f64::NAN,
    })
}

/// The same bytes without a game.
fn floor(args: &GameArgs, program: &Program, by: By, round: &Round, players: usize) -> Result<f64> {
    let bytes = (round.bytes / round.packets.max(1.0)) as usize;
    sockets::run(program, players, HZ, bytes, !by.args.is_empty(), args.seconds)
}

/// System calls for each player and tick, of a server with fewer players.
fn calls(program: &Program) -> Result<String> {
    const FEW: usize = 10 * SEATS;
    let summary = program.files.path("game.strace");
    let prefix = ["strace", "-c", "-f", "-o", &super::serving::text(&summary)].map(str::to_owned);
    let count = |length: u64| -> Result<(crate::compare::calls::Calls, f64)> {
        let game = program.game(HZ, &prefix)?;
        let bots = program.bots(&game, FEW, HZ, &[])?;
        std::thread::sleep(std::time::Duration::from_secs(length));
        let out = game.metrics()?.get("windlass_game_messages_total{direction=\"out\"}");
        bots.end()?;
        game.server.end_traced()?;
        Ok((crate::compare::calls::parse(&std::fs::read_to_string(&summary)?), out))
    };
    let (shorter, longer) = (count(1)?, count(5)?);
    let more = (longer.1 - shorter.1).max(1.0);
    let mut rows = Vec::new();
    for (name, (calls, errors)) in &longer.0 {
        let (before, failed) = shorter.0.get(name).copied().unwrap_or_default();
        let each = calls.saturating_sub(before) as f64 / more;
        if each >= 0.01 {
            let failed = errors.saturating_sub(failed) as f64 / more;
            rows.push(vec![name.clone(), text::number(each), text::number(failed)]);
        }
    }
    Ok(format!(
        "\n### System calls for each player and tick (`strace -c`, {FEW} players)\n\n{}",
        text::table(&["", "calls", "failed"], &rows)
    ))
}
