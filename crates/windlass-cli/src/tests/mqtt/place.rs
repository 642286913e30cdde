//! Addresses of brokers, as people write them.

use super::*;

fn url(text: &str) -> Url {
    text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
}

#[test]
fn urls_have_all_in_one() {
    let it = url("mqtts://me%40home:p%3Aw@example.com:8884/home/a%2Fb");
    assert!(it.secure && it.web.is_none());
    assert_eq!((it.host.as_str(), it.port), ("example.com", Some(8884)));
    assert_eq!((it.user.as_deref(), it.password.as_deref()), (Some("me@home"), Some("p:w")));
    assert_eq!(it.topic.as_deref(), Some("home/a/b"));
    assert!(!format!("{it:?}").contains("p:w"), "no secret in a log");
}

#[test]
fn little_is_enough() {
    let it = url("mqtt://[::1]");
    assert_eq!((it.host.as_str(), it.port, it.topic, it.user), ("::1", None, None, None));
    assert_eq!(url("ws://h").web.as_deref(), Some("/mqtt"));
    assert_eq!(url("wss://h/x?y=1").web.as_deref(), Some("/x?y=1"));
    assert_eq!(url("ws://u@h:81/").user.as_deref(), Some("u"));
}

#[test]
fn what_is_no_url_of_a_broker() {
    for text in ["localhost", "http://x", "mqtt://", "mqtt://h:port", "mqtt://h/%4", "mqtt://%ff@h"] {
        assert!(text.parse::<Url>().is_err(), "{text}");
    }
}
