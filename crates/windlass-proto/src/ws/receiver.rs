//! The receiving half of an endpoint.

use alloc::borrow::Cow;
#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use alloc::vec::Vec;

use super::close::CloseFrame;
use super::error::WsError;
#[cfg(feature = "deflate")]
use super::frames::Kind;
use super::messages::{Message, Messages, Whole};
#[cfg(feature = "deflate")]
use super::permessage::Unpacking;
use super::scratch::ReceiveScratch;
use super::sender::Sender;
use crate::Input;

/// What has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A message of text.
    Text(&'a str),
    /// A message of bytes.
    Binary(&'a [u8]),
    /// A ping; the pong is written already.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The peer's Close frame, and the last event; the answer is written already, if it was not we who
    /// began. The server ends the connection now, the client waits for it (RFC 6455 section 7.1.1).
    Close(CloseFrame<'a>),
}

/// The half of an [`Endpoint`](super::Endpoint) that receives.
#[derive(Debug)]
pub struct Receiver {
    messages: Messages,
    #[cfg(feature = "deflate")]
    unpacking: Option<Box<Unpacking>>,
    // A Close frame came, or we have failed: nothing that arrives counts.
    over: bool,
}

impl Receiver {
    pub(super) fn new(messages: Messages) -> Receiver {
        Receiver {
            messages,
            #[cfg(feature = "deflate")]
            unpacking: None,
            over: false,
        }
    }

    #[cfg(feature = "deflate")]
    pub(super) fn inflate(&mut self, unpacking: Unpacking) {
        self.messages.allow_compression();
        self.unpacking = Some(Box::new(unpacking));
    }

    /// Takes the next of what has arrived, to be called until it returns `Ok(None)`; then at most a frame's
    /// head or a part of a control frame is left in the input. What the protocol has to say to it (a pong, a
    /// Close frame) is written by `sender` to `out`, which the caller sends.
    ///
    /// # Errors
    ///
    /// [`WsError`]; the Close frame that says so is in `out`, and the connection is to be ended once that is
    /// sent. What arrives after it is dropped.
    pub fn next<'a, 'b: 'a>(
        &'a mut self,
        input: &mut Input<'b>,
        scratch: &'a mut ReceiveScratch,
        sender: &mut Sender,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, WsError> {
        let whole = loop {
            if self.over {
                input.take_all();
                return Ok(None);
            }
            match self.messages.whole(input) {
                Ok(Some(Whole::Control(control))) => return Ok(self.control(control, sender, out)),
                // It was on its way when we said that it is over.
                Ok(Some(whole)) if sender.is_closing() => drop(self.messages.lend(whole)),
                Ok(Some(whole)) => break whole,
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.fail(error, sender, out)),
            }
        };
        #[cfg(feature = "deflate")]
        let max = self.messages.max();
        let event = match self.messages.lend(whole) {
            Ok(Message::Text(Cow::Borrowed(text))) => Ok(Event::Text(text)),
            Ok(Message::Binary(Cow::Borrowed(bytes))) => Ok(Event::Binary(bytes)),
            #[cfg(feature = "deflate")]
            Ok(Message::Compressed(kind, bytes)) => match &mut self.unpacking {
                Some(unpacking) => {
                    unpacking.inflate(&bytes, max, scratch).and_then(|plain| plain_event(kind, plain))
                }
                None => Err(WsError::ReservedBits),
            },
            // Lent is never given away, and what is compressed was refused.
            Ok(_) => Err(WsError::ReservedBits),
            Err(error) => Err(error),
        };
        #[cfg(not(feature = "deflate"))]
        let _ = scratch;
        match event {
            Ok(event) => Ok(Some(event)),
            Err(error) => {
                self.over = true;
                sender.close(error.close_code(), error.label(), out);
                Err(error)
            }
        }
    }

    fn control<'b>(
        &mut self,
        control: Message<'b>,
        sender: &mut Sender,
        out: &mut Vec<u8>,
    ) -> Option<Event<'b>> {
        match control {
            Message::Ping(payload) => {
                sender.pong(payload, out);
                Some(Event::Ping(payload))
            }
            Message::Pong(payload) => Some(Event::Pong(payload)),
            Message::Close(frame) => {
                self.over = true;
                sender.close(frame.code, "", out);
                Some(Event::Close(frame))
            }
            // The others are no control frames.
            _ => None,
        }
    }

    /// Fails the connection for `error`, whoever found it: the Close frame is appended to `out`, and what
    /// arrives from now on is dropped.
    pub fn fail(&mut self, error: WsError, sender: &mut Sender, out: &mut Vec<u8>) -> WsError {
        self.over = true;
        sender.close(error.close_code(), error.label(), out);
        error
    }

    /// Whether nothing that arrives counts any more: the peer's Close frame has come, or it has failed.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Whether a message has begun to arrive and is not complete.
    pub fn is_inside(&self) -> bool {
        self.messages.is_inside()
    }

    /// Bytes held for a message that is not complete.
    pub fn held(&self) -> usize {
        self.messages.held()
    }
}

#[cfg(feature = "deflate")]
fn plain_event(kind: Kind, plain: &[u8]) -> Result<Event<'_>, WsError> {
    match kind {
        Kind::Binary => Ok(Event::Binary(plain)),
        Kind::Text => core::str::from_utf8(plain).map(Event::Text).map_err(|_| WsError::Utf8),
    }
}
