//! One message to one client: bytes in its output.
//!
//! The head is laid out once for each version. What all receivers of a version get alike, most often everything, is
//! one packet that is put together once and copied to each. A long payload is never copied: it follows its head as the
//! one that all receivers of all versions have.

use windlass::{Bytes, Conn};
use windlass_proto::EncodeError;
use windlass_proto::mqtt::{Delivery, PacketId, Properties, QoS, Topic, TopicForm, Version};
use windlass_proto::ws::{FrameHead, Opcode};

use crate::memory::{Charge, Memory, OurAliases};
use crate::reach::Reach;
use crate::session::message::Templates;
use crate::session::{Link, flag};

/// Payloads of at least this many bytes are shared among their receivers instead of copied.
pub(crate) const SHARE_MIN: usize = 2048;

/// What is sent of a message, whoever gets it.
#[derive(Clone, Copy)]
pub(crate) struct Letter<'l> {
    pub(crate) topic: Topic<'l>,
    pub(crate) properties: Properties<'l>,
    pub(crate) payload: &'l [u8],
    /// The payload as all have it, if it is long: [`SHARE_MIN`].
    pub(crate) whole: Option<&'l Bytes>,
    /// Seconds until it expires.
    pub(crate) expiry: Option<u32>,
}

/// How it is sent to one of them.
#[derive(Clone, Copy)]
pub(crate) struct Form<'f> {
    pub(crate) qos: QoS,
    pub(crate) id: Option<PacketId>,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) ids: &'f [u32],
    /// It is put together only, for whoever sends it later: [`Post::packet`].
    pub(crate) hold: bool,
}

/// Why a message is not on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unsent {
    /// It is longer than the client takes: it counts as sent ([MQTT-3.1.2-25]).
    TooLong,
    /// The connection is gone, or going.
    Gone,
}

/// The memory in which packets are put together.
#[derive(Debug, Default)]
pub(crate) struct Post {
    templates: Templates,
    /// The packet that is put together now.
    packet: Vec<u8>,
    /// Packets of QoS 0 that many get alike, by version and RETAIN flag.
    alike: [Alike; 4],
    /// What each of these has room for, where memory is bounded: then nothing is shared. 0 where it is not.
    room: usize,
    /// Where what clients know by a number is counted.
    memory: Memory,
    /// What its memory is counted with, where it is bounded.
    charge: Charge,
}

#[derive(Debug, Default)]
struct Alike {
    ready: bool,
    /// Without the payload, if that is long.
    packet: Vec<u8>,
}

impl Post {
    /// Room for packets of so many bytes, none of which is shared from now on: what is shared is allocated anew for
    /// each message. Longer ones find theirs in the allocator until [`fit`](Post::fit).
    pub(crate) fn reserve(&mut self, room: usize, memory: &Memory) {
        self.packets().for_each(|packet| packet.reserve_exact(room));
        self.room = room;
        self.memory = memory.clone();
        self.charge = memory.charge((self.alike.len() + 1) * room);
    }

    fn packets(&mut self) -> impl Iterator<Item = &mut Vec<u8>> {
        self.alike.iter_mut().map(|alike| &mut alike.packet).chain([&mut self.packet])
    }

