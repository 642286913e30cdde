//! What one configuration has that another has not.

use super::*;

fn units_of(text: &str) -> Vec<Unit> {
    let file: File = toml::from_str(text).expect("a configuration");
    units(&file, "kv", &Told::default())
}

/// The words for coming from `old` to `new`.
fn words(old: &str, new: &str) -> Vec<String> {
    let mut words = Difference::of(&units_of(old), &units_of(new)).in_words();
    words.sort();
    words
}

const ONE: &str = "[[echo]]\nname = \"one\"\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n";

#[test]
fn the_same_is_no_difference() {
    let all = format!(
        "{ONE}[admin]\nlisten = [\"127.0.0.1:9\"]\ntoken = \"t\"\n[[websocket]]\nlisten = [\":3\"]\n"
    );
    assert!(words(&all, &all).is_empty());
    let turned = ONE.replace("\"127.0.0.1:1\", \"127.0.0.1:2\"", "\"127.0.0.1:2\", \"127.0.0.1:1\"");
    assert!(words(ONE, &turned).is_empty(), "their order is nothing");
    let twice = "[[echo]]\nlisten = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n";
    assert!(words(twice, twice).is_empty());
    let once = "[[echo]]\nlisten = [\"127.0.0.1:0\"]\n";
    assert_eq!(words(twice, once), ["echo listens no more on 127.0.0.1:0"]);
}

#[test]
fn services_and_listeners_come_and_go() {
    let moved = ONE.replace(":2\"", ":3\"");
    assert_eq!(words(ONE, &moved), ["one listens no more on 127.0.0.1:2", "one listens on 127.0.0.1:3"]);
    let renamed = ONE.replace("one", "two");
    assert_eq!(words(ONE, &renamed), ["service one removed", "service two added"]);
    let other_kind = ONE.replace("echo", "websocket");
    assert_eq!(words(ONE, &other_kind), ["service one replaced: its settings are others"]);
    let admin = |token: &str| format!("{ONE}[admin]\nlisten = [\"127.0.0.1:9\"]\ntoken = \"{token}\"\n");
    assert_eq!(words(ONE, &admin("a")), ["service admin added"]);
    assert_eq!(words(&admin("a"), &admin("b")), ["service admin replaced: its settings are others"]);
}

#[test]
fn a_certificate_is_read_again_but_tls_is_another_listener() {
    let tls = format!("{ONE}[echo.tls]\ncert = \"a.pem\"\nkey = \"a.key\"\n");
    let other = tls.replace("a.pem", "b.pem");
    let difference = Difference::of(&units_of(&tls), &units_of(&other));
    assert!(difference.in_words().is_empty());
    assert_eq!(difference.certificates.len(), 2);
    assert_eq!(words(ONE, &tls).len(), 4, "two go, and the same two come with TLS");
}

#[cfg(feature = "proxy")]
#[test]
fn whoever_looks_for_backends_goes_with_the_proxy_it_tells() {
    let proxy = "[[proxy]]\nlisten = [\":1\"]\ndiscover = [\"file:list\"]\n";
    let both = [
        "service proxy discovery replaced: its settings are others",
        "service proxy replaced: its settings are others",
    ];
    assert_eq!(words(proxy, &format!("{proxy}mode = \"http\"\n")), both);
    let logged = format!("{proxy}[proxy.access_log]\npath = \"-\"\n");
    assert_eq!(words(proxy, &logged), both);
    let more = format!("{proxy}file_every = \"5s\"\n");
    assert!(words(proxy, &more).is_empty(), "it is told");
}

#[cfg(feature = "kv")]
#[test]
fn all_tables_of_the_store_are_one_service() {
    let resp = "[[resp]]\nlisten = [\"127.0.0.1:1\"]\n";
    let both = format!("{resp}[[memcached]]\nlisten = [\"127.0.0.1:2\"]\n");
    assert_eq!(words(resp, &both), ["kv listens on 127.0.0.1:2"]);
    let memcached = "[[memcached]]\nlisten = [\"127.0.0.1:1\"]\n";
    // The address speaks another protocol, and the keys stay.
    assert_eq!(words(resp, memcached), ["kv listens no more on 127.0.0.1:1", "kv listens on 127.0.0.1:1"]);
    let named = "[[resp]]\nname = \"cache\"\nlisten = [\"127.0.0.1:1\"]\npassword_file = \"p\"\n";
    assert!(words(resp, named).is_empty(), "its settings are told to it");
}
