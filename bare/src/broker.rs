//! The other end of a [`Sensor`](crate::sensor::Sensor): a broker of one client and one subscription.

use core::fmt::Write;
use core::num::NonZeroU16;

use windlass_proto::mqtt::{
    Ack, Connack, Filter, Mqtt, Packet, PacketId, Properties, Publish, Reason, Reasons, Suback, Subscribe,
};
use windlass_proto::{Decode, Input, PutSlice};

use crate::peer::{Failure, Peer};
use crate::sensor::{LIMITS, heard, publish, put};

/// Of the one message that it passes on.
const DELIVERED: PacketId = NonZeroU16::MIN.saturating_add(40);

pub(crate) struct Broker {
    mqtt: Mqtt,
    /// The filter of its client: a copy, since a packet is gone once it was taken.
    filter: [u8; 32],
    filter_len: usize,
    done: bool,
}

impl Broker {
    pub(crate) const fn new() -> Broker {
        Broker { mqtt: Mqtt::server(LIMITS), filter: [0; 32], filter_len: 0, done: false }
    }

    fn filter(&self) -> Option<Filter<'_>> {
        let text = core::str::from_utf8(&self.filter[..self.filter_len]).ok()?;
        Filter::new(text).ok()
    }

    fn say(
        &mut self,
        packet: &Packet<'_>,
        out: &mut PutSlice<'_>,
        log: &mut dyn Write,
    ) -> Result<(), Failure> {
        put("broker", &mut self.mqtt, packet, out, log)
    }
}

impl Peer for Broker {
    fn opened(&mut self, _: &mut PutSlice<'_>, _: &mut dyn Write) -> Result<(), Failure> {
        Ok(())
    }

    fn received(
        &mut self,
        input: &mut Input<'_>,
        out: &mut PutSlice<'_>,
        log: &mut dyn Write,
    ) -> Result<bool, Failure> {
        let packet = self.mqtt.decode(input).map_err(|error| Failure::Protocol(error.label()))?;
        let Some(packet) = packet else { return Ok(false) };
        heard("broker", &packet, log)?;
        let (session_present, properties) = (false, Properties::NONE);
        match packet {
            Packet::Connect(_) => {
                let connack = Connack { session_present, reason: Reason::Success, properties };
                self.say(&Packet::Connack(connack), out, log)?;
            }
            Packet::Subscribe(Subscribe { id, filters, .. }) => {
                let asked = filters.iter().next().ok_or(Failure::Unexpected("no filter"))?;
                let text = asked.filter.as_str().as_bytes();
                self.filter.get_mut(..text.len()).ok_or(Failure::Room)?.copy_from_slice(text);
                self.filter_len = text.len();
                let reasons = Reasons::new(&[Reason::GrantedQos1]);
                self.say(&Packet::Suback(Suback { id, properties, reasons }), out, log)?;
            }
            Packet::Publish(Publish { topic: Some(topic), id, payload, .. }) => {
                if let Some(id) = id {
                    self.say(&Packet::Puback(Ack::new(id)), out, log)?;
                }
                if self.filter().is_some_and(|filter| filter.matches(topic)) {
                    self.say(&Packet::Publish(publish(topic.as_str(), DELIVERED, payload)?), out, log)?;
                }
            }
            Packet::Puback(ack) if ack.id == DELIVERED => {}
            Packet::Pingreq => self.say(&Packet::Pingresp, out, log)?,
            Packet::Disconnect(_) => self.done = true,
            _ => return Err(Failure::Unexpected("a packet out of turn")),
        }
        Ok(true)
    }

    fn is_done(&self) -> bool {
        self.done
    }
}
