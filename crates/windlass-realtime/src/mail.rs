//! What the workers of a game tell each other. The directory is the first worker's; a room is its own worker's.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use windlass_http::Later;

use crate::ids::RoomId;
use crate::room::{Guest, Seat};
use crate::stage::StageSpec;
use crate::ticket::Ticket;

/// A message between the workers of a [`Game`](crate::Game). Opaque: its mailbox carries it.
#[derive(Debug)]
pub struct Mail(pub(crate) Inner);

#[derive(Debug)]
pub(crate) enum Inner {
    /// Somebody wants a seat, or the list: for the directory.
    Ask { ask: Ask, later: Later, tries: u8 },
    /// For the worker that was asked.
    Answer { later: Later, answer: Answer },
    /// A room is to be opened: for its worker.
    Open { room: RoomId, kind: usize, options: Arc<[u8]>, spec: StageSpec },
    /// A seat of a room is to be kept for a guest; its worker answers when it is.
    Expect { ticket: Ticket, guest: Guest, again: Ask, later: Later, tries: u8 },
    /// What has become of rooms: for the directory.
    Notice(Notice),
}

/// What has become of a room, as its worker knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Notice {
    /// A seat that was given away with this serial is free again.
    Freed {
        room: RoomId,
        seat: Seat,
        serial: u64,
    },
    Locked {
        room: RoomId,
        locked: bool,
    },
    Closed {
        room: RoomId,
    },
}

/// What somebody asks of matchmaking.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    Seat {
        how: How,
        wish: Wish,
        /// What the server is called by whoever asks.
        host: Option<Box<str>>,
    },
    List {
        filter: Wish,
        free: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    JoinOrCreate,
    Join,
    Create,
}

/// The body of a request.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wish {
    /// Which kind of room; the first there is otherwise.
    pub(crate) kind: Option<String>,
    /// Which room.
    pub(crate) room: Option<String>,
    pub(crate) name: String,
    pub(crate) spectate: bool,
    /// Of a room that is created: it is in no list, and nobody is sent there who does not name it.
    pub(crate) private: bool,
    /// Of a room that is created: fewer players than its kind allows.
    pub(crate) players_max: Option<u16>,
    /// What a room is known by, and looked for.
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) token: Option<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Answer {
    Seat(SeatKept),
    List(Vec<Listed>),
    Refused(Refused),
}

/// A seat is kept: what its guest is told.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct SeatKept {
    pub(crate) room: String,
    pub(crate) kind: String,
    pub(crate) seat: u16,
    pub(crate) spectator: bool,
    pub(crate) hz: u32,
    /// What the seat is taken with.
    pub(crate) ticket: String,
    /// Where the WebSocket is, with the ticket in it.
    pub(crate) path: String,
    /// Where datagrams go, if the room's worker takes some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) udp: Option<UdpPlace>,
    /// How long the seat is kept.
    pub(crate) expires_ms: u64,
}

/// Where the datagrams of a room's players go.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct UdpPlace {
    /// A name or an address; missing if nobody knows by what this server is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    pub(crate) port: u16,
}

/// A room in the lobby.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Listed {
    pub(crate) room: String,
    pub(crate) kind: String,
    pub(crate) players: u16,
    pub(crate) players_max: u16,
    pub(crate) spectators: u16,
    pub(crate) locked: bool,
    pub(crate) tags: BTreeMap<String, String>,
}

/// Why there is no seat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    NoKind,
    NoRoom,
    Full,
    Locked,
    TooManyRooms,
    Token,
    Tags,
    Busy,
}

impl Refused {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Refused::NoKind => "no_such_kind",
            Refused::NoRoom => "no_such_room",
            Refused::Full => "full",
            Refused::Locked => "locked",
            Refused::TooManyRooms => "too_many_rooms",
            Refused::Token => "token",
            Refused::Tags => "tags",
            Refused::Busy => "busy",
        }
    }
}
