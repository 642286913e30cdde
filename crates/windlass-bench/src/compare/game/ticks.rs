//! How late ticks are, beside a timer alone, and whether they drift.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::GameArgs;
use super::bars::{Bar, Is};
use super::serving::{Program, SEATS, quantile};
use super::witness::Witness;
use crate::compare::figures::{median, spread};
use crate::proc::Cpu;
use crate::text;

/// Ticks of each room in a second, and inputs of each player.
const HZ: u32 = 60;
const ROOMS: usize = 64;
const LATENESS: &str = "windlass_game_tick_lateness_seconds";
const SHARES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

/// What one side's ticks were late by, in microseconds: p50, p99, p99.9.
type Late = [f64; 3];

/// One round.
struct Round {
    control: Late,
    ours: Late,
    /// Skipped by rooms.
    skipped: f64,
    /// CPU-seconds in a second.
    server: f64,
    bots: f64,
    /// Of the time, the server waited for its core.
    waited: f64,
}

pub(super) fn section(args: &GameArgs, program: &Program) -> Result<(String, Vec<Bar>)> {
    let rooms = args.rooms(ROOMS);
    let mut rounds = Vec::new();
    for nth in 0..args.rounds {
        // There and back: neither always follows the other.
        let (control, ours) = if nth % 2 == 0 {
            let control = control(args, program, rooms)?;
            (control, ours(args, program, rooms)?)
        } else {
            let ours = ours(args, program, rooms)?;
            (self::control(args, program, rooms)?, ours)
        };
        let round = Round { control, ..ours };
        eprintln!(
            "round {} ticks: p99.9 {:.0} µs, the timer alone {:.0} µs; {:.0} skipped",
            nth + 1,
            round.ours[2],
            round.control[2],
            round.skipped
        );
        rounds.push(round);
    }
    let each = |of: &dyn Fn(&Round) -> f64| -> Vec<f64> { rounds.iter().map(of).collect() };
    let row = |name: &str, of: &dyn Fn(&Round) -> Late, more: [String; 4]| {
        let late = (0..3).map(|at| spread(&each(&|round| of(round)[at])));
        [name.to_owned()].into_iter().chain(late).chain(more).collect::<Vec<String>>()
    };
    let told = |of: &dyn Fn(&Round) -> f64| spread(&each(of));
    let rows = [
        row("a timer alone", &|round| round.control, ["-"; 4].map(str::to_owned)),
        row(
            "windlass game",
            &|round| round.ours,
            [
                told(&|round| round.skipped),
                told(&|round| round.server),
                told(&|round| round.bots),
                told(&|round| round.waited * 100.0),
            ],
        ),
    ];
    let head =
        ["", "p50 µs", "p99 µs", "p99.9 µs", "skipped", "CPU-s/s", "of the bots", "waited for its core %"];
    let text = format!(
        "\n## How late ticks are: {rooms} rooms of {SEATS} at {HZ} Hz\n\nAll seats are taken by bots who send an input with \
         every tick. Late is from when a tick was due until the server turned to it, everything before it in the same turn \
         included, as the server itself measures it; a figure is the end of its bucket (four to a power of two), so never \
         less than it was.\n\n{}",
        text::table(&head, &rows)
    );
    let bars = SHARES.iter().enumerate().map(|(at, (name, _))| {
        let added = each(&|round| round.ours[at] - round.control[at]);
        let is = if at == 2 { Is::AtMost(1.0) } else { Is::Told };
        let control = middle(&each(&|round| round.control[at]));
        let what = format!("ms later than a timer alone, {rooms} rooms of {SEATS} at {HZ} Hz, {name}");
        Bar::new(what, middle(&added) / 1e3, is).beside(control / 1e3)
    });
    Ok((text, bars.collect()))
}

fn middle(values: &[f64]) -> f64 {
    median(values).unwrap_or(f64::NAN)
}

