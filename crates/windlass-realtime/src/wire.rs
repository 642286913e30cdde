//! What travels between a seat and its room, whatever carries it.
//!
//! A message is a row of **pieces**: a tag (one byte), a length (LEB128), that many bytes. In front of those of a room stands
//! a [`Head`] of five bytes: the lowest 16 bits of the room's tick, those of the last input of the seat's that was given
//! to the room, and how many milliseconds ago that one came. All numbers are little-endian.
//!
//! | tag | from the room | from the seat |
//! | --- | --- | --- |
//! | 0 | welcome: seat `u16`, rate `u8`, players at most `u16`, tick `u64`, then the room's name | - |
//! | 1, 2, 3 | a message: sequenced, unreliable, reliable | the same |
//! | 4 | a snapshot (see `snapshot/delta.rs`) | inputs: the newest's tick `u32`, then length and bytes of it, and of those before it |
//! | 5 | the end: why, as text | the lowest 16 bits of the tick whose snapshot came |
//! | 6 | - | farewell: the seat is given up |
//!
//! Over WebSocket one message is one such row. Over ENet there is one for each channel with something to say, from a room
//! with a head each: channel 0, reliable, has the welcome, reliable messages and the end; channel 1, unreliable, has
//! snapshots and sequenced messages, and a head alone where there is nothing but news of inputs; channel 2, unsequenced, has
//! unreliable messages. (One that does not fit into a datagram comes there in fragments.) From a seat, the first message is
//! the ticket as text, reliable and on channel 0; whatever comes behind it may take any channel.
//!
//! A snapshot is the difference to one that the seat has said has come, up to 255 ticks before: so long a client keeps what it
//! has read. A message that a seat sends counts as many ([`seat_messages`](crate::GameConfig::seat_messages)) if it brings
//! several for the room (tags 1 to 3).
//!
//! A seat repeats the inputs before its newest one (three, say): what is lost with one message comes with the next.

use std::fmt;

use crate::channel::Channel;
use crate::room::Seat;

/// The subprotocol of a WebSocket that carries this.
pub const SUBPROTOCOL: &str = "windlass.room.1";

const WELCOME: u8 = 0;
pub(crate) const SNAPSHOT: u8 = 4;
const INPUTS: u8 = 4;
const END: u8 = 5;
const CONFIRM: u8 = 5;
const FAREWELL: u8 = 6;

/// Inputs in one piece at most, the newest and those repeated.
pub const INPUTS_MAX: usize = 8;

/// Bytes of a [`Head`].
pub const HEAD_BYTES: usize = 5;

/// What stands in front of the pieces from a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// The lowest 16 bits of the room's tick.
    pub tick: u16,
    /// Those of the last input that was given to the room.
    pub input: u16,
    /// How long ago that input came, in milliseconds; 255 is longer, or that there was none.
    pub age_ms: u8,
}

impl Head {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.tick.to_le_bytes());
        out.extend_from_slice(&self.input.to_le_bytes());
        out.push(self.age_ms);
    }
}

/// The number whose lowest 16 bits are `low`, of those nearest to `near`.
pub fn widen(near: u64, low: u16) -> u64 {
    let ahead = low.wrapping_sub(near as u16) as i16;
    near.saturating_add_signed(ahead.into())
}

pub(crate) fn put_piece(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag);
    put_len(out, body.len());
    out.extend_from_slice(body);
}

pub(crate) fn put_len(out: &mut Vec<u8>, len: usize) {
    put_number(out, len as u64);
}

pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The number in front of `bytes`, and what is behind it.
pub(crate) fn take_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0u64;
    for (at, &byte) in bytes.iter().enumerate().take(10) {
        let part = u64::from(byte & 0x7f);
        if at == 9 && part > 1 {
            return None;
        }
        number |= part << (7 * at);
        if byte < 0x80 {
            return Some((number, &bytes[at + 1..]));
        }
    }
    None
}

/// As many bytes as the number in front of them says, and what is behind those.
pub(crate) fn take_bytes(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = take_number(bytes)?;
    rest.split_at_checked(usize::try_from(len).ok()?)
}

