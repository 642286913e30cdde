//! The round trip, and what it does to the share of unreliable messages that is sent.

use super::super::pace::{Pace, THROTTLE_DEFAULT};

#[test]
fn it_converges_and_sets_the_timeout() {
    let mut pace = Pace::new(THROTTLE_DEFAULT);
    assert_eq!(pace.timeout(), 500);
    pace.sample(1000, 100);
    assert_eq!((pace.rtt, pace.variance, pace.timeout()), (100, 50, 300));
    for step in 0..50 {
        pace.sample(1000 + step, 100);
    }
    assert_eq!(pace.rtt, 100);
    assert!(pace.variance <= 3 && pace.timeout() <= 112);
    // Faster than the machine can tell: never shorter than ten milliseconds.
    for step in 0..100 {
        pace.sample(2000 + step, 0);
    }
    assert!(pace.timeout() >= 10, "{}", pace.timeout());
}

#[test]
fn the_share_shrinks_with_a_slower_line_and_comes_back() {
    let mut pace = Pace::new(THROTTLE_DEFAULT);
    let mut now = 1000;
    let mut run = |pace: &mut Pace, rtt: u32, samples: u32| {
        for _ in 0..samples {
            now += 50;
            pace.sample(now, rtt);
        }
    };
    run(&mut pace, 50, 320);
    assert_eq!(pace.share, 32);
    // Within one interval, behind which ENet takes a line that has become so uneven for one without a measure.
    run(&mut pace, 400, 16);
    assert_eq!(pace.share, 0);
    let sent = (0..3200).filter(|_| pace.admits()).count();
    assert!(sent <= 100, "{sent}");
    run(&mut pace, 50, 300);
    assert_eq!(pace.share, 32);
    assert_eq!((0..3200).filter(|_| pace.admits()).count(), 3200);
    pace.cap(8);
    let sent = (0..3200).filter(|_| pace.admits()).count();
    assert!((800..=1000).contains(&sent), "{sent}");
}

#[test]
fn extreme_figures_do_not_overflow() {
    let mut pace = Pace::new(THROTTLE_DEFAULT);
    pace.throttle.acceleration = u32::MAX;
    pace.throttle.deceleration = u32::MAX;
    for step in 0..1000_u64 {
        pace.sample(step * 7000, if step % 2 == 0 { u32::MAX } else { 0 });
        let _ = (pace.timeout(), pace.admits());
    }
}
