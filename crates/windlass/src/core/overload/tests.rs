//! The detector, with time as an argument.

use super::*;

const MS: Duration = Duration::from_millis(1);

fn limits() -> Limits {
    Limits { overload_lag_max: 100 * MS, overload_interval: 200 * MS, ..Limits::default() }
}

/// A worker whose turns take what a test says.
struct Turns {
    overload: Overload,
    limits: Limits,
    now: Time,
}

impl Turns {
    fn new(limits: Limits) -> Turns {
        let now = Time::from_nanos(5_000_000_000);
        Turns { overload: Overload::new(now), limits, now }
    }

    fn begin(&mut self, slept: Duration, events: u64) {
        self.now += slept;
        self.overload.begin_turn((self.now, self.now), slept, (events, 100, 1_000), &self.limits);
    }

    fn end(&mut self, took: Duration) -> bool {
        self.now += took;
        self.overload.coarse = self.now;
        self.overload.end_turn(self.now, Duration::ZERO, &self.limits)
    }

    /// One turn, right after the last.
    fn turn(&mut self, took: Duration) -> bool {
        self.begin(Duration::ZERO, 1);
        self.end(took)
    }
}

#[test]
fn one_slow_turn_is_no_overload() {
    let mut turns = Turns::new(limits());
    for _ in 0..100 {
        turns.turn(MS);
    }
    assert!(!turns.turn(3_000 * MS));
    assert_eq!((turns.overload.lag, turns.overload.active), (3_000 * MS, false));
    for _ in 0..1_000 {
        assert!(!turns.turn(MS));
    }
    // After a sleep neither, though there is nothing else in that interval.
    turns.begin(10_000 * MS, 1);
    assert!(!turns.end(3_000 * MS));
    turns.begin(10_000 * MS, 1);
    assert!(!turns.end(3_000 * MS));
}

#[test]
fn lag_that_stays_is_overload_until_it_has_been_low_for_an_interval() {
    let mut turns = Turns::new(limits());
    let mut changes = 0;
    for _ in 0..10 {
        changes += u32::from(turns.turn(101 * MS));
    }
    assert_eq!((turns.overload.active, changes), (true, 1));
    assert_eq!(turns.overload.lag_min, 101 * MS);
    // One good turn in each interval is not enough for the way in, and one is for the way out.
    turns.turn(49 * MS);
    while turns.overload.active {
        assert!(turns.now.as_nanos() < 10_000_000_000, "it does not end");
        turns.turn(101 * MS);
    }
    for n in 0..100 {
        assert!(!turns.turn(if n % 2 == 0 { 150 * MS } else { 90 * MS }));
    }
}

#[test]
fn as_long_as_somebody_has_to_be_refused_it_goes_on() {
    let mut turns = Turns::new(limits());
    while !turns.overload.active {
        turns.turn(150 * MS);
    }
    for _ in 0..100 {
        turns.begin(Duration::ZERO, 1);
        turns.overload.coarse = turns.now + 49 * MS;
        assert!(!turns.overload.refuses(&turns.limits), "the first half is served");
        turns.overload.coarse = turns.now + 50 * MS;
        assert!(turns.overload.refuses(&turns.limits));
        turns.end(20 * MS);
        turns.overload.told.set(0);
        assert!(turns.overload.active);
    }
    for _ in 0..30 {
        turns.turn(20 * MS);
    }
    assert!(!turns.overload.active);
}

#[test]
fn full_batches_add_up_until_all_that_can_be_ready_was_taken() {
    let mut turns = Turns::new(limits());
    // 1,000 sources, 100 a batch: whoever came after the first is among the ten that follow.
    for turn in 0..33 {
        turns.begin(Duration::ZERO, 100);
        turns.end(10 * MS);
        let complete = turn % 11 == 10;
        assert_eq!(turns.overload.lag == 110 * MS, turn >= 10, "turn {turn}");
        assert_eq!(turns.overload.turns_left == 0, complete, "turn {turn}");
    }
    assert!(turns.overload.active);
    // A poll that is not full ends it.
    turns.begin(Duration::ZERO, 100);
    turns.end(10 * MS);
    turns.begin(Duration::ZERO, 99);
    turns.end(10 * MS);
    assert_eq!(turns.overload.lag, 20 * MS);
}

#[test]
fn newcomers_that_wait_are_lag_too() {
    let mut turns = Turns::new(limits());
    for _ in 0..1_000 {
        turns.begin(Duration::ZERO, 1);
        turns.now += MS;
        turns.overload.end_turn(turns.now, 101 * MS, &turns.limits);
    }
    assert!(turns.overload.active);
    assert!(!turns.overload.is_late(&turns.limits), "but those who are in are served in time");
}

#[test]
fn zero_switches_it_off() {
    let mut turns = Turns::new(limits());
    while !turns.overload.active {
        turns.turn(150 * MS);
    }
    turns.limits.overload_lag_max = Duration::ZERO;
    assert!(turns.turn(MS), "at once");
    for _ in 0..100 {
        assert!(!turns.turn(150 * MS));
    }
    assert!(!turns.overload.active && !turns.overload.is_late(&turns.limits));
}

#[test]
fn time_spent_overloaded_is_counted_once() {
    let mut turns = Turns::new(limits());
    let mut counted = Duration::ZERO;
    let mut began = None;
    for _ in 0..50 {
        turns.turn(150 * MS);
        if turns.overload.active {
            began.get_or_insert(turns.now);
        }
        counted += turns.overload.take_overloaded(turns.now);
    }
    assert_eq!(counted, turns.now.since(began.unwrap()));
}

#[test]
fn memory_steps_end_lower_than_they_begin() {
    let mut overload = Overload::new(Time::from_nanos(0));
    let mut step = |buffered| {
        overload.memory = overload.memory_step(buffered, 1_000);
        overload.memory
    };
    assert_eq!(step(799), CALM);
    assert_eq!(step(800), LOW);
    assert_eq!(step(750), LOW);
    assert_eq!(step(749), CALM);
    assert_eq!(step(950), CRITICAL);
    assert_eq!(step(900), CRITICAL);
    assert_eq!(step(899), SHORT);
    assert_eq!(step(850), SHORT);
    assert_eq!(step(849), LOW);
    assert_eq!(step(usize::MAX), CRITICAL);
    assert_eq!(step(0), CALM);
    assert_eq!(overload.memory_step(0, 1), CALM, "with the smallest bound nothing is nothing");
}
