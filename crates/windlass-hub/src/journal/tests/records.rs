//! Each record is what was written, at no cut another one, and garbage is none.

use windlass_proto::mqtt::QoS;
use windlass_proto::testing::Rng;

use crate::journal::*;

fn samples() -> Vec<Record<'static>> {
    let body = Body {
        topic: "a/ü/c",
        payload: b"some \0 bytes",
        properties: b"\x01\x01",
        qos: QoS::ExactlyOnce,
        retain: true,
        expires_at_ms: u64::MAX,
        publisher: 1 << 40,
    };
    let bare = Body { topic: "t", ..Body::default() };
    let how =
        How { qos: QoS::AtLeastOnce, retain: true, ids: Ids::new(&[0, 1, 127, 128, 268_435_455, u32::MAX]) };
    let (session, message) = (1 << 33, u64::MAX);
    vec![
        Record::Opened { session, client_id: "client", user: "", level: 5, expiry_s: u32::MAX },
        Record::Opened { session: 1, client_id: "", user: "u", level: 4, expiry_s: 0 },
        Record::Closed { session },
        Record::Connected { session, level: 4, expiry_s: 3600 },
        Record::Disconnected { session, at_ms: 1_800_000_000_000, expiry_s: 1 },
        Record::Subscribed { session, filter: "$share/g/+/#", options: 0x2d, id: 268_435_455 },
        Record::Unsubscribed { session, filter: "+/#" },
        Record::Message { message, body },
        Record::Message { message: 0, body: bare },
        Record::Queued { session, message, how },
        Record::Queued { session, message, how: How::default() },
        Record::Sent { session, message, packet: 65_535, how },
        Record::Dropped { session, message },
        Record::Released { session, packet: 1 },
        Record::Done { session, packet: 128 },
        Record::Received { session, packet: 65_535 },
        Record::ReceivedDone { session, packet: 65_535 },
        Record::Retained { version: 9, body },
        Record::RetainedGone { version: 10, topic: "a/ü/c" },
        Record::Will { session, delay_s: 5, body },
        Record::WillGone { session },
        Record::Posted {
            number: 1 << 50,
            message,
            way: Way { from: 1, to: 1023 },
            workers: 1024,
            retain: true,
            routed: true,
            groups: Groups::new(&["$share/g/+/#", "$share/h/a"]),
        },
        Record::Posted {
            number: 1,
            message: 2,
            way: Way { from: 0, to: 1 },
            workers: 2,
            retain: false,
            routed: false,
            groups: Groups::NONE,
        },
        Record::Taken { number: u64::MAX, way: Way { from: u16::MAX, to: 0 } },
    ]
}

fn encoded(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

#[test]
fn records_are_read_as_they_were_written() {
    let all: Vec<u8> = samples().iter().flat_map(encoded).collect();
    let mut rest = &all[..];
    for record in samples() {
        assert_eq!(Record::decode(&mut rest), Ok(record));
    }
    assert!(rest.is_empty());
}

#[test]
fn a_record_cut_off_at_any_byte_is_none() {
    for record in samples() {
        let bytes = encoded(&record);
        for cut in 0..bytes.len() {
            let mut rest = &bytes[..cut];
            assert_eq!(Record::decode(&mut rest), Err(RecordError::Short), "{record:?} at {cut}");
            assert_eq!(rest.len(), cut, "nothing is taken of what is no record");
        }
    }
}

#[test]
fn what_is_read_is_what_would_be_written() {
    // Whatever a byte is changed to: no panic, and nothing that has two encodings.
    for record in samples() {
        let bytes = encoded(&record);
        for at in 0..bytes.len() {
            for flip in 1..=255 {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                let mut rest = &changed[..];
                if let Ok(record) = Record::decode(&mut rest) {
                    let taken = changed.len() - rest.len();
                    assert_eq!(canonical(&record), encoded(&record));
                    // Flags may say that something follows which is empty, and then it is left out.
                    assert!(encoded(&record).len() <= taken, "{record:?}");
                }
            }
        }
    }
}

/// What is read of what is written of it.
fn canonical(record: &Record<'_>) -> Vec<u8> {
    let bytes = encoded(record);
    let again = Record::decode(&mut &bytes[..]).expect("it was written");
    assert_eq!(again, *record);
    encoded(&again)
}

#[test]
fn garbage_is_no_panic() {
    let mut rng = Rng::new(1);
    for _ in 0..20_000 {
        let mut bytes = vec![0; rng.below(60) as usize];
        rng.fill(&mut bytes);
        if let Some(first) = bytes.first_mut() {
            *first %= 22;
        }
        let mut rest = &bytes[..];
        while Record::decode(&mut rest).is_ok() && !rest.is_empty() {}
    }
}

#[test]
fn what_is_wrong_with_a_record_is_said() {
    let decode = |mut bytes: &[u8]| Record::decode(&mut bytes).unwrap_err();
    assert_eq!(decode(&[99, 1]), RecordError::Kind(99));
    assert_eq!(decode(&[0, 1]), RecordError::Kind(0));
    // A number in more bytes than it needs, and one of more than 64 bits.
    assert_eq!(decode(&[2, 0x81, 0]), RecordError::Number);
    assert_eq!(decode(&[2, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2]), RecordError::Number);
    // A packet identifier of more than 16 bits.
    assert_eq!(decode(&[12, 1, 0x80, 0x80, 4]), RecordError::Number);
    assert_eq!(decode(&[6, 1, 1, 0xff]), RecordError::Text);
    assert_eq!(decode(&[8, 1, 1, 3]), RecordError::Flags);
    assert_eq!(decode(&[8, 1, 1, 0x80]), RecordError::Flags);
    // Lengths that nothing can have.
    assert_eq!(decode(&[6, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]), RecordError::Short);
}

#[test]
fn payloads_are_not_shown() {
    let text = format!("{:?}", samples());
    assert!(text.contains("12 bytes") && !text.contains("some"), "{text}");
}
