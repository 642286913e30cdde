//! The client's side of a WebSocket, over bytes that somebody else moves.
#![allow(dead_code, reason = "each test binary uses some of it")]

use windlass_http::ws::{CloseCode, Kind, WsConfig};
use windlass_proto::http::ResponseHeads;
use windlass_proto::ws::{Endpoint, Event, Opening, Scratch};
use windlass_proto::{Decode, Input};

/// What a client hears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    Open(Option<String>),
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Pong,
    Close(u16, String),
}

pub(crate) struct Client {
    opening: Opening,
    config: WsConfig,
    heads: ResponseHeads,
    endpoint: Option<Endpoint>,
    scratch: Scratch,
    pending: Vec<u8>,
    /// What is to be sent.
    pub(crate) out: Vec<u8>,
}

impl Client {
    pub(crate) fn new(opening: Opening, target: &str, config: WsConfig) -> Client {
        let mut out = Vec::new();
        opening.request("test.example", target, &config, &mut out).unwrap();
        let heads = ResponseHeads::default();
        Client { opening, config, heads, endpoint: None, scratch: Scratch::new(), pending: Vec::new(), out }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.endpoint.is_some()
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.endpoint.as_ref().is_some_and(|endpoint| endpoint.sender.is_compressed())
    }

    /// Bytes came. Answers are in `out`.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Result<Vec<Heard>, String> {
        self.pending.extend_from_slice(bytes);
        let mut pending = std::mem::take(&mut self.pending);
        let mut input = Input::new(&mut pending);
        let mut heard = Vec::new();
        if self.endpoint.is_none()
            && let Some(head) = self.heads.decode(&mut input).map_err(|e| e.to_string())?
        {
            let (endpoint, protocol) = self.opening.answer(&head, &self.config).map_err(|e| e.to_string())?;
            heard.push(Heard::Open(protocol.map(str::to_owned)));
            self.endpoint = Some(endpoint);
        }
        if let Some(Endpoint { receiver, sender }) = &mut self.endpoint {
            let scratch = &mut self.scratch.receive;
            while let Some(event) =
                receiver.next(&mut input, scratch, sender, &mut self.out).map_err(|e| e.to_string())?
            {
                heard.push(match event {
                    Event::Text(text) => Heard::Text(text.to_owned()),
                    Event::Binary(bytes) => Heard::Binary(bytes.to_vec()),
                    Event::Ping(_) => Heard::Ping,
                    Event::Pong(_) => Heard::Pong,
                    Event::Close(frame) => Heard::Close(frame.code.0, frame.reason.to_owned()),
                    other => return Err(format!("{other:?}")),
                });
            }
        }
        let left = input.len();
        self.pending = pending.split_off(pending.len() - left);
        Ok(heard)
    }

    fn endpoint(&mut self) -> &mut Endpoint {
        self.endpoint.as_mut().expect("the handshake is over")
    }

    pub(crate) fn say(&mut self, kind: Kind, message: &[u8]) {
        let Endpoint { sender, .. } = self.endpoint.as_mut().expect("the handshake is over");
        sender.send(kind, message, &mut self.scratch.send, &mut self.out);
    }

    pub(crate) fn ping(&mut self) {
        let mut out = std::mem::take(&mut self.out);
        self.endpoint().sender.ping(b"ping", &mut out);
        self.out = out;
    }

    pub(crate) fn close(&mut self, code: u16) {
        let mut out = std::mem::take(&mut self.out);
        self.endpoint().sender.close(CloseCode(code), "", &mut out);
        self.out = out;
    }

    pub(crate) fn said(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}
