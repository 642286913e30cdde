//! What can be set: plain data with `Default` and chained setters.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use windlass_proto::ws::Origins;

use crate::bucket::Rate;
use crate::ids::RoomId;
use crate::room::Room;
use crate::ticket::Key;
use crate::udp::UdpConfig;

type Make = Arc<dyn Fn(&[u8]) -> Box<dyn Room> + Send + Sync>;

/// A kind of room, and how its rooms are made.
#[derive(Clone)]
pub struct RoomKind {
    /// What clients ask for.
    pub name: String,
    /// Ticks a second, 1 to 240. Default 30.
    pub hz: u32,
    /// Seats of players. Default 16.
    pub players_max: u16,
    /// Seats of those who only see. Default 16.
    pub spectators_max: u16,
    make: Make,
}

impl RoomKind {
    /// Rooms that `make` makes. It is given the tags of the room as a JSON object of strings, and called on the worker the
    /// room is to live on.
    pub fn new(
        name: impl Into<String>,
        make: impl Fn(&[u8]) -> Box<dyn Room> + Send + Sync + 'static,
    ) -> RoomKind {
        RoomKind { name: name.into(), hz: 30, players_max: 16, spectators_max: 16, make: Arc::new(make) }
    }

    /// Sets [`RoomKind::hz`].
    #[must_use]
    pub fn hz(mut self, hz: u32) -> RoomKind {
        self.hz = hz;
        self
    }

    /// Sets [`RoomKind::players_max`].
    #[must_use]
    pub fn players_max(mut self, players_max: u16) -> RoomKind {
        self.players_max = players_max.max(1);
        self
    }

    /// Sets [`RoomKind::spectators_max`].
    #[must_use]
    pub fn spectators_max(mut self, spectators_max: u16) -> RoomKind {
        self.spectators_max = spectators_max;
        self
    }

    /// Makes a room.
    pub fn make(&self, options: &[u8]) -> Box<dyn Room> {
        (self.make)(options)
    }
}

impl fmt::Debug for RoomKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomKind").field("name", &self.name).field("hz", &self.hz).finish_non_exhaustive()
    }
}

/// A piece of the record of a room.
#[derive(Debug)]
#[non_exhaustive]
pub struct RecordPiece {
    /// Whose it is.
    pub room: RoomId,
    /// What comes behind the pieces before it.
    pub bytes: Vec<u8>,
    /// Whether it is the first.
    pub first: bool,
    /// Whether it is the last.
    pub last: bool,
}

/// Where records go: called on workers, so it hands the piece to somebody and does not wait. False: it was not taken, and
/// the room's record ends there.
#[derive(Clone)]
pub struct RecordSink(Arc<dyn Fn(RecordPiece) -> bool + Send + Sync>);

impl RecordSink {
    /// Gives pieces to `take`.
    pub fn new(take: impl Fn(RecordPiece) -> bool + Send + Sync + 'static) -> RecordSink {
        RecordSink(Arc::new(take))
    }

    pub(crate) fn give(&self, piece: RecordPiece) -> bool {
        (self.0)(piece)
    }
}

impl fmt::Debug for RecordSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordSink(..)")
    }
}

/// A tick that took longer than its period.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Overrun {
    /// Whose it was.
    pub room: RoomId,
    /// Of which kind the room is.
    pub kind: String,
    /// How long it took, with all that was sent behind it.
    pub took: Duration,
    /// How long it might have taken.
    pub period: Duration,
    /// How many of its ticks have taken too long so far.
    pub overruns: u64,
}

/// Who is told of overruns: called on workers, for each room once a second at most, so it hands on what it is told and does
/// not wait.
#[derive(Clone)]
pub struct OverrunSink(Arc<dyn Fn(Overrun) + Send + Sync>);

impl OverrunSink {
    /// Gives them to `take`.
    pub fn new(take: impl Fn(Overrun) + Send + Sync + 'static) -> OverrunSink {
        OverrunSink(Arc::new(take))
    }

    pub(crate) fn give(&self, overrun: Overrun) {
        (self.0)(overrun);
    }
}

impl fmt::Debug for OverrunSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OverrunSink(..)")
    }
}