    /// The payload to share, where payloads are: what nobody counts is nowhere where memory is bounded.
    pub(crate) fn shares<'b>(&self, whole: Option<&'b Bytes>) -> Option<&'b Bytes> {
        whole.filter(|_| !self.memory.is_bounded())
    }

    /// Gives back what a long packet has taken beyond the room there is for each, where memory is bounded.
    #[inline]
    pub(crate) fn fit(&mut self) {
        let room = self.room;
        if room > 0 {
            self.packets().filter(|packet| packet.capacity() > room).for_each(|packet| {
                packet.clear();
                packet.shrink_to(room);
            });
        }
    }

    /// Another message from here on: call it before the first [`send`](Post::send) of each.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.templates.clear();
        for alike in &mut self.alike {
            alike.ready = false;
        }
    }

    /// Whether the connection takes more of what is sent to it: what it has not taken is below `output_max`, or
    /// below the engine's high-water mark.
    pub(crate) fn takes(link: &Link, output_max: usize, reach: &mut dyn Reach) -> bool {
        !link.is(flag::OPENING) && reach.conn(link.conn).is_some_and(|conn| takes(&conn, output_max))
    }

    /// Puts the message into the output of a client. `output_max`: only if it takes more; `None` otherwise.
    #[inline]
    pub(crate) fn send(
        &mut self,
        letter: &Letter<'_>,
        form: &Form<'_>,
        link: &mut Link,
        output_max: usize,
        reach: &mut dyn Reach,
    ) -> Option<Result<(), Unsent>> {
        let Some(mut conn) = reach.conn(link.conn) else { return Some(Err(Unsent::Gone)) };
        if link.is(flag::OPENING) || !takes(&conn, output_max) {
            return None;
        }
        let put = self.put(letter, form, link, &mut conn);
        if put.is_ok() {
            link.count_sent();
        }
        Some(put)
    }

    fn put(
        &mut self,
        letter: &Letter<'_>,
        form: &Form<'_>,
        link: &mut Link,
        conn: &mut Conn<'_>,
    ) -> Result<(), Unsent> {
        let Post { templates, packet, alike, memory, .. } = self;
        let Letter { topic, properties, payload, whole, expiry } = *letter;
        let Form { qos, id, dup, retain, ids, hold } = *form;
        let v5 = link.version == Version::V5;
        let send_max = link.send_max();
        let ids = if v5 { ids } else { &[] };
        let plain = id.is_none() && ids.is_empty() && link.aliases.is_none() && !link.is(flag::WEBSOCKET);
        let alike = &mut alike[usize::from(v5) * 2 + usize::from(retain)];
        let mut delivery =
            Delivery { qos, id, dup, retain, subscription_ids: ids, topic: TopicForm::Name, expiry };
        if plain {
            if !alike.ready {
                let template = template(templates, link.version, topic, properties, payload.len())?;
                alike.packet.clear();
                put(template, &delivery, letter, usize::MAX, &mut alike.packet)?;
                alike.ready = true;
            }
            if alike.packet.len() + whole.map_or(0, Bytes::len) > send_max {
                return Err(Unsent::TooLong);
            }
            conn.write(&alike.packet);
            if let Some(whole) = whole {
                conn.write_shared(whole.clone());
            }
            return Ok(());
        }
        let template = template(templates, link.version, topic, properties, payload.len())?;
        // A number that is given has to arrive, so the packet must not turn out too long: it may take three bytes more.
        // Nor may one that leaves later give a number that one before it uses.
        if let Some(aliases) = &mut link.aliases
            && !hold
            && template.len(&delivery) + 3 <= send_max
        {
            delivery.topic = number(aliases, topic, memory);
        }
        packet.clear();
        if link.is(flag::WEBSOCKET) {
            let head = FrameHead::whole(Opcode::Binary, template.len(&delivery) as u64).encode();
            packet.extend_from_slice(head.as_ref());
        }
        put(template, &delivery, letter, send_max, packet)?;
        if !hold {
            conn.write(packet);
            if let Some(whole) = whole {
                conn.write_shared(whole.clone());
            }
        }
        Ok(())
    }

    /// The packet that was put together last, in its frame of a WebSocket if it has one; without its payload, if that is
    /// long.
    pub(crate) fn packet(&self) -> &[u8] {
        &self.packet
    }
}

#[inline]
fn takes(conn: &Conn<'_>, output_max: usize) -> bool {
    !conn.is_congested() || conn.output_len() < output_max
}

/// How a topic is said to a client: without memory for another number, by its name.
fn number(aliases: &mut OurAliases, topic: Topic<'_>, memory: &Memory) -> TopicForm {
    if memory.lacks(4 * topic.as_str().len().max(64)) {
        return TopicForm::Name;
    }
    let form = aliases.topics.form(topic);
    if matches!(form, TopicForm::NameAndAlias(_)) && memory.is_bounded() {
        aliases.charge.set(aliases.topics.memory());
    }
    form
}

fn template<'t>(
    templates: &'t mut Templates,
    version: Version,
    topic: Topic<'_>,
    properties: Properties<'_>,
    payload: usize,
) -> Result<&'t windlass_proto::mqtt::PublishTemplate, Unsent> {
    templates.get(version, topic, properties, payload).map_err(|_| Unsent::TooLong)
}

/// What is put together of a packet: all of it, unless its payload is sent as it is.
fn put(
    template: &windlass_proto::mqtt::PublishTemplate,
    delivery: &Delivery<'_>,
    letter: &Letter<'_>,
    max: usize,
    out: &mut Vec<u8>,
) -> Result<(), Unsent> {
    let put = match letter.whole {
        Some(_) => template.put_head(delivery, max, out),
        None => template.put(delivery, letter.payload, max, out),
    };
    put.map_err(|error| match error {
        EncodeError::TooLong { .. } => Unsent::TooLong,
        // None of ours can be: they were checked when they came.
        _ => Unsent::TooLong,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However little of it there is: with many workers there may be no room for a packet at all.
    #[test]
    fn no_payload_is_shared_where_memory_is_bounded() {
        let whole = Bytes::from_static(&[b'x'; SHARE_MIN]);
        let mut post = Post::default();
        assert!(post.shares(Some(&whole)).is_some());
        post.reserve(0, &Memory::new(1_000));
        assert!(post.shares(Some(&whole)).is_none());
    }
}