fn control(args: &GameArgs, program: &Program, rooms: usize) -> Result<Late> {
    let (hz, rooms) = (HZ.to_string(), rooms.to_string());
    let length = format!("{}ms", args.seconds.as_millis());
    let found = program.control(&["timer", "--hz", &hz, "--rooms", &rooms, "--for", &length])?;
    Ok(["p50", "p99", "p999"].map(|name| found[name].as_f64().unwrap_or(f64::NAN)))
}

fn ours(args: &GameArgs, program: &Program, rooms: usize) -> Result<Round> {
    let game = program.game(HZ, &[])?;
    let bots = program.bots(&game, rooms * SEATS, HZ, &[])?;
    let before = (game.metrics()?, Cpu::of(game.pid())?, Cpu::of(bots.pid())?, Instant::now());
    std::thread::sleep(args.seconds);
    let after = (game.metrics()?, Cpu::of(game.pid())?, Cpu::of(bots.pid())?);
    let seconds = before.3.elapsed().as_secs_f64();
    let server = after.1.since(before.1);
    let skipped = "windlass_game_ticks_total{outcome=\"skipped\"}";
    let round = Round {
        control: [f64::NAN; 3],
        ours: SHARES
            .map(|(_, share)| quantile(&before.0.buckets(LATENESS), &after.0.buckets(LATENESS), share)),
        skipped: after.0.get(skipped) - before.0.get(skipped),
        server: server.total as f64 / 1e9 / seconds,
        bots: after.2.since(before.2).total as f64 / 1e9 / seconds,
        waited: server.waited as f64 / 1e9 / seconds,
    };
    bots.end()?;
    Ok(round)
}

/// A full server for minutes, and one in a room of it who looks at the clock.
pub(super) fn drift(args: &GameArgs, program: &Program) -> Result<(String, Vec<Bar>)> {
    let rooms = args.rooms(ROOMS);
    let length = if args.minutes == 0 { args.seconds } else { Duration::from_secs(60 * args.minutes) };
    eprintln!("ticks for {length:?}");
    let game = program.game(HZ, &[])?;
    let bots = program.bots(&game, rooms * SEATS, HZ, &[])?;
    let mut witness = Witness::sit(game.at, HZ)?;
    let counted = |metrics: &super::serving::Metrics| {
        ["made", "skipped"]
            .map(|name| metrics.get(&format!("windlass_game_ticks_total{{outcome=\"{name}\"}}")))
    };
    let (before, began) = (game.metrics()?, Instant::now());
    witness.look(length)?;
    let (after, took) = (game.metrics()?, began.elapsed().as_secs_f64());
    let [made, skipped] = {
        let (before, after) = (counted(&before), counted(&after));
        [after[0] - before[0], after[1] - before[1]]
    };
    let due = took * f64::from(HZ) * rooms as f64;
    let late = SHARES.map(|(_, share)| quantile(&before.buckets(LATENESS), &after.buckets(LATENESS), share));
    bots.end()?;
    let drift = witness.drift();
    let text = format!(
        "\n## Drift: the same for {length:?}\n\n{} ticks were made and {} skipped, of {} that were due (counts are told \
         ten times a second, so up to a tenth of a second's may be missing or too many). One who saw one of the rooms got \
         {} of its ticks and missed {}; against their numbers, the earliest of the last tenth of the time came {} µs later \
         than those of the first. p50, p99 and p99.9 were {} µs.\n",
        text::number(made),
        text::number(skipped),
        text::number(due),
        witness.ticks,
        witness.missed,
        text::number(drift),
        late.map(text::number).join(", "),
    );
    let off = (made + skipped - due).abs() / f64::from(HZ) / rooms as f64;
    let bars = vec![
        Bar::new(format!("µs of drift in {length:?}, seen by a player"), drift.abs(), Is::AtMost(DRIFT_US)),
        Bar::new("s of ticks more or less than were due, those skipped told", off, Is::AtMost(0.2)),
    ];
    Ok((text, bars))
}

/// What the earliest tick of a minute differs by from another minute's, on a machine with other work to do. Ticks that were
/// late by a microsecond each would be 36 ms behind after ten minutes.
const DRIFT_US: f64 = 500.0;
