//! Networks as people write them.

use windlass::Peer;

use crate::Sources;

fn contains(networks: &[&str], ip: &str) -> bool {
    let sources = Sources::parse(networks).unwrap();
    sources.contain(Peer::Tcp(format!("{ip}:1").parse().or(format!("[{ip}]:1").parse()).unwrap()))
}

#[test]
fn networks_contain_who_is_in_them() {
    let networks = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1"];
    for inside in ["10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8:1::1", "::1", "::ffff:10.1.2.3"] {
        assert!(contains(&networks, inside), "{inside}");
    }
    for outside in ["11.0.0.0", "9.255.255.255", "192.0.2.8", "2001:db9::", "::2", "::10.0.0.1"] {
        assert!(!contains(&networks, outside), "{outside}");
    }
    assert!(contains(&["0.0.0.0/0"], "203.0.113.9") && !contains(&["0.0.0.0/0"], "2001:db8::1"));
    assert!(contains(&["::/0"], "2001:db8::1") && contains(&["::/0"], "203.0.113.9"));
    assert!(!contains(&[], "127.0.0.1"));
}

#[test]
fn unix_peers_are_named_or_not_in() {
    assert!(Sources::parse(["unix"]).unwrap().contain(Peer::Unix));
    assert!(!Sources::parse(["::/0"]).unwrap().contain(Peer::Unix));
}

#[test]
fn what_is_no_network_is_refused() {
    for bad in
        ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0/8", "::1/129", "host", "10.0.0.0/+8", "10.0.0.0/", "::1%lo"]
    {
        assert!(Sources::parse([bad]).is_err(), "{bad}");
    }
    let text = Sources::parse(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "unix"]).unwrap().to_string();
    assert_eq!(text, "10.0.0.0/8 192.0.2.7/32 2001:db8::/32 unix");
}

#[test]
fn thousands_of_networks_contain_what_each_of_them_does() {
    use std::net::{IpAddr, Ipv4Addr};
    use windlass::proto::testing::Rng;

    let mut rng = Rng::new(20);
    let networks: Vec<(u32, u32)> = (0..5_000)
        .map(|_| {
            let prefix = 8 + rng.below(25) as u32;
            (rng.below(1 << 32) as u32 & (u32::MAX << (32 - prefix)), prefix)
        })
        .collect();
    let texts = networks.iter().map(|(bits, prefix)| format!("{}/{prefix}", Ipv4Addr::from_bits(*bits)));
    let sources = Sources::parse(texts.collect::<Vec<_>>()).unwrap();
    let mut inside = 0;
    for n in 0..20_000 {
        // At the edges of networks, and anywhere.
        let (bits, prefix) = networks[n % networks.len()];
        let ip = match n % 5 {
            0 => bits,
            1 => bits.wrapping_sub(1),
            2 => bits | !(u32::MAX << (32 - prefix)),
            3 => (bits | !(u32::MAX << (32 - prefix))).wrapping_add(1),
            _ => rng.below(1 << 32) as u32,
        };
        let mask = |prefix: u32| u32::MAX << (32 - prefix);
        let wanted = networks.iter().any(|(bits, prefix)| ip & mask(*prefix) == *bits);
        let peer = Peer::Tcp((IpAddr::V4(Ipv4Addr::from_bits(ip)), 1).into());
        assert_eq!(sources.contain(peer), wanted, "{}", Ipv4Addr::from_bits(ip));
        inside += usize::from(wanted);
    }
    assert!((8_000..19_000).contains(&inside), "both are met: {inside}");
}
