//! Nobody is promised what is not there.

use std::collections::HashSet;

use super::*;
use crate::ticket::{Key, sign_token};
use crate::{Random, Room, RoomKind};

struct Nothing;
impl Room for Nothing {}

fn config() -> GameConfig {
    let kind = |name: &str| {
        RoomKind::new(name, |_| Box::new(Nothing) as Box<dyn Room>).players_max(4).spectators_max(2)
    };
    GameConfig::new(Key::new(&[1; 32]), [kind("one"), kind("two").hz(60)]).rooms_max(50)
}

fn directory(config: GameConfig) -> Directory {
    Directory::new(Arc::new(config), 3, Time::ZERO)
}

fn wish() -> Wish {
    Wish::default()
}

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn refused(directory: &mut Directory, how: How, wish: &Wish) -> Refused {
    directory.seat(how, wish, Time::ZERO).unwrap_err()
}

#[test]
fn a_seat_is_promised_once_however_many_ask() {
    let mut directory = directory(config());
    let mut promised = HashSet::new();
    for _ in 0..200 {
        let Ok(promise) = directory.seat(How::JoinOrCreate, &wish(), Time::ZERO) else { break };
        assert!(promise.ticket.seat.0 < 4);
        assert!(promised.insert((promise.ticket.room, promise.ticket.seat)));
    }
    assert_eq!((promised.len(), directory.len()), (200, 50));
    assert_eq!(refused(&mut directory, How::JoinOrCreate, &wish()), Refused::TooManyRooms);
    assert!(directory.list(&wish(), false).iter().all(|room| room.players == 4));
    assert!(directory.list(&wish(), true).is_empty());
}

#[test]
fn rooms_fill_up_before_others_are_opened_and_go_where_least_is_to_do() {
    let mut directory = directory(config());
    let mut open = |how| directory.seat(how, &wish(), Time::ZERO).unwrap();
    let (first, second, third) = (open(How::Create), open(How::Create), open(How::Create));
    let workers: HashSet<_> = [&first, &second, &third].map(|promise| promise.ticket.worker).into();
    assert_eq!(workers.len(), 3);
    assert!(first.open.is_some());
    let more = open(How::JoinOrCreate);
    assert_eq!((more.ticket.room, more.open), (first.ticket.room, None), "the oldest of equals");
    assert_eq!(open(How::JoinOrCreate).ticket.room, first.ticket.room, "the fullest");
    let next = open(How::Create).ticket.worker;
    assert_ne!(next, first.ticket.worker);
}

#[test]
fn where_connections_cannot_move_all_rooms_are_in_one_place() {
    let mut directory = directory(config().home(Some(1)));
    for _ in 0..9 {
        assert_eq!(directory.seat(How::Create, &wish(), Time::ZERO).unwrap().ticket.worker, 1);
    }
    let mut elsewhere = super::Directory::new(Arc::new(config().home(Some(7))), 3, Time::ZERO);
    assert!(elsewhere.seat(How::Create, &wish(), Time::ZERO).unwrap().ticket.worker < 3);
}

#[test]
fn who_looks_for_something_finds_that_and_nothing_private() {
    let mut directory = directory(config());
    let hidden = Wish { private: true, ..wish() };
    let hidden = directory.seat(How::Create, &hidden, Time::ZERO).unwrap().ticket.room;
    let hard = Wish { tags: tags(&[("mode", "hard"), ("map", "x")]), ..wish() };
    let hard_room = directory.seat(How::Create, &hard, Time::ZERO).unwrap().ticket.room;
    let two = Wish { kind: Some("two".into()), ..wish() };
    let two_room = directory.seat(How::JoinOrCreate, &two, Time::ZERO).unwrap().ticket.room;
    assert_eq!(HashSet::from([hidden, hard_room, two_room]).len(), 3);
    let by_mode = Wish { tags: tags(&[("mode", "hard")]), ..wish() };
    assert_eq!(directory.seat(How::JoinOrCreate, &by_mode, Time::ZERO).unwrap().ticket.room, hard_room);
    assert_eq!(directory.list(&by_mode, true).len(), 1);
    assert_eq!(directory.list(&two, true)[0].room, two_room.to_string());
    assert_eq!(directory.list(&wish(), true).len(), 2);
    let by_name = Wish { room: Some(hidden.to_string()), ..wish() };
    assert_eq!(directory.seat(How::Join, &by_name, Time::ZERO).unwrap().ticket.room, hidden);
    for (room, kind, why) in [
        (None, None, Refused::NoRoom),
        (Some("nonsense".to_string()), None, Refused::NoRoom),
        (Some(RoomId(5).to_string()), None, Refused::NoRoom),
        (Some(hidden.to_string()), Some("two".to_string()), Refused::NoRoom),
        (Some(hidden.to_string()), Some("three".to_string()), Refused::NoKind),
    ] {
        let wish = Wish { room, kind, ..wish() };
        assert_eq!(refused(&mut directory, How::Join, &wish), why);
    }
    let many = Wish { tags: (0..9).map(|n| (n.to_string(), String::new())).collect(), ..wish() };
    assert_eq!(refused(&mut directory, How::Create, &many), Refused::Tags);
    let long = Wish { tags: tags(&[("x", &"y".repeat(65))]), ..wish() };
    assert_eq!(refused(&mut directory, How::Create, &long), Refused::Tags);
}

