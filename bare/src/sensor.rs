//! A device that speaks MQTT 5: it wants to know what becomes of a valve, and says how wet the soil is.

use core::fmt::Write;
use core::num::NonZeroU16;

use windlass_proto::mqtt::{
    Ack, Connect, Disconnect, Filter, Filters, Limits, Mqtt, Packet, PacketId, Properties, Property, Publish,
    QoS, Reason, Subscribe, SubscribeOptions, Subscription, Topic, Version,
};
use windlass_proto::{Decode, Encode, Input, PutSlice};

use crate::peer::{Failure, Hex, Peer};

/// No more than there is memory for.
pub(crate) const LIMITS: Limits =
    Limits { packet_max: 256, connect_max: 256, topic_levels_max: 8, user_properties_max: 4 };

const SUBSCRIBED: PacketId = NonZeroU16::MIN;
const OPENED: PacketId = NonZeroU16::MIN.saturating_add(1);

pub(crate) struct Sensor {
    mqtt: Mqtt,
    done: bool,
}

impl Sensor {
    pub(crate) const fn new() -> Sensor {
        Sensor { mqtt: Mqtt::client(Version::V5, LIMITS), done: false }
    }

    fn say(
        &mut self,
        packet: &Packet<'_>,
        out: &mut PutSlice<'_>,
        log: &mut dyn Write,
    ) -> Result<(), Failure> {
        put("sensor", &mut self.mqtt, packet, out, log)
    }
}

/// Puts one packet, and writes down its bytes.
pub(crate) fn put(
    who: &str,
    mqtt: &mut Mqtt,
    packet: &Packet<'_>,
    out: &mut PutSlice<'_>,
    log: &mut dyn Write,
) -> Result<(), Failure> {
    let before = out.wanted();
    mqtt.encode(packet, out)?;
    let bytes = out.whole().and_then(|all| all.get(before..)).ok_or(Failure::Room)?;
    writeln!(log, "{who} sends {}:{}", packet.kind().name(), Hex(bytes))?;
    Ok(())
}

/// Writes down one packet that came.
pub(crate) fn heard(who: &str, packet: &Packet<'_>, log: &mut dyn Write) -> Result<(), Failure> {
    let name = packet.kind().name();
    match packet {
        Packet::Connect(Connect { client_id, keep_alive, .. }) => {
            writeln!(log, "{who} hears {name}: {client_id}, every {keep_alive} s")?;
        }
        Packet::Subscribe(Subscribe { filters, .. }) => {
            filters.iter().try_for_each(|it| writeln!(log, "{who} hears {name}: {}", it.filter.as_str()))?;
        }
        Packet::Publish(Publish { topic, payload, .. }) => {
            let topic = topic.map_or("", |topic| topic.as_str());
            let payload = core::str::from_utf8(payload).map_err(|_| Failure::Unexpected("no text"))?;
            writeln!(log, "{who} hears {name}: {topic} is {payload}")?;
        }
        _ => writeln!(log, "{who} hears {name}")?,
    }
    Ok(())
}

/// A message of QoS 1.
pub(crate) fn publish<'b>(topic: &'b str, id: PacketId, payload: &'b [u8]) -> Result<Publish<'b>, Failure> {
    let topic = Topic::new(topic).map_err(|_| Failure::Unexpected("no topic"))?;
    Ok(Publish { qos: QoS::AtLeastOnce, id: Some(id), ..Publish::new(topic, payload) })
}

impl Peer for Sensor {
    fn opened(&mut self, out: &mut PutSlice<'_>, log: &mut dyn Write) -> Result<(), Failure> {
        let mut memory = [0; 16];
        let mut properties = PutSlice::new(&mut memory);
        Property::SessionExpiry(3600).encode(&mut properties)?;
        Property::ReceiveMaximum(4).encode(&mut properties)?;
        let properties = Properties::encoded(properties.whole().ok_or(Failure::Room)?)?;
        let connect = Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive: 30,
            client_id: "sensor-7",
            will: None,
            user_name: None,
            password: None,
            properties,
        };
        self.say(&Packet::Connect(connect), out, log)
    }

    fn received(
        &mut self,
        input: &mut Input<'_>,
        out: &mut PutSlice<'_>,
        log: &mut dyn Write,
    ) -> Result<bool, Failure> {
        let packet = self.mqtt.decode(input).map_err(|error| Failure::Protocol(error.label()))?;
        let Some(packet) = packet else { return Ok(false) };
        heard("sensor", &packet, log)?;
        match packet {
            Packet::Connack(connack) if connack.reason == Reason::Success => {
                let filter = Filter::new("garden/+/valve").map_err(|_| Failure::Unexpected("no filter"))?;
                let filters = [Subscription { filter, options: SubscribeOptions::new(QoS::AtLeastOnce) }];
                let (id, properties) = (SUBSCRIBED, Properties::NONE);
                self.say(
                    &Packet::Subscribe(Subscribe { id, properties, filters: Filters::new(&filters) }),
                    out,
                    log,
                )?;
            }
            Packet::Suback(suback) if suback.id == SUBSCRIBED => {
                if !suback.reasons.iter().eq([Reason::GrantedQos1]) {
                    return Err(Failure::Unexpected("another grant"));
                }
                let soil = Topic::new("garden/7/soil").map_err(|_| Failure::Unexpected("no topic"))?;
                self.say(&Packet::Publish(Publish::new(soil, "31 % wet".as_bytes())), out, log)?;
                // To itself, by way of the broker.
                self.say(&Packet::Publish(publish("garden/7/valve", OPENED, b"open")?), out, log)?;
            }
            Packet::Puback(ack) if ack.id == OPENED => {}
            Packet::Publish(Publish { topic: Some(topic), payload: b"open", id: Some(id), .. })
                if topic.as_str() == "garden/7/valve" =>
            {
                self.say(&Packet::Puback(Ack::new(id)), out, log)?;
                self.say(&Packet::Pingreq, out, log)?;
            }
            Packet::Pingresp => {
                self.say(&Packet::Disconnect(Disconnect::new(Reason::Success)), out, log)?;
                self.done = true;
            }
            _ => return Err(Failure::Unexpected("a packet out of turn")),
        }
        Ok(true)
    }

    fn is_done(&self) -> bool {
        self.done
    }
}
