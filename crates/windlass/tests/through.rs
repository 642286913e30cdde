//! Large pieces written to a connection whose callback does not run.

use windlass::testing::{Harness, TestPeer};
use windlass::{Close, Conn, ConnId, Input, Service, serve};

/// Gives what the second connection says to the first, each piece behind a short word.
#[derive(Default)]
struct Forwards {
    first: Option<ConnId>,
}

impl Service for Forwards {
    type Session = ();

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        self.first.get_or_insert(conn.id());
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        let Some(first) = self.first else { return Ok(()) };
        conn.write_to(first, b"<");
        conn.write_to(first, input.take_all());
        conn.write_to(first, b">");
        Ok(())
    }
}

fn case(buffers: usize) -> (Harness, TestPeer, TestPeer) {
    let mut harness = Harness::with_buffers(serve(Forwards::default), buffers);
    let (first, second) = (harness.connect(), harness.connect());
    (harness, first, second)
}

#[test]
fn a_large_piece_for_another_connection_goes_out_uncopied_behind_what_is_queued() {
    let (mut harness, first, second) = case(1 << 20);
    let said: Vec<u8> = (0..200_000).map(|n| (n % 251) as u8).collect();
    harness.send(second, &said);
    let heard = harness.receive(first);
    assert!(heard[0] == b'<' && heard[1..heard.len() - 1] == said[..] && heard.ends_with(b">"));
    let counters = harness.handle().stats().counters;
    assert!(counters.output_peak_bytes < 100, "{} bytes were queued", counters.output_peak_bytes);
    // One for the piece and the word before it, and one for the word behind it.
    assert_eq!(counters.writes, 2);
}

#[test]
fn what_does_not_fit_waits_in_order() {
    let (mut harness, first, second) = case(10_000);
    let said: Vec<u8> = (0..60_000).map(|n| (n % 241) as u8).collect();
    let mut expected = Vec::new();
    for part in said.chunks(20_000) {
        harness.send(second, part);
    }
    let mut heard = Vec::new();
    loop {
        let piece = harness.receive_some(first, 3_000);
        if piece.is_empty() {
            break;
        }
        heard.extend_from_slice(&piece);
    }
    // However it was cut: without the words it is what was said.
    let mut rest = &heard[..];
    while let Some(begins) = rest.first() {
        assert_eq!(*begins, b'<');
        let left = &said[expected.len()..];
        let length = rest[1..].iter().zip(left).take_while(|(a, b)| a == b).count();
        expected.extend_from_slice(&left[..length]);
        rest = &rest[1 + length..];
        assert_eq!(rest.first(), Some(&b'>'));
        rest = &rest[1..];
    }
    assert!(expected == said, "{} of {}", expected.len(), said.len());
}