macro_rules! config {
    ($($(#[doc = $doc:literal])+ $name:ident: $ty:ty = $default:expr,)*) => {
        /// How a [`Game`](crate::Game) serves. Plain data; start from [`GameConfig::new`] and set what you need.
        #[derive(Clone, Debug)]
        pub struct GameConfig {
            /// With what tickets are signed, and from what the names and seeds of rooms are drawn: all processes that take
            /// each other's tickets have the same.
            pub key: Key,
            /// The kinds of rooms there are; who asks for none gets the first.
            pub kinds: Vec<RoomKind>,
            $($(#[doc = $doc])+ pub $name: $ty,)*
        }

        impl GameConfig {
            /// With this key, these kinds of rooms, and all else as the defaults say.
            pub fn new(key: Key, kinds: impl Into<Vec<RoomKind>>) -> GameConfig {
                GameConfig { key, kinds: kinds.into(), $($name: $default,)* }
            }

            $(
                #[doc = concat!("Sets [`GameConfig::", stringify!($name), "`].")]
                #[must_use]
                pub fn $name(mut self, $name: $ty) -> GameConfig {
                    self.$name = $name;
                    self
                }
            )*
        }
    };
}

config! {
    /// The key of join tokens. With one, a seat is only kept for who brings a token that was signed with it. Default:
    /// none, and everybody may play.
    token_key: Option<Key> = None,
    /// The time at which the service is made, in milliseconds since 1970: what the expiry of tokens is held against.
    unix_ms: u64 = 0,
    /// Rooms at once, on all workers; who would open one more is refused. Default 1,000.
    rooms_max: usize = 1_000,
    /// How players come by datagrams too, where a worker has a socket for them
    /// ([`Serve::udp_on`](windlass::Serve::udp_on)). Default: none, and they come by WebSocket alone.
    udp: Option<UdpConfig> = None,
    /// The worker that all rooms and connections are on, counted from 0: for listeners whose connections cannot move to the
    /// worker of their room ([`MoveError::Unsupported`](windlass::MoveError::Unsupported)). Default: none, and rooms are
    /// spread over all.
    home: Option<usize> = None,
    /// How long a seat is kept for who has asked for it and does not connect. Default 15 s.
    reservation_timeout: Duration = Duration::from_secs(15),
    /// How long the seat of a player is kept whose connection ended. Default 30 s.
    reconnect_timeout: Duration = Duration::from_secs(30),
    /// How long a room without anybody stays. Default 10 s.
    empty_timeout: Duration = Duration::from_secs(10),
    /// How long rooms may go on when the server stops, to come to their end ([`Room::stop`](crate::Room::stop)). It has to
    /// be less than the server's [`drain_timeout`](windlass::Limits::drain_timeout), at which connections are cut off.
    /// Default 7.5 s.
    stop_timeout: Duration = Duration::from_millis(7_500),
    /// Which pages may connect. Default: those of the host itself.
    origins: Origins = Origins::SameHost,
    /// Bytes of a message of a player's. A longer one ends the connection. Default 64 KiB.
    message_max: usize = 64 * 1024,
    /// Bytes of reliable messages that wait for one seat. Who has more waiting is given up. Default 256 KiB.
    reliable_max: usize = 256 * 1024,
    /// Bytes of other messages that wait for one seat. What does not fit is dropped. Default 64 KiB.
    fleeting_max: usize = 64 * 1024,
    /// Bytes that one seat is sent. Over it, snapshots are left out, and what must come waits. Default 64 KiB a second,
    /// 128 KiB at once.
    seat_output: Rate = Rate::new(64 * 1024, 128 * 1024),
    /// Messages of one player: what they send at once, and what of it is for the room, one by one. Those over it are dropped.
    /// Default 250 a second, 500 at once.
    seat_messages: Rate = Rate::new(250, 500),
    /// Bytes of them. Messages over it are dropped. Default 64 KiB a second, 128 KiB at once.
    seat_input: Rate = Rate::new(64 * 1024, 128 * 1024),
    /// Dropped messages, with none that was not between them by which a player is given up. Default 1,000.
    seat_dropped_max: u32 = 1_000,
    /// Requests to matchmaking from one address; of IPv6 from one network of 64 bits. Others are refused with 429.
    /// Default 20 a second, 300 at once.
    address_requests: Rate = Rate::new(20, 300),
    /// Where the records of rooms go. Default: nothing is recorded.
    record: Option<RecordSink> = None,
    /// Who is told of rooms whose ticks take too long. Default: nobody; they are counted all the same.
    overruns: Option<OverrunSink> = None,
    /// A clock to measure with how long ticks take: any origin. Without one, overruns are not seen, and lateness is that
    /// of turns.
    clock: Option<fn() -> Duration> = None,
}
