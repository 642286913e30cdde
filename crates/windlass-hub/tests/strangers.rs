//! Who has not said CONNECT yet costs no more than what it has said: a counting allocator over a thousand strangers. In a
//! process of its own, since it counts for all of it.

use std::alloc::System;
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use windlass::testing::{Harness, TestPeer};
use windlass::{Mailbox, serve};
use windlass_hub::{Hub, HubConfig, HubWatch};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const STRANGERS: usize = 1_000;

/// What is held per stranger, behind what it holds that has said nothing.
fn cost(harness: &mut Harness, peers: &[TestPeer], said: &[u8]) -> usize {
    let region = Region::new(ALLOCATOR);
    for peer in peers {
        harness.send(*peer, said);
        harness.settle();
    }
    let change = region.change();
    change.bytes_allocated.saturating_sub(change.bytes_deallocated) / peers.len()
}

#[test]
fn a_stranger_costs_no_more_than_it_has_said() {
    // The beginning of a CONNECT of almost 16 KiB, which it may be, and of a request.
    let long = b"\x10\xf0\x7f\0\x04MQTT\x04\x02\0\x3c\x3f\xe0";
    let websocket = b"GET /mqtt HTTP/1.1\r\nHost: hub\r\n";
    let publishes = b"POST /publish/a HTTP/1.1\r\nHost: hub\r\n";
    for said in [&long[..2], long, websocket, publishes] {
        let (mailbox, watch) = (Mailbox::new(), HubWatch::new(1));
        let config = HubConfig::default().sys_interval(Duration::ZERO);
        let input_max = config.packet_max + 1024;
        let service = serve(move || Hub::new(config.clone(), &watch))
            .mailbox(&mailbox)
            .tick(Hub::TICK)
            .idle_timeout(Duration::ZERO)
            .input_max(input_max);
        let mut harness = Harness::new(service);
        let peers: Vec<TestPeer> = (0..STRANGERS).map(|_| harness.connect()).collect();
        harness.settle();
        let held = cost(&mut harness, &peers, said);
        assert!(held <= 1024, "{held} bytes for {}", said.escape_ascii());
    }
    what_is_no_connect_is_not_held();
}

/// And what is no CONNECT is not held at all, however much of it comes: the connection ends with what shows it.
fn what_is_no_connect_is_not_held() {
    let (mailbox, watch) = (Mailbox::new(), HubWatch::new(1));
    let config = HubConfig::default().sys_interval(Duration::ZERO);
    let service = serve(move || Hub::new(config.clone(), &watch)).mailbox(&mailbox).tick(Hub::TICK);
    let mut harness = Harness::new(service.input_max(2 << 20));
    for said in [&b"\x30\xff\xff\x7f"[..], b"\x10\xff\xff\x7f", b"HELO hub\r\n", b"\0\0\0\0"] {
        let peers: Vec<TestPeer> = (0..100).map(|_| harness.connect()).collect();
        let held = cost(&mut harness, &peers, said);
        assert!(held <= 1024, "{held} bytes for {}", said.escape_ascii());
        for peer in peers {
            assert_eq!(harness.why(peer), Some("protocol"), "{}", said.escape_ascii());
        }
    }
}
