//! What is published when a client is gone (section 3.1.2.5).

use std::sync::Arc;

use windlass::{Bytes, Time};
use windlass_proto::mqtt::{self, PropertiesBuf, QoS, Topic};

use super::message::Message;
use crate::memory::{self, Charge, Memory};

/// The will of a connection, and of its session until it is published or taken back.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Will {
    pub(crate) topic: Box<str>,
    pub(crate) properties: PropertiesBuf,
    pub(crate) payload: Bytes,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Seconds between the end of the connection and the message (section 3.1.3.2.2).
    pub(crate) delay: u32,
    /// What it is counted with.
    pub(crate) charge: Charge,
}

impl Will {
    pub(crate) fn new(will: &mqtt::Will<'_>) -> Will {
        let mut properties = PropertiesBuf::new();
        properties.extend(will.properties, |property| !matches!(property, mqtt::Property::WillDelay(_)));
        Will {
            topic: will.topic.as_str().into(),
            properties,
            payload: Bytes::copy_from_slice(will.payload),
            qos: will.qos,
            retain: will.retain,
            delay: will.properties.will_delay().unwrap_or(0),
            charge: Charge::default(),
        }
    }

    /// Bytes that one takes.
    pub(crate) fn bytes(will: &mqtt::Will<'_>) -> usize {
        let properties = will.properties.as_bytes().len();
        memory::of_message(will.topic.as_str().len() + properties + will.payload.len())
    }

    /// The same, counted.
    pub(crate) fn counted(mut self, memory: &Memory) -> Will {
        let len = self.topic.len() + self.properties.len() + self.payload.len();
        self.charge = memory.charge(memory::of_message(len));
        self
    }

    /// What it needs of a hub's memory once its client is served, beyond what it is counted with there.
    pub(crate) fn needs(&self, memory: &Memory) -> usize {
        if memory.is_coming(&self.charge) { self.charge.bytes() } else { 0 }
    }

    /// The message it is from now on: its expiry interval begins when it is published.
    pub(crate) fn message(&self, now: Time) -> Option<Arc<Message>> {
        let topic = Topic::new(&self.topic).ok()?;
        let (properties, payload) = (self.properties.properties(), self.payload.clone());
        Some(Arc::new(Message::new(topic, properties, payload, self.qos, now)))
    }
}