pub(crate) fn piece_len(body: usize) -> usize {
    let digits = (usize::BITS - body.leading_zeros()).div_ceil(7).max(1);
    1 + digits as usize + body
}

/// How long the first piece of `bytes` is, which are pieces of our own.
pub(crate) fn first_len(bytes: &[u8]) -> Option<usize> {
    let (_, rest) = take_bytes(bytes.get(1..)?)?;
    Some(bytes.len() - rest.len())
}

/// Bytes that are no row of pieces, or a piece that is not what its tag says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct WireError;

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message that is none of a room's")
    }
}

impl std::error::Error for WireError {}

/// The pieces of a message: tags and bodies.
#[derive(Clone, Debug)]
pub(crate) struct Pieces<'a>(&'a [u8]);

impl<'a> Pieces<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Pieces<'a> {
        Pieces(bytes)
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<(u8, &'a [u8]), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.0.split_first()?;
        match take_bytes(rest) {
            Some((body, rest)) => {
                self.0 = rest;
                Some(Ok((tag, body)))
            }
            None => {
                self.0 = &[];
                Some(Err(WireError))
            }
        }
    }
}

/// How many messages for the room there are in one of a seat's.
pub(crate) fn count_messages(message: &[u8]) -> u32 {
    let of_channels = Pieces::new(message)
        .filter(|piece| matches!(piece, Ok((tag, _)) if Channel::of_code(*tag).is_some()));
    u32::try_from(of_channels.count()).unwrap_or(u32::MAX)
}

/// What a seat says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Said<'a> {
    Inputs(Inputs<'a>),
    Message(Channel, &'a [u8]),
    Confirm(u16),
    Farewell,
}

/// Inputs of consecutive ticks, the newest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) newest: u32,
    bytes: &'a [u8],
}

impl<'a> Inputs<'a> {
    /// Ticks and inputs, the newest first.
    pub(crate) fn iter(self) -> impl Iterator<Item = (u32, &'a [u8])> {
        let (mut rest, mut tick) = (self.bytes, self.newest);
        std::iter::from_fn(move || {
            let (input, behind) = take_bytes(rest)?;
            let its = tick;
            (rest, tick) = (behind, tick.wrapping_sub(1));
            Some((its, input))
        })
    }
}

/// What a seat has said, piece by piece.
pub(crate) fn said(message: &[u8]) -> impl Iterator<Item = Result<Said<'_>, WireError>> {
    Pieces::new(message).map(|piece| {
        let (tag, body) = piece?;
        if let Some(channel) = Channel::of_code(tag) {
            return Ok(Said::Message(channel, body));
        }
        match tag {
            INPUTS => {
                let (newest, bytes) = body.split_first_chunk::<4>().ok_or(WireError)?;
                let inputs = Inputs { newest: u32::from_le_bytes(*newest), bytes };
                // All of it is inputs, and not too many.
                let (mut rest, mut count) = (bytes, 0);
                while !rest.is_empty() {
                    (_, rest) = take_bytes(rest).ok_or(WireError)?;
                    count += 1;
                }
                if (1..=INPUTS_MAX).contains(&count) { Ok(Said::Inputs(inputs)) } else { Err(WireError) }
            }
            CONFIRM => {
                let low: [u8; 2] = body.try_into().map_err(|_| WireError)?;
                Ok(Said::Confirm(u16::from_le_bytes(low)))
            }
            FAREWELL if body.is_empty() => Ok(Said::Farewell),
            _ => Err(WireError),
        }
    })
}

/// What a seat is told when it is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Welcome<'a> {
    /// Which one it is.
    pub seat: Seat,
    /// Ticks a second.
    pub hz: u8,
    /// Seats of players.
    pub players_max: u16,
    /// The last tick of the room.
    pub tick: u64,
    /// What the room is called.
    pub room: &'a str,
}

impl Welcome<'_> {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(13 + self.room.len());
        body.extend_from_slice(&self.seat.0.to_le_bytes());
        body.push(self.hz);
        body.extend_from_slice(&self.players_max.to_le_bytes());
        body.extend_from_slice(&self.tick.to_le_bytes());
        body.extend_from_slice(self.room.as_bytes());
        put_piece(out, WELCOME, &body);
    }
}