#[test]
fn a_seat_comes_back_only_from_who_has_it() {
    let mut directory = directory(config());
    let small = Wish { players_max: Some(1), ..wish() };
    let first = directory.seat(How::Create, &small, Time::ZERO).unwrap().ticket;
    let by_name = Wish { room: Some(first.room.to_string()), ..wish() };
    assert_eq!(refused(&mut directory, How::Join, &by_name), Refused::Full);
    let freed =
        |ticket: Ticket| Notice::Freed { room: ticket.room, seat: ticket.seat, serial: ticket.serial };
    directory.notice(freed(Ticket { serial: 99, ..first }));
    assert_eq!(refused(&mut directory, How::Join, &by_name), Refused::Full);
    directory.notice(freed(first));
    directory.notice(freed(first));
    let second = directory.seat(How::Join, &by_name, Time::ZERO).unwrap().ticket;
    assert_eq!((second.seat, second.room), (first.seat, first.room));
    directory.notice(freed(first));
    assert_eq!(refused(&mut directory, How::Join, &by_name), Refused::Full, "that was the one before");
    directory.notice(Notice::Freed { room: first.room, seat: Seat(500), serial: 1 });
    let watch = Wish { spectate: true, ..by_name.clone() };
    assert_eq!(directory.seat(How::Join, &watch, Time::ZERO).unwrap().ticket.seat, Seat(1));
    directory.notice(Notice::Locked { room: first.room, locked: true });
    assert_eq!(refused(&mut directory, How::Join, &watch), Refused::Locked);
    directory.notice(Notice::Closed { room: first.room });
    assert_eq!(refused(&mut directory, How::Join, &watch), Refused::NoRoom);
    assert_eq!(directory.load(), [0, 0, 0]);
}

#[test]
fn what_is_to_do_adds_up_to_nothing_when_all_is_over() {
    let mut directory = directory(config());
    let mut random = Random::new(6);
    let mut given: Vec<Ticket> = Vec::new();
    for _ in 0..5_000 {
        let spectate = random.below(4) == 0;
        let how = [How::JoinOrCreate, How::JoinOrCreate, How::Create][random.below(3) as usize];
        if random.below(2) == 0 {
            let wish = Wish { spectate, ..wish() };
            given.extend(directory.seat(how, &wish, Time::ZERO).map(|promise| promise.ticket));
        } else if !given.is_empty() {
            let ticket = given.swap_remove(random.below(given.len() as u64) as usize);
            if random.below(10) == 0 {
                directory.notice(Notice::Closed { room: ticket.room });
                given.retain(|other| other.room != ticket.room);
            } else {
                directory.notice(Notice::Freed {
                    room: ticket.room,
                    seat: ticket.seat,
                    serial: ticket.serial,
                });
            }
        }
        let listed: u32 =
            directory.list(&wish(), false).iter().map(|it| u32::from(it.players + it.spectators)).sum();
        assert_eq!(listed as usize, given.len());
    }
    let rooms: Vec<RoomId> = directory.order.values().copied().collect();
    rooms.into_iter().for_each(|room| directory.notice(Notice::Closed { room }));
    assert_eq!((directory.load(), directory.len()), (&[0, 0, 0][..], 0));
}

