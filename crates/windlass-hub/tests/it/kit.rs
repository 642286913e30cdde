//! Clients of a hub in a test, and what they hear, as text.

use std::time::Duration;

use windlass::testing::{Harness, TestPeer};
use windlass::{Mailbox, Offload, serve};
use windlass_hub::{Done, Hub, HubConfig, HubStats, HubWatch, Mail};

use crate::workers::workers;
use windlass_proto::mqtt::{
    Ack, Connect, Filter, Filters, Limits, Mqtt, Names, Packet, PacketId, Properties, PropertiesBuf,
    Property, Publish, QoS, Subscribe, SubscribeOptions, Subscription, Topic, Unsubscribe, Version,
};
use windlass_proto::{Decode, Encode, Input};

pub(crate) const V3: Version = Version::V311;
pub(crate) const V5: Version = Version::V5;

/// A hub, and its clients.
pub(crate) struct Desk {
    pub(crate) harness: Harness,
    pub(crate) watch: HubWatch,
    pub(crate) mailbox: Mailbox<Mail>,
    workers: usize,
}

/// A client.
pub(crate) struct Device {
    pub(crate) peer: TestPeer,
    codec: Mqtt,
    held: Vec<u8>,
}

impl Desk {
    /// A hub that says nothing of its own.
    pub(crate) fn new(config: HubConfig) -> Desk {
        Desk::with(config, |hub| hub)
    }

    pub(crate) fn with(config: HubConfig, change: impl Fn(Hub) -> Hub + Send + Sync + 'static) -> Desk {
        Desk::keeping(config, move |hub, _, _| change(hub))
    }

    /// A hub with a journal, which `keep` gives it.
    pub(crate) fn keeping(
        config: HubConfig,
        keep: impl Fn(Hub, &Mailbox<Mail>, &Offload<Done>) -> Hub + Send + Sync + 'static,
    ) -> Desk {
        Desk::offloading(config, &Offload::default(), keep)
    }

    /// The same with a pool of its own.
    pub(crate) fn offloading(
        config: HubConfig,
        pool: &Offload<Done>,
        keep: impl Fn(Hub, &Mailbox<Mail>, &Offload<Done>) -> Hub + Send + Sync + 'static,
    ) -> Desk {
        Desk::spread(workers(), config, pool, keep)
    }

    /// The same with so many workers, whatever the tests are run with.
    pub(crate) fn spread(
        workers: usize,
        config: HubConfig,
        pool: &Offload<Done>,
        keep: impl Fn(Hub, &Mailbox<Mail>, &Offload<Done>) -> Hub + Send + Sync + 'static,
    ) -> Desk {
        let (mailbox, watch) = (Mailbox::new(), HubWatch::new(workers));
        let (its, to_itself, commits) = (watch.clone(), mailbox.clone(), pool.clone());
        let config = config.sys_interval(Duration::ZERO);
        let input_max = config.packet_max + 1024;
        let made = move || Hub::new(config.clone(), &its).spread(&to_itself, workers);
        let to_itself = mailbox.clone();
        let service = serve(move || keep(made(), &to_itself, &commits))
            .mailbox(&mailbox)
            .offload(pool)
            .tick(Hub::TICK)
            .movable()
            .workers(workers)
            .idle_timeout(Duration::ZERO)
            .input_max(input_max);
        Desk { harness: Harness::new(service), watch, mailbox, workers }
    }

    /// Tells all workers something.
    pub(crate) fn tell(&mut self, mail: impl Fn() -> Mail) {
        for worker in 0..self.workers {
            self.mailbox.send(worker, mail()).unwrap();
        }
        self.harness.settle();
    }

    /// Someone who has said nothing yet.
    pub(crate) fn stranger(&mut self, version: Version) -> Device {
        // Who is on this machine needs no name.
        self.stranger_from(version, std::net::Ipv4Addr::LOCALHOST.into())
    }

