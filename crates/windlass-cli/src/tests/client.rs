//! Where an admin listener may be.

use super::*;

#[test]
fn places() {
    for (text, place) in [
        ("127.0.0.1:9090", "127.0.0.1:9090"),
        (":9090", "127.0.0.1:9090"),
        ("0.0.0.0:9090", "127.0.0.1:9090"),
        ("[::]:9090", "[::1]:9090"),
        ("http://localhost:9090/", "localhost:9090"),
        ("unix:/run/admin", "unix:/run/admin"),
    ] {
        assert_eq!(text.parse::<Place>().map(|place| place.to_string()), Ok(place.into()));
    }
    for text in ["", "9090", "localhost", "localhost:0", "localhost:http", "unix:"] {
        assert!(text.parse::<Place>().is_err(), "{text}");
    }
}
