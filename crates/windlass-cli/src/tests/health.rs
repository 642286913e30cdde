//! Whom it asks.

use super::*;

#[test]
fn only_every_address_becomes_the_loopback() {
    for (listens, asked) in [
        (":9900", "127.0.0.1:9900"),
        ("0.0.0.0:9900", "127.0.0.1:9900"),
        ("[::]:9900", "[::1]:9900"),
        ("10.0.0.0:9900", "10.0.0.0:9900"),
        ("[fe80::]:9900", "[fe80::]:9900"),
        ("localhost:9900", "localhost:9900"),
    ] {
        assert_eq!(reachable(listens), asked);
    }
}
