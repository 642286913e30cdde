//! The control of ticks: a program that has nothing but a timer.
//!
//! It has as many rooms as the server, which begin at times drawn as players come, and one timer, set for the next of
//! them: at `begin + n / rate`, absolute, as the server's. What it is late is what this machine, its clock and its
//! scheduler are late.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use serde_json::json;

use crate::args;

/// Options of the hidden command that is the control.
#[derive(Debug, Clone, clap::Args)]
pub struct TimerArgs {
    /// Ticks of each room in a second
    #[arg(long)]
    hz: u64,
    /// Rooms
    #[arg(long)]
    rooms: u64,
    /// How long
    #[arg(long = "for", value_parser = args::duration)]
    length: Duration,
}

const SECOND: u64 = 1_000_000_000;

pub(super) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

fn at(nanos: u64) -> Itimerspec {
    let nothing = Timespec { tv_sec: 0, tv_nsec: 0 };
    let it_value = Timespec { tv_sec: (nanos / SECOND) as _, tv_nsec: (nanos % SECOND) as _ };
    Itimerspec { it_interval: nothing, it_value }
}

/// Waits for its ticks, and prints how late they were as JSON, in microseconds.
///
/// # Errors
/// There are no such timers here.
pub fn main(args: TimerArgs) -> Result<()> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let begin = now();
    let end = begin + args.length.as_nanos() as u64;
    let (hz, rooms) = (args.hz.max(1), args.rooms.max(1));
    // Anywhere within a period, never two at once: a step that shares no factor with it.
    let begun = |room: u64| begin + (room * 7_919_317) % (SECOND / hz);
    let due = |room: u64, n: u64| begun(room) + (n * SECOND).div_ceil(hz);
    let mut agenda: BinaryHeap<_> = (0..rooms).map(|room| Reverse((due(room, 1), room, 1))).collect();
    let mut late = Histogram::<u64>::new_with_max(60 * SECOND, 3)?;
    while let Some(Reverse((next, ..))) = agenda.peek().copied().filter(|Reverse((next, ..))| *next < end) {
        timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &at(next))?;
        rustix::io::read(&timer, &mut [0; 8])?;
        while let Some(Reverse((due_at, room, n))) = agenda.pop() {
            let now = now();
            if due_at > now {
                agenda.push(Reverse((due_at, room, n)));
                break;
            }
            late.saturating_record(now - due_at);
            agenda.push(Reverse((due(room, n + 1), room, n + 1)));
        }
    }
    let micros = |share: f64| late.value_at_quantile(share) as f64 / 1e3;
    let found = json!({
        "ticks": late.len(), "p50": micros(0.5), "p99": micros(0.99), "p999": micros(0.999),
        "max": late.max() as f64 / 1e3,
    });
    println!("{found}");
    Ok(())
}
