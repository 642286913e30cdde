//! The hub besieged.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Besieged, CLIENTS, counted};
use crate::little::{eventually, stuff};

/// For how many seconds sessions of those stay who are not there any more.
const STAYS: u32 = 2;

const SERVICE: &str = "[[hub]]\nlisten = [\"127.0.0.1:0\"]\n";

/// A packet with this behind its first byte and its length.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut len = body.len();
    while len > 127 {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes.extend(body);
    bytes
}

fn text(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text].concat()
}

/// CONNECT of version 5 of a session that stays for so many seconds; without a start of its own.
fn connect(id: &str, stays: u32) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x05\0\0\0\x05\x11".to_vec();
    body.extend(stays.to_be_bytes());
    body.extend(text(id.as_bytes()));
    packet(0x10, &body)
}

/// The same with a long will.
fn with_will(id: &str) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x05\x26\0\0\0".to_vec();
    body.extend(text(id.as_bytes()));
    body.push(0);
    body.extend([text(b"will"), text(&[b'w'; 4_000])].concat());
    packet(0x10, &body)
}

/// QoS 1, without properties.
fn subscribe(filter: &[u8]) -> Vec<u8> {
    packet(0x82, &[&[0, 1, 0], &*text(filter), &[1]].concat())
}

fn publish(flags: u8, topic: &[u8], id: Option<u8>, payload: &[u8]) -> Vec<u8> {
    let id = id.map_or(Vec::new(), |id| vec![0, id]);
    packet(0x30 | flags, &[&*text(topic), &id, &[0], payload].concat())
}

/// First byte and body of the next packet.
fn heard(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    let first = byte[0];
    let (mut len, mut shift) = (0, 0);
    loop {
        stream.read_exact(&mut byte).ok()?;
        len |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).ok()?;
    Some((first, body))
}

/// A client that is honest, and ready for whatever comes.
struct Honest(Option<TcpStream>);

impl Honest {
    /// What CONNACK says, and a SUBACK if it asks for its topic.
    fn join(besieged: &Besieged, id: &str, topic: Option<&[u8]>) -> Honest {
        let Some(mut stream) = besieged.connect(0) else { return Honest(None) };
        let packets = [connect(id, 0), topic.map_or(Vec::new(), subscribe)].concat();
        if stream.write_all(&packets).is_err() {
            return Honest(None);
        }
        let is_in = heard(&mut stream).is_some_and(|(first, body)| (first, body[1]) == (0x20, 0));
        let is_heard = topic.is_none() || heard(&mut stream).is_some_and(|(first, _)| first == 0x90);
        Honest((is_in && is_heard).then_some(stream))
    }

    /// Publishes with QoS 1; the reason of what it hears.
    fn publish(&mut self, topic: &[u8], payload: &[u8]) -> Option<u8> {
        self.publish_with(2, topic, payload)
    }

    fn publish_with(&mut self, flags: u8, topic: &[u8], payload: &[u8]) -> Option<u8> {
        let stream = self.0.as_mut()?;
        stream.write_all(&publish(flags, topic, Some(1), payload)).ok()?;
        let (first, body) = heard(stream)?;
        assert_eq!(first, 0x40, "a PUBACK: {body:?}");
        Some(body.get(2).copied().unwrap_or(0))
    }

    /// The payload of the next message, which is acknowledged.
    fn next(&mut self) -> Option<Vec<u8>> {
        let stream = self.0.as_mut()?;
        let (first, body) = heard(stream)?;
        assert_eq!(first & 0xf6, 0x32, "a message of QoS 1: {body:?}");
        let at = 2 + usize::from(body[1]);
        stream.write_all(&packet(0x40, &body[at..at + 2])).ok()?;
        Some(body[at + 3..].to_vec())
    }
}

/// What one says the other hears.
fn is_passed_on(from: &mut Honest, to: &mut Honest, payload: &[u8]) -> bool {
    from.publish(b"honest", payload) == Some(0) && to.next().is_some_and(|heard| heard == payload)
}

/// Anew.
fn are_served_again(besieged: &Besieged) -> Option<()> {
    let mut from = Honest::join(besieged, "from", None);
    let mut to = Honest::join(besieged, "to", Some(b"honest"));
    is_passed_on(&mut from, &mut to, b"again").then_some(())
}

