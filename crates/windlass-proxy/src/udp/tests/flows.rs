//! The table does what a list that is looked through does.

use std::net::IpAddr;

use windlass_proto::testing::Rng;

use crate::udp::flows::Flows;

/// A flow as the plain list has it.
#[derive(Clone, Debug)]
struct Plain {
    key: u64,
    ip: IpAddr,
    at: u32,
    proven: bool,
    found: bool,
}

fn ip(n: u64) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::from(0x0A00_0000 + n as u32))
}

/// In the list: those who were silent for longest first.
fn first_to_go(plain: &[Plain]) -> Option<u32> {
    let not_proven = plain.iter().find(|flow| !flow.proven);
    not_proven.or(plain.first()).map(|flow| flow.at)
}

#[test]
fn it_agrees_with_a_plain_list_whatever_is_done() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let mut flows: Flows<u64, u64> = Flows::new();
        let mut plain: Vec<Plain> = Vec::new();
        for _ in 0..400 {
            let key = rng.below(12);
            let listed = plain.iter().position(|flow| flow.key == key && flow.found);
            assert_eq!(flows.find(&key), listed.map(|n| plain[n].at), "seed {seed}");
            let any = (!plain.is_empty()).then(|| rng.below(plain.len() as u64) as usize);
            match (rng.below(6), any, listed) {
                (0 | 1, _, None) => {
                    let ip = ip(key % 3);
                    let at = flows.add(key, ip, key * 10);
                    plain.push(Plain { key, ip, at, proven: false, found: true });
                }
                (2, Some(n), _) => {
                    flows.touch(plain[n].at);
                    let flow = plain.remove(n);
                    plain.push(flow);
                }
                (3, Some(n), _) => {
                    // As it is done: the datagram that proves it is one.
                    flows.prove(plain[n].at);
                    flows.touch(plain[n].at);
                    let flow = plain.remove(n);
                    plain.push(Plain { proven: true, ..flow });
                }
                (4, Some(n), _) => {
                    flows.detach(plain[n].at);
                    plain[n].found = false;
                }
                (5, Some(n), _) => {
                    let flow = plain.remove(n);
                    assert_eq!(flows.remove(flow.at), Some(flow.key * 10), "seed {seed}");
                    assert_eq!(flows.remove(flow.at), None);
                }
                _ => {}
            }
            assert_eq!(flows.len(), plain.len());
            assert_eq!(flows.first_to_go(), first_to_go(&plain), "seed {seed}: {plain:?}");
            for n in 0..3 {
                let own: Vec<Plain> = plain.iter().filter(|flow| flow.ip == ip(n)).cloned().collect();
                assert_eq!(flows.len_of(ip(n)), own.len());
                if own.len() <= 16 {
                    assert_eq!(flows.first_to_go_of(ip(n)), first_to_go(&own), "seed {seed}: {plain:?}");
                }
            }
            let mut all: Vec<u64> = flows.each().map(|(_, flow)| *flow).collect();
            let mut expected: Vec<u64> = plain.iter().map(|flow| flow.key * 10).collect();
            all.sort_unstable();
            expected.sort_unstable();
            assert_eq!(all, expected);
        }
    }
}

#[test]
fn a_network_of_a_host_is_one_source() {
    let mut flows: Flows<u64, ()> = Flows::new();
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    for (n, text) in ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1", "::ffff:10.0.0.1", "10.0.0.1"]
        .into_iter()
        .enumerate()
    {
        flows.add(n as u64, ip(text), ());
    }
    assert_eq!(flows.len_of(ip("2001:db8::2")), 2);
    assert_eq!(flows.len_of(ip("2001:db8:0:1::2")), 1);
    assert_eq!(flows.len_of(ip("10.0.0.1")), 2);
}

#[test]
fn nothing_is_kept_of_sources_that_are_gone() {
    let mut flows: Flows<u64, ()> = Flows::new();
    for n in 0..10_000 {
        let at = flows.add(n, ip(n), ());
        flows.remove(at);
    }
    assert_eq!((flows.sources_len(), flows.places()), (0, 1));
}

#[test]
fn going_around_finds_each_once() {
    let mut flows: Flows<u64, u64> = Flows::new();
    let at: Vec<u32> = (0..10).map(|n| flows.add(n, ip(n), n)).collect();
    flows.remove(at[3]);
    let mut place = 0;
    let mut found = Vec::new();
    for _ in 0..4 {
        found.extend(flows.next(&mut place, 3).map(|flow| *flow));
    }
    assert_eq!(found, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
    assert_eq!(flows.next(&mut place, 2).map(|flow| *flow).collect::<Vec<_>>(), [0, 1]);
}
