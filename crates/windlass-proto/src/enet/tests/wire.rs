//! Commands to bytes and back, and every way to cut them.

use alloc::vec;
use alloc::vec::Vec;

use super::super::wire::{Body, Command, Fragment, Header, Malformed, Terms, Throttle, Writer};

const TERMS: Terms = Terms {
    peer: 0x102,
    incoming_session: 3,
    outgoing_session: 4,
    mtu: 0x0506_0708,
    window: 0x090a_0b0c,
    channels: 0x0d0e_0f10,
    incoming_bandwidth: 0x1112_1314,
    outgoing_bandwidth: 0x1516_1718,
    throttle: Throttle { interval: 0x191a_1b1c, acceleration: 0x1d1e_1f20, deceleration: 0x2122_2324 },
    connect_id: 0x2526_2728,
};

const FRAGMENT: Fragment<'_> =
    Fragment { start: 1, count: 2, number: 3, total: 4, offset: 5, bytes: b"piece" };

fn all() -> Vec<(Command<'static>, usize)> {
    let throttle = TERMS.throttle;
    [
        (0, Body::Acknowledge { sequence: 7, sent_time: 8 }, 8),
        (0x80, Body::Connect { terms: TERMS, code: 9 }, 48),
        (0x80, Body::Verify(TERMS), 44),
        (0x40, Body::Disconnect { code: 10 }, 8),
        (0x80, Body::Ping, 4),
        (0x80, Body::Reliable(b"reliable"), 6 + 8),
        (0, Body::Unreliable { sequence: 11, bytes: b"unreliable" }, 8 + 10),
        (0x80, Body::Fragment(FRAGMENT), 24 + 5),
        (0x40, Body::Unsequenced { group: 12, bytes: b"" }, 8),
        (0x80, Body::Bandwidth { incoming: 13, outgoing: 14 }, 12),
        (0x80, Body::Throttle(throttle), 16),
        (0, Body::UnreliableFragment(FRAGMENT), 24 + 5),
    ]
    .into_iter()
    .map(|(flags, body, len)| (Command { flags, channel: 5, sequence: 0x1234, body }, len))
    .collect()
}

fn written(command: &Command<'_>) -> Vec<u8> {
    let mut bytes = vec![0; command.len()];
    let mut out = Writer { out: &mut bytes, at: 0 };
    command.write(&mut out);
    assert_eq!(out.at, command.len());
    bytes
}

#[test]
fn all_twelve_commands_survive_the_way() {
    for (number, (command, len)) in all().iter().enumerate() {
        let bytes = written(command);
        assert_eq!(bytes.len(), *len, "{command:?}");
        assert_eq!(usize::from(bytes[0] & 0xf), number + 1);
        let mut rest = &bytes[..];
        assert_eq!(Command::read(&mut rest), Ok(Some(*command)));
        assert_eq!(Command::read(&mut rest), Ok(None));
    }
}

#[test]
fn a_connect_has_enets_bytes() {
    // As ENet 1.3.17 sent it: protocol.h has the fields in this order.
    let (command, _) = all()[1];
    let mut expected = vec![0x82, 5, 0x12, 0x34, 1, 2, 3, 4];
    expected.extend(5..=0x28_u8);
    expected.extend([0, 0, 0, 9]);
    assert_eq!(written(&command), expected);
}

#[test]
fn what_is_cut_off_is_malformed_and_what_stood_before_counts() {
    let commands: Vec<_> = all().into_iter().map(|command| command.0).collect();
    let bytes: Vec<u8> = commands.iter().flat_map(written).collect();
    let ends: Vec<usize> = commands
        .iter()
        .scan(0, |end, command| {
            *end += command.len();
            Some(*end)
        })
        .collect();
    for cut in 0..=bytes.len() {
        let mut rest = &bytes[..cut];
        let mut seen = 0;
        let end = loop {
            match Command::read(&mut rest) {
                Ok(Some(command)) => {
                    assert_eq!(command, commands[seen]);
                    seen += 1;
                }
                end => break end,
            }
        };
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        assert_eq!(seen, whole, "cut at {cut}");
        let clean = cut == 0 || ends.contains(&cut);
        assert_eq!(end, if clean { Ok(None) } else { Err(Malformed) });
    }
}

#[test]
fn other_numbers_are_no_commands() {
    for number in [0, 13, 14, 15] {
        let mut rest = &[number; 64][..];
        assert_eq!(Command::read(&mut rest), Err(Malformed));
    }
}

#[test]
fn headers_survive_the_way() {
    for (peer, session, compressed, sent_time) in
        [(0, 0, false, None), (0xfff, 0, false, Some(0)), (0x123, 3, true, Some(0xabcd)), (1, 2, true, None)]
    {
        let header = Header { peer, session, compressed, sent_time };
        let mut bytes = [0; 4];
        let len = header.write(&mut bytes);
        assert_eq!(Header::read(&bytes[..len]), Some((header, len)));
        for cut in 0..len {
            assert_eq!(Header::read(&bytes[..cut]), None);
        }
    }
}