    pub(crate) fn stranger_from(&mut self, version: Version, ip: std::net::IpAddr) -> Device {
        let peer = self.harness.connect_from(ip);
        Device { peer, codec: Mqtt::client(version, Limits::default()), held: Vec::new() }
    }

    /// A client that says this, and what it is answered.
    pub(crate) fn connect(&mut self, connect: &Connect<'_>) -> (Device, String) {
        let mut device = self.stranger(connect.version);
        self.say(&mut device, &Packet::Connect(*connect));
        let heard = self.hear(&mut device);
        (device, heard.join("; "))
    }

    /// A client that starts clean, and is served.
    pub(crate) fn join(&mut self, version: Version, id: &str) -> Device {
        self.join_with(&Connect::new(version, id))
    }

    pub(crate) fn join_with(&mut self, connect: &Connect<'_>) -> Device {
        let (device, heard) = self.connect(connect);
        assert!(heard.starts_with("CONNACK Success"), "{heard}");
        device
    }

    /// A client whose session stays.
    pub(crate) fn join_for_good(&mut self, version: Version, id: &str) -> (Device, String) {
        let stay = properties(&[Property::SessionExpiry(u32::MAX)]);
        let properties = if version == V5 { stay.properties() } else { Properties::NONE };
        self.connect(&Connect { clean_start: false, properties, ..Connect::new(version, id) })
    }

    pub(crate) fn say(&mut self, device: &mut Device, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        device.codec.encode(packet, &mut bytes).expect("a packet a client may send");
        self.harness.send(device.peer, bytes);
    }

