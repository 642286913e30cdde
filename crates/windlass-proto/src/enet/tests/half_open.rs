//! The table of those who have not shown that they are there.

use core::net::SocketAddr;

use super::super::half_open::{HalfOpen, Table};
use super::super::keyed::Key;
use super::super::wire::Throttle;

fn entry(number: u32) -> HalfOpen {
    HalfOpen {
        addr: (core::net::Ipv4Addr::from(number), 5).into(),
        at: 1000,
        connect_id: number,
        code: 0,
        window: 4096,
        incoming_bandwidth: 0,
        outgoing_bandwidth: 0,
        throttle: Throttle { interval: 0, acceleration: 0, deceleration: 0 },
        own_id: number as u16 & 0x7ff,
        remote_id: 0,
        mtu: 0,
        channels: 1,
        own_session: 0,
        remote_session: 0,
        guesses: 0,
        answers: 0,
        credit: 0,
        queued: false,
    }
}

#[test]
fn it_is_of_one_size_and_what_is_in_it_is_found() {
    let mut key = Key::new([1; 16]);
    let mut table = Table::new(800);
    assert_eq!(table.bytes(), 0);
    let mut evicted = 0;
    for number in 0..5000 {
        let (place, pushed) = table.insert(&mut key, 1000, entry(number));
        evicted += usize::from(pushed);
        assert_eq!(table.find(&key, 1000, entry(number).addr, entry(number).own_id), Some(place));
        assert_eq!(table.get_mut(place).map(|entry| entry.connect_id), Some(number));
    }
    assert_eq!(evicted, 5000 - 800);
    assert!(table.bytes() <= 800 * 96, "{}", table.bytes());
    let found = (0..5000).filter(|&number| {
        let HalfOpen { addr, own_id, .. } = entry(number);
        table.find(&key, 1000, addr, own_id).is_some()
    });
    assert_eq!(found.count(), 800);
}

#[test]
fn old_entries_are_none() {
    let mut key = Key::new([2; 16]);
    let mut table = Table::new(8);
    for number in 0..8 {
        table.insert(&mut key, 1000, entry(number));
    }
    let HalfOpen { addr, own_id, .. } = entry(3);
    assert!(table.find(&key, 11_000, addr, own_id).is_some());
    assert!(table.find(&key, 11_001, addr, own_id).is_none());
    let other = HalfOpen { at: 11_001, ..entry(9) };
    assert!(!table.insert(&mut key, 11_001, other).1, "nobody is pushed out");
}

#[test]
fn secrets_depend_on_everything() {
    let key = Key::new([3; 16]);
    let addr: SocketAddr = "10.0.0.1:1".parse().unwrap();
    let secret = Table::secret(&key, addr, 1, 2);
    assert_eq!(Table::secret(&key, addr, 1, 2), secret);
    for other in [
        Table::secret(&Key::new([4; 16]), addr, 1, 2),
        Table::secret(&key, "10.0.0.1:2".parse().unwrap(), 1, 2),
        Table::secret(&key, "10.0.0.2:1".parse().unwrap(), 1, 2),
        Table::secret(&key, addr, 2, 2),
        Table::secret(&key, addr, 1, 3),
    ] {
        assert_ne!(other, secret);
    }
}
