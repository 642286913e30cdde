//! The page is there with all it loads, and messages come back.

use windlass::testing::Harness;

use super::*;

fn get(harness: &mut Harness, path: &str) -> String {
    let peer = harness.connect();
    harness.send(peer, format!("GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n"));
    String::from_utf8(harness.receive(peer)).unwrap()
}

#[test]
fn the_page_loads_nothing_that_is_not_there() {
    let mut harness = Harness::new(serve(pages));
    let page = get(&mut harness, "/");
    let links = page.split("src=\"").chain(page.split("href=\"")).filter(|part| part.starts_with('/'));
    let links: Vec<&str> = links.filter_map(|part| part.split('"').next()).collect();
    assert_eq!(links.len(), 3, "{page}");
    for link in links {
        assert!(get(&mut harness, link).starts_with("HTTP/1.1 200 "), "{link}");
    }
}

#[test]
fn messages_come_back_and_are_counted() {
    let mut harness = Harness::new(serve(pages));
    let peer = harness.connect();
    harness.send(
        peer,
        "GET /ws HTTP/1.1\r\nhost: here\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(harness.receive(peer).starts_with(b"HTTP/1.1 101 "));
    // "hello", masked with zeros.
    harness.send(peer, [&[0x81, 0x85, 0, 0, 0, 0][..], b"hello"].concat());
    assert_eq!(harness.receive(peer), [&[0x81, 5][..], b"hello"].concat());
}
