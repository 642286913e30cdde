//! What becomes of a message where memory is missing for a moment only.

use std::time::Duration;

use windlass::serve;
use windlass::testing::{Harness, TestPeer};
use windlass_proto::mqtt::{
    Connect, Filter, Filters, Limits, Mqtt, Packet, PacketId, Properties, PropertiesBuf, Property, Publish,
    QoS, Subscribe, SubscribeOptions, Subscription, Topic, Version,
};
use windlass_proto::{Decode, Encode, Input};

use crate::memory::{self, Memory};
use crate::service::Hub;
use crate::session::message::Publication;
use crate::{HubConfig, HubWatch};

const BOUND: usize = 100_000;

/// A hub with a bound, its numbers, and what it counts with.
fn hub() -> (Harness, HubWatch, Memory) {
    let watch = HubWatch::new(1);
    let memory = watch.totals().memory(BOUND);
    let config = HubConfig::default().packet_max(2_000).connect_max(2_000).memory_max(BOUND);
    let (its, config) = (watch.clone(), config.sys_interval(Duration::ZERO));
    let service = serve(move || Hub::new(config.clone(), &its));
    let service = service.tick(Hub::TICK).idle_timeout(Duration::ZERO).input_max(4_096);
    (Harness::new(service), watch, memory)
}

/// A client.
struct Device {
    peer: TestPeer,
    codec: Mqtt,
}

impl Device {
    /// One whose session stays.
    fn new(harness: &mut Harness, id: &str) -> Device {
        let peer = harness.connect_from([127, 0, 0, 1].into());
        let mut device = Device { peer, codec: Mqtt::client(Version::V5, Limits::default()) };
        let mut stay = PropertiesBuf::new();
        stay.push(Property::SessionExpiry(u32::MAX)).unwrap();
        let properties = stay.properties();
        device.say(harness, &Packet::Connect(Connect { properties, ..Connect::new(Version::V5, id) }));
        device.heard(harness);
        device
    }

    fn say(&mut self, harness: &mut Harness, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        self.codec.encode(packet, &mut bytes).unwrap();
        harness.send(self.peer, bytes);
    }

    /// The payloads of messages that came.
    fn heard(&mut self, harness: &mut Harness) -> Vec<String> {
        let mut bytes = harness.receive(self.peer);
        let (mut input, mut all) = (Input::new(&mut bytes), Vec::new());
        while let Some(packet) = self.codec.decode(&mut input).unwrap() {
            if let Packet::Publish(publish) = packet {
                all.push(String::from_utf8_lossy(publish.payload).into_owned());
            }
        }
        all
    }
}

/// Whoever asks the second time would find that others have given back what was missing.
#[test]
fn a_message_that_found_no_memory_does_not_wait_for_an_acknowledgement_that_nobody_owes() {
    let (mut harness, watch, memory) = hub();
    let mut one = Device::new(&mut harness, "one");
    let mut sender = Device::new(&mut harness, "sender");
    let topic = Topic::new("t").unwrap();
    let filters = [Subscription {
        filter: Filter::new("t").unwrap(),
        options: SubscribeOptions::new(QoS::AtLeastOnce),
    }];
    let (id, filters) = (PacketId::new(1).unwrap(), Filters::new(&filters));
    one.say(&mut harness, &Packet::Subscribe(Subscribe { id, properties: Properties::NONE, filters }));
    let mut publish = |harness: &mut Harness, payload: &str| {
        let publish =
            Publish { qos: QoS::AtLeastOnce, id: Some(id), ..Publish::new(topic, payload.as_bytes()) };
        sender.say(harness, &Packet::Publish(publish));
    };
    let len =
        Publication::new(topic, Properties::NONE, b"first", QoS::AtLeastOnce, false, windlass::Time::ZERO)
            .len();
    memory.lacks_once(memory::of_message(len));
    publish(&mut harness, "first");
    harness.advance(Duration::from_secs(2));
    let stats = watch.stats();
    assert_eq!(
        (stats.memory_messages_dropped, stats.queued),
        (1, 0),
        "dropped, or it would be sent: {stats:?}"
    );
    publish(&mut harness, "second");
    assert_eq!(one.heard(&mut harness), ["second"]);
}
