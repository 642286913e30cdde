//! MQTT in a WebSocket (section 6): the opening handshake, and packets out of messages.

use windlass::{Close, Conn, Input};
use windlass_proto::Decode;
use windlass_proto::http::Status;
use windlass_proto::ws::{CloseCode, Event, HandshakeError, Origins, Upgrade, WsConfig};

use super::wire::{WebSocket, Wire};
use super::{Client, Stage};
use crate::parts;
use crate::service::Hub;

impl Hub {
    /// Input of a connection that is, or becomes, a WebSocket.
    pub(super) fn frames(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        if matches!(client.wire, Wire::Request(_)) && !self.upgrade(conn, client, input)? {
            return Ok(());
        }
        loop {
            if client.waits() || conn.is_congested() || self.must_wait(conn) {
                return Ok(());
            }
            let Wire::WebSocket(websocket) = &mut client.wire else { return Ok(()) };
            let WebSocket { endpoint, held, .. } = &mut **websocket;
            let mut answer = Vec::new();
            let event =
                endpoint.receiver.next(input, &mut self.scratch.receive, &mut endpoint.sender, &mut answer);
            let over = match event {
                Ok(None) => {
                    conn.write(&answer);
                    return self.count_held(client);
                }
                Ok(Some(Event::Binary(bytes))) => {
                    held.extend_from_slice(bytes);
                    None
                }
                // [MQTT-6.0.0-1].
                Ok(Some(Event::Text(_))) => {
                    endpoint.sender.close(CloseCode::UNSUPPORTED, "packets are binary", &mut answer);
                    Some(Close::Protocol("a text message".into()))
                }
                Ok(Some(Event::Close(_))) => Some(Close::Eof),
                Ok(Some(_)) => None,
                Err(error) => Some(Close::Protocol(Box::new(error))),
            };
            conn.write(&answer);
            if let Some(close) = over {
                return Err(close);
            }
            self.unheld(conn, client)?;
        }
    }

    /// Serves the packets that came in messages, as far as they are whole.
    pub(crate) fn unheld(&mut self, conn: &mut Conn<'_>, client: &mut Client) -> Result<(), Close> {
        if !parts::HTTP {
            return Ok(());
        }
        if let Wire::Http(requests) = &client.wire {
            // The end of a request without a body waits in no input.
            let goes_on = !requests.is_answer_pending();
            return if goes_on { self.requests(conn, client, &mut Input::new(&mut [])) } else { Ok(()) };
        }
        let Wire::WebSocket(websocket) = &mut client.wire else { return Ok(()) };
        if websocket.held.is_empty() {
            return Ok(());
        }
        let mut held = std::mem::take(&mut websocket.held);
        let mut input = Input::new(&mut held);
        let outcome = self.serve(conn, client, &mut input);
        let left = input.len();
        held.drain(..held.len() - left);
        if let Wire::WebSocket(websocket) = &mut client.wire {
            // One that has nothing to hold holds no memory either.
            websocket.held = if held.is_empty() { Vec::new() } else { held };
        }
        outcome.and_then(|()| self.count_held(client))
    }

    /// Counts what a WebSocket holds of a message or packet whose rest is to come. Where there is no memory for what has
    /// come more, it ends.
    fn count_held(&mut self, client: &mut Client) -> Result<(), Close> {
        let Wire::WebSocket(websocket) = &mut client.wire else { return Ok(()) };
        let before = websocket.charge.bytes();
        websocket.count();
        if websocket.charge.bytes() > before && self.memory.excess() > 0 {
            return Err(self.no_memory_for(client));
        }
        Ok(())
    }

    /// The request: whether it has come, and is a WebSocket's. Others are answered, and that is all.
    fn upgrade(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        input: &mut Input<'_>,
    ) -> Result<bool, Close> {
        let Wire::Request(heads) = &mut client.wire else { return Ok(true) };
        let mut out = Vec::new();
        let head = match heads.decode(input) {
            Ok(None) => return Ok(false),
            Ok(Some(head)) => head,
            Err(error) => return Err(Close::Protocol(Box::new(error))),
        };
        // Who a client is its CONNECT says, never a cookie, so the page it comes from is not looked at.
        let upgrade = match Upgrade::new(&head, &Origins::Any) {
            Ok(upgrade) => upgrade,
            Err(error) => {
                error.respond(&mut out);
                conn.write(&out);
                client.stage = Stage::Over;
                return Err(Close::Protocol(Box::new(error)));
            }
        };
        // [MQTT-6.0.0-3], [MQTT-6.0.0-4].
        let Some(protocol) = upgrade.protocols().find(|name| matches!(*name, "mqtt" | "mqttv3.1")) else {
            HandshakeError::NotUpgrade.respond(&mut out);
            debug_assert!(HandshakeError::NotUpgrade.status() != Status::OK);
            conn.write(&out);
            client.stage = Stage::Over;
            return Err(Close::Protocol("a WebSocket without the subprotocol `mqtt`".into()));
        };
        let _ = upgrade.accept(&WsConfig::default(), Some(protocol), &mut out);
        conn.write(&out);
        client.wire = Wire::WebSocket(Box::new(WebSocket::new(self.config.connect_max, &self.memory)));
        Ok(true)
    }
}
