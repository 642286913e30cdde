//! One connection to a broker: the codec, and the WebSocket below it if there is one.

use windlass::proto::http::ResponseHeads;
use windlass::proto::mqtt::{Limits, Mqtt, Packet, Version};
use windlass::proto::ws::{Endpoint, Event, Kind, Opening, Receiver, Scratch, Sender, WsConfig};
use windlass::proto::{Decode, Encode, Input};
use windlass::{Close, Conn, Time};

/// The longest packet there can be.
pub(super) const PACKET_MAX: usize = 268_435_460;

/// A connection.
pub(super) struct Talk {
    pub(super) voice: Voice,
    ear: Option<Box<Ear>>,
}

/// What packets are said with.
pub(super) struct Voice {
    codec: Mqtt,
    web: Option<Box<(Sender, Scratch)>>,
    packet: Vec<u8>,
    framed: Vec<u8>,
    /// When something was last said.
    pub(super) said: Time,
    /// The broker was asked whether it is there.
    pub(super) asked: bool,
    /// Messages flow: CONNACK has come.
    pub(super) open: bool,
    /// The last packet was said.
    pub(super) over: bool,
}

/// What a WebSocket is heard with.
struct Ear {
    opening: Opening,
    receiver: Option<Receiver>,
    scratch: Scratch,
    /// Received, and no whole packet.
    left: Vec<u8>,
}

impl Voice {
    /// Says a packet.
    pub(super) fn say(&mut self, conn: &mut Conn<'_>, packet: &Packet<'_>) -> Result<(), Close> {
        self.packet.clear();
        self.codec.encode(packet, &mut self.packet)?;
        match &mut self.web {
            None => conn.write(&self.packet),
            Some(web) => {
                let (sender, scratch) = &mut **web;
                self.framed.clear();
                sender.send(Kind::Binary, &self.packet, &mut scratch.send, &mut self.framed);
                conn.write(&self.framed);
            }
        }
        self.said = conn.now();
        self.over |= matches!(packet, Packet::Disconnect(_));
        Ok(())
    }

    /// What the broker said of the longest packet that it takes.
    pub(super) fn set_send_max(&mut self, max: usize) {
        self.codec.set_send_max(max);
    }
}

impl Talk {
    /// Over this WebSocket, or none, whose handshake begins at once.
    pub(super) fn new(
        conn: &mut Conn<'_>,
        version: Version,
        web: Option<&(String, String)>,
    ) -> Result<Talk, Close> {
        let limits = Limits { packet_max: PACKET_MAX, ..Limits::default() };
        let codec = Mqtt::client(version, limits);
        let voice = Voice {
            codec,
            web: None,
            packet: Vec::new(),
            framed: Vec::new(),
            said: conn.now(),
            asked: false,
            open: false,
            over: false,
        };
        let Some((host, path)) = web else { return Ok(Talk { voice, ear: None }) };
        let mut random = [0; 32];
        for bytes in random.chunks_exact_mut(8) {
            bytes.copy_from_slice(&conn.random().to_be_bytes());
        }
        let opening = Opening::new(random).protocol("mqtt");
        let mut request = Vec::new();
        opening
            .request(host, path, &config(), &mut request)
            .map_err(|error| Close::Protocol(error.into()))?;
        conn.write(&request);
        let (receiver, scratch, left) = (None, Scratch::new(), Vec::new());
        Ok(Talk { voice, ear: Some(Box::new(Ear { opening, receiver, scratch, left })) })
    }

    /// Whether packets can be said: the WebSocket, if there is one, is open.
    pub(super) fn is_ready(&self) -> bool {
        self.ear.is_none() || self.voice.web.is_some()
    }

    /// Takes what is complete of `input`; packets go to `take`.
    pub(super) fn hear(
        &mut self,
        conn: &mut Conn<'_>,
        input: &mut Input<'_>,
        take: &mut dyn FnMut(&mut Conn<'_>, &mut Voice, Packet<'_>) -> Result<(), Close>,
    ) -> Result<(), Close> {
        let Some(ear) = &mut self.ear else { return self.voice.packets(conn, input, take) };
        let Ear { opening, receiver, scratch, left } = &mut **ear;
        let receiver = match receiver {
            Some(receiver) => receiver,
            None => {
                let Some(head) = ResponseHeads::default().decode(input)? else { return Ok(()) };
                let (endpoint, _) = opening.answer(&head, &config())?;
                let Endpoint { receiver: ours, sender } = endpoint;
                self.voice.web = Some(Box::new((sender, Scratch::new())));
                receiver.insert(ours)
            }
        };
        loop {
            let Some(web) = &mut self.voice.web else { return Ok(()) };
            self.voice.framed.clear();
            let event = receiver.next(input, &mut scratch.receive, &mut web.0, &mut self.voice.framed);
            // Answers to pings, and to a close.
            conn.write(&self.voice.framed);
            match event? {
                None => return Ok(()),
                Some(Event::Binary(message)) => left.extend_from_slice(message),
                Some(Event::Text(_)) => return Err(Close::Protocol("text on the WebSocket".into())),
                Some(Event::Close(_)) => return Err(Close::Eof),
                Some(_) => continue,
            }
            let mut packets = Input::new(left);
            self.voice.packets(conn, &mut packets, take)?;
            let rest = packets.len();
            left.drain(..left.len() - rest);
        }
    }
}

impl Voice {
    fn packets(
        &mut self,
        conn: &mut Conn<'_>,
        input: &mut Input<'_>,
        take: &mut dyn FnMut(&mut Conn<'_>, &mut Voice, Packet<'_>) -> Result<(), Close>,
    ) -> Result<(), Close> {
        while !self.over {
            let Some(packet) = self.codec.decode(input)? else { return Ok(()) };
            take(conn, self, packet)?;
        }
        input.take_all();
        Ok(())
    }
}

fn config() -> WsConfig {
    WsConfig::default().message_max(PACKET_MAX)
}