/// Bytes of the text that says why a seat is over: it fits into a Close frame too (RFC 6455 section 5.5).
pub(crate) const END_MAX: usize = 120;

/// At most [`END_MAX`] bytes of a text, cut between two characters.
pub(crate) fn short(text: &str) -> &str {
    let end = (0..=END_MAX.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}

pub(crate) fn put_end(out: &mut Vec<u8>, why: &str) {
    put_piece(out, END, why.as_bytes());
}

/// What a room says to a seat: for clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Told<'a> {
    /// The seat is taken.
    Welcome(Welcome<'a>),
    /// A message of the room's.
    Message(Channel, &'a [u8]),
    /// A snapshot, for a [`SnapshotReader`](crate::SnapshotReader).
    Snapshot(&'a [u8]),
    /// The seat is over, and why.
    End(&'a str),
}

/// What a room has said: the head of a message, and its pieces.
///
/// # Errors
///
/// [`WireError`] without a head; each piece that is none is one too.
pub fn told(message: &[u8]) -> Result<(Head, impl Iterator<Item = Result<Told<'_>, WireError>>), WireError> {
    let (head, rest) = message.split_first_chunk::<HEAD_BYTES>().ok_or(WireError)?;
    let [tick_low, tick_high, input_low, input_high, age_ms] = *head;
    let head = Head {
        tick: u16::from_le_bytes([tick_low, tick_high]),
        input: u16::from_le_bytes([input_low, input_high]),
        age_ms,
    };
    Ok((head, Pieces::new(rest).map(|piece| told_piece(piece?))))
}

fn told_piece((tag, body): (u8, &[u8])) -> Result<Told<'_>, WireError> {
    if let Some(channel) = Channel::of_code(tag) {
        return Ok(Told::Message(channel, body));
    }
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| WireError);
    match tag {
        WELCOME => {
            let (&[s0, s1, hz, p0, p1], rest) = body.split_first_chunk::<5>().ok_or(WireError)?;
            let (tick, room) = rest.split_first_chunk::<8>().ok_or(WireError)?;
            Ok(Told::Welcome(Welcome {
                seat: Seat(u16::from_le_bytes([s0, s1])),
                hz,
                players_max: u16::from_le_bytes([p0, p1]),
                tick: u64::from_le_bytes(*tick),
                room: text(room)?,
            }))
        }
        SNAPSHOT => Ok(Told::Snapshot(body)),
        END => Ok(Told::End(text(body)?)),
        _ => Err(WireError),
    }
}

/// Writes what a seat says: for clients. Pieces are written one after another into one message.
#[derive(Clone, Default, Debug)]
pub struct Saying(Vec<u8>);

impl Saying {
    /// Nothing yet.
    pub fn new() -> Saying {
        Saying::default()
    }

    /// Inputs of consecutive ticks, the newest first; beyond [`INPUTS_MAX`] they are left out.
    pub fn inputs<'i>(mut self, newest: u32, inputs: impl IntoIterator<Item = &'i [u8]>) -> Saying {
        let mut body = newest.to_le_bytes().to_vec();
        for input in inputs.into_iter().take(INPUTS_MAX) {
            put_len(&mut body, input.len());
            body.extend_from_slice(input);
        }
        put_piece(&mut self.0, INPUTS, &body);
        self
    }

    /// A message.
    pub fn message(mut self, channel: Channel, bytes: &[u8]) -> Saying {
        put_piece(&mut self.0, channel.code(), bytes);
        self
    }

    /// The snapshot of this tick has come.
    pub fn confirm(mut self, tick: u64) -> Saying {
        put_piece(&mut self.0, CONFIRM, &(tick as u16).to_le_bytes());
        self
    }

    /// The seat is given up.
    pub fn farewell(mut self) -> Saying {
        put_piece(&mut self.0, FAREWELL, b"");
        self
    }

    /// The message.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests;
