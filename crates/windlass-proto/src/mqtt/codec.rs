//! The codec of one connection: which packet may come when, and how long it may be.

use super::limits::{Kept, saturated};
use super::read::{Reader, Varint, varint};
use super::write::{Body, put_packet};
use super::{
    Ack, Auth, Connack, Connect, Disconnect, Kind, Limits, MqttError, Packet, Publish, Reason, Side, Suback,
    Subscribe, Unsubscribe, Version, publish,
};
use crate::{Decode, Encode, EncodeError, Input, Put};

/// Decodes what the other end sends, and encodes what this end does.
///
/// It knows how far the connection is: a server's takes one CONNECT and sends one CONNACK before anything else
/// but AUTH; from the CONNECT it learns the version. What comes at the wrong time is an error, and what would go
/// at the wrong time has no encoding.
///
/// A packet is taken once all of it is there. Its type and flags are looked at with its first byte, its length with
/// the next ones, so nothing waits for a body that would be refused; until then the bytes stay in the input, and
/// nothing is allocated here.
#[derive(Clone, Debug)]
pub struct Mqtt {
    side: Side,
    phase: Phase,
    version: Option<Version>,
    /// CONNECT had an authentication method.
    method: bool,
    limits: Kept,
    send_max: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Before CONNECT.
    New,
    /// Between CONNECT and CONNACK.
    Connecting,
    Connected,
    /// CONNACK refused, or a DISCONNECT was sent: nothing may follow.
    Over,
}

impl Mqtt {
    /// The server's end.
    pub const fn server(limits: Limits) -> Mqtt {
        Mqtt {
            side: Side::Server,
            phase: Phase::New,
            version: None,
            method: false,
            limits: Kept::new(limits),
            send_max: u32::MAX,
        }
    }

    /// The client's end, which speaks this version.
    pub const fn client(version: Version, limits: Limits) -> Mqtt {
        Mqtt { side: Side::Client, version: Some(version), ..Mqtt::server(limits) }
    }

    /// The same end in the middle of a connection of this version, as after a hand-over. `method`: whether CONNECT
    /// had an authentication method.
    #[must_use]
    pub const fn connected(self, version: Version, method: bool) -> Mqtt {
        Mqtt { phase: Phase::Connected, version: Some(version), method, ..self }
    }

