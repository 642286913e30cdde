//! What a connected peer may send that no ENet would: nothing of it does harm.

use std::net::SocketAddr;

use windlass_proto::Time;
use windlass_proto::enet::{Config, Event, Host};
use windlass_proto::testing::Rng;

use crate::net::MS;
use crate::raw::{Verify, acknowledge, datagram, flush, join};

struct Raw {
    host: Host,
    from: SocketAddr,
    now: Time,
    verify: Verify,
}

impl Raw {
    fn new(config: Config) -> Raw {
        let mut host = Host::new(config, [1; 16]);
        let now = Time::ZERO + MS * 1000;
        let from = "10.9.9.9:9".parse().unwrap();
        let verify = join(&mut host, now, from, 4);
        Raw { host, from, now, verify }
    }

    fn says(&mut self, commands: &[u8]) {
        let bytes = datagram(self.verify.peer, self.verify.session, 9, commands);
        self.host.receive(self.now, self.from, &bytes);
    }

    fn hears(&mut self) -> Vec<u8> {
        flush(&mut self.host, self.now).into_iter().flat_map(|sent| sent.1).collect()
    }

    fn waiting(&self) -> usize {
        let peer = self.host.peers().next().unwrap();
        self.host.stats(peer).unwrap().waiting_bytes
    }

    fn messages(&mut self) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        while let Some(event) = self.host.poll_event() {
            match event {
                Event::Message { bytes, .. } => messages.push(bytes),
                other => panic!("{other:?}"),
            }
        }
        messages
    }
}

fn reliable(channel: u8, sequence: u16, bytes: &[u8]) -> Vec<u8> {
    let mut command = vec![0x86, channel];
    command.extend(sequence.to_be_bytes());
    command.extend((bytes.len() as u16).to_be_bytes());
    command.extend(bytes);
    command
}

fn unreliable(channel: u8, sequence: u16, own: u16, bytes: &[u8]) -> Vec<u8> {
    let mut command = vec![7, channel];
    command.extend(sequence.to_be_bytes());
    command.extend(own.to_be_bytes());
    command.extend((bytes.len() as u16).to_be_bytes());
    command.extend(bytes);
    command
}

/// `numbers`: count, number, total, offset.
fn fragment(kind: u8, sequence: u16, start: u16, numbers: [u32; 4], bytes: &[u8]) -> Vec<u8> {
    let mut command = vec![kind, 0];
    command.extend(sequence.to_be_bytes());
    command.extend(start.to_be_bytes());
    command.extend((bytes.len() as u16).to_be_bytes());
    for number in numbers {
        command.extend(number.to_be_bytes());
    }
    command.extend(bytes);
    command
}

const RELIABLE: u8 = 0x88;
const UNRELIABLE: u8 = 12;

#[test]
fn impossible_fragments_are_dropped_and_not_acknowledged() {
    let bad: [(u16, u16, [u32; 4], &[u8]); 13] = [
        (1, 1, [0, 0, 10, 0], b"ab"),             // no fragments
        (1, 1, [2, 2, 10, 0], b"ab"),             // behind the last
        (4, 1, [2, 3, 10, 0], b"ab"),             // far behind it
        (1, 1, [2, 0, 1, 0], b"a"),               // more fragments than bytes
        (1, 1, [2, 0, 0, 0], b""),                // nothing at all
        (1, 1, [2, 0, 10, 0], b""),               // an empty one
        (1, 1, [2, 0, 10, 10], b"ab"),            // at the end
        (1, 1, [2, 0, 10, 9], b"ab"),             // over the end
        (1, 1, [2, 0, 10, u32::MAX], b"ab"),      // far over it
        (1, 1, [2, 0, 256 * 1024 + 1, 0], b"ab"), // too long a message
        (1, 1, [2, 0, u32::MAX, 0], b"ab"),       // very much too long
        (1, 1, [u32::MAX, 0, 200_000, 0], b"ab"), // too many fragments
        (9, 1, [2, 1, 10, 5], b"ab"),             // a number that is not this fragment's
    ];
    for (sequence, start, numbers, bytes) in bad {
        for kind in [RELIABLE, UNRELIABLE] {
            if kind == UNRELIABLE && (sequence != 1 || start != 1) {
                continue;
            }
            let mut raw = Raw::new(Config::default());
            let sequence = if kind == UNRELIABLE { 0 } else { sequence };
            raw.says(&fragment(kind, sequence, start, numbers, bytes));
            assert_eq!(raw.host.counters().dropped_commands, 1, "{kind} {numbers:?}");
            assert_eq!((raw.waiting(), raw.messages()), (0, vec![]));
            assert_eq!(raw.hears(), []);
        }
    }
}

