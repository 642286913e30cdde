//! Rooms and ticks for real-time games, on the windlass engine.
//!
//! A [`Room`] is an authoritative game: you write what happens, and are lent a [`Play`] to say it. Read `room.rs` first,
//! then `stage` (one room that runs, without connections and clocks), [`Pace`] (when it ticks), `snapshot` (what players
//! are shown) and `record` (matches played again). [`wire`] is what travels.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod arena;
mod began;
mod bits;
mod bots;
mod bucket;
mod channel;
mod config;
mod directory;
mod game;
mod gate;
mod hall;
mod hasher;
mod ids;
pub mod inspect;
mod lateness;
mod mail;
mod outbox;
mod pace;
mod play;
mod random;
mod record;
mod room;
mod snapshot;
mod spare;
mod stage;
mod stats;
mod ticket;
mod udp;
pub mod wire;

pub use arena::{Arena, INPUT_BYTES};
pub use bots::{Bot, Bots, BotsConfig, BotsSeen, BotsWatch};
pub use bucket::Rate;
pub use channel::Channel;
pub use config::{GameConfig, Overrun, OverrunSink, RecordPiece, RecordSink, RoomKind};
pub use game::Game;
pub use gate::{Gate, GateSeed};
pub use hasher::Hasher;
pub use ids::{RoomId, RoomIdError};
pub use lateness::Lateness;
pub use mail::Mail;
pub use pace::{Beat, Pace};
pub use play::Play;
pub use random::Random;
pub use record::{ReplayError, Replayed, replay, replay_frames};
pub use room::{Guest, Leave, Reject, Room, Seat};
pub use snapshot::{Eye, Field, Frame, Schema, SnapshotError, SnapshotReader, View};
pub use stage::{Counts, Received, Stage, StageSpec};
pub use stats::{GameStats, GameWatch, ROOMS_SHOWN_MAX, RoomRow};
pub use ticket::{Key, sign_token};
pub use udp::UdpConfig;
