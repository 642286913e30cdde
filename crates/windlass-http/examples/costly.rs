//! A page whose answer costs CPU, for measuring what a server does that is asked for more than it can do:
//! `costly ADDRESS MICROS [KEY=VALUE]..`, with `lag=50ms`, `interval=100ms`, `policy=wait`, `backlog=128`.
//! `lag=0` switches overload control off. `windlass-bench overload` runs it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program may read the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use windlass::{Limits, WhenOverloaded, serve};
use windlass_http::{App, Http, Never};

struct Costly {
    rounds: u64,
}

impl App for Costly {
    type Upgraded = Never;
}

fn work(rounds: u64) -> u64 {
    (0..rounds).fold(black_box(1), |x: u64, n| x.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17) ^ n)
}

/// Rounds of work that take a microsecond when nothing else has the core: the fastest of many tries.
fn rounds_per_micro() -> f64 {
    const ROUNDS: u64 = 100_000;
    let tries = (0..200).map(|_| {
        let began = Instant::now();
        black_box(work(ROUNDS));
        began.elapsed()
    });
    let fastest = tries.min().unwrap_or(Duration::from_micros(100));
    ROUNDS as f64 / (fastest.as_nanos() as f64 / 1e3)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().ok_or("costly ADDRESS MICROS [KEY=VALUE]..")?;
    let micros: f64 = args.next().ok_or("MICROS")?.parse()?;
    let mut limits = Limits { stall_timeout: Duration::ZERO, ..Limits::default() };
    for arg in args {
        let (key, value) = arg.split_once('=').ok_or("KEY=VALUE")?;
        let millis = || value.trim_end_matches("ms").parse().map(Duration::from_millis);
        match key {
            "lag" => limits.overload_lag_max = millis()?,
            "interval" => limits.overload_interval = millis()?,
            "backlog" => limits.backlog_max = value.parse()?,
            "policy" if value == "wait" => limits.when_overloaded = WhenOverloaded::Wait,
            "policy" if value == "shed" => limits.when_overloaded = WhenOverloaded::Shed,
            _ => return Err(format!("what is {arg}?").into()),
        }
    }
    let rounds = (rounds_per_micro() * micros) as u64;
    let make = move || {
        Http::new(Costly { rounds }).get("/", |costly, _, reply| {
            black_box(work(costly.rounds));
            reply.text("done\n")
        })
    };
    let bound = serve(make).workers(1).limits(limits).tcp(address).bind()?;
    println!("Listening on {}", bound.addresses()[0]);
    let summary = bound.run()?;
    eprintln!("{:#?}", summary.stats.counters);
    Ok(())
}
