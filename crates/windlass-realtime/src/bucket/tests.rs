//! Rates hold, and the table does not grow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use windlass::Time;

use super::{Addresses, Bucket, Rate};

fn at(ms: u64) -> Time {
    Time::ZERO + Duration::from_millis(1_000_000 + ms)
}

#[test]
fn a_burst_and_then_the_rate() {
    let (rate, mut bucket) = (Rate::new(10, 5), Bucket::default());
    let taken = (0..20).filter(|_| bucket.take(rate, 1, at(0))).count();
    assert_eq!(taken, 5);
    let taken = (0..1_000).filter(|ms| bucket.take(rate, 1, at(*ms))).count();
    assert_eq!(taken, 9, "one each tenth of a second");
    assert_eq!(bucket.level(rate, at(60_000)), 5, "no more than the burst is saved");
}

#[test]
fn one_large_piece_is_paid_for_later() {
    let (rate, mut bucket) = (Rate::new(1_000, 500), Bucket::default());
    assert!(bucket.take(rate, 3_500, at(0)));
    assert!(!bucket.take(rate, 1, at(2_900)));
    assert!(bucket.take(rate, 1, at(3_100)));
    let none = Rate::new(0, 0);
    assert!((0..1_000).all(|_| Bucket::default().take(none, u32::MAX, at(0))));
}

#[test]
fn a_network_has_one_bucket_and_a_flood_of_addresses_one_more() {
    let (rate, mut table) = (Rate::new(1, 2), Addresses::default());
    let of = |low: u16| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 1, 2, 3, low));
    assert_eq!((0..9).filter(|n| table.take(of(*n), rate, at(0))).count(), 2);
    let mapped = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped());
    assert!(table.take(mapped, rate, at(0)) && table.take("192.0.2.1".parse().unwrap(), rate, at(0)));
    assert!(!table.take(mapped, rate, at(0)));
    let flood = |n: u32| IpAddr::from(Ipv4Addr::from(0x0A00_0000 + n));
    let let_in = (0..100_000).filter(|n| table.take(flood(*n), rate, at(10))).count();
    assert_eq!(let_in, Addresses::MAX - 2 + 2, "a place each, and then two for all others");
    assert_eq!(table.buckets.len(), Addresses::MAX);
    assert!(table.take(flood(200_000), rate, at(5_000)), "what is full makes place");
    assert!(table.buckets.len() < 10);
}
