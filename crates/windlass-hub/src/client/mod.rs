//! One connection: from its first byte to its last.
//!
//! Read [`Client`] and [`Hub::serve`] first, then `connect`, `arrive`, `publish` and `subscribe`; `wire` is what packets
//! travel in, `http` publishing without any.

mod acks;
mod arrive;
mod connect;
mod end;
mod http;
mod publish;
mod subscribe;
mod websocket;
pub(crate) mod wire;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use windlass::{Close, Conn, Input, Time};
use windlass_proto::Decode;
use windlass_proto::mqtt::{Mqtt, MqttError, Packet, Version};
use windlass_proto::proxy_protocol::ProxyProtocol;

pub(crate) use connect::{Asking, Enhanced};
pub(crate) use subscribe::Waiting;
use wire::Wire;

use crate::memory::TheirAliases;
use crate::parts;
use crate::quota::Load;
use crate::service::Hub;
use crate::session::Key;

/// The state of one connection. What of it outlives that is in the session of its client.
#[derive(Debug)]
pub struct Client {
    pub(crate) wire: Wire,
    pub(crate) codec: Mqtt,
    /// The PROXY header has come.
    pub(crate) is_introduced: bool,
    pub(crate) stage: Stage,
    /// Topics by the numbers that the client gave them, once it has given some.
    pub(crate) aliases: Option<Box<TheirAliases>>,
    /// How many CONNACK said it may give.
    pub(crate) aliases_max: u16,
    /// One and a half times what the client promised, in milliseconds; zero: it promised nothing.
    pub(crate) silence_max_ms: u32,
    /// When it was heard last.
    pub(crate) heard: Time,
    /// Messages that came from it, or as many as there is room for.
    pub(crate) received: u32,
    rare: Option<Box<Rare>>,
    /// It said so in its CONNECT: a session that was to end with the connection cannot be kept
    /// (section 3.14.2.2.2).
    pub(crate) ends_with_connection: bool,
    /// Its packets wait until all workers know what it has subscribed to.
    pub(crate) awaits_all: bool,
}

/// What few connections have.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// Who the client is, as the PROXY header says.
    pub(crate) source: Option<IpAddr>,
    /// The user whose connections it is counted among, if that has bounds.
    counted: Option<Arc<Load>>,
    /// The enhanced authentication it was let in by, where there was one.
    enhanced: Option<Enhanced>,
}

/// How far a connection is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Before its CONNECT, which has to come by this time.
    New,
    /// Between CONNECT and CONNACK: it waits for others to say who it is, or where its session is.
    Asking(Box<Asking>),
    /// Served, with the session of this place.
    Served(Key),
    /// Requests of HTTP, each for itself.
    Http,
    /// Nothing it says counts any more.
    Over,
}

impl Client {
    pub(crate) fn new(hub: &Hub, now: Time) -> Client {
        Client {
            wire: Wire::Unknown,
            codec: Mqtt::server(hub.config.limits()),
            is_introduced: false,
            stage: Stage::New,
            aliases: None,
            aliases_max: 0,
            silence_max_ms: 0,
            heard: now,
            received: 0,
            rare: None,
            ends_with_connection: false,
            awaits_all: false,
        }
    }

    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.rare.as_ref()?.source
    }

    /// See [`Rare::counted`].
    #[inline]
    pub(crate) fn counted(&self) -> Option<&Arc<Load>> {
        self.rare.as_ref()?.counted.as_ref()
    }

    pub(crate) fn set_counted(&mut self, counted: Option<Arc<Load>>) {
        if counted.is_some() || self.rare.is_some() {
            self.rare().counted = counted;
        }
    }

    pub(crate) fn take_counted(&mut self) -> Option<Arc<Load>> {
        self.rare.as_mut()?.counted.take()
    }

    pub(crate) fn enhanced(&mut self) -> Option<&mut Enhanced> {
        self.rare.as_mut()?.enhanced.as_mut()
    }

    pub(crate) fn is_v5(&self) -> bool {
        self.codec.version() == Some(Version::V5)
    }

    /// The session, of one that is served.
    pub(crate) fn key(&self) -> Option<Key> {
        match self.stage {
            Stage::Served(key) => Some(key),
            _ => None,
        }
    }

    /// When it has been silent for too long, if it ever is.
    pub(crate) fn silent_at(&self) -> Option<Time> {
        let max = Duration::from_millis(self.silence_max_ms.into());
        (max > Duration::ZERO).then(|| self.heard + max)
    }

    /// Whether it is a request that is not answered yet: it goes on when that is done, and not before.
    pub(crate) fn awaits_answer(&self) -> bool {
        parts::HTTP && matches!(&self.wire, Wire::Http(requests) if requests.is_answer_pending())
    }

    /// Whether its packets wait.
    pub(crate) fn waits(&self) -> bool {
        self.awaits_all || matches!(self.stage, Stage::Asking(ref asking) if asking.waits)
    }
}

