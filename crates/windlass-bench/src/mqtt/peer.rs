//! One client of a broker, without its socket: what it says first, and how packets stand on the wire.

use std::sync::Arc;

use windlass_proto::http::ResponseHeads;
use windlass_proto::mqtt::{
    Connack, Connect, Disconnect, Filter, Filters, Limits, Mqtt, Packet, PacketId, PropertiesBuf, Property,
    QoS, Reason, Secret, Suback, Subscribe, SubscribeOptions, Subscription, Topic, Version,
};
use windlass_proto::ws::{Endpoint, Event, Kind, Opening, Receiver, Scratch, Sender, WsConfig};
use windlass_proto::{Decode as _, Encode as _, Input};

use crate::load::{Fault, excerpt};

/// The most that a packet may have, by the specification.
const PACKET_MAX: usize = 268_435_460;
/// How long a durable session outlives its connection, in seconds.
const DURABLE: u32 = 3600;
/// The one packet that is answered before messages flow.
const SUBSCRIBE_ID: PacketId = PacketId::MIN;

/// What all clients of a load say of themselves.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) version: Version,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// Host and path of the WebSocket, if that is what MQTT is spoken over.
    pub(super) web: Option<(String, String)>,
}

/// What a client wants to hear.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) filter: Arc<str>,
    pub(super) qos: QoS,
}

/// How far a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The WebSocket is to be opened, or being opened.
    Web {
        asked: bool,
    },
    Connect,
    Connecting,
    Subscribe,
    Subscribing,
    Open,
}

/// One client.
pub(super) struct Peer {
    login: Arc<Login>,
    id: String,
    durable: bool,
    wish: Option<Wish>,
    step: Step,
    voice: Voice,
    ear: Option<Box<Ear>>,
    /// Messages of QoS 1 and 2 that the broker takes at a time.
    pub(super) receive_maximum: u16,
}

/// What it speaks with.
pub(super) struct Voice {
    codec: Mqtt,
    web: Option<Box<(Sender, Scratch)>>,
    /// One packet, before it becomes a WebSocket's message.
    packet: Vec<u8>,
}

/// What it hears a WebSocket with.
struct Ear {
    opening: Opening,
    receiver: Option<Receiver>,
    scratch: Scratch,
    /// Received, and no whole packet.
    left: Vec<u8>,
}

impl Voice {
    /// Appends a packet to `out`.
    pub(super) fn say(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let Voice { codec, web, packet: bytes } = self;
        let cannot = |error| Fault::Wrong(format!("cannot say {}: {error}", packet.kind().name()));
        match web {
            None => codec.encode(packet, out).map_err(cannot),
            Some(web) => {
                bytes.clear();
                codec.encode(packet, bytes).map_err(cannot)?;
                let (sender, scratch) = &mut **web;
                sender.send(Kind::Binary, bytes, &mut scratch.send, out);
                Ok(())
            }
        }
    }
}

impl Peer {
    pub(super) fn new(login: &Arc<Login>, id: String, durable: bool, wish: Option<Wish>) -> Peer {
        let limits = Limits { packet_max: PACKET_MAX, ..Limits::default() };
        let ear = login.web.is_some().then(|| {
            let mut random = *b"thirty-two bytes of no entropy..";
            for (to, from) in random.iter_mut().zip(id.bytes().rev()) {
                *to = from;
            }
            let opening = Opening::new(random).protocol("mqtt");
            Box::new(Ear { opening, receiver: None, scratch: Scratch::new(), left: Vec::new() })
        });
        Peer {
            login: login.clone(),
            id,
            durable,
            wish,
            step: if ear.is_some() { Step::Web { asked: false } } else { Step::Connect },
            voice: Voice { codec: Mqtt::client(login.version, limits), web: None, packet: Vec::new() },
            ear,
            receive_maximum: u16::MAX,
        }
    }

    /// Whether messages flow.
    pub(super) fn is_open(&self) -> bool {
        self.step == Step::Open
    }

    pub(super) fn voice(&mut self) -> &mut Voice {
        &mut self.voice
    }

    /// Says what is next before messages flow; nothing, if the broker is to answer first.
    pub(super) fn open(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self.step {
            Step::Web { asked: false } => {
                self.step = Step::Web { asked: true };
                let (Some(ear), Some((host, path))) = (&self.ear, &self.login.web) else { return Ok(()) };
                let said = ear.opening.request(host, path, &config(), out);
                said.map_err(|error| Fault::Wrong(format!("cannot ask for that: {error}")))
            }
            Step::Connect => {
                self.step = Step::Connecting;
                self.connect(out)
            }
            Step::Subscribe => {
                self.step = Step::Subscribing;
                let Some(wish) = &self.wish else { return Ok(()) };
                let filter = Filter::new(&wish.filter);
                let filter =
                    filter.map_err(|error| Fault::Wrong(format!("filter `{}`: {error}", wish.filter)))?;
                let wanted = [Subscription { filter, options: SubscribeOptions::new(wish.qos) }];
                let properties = PropertiesBuf::new();
                let subscribe = Subscribe {
                    id: SUBSCRIBE_ID,
                    properties: properties.properties(),
                    filters: Filters::new(&wanted),
                };
                self.voice.say(&Packet::Subscribe(subscribe), out)
            }
            _ => Ok(()),
        }
    }

    fn connect(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut properties = PropertiesBuf::new();
        if self.durable && self.login.version == Version::V5 {
            // A number of seconds has an encoding.
            let _ = properties.push(Property::SessionExpiry(DURABLE));
        }
        let connect = Connect {
            // Not none: there are brokers that refuse that.
            keep_alive: u16::MAX,
            clean_start: !self.durable,
            user_name: self.login.user.as_deref(),
            password: self.login.password.as_ref().map(|password| Secret(password.as_bytes())),
            properties: properties.properties(),
            ..Connect::new(self.login.version, &self.id)
        };
        self.voice.say(&Packet::Connect(connect), out)
    }