#[test]
#[ignore = "a siege takes some seconds: `.ci/run features`"]
fn five_hundred_devices_that_misbehave_end_nothing_but_themselves() {
    let mut besieged = Besieged::start("hub", "true", SERVICE, 1);
    let mut from = Honest::join(&besieged, "from", None);
    let mut to = Honest::join(&besieged, "to", Some(b"honest"));
    assert!(is_passed_on(&mut from, &mut to, b"hello"));
    let mut devices = Vec::new();
    for n in 0..CLIENTS {
        let mut stream = besieged.deaf(0);
        let id = format!("bad {n}");
        // Half of the sessions stay for a while, and whatever comes is not read.
        let _ = stream.write_all(&connect(&id, STAYS * (n as u32 % 2)));
        match n % 10 {
            // Nothing that is MQTT.
            0 => drop(stream.write_all(&[0xff; 200])),
            // The beginning of a packet that never ends.
            1 => drop(stream.write_all(&[0x32, 0xff, 0xff, 0x7f, 0, 1, b't', 0, 1])),
            // More than may be promised.
            2 => drop(stream.write_all(&[0x32, 0xff, 0xff, 0xff, 0x7f, 0, 1, b't'])),
            // A CONNECT that is not whole, of somebody else.
            3 => {
                stream = besieged.deaf(0);
                drop(stream.write_all(&with_will(&id)[..3_000]));
            }
            // Wills, which are published when they go.
            4 => {
                stream = besieged.deaf(0);
                drop(stream.write_all(&with_will(&id)));
            }
            // All that is published.
            _ => drop(stream.write_all(&subscribe(b"bad/#"))),
        }
        devices.push(stream);
    }
    let mut refused = 0;
    for round in 0..20_u8 {
        for (n, device) in devices.iter_mut().enumerate() {
            let of_round = |what: &str| format!("bad/{what}/{round}/{n}").into_bytes();
            match n % 10 {
                5 | 6 => {
                    stuff(device, &publish(1, &of_round("retained"), None, &[b'x'; 1_200]));
                }
                7 => {
                    let filter = [&*of_round("filter"), &b"/level/+".repeat(20)].concat();
                    stuff(device, &subscribe(&filter));
                }
                8 => {
                    stuff(device, &publish(2, &of_round("message"), Some(9), &[b'x'; 1_200]));
                }
                // Comes again, and again, each time as another.
                9 => {
                    *device = besieged.deaf(0);
                    let id = format!("another {round} {n}");
                    let _ = device.write_all(&connect(&id, STAYS * (n as u32 / 10 % 2)));
                }
                _ => {}
            }
        }
        besieged.holds(&format!("round {round}"));
        match from.publish(b"honest", &[round]) {
            Some(0) => {
                assert_eq!(to.next(), Some(vec![round]), "what was taken comes: {:?}", besieged.page())
            }
            // Over quota: told so, and not ended.
            Some(reason) => {
                assert_eq!(reason, 0x97, "round {round}");
                refused += 1;
            }
            None => panic!("round {round}: who is honest was ended: {:?}", besieged.page()),
        }
    }
    assert!(refused < 20, "who is honest is served");
    drop(devices);
    // Once nothing is left of their sessions.
    eventually("others are served again", || are_served_again(&besieged));
    // Whose room ended first, the hub's or the server's around it, depends on who was faster. One more, who would have it
    // retain everything, is told when there is none left.
    let mut last = Honest::join(&besieged, "last", None);
    let retain = |n: u32| last.publish_with(3, format!("retained/{n}").as_bytes(), &[b'x'; 1_200]);
    // Taken, with nobody there who hears it.
    let told = (0..10_000).map(retain).find(|&reason| reason != Some(0x10));
    assert_eq!(told, Some(Some(0x97)));
    // A hub tells its numbers from time to time.
    let refused = |page: &str| {
        counted(page, "windlass_hub_memory_refused_total", "")
            + counted(page, "windlass_hub_denied_total", "what=\"retain\"")
    };
    eventually("it says what it shed", || {
        besieged.page().is_none_or(|page| refused(&page) > 0).then_some(())
    });
    if let Some(page) = besieged.page() {
        let kept = counted(&page, "windlass_hub_memory_bytes", "");
        // What is told of those who subscribe while it is full is counted all the same.
        assert!(kept <= (4 << 20) * 17 / 16, "{kept}");
        assert!(counted(&page, "windlass_connections_closed_total", "reason=\"protocol\"") > 0, "{page}");
    }
    besieged.held();
}

#[test]
#[ignore = "a siege takes some seconds: `.ci/run features`"]
fn a_hub_without_descriptors_sheds_and_goes_on() {
    let mut besieged = Besieged::start("hub-descriptors", "ulimit -n 64", SERVICE, 1);
    let mut from = Honest::join(&besieged, "from", None);
    let mut to = Honest::join(&besieged, "to", Some(b"honest"));
    for round in 0..3 {
        let mut many: Vec<TcpStream> = (0..CLIENTS).map(|_| besieged.deaf(0)).collect();
        for (n, stream) in many.iter_mut().enumerate() {
            stuff(stream, &connect(&format!("bad {round} {n}"), STAYS));
        }
        besieged.holds(&format!("round {round}"));
        assert!(is_passed_on(&mut from, &mut to, b"still here"), "round {round}");
    }
    eventually("others are served again", || are_served_again(&besieged));
    if let Some(page) = besieged.page() {
        let shed = counted(&page, "windlass_newcomers_refused_total", "reason=\"full\"");
        assert!(shed > CLIENTS as u64, "it says what it shed: {page}");
    }
    besieged.held();
}
