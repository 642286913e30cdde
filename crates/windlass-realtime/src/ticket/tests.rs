//! What was not signed with the key is nothing.

use super::*;

fn key() -> Key {
    Key::new(&[7; 32])
}

fn ticket() -> Ticket {
    Ticket { worker: 3, room: RoomId(u64::MAX - 5), seat: Seat(9), serial: 77 }
}

#[test]
fn a_ticket_is_read_as_it_was_written_and_no_other() {
    let text = ticket().write(&key());
    assert_eq!(Ticket::read(&text, &key()), Some(ticket()));
    assert_eq!(Ticket::read(&text, &Key::new(&[8; 32])), None);
    for at in 0..text.len() {
        let mut other = text.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(Ticket::read(std::str::from_utf8(&other).unwrap(), &key()), None, "{at}");
        assert_eq!(Ticket::read(&text[..at], &key()), None);
    }
    assert_eq!(Ticket::read(&"A".repeat(100_000), &key()), None);
}

#[test]
fn a_token_says_who_only_if_it_was_signed() {
    let json = r#"{"sub":"ann","exp":100,"jti":"1","room":"x"}"#;
    let token = sign_token(json, &key());
    let claims = Claims::read(&token, &key()).unwrap();
    assert_eq!((claims.sub.as_str(), claims.exp, claims.room.as_deref()), ("ann", 100, Some("x")));
    assert_eq!(Claims::read(&token, &Key::new(b"other")), None);
    let (body, mac) = token.split_once('.').unwrap();
    let forged = URL_SAFE_NO_PAD.encode(r#"{"sub":"eve","exp":100,"jti":"1"}"#);
    for wrong in [body, "", ".", &format!("{forged}.{mac}"), &format!("{body}."), &format!("{token}A")] {
        assert_eq!(Claims::read(wrong, &key()), None, "{wrong}");
    }
    let long = format!(r#"{{"sub":"{}","exp":1,"jti":"1"}}"#, "x".repeat(200));
    assert_eq!(Claims::read(&sign_token(&long, &key()), &key()), None);
    assert_eq!(Claims::read(&sign_token(r#"{"sub":"ann"}"#, &key()), &key()), None, "no expiry");
}

#[test]
fn numbers_differ_by_what_they_are_for() {
    let numbers: std::collections::BTreeSet<_> =
        (0..1_000).flat_map(|n| [key().number("room", n), key().number("seed", n)]).collect();
    assert_eq!(numbers.len(), 2_000);
}
