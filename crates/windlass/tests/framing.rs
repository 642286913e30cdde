//! Codecs in services: the examples that frame messages, and a switch of protocols in the middle of an
//! input, by hand at every split and under the simulated network.

#[allow(dead_code, reason = "its `main` is not called")]
#[path = "../examples/frames.rs"]
mod frames;
#[allow(dead_code, reason = "its `main` is not called")]
#[path = "../examples/protobuf.rs"]
mod protobuf;

use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use prost::Message;
use windlass::proto::framing::{LengthField, OctetCounted};
use windlass::proto::{Decode, Encode, Lines};
use windlass::sim::{self, Script, Sim};
use windlass::testing::Harness;
use windlass::{Close, Conn, Input, Service, serve};

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 2_000 };

/// Lines, until one asks for frames; and frames, until an empty one asks for lines.
enum Session {
    Lines(Lines),
    Frames(LengthField),
}

struct Switch;

impl Service for Switch {
    type Session = Session;

    fn open(&mut self, _: &mut Conn<'_>) -> Result<Session, Close> {
        Ok(Session::Lines(Lines::max(100)))
    }

    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        loop {
            match session {
                Session::Lines(lines) => {
                    let Some(line) = lines.decode(input)? else { return Ok(()) };
                    lines.encode(line, conn)?;
                    if line == b"frames" {
                        *session = Session::Frames(LengthField::le(2).max(100));
                    }
                }
                Session::Frames(frames) => {
                    let Some(message) = frames.decode(input)? else { return Ok(()) };
                    frames.encode(message, conn)?;
                    if message.is_empty() {
                        *session = Session::Lines(Lines::max(100));
                    }
                }
            }
        }
    }
}

/// Back and forth twice. What stands in a frame would end a line, and the other way round.
const DIALOGUE: &[u8] = b"hello\nframes\n\x03\x00a\nb\x01\x00\n\x00\x00a\x00\nframes\n\x00\x00bye\n";

#[test]
fn a_protocol_is_switched_in_the_middle_of_an_input() {
    for size in 1..=DIALOGUE.len() {
        let mut harness = Harness::new(serve(|| Switch));
        let peer = harness.connect();
        harness.send_split(peer, DIALOGUE, size);
        assert_eq!(harness.receive(peer), DIALOGUE, "in pieces of {size}");
    }
    for at in 0..DIALOGUE.len() {
        let mut harness = Harness::new(serve(|| Switch));
        let peer = harness.connect();
        harness.send(peer, &DIALOGUE[..at]);
        harness.send(peer, &DIALOGUE[at..]);
        assert_eq!(harness.receive(peer), DIALOGUE, "split at {at}");
    }
}

#[test]
fn the_other_protocol_has_limits_of_its_own() {
    let mut harness = Harness::new(serve(|| Switch));
    let peer = harness.connect();
    harness.send(peer, b"frames\n\xff\xff");
    assert_eq!(harness.receive(peer), b"frames\n");
    assert_eq!(harness.why(peer), Some("protocol"));
    assert_eq!(harness.why_in_words(peer).as_deref(), Some("frame longer than 100 bytes"));
}

fn switching(sim: &mut Sim) {
    let clients = 1 + sim.rng().below(8) as usize;
    sim.service(|| Switch).clients(clients, |rng| {
        (0..1 + rng.below(5)).fold(Script::new(), |script, _| {
            let at = rng.below(DIALOGUE.len() as u64) as usize;
            script.send(&DIALOGUE[..at]).send(&DIALOGUE[at..]).expect(DIALOGUE)
        })
    });
}

#[test]
fn a_protocol_is_switched_under_the_simulator() {
    sim::check("switching", 0..SEEDS, switching);
}

#[test]
fn the_frames_example_reverses_messages() {
    let mut harness = Harness::new(serve(|| frames::Reverse));
    let peer = harness.connect();
    harness.send_split(peer, b"\0\0\0\x05hello\0\0\0\0\0\0\0\x02ab", 3);
    assert_eq!(harness.receive(peer), b"\0\0\0\x05olleh\0\0\0\0\0\0\0\x02ba");
    harness.send(peer, b"\xff\xff\xff\xff");
    assert_eq!(harness.why(peer), Some("protocol"));
}