    /// Says good-bye; a durable session ends with it, where that can be said.
    pub(super) fn leave(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut properties = PropertiesBuf::new();
        if self.durable && self.login.version == Version::V5 {
            let _ = properties.push(Property::SessionExpiry(0));
        }
        let reason = Reason::Success;
        let disconnect = Disconnect { properties: properties.properties(), ..Disconnect::new(reason) };
        self.voice.say(&Packet::Disconnect(disconnect), out)
    }

    /// Takes what is complete of `input`. Packets go to `take` once messages flow; what it has to say at once
    /// goes to `out`.
    pub(super) fn hear(
        &mut self,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
        mut take: impl FnMut(Packet<'_>, &mut Voice, &mut Vec<u8>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if let Step::Web { .. } = self.step
            && !self.opened(input)?
        {
            return Ok(());
        }
        let Some(mut ear) = self.ear.take() else { return self.packets(input, out, &mut take) };
        let heard = self.messages(&mut ear, input, out, &mut take);
        self.ear = Some(ear);
        heard
    }

    fn messages(
        &mut self,
        ear: &mut Ear,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
        take: &mut impl FnMut(Packet<'_>, &mut Voice, &mut Vec<u8>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        loop {
            let (Some(receiver), Some(web)) = (&mut ear.receiver, &mut self.voice.web) else { return Ok(()) };
            let event = receiver.next(input, &mut ear.scratch.receive, &mut web.0, out);
            match event.map_err(|error| Fault::Wrong(format!("WebSocket: {error}")))? {
                None => return Ok(()),
                Some(Event::Binary(message)) => ear.left.extend_from_slice(message),
                Some(Event::Text(_)) => return Err(Fault::Wrong("text on the WebSocket".into())),
                Some(Event::Close(close)) => {
                    return Err(Fault::Refused(format!("it closed the WebSocket: {:?}", close.code)));
                }
                // Pings were answered in passing.
                Some(_) => continue,
            }
            let mut packets = Input::new(&mut ear.left);
            self.packets(&mut packets, out, take)?;
            let left = packets.len();
            ear.left.drain(..ear.left.len() - left);
        }
    }

    fn packets(
        &mut self,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
        take: &mut impl FnMut(Packet<'_>, &mut Voice, &mut Vec<u8>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        loop {
            let packet = self.voice.codec.decode(input);
            let Some(packet) = packet.map_err(|error| Fault::Wrong(error.to_string()))? else {
                return Ok(());
            };
            match packet {
                Packet::Disconnect(disconnect) => return Err(refused("disconnected", disconnect.reason)),
                packet if self.step == Step::Open => take(packet, &mut self.voice, out)?,
                Packet::Connack(connack) if self.step == Step::Connecting => self.connected(&connack)?,
                Packet::Suback(suback) if self.step == Step::Subscribing => self.subscribed(suback)?,
                packet => {
                    return Err(Fault::Wrong(format!("{} before messages flow", packet.kind().name())));
                }
            }
            self.open(out)?;
        }
    }

    fn connected(&mut self, connack: &Connack<'_>) -> Result<(), Fault> {
        if connack.reason != Reason::Success {
            return Err(refused("did not connect", connack.reason));
        }
        self.receive_maximum = connack.properties.receive_maximum().unwrap_or(u16::MAX);
        let most = connack.properties.maximum_packet_size();
        self.voice.codec.set_send_max(most.map_or(usize::MAX, |most| most as usize));
        self.step = if self.wish.is_some() { Step::Subscribe } else { Step::Open };
        Ok(())
    }

    fn subscribed(&mut self, suback: Suback<'_>) -> Result<(), Fault> {
        let wanted = self.wish.as_ref().map_or(0, |wish| wish.qos as u8);
        match suback.reasons.iter().next() {
            Some(reason) if reason.is_error() => Err(refused("did not subscribe", reason)),
            Some(reason) if reason.code() == wanted => {
                self.step = Step::Open;
                Ok(())
            }
            _ => Err(Fault::Refused(format!("it does not grant QoS {wanted}"))),
        }
    }

    /// Takes the answer to the opening handshake, if it is complete.
    fn opened(&mut self, input: &mut Input<'_>) -> Result<bool, Fault> {
        let Some(ear) = &mut self.ear else { return Ok(true) };
        let begins = excerpt(input.peek());
        let head = ResponseHeads::default().decode(input);
        let Some(head) = head.map_err(|error| Fault::Wrong(format!("{error}: {begins}")))? else {
            return Ok(false);
        };
        let answer = ear.opening.answer(&head, &config());
        let (endpoint, _) = answer.map_err(|error| Fault::Refused(format!("handshake: {error}")))?;
        let Endpoint { receiver, sender } = endpoint;
        ear.receiver = Some(receiver);
        self.voice.web = Some(Box::new((sender, Scratch::new())));
        self.step = Step::Connect;
        Ok(true)
    }
}

fn config() -> WsConfig {
    WsConfig::default().message_max(PACKET_MAX)
}

/// What the broker does not want, and why.
pub(super) fn refused(what: &str, reason: Reason) -> Fault {
    Fault::Refused(format!("it {what}: {} (0x{:02x})", reason.name(), reason.code()))
}

/// A topic that this load made up.
pub(super) fn topic(text: &str) -> Result<Topic<'_>, Fault> {
    Topic::new(text).map_err(|error| Fault::Wrong(format!("topic `{text}`: {error}")))
}