    /// What is spoken: a server's end knows it once the CONNECT has come.
    #[inline]
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// Whether CONNACK has said that the client is served.
    #[inline]
    pub const fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected)
    }

    /// Bytes of the longest packet the peer takes: its Maximum Packet Size. Longer ones have no encoding
    /// ([MQTT-3.1.2-24], [MQTT-3.2.2-15]); a message among them counts as sent ([MQTT-3.1.2-25]).
    pub const fn set_send_max(&mut self, max: usize) {
        self.send_max = saturated(max);
    }

    /// Other limits from here on: those of somebody who has said who they are.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = Kept::new(limits);
    }

    /// Whether a packet with this first byte may come now.
    #[inline]
    fn expect(&self, first: u8) -> Result<Kind, MqttError> {
        let kind = Kind::from_first(first).ok_or(MqttError::PacketType)?;
        let from = self.side.other();
        if kind == Kind::Publish && self.phase == Phase::Connected {
            return publish::check_first(first).map(|()| kind);
        }
        if kind == Kind::Auth && self.version == Some(Version::V311) {
            return Err(MqttError::PacketType);
        }
        let timely = match (self.phase, self.side) {
            (Phase::New, Side::Server) => kind == Kind::Connect,
            (Phase::New, Side::Client) => false,
            // [MQTT-3.1.2-30]; without a method a client need not wait for CONNACK (section 3.1.4).
            (Phase::Connecting, Side::Server) if self.method => {
                matches!(kind, Kind::Auth | Kind::Disconnect)
            }
            (Phase::Connecting, Side::Server) => kind != Kind::Connect,
            // [MQTT-3.2.0-1], [MQTT-3.14.0-1].
            (Phase::Connecting, Side::Client) => matches!(kind, Kind::Connack | Kind::Auth),
            // [MQTT-3.1.0-2], [MQTT-3.2.0-2].
            (Phase::Connected | Phase::Over, _) => !matches!(kind, Kind::Connect | Kind::Connack),
        };
        // [MQTT-4.12.0-6], [MQTT-4.12.0-7]. A server of 3.1.1 sends no DISCONNECT.
        let unasked = kind == Kind::Auth && !self.method
            || kind == Kind::Disconnect && from == Side::Server && self.version == Some(Version::V311);
        if !timely || unasked || !kind.is_sent_by(from) {
            return Err(MqttError::Unexpected(kind));
        }
        if kind == Kind::Publish {
            return publish::check_first(first).map(|()| kind);
        }
        if first == kind.first() { Ok(kind) } else { Err(MqttError::Flags(kind)) }
    }

    /// The packet of a body.
    #[inline]
    fn parse<'b>(&self, kind: Kind, first: u8, body: &'b [u8]) -> Result<Packet<'b>, MqttError> {
        let version = self.version.unwrap_or(Version::V5);
        let rules = &self.limits.rules(version, self.side.other());
        let reader = &mut Reader::new(body, kind);
        Ok(match kind {
            Kind::Publish => Packet::Publish(Publish::parse(first, reader, rules)?),
            Kind::Puback => Packet::Puback(Ack::parse(reader, rules)?),
            Kind::Pubrec => Packet::Pubrec(Ack::parse(reader, rules)?),
            Kind::Pubrel => Packet::Pubrel(Ack::parse(reader, rules)?),
            Kind::Pubcomp => Packet::Pubcomp(Ack::parse(reader, rules)?),
            Kind::Connect => Packet::Connect(Connect::parse(reader, rules)?),
            Kind::Connack => Packet::Connack(Connack::parse(reader, rules)?),
            Kind::Subscribe => Packet::Subscribe(Subscribe::parse(reader, rules)?),
            Kind::Suback => Packet::Suback(Suback::parse(reader, rules)?),
            Kind::Unsubscribe => Packet::Unsubscribe(Unsubscribe::parse(reader, rules)?),
            Kind::Unsuback => Packet::Unsuback(Suback::parse(reader, rules)?),
            Kind::Pingreq => reader.end().map(|()| Packet::Pingreq)?,
            Kind::Pingresp => reader.end().map(|()| Packet::Pingresp)?,
            Kind::Disconnect => Packet::Disconnect(Disconnect::parse(reader, rules)?),
            Kind::Auth => Packet::Auth(Auth::parse(reader, rules)?),
        })
    }

    /// The first packet of a connection, from which the rest of it follows.
    #[cold]
    fn begin<'b>(&mut self, kind: Kind, body: &'b [u8]) -> Result<Packet<'b>, MqttError> {
        // Known before the rest is read, so that an error can be answered as its sender understands.
        if kind == Kind::Connect && body.starts_with(b"\0\x04MQTT\x05") {
            self.version = Some(Version::V5);
        }
        let packet = self.parse(kind, kind.first(), body)?;
        match &packet {
            Packet::Connect(connect) => {
                self.version = Some(connect.version);
                self.method = connect.properties.authentication_method().is_some();
                self.phase = Phase::Connecting;
            }
            Packet::Connack(Connack { reason: Reason::Success, .. }) => self.phase = Phase::Connected,
            Packet::Connack(_) => self.phase = Phase::Over,
            _ => {}
        }
        Ok(packet)
    }

    /// Puts the last packet for a peer that made this mistake, if the specification has one: CONNACK or DISCONNECT
    /// with its reason in version 5 (section 4.13), and in 3.1.1 the two return codes a bad CONNECT is answered with
    /// ([MQTT-3.1.2-2], [MQTT-3.1.3-8]), nothing otherwise ([MQTT-3.1.4-1], [MQTT-4.8.0-1]). Close the connection
    /// behind it.
    pub fn answer(&mut self, error: &MqttError, out: &mut (impl Put + ?Sized)) {
        let phase = core::mem::replace(&mut self.phase, Phase::Over);
        let starting = matches!(phase, Phase::New | Phase::Connecting);
        match (error, self.version) {
            _ if phase == Phase::Over || phase == Phase::New && self.side == Side::Client => {}
            // In the form of the version that comes closest; bridges of Mosquitto set the highest bit.
            (MqttError::ProtocolLevel(level), _) if matches!(level & 0x7f, 0..5) => {
                out.put(&[0x20, 2, 0, 1]);
            }
            (MqttError::ProtocolLevel(_), _) => {
                out.put(&[0x20, 3, 0, Reason::UnsupportedProtocolVersion.code(), 0]);
            }
            (MqttError::ClientId, _) => out.put(&[0x20, 2, 0, 2]),
            (_, Some(Version::V5)) => {
                let connack = starting && self.side == Side::Server;
                let kind = if connack { Kind::Connack } else { Kind::Disconnect };
                let mut reason = error.reason();
                if !reason.is_allowed(kind, self.side) {
                    reason = Reason::ProtocolError;
                }
                match kind {
                    Kind::Connack => out.put(&[0x20, 3, 0, reason.code(), 0]),
                    _ => out.put(&[0xe0, 1, reason.code()]),
                }
            }
            _ => {}
        }
    }

    /// Whether this end may send a packet of this kind now.
    fn may_send(&self, kind: Kind) -> bool {
        let timely = match (self.phase, self.side) {
            (Phase::New, Side::Client) => kind == Kind::Connect,
            (Phase::New, Side::Server) | (Phase::Over, _) => false,
            (Phase::Connecting, Side::Client) if self.method => {
                matches!(kind, Kind::Auth | Kind::Disconnect)
            }
            (Phase::Connecting, Side::Client) => kind != Kind::Connect,
            (Phase::Connecting, Side::Server) => matches!(kind, Kind::Connack | Kind::Auth),
            (Phase::Connected, _) => !matches!(kind, Kind::Connect | Kind::Connack),
        };
        timely && kind.is_sent_by(self.side) && (kind != Kind::Auth || self.method)
    }
}

