//! Who gets no WebSocket, and whom one is taken from.

use tungstenite::Message;
use windlass_realtime::Rate;
use windlass_realtime::wire::{SUBPROTOCOL, Saying};

use crate::kit::{Player, Server, config, eventually, open, seat};

const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", SUBPROTOCOL);

#[test]
fn only_pages_of_the_host_and_only_with_a_ticket() {
    let server = Server::start(config(), 2);
    let (_, kept) = seat(server.at, "create", "{}");
    let path = kept["path"].as_str().unwrap();
    let status = |path: &str, headers: &[(&str, &str)]| open(server.at, path, headers).err();
    assert_eq!(status(path, &[PROTOCOL, ("origin", "https://elsewhere.example")]), Some(403));
    assert_eq!(status(path, &[PROTOCOL, ("origin", "null")]), Some(403));
    assert_eq!(status(path, &[]), Some(400), "without the subprotocol");
    assert_eq!(status(path, &[("sec-websocket-protocol", "chat")]), Some(400));
    let mut forged = path.to_owned();
    forged.pop();
    for wrong in ["/play", "/play?ticket=", "/play?ticket=AAAA", forged.as_str(), &format!("{path}A")] {
        assert_eq!(status(wrong, &[PROTOCOL]), Some(403), "{wrong}");
    }
    // The ticket of another server.
    let other = windlass_realtime::Key::new(&[6; 32]);
    let foreign = Server::start(windlass_realtime::GameConfig::new(other, config().kinds), 1);
    let (_, theirs) = seat(foreign.at, "create", "{}");
    assert_eq!(status(theirs["path"].as_str().unwrap(), &[PROTOCOL]), Some(403));
    let origin = format!("http://{}", server.at);
    assert_eq!(status(path, &[PROTOCOL, ("origin", &origin)]), None);
}

#[test]
fn what_is_no_message_ends_the_connection_and_nothing_else() {
    let server = Server::start(config().message_max(10_000), 2);
    let mut good = Player::join(server.at, "join-or-create", "{}");
    let wrong: [(Message, u16); 5] = [
        (Message::text("hello"), 1008),
        (Message::binary(vec![9, 0]), 1008),
        (Message::binary(vec![4, 200]), 1008),
        (Message::binary(vec![1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]), 1008),
        (Message::binary(vec![0; 20_000]), 1009),
    ];
    for (message, code) in wrong {
        let mut bad = Player::join(server.at, "join-or-create", "{}");
        assert_eq!(bad.room, good.room);
        let what = format!("{:.20?}", message);
        bad.socket.send(message).unwrap();
        bad.hear_until(&what, |player| player.closed.is_some());
        assert_eq!(bad.closed, Some(code), "{what}");
    }
    good.hear_until("still there", |player| player.heard > 30);
    eventually("counted", || server.watch.stats().left_abuse == 4);
}

#[test]
fn a_message_in_pieces_is_no_longer_than_one_in_one() {
    use tungstenite::protocol::frame::Frame;
    use tungstenite::protocol::frame::coding::{Data, OpCode};

    let server = Server::start(config().message_max(10_000), 2);
    let mut good = Player::join(server.at, "join-or-create", "{}");
    let mut bad = Player::join(server.at, "join-or-create", "{}");
    assert_eq!(bad.room, good.room);
    for n in 0..1_100 {
        let code = OpCode::Data(if n == 0 { Data::Binary } else { Data::Continue });
        // It may be over before the last of them.
        if bad.socket.send(Message::Frame(Frame::message(vec![0; 10], code, false))).is_err() {
            break;
        }
    }
    bad.hear_until("it is over", |player| player.closed.is_some());
    assert_eq!(bad.closed, Some(1009));
    good.hear_until("still there", |player| player.heard > 30);
}

#[test]
fn a_flood_ends_one_seat() {
    let server = Server::start(config().seat_messages(Rate::new(50, 100)).seat_dropped_max(200), 1);
    let mut good = Player::join(server.at, "join-or-create", "{}");
    let mut bad = Player::join(server.at, "join-or-create", "{}");
    for _ in 0..2_000 {
        bad.say(Saying::new().confirm(1));
    }
    bad.hear_until("ended", |player| player.closed.is_some());
    assert_eq!(bad.closed, Some(1008));
    good.hear_until("alone", |player| player.seen.len() == 1);
    eventually("counted", || server.watch.stats().messages_dropped >= 200);
}