#[test]
fn fragments_that_disagree_are_dropped() {
    let mut raw = Raw::new(Config::default());
    raw.says(&fragment(RELIABLE, 1, 1, [3, 0, 30, 0], &[1; 10]));
    raw.says(&fragment(RELIABLE, 2, 1, [2, 1, 30, 10], &[9; 10]));
    raw.says(&fragment(RELIABLE, 2, 1, [3, 1, 31, 10], &[9; 10]));
    raw.says(&reliable(0, 1, b"instead"));
    assert_eq!(raw.host.counters().dropped_commands, 2);
    raw.says(&fragment(RELIABLE, 2, 1, [3, 1, 30, 10], &[2; 10]));
    raw.says(&fragment(RELIABLE, 2, 1, [3, 1, 30, 10], &[9; 10]));
    raw.says(&fragment(RELIABLE, 3, 1, [3, 2, 30, 20], &[3; 10]));
    assert_eq!(raw.messages(), [[[1; 10], [2; 10], [3; 10]].concat()]);
    assert_eq!(raw.waiting(), 0);
}

#[test]
fn a_message_inside_the_numbers_of_another_does_not_block_the_channel() {
    let mut raw = Raw::new(Config::default());
    raw.says(&reliable(0, 2, b"inside"));
    raw.says(&fragment(RELIABLE, 2, 2, [2, 0, 4, 0], b"no"));
    raw.says(&fragment(RELIABLE, 1, 1, [3, 0, 6, 0], b"ab"));
    raw.says(&fragment(RELIABLE, 2, 1, [3, 1, 6, 2], b"cd"));
    raw.says(&fragment(RELIABLE, 3, 1, [3, 2, 6, 4], b"ef"));
    raw.says(&reliable(0, 4, b"behind"));
    assert_eq!(raw.messages(), [b"abcdef".to_vec(), b"behind".to_vec()]);
    assert_eq!(raw.waiting(), 0);
}

#[test]
fn begun_messages_fill_their_room_and_no_more() {
    // 28 bytes that claim a quarter of a megabyte, on all channels and numbers.
    let config = Config::default();
    let (waiting_max, message_max) = (config.waiting_max, config.message_max);
    for kind in [RELIABLE, UNRELIABLE] {
        let mut raw = Raw::new(Config::default());
        for number in (1..28_000_u16).step_by(7) {
            for channel in 0..4 {
                let sequence = if kind == UNRELIABLE { 0 } else { number };
                let mut command = fragment(kind, sequence, number, [1000, 0, 200_000, 0], b"a");
                command[1] = channel;
                raw.says(&command);
            }
        }
        let waiting = raw.waiting();
        assert!(waiting > 200_000 && waiting <= waiting_max + message_max + 200, "{waiting}");
        assert!(raw.host.counters().dropped_full > 1000);
        let peer = raw.host.peers().next().unwrap();
        raw.host.reset(peer);
    }
}

#[test]
fn tiny_messages_out_of_order_are_counted_with_what_they_take() {
    let mut raw = Raw::new(Config::default());
    for number in 2..28_000_u16 {
        for channel in 0..4 {
            raw.says(&reliable(channel, number, b""));
        }
    }
    assert!(raw.waiting() <= 512 * 1024);
    assert!(raw.host.counters().dropped_full > 1000);
    // And the room is given back.
    for channel in 0..4 {
        raw.says(&reliable(channel, 1, b""));
    }
    assert_eq!(raw.messages().len(), 512 * 1024 / 64 + 4);
    assert_eq!(raw.waiting(), 0);
}

#[test]
fn numbers_far_off_are_not_taken() {
    let mut raw = Raw::new(Config::default());
    for number in [0, 28_672, 32_768, 40_000, 0xffff] {
        raw.says(&reliable(0, number, b"no"));
        raw.says(&unreliable(0, number, 0, b"no"));
        raw.says(&fragment(RELIABLE, number, number, [2, 0, 4, 0], b"no"));
    }
    assert_eq!((raw.messages(), raw.waiting()), (vec![], 0));
    // Seven windows ahead is where it ends.
    raw.says(&reliable(0, 28_671, b"waits"));
    assert_eq!(raw.waiting(), 64 + 5);
    raw.says(&unreliable(0, 0, 0xffff, b"last"));
    raw.says(&unreliable(0, 0, 0xffff, b"again"));
    raw.says(&unreliable(0, 0, 1, b"before"));
    raw.says(&reliable(0, 1, b"first"));
    raw.says(&unreliable(0, 1, 1, b"behind"));
    assert_eq!(raw.messages(), [b"last".to_vec(), b"first".to_vec(), b"behind".to_vec()]);
}