#[test]
fn a_token_lets_one_in_once_until_it_ends() {
    let key = Key::new(&[2; 32]);
    let start = Time::from_nanos(5_000_000_000);
    let with_key = config().token_key(Some(key.clone())).unix_ms(1_000_000);
    let mut directory = Directory::new(Arc::new(with_key), 3, start);
    let with = |json: &str| Wish { token: Some(sign_token(json, &key)), ..wish() };
    assert_eq!(directory.seat(How::Create, &wish(), start), Err(Refused::Token));
    let ann = with(r#"{"sub":"ann","exp":1010,"jti":"1"}"#);
    let promise = directory.seat(How::Create, &ann, start).unwrap();
    assert_eq!(promise.guest.subject.as_deref(), Some("ann"));
    assert_eq!(directory.seat(How::Create, &ann, start), Err(Refused::Token), "once");
    let late = with(r#"{"sub":"ann","exp":1010,"jti":"2"}"#);
    let later = |secs| start + Duration::from_secs(secs);
    assert_eq!(directory.seat(How::Create, &late, later(10)), Err(Refused::Token), "over");
    let kind = with(r#"{"sub":"bob","exp":2000,"jti":"3","kind":"two"}"#);
    assert_eq!(directory.seat(How::Create, &kind, start), Err(Refused::Token));
    assert!(directory.seat(How::Create, &Wish { kind: Some("two".into()), ..kind }, start).is_ok());
    let room = promise.ticket.room.to_string();
    let one = Wish {
        room: Some(room.clone()),
        ..with(&format!(r#"{{"sub":"cy","exp":2000,"jti":"4","room":"{room}"}}"#))
    };
    assert_eq!(directory.seat(How::Create, &Wish { room: None, ..one.clone() }, start), Err(Refused::Token));
    assert!(directory.seat(How::Join, &one, start).is_ok());
    let full = Wish { spectate: true, ..one };
    assert_eq!(directory.seat(How::Join, &full, start), Err(Refused::Token));
    assert_eq!(directory.spent.len(), 3);
    let none = with(r#"{"sub":"dan","exp":3000,"jti":"5"}"#);
    assert!(directory.seat(How::Create, &none, later(500)).is_ok());
    assert_eq!(directory.spent.len(), 2 + 1, "what has ended is forgotten");
}

#[test]
fn a_token_ends_in_time_however_long_nobody_came() {
    let key = Key::new(&[2; 32]);
    let with_key = config().token_key(Some(key.clone())).unix_ms(1_000_000);
    let start = Time::from_nanos(5_000_000_000);
    let mut directory = Directory::new(Arc::new(with_key), 3, start);
    let token = |exp: u64| Wish {
        token: Some(sign_token(&format!(r#"{{"sub":"ann","exp":{exp},"jti":"{exp}"}}"#), &key)),
        ..wish()
    };
    // The first who comes, an hour after the server: what ended half an hour ago has ended.
    let now = start + Duration::from_secs(3_600);
    assert_eq!(directory.seat(How::Create, &token(1_000 + 1_800), now), Err(Refused::Token));
    assert!(directory.seat(How::Create, &token(1_000 + 3_601), now).is_ok());
}

#[test]
fn a_kind_whose_seats_make_no_sense_is_taken_as_the_nearest_that_does() {
    let mut none = RoomKind::new("none", |_| Box::new(Nothing) as Box<dyn Room>);
    none.players_max = 0;
    let many = RoomKind::new("many", |_| Box::new(Nothing) as Box<dyn Room>)
        .players_max(60_000)
        .spectators_max(60_000);
    let mut directory = directory(GameConfig::new(Key::new(&[1; 32]), [none, many]));
    let first = directory.seat(How::Create, &wish(), Time::ZERO).unwrap();
    assert_eq!(first.open.unwrap().spec.players_max, 1);
    let many = Wish { kind: Some("many".into()), ..wish() };
    let spec = directory.seat(How::Create, &many, Time::ZERO).unwrap().open.unwrap().spec;
    assert_eq!((spec.players_max, spec.spectators_max), (60_000, 5_535));
}
