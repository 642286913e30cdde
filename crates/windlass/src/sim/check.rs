//! Running many seeds, and telling of the one that failed.

use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::build::Sim;
use super::run::Ended;

/// One seed in so many is run twice, to see that it does the same twice.
const REPLAYED: u64 = 8;

/// What a row of runs came to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Runs that ended well.
    pub seeds: u64,
    /// Connections accepted in them, and made by services.
    pub connections: u64,
    /// Bytes their servers moved.
    pub bytes: u64,
    /// Turns of their workers.
    pub turns: u64,
    /// Things that happened: calls, events, callbacks, what clients and the network did.
    pub happenings: u64,
    /// Virtual time passed.
    pub virtual_time: Duration,
    /// Real time taken.
    pub took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64().max(1e-9);
        write!(
            f,
            "{} seeds in {seconds:.1} s ({:.0}/s): {} connections, {} bytes, {} turns, {:.1} virtual hours",
            self.seeds,
            self.seeds as f64 / seconds,
            self.connections,
            self.bytes,
            self.turns,
            self.virtual_time.as_secs_f64() / 3600.0,
        )
    }
}

/// A run that broke a rule.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The name given to [`check`].
    pub name: String,
    /// The seed that brings it back.
    pub seed: u64,
    /// Which rule was broken, and how.
    pub what: String,
    /// What this seed's world was like.
    pub world: String,
    /// The last things that happened.
    pub trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { name, seed, what, world, trace } = self;
        writeln!(f, "simulation \"{name}\" failed with seed {seed}: {what}\n\nthe world: {world}\n")?;
        writeln!(f, "the last that happened:\n{trace}")?;
        // The test harness names the thread after the test.
        let thread = std::thread::current();
        let test = thread.name().filter(|name| *name != "main").unwrap_or("");
        let package = std::env::var("CARGO_PKG_NAME").map(|name| format!(" -p {name}")).unwrap_or_default();
        write!(f, "replay it: WINDLASS_SIM_SEED={seed} cargo test{package} {test}")
    }
}

impl std::error::Error for Failure {}

/// Runs a simulation for every seed of `seeds`, described anew for each by `describe`.
///
/// `WINDLASS_SIM_SEED` replaces the seeds by one, `WINDLASS_SIM_SEEDS` by as many from 0;
/// `WINDLASS_SIM_TRACE=5000` has a failure show that many of the last happenings instead of 60.
///
/// # Panics
///
/// With the first failure: the seed, what broke, the last things that happened, and how to replay it.
pub fn check(name: &str, seeds: Range<u64>, describe: impl FnMut(&mut Sim)) {
    match explore(name, from_environment(seeds), describe) {
        Ok(report) => println!("{name}: {report}"),
        Err(failure) => panic!("{failure}"),
    }
}

/// As [`check`], but returns what happened, and takes no notice of the environment.
///
/// # Errors
///
/// The first failure.
pub fn explore(
    name: &str,
    seeds: Range<u64>,
    mut describe: impl FnMut(&mut Sim),
) -> Result<Report, Box<Failure>> {
    let started = Instant::now();
    let mut report = Report::default();
    for seed in seeds {
        let (ended, world) = one(seed, &mut describe);
        let mut failure = ended.failure;
        if failure.is_none() && seed % REPLAYED == 0 {
            let (again, _) = one(seed, &mut describe);
            if again.hash != ended.hash {
                let what = format!(
                    "a second run went another way: {} things happened in {} turns, then {} in {}; \
                     something depends on more than the seed",
                    ended.entries, ended.turns, again.entries, again.turns
                );
                failure = Some((what, String::new()));
            }
        }
        if let Some((what, trace)) = failure {
            let name = name.to_string();
            return Err(Box::new(Failure { name, seed, what, world, trace }));
        }
        report.seeds += 1;
        report.connections += ended.connections;
        report.bytes += ended.bytes;
        report.turns += ended.turns;
        report.happenings += ended.entries;
        report.virtual_time += Duration::from_nanos(ended.took);
    }
    report.took = started.elapsed();
    Ok(report)
}

fn one(seed: u64, describe: &mut impl FnMut(&mut Sim)) -> (Ended, String) {
    let mut sim = Sim::new(seed);
    if let Some(kept) = number("WINDLASS_SIM_TRACE") {
        sim.keep_trace(kept as usize);
    }
    describe(&mut sim);
    sim.settle();
    let world = sim.world_in_words();
    (sim.run(), world)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn from_environment(seeds: Range<u64>) -> Range<u64> {
    match (number("WINDLASS_SIM_SEED"), number("WINDLASS_SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(n)) => 0..n,
        (None, None) => seeds,
    }
}
