//! A backend's circuit breaker: of its last connections or requests too many failed, so it gets none for a
//! while, then a few to try it with. One for all workers: what is written for each use is one count, and for a
//! failure a few words more.
//!
//! It cannot stay open: after its time a few uses are let through, and the place of one that ends without a
//! verdict is given back when its [`Permit`] is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use std::time::Duration;

use windlass::Time;

use crate::upstream::Counts;

/// When the circuit breaker of a backend opens, and how it closes again. Each backend has one of its own, which
/// all workers share. It is no health: where every backend of a group is behind an open breaker, clients are
/// refused at once (`circuit_open`) and nobody is tried nevertheless.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Breaker {
    /// Of the uses in the window so many percent have failed, and it opens. A use is a connection, which fails
    /// when it does not come about or is reset before a byte has passed in either direction; of HTTP it is a
    /// request, which fails too when nothing of a response comes, or none in its time. 0: it never opens. At most
    /// 100. Default 0.
    pub errors_percent: u32,
    /// The last so many uses are looked at. From 1 to [`Breaker::WINDOW_MAX`]. Default 100.
    pub window: u32,
    /// With fewer uses than these it does not open. Default 20.
    pub volume_min: u32,
    /// How long it stays open. Then a few uses are let through as probes. Default 10 s.
    pub open: Duration,
    /// Probes that have to go well, and are under way at the same time at most. When all have, it is closed;
    /// when one has not, it opens again. From 1 to 1,000. Default 3.
    pub probes: u32,
}

impl Breaker {
    /// The longest window.
    pub const WINDOW_MAX: u32 = 1024;

    fn is_on(&self) -> bool {
        self.errors_percent > 0
    }

    fn window(&self) -> u64 {
        u64::from(self.window.clamp(1, Breaker::WINDOW_MAX))
    }

    fn probes(&self) -> u32 {
        self.probes.clamp(1, 1_000)
    }
}

impl Default for Breaker {
    fn default() -> Breaker {
        Breaker { errors_percent: 0, window: 100, volume_min: 20, open: Duration::from_secs(10), probes: 3 }
    }
}

const WORD: u64 = 64;
const WORDS: usize = (Breaker::WINDOW_MAX as u64 / WORD) as usize;

/// What is known of the last uses of a backend.
#[derive(Debug)]
pub(crate) struct Circuit {
    /// Uses that were counted, since it was closed last. The place of the next in `failures` is this, modulo
    /// the window.
    uses: AtomicU64,
    /// One bit for each place of the window: it failed.
    failures: [AtomicU64; WORDS],
    /// Nanoseconds of the engine's clock until which nothing is let through; 0: it is closed.
    open_until: AtomicU64,
    trial: AtomicU64,
    pub(crate) openings: AtomicU64,
}

impl Default for Circuit {
    fn default() -> Circuit {
        Circuit {
            uses: AtomicU64::new(0),
            failures: [const { AtomicU64::new(0) }; WORDS],
            open_until: AtomicU64::new(0),
            trial: AtomicU64::new(0),
            openings: AtomicU64::new(0),
        }
    }
}

/// The probes of one opening, in one word, so that they change together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Trial {
    /// Which opening. A probe of another one changes nothing.
    opening: u32,
    /// Probes under way.
    out: u16,
    /// Probes that went well.
    passed: u16,
}

impl Trial {
    fn of(word: u64) -> Trial {
        Trial { opening: (word >> 32) as u32, out: (word >> 16) as u16, passed: word as u16 }
    }

    fn word(self) -> u64 {
        u64::from(self.opening) << 32 | u64::from(self.out) << 16 | u64::from(self.passed)
    }
}

/// How a breaker is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Everything passes.
    Closed,
    /// Nothing does.
    Open,
    /// A few probes do.
    HalfOpen,
}

impl Circuit {
    pub(crate) fn state(&self, config: &Breaker, now: Time) -> State {
        match self.open_until.load(Relaxed) {
            _ if !config.is_on() => State::Closed,
            0 => State::Closed,
            until if until > now.as_nanos() => State::Open,
            _ => State::HalfOpen,
        }
    }

    /// Whether a use would be let through.
    pub(crate) fn admits(&self, config: &Breaker, now: Time) -> bool {
        match self.state(config, now) {
            State::Closed => true,
            State::Open => false,
            State::HalfOpen => has_probe(config, Trial::of(self.trial.load(Relaxed))),
        }
    }

    /// Changes the trial of one opening; `None`: it is over, or `change` does not want to.
    fn change(&self, change: impl Fn(Trial) -> Option<Trial>) -> Option<Trial> {
        let changed =
            self.trial.fetch_update(Relaxed, Relaxed, |word| change(Trial::of(word)).map(Trial::word));
        changed.ok().map(Trial::of)
    }

    /// Opens it, if it is not open already.
    fn open(&self, config: &Breaker, now: Time) {
        let until = (now + config.open).as_nanos().max(1);
        let before = self.open_until.load(Relaxed);
        // Of several workers that find the last straw at the same time, one opens it.
        if before > now.as_nanos()
            || self.open_until.compare_exchange(before, until, Relaxed, Relaxed).is_err()
        {
            return;
        }
        self.change(|trial| Some(Trial { opening: trial.opening.wrapping_add(1), out: 0, passed: 0 }));
        self.openings.fetch_add(1, Relaxed);
    }