#[test]
fn the_protobuf_example_sums_up() {
    let mut harness = Harness::new(serve(protobuf::Sensors::default));
    let peer = harness.connect();
    let values = [1.0, 4.0, -2.0];
    let sent: Vec<u8> = values
        .iter()
        .flat_map(|&value| {
            // By prost's own framing, which is that of the official libraries.
            protobuf::Reading { sensor: "s".repeat(200), value }.encode_length_delimited_to_vec()
        })
        .collect();
    harness.send_split(peer, &sent, 7);
    let received = harness.receive(peer);
    let mut replies = &received[..];
    for (readings, mean) in [(1, 1.0), (2, 2.5), (3, 1.0)] {
        let summary = protobuf::Summary::decode_length_delimited(&mut replies).unwrap();
        assert_eq!(summary, protobuf::Summary { readings, mean });
    }
    assert!(replies.is_empty());
    harness.send(peer, b"\x01\xff");
    assert_eq!(harness.why(peer), Some("protocol"));
}

fn readings(sim: &mut Sim) {
    let clients = 1 + sim.rng().below(8) as usize;
    sim.service(protobuf::Sensors::default).clients(clients, |rng| {
        (1..=1 + rng.below(5)).fold(Script::new(), |script, readings| {
            let reading = protobuf::Reading { sensor: "s".repeat(rng.below(200) as usize), value: 2.0 };
            let summary = protobuf::Summary { readings, mean: 2.0 };
            let (sent, reply) =
                (reading.encode_length_delimited_to_vec(), summary.encode_length_delimited_to_vec());
            script.send(sent).expect(reply)
        })
    });
}

#[test]
fn readings_are_summed_up_under_the_simulator() {
    sim::check("readings", 0..SEEDS, readings);
}

/// Passes syslog messages on to the test.
struct Syslog(mpsc::Sender<Vec<u8>>);

impl Service for Syslog {
    type Session = OctetCounted;

    fn open(&mut self, _: &mut Conn<'_>) -> Result<OctetCounted, Close> {
        Ok(OctetCounted::max(8192))
    }

    fn data(
        &mut self,
        _: &mut Conn<'_>,
        frames: &mut OctetCounted,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        while let Some(message) = frames.decode(input)? {
            self.0.send(message.to_vec()).expect("the test listens");
        }
        Ok(())
    }
}

/// util-linux's `logger`, which frames its messages as RFC 6587 has it.
#[test]
fn logger_sends_octet_counted_messages() {
    let version = Command::new("logger").arg("--version").output();
    if !version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("util-linux")) {
        println!("SKIPPED: no `logger` of util-linux (bsdutils): octet counting was not tried with it");
        return;
    }
    let (sender, messages) = mpsc::channel();
    let bound = serve(move || Syslog(sender.clone())).workers(1).tcp("127.0.0.1:0").bind().unwrap();
    let (addr, handle) = (bound.addresses()[0].tcp().unwrap(), bound.handle());
    let server = thread::spawn(move || bound.run().unwrap());
    let sent = ["one", "two words", "three more words"];
    let port = addr.port().to_string();
    let to = ["--server", "127.0.0.1", "--port", &port, "--tcp", "--octet-count", "--rfc5424"];
    for text in sent {
        let status = Command::new("logger").args(to).args(["--", text]).status().unwrap();
        assert!(status.success(), "{status}");
    }
    // Each came on a connection of its own.
    let mut left = sent.to_vec();
    while !left.is_empty() {
        let message = messages.recv_timeout(Duration::from_secs(30)).expect("every message arrives");
        let message = String::from_utf8(message).unwrap();
        let at = left.iter().position(|text| message.trim_end().ends_with(&format!(" {text}")));
        assert!(message.starts_with("<13>1 "), "{message:?}");
        left.remove(at.unwrap_or_else(|| panic!("{message:?} was not sent")));
    }
    handle.stop_now();
    server.join().unwrap();
}
