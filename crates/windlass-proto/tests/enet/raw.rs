//! A stranger that writes its datagrams by hand.

use std::net::SocketAddr;

use windlass_proto::Time;
use windlass_proto::enet::{DATAGRAM_MAX, Host};

/// A CONNECT as ENet 1.3.18 sends it: 52 bytes.
pub(crate) fn connect(connect_id: u32, remote_id: u16, channels: u32) -> Vec<u8> {
    let mut bytes = vec![0x8f, 0xff, 0, 1, 0x82, 0xff, 0, 1];
    bytes.extend(remote_id.to_be_bytes());
    bytes.extend([0xff, 0xff]);
    for number in [1392, 65_536, channels, 0, 0, 5000, 2, 2, connect_id, 0] {
        bytes.extend(number.to_be_bytes());
    }
    assert_eq!(bytes.len(), 52);
    bytes
}

/// What an answer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Verify {
    pub(crate) len: usize,
    pub(crate) to_id: u16,
    pub(crate) sent_time: u16,
    pub(crate) peer: u16,
    pub(crate) session: u8,
    pub(crate) connect_id: u32,
}

/// Reads an answer; nothing if the datagram is something else.
pub(crate) fn verify(bytes: &[u8]) -> Option<Verify> {
    let u16_at = |at: usize| u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap());
    if bytes.len() != 48 || bytes[4] != 0x83 {
        return None;
    }
    Some(Verify {
        len: bytes.len(),
        to_id: u16_at(0) & 0xfff,
        sent_time: u16_at(2),
        peer: u16_at(8),
        session: bytes[11],
        connect_id: u32::from_be_bytes(bytes[44..48].try_into().unwrap()),
    })
}

/// A datagram to a peer's id, with commands behind it.
pub(crate) fn datagram(peer: u16, session: u8, sent_time: u16, commands: &[u8]) -> Vec<u8> {
    let mut bytes = (0x8000 | u16::from(session) << 12 | peer).to_be_bytes().to_vec();
    bytes.extend(sent_time.to_be_bytes());
    bytes.extend(commands);
    bytes
}

pub(crate) fn acknowledge(channel: u8, sequence: u16, sent_time: u16) -> Vec<u8> {
    let mut bytes = vec![1, channel];
    for number in [sequence, sequence, sent_time] {
        bytes.extend(number.to_be_bytes());
    }
    bytes
}

/// The proof that the answer has arrived.
pub(crate) fn proof(verify: &Verify) -> Vec<u8> {
    datagram(verify.peer, verify.session, 9, &acknowledge(0xff, 1, verify.sent_time))
}

/// Everything that a host wants to send now.
pub(crate) fn flush(host: &mut Host, now: Time) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut buf = [0; DATAGRAM_MAX];
    let mut all = Vec::new();
    while let Some((to, len)) = host.poll_transmit(now, &mut buf) {
        all.push((to, buf[..len].to_vec()));
    }
    all
}

/// Connects by hand.
pub(crate) fn join(host: &mut Host, now: Time, from: SocketAddr, channels: u32) -> Verify {
    host.receive(now, from, &connect(0x1234_5678, 3, channels));
    let answers = flush(host, now);
    let verify = verify(&answers[0].1).unwrap();
    host.receive(now, from, &proof(&verify));
    assert!(matches!(host.poll_event(), Some(windlass_proto::enet::Event::Connected { .. })));
    verify
}