impl Hub {
    /// Input of a connection.
    pub(crate) fn input(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        if self.waits_for_log(conn, client) {
            return Ok(());
        }
        if self.config.proxy_header && !client.is_introduced {
            match ProxyProtocol::default().decode(input) {
                Ok(None) => return Ok(()),
                Ok(Some(header)) => {
                    if let Some(source) = header.source() {
                        client.rare().source = Some(source.ip());
                    }
                    client.is_introduced = true;
                }
                Err(error) => {
                    client.stage = Stage::Over;
                    return Err(Close::Protocol(Box::new(error)));
                }
            }
        }
        if matches!(client.wire, Wire::Unknown) {
            let Some(&first) = input.peek().first() else { return Ok(()) };
            client.wire = match first {
                b'G' if parts::HTTP && self.config.websocket => Wire::Request(Box::default()),
                // No packet of MQTT begins like that, and no connection with a PUBLISH.
                b'P' if parts::HTTP && self.config.http_publish => {
                    Wire::Http(Box::new(http::Requests::new(self.config.packet_max, &self.memory)))
                }
                _ => Wire::Stream,
            };
        }
        match client.wire {
            Wire::Stream => self.serve(conn, client, input),
            _ if !parts::HTTP => Ok(()),
            Wire::Http(_) => self.requests(conn, client, input),
            _ => self.frames(conn, client, input),
        }
    }

    /// Serves the packets in the input, until the client has to wait or does not take its answers.
    pub(crate) fn serve(
        &mut self,
        conn: &mut Conn<'_>,
        client: &mut Client,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        let outcome = loop {
            if client.waits() || conn.is_congested() || self.must_wait(conn) {
                break Ok(());
            }
            match client.codec.decode(input) {
                Ok(Some(packet)) => {
                    client.heard = self.now;
                    self.stats.packets_received += 1;
                    if let Err(close) = self.packet(conn, client, packet) {
                        break Err(close);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(self.mistake(client, error)),
            }
        };
        self.flush(conn, client);
        outcome
    }

    /// Whether no more is taken from clients for now, since another worker has to catch up: this one is read again then.
    #[inline]
    pub(crate) fn must_wait(&mut self, conn: &mut Conn<'_>) -> bool {
        let must = self.siblings.is_full();
        if must {
            self.siblings.wait(conn.id());
            conn.pause();
        }
        must
    }

    /// Writes the packets that were put together for this connection.
    pub(crate) fn flush(&mut self, conn: &mut Conn<'_>, client: &Client) {
        if self.out.is_empty() {
            // Who ends without a word: what is said next is said to somebody else.
            self.durable.no_farewell();
        } else {
            self.send_out(conn, client);
        }
    }

    fn packet(&mut self, conn: &mut Conn<'_>, client: &mut Client, packet: Packet<'_>) -> Result<(), Close> {
        let key = match (client.key(), &packet) {
            (_, Packet::Connect(connect)) => return self.connect(conn, client, connect),
            (None, Packet::Auth(auth)) => return self.authenticate(conn, client, auth),
            (None, Packet::Disconnect(_)) => return Err(Close::Done),
            (Some(key), _) => key,
            // Its packets wait until it has one.
            (None, _) => return Ok(()),
        };
        // Its session may be another connection's meanwhile, and this one is ending.
        if !self.is_linked(key, conn.id()) {
            return Err(Close::Done);
        }
        match packet {
            Packet::Publish(publish) => self.received(conn, client, key, &publish),
            Packet::Puback(ack) => self.puback(conn, client, key, &ack),
            Packet::Pubrec(ack) => self.pubrec(conn, client, key, &ack),
            Packet::Pubrel(ack) => self.pubrel(client, key, &ack),
            Packet::Pubcomp(ack) => self.pubcomp(conn, client, key, &ack),
            Packet::Subscribe(subscribe) => self.subscribe(conn, client, key, &subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(conn, client, key, &unsubscribe),
            // [MQTT-3.12.4-1].
            Packet::Pingreq => {
                self.pong(conn, client, key);
                Ok(())
            }
            Packet::Disconnect(disconnect) => self.disconnected(conn, client, key, &disconnect),
            Packet::Auth(auth) => self.authenticate(conn, client, &auth),
            // The codec of a server takes no other.
            _ => Err(self.mistake(client, MqttError::PacketType)),
        }
    }

    /// The client made a mistake: it is told, where it can be, and its connection ends.
    pub(crate) fn mistake(&mut self, client: &mut Client, error: MqttError) -> Close {
        self.stats.violations += 1;
        if let Some(count) = self.mistakes.iter_mut().find(|(label, _)| *label == error.label()) {
            count.1 += 1;
        } else {
            self.mistakes.push((error.label(), 1));
        }
        self.durable.farewell(self.out.len());
        client.codec.answer(&error, &mut self.out);
        client.stage = match client.stage {
            Stage::Served(key) => Stage::Served(key),
            _ => Stage::Over,
        };
        Close::Protocol(Box::new(error))
    }

    /// Sets the next time this connection is looked at.
    pub(crate) fn watch_silence(&self, conn: &mut Conn<'_>, client: &Client) {
        if let Some(at) = client.silent_at() {
            conn.wake_at(at);
        }
    }
}
