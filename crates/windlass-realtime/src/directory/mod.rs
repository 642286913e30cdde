//! Which rooms there are, on which worker, and which of their seats are given away.
//!
//! One worker has the directory. It alone gives seats away, so there are never more than a room has: a seat is taken from
//! the moment it is promised until its room's worker says that it is free again, whatever happens in between.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use windlass::Time;

use crate::config::GameConfig;
use crate::ids::RoomId;
use crate::mail::{Ask, How, Listed, Notice, Refused, Wish};
use crate::room::{Guest, Seat};
use crate::stage::StageSpec;
use crate::ticket::{Claims, Ticket};

/// The directory.
#[derive(Debug)]
pub(crate) struct Directory {
    config: Arc<GameConfig>,
    rooms: HashMap<RoomId, Listing>,
    /// Those by which rooms are found, the oldest first.
    order: BTreeMap<u64, RoomId>,
    opened: u64,
    given: u64,
    /// What each worker has to do: seats taken times ticks, and a tick for the room itself.
    load: Vec<u64>,
    /// Join tokens that were taken: by when they end, and by what they are called.
    spent: BTreeSet<(u64, Arc<str>)>,
    names: HashSet<Arc<str>>,
    /// When it was made, which is at [`GameConfig::unix_ms`].
    born: Time,
}

#[derive(Debug)]
struct Listing {
    kind: usize,
    worker: usize,
    private: bool,
    locked: bool,
    tags: BTreeMap<String, String>,
    number: u64,
    hz: u32,
    players_max: u16,
    /// The serial of whoever has the seat, or is to have it.
    seats: Vec<Option<u64>>,
    /// Of seats that are given away, players and spectators.
    players: u16,
    spectators: u16,
}

/// A seat is promised.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Promise {
    pub(crate) ticket: Ticket,
    pub(crate) guest: Guest,
    /// The room is to be opened first.
    pub(crate) open: Option<Opening>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Opening {
    pub(crate) kind: usize,
    pub(crate) options: Arc<[u8]>,
    pub(crate) spec: StageSpec,
}

/// Tags of a room, and characters of each half of one.
const TAGS_MAX: usize = 8;
const TAG_MAX: usize = 64;
/// Join tokens that are remembered: with more, none are taken until some end.
const SPENT_MAX: usize = 100_000;
/// Rooms that one list names.
const LIST_MAX: usize = 200;

impl Directory {
    pub(crate) fn new(config: Arc<GameConfig>, workers: usize, now: Time) -> Directory {
        Directory {
            config,
            rooms: HashMap::new(),
            order: BTreeMap::new(),
            opened: 0,
            given: 0,
            load: vec![0; workers.max(1)],
            spent: BTreeSet::new(),
            names: HashSet::new(),
            born: now,
        }
    }