    /// Closes it. What was before is forgotten: it would open it again at once.
    fn close(&self) {
        self.failures.iter().for_each(|word| word.store(0, Relaxed));
        self.uses.store(0, Relaxed);
        self.open_until.store(0, Relaxed);
    }

    /// Counts a use. Returns its number.
    fn count(&self, config: &Breaker, failed: bool, now: Time) -> u64 {
        let number = self.uses.fetch_add(1, Relaxed);
        self.mark(config, number, failed, now);
        number
    }

    fn mark(&self, config: &Breaker, number: u64, failed: bool, now: Time) {
        let window = config.window();
        let (word, bit) = ((number % window / WORD) as usize, 1 << (number % window % WORD));
        let failures = &self.failures[word];
        if !failed {
            // Read first: in the steady state nothing is written.
            if failures.load(Relaxed) & bit != 0 {
                failures.fetch_and(!bit, Relaxed);
            }
            return;
        }
        failures.fetch_or(bit, Relaxed);
        let seen = self.uses.load(Relaxed).min(window);
        if seen < u64::from(config.volume_min) || self.open_until.load(Relaxed) != 0 {
            return;
        }
        // A window that has become shorter leaves bits behind it: only its own are counted.
        let of_word = |n: usize| match window.saturating_sub(n as u64 * WORD).min(WORD) {
            WORD => u64::MAX,
            bits => (1 << bits) - 1,
        };
        let words = self.failures.iter().enumerate();
        let failed: u32 = words.map(|(n, word)| (word.load(Relaxed) & of_word(n)).count_ones()).sum();
        if u64::from(failed) * 100 >= seen * u64::from(config.errors_percent) {
            self.open(config, now);
        }
    }
}

fn has_probe(config: &Breaker, trial: Trial) -> bool {
    // One at least: as many may have passed as are wanted now, if more were wanted then.
    trial.out == 0 || u32::from(trial.out) + u32::from(trial.passed) < config.probes()
}

/// One use of a backend, a connection or a request, which its breaker has let through. Whoever holds it says
/// once how it went; dropped without a word, it was nobody's fault, and a probe's place is free again.
#[derive(Debug)]
pub(crate) struct Permit {
    counts: Arc<Counts>,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// There is no breaker, or nothing to be said any more.
    None,
    /// It will be counted.
    Ordinary,
    /// It is one of the probes of this opening.
    Probe(u32),
    /// It was counted, as well, under this number.
    Counted(u64),
    /// It was one of the probes of this opening, and went well.
    Passed(u32),
}

impl Permit {
    /// `None`: the breaker lets nothing through.
    pub(crate) fn take(counts: &Arc<Counts>, config: &Breaker, now: Time) -> Option<Permit> {
        let circuit = &counts.circuit;
        let part = match circuit.state(config, now) {
            State::Closed if config.is_on() => Part::Ordinary,
            State::Closed => Part::None,
            State::Open => return None,
            State::HalfOpen => {
                let begun = circuit.change(|trial| {
                    has_probe(config, trial).then_some(Trial { out: trial.out + 1, ..trial })
                })?;
                Part::Probe(begun.opening)
            }
        };
        Some(Permit { counts: counts.clone(), part })
    }

    /// It went well, as far as that can be said by now. [`Permit::failed`] may still follow.
    pub(crate) fn succeeded(&mut self, config: &Breaker, now: Time) {
        let circuit = &self.counts.circuit;
        self.part = match self.part {
            Part::Ordinary => Part::Counted(circuit.count(config, false, now)),
            Part::Probe(opening) => {
                let ended = circuit.change(|trial| {
                    let (out, passed) = (trial.out.saturating_sub(1), trial.passed.saturating_add(1));
                    (trial.opening == opening).then_some(Trial { out, passed, ..trial })
                });
                // The change returns what was before it.
                if ended.is_some_and(|before| u32::from(before.passed) + 1 >= config.probes()) {
                    circuit.close();
                }
                ended.map_or(Part::None, |_| Part::Passed(opening))
            }
            said @ (Part::None | Part::Counted(_) | Part::Passed(_)) => said,
        };
    }

    /// It failed by the backend's fault, even if it went well at first.
    pub(crate) fn failed(&mut self, config: &Breaker, now: Time) {
        let circuit = &self.counts.circuit;
        match self.part {
            Part::Ordinary => drop(circuit.count(config, true, now)),
            // Unless it has left the window meanwhile, or was counted before it was closed last.
            Part::Counted(number) => {
                let uses = circuit.uses.load(Relaxed);
                if number < uses && uses - number <= config.window() {
                    circuit.mark(config, number, true, now);
                }
            }
            Part::Probe(opening) => {
                let is_current = |trial: Trial| (trial.opening == opening).then_some(trial);
                if circuit.change(is_current).is_some() {
                    circuit.open(config, now);
                }
            }
            // It passed too early: what it has helped to close is open again, or it is the first failure since.
            Part::Passed(opening) => {
                let is_current = |trial: Trial| (trial.opening == opening).then_some(trial);
                match circuit.change(is_current) {
                    Some(_) if circuit.open_until.load(Relaxed) != 0 => circuit.open(config, now),
                    Some(_) => drop(circuit.count(config, true, now)),
                    None => {}
                }
            }
            Part::None => {}
        }
        self.part = Part::None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Part::Probe(opening) = self.part {
            self.counts.circuit.change(|trial| {
                (trial.opening == opening).then_some(Trial { out: trial.out.saturating_sub(1), ..trial })
            });
        }
    }
}
