//! What is said comes back as it was meant, however the bytes are split; anything else is garbage.

use super::*;

fn line(text: impl fmt::Display) -> String {
    text.to_string().strip_suffix('\n').expect("a whole line").to_string()
}

#[test]
fn lines_come_back_as_they_were_meant() {
    let taken = vec![Item::Control, Item::Listener(0), Item::Listener(65_535)];
    for ask in [Ask::Hello(VERSION), Ask::Hello(u32::MAX), Ask::Ready(vec![]), Ask::Ready(taken)] {
        assert_eq!(Ask::parse(&line(&ask)), Some(ask));
    }
    let refused = Answer::Refused("another successor is being served".into());
    let given = [Answer::Given(Item::Control), Answer::Given(Item::Listener(7))];
    for answer in [Answer::Offer(3), refused, Answer::Goodbye].into_iter().chain(given) {
        assert_eq!(Answer::parse(&line(&answer)), Some(answer));
    }
}

#[test]
fn what_is_no_line_of_ours_is_garbage() {
    for bad in [
        "",
        "windlass handover ",
        "windlass handover x",
        "ready 65536",
        "ready -1",
        "READY",
        "GET / HTTP/1.1",
    ] {
        assert_eq!(Ask::parse(bad), None, "{bad:?}");
    }
    for bad in
        ["", "offer", "offer -1", "offer 16385", "listener", "listener x", "listener 65536", "goodbye "]
    {
        assert_eq!(Answer::parse(bad), None, "{bad:?}");
    }
}

#[test]
fn lines_are_found_at_any_split() {
    let text = b"windlass handover 1\nready 1 2\n";
    for split in 0..=text.len() {
        let mut incoming = Incoming::default();
        let mut lines = Vec::new();
        for part in [&text[..split], &text[split..]] {
            incoming.push(part);
            while let Some(line) = incoming.line().unwrap() {
                lines.push(line);
            }
        }
        assert_eq!(lines, ["windlass handover 1", "ready 1 2"]);
    }
}

#[test]
fn a_line_without_end_is_garbage() {
    let mut incoming = Incoming::default();
    incoming.push(&[b'x'; LINE_MAX]);
    assert_eq!(incoming.line(), Ok(None));
    incoming.push(b"x");
    assert_eq!(incoming.line(), Err(Garbage));
    incoming.push(b"\n");
    assert_eq!(incoming.line(), Err(Garbage));
    let mut incoming = Incoming::default();
    incoming.push(b"\xff\n");
    assert_eq!(incoming.line(), Err(Garbage));
}

#[test]
fn a_listener_for_foreign_addresses_says_so() {
    let listener = |transparent: bool| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        if transparent && socket.set_ip_transparent_v4(true).is_err() {
            return None;
        }
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(1).unwrap();
        Some(crate::sys::handover::Passed::new(socket.into()).unwrap())
    };
    assert!(listener(false).is_some_and(|passed| !passed.is_transparent()));
    match listener(true) {
        Some(passed) => assert!(passed.is_transparent()),
        None => eprintln!("!!! SKIPPED: this needs CAP_NET_ADMIN"),
    }
}