    /// Other settings, for what is asked from now on. The kinds are the same, by their names.
    pub(crate) fn set(&mut self, config: Arc<GameConfig>) {
        self.config = config;
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Promises a seat.
    pub(crate) fn seat(&mut self, how: How, wish: &Wish, now: Time) -> Result<Promise, Refused> {
        let kind = match &wish.kind {
            None => 0,
            Some(name) => {
                self.config.kinds.iter().position(|kind| kind.name == *name).ok_or(Refused::NoKind)?
            }
        };
        if self.config.kinds.get(kind).is_none() {
            return Err(Refused::NoKind);
        }
        let fits = |text: &String| text.chars().count() <= TAG_MAX && !text.contains(char::is_control);
        if wish.tags.len() > TAGS_MAX || !wish.tags.iter().all(|(key, value)| fits(key) && fits(value)) {
            return Err(Refused::Tags);
        }
        let wanted = match &wish.room {
            Some(room) => Some(room.parse::<RoomId>().map_err(|_| Refused::NoRoom)?),
            None => None,
        };
        let claims = self.claims(wish, kind, wanted, now)?;
        let guest = Guest::named(&wish.name).subject(claims.as_ref().map(|claims| claims.sub.clone()));
        let (room, open) = match how {
            How::Join => {
                let room = wanted.ok_or(Refused::NoRoom)?;
                let listing = self.rooms.get(&room).ok_or(Refused::NoRoom)?;
                if wish.kind.is_some() && listing.kind != kind {
                    return Err(Refused::NoRoom);
                }
                if listing.locked {
                    return Err(Refused::Locked);
                }
                (room, None)
            }
            How::JoinOrCreate => match self.best(kind, wish) {
                Some(room) => (room, None),
                None => self.create(kind, wish)?,
            },
            How::Create => self.create(kind, wish)?,
        };
        let listing = self.rooms.get_mut(&room).ok_or(Refused::NoRoom)?;
        let seat = listing.free(wish.spectate).ok_or(Refused::Full)?;
        self.given += 1;
        listing.take(seat, self.given);
        self.load[listing.worker] += u64::from(listing.hz);
        if let Some(claims) = claims {
            // Only now: a token is not lost to a room that is full.
            let name: Arc<str> = claims.jti.into();
            self.names.insert(name.clone());
            self.spent.insert((claims.exp, name));
        }
        let ticket = Ticket { worker: listing.worker as u16, room, seat: Seat(seat), serial: self.given };
        Ok(Promise { ticket, guest, open })
    }

    /// What the token says, where the game asks for one.
    fn claims(
        &mut self,
        wish: &Wish,
        kind: usize,
        wanted: Option<RoomId>,
        now: Time,
    ) -> Result<Option<Claims>, Refused> {
        let Some(key) = &self.config.token_key else { return Ok(None) };
        let claims = wish.token.as_ref().and_then(|token| Claims::read(token, key)).ok_or(Refused::Token)?;
        let unix = (Duration::from_millis(self.config.unix_ms) + now.since(self.born)).as_secs();
        while self.spent.first().is_some_and(|(end, _)| *end < unix) {
            if let Some((_, name)) = self.spent.pop_first() {
                self.names.remove(&name);
            }
        }
        let room_fits =
            claims.room.as_ref().is_none_or(|room| wanted.is_some_and(|wanted| *room == wanted.to_string()));
        let kind_fits = claims.kind.as_ref().is_none_or(|name| self.config.kinds[kind].name == *name);
        let fresh = claims.exp > unix && !self.names.contains(claims.jti.as_str());
        if room_fits && kind_fits && fresh && self.spent.len() < SPENT_MAX {
            Ok(Some(claims))
        } else {
            Err(Refused::Token)
        }
    }

    /// The fullest room that suits, the oldest of those: people want to meet.
    fn best(&self, kind: usize, wish: &Wish) -> Option<RoomId> {
        let rooms = self.order.values().filter_map(|room| Some((room, self.rooms.get(room)?)));
        let suit = rooms.filter(|(_, listing)| {
            let open = !listing.private && !listing.locked && listing.kind == kind;
            open && listing.has(&wish.tags) && listing.free(wish.spectate).is_some()
        });
        // The last of equals is taken, so backwards.
        suit.collect::<Vec<_>>().into_iter().rev().max_by_key(|(_, it)| it.players).map(|(room, _)| *room)
    }

    fn create(&mut self, kind: usize, wish: &Wish) -> Result<(RoomId, Option<Opening>), Refused> {
        if self.rooms.len() >= self.config.rooms_max {
            return Err(Refused::TooManyRooms);
        }
        if wish.spectate && self.config.kinds[kind].spectators_max == 0 {
            return Err(Refused::Full);
        }
        self.opened += 1;
        let room = RoomId(self.config.key.number("room", self.opened));
        if self.rooms.contains_key(&room) {
            // Once in 2^64 rooms.
            return Err(Refused::Busy);
        }
        let of = &self.config.kinds[kind];
        // Seats have a number of sixteen bits, those of spectators behind the others.
        let most = of.players_max.max(1);
        let players_max = wish.players_max.unwrap_or(most).clamp(1, most);
        let spec = StageSpec {
            seed: self.config.key.number("seed", self.opened),
            hz: of.hz,
            players_max,
            spectators_max: of.spectators_max.min(u16::MAX - players_max),
        };
        let least = (0..self.load.len()).min_by_key(|&worker| self.load[worker]).unwrap_or(0);
        let worker = self.config.home.filter(|home| *home < self.load.len()).unwrap_or(least);
        self.load[worker] += u64::from(of.hz);
        let seats = usize::from(spec.players_max) + usize::from(spec.spectators_max);
        let listing = Listing {
            kind,
            worker,
            private: wish.private,
            locked: false,
            tags: wish.tags.clone(),
            number: self.opened,
            hz: of.hz,
            players_max,
            seats: vec![None; seats],
            players: 0,
            spectators: 0,
        };
        let options: Arc<[u8]> = serde_json::to_vec(&wish.tags).unwrap_or_default().into();
        self.rooms.insert(room, listing);
        self.order.insert(self.opened, room);
        Ok((room, Some(Opening { kind, options, spec })))
    }

    /// The lobby: rooms that are not private, the fullest first.
    pub(crate) fn list(&self, filter: &Wish, free: bool) -> Vec<Listed> {
        let kind =
            filter.kind.as_ref().map(|name| self.config.kinds.iter().position(|kind| kind.name == *name));
        let rooms = self.order.values().filter_map(|room| Some((room, self.rooms.get(room)?)));
        let mut listed: Vec<Listed> = rooms
            .filter(|(_, listing)| !listing.private && kind.is_none_or(|kind| kind == Some(listing.kind)))
            .filter(|(_, listing)| listing.has(&filter.tags))
            .filter(|(_, listing)| !free || (!listing.locked && listing.free(false).is_some()))
            .map(|(room, listing)| Listed {
                room: room.to_string(),
                kind: self.config.kinds[listing.kind].name.clone(),
                players: listing.players,
                players_max: listing.players_max,
                spectators: listing.spectators,
                spectators_max: (listing.seats.len() - usize::from(listing.players_max)) as u16,
                locked: listing.locked,
                tags: listing.tags.clone(),
            })
            .collect();
        listed.sort_by_key(|room| std::cmp::Reverse(room.players));
        listed.truncate(LIST_MAX);
        listed
    }

    /// Answers what can be answered at once.
    pub(crate) fn ask(&mut self, ask: &Ask, now: Time) -> Result<Asked, Refused> {
        match ask {
            Ask::Seat { how, wish, .. } => Ok(Asked::Promise(self.seat(*how, wish, now)?)),
            Ask::List { filter, free } => Ok(Asked::List(self.list(filter, *free))),
        }
    }

    /// A worker says what has become of a room.
    pub(crate) fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Freed { room, seat, serial } => {
                let Some(listing) = self.rooms.get_mut(&room) else { return };
                if listing.give_back(seat.0, serial) {
                    self.load[listing.worker] -= u64::from(listing.hz);
                }
            }
            Notice::Locked { room, locked } => {
                if let Some(listing) = self.rooms.get_mut(&room) {
                    listing.locked = locked;
                }
            }
            Notice::Closed { room } => {
                let Some(listing) = self.rooms.remove(&room) else { return };
                self.order.remove(&listing.number);
                let seats = u64::from(listing.players) + u64::from(listing.spectators);
                self.load[listing.worker] -= u64::from(listing.hz) * (seats + 1);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn load(&self) -> &[u64] {
        &self.load
    }
}

/// What an ask comes to.
#[derive(Debug)]
pub(crate) enum Asked {
    Promise(Promise),
    List(Vec<Listed>),
}

impl Listing {
    fn has(&self, tags: &BTreeMap<String, String>) -> bool {
        tags.iter().all(|(key, value)| self.tags.get(key) == Some(value))
    }

    fn free(&self, spectate: bool) -> Option<u16> {
        let (first, last) = match spectate {
            false => (0, self.players_max.into()),
            true => (usize::from(self.players_max), self.seats.len()),
        };
        let at = self.seats[first..last].iter().position(Option::is_none)?;
        Some((first + at) as u16)
    }

    fn count(&mut self, seat: u16) -> &mut u16 {
        if seat < self.players_max { &mut self.players } else { &mut self.spectators }
    }

    fn take(&mut self, seat: u16, serial: u64) {
        self.seats[usize::from(seat)] = Some(serial);
        *self.count(seat) += 1;
    }

    fn give_back(&mut self, seat: u16, serial: u64) -> bool {
        match self.seats.get_mut(usize::from(seat)) {
            Some(given) if *given == Some(serial) => {
                *given = None;
                *self.count(seat) -= 1;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
