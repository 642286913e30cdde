//! One end of an open WebSocket.

use super::config::WsConfig;
use super::encode::MaskKeys;
use super::frames::Role;
use super::messages::Messages;
#[cfg(feature = "deflate")]
use super::permessage::PerMessage;
use super::receiver::Receiver;
use super::sender::Sender;

/// One end of an open WebSocket, server or client, in two halves: made by the opening handshake
/// ([`Upgrade::accept`](super::Upgrade::accept), [`Opening::answer`](super::Opening::answer)).
///
/// The [`Receiver`] takes what has arrived; the [`Sender`] encodes what is to be sent. What the protocol itself
/// has to say (pongs, Close frames) is appended to the `out` they are given, which the caller sends. Of a
/// connection without a message in progress both together hold some 200 bytes and no buffer; what many need
/// for a moment is in the [`Scratch`](super::Scratch).
///
/// **The closing handshake** (RFC 6455 section 7): [`Sender::close`] begins it; messages that arrive after
/// that are dropped, and nothing more is encoded. A Close frame of the peer's is answered with its own code.
/// A violation is answered with the code that says which, and ends it at once.
///
/// ```
/// use windlass_proto::Input;
/// use windlass_proto::ws::{Endpoint, Event, Kind, Role, Scratch, WsConfig};
///
/// let mut scratch = Scratch::new();
/// let mut server = Endpoint::new(Role::Server, &WsConfig::default(), [0; 16]);
/// let mut client = Endpoint::new(Role::Client, &WsConfig::default(), *b"random, in truth");
///
/// let mut wire = Vec::new();
/// client.sender.send(Kind::Text, b"hello", &mut scratch.send, &mut wire);
/// client.sender.ping(b"", &mut wire);
///
/// let Endpoint { receiver, sender } = &mut server;
/// let (mut input, mut out) = (Input::new(&mut wire), Vec::new());
/// while let Some(event) = receiver.next(&mut input, &mut scratch.receive, sender, &mut out)? {
///     if let Event::Text(text) = event {
///         sender.send(Kind::Text, text.as_bytes(), &mut scratch.send, &mut out);
///     }
/// }
/// assert_eq!(out, b"\x81\x05hello\x8a\x00"); // the echo and the pong
/// # Ok::<(), windlass_proto::ws::WsError>(())
/// ```
#[derive(Debug)]
pub struct Endpoint {
    /// What it receives with.
    pub receiver: Receiver,
    /// What it sends with.
    pub sender: Sender,
}

impl Endpoint {
    /// An end of a connection whose opening handshake somebody else has done, without compression. `seed`
    /// is what a client's masks are made from ([`MaskKeys`]); a server has none.
    pub fn new(role: Role, config: &WsConfig, seed: [u8; 16]) -> Endpoint {
        Endpoint {
            receiver: Receiver::new(Messages::new(role, config.message_max)),
            sender: Sender::new((role == Role::Client).then(|| MaskKeys::new(seed))),
        }
    }

    #[cfg(feature = "deflate")]
    pub(super) fn with_permessage(mut self, permessage: Option<PerMessage>) -> Endpoint {
        if let Some((packing, unpacking)) = permessage {
            self.sender.compress(packing);
            self.receiver.inflate(unpacking);
        }
        self
    }
}
