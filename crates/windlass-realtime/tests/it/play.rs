//! Players in rooms: what they see of each other, how they come back, and what a stalled one costs.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use windlass_realtime::wire::Saying;
use windlass_realtime::{Arena, Channel, Rate, RecordSink, replay};

use crate::kit::{Player, Server, config, eventually, request};

/// No limit.
const NONE: Rate = Rate::new(0, 0);

#[test]
fn players_of_one_room_see_each_other_move_whatever_worker_they_came_by() {
    let server = Server::start(config(), 2);
    let mut players: Vec<Player> =
        (0..6).map(|n| Player::join(server.at, "join-or-create", &format!(r#"{{"name":"p{n}"}}"#))).collect();
    let mut watcher = Player::join(server.at, "join-or-create", r#"{"spectate":true}"#);
    let room = watcher.room.clone();
    assert!(players.iter().all(|player| player.room == room));
    // Who watches sees everybody, and players what is near them, themselves for certain.
    watcher.hear_until("all of them are seen", |watcher| watcher.seen.len() == 6);
    for player in &mut players {
        let own = player.seat;
        player.hear_until("itself", |player| player.seen.iter().any(|it| it.0 == own));
    }
    let before = watcher.seen.clone();
    // The first goes left or right, whichever way there is place.
    // Not as far back, or it would stand where it stood.
    for (buttons, inputs) in [(4, 40), (8, 20)] {
        for _ in 0..inputs {
            players[0].press(buttons);
            players[0].hear();
        }
    }
    let moved = |player: &Player| player.seen.iter().any(|now| now.0 == 0 && now.1 != before[0].1);
    watcher.hear_until("the first has moved", moved);
    for player in players.iter_mut().filter(|player| player.seen.iter().any(|it| it.0 == 0)) {
        player.hear_until("the first has moved, or out of sight", |player| {
            moved(player) || player.seen.iter().all(|it| it.0 != 0)
        });
    }
    let stats = || server.watch.stats();
    eventually("counted", || stats().joined == 7 && stats().players == 6);
    assert_eq!(stats().rooms, 1);
    assert!(server.watch.rooms()[0].players == 6);
}

#[test]
fn connections_move_to_the_worker_of_their_room() {
    let server = Server::start(config(), 2);
    // Rooms are spread over both workers, connections over both listeners: about half of them have to move.
    let mut players: Vec<Player> =
        (0..40).map(|_| Player::join(server.at, "create", r#"{"kind":"chat"}"#)).collect();
    for (n, player) in players.iter_mut().enumerate() {
        player.say(Saying::new().message(Channel::Reliable, format!("hello {n}").as_bytes()));
    }
    for (n, player) in players.iter_mut().enumerate() {
        player.hear_until("an answer", |player| player.texts() == [format!("hello {n}")]);
    }
    eventually("counted", || server.watch.stats().rooms == 40);
    let moved = server.watch.stats().moved;
    assert!((5..=35).contains(&moved), "{moved} of 40 moved");
}

#[test]
fn with_a_home_nobody_has_to_move() {
    let server = Server::start(config().home(Some(1)), 2);
    let mut players: Vec<Player> =
        (0..10).map(|_| Player::join(server.at, "create", r#"{"kind":"chat"}"#)).collect();
    for player in &mut players {
        player.say(Saying::new().message(Channel::Reliable, b"here"));
        player.hear_until("an answer", |player| player.texts() == ["here"]);
    }
    eventually("counted", || server.watch.stats().rooms == 10);
    assert_eq!(server.watch.stats().moved, 0);
}

#[test]
fn whoever_comes_back_has_their_seat_and_what_must_come() {
    let server = Server::start(config(), 2);
    let one = Player::join(server.at, "join-or-create", r#"{"kind":"chat"}"#);
    let mut two = Player::join(server.at, "join-or-create", r#"{"kind":"chat"}"#);
    assert_eq!((one.room.clone(), one.seat, two.seat), (two.room.clone(), 0, 1));
    // A tab that is killed: its system ends the connection and nothing more.
    one.socket.get_ref().shutdown(std::net::Shutdown::Both).unwrap();
    eventually("noticed", || server.watch.stats().lost == 1);
    for n in 0..3 {
        two.say(Saying::new().message(Channel::Reliable, format!("while away {n}").as_bytes()));
        two.say(Saying::new().message(Channel::Unreliable, b"gone"));
    }
    two.hear_until("heard", |player| player.texts().len() == 6);
    let mut again = Player::take(server.at, &one.path);
    assert_eq!((again.seat, &again.room), (0, &one.room));
    again.hear_until("what was missed", |player| player.texts().len() == 3);
    assert_eq!(again.texts(), ["while away 0", "while away 1", "while away 2"]);
    // A second tab with the same ticket: the first is told, and the seat is the second's.
    let mut third = Player::take(server.at, &one.path);
    again.hear_until("told", |player| player.closed.is_some());
    assert_eq!(again.closed, Some(4006));
    third.say(Saying::new().message(Channel::Reliable, b"it is me"));
    third.hear_until("heard", |player| player.texts() == ["it is me"]);
    // A farewell gives the seat up at once: the ticket is worth nothing then.
    third.say(Saying::new().farewell());
    third.hear_until("closed", |player| player.closed == Some(1000));
    let mut late = Player::take(server.at, &one.path);
    late.hear_until("refused", |player| player.closed.is_some());
    assert_eq!(late.closed, Some(4003));
}

#[test]
fn a_player_who_does_not_read_costs_the_others_nothing() {
    let server = Server::start(
        config().reliable_max(64 * 1024).seat_input(NONE).seat_output(NONE).seat_messages(NONE),
        1,
    );
    let mut stalled = Player::join(server.at, "join-or-create", r#"{"kind":"chat"}"#);
    let mut talker = Player::join(server.at, "join-or-create", r#"{"kind":"chat"}"#);
    let mut listener = Player::join(server.at, "join-or-create", r#"{"kind":"chat"}"#);
    let big = vec![b'x'; 12_000];
    let begun = Instant::now();
    let mut sent = 0;
    // Until what waits for it is more than sockets and bounds hold.
    while server.watch.stats().left_slow == 0 {
        talker.say(Saying::new().message(Channel::Reliable, &big));
        sent += 1;
        talker.hear_until("its own", |player| player.messages.len() >= sent);
        listener.hear_until("everything", |player| player.messages.len() >= sent);
        talker.messages.truncate(0);
        listener.messages.truncate(0);
        sent = 0;
        assert!(begun.elapsed() < Duration::from_secs(300), "it is never given up");
    }
    eventually("counted", || {
        let stats = server.watch.stats();
        (stats.left_slow, stats.players) == (1, 2)
    });
    // What it was sent is whole as far as it goes.
    while stalled.hear() {}
    assert!(stalled.messages.iter().all(|(_, bytes)| bytes.len() == 12_001));
}

#[test]
fn spectators_see_and_are_not_heard() {
    let server = Server::start(config(), 1);
    let mut player = Player::join(server.at, "join-or-create", r#"{"kind":"chat"}"#);
    let mut watcher = Player::join(server.at, "join-or-create", r#"{"kind":"chat","spectate":true}"#);
    assert_eq!(watcher.seat, 16);
    watcher.say(Saying::new().message(Channel::Reliable, b"let me in"));
    player.say(Saying::new().message(Channel::Reliable, b"hello"));
    watcher.hear_until("what is said", |watcher| watcher.texts() == ["hello"]);
    player.hear_until("the same", |player| player.texts() == ["hello"]);
}

#[test]
fn the_end_of_a_room_is_told_and_so_is_that_of_the_server() {
    let mut server = Server::start(config(), 2);
    let mut one = Player::join(server.at, "create", r#"{"kind":"chat"}"#);
    let mut two = Player::join(server.at, "create", r#"{"kind":"chat"}"#);
    one.say(Saying::new().message(Channel::Reliable, b"end"));
    one.hear_until("the end", |player| player.closed.is_some());
    assert_eq!((one.closed, one.ended.as_deref()), (Some(4002), Some("the room is over")));
    let rooms = || request(server.at, "GET", "/api/rooms", "").1.as_array().unwrap().len();
    eventually("it is gone", || rooms() == 1);
    let ended = std::thread::spawn(move || {
        two.hear_until("the end", |player| player.closed.is_some());
        two.closed
    });
    server.stop();
    assert_eq!(ended.join().unwrap(), Some(4002));
}

#[test]
fn a_match_over_the_network_replays_to_the_same_hash() {
    let record = Arc::new(Mutex::new(Vec::new()));
    let its = record.clone();
    let sink = RecordSink::new(move |piece| {
        its.lock().unwrap().extend_from_slice(&piece.bytes);
        true
    });
    let mut server = Server::start(config().record(Some(sink)), 1);
    let mut players: Vec<Player> = (0..3).map(|_| Player::join(server.at, "join-or-create", "{}")).collect();
    for n in 0..60u32 {
        for (at, player) in players.iter_mut().enumerate() {
            player.press([1, 10, 36][at] | if n % 20 == 0 { 16 } else { 0 });
            player.hear();
        }
    }
    server.stop();
    let record = record.lock().unwrap();
    let replayed = replay(&record, |kind, _| (kind == "arena").then(|| Arena::kind().make(b"{}"))).unwrap();
    assert!(replayed.whole && replayed.inputs > 100 && replayed.joins == 3, "{replayed:?}");
}

#[test]
fn ticks_are_as_many_as_time_allows() {
    let server = Server::start(config(), 1);
    let before = Instant::now();
    let mut player = Player::join(server.at, "create", r#"{"kind":"chat"}"#);
    let begun = Instant::now();
    std::thread::sleep(Duration::from_secs(3));
    // No less than time has passed for the player by now, and no more than since before there was a room.
    let least = begun.elapsed().as_secs_f64() * 60.0 - 6.0;
    player.say(Saying::new().message(Channel::Reliable, b"now"));
    player.hear_until("an answer", |player| !player.messages.is_empty());
    let (tick, most) = (player.tick as f64, before.elapsed().as_secs_f64() * 60.0 + 6.0);
    assert!(tick < most, "{tick} ticks, and {most} at most");
    // How late it was on a busy machine is told.
    eventually("as many as there may be", || {
        tick >= least - server.watch.stats().lateness.max().as_secs_f64() * 60.0
    });
    eventually("shown", || server.watch.rooms().len() == 1);
    let room = &server.watch.rooms()[0];
    assert_eq!(room.ticks, room.lateness.count());
    // Both are told from time to time, and not at the same time.
    eventually("counted", || {
        let stats = server.watch.stats();
        stats.ticks >= stats.lateness.count() && room.skipped <= stats.ticks_skipped + 60
    });
}
