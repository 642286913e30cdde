//! Matchmaking: however many ask at once, nobody is promised a seat that is not there.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use windlass_realtime::{Key, Rate, sign_token};

use crate::kit::{Player, Server, config, eventually, request, seat};

#[test]
fn two_hundred_at_once_fill_rooms_to_the_last_seat_and_no_further() {
    let server = Server::start(config(), 2);
    let at = server.at;
    let asking: Vec<_> = (0..200)
        .map(|n| thread::spawn(move || Player::join(at, "join-or-create", &format!(r#"{{"name":"p{n}"}}"#))))
        .collect();
    let players: Vec<Player> = asking.into_iter().map(|asking| asking.join().unwrap()).collect();
    let seats: HashSet<_> = players.iter().map(|player| (player.room.clone(), player.seat)).collect();
    assert_eq!(seats.len(), 200, "no seat twice");
    assert!(seats.iter().all(|(_, seat)| *seat < 16));
    let rooms: HashSet<_> = players.iter().map(|player| &player.room).collect();
    assert_eq!(rooms.len(), 13);
    let (_, listed) = request(at, "GET", "/api/rooms", "");
    let players_of = |room: &serde_json::Value| room["players"].as_u64().unwrap();
    assert_eq!(listed.as_array().unwrap().iter().map(players_of).sum::<u64>(), 200);
    assert!(listed.as_array().unwrap().iter().all(|room| players_of(room) <= 16));
    eventually("all are counted", || server.watch.stats().players == 200);
}

#[test]
fn one_room_lets_in_as_many_as_it_has_seats() {
    let server = Server::start(config(), 2);
    let at = server.at;
    let (_, first) = seat(at, "create", r#"{"kind":"chat"}"#);
    let wish = format!(r#"{{"room":"{}"}}"#, first["room"].as_str().unwrap());
    let asking: Vec<_> = (0..200)
        .map(|_| {
            let wish = wish.clone();
            thread::spawn(move || seat(at, "join", &wish))
        })
        .collect();
    let answers: Vec<_> = asking.into_iter().map(|asking| asking.join().unwrap()).collect();
    let seats: HashSet<_> =
        answers.iter().filter(|it| it.0 == 200).map(|it| it.1["seat"].as_u64().unwrap()).collect();
    assert_eq!(seats.len(), 15);
    assert_eq!(answers.iter().filter(|it| it.0 == 200).count(), 15);
    assert!(answers.iter().filter(|it| it.0 != 200).all(|it| it.0 == 409 && it.1["error"] == "full"));
}

#[test]
fn there_are_never_more_rooms_than_may_be() {
    let server = Server::start(config().rooms_max(5), 2);
    let at = server.at;
    let asking: Vec<_> = (0..40).map(|_| thread::spawn(move || seat(at, "create", "{}"))).collect();
    let answers: Vec<_> = asking.into_iter().map(|asking| asking.join().unwrap()).collect();
    assert_eq!(answers.iter().filter(|it| it.0 == 200).count(), 5);
    assert!(
        answers.iter().filter(|it| it.0 != 200).all(|it| it.0 == 503 && it.1["error"] == "too_many_rooms")
    );
    eventually("counted", || server.watch.stats().rooms == 5);
}

#[test]
fn a_seat_nobody_comes_for_is_given_to_the_next() {
    const KEPT: Duration = Duration::from_millis(300);
    let server = Server::start(config().reservation_timeout(KEPT), 2);
    let (kept, wish) = loop {
        let begun = Instant::now();
        let (_, kept) = seat(server.at, "create", r#"{"kind":"chat","players_max":1}"#);
        let room = kept["room"].as_str().unwrap();
        assert_eq!(
            (kept["seat"].as_u64(), kept["hz"].as_u64(), kept["expires_ms"].as_u64()),
            (Some(0), Some(60), Some(300))
        );
        let wish = format!(r#"{{"room":"{room}"}}"#);
        let (status, _) = seat(server.at, "join", &wish);
        // Otherwise it was free again by then, perhaps.
        if begun.elapsed() < KEPT {
            assert_eq!(status, 409);
            break (kept, wish);
        }
    };
    eventually("it is free again", || seat(server.at, "join", &wish).0 == 200);
    let mut late = Player::take(server.at, kept["path"].as_str().unwrap());
    late.hear_until("told", |player| player.closed.is_some());
    assert_eq!(late.closed, Some(4003));
}

#[test]
fn the_lobby_shows_what_is_asked_for_and_nothing_private() {
    let server = Server::start(config(), 2);
    let at = server.at;
    let room = |wish: &str| seat(at, "create", wish).1["room"].as_str().unwrap().to_owned();
    let hard = room(r#"{"tags":{"mode":"hard"}}"#);
    let private = room(r#"{"private":true}"#);
    let chat = room(r#"{"kind":"chat"}"#);
    let listed = |query: &str| -> Vec<String> {
        let (status, rooms) = request(at, "GET", &format!("/api/rooms{query}"), "");
        assert_eq!(status, 200);
        rooms.as_array().unwrap().iter().map(|it| it["room"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed("").len(), 2);
    assert_eq!(listed("?kind=chat&free=true"), std::slice::from_ref(&chat));
    assert_eq!(listed("?tags=mode:hard"), std::slice::from_ref(&hard));
    assert!(listed("?tags=mode:easy").is_empty());
    assert_eq!(seat(at, "join-or-create", r#"{"tags":{"mode":"hard"}}"#).1["room"], hard);
    assert_eq!(seat(at, "join", &format!(r#"{{"room":"{private}"}}"#)).1["seat"], 1);
    for (how, wish, status, error) in [
        ("join", r#"{"room":"0000000000000"}"#, 404, "no_such_room"),
        ("join", r#"{"room":"../../etc"}"#, 404, "no_such_room"),
        ("create", r#"{"kind":"tennis"}"#, 404, "no_such_kind"),
    ] {
        let (got, body) = seat(at, how, wish);
        assert_eq!((got, body["error"].as_str()), (status, Some(error)), "{wish}");
    }
    for wish in ["", "7", r#"{"room":7}"#, r#"{"unknown":1}"#, "{"] {
        assert_eq!(seat(at, "create", wish).0, 400, "{wish}");
    }
    assert_eq!(seat(at, "create", &format!(r#"{{"name":"{}"}}"#, "x".repeat(9_000))).0, 413);
}

#[test]
fn a_game_with_a_login_lets_in_whom_it_signed_for_once() {
    let key = Key::new(b"the secret of the login, as long as it should be");
    let server = Server::start(config().token_key(Some(key.clone())), 2);
    let wish = |json: &str| format!(r#"{{"token":"{}"}}"#, sign_token(json, &key));
    let ann = wish(r#"{"sub":"ann","exp":4000000000,"jti":"1"}"#);
    assert_eq!(seat(server.at, "join-or-create", "{}").0, 403);
    assert_eq!(seat(server.at, "join-or-create", &ann).0, 200);
    assert_eq!(seat(server.at, "join-or-create", &ann).1["error"], "token");
    let other = sign_token(r#"{"sub":"ann","exp":4000000000,"jti":"2"}"#, &Key::new(b"other"));
    assert_eq!(seat(server.at, "join-or-create", &format!(r#"{{"token":"{other}"}}"#)).0, 403);
}

#[test]
fn an_address_with_too_many_requests_is_asked_to_wait() {
    let server = Server::start(config().address_requests(Rate::new(1, 5)), 1);
    let asks = || request(server.at, "GET", "/api/rooms", "").0;
    assert_eq!([(); 5].map(|()| asks()), [200; 5]);
    eventually("one is refused", || asks() == 429);
    eventually("counted", || server.watch.stats().refused_rate > 0);
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(request(server.at, "GET", "/api/rooms", "").0, 200);
}
