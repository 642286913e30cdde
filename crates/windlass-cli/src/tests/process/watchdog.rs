//! Rounds, periods, and a worker that hangs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::*;

#[test]
fn a_round_is_complete_when_every_worker_has_reported() {
    let mut round = Round::default();
    assert!(!round.report(0, 3) && !round.report(0, 3), "one that ticks twice stands for itself only");
    assert!(!round.report(2, 3) && round.report(1, 3));
    assert!(!round.report(1, 3) && !round.report(0, 3), "the next begins with nobody");
    round.end(2);
    assert!(round.report(0, 3), "nobody waits for one that has come to its end");
    assert!(Round::default().report(0, 1));
}

#[test]
fn the_supervisor_says_how_often_if_it_means_us() {
    let period = |usec: &str, pid: Option<&str>| period(Some(usec.into()), pid.map(str::to_owned), 7);
    assert_eq!(period("4000000", None), Duration::from_secs(1));
    assert_eq!(period("4000000", Some("7")), Duration::from_secs(1));
    assert_eq!(period("4000000", Some("8")), PERIOD, "another is meant");
    assert_eq!(period("never", None), PERIOD);
    assert_eq!(period("0", None), PERIOD);
    assert_eq!(period("60000000", None), PERIOD, "no less often than the status");
    assert_eq!(super::period(None, None, 7), PERIOD);
}

/// A tick that is never over: what a callback in an endless loop does to all services of its worker.
struct Hangs {
    on: usize,
    hung: Arc<AtomicBool>,
    free: Arc<AtomicBool>,
}

impl Service for Hangs {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, tick: Tick) {
        while scope.worker() == self.on && tick.number > 20 && !self.free.load(Relaxed) {
            self.hung.store(true, Relaxed);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_worker_that_hangs_stops_the_rounds() {
    /// Counts rounds as [`Watchdog`] does, and the ticks of worker 0.
    struct Counts(Arc<Mutex<Round>>, Arc<AtomicU64>, Arc<AtomicU64>);
    impl Service for Counts {
        type Session = ();
        fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
            Ok(())
        }
        fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
            Ok(())
        }
        fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, _: Tick) {
            self.1.fetch_add(self.0.lock().unwrap().report(scope.worker(), 2).into(), Relaxed);
            self.2.fetch_add((scope.worker() == 0).into(), Relaxed);
        }
    }

    let (round, rounds, ticks) =
        (Arc::<Mutex<Round>>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let (hung, free) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let counts = (Arc::clone(&round), rounds.clone(), ticks.clone());
    let hangs = (hung.clone(), free.clone());
    let millisecond = Duration::from_millis(1);
    let config = windlass::Config { workers: 2, ..windlass::Config::default() };
    let server = windlass::Server::new(config)
        .add(serve(move || Counts(counts.0.clone(), counts.1.clone(), counts.2.clone())).tick(millisecond))
        .add(serve(move || Hangs { on: 1, hung: hangs.0.clone(), free: hangs.1.clone() }).tick(millisecond));
    let bound = server.bind().unwrap();
    let handle = bound.handle();
    let runs = std::thread::spawn(move || bound.run());
    let wait_ticks = |n: u64| {
        let until = ticks.load(Relaxed) + n;
        while ticks.load(Relaxed) < until {
            std::thread::sleep(millisecond);
        }
    };
    while !hung.load(Relaxed) {
        std::thread::sleep(millisecond);
    }
    // The round it had reported in is completed, and none after it, though worker 0 goes on.
    wait_ticks(3);
    let last = rounds.load(Relaxed);
    assert!(last > 0, "there were rounds before it hung");
    wait_ticks(100);
    assert_eq!(rounds.load(Relaxed), last);
    free.store(true, Relaxed);
    while rounds.load(Relaxed) < last + 2 {
        std::thread::sleep(millisecond);
    }
    handle.shutdown();
    runs.join().unwrap().unwrap();
}
