//! One copy of a long payload for all who get it: a counting allocator while a message goes to forty sessions of both
//! versions, at every QoS, on two workers. In a process of its own, since it counts for all of it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use windlass::{Config, Limits, Mailbox, serve};
use windlass_hub::{Hub, HubConfig, HubWatch};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Sessions that get each message.
const RECEIVERS: u8 = 40;
/// Bytes of its payload: more than a socket takes whose peer does not read.
const LEN: usize = 8 << 20;

/// A client of this version whose session is kept, with a subscription of this QoS to `t/#`.
fn receiver(address: SocketAddr, version: u8, id: u8, qos: u8) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut connect = b"\x10\0\0\x04MQTT".to_vec();
    connect.extend([version, 0, 0, 0]);
    // For ever, where that has to be said.
    connect.extend_from_slice(if version == 5 { b"\x05\x11\xff\xff\xff\xff" } else { b"" });
    connect.extend([0, 2, b'r', b'0' + id]);
    connect[1] = connect.len() as u8 - 2;
    stream.write_all(&connect).unwrap();
    let (first, _) = packet(&mut stream);
    assert_eq!(first, 0x20);
    let subscribe = if version == 5 { &b"\x82\x09\0\x01\0\0\x03t/#"[..] } else { b"\x82\x08\0\x01\0\x03t/#" };
    stream.write_all(&[subscribe, &[qos]].concat()).unwrap();
    let (first, _) = packet(&mut stream);
    assert_eq!(first, 0x90);
    stream
}

/// The next packet: its first byte, and how many bytes are behind its head. Its body is read through a small buffer.
fn packet(stream: &mut TcpStream) -> (u8, usize) {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    let (first, mut len) = (byte[0], 0);
    for shift in [0, 7, 14, 21] {
        stream.read_exact(&mut byte).unwrap();
        len |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut buffer = [0; 4096];
    let mut left = len;
    while left > 0 {
        let n = left.min(buffer.len());
        stream.read_exact(&mut buffer[..n]).unwrap();
        left -= n;
    }
    (first, len)
}

#[test]
fn all_who_get_a_message_share_its_payload() {
    let limits = Limits { stall_timeout: Duration::ZERO, output_max: 2 * LEN, ..Limits::default() };
    let config = Config::default().workers(2).limits(limits);
    let (mailbox, watch) = (Mailbox::new(), HubWatch::new(2));
    let hub = HubConfig::default().sys_interval(Duration::ZERO).packet_max(LEN + 1024);
    let its = mailbox.clone();
    let service =
        serve(move || Hub::new(hub.clone(), &watch).spread(&its, 2)).mailbox(&mailbox).tick(Hub::TICK);
    let bound = service.movable().input_max(LEN + 1024).config(config).tcp("127.0.0.1:0").bind().unwrap();
    let (address, handle) = (bound.addresses()[0].tcp().unwrap(), bound.handle());
    let server = thread::spawn(move || bound.run().unwrap());

    let mut receivers: Vec<_> =
        (0..RECEIVERS).map(|id| receiver(address, 4 + id % 2, id, id / 2 % 3)).collect();
    let mut sender = receiver(address, 4, RECEIVERS, 0);
    sender.write_all(b"\xa2\x07\0\x02\0\x03t/#").unwrap();
    assert_eq!(packet(&mut sender).0, 0xb0);
    let body = 2 + 3 + 2 + LEN;
    let mut head = vec![0x34];
    head.extend([0, 7, 14].map(|shift| (body >> shift) as u8 | 0x80));
    head.push((body >> 21) as u8);
    head.extend(b"\0\x03t/1\0\x01");
    let message = [&head[..], &vec![b'x'; LEN]].concat();

    let region = Region::new(ALLOCATOR);
    sender.write_all(&message).unwrap();
    assert_eq!(packet(&mut sender).0, 0x50, "PUBREC");
    // Nobody has read anything yet, and most of it waits in outputs.
    let change = region.change();
    let allocated = change.bytes_allocated as isize + change.bytes_reallocated.max(0);
    for (id, stream) in receivers.iter_mut().enumerate() {
        let (first, len) = packet(stream);
        assert_eq!((first & 0xf0, len / LEN), (0x30, 1), "{id}");
        assert_eq!(first >> 1 & 3, id as u8 / 2 % 3, "its QoS");
    }
    // Its packet as it comes in, with what the buffer had before it grew, and the payload.
    assert!(allocated < 6 * LEN as isize, "{allocated} bytes for {RECEIVERS} receivers of {LEN}");
    handle.stop_now();
    server.join().unwrap();
}
