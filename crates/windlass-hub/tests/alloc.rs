//! Passing messages on allocates nothing in steady state: a counting allocator over QoS 0, 1 and 2, one by one and
//! pipelined. In a process of its own and without a test harness, since it counts for all of it.
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

fn client(address: SocketAddr, id: u8) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 1, id]).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    stream
}

fn subscribe(stream: &mut TcpStream, qos: u8) {
    stream.write_all(&[0x82, 8, 0, 1, 0, 3, b't', b'/', b'#', qos]).unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
}

/// A message of 64 bytes about `t/1`.
fn publish(qos: u8, id: u8) -> Vec<u8> {
    let mut packet = vec![0x30 | qos << 1, 0, 0, 3, b't', b'/', b'1'];
    if qos > 0 {
        packet.extend([0, id]);
    }
    packet.extend([b'x'; 64]);
    packet[1] = packet.len() as u8 - 2;
    packet
}

/// The identifier of a message of QoS 1 or 2.
fn id_of(packet: &[u8]) -> [u8; 2] {
    [packet[7], packet[8]]
}

/// `depth` messages at a time from one client to another, all of them acknowledged.
fn rounds(sender: &mut TcpStream, receiver: &mut TcpStream, qos: u8, depth: usize, n: usize) {
    let packets: Vec<u8> = (0..depth).flat_map(|id| publish(qos, id as u8 + 1)).collect();
    let len = packets.len() / depth;
    let (mut got, mut acks, mut replies) = (vec![0; packets.len()], [0; 64 * 4], [0; 64 * 4]);
    let (acks, replies) = (&mut acks[..depth * 4], &mut replies[..depth * 4]);
    for _ in 0..n {
        sender.write_all(&packets).unwrap();
        receiver.read_exact(&mut got).unwrap();
        if qos == 0 {
            continue;
        }
        sender.read_exact(replies).unwrap();
        let put = |acks: &mut [u8], kind: u8| {
            for (ack, packet) in acks.chunks_mut(4).zip(got.chunks(len)) {
                let [high, low] = id_of(packet);
                ack.copy_from_slice(&[kind, 2, high, low]);
            }
        };
        put(acks, if qos == 1 { 0x40 } else { 0x50 });
        receiver.write_all(acks).unwrap();
        if qos == 2 {
            receiver.read_exact(acks).unwrap();
            put(acks, 0x70);
            receiver.write_all(acks).unwrap();
            replies.chunks_mut(4).for_each(|ack| ack[0] = 0x62);
            sender.write_all(replies).unwrap();
            sender.read_exact(replies).unwrap();
        }
    }
    // Behind its answer every acknowledgement has been taken.
    receiver.write_all(&[0xc0, 0]).unwrap();
    receiver.read_exact(&mut [0; 2]).unwrap();
}

fn main() {
    // With a budget of memory the same, a million times: blocks of its region instead of what the engine keeps.
    for (memory, times) in [(0, 1), (8 << 20, 125)] {
        steady(memory, times);
    }
}

fn steady(memory: usize, times: usize) {
    let limits = Limits { stall_timeout: Duration::ZERO, ..Limits::default() };
    let config = Config::default().workers(1).limits(limits).memory(memory / 2);
    let (mailbox, watch) = (Mailbox::new(), HubWatch::new(1));
    let hub = HubConfig::default().sys_interval(Duration::ZERO).in_flight_max(64);
    let hub = hub.memory_max(memory / 2).packet_max(64 * 1024);
    let service = serve(move || Hub::new(hub.clone(), &watch)).mailbox(&mailbox).tick(Hub::TICK);
    let bound = service.config(config).tcp("127.0.0.1:0").bind().unwrap();
    let (address, handle) = (bound.addresses()[0].tcp().unwrap(), bound.handle());
    let server = thread::spawn(move || bound.run().unwrap());

    for qos in [0, 1, 2] {
        let (mut sender, mut receiver) = (client(address, b's'), client(address, b'r'));
        subscribe(&mut receiver, qos);
        // Of QoS 2, with its four packets, fewer do.
        let times = if qos == 2 { times.div_ceil(5) } else { times };
        for (depth, n) in [(1, 2_000), (16, 500 * times)] {
            // On a slow machine the last acknowledgements of a round may come behind the first messages of the next.
            rounds(&mut sender, &mut receiver, qos, 2 * depth, 10);
            rounds(&mut sender, &mut receiver, qos, depth, 200);
            // What is counted here is the hub's, and vectors of this client's.
            let own = Region::new(ALLOCATOR);
            rounds(&mut sender, &mut receiver, qos, depth, 0);
            let own = own.change();
            let region = Region::new(ALLOCATOR);
            rounds(&mut sender, &mut receiver, qos, depth, n);
            let change = region.change();
            let counts = [
                change.allocations - own.allocations,
                change.reallocations - own.reallocations,
                change.deallocations - own.deallocations,
            ];
            assert_eq!(counts, [0, 0, 0], "QoS {qos}, {depth} at a time, {n} rounds, {memory} bytes");
        }
    }
    handle.stop_now();
    server.join().unwrap();
}
