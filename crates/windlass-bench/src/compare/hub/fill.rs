//! A client that waits: it fills a broker with retained messages, and asks for one of them; or it takes nothing at all.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use windlass_proto::mqtt::{
    Connect, Filter, Filters, Limits, Mqtt, Packet, PacketId, Properties, Publish, QoS, Reason, Subscribe,
    SubscribeOptions, Subscription, Topic, Version,
};
use windlass_proto::{Decode as _, Encode as _, Input};

/// Messages that are sent before their acknowledgements are waited for.
const AT_ONCE: u64 = 500;
/// How long the broker may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a payload.
const SIZE: usize = 64;

/// One connection.
pub(super) struct Waiting {
    stream: TcpStream,
    codec: Mqtt,
    out: Vec<u8>,
    left: Vec<u8>,
}

impl Waiting {
    pub(super) fn connect(to: SocketAddr) -> Result<Waiting> {
        Waiting::connect_as(to, "bench-waits")
    }

    pub(super) fn connect_as(to: SocketAddr, id: &str) -> Result<Waiting> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let codec = Mqtt::client(Version::V311, Limits::default());
        let mut this = Waiting { stream, codec, out: Vec::new(), left: Vec::new() };
        this.say(&Packet::Connect(Connect { keep_alive: 600, ..Connect::new(Version::V311, id) }))?;
        this.hear(1, |packet| match packet {
            Packet::Connack(connack) if connack.reason == Reason::Success => Ok(true),
            other => bail!("it answers {other:?}"),
        })?;
        Ok(this)
    }

    /// Has the broker retain `count` messages, each with a topic of its own.
    pub(super) fn fill(&mut self, count: u64) -> Result<()> {
        self.publish(count, true, &[b'.'; SIZE], topic)
    }

    /// Has it pass on `count` messages of this payload to whoever subscribes to `about`.
    pub(super) fn pass_on(&mut self, count: u64, payload: &[u8], about: &str) -> Result<()> {
        self.publish(count, false, payload, |_| about.to_owned())
    }

    fn publish(
        &mut self,
        count: u64,
        retain: bool,
        payload: &[u8],
        topic: impl Fn(u64) -> String,
    ) -> Result<()> {
        for first in (0..count).step_by(AT_ONCE as usize) {
            let some = AT_ONCE.min(count - first);
            for nth in 0..some {
                let topic = topic(first + nth);
                let publish = Publish {
                    qos: QoS::AtLeastOnce,
                    id: Some(PacketId::MIN.saturating_add(nth as u16)),
                    retain,
                    ..Publish::new(Topic::new(&topic).map_err(|error| anyhow!("{error}"))?, payload)
                };
                self.encode(&Packet::Publish(publish))?;
            }
            self.send()?;
            self.hear(some, |packet| match packet {
                Packet::Puback(ack) => {
                    ensure!(!ack.reason.is_error(), "it refuses a message: {}", ack.reason.name());
                    Ok(true)
                }
                _ => Ok(false),
            })?;
        }
        Ok(())
    }

    /// Asks for message number `nth`.
    pub(super) fn retained(&mut self, nth: u64) -> Result<()> {
        self.subscribe(&topic(nth))?;
        self.hear(1, |packet| Ok(matches!(packet, Packet::Publish(publish) if publish.payload.len() == SIZE)))
    }

    fn subscribe(&mut self, filter: &str) -> Result<()> {
        let filter = Filter::new(filter).map_err(|error| anyhow!("{error}"))?;
        let filters = [Subscription { filter, options: SubscribeOptions::new(QoS::AtMostOnce) }];
        self.say(&Packet::Subscribe(Subscribe {
            id: PacketId::MIN,
            properties: Properties::NONE,
            filters: Filters::new(&filters),
        }))
    }

    /// Subscribes to everything, and reads nothing from here on.
    pub(super) fn stall(&mut self) -> Result<()> {
        self.subscribe("#")?;
        self.hear(1, |packet| Ok(matches!(packet, Packet::Suback(_))))
    }

    /// Takes what has come meanwhile, until nothing more does; whether it is still connected.
    pub(super) fn is_connected(&mut self) -> Result<bool> {
        self.stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn encode(&mut self, packet: &Packet<'_>) -> Result<()> {
        self.codec.encode(packet, &mut self.out).map_err(|error| anyhow!("{error}"))
    }

    fn say(&mut self, packet: &Packet<'_>) -> Result<()> {
        self.encode(packet)?;
        self.send()
    }

    fn send(&mut self) -> Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Waits for `wanted` packets that are the right ones.
    fn hear(&mut self, mut wanted: u64, mut right: impl FnMut(&Packet<'_>) -> Result<bool>) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        while wanted > 0 {
            let read = self.stream.read(&mut buffer).context("no answer")?;
            ensure!(read > 0, "it closed the connection");
            self.left.extend_from_slice(&buffer[..read]);
            let mut input = Input::new(&mut self.left);
            while let Some(packet) = self.codec.decode(&mut input).map_err(|error| anyhow!("{error}"))? {
                if right(&packet)? {
                    wanted = wanted.saturating_sub(1);
                }
            }
            let rest = input.len();
            self.left.drain(..self.left.len() - rest);
        }
        Ok(())
    }
}

/// A thousand to a folder.
fn topic(nth: u64) -> String {
    format!("bench/retained/{}/{}", nth / 1000, nth % 1000)
}