    /// Several packets at once.
    pub(crate) fn say_all(&mut self, device: &mut Device, packets: &[Packet<'_>]) {
        let mut bytes = Vec::new();
        for packet in packets {
            device.codec.encode(packet, &mut bytes).expect("a packet a client may send");
        }
        self.harness.send(device.peer, bytes);
    }

    /// What a client has heard since it was asked last.
    pub(crate) fn hear(&mut self, device: &mut Device) -> Vec<String> {
        let received = self.harness.receive(device.peer);
        device.held.extend(received);
        let mut input = Input::new(&mut device.held);
        let mut heard = Vec::new();
        while let Some(packet) = device.codec.decode(&mut input).expect("packets of a server") {
            heard.push(shown(&packet));
        }
        let left = input.len();
        device.held.drain(..device.held.len() - left);
        heard
    }

    /// Subscribes, and returns what is heard.
    pub(crate) fn subscribe(&mut self, device: &mut Device, filter: &str, qos: QoS) -> Vec<String> {
        self.subscribe_with(device, filter, SubscribeOptions::new(qos), 0)
    }

    pub(crate) fn subscribe_with(
        &mut self,
        device: &mut Device,
        filter: &str,
        options: SubscribeOptions,
        id: u32,
    ) -> Vec<String> {
        let filters = [Subscription { filter: Filter::new(filter).unwrap(), options }];
        let said = if id == 0 { properties(&[]) } else { properties(&[Property::SubscriptionId(id)]) };
        let (filters, properties) = (Filters::new(&filters), said.properties());
        self.say(device, &Packet::Subscribe(Subscribe { id: number(9), properties, filters }));
        self.hear(device)
    }

    pub(crate) fn unsubscribe(&mut self, device: &mut Device, filter: &str) -> Vec<String> {
        let filters = [Filter::new(filter).unwrap()];
        let (properties, filters) = (Properties::NONE, Names::new(&filters));
        self.say(device, &Packet::Unsubscribe(Unsubscribe { id: number(8), properties, filters }));
        self.hear(device)
    }

    pub(crate) fn publish(&mut self, device: &mut Device, topic: &str, payload: &str) {
        self.say(device, &Packet::Publish(Publish::new(Topic::new(topic).unwrap(), payload.as_bytes())));
    }

    /// Publishes with QoS 1 or 2, with this identifier, and returns what is heard.
    pub(crate) fn publish_at(
        &mut self,
        device: &mut Device,
        topic: &str,
        payload: &str,
        qos: QoS,
        id: u16,
    ) -> Vec<String> {
        let publish = Publish::new(Topic::new(topic).unwrap(), payload.as_bytes());
        self.say(device, &Packet::Publish(Publish { qos, id: Some(number(id)), ..publish }));
        self.hear(device)
    }

    pub(crate) fn retain(&mut self, device: &mut Device, topic: &str, payload: &str) {
        let publish = Publish::new(Topic::new(topic).unwrap(), payload.as_bytes());
        self.say(device, &Packet::Publish(Publish { retain: true, ..publish }));
    }

    pub(crate) fn puback(&mut self, device: &mut Device, id: u16) -> Vec<String> {
        self.say(device, &Packet::Puback(Ack::new(number(id))));
        self.hear(device)
    }

    /// Its connection breaks.
    pub(crate) fn lose(&mut self, device: &Device) {
        self.harness.reset(device.peer);
    }

    pub(crate) fn wait(&mut self, seconds: f64) {
        self.harness.advance(Duration::from_secs_f64(seconds));
    }

    pub(crate) fn stats(&mut self) -> HubStats {
        self.wait(1.1);
        self.watch.stats()
    }
}

pub(crate) fn number(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

pub(crate) fn properties(all: &[Property<'_>]) -> PropertiesBuf {
    let mut buffer = PropertiesBuf::new();
    for property in all {
        buffer.push(*property).unwrap();
    }
    buffer
}

/// A packet as text. What CONNACK says by default is left out, and reasons in words.
pub(crate) fn shown(packet: &Packet<'_>) -> String {
    let said = |properties: Properties<'_>| {
        let usual = [
            Property::TopicAliasMaximum(10),
            Property::MaximumPacketSize(2_000_000),
            Property::ReceiveMaximum(20),
        ];
        let all = properties.iter().filter(|it| !usual.contains(it));
        let all = all.filter(|it| !matches!(it, Property::ReasonString(_)));
        all.map(|it| format!(" {it:?}")).collect::<String>()
    };
    match packet {
        Packet::Connack(it) => {
            let present = if it.session_present { " present" } else { "" };
            format!("CONNACK {:?}{present}{}", it.reason, said(it.properties))
        }
        Packet::Publish(it) => {
            let mut text = format!("PUBLISH {}", it.topic.map_or("-", |topic| topic.as_str()));
            text += &format!(" \"{}\" q{}", it.payload.escape_ascii(), it.qos as u8);
            text += &it.id.map_or(String::new(), |id| format!(" #{id}"));
            text += if it.dup { " dup" } else { "" };
            text += if it.retain { " retain" } else { "" };
            text + &said(it.properties)
        }
        Packet::Puback(it) => format!("PUBACK #{} {:?}{}", it.id, it.reason, said(it.properties)),
        Packet::Pubrec(it) => format!("PUBREC #{} {:?}{}", it.id, it.reason, said(it.properties)),
        Packet::Pubrel(it) => format!("PUBREL #{} {:?}{}", it.id, it.reason, said(it.properties)),
        Packet::Pubcomp(it) => format!("PUBCOMP #{} {:?}{}", it.id, it.reason, said(it.properties)),
        Packet::Suback(it) => format!("SUBACK #{} {:?}", it.id, it.reasons.iter().collect::<Vec<_>>()),
        Packet::Unsuback(it) => format!("UNSUBACK #{} {:?}", it.id, it.reasons.iter().collect::<Vec<_>>()),
        Packet::Pingresp => "PINGRESP".into(),
        Packet::Disconnect(it) => format!("DISCONNECT {:?}{}", it.reason, said(it.properties)),
        Packet::Auth(it) => format!("AUTH {:?}{}", it.reason, said(it.properties)),
        other => format!("{other:?}"),
    }
}