impl Decode for Mqtt {
    type Message<'b> = Packet<'b>;
    type Error = MqttError;

    #[inline]
    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Packet<'b>>, MqttError> {
        let Some((&first, behind)) = input.peek().split_first() else { return Ok(None) };
        let kind = self.expect(first)?;
        let (len, length_len, shortest) = match varint(behind) {
            Varint::Partial => return Ok(None),
            Varint::TooLong => return Err(MqttError::RemainingLength),
            Varint::Whole { value, len, shortest } => (value as usize, len, shortest),
        };
        let (head, total) = (1 + length_len, 1 + length_len + len);
        let max = match self.phase {
            Phase::New => self.limits.connect_max(),
            _ => self.limits.packet_max(),
        };
        if total > max {
            return Err(MqttError::PacketTooLarge);
        }
        let Some(packet) = input.take(total) else {
            input.need(total);
            return Ok(None);
        };
        let body = &packet[head..];
        let packet = match kind {
            Kind::Connect | Kind::Connack => self.begin(kind, body)?,
            _ => self.parse(kind, first, body)?,
        };
        // 3.1.1 does not ask for the shortest form, and which version it is CONNECT says itself.
        if !shortest && self.version == Some(Version::V5) {
            return Err(MqttError::RemainingLength);
        }
        Ok(Some(packet))
    }

    /// # Errors
    ///
    /// [`MqttError::Cut`] inside a packet.
    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Packet<'b>>, MqttError> {
        if input.is_empty() { Ok(None) } else { Err(MqttError::Cut) }
    }
}

impl<'b> Encode<Packet<'b>> for Mqtt {
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] over [`set_send_max`](Mqtt::set_send_max); [`EncodeError::Invalid`] for what this
    /// version has not, this end may not send, or not now.
    fn encode(&mut self, packet: &Packet<'b>, out: &mut (impl Put + ?Sized)) -> Result<(), EncodeError> {
        let (kind, from, max) = (packet.kind(), self.side, self.send_max as usize);
        let Some(version) = self.version.filter(|_| self.may_send(kind)) else {
            return Err(EncodeError::Invalid);
        };
        let acknowledge = |ack: &Ack<'b>, out| {
            ack.check(kind, from, version)?;
            put_packet(kind, &(version, ack), max, out)
        };
        match packet {
            Packet::Publish(publish) => publish.encode(from, version, max, out),
            Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
                acknowledge(ack, out)
            }
            Packet::Connect(connect) => {
                if connect.version != version {
                    return Err(EncodeError::Invalid);
                }
                connect.check()?;
                put_packet(kind, connect, max, out)?;
                self.method = connect.properties.authentication_method().is_some();
                self.phase = Phase::Connecting;
                Ok(())
            }
            Packet::Connack(connack) => {
                connack.check(version)?;
                put_packet(kind, &(version, connack), max, out)?;
                self.phase = if connack.reason == Reason::Success { Phase::Connected } else { Phase::Over };
                Ok(())
            }
            Packet::Subscribe(subscribe) => {
                subscribe.check(version)?;
                put_packet(kind, &(version, subscribe), max, out)
            }
            Packet::Unsubscribe(unsubscribe) => {
                unsubscribe.check(version)?;
                put_packet(kind, &(version, unsubscribe), max, out)
            }
            Packet::Suback(suback) | Packet::Unsuback(suback) => {
                suback.check(kind, version)?;
                put_packet(kind, &(kind, version, suback), max, out)
            }
            Packet::Pingreq | Packet::Pingresp => put_packet(kind, &Nothing, max, out),
            Packet::Disconnect(disconnect) => {
                disconnect.check(from, version)?;
                put_packet(kind, &(version, disconnect), max, out)?;
                // [MQTT-3.14.4-1] of 5.0, [MQTT-3.14.4-2] of 3.1.1.
                self.phase = Phase::Over;
                Ok(())
            }
            Packet::Auth(auth) => {
                if version == Version::V311 {
                    return Err(EncodeError::Invalid);
                }
                auth.check(from)?;
                put_packet(kind, auth, max, out)
            }
        }
    }
}

/// The body of packets that have none.
struct Nothing;

impl Body for Nothing {
    fn put_body<P: Put + ?Sized>(&self, _: &mut P) {}
}
