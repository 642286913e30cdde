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