#[test]
fn channels_that_are_not_there_are_dropped() {
    let mut raw = Raw::new(Config::default());
    for channel in [4, 200, 255] {
        raw.says(&reliable(channel, 1, b"no"));
        raw.says(&unreliable(channel, 0, 1, b"no"));
        raw.says(&[0x49, channel, 0, 0, 0, 1, 0, 0]);
    }
    assert_eq!(raw.host.counters().dropped_commands, 9);
    assert_eq!((raw.messages(), raw.hears()), (vec![], vec![]));
}

#[test]
fn acknowledgements_of_nothing_do_nothing() {
    let mut raw = Raw::new(Config::default());
    let peer = raw.host.peers().next().unwrap();
    let mut rng = Rng::new(5);
    raw.now += MS * 70_000;
    for _ in 0..10_000 {
        let bits = rng.next_u64();
        raw.says(&acknowledge(bits as u8, (bits >> 8) as u16, (bits >> 24) as u16));
    }
    let stats = raw.host.stats(peer).unwrap();
    assert!(stats.rtt_ms <= 60_000);
    assert_eq!(raw.host.connected(), 1);
}

#[test]
fn acknowledgements_owed_are_bounded() {
    let mut raw = Raw::new(Config::default());
    for _ in 0..3000 {
        let pings: Vec<u8> = [[0x85, 0xff, 0, 7]; 300].concat();
        raw.says(&pings);
    }
    assert!(raw.host.counters().dropped_acknowledgements > 800_000);
    // Eight bytes each, 173 of them behind two bytes of header.
    assert_eq!(raw.hears().len(), 4096 * 8 + 4096_usize.div_ceil(173) * 2);
}

#[test]
fn a_second_connect_or_verify_inside_a_connection_does_nothing() {
    let mut raw = Raw::new(Config::default());
    let connect = crate::raw::connect(9, 9, 9);
    raw.says(&connect[4..]);
    let mut verify = connect[4..48].to_vec();
    verify[0] = 0x83;
    raw.says(&verify);
    assert_eq!(raw.host.connected(), 1);
    assert!(raw.host.poll_event().is_none());
}

#[test]
fn any_commands_at_all() {
    // Seeded noise that is nearly right, to a connection that lives.
    let mut raw = Raw::new(Config { waiting_max: 100_000, message_max: 50_000, ..Config::default() });
    let mut rng = Rng::new(6);
    let mut lives = 0;
    for round in 0..100_000 {
        // It may be told to leave by what is behind something too short, and answers no pings.
        if raw.host.connected() == 0 {
            raw = Raw::new(Config { waiting_max: 100_000, message_max: 50_000, ..Config::default() });
            lives += 1;
        }
        let mut commands = Vec::new();
        for _ in 0..1 + rng.below(4) {
            let number = rng.below(14) as u8;
            // Everything but leaving.
            let number = if number == 4 { 6 } else { number };
            commands.push(number | (rng.next_u64() as u8 & 0xc0));
            commands.push(rng.below(6) as u8);
            for _ in 0..rng.below(6) {
                let near = [0, 1, 2, 3, 8, 0xfffe, 0xffff, rng.below(65_536) as u16];
                commands.extend(near[rng.below(8) as usize].to_be_bytes());
            }
        }
        raw.says(&commands);
        if round % 64 == 0 {
            raw.now += MS * 3;
            while raw.host.poll_event().is_some() {}
            let _ = flush(&mut raw.host, raw.now);
            if raw.host.connected() == 1 {
                assert!(raw.waiting() <= 2 * 100_000 + 50_000 + 1000);
            }
        }
    }
    assert!(lives < 1000, "{lives}");
}

#[test]
fn every_cut_of_a_datagram() {
    let mut all = reliable(0, 1, b"one");
    all.extend(unreliable(0, 1, 1, b"two"));
    all.extend(fragment(RELIABLE, 2, 2, [1, 0, 5, 0], b"three"));
    all.extend([0x49, 1, 0, 0, 0, 1, 0, 4, b'f', b'o', b'u', b'r']);
    let mut before = 0;
    for len in 0..=all.len() {
        let mut raw = Raw::new(Config::default());
        raw.says(&all[..len]);
        let messages = raw.messages();
        assert!(messages.len() >= before, "at {len}");
        before = messages.len();
        let expected: [&[u8]; 4] = [b"one", b"two", b"three", b"four"];
        assert!(messages.iter().map(Vec::as_slice).eq(expected.into_iter().take(messages.len())));
    }
    assert_eq!(before, 4);
}
