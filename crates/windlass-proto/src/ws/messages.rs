//! Whole messages, put together from their fragments.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::mem;
use core::str;

use super::close::CloseFrame;
use super::error::WsError;
use super::frames::{Fragment, Frames, Kind, Piece, Role};
use super::utf8::Utf8;
use crate::{Decode, Input};

// A buffer that grew beyond this for one message is not kept for the next.
const KEEP_MAX: usize = 16 * 1024;

/// What [`Messages`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'b> {
    /// A message of text.
    Text(Cow<'b, str>),
    /// A message of bytes.
    Binary(Cow<'b, [u8]>),
    /// A message that is compressed: what it is, and its compressed bytes.
    Compressed(Kind, Cow<'b, [u8]>),
    /// A ping, to be answered by a pong with the same payload.
    Ping(&'b [u8]),
    /// A pong.
    Pong(&'b [u8]),
    /// A Close frame. Nothing that follows it counts.
    Close(CloseFrame<'b>),
}

/// Decodes whole messages.
///
/// One that lies in one piece in the input is lent from there. Fragments are put together, in a buffer that
/// grows as they come and never beyond the limit; their number does not count. Text is checked as it comes,
/// and the connection fails at the first byte that is not UTF-8.
///
/// ```
/// use windlass_proto::ws::{Message, Messages, Role};
/// use windlass_proto::{Decode, Input};
///
/// let mut received = *b"\x01\x03Hel\x89\x00\x80\x02lo"; // with a ping between
/// let mut input = Input::new(&mut received);
/// let mut messages = Messages::new(Role::Client, 1024);
/// assert_eq!(messages.decode(&mut input)?, Some(Message::Ping(b"")));
/// assert_eq!(messages.decode(&mut input)?, Some(Message::Text("Hello".into())));
/// # Ok::<(), windlass_proto::ws::WsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Messages {
    frames: Frames,
    // The message so far, if it did not come in one piece; or one that was given and is not needed any more.
    partial: Vec<u8>,
    given: bool,
    utf8: Utf8,
}

// What is complete, and where it lies.
pub(super) enum Whole<'b> {
    Input(Fragment<'b>),
    Partial { kind: Kind, compressed: bool },
    Control(Message<'b>),
}

impl Messages {
    /// Messages for this end, of up to `max` bytes each.
    pub const fn new(role: Role, max: usize) -> Messages {
        Messages { frames: Frames::new(role, max), partial: Vec::new(), given: false, utf8: Utf8::new() }
    }

    /// Lets messages be compressed: permessage-deflate was agreed on.
    pub fn with_compression(mut self) -> Messages {
        self.allow_compression();
        self
    }

    pub(super) fn allow_compression(&mut self) {
        self.frames.allow_compression();
    }

    /// Bytes a message may have.
    pub const fn max(&self) -> usize {
        self.frames.max()
    }

    /// Bytes held for a message that is not complete.
    pub const fn held(&self) -> usize {
        if self.given { 0 } else { self.partial.len() }
    }

    /// Whether a message has begun and not ended.
    pub const fn is_inside(&self) -> bool {
        self.frames.is_inside()
    }

    /// [`decode`](Decode::decode), but fragments put together are lent and not given away, so that their
    /// buffer serves the next message too.
    ///
    /// # Errors
    ///
    /// As `decode`.
    pub fn next<'a, 'b: 'a>(&'a mut self, input: &mut Input<'b>) -> Result<Option<Message<'a>>, WsError> {
        match self.whole(input)? {
            Some(whole) => self.lend(whole).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn lend<'a, 'b: 'a>(&'a mut self, whole: Whole<'b>) -> Result<Message<'a>, WsError> {
        match whole {
            Whole::Input(fragment) => in_place(fragment),
            Whole::Control(message) => Ok(message),
            Whole::Partial { kind, compressed } => {
                self.given = true;
                message(kind, compressed, Cow::Borrowed(&self.partial[..]))
            }
        }
    }

    pub(super) fn whole<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Whole<'b>>, WsError> {
        if mem::take(&mut self.given) {
            self.partial.clear();
            if self.partial.capacity() > KEEP_MAX {
                self.partial = Vec::new();
            }
        }
        while let Some(piece) = self.frames.decode(input)? {
            let fragment = match piece {
                Piece::Ping(payload) => return Ok(Some(Whole::Control(Message::Ping(payload)))),
                Piece::Pong(payload) => return Ok(Some(Whole::Control(Message::Pong(payload)))),
                Piece::Close(body) => {
                    return Ok(Some(Whole::Control(Message::Close(CloseFrame::parse(body)?))));
                }
                Piece::Fragment(fragment) => fragment,
            };
            if fragment.first && fragment.last {
                return Ok(Some(Whole::Input(fragment)));
            }
            let Fragment { kind, compressed, last, .. } = fragment;
            if kind == Kind::Text && !compressed {
                self.utf8.check(fragment.bytes)?;
            }
            self.partial.extend_from_slice(fragment.bytes);
            if last {
                mem::replace(&mut self.utf8, Utf8::new()).end()?;
                return Ok(Some(Whole::Partial { kind, compressed }));
            }
        }
        Ok(None)
    }
}

impl Decode for Messages {
    type Message<'b> = Message<'b>;
    type Error = WsError;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Message<'b>>, WsError> {
        let Some(whole) = self.whole(input)? else { return Ok(None) };
        match whole {
            Whole::Input(fragment) => in_place(fragment).map(Some),
            Whole::Control(message) => Ok(Some(message)),
            Whole::Partial { kind, compressed } => {
                message(kind, compressed, Cow::Owned(mem::take(&mut self.partial))).map(Some)
            }
        }
    }
}

fn in_place(fragment: Fragment<'_>) -> Result<Message<'_>, WsError> {
    message(fragment.kind, fragment.compressed, Cow::Borrowed(fragment.bytes))
}

fn message(kind: Kind, compressed: bool, bytes: Cow<'_, [u8]>) -> Result<Message<'_>, WsError> {
    Ok(match (kind, compressed, bytes) {
        (kind, true, bytes) => Message::Compressed(kind, bytes),
        (Kind::Binary, false, bytes) => Message::Binary(bytes),
        (Kind::Text, false, Cow::Borrowed(bytes)) => {
            Message::Text(Cow::Borrowed(str::from_utf8(bytes).map_err(|_| WsError::Utf8)?))
        }
        (Kind::Text, false, Cow::Owned(bytes)) => {
            let text = alloc::string::String::from_utf8(bytes).map_err(|_| WsError::Utf8)?;
            Message::Text(Cow::Owned(text))
        }
    })
}
