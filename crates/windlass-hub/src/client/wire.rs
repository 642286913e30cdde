//! What packets travel in: the stream itself, or binary messages of a WebSocket.
//!
//! The first byte of a connection tells: a CONNECT has its own, and a request of HTTP begins with a letter.

use windlass::Conn;
use windlass_proto::http::RequestHeads;
use windlass_proto::ws::{Endpoint, FrameHead, Opcode, Role, WsConfig};

use super::http::Requests;
use crate::memory::{Charge, Memory};
use crate::parts;

/// How the packets of a connection travel.
#[derive(Debug, Default)]
pub(crate) enum Wire {
    /// Nothing has come yet.
    #[default]
    Unknown,
    /// Packets one behind the other.
    Stream,
    /// A request of HTTP is coming.
    Request(Box<RequestHeads>),
    /// In binary messages, whose borders mean nothing ([MQTT-6.0.0-2]).
    WebSocket(Box<WebSocket>),
    /// There are none: it publishes by requests.
    Http(Box<Requests>),
}

#[derive(Debug)]
pub(crate) struct WebSocket {
    pub(crate) endpoint: Endpoint,
    /// The beginning of a packet whose rest is in a message to come; packets that wait while their client does.
    pub(crate) held: Vec<u8>,
    /// Bytes of a message that is taken.
    pub(crate) message_max: usize,
    /// What it holds is counted with.
    pub(crate) charge: Charge,
}

impl WebSocket {
    pub(crate) fn new(message_max: usize, memory: &Memory) -> WebSocket {
        let endpoint = Endpoint::new(Role::Server, &WsConfig::default().message_max(message_max), [0; 16]);
        WebSocket { endpoint, held: Vec::new(), message_max, charge: memory.charge(0) }
    }

    /// Counts what it holds.
    pub(crate) fn count(&mut self) {
        self.charge.set(self.held.capacity() + self.endpoint.receiver.held());
    }

    /// Longer messages are taken from here on, of a client that is known.
    pub(crate) fn admit(&mut self, message_max: usize) {
        if self.message_max != message_max && !self.endpoint.receiver.is_inside() {
            self.endpoint =
                Endpoint::new(Role::Server, &WsConfig::default().message_max(message_max), [0; 16]);
            self.message_max = message_max;
        }
    }
}

impl Wire {
    pub(crate) fn is_websocket(&self) -> bool {
        parts::HTTP && matches!(self, Wire::WebSocket(_))
    }
}

/// Writes whole packets, in a message of their own where they travel so ([MQTT-6.0.0-1]).
pub(crate) fn write(conn: &mut Conn<'_>, is_websocket: bool, packets: &[u8]) {
    if packets.is_empty() {
        return;
    }
    if is_websocket {
        conn.write(FrameHead::whole(Opcode::Binary, packets.len() as u64).encode().as_ref());
    }
    conn.write(packets);
}
