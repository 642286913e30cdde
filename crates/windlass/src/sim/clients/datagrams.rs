//! Peers that send datagrams, and look at every one that comes back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use windlass_proto::Time;
use windlass_proto::testing::Rng;

use crate::sim::client::{Client, Line, Step};

/// Sends datagrams to the server and wants each back: unchanged, from the address it was sent to, and,
/// where the network neither loses nor doubles, exactly once.
pub fn datagram_peer(rng: &mut Rng) -> DatagramPeer {
    DatagramPeer {
        left: 1 + rng.below(60) as u32,
        window: 1 + rng.below(24) as usize,
        next: 0,
        waiting: BTreeMap::new(),
        seen: BTreeMap::new(),
        until: Time::ZERO,
        begun: false,
        any_number: false,
        forgiving: false,
    }
}

/// The same for a service that may send anything back any number of times, or nothing.
pub fn any_answer_peer(rng: &mut Rng) -> DatagramPeer {
    DatagramPeer { any_number: true, forgiving: true, ..datagram_peer(rng) }
}

/// The same for a service that may lose datagrams, and must not double them.
pub fn forgiving_peer(rng: &mut Rng) -> DatagramPeer {
    DatagramPeer { forgiving: true, ..datagram_peer(rng) }
}

/// See [`datagram_peer`].
pub struct DatagramPeer {
    /// Datagrams still to be sent.
    left: u32,
    /// Datagrams under way at the same time.
    window: usize,
    next: u32,
    /// Sent, and not answered.
    waiting: BTreeMap<u32, Vec<u8>>,
    /// Answered, and how often.
    seen: BTreeMap<u32, (Vec<u8>, u32)>,
    /// When it gives up on those under way.
    until: Time,
    begun: bool,
    any_number: bool,
    forgiving: bool,
}

impl DatagramPeer {
    /// Several of one size, often, so that they can travel together.
    fn make(&self, line: &mut Line<'_>) -> Vec<u8> {
        let size = match line.rng().below(4) {
            0 => 8 + line.rng().below(1500) as usize,
            1 => 1200,
            _ => 64,
        };
        let mut bytes = vec![0; size.max(8)];
        bytes[..4].copy_from_slice(&(line.index() as u32).to_be_bytes());
        bytes[4..8].copy_from_slice(&self.next.to_be_bytes());
        for (n, byte) in bytes[8..].iter_mut().enumerate() {
            *byte = (n as u32 ^ self.next).wrapping_mul(31) as u8;
        }
        bytes
    }

    fn check(&mut self, line: &mut Line<'_>, from: SocketAddr, bytes: &[u8]) -> Result<(), String> {
        if from != line.datagram_server() {
            return Err(format!("an answer from {from}, asked was {}", line.datagram_server()));
        }
        let number = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let (Some(index), Some(number)) = (number(0), number(4)) else {
            return Err(format!("a datagram of {} bytes that nobody sent", bytes.len()));
        };
        if index as usize != line.index() {
            return Err(format!("a datagram of client {index}"));
        }
        if let Some(sent) = self.waiting.remove(&number) {
            self.seen.insert(number, (sent, 0));
        }
        let Some((sent, times)) = self.seen.get_mut(&number) else {
            return Err(format!("datagram {number}, which was never sent"));
        };
        *times += 1;
        if sent != bytes {
            return Err(format!(
                "datagram {number} came back changed: {} bytes of {}",
                bytes.len(),
                sent.len()
            ));
        }
        if *times > 1 && !self.any_number && !line.datagrams_double() {
            return Err(format!("datagram {number} came back twice"));
        }
        Ok(())
    }
}

impl Client for DatagramPeer {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        self.begun = true;
        while let Some((from, bytes)) = line.receive_datagram() {
            if let Err(what) = self.check(line, from, &bytes) {
                return line.fail(what);
            }
        }
        let patience = line.datagram_patience();
        if line.now() >= self.until && !self.waiting.is_empty() {
            if line.datagrams_reliable() && !self.forgiving {
                let missing = self.waiting.len();
                return line.fail(format!("{missing} datagrams did not come back in {patience:?}"));
            }
            // Lost somewhere; should one come after all, it is known.
            for (number, bytes) in std::mem::take(&mut self.waiting) {
                self.seen.insert(number, (bytes, 0));
            }
        }
        while self.left > 0 && self.waiting.len() < self.window {
            let bytes = self.make(line);
            line.send_datagram(&bytes);
            self.waiting.insert(self.next, bytes);
            self.next += 1;
            self.left -= 1;
            self.until = line.after(patience);
        }
        match self.waiting.is_empty() {
            true => Step::Done,
            false => Step::Until(self.until),
        }
    }
}

/// Sends back every datagram to whoever sent it: an upstream for a proxy, to which it makes itself known
/// with the datagram `upstream`. Every now and then nobody listens on its port for a while.
pub fn responder(rng: &mut Rng) -> Responder {
    Responder {
        away_odds: if rng.chance(1, 2) { 0 } else { 1 + rng.below(8) },
        known: false,
        back: None,
        ends: None,
    }
}

/// See [`responder`].
pub struct Responder {
    away_odds: u64,
    known: bool,
    back: Option<Time>,
    ends: Option<Time>,
}

/// How long a responder is there: longer than anybody has to ask.
const RESPONDS: Duration = Duration::from_secs(120);

impl Client for Responder {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        let ends = *self.ends.get_or_insert(line.after(RESPONDS));
        if self.back.is_none_or(|back| line.now() >= back) {
            self.back = None;
            line.listen_for_datagrams(true);
        }
        while let Some((from, bytes)) = line.receive_datagram() {
            self.known = true;
            line.send_datagram_to(from, &bytes);
            if line.rng().below(64) < self.away_odds {
                line.listen_for_datagrams(false);
                self.back = Some(line.after(Duration::from_millis(5)));
            }
        }
        if line.now() >= ends || line.shutdown_at().is_some() {
            return Step::Done;
        }
        if !self.known {
            line.send_datagram(b"upstream");
            return Step::Until(line.after(Duration::from_millis(100)).min(ends));
        }
        Step::Until(self.back.unwrap_or(ends).min(ends))
    }
}
