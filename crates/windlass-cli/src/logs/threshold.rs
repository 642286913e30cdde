//! The level: what is less urgent is not logged. It can be changed while the server runs.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::config::shape::LogLevel;

/// A [`LogLevel`] as its position in [`LEVELS`], plus 1; 0 as long as nothing can be logged at all.
static LEVEL: AtomicU8 = AtomicU8::new(0);

const LEVELS: [LogLevel; 5] =
    [LogLevel::Off, LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug];

pub(super) fn begin(level: LogLevel) {
    store(level);
}

fn store(level: LogLevel) {
    let position = LEVELS.iter().position(|it| *it == level).unwrap_or_default();
    LEVEL.store(position as u8 + 1, Relaxed);
}

/// What is logged now; `None` in a process that has no logs (`--quiet`).
pub(super) fn level() -> Option<LogLevel> {
    LEVELS.get(usize::from(LEVEL.load(Relaxed)).checked_sub(1)?).copied()
}

/// Logs from now on what is of this level or more urgent, on every thread. False, and nothing changes, in a
/// process that has no logs (`--quiet`). It may be called from anywhere, a worker too, but visits every
/// place in the program that logs: for now and then.
pub(crate) fn set_level(level: LogLevel) -> bool {
    if self::level().is_none() {
        return false;
    }
    store(level);
    // What a place that logs was told is kept there, so that one that is not wanted costs one comparison.
    tracing::callsite::rebuild_interest_cache();
    true
}

fn filter() -> LevelFilter {
    level().map_or(LevelFilter::OFF, LogLevel::filter)
}

/// Lets through what the level lets through.
pub(super) struct Threshold;

impl<S: Subscriber> Layer<S> for Threshold {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if *metadata.level() <= filter() { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= filter()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(filter())
    }
}
