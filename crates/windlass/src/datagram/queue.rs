//! The output of one UDP socket: datagrams in order, those of one size to one peer side by side.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::Ecn;
use crate::planted::{Fault, planted};
use crate::sys::Outbound;

/// Datagrams up to this are put together for one call: what fits a frame of Ethernet, behind the headers
/// of IPv4 and of IPv6. A larger one would have to be fragmented, and the system refuses to cut up and
/// fragment at once.
const SEGMENT_MAX: usize = 1472;
const SEGMENT_MAX_SIX: usize = 1452;
/// Bytes that one call takes at most: an IP packet's length has 16 bits, headers included.
const RUN_MAX: usize = 65_535 - 8 - 60;
/// Room that a queue keeps for its next use.
const KEPT_BYTES: usize = 256 * 1024;
const KEPT_ENTRIES: usize = 4096;

/// Where a datagram goes, and how. Addresses are as the socket's family has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Route {
    pub(crate) to: SocketAddr,
    pub(crate) from: Option<IpAddr>,
    /// `from` is only what was asked, and may be the address of a group: then any of ours will do.
    pub(crate) from_any: bool,
    pub(crate) ecn: Option<Ecn>,
}

impl Route {
    /// Whether it leads over IPv4, by an address that may be a mapped one.
    pub(crate) fn is_four(&self) -> bool {
        match self.to {
            SocketAddr::V4(_) => true,
            SocketAddr::V6(to) => to.ip().to_ipv4_mapped().is_some(),
        }
    }

    fn segment_max(&self) -> usize {
        if self.is_four() { SEGMENT_MAX } else { SEGMENT_MAX_SIX }
    }
}

/// Datagrams side by side in the queue that one call may take.
#[derive(Debug)]
struct Run {
    route: Route,
    /// The size of every datagram but perhaps the last.
    segment: usize,
    datagrams: usize,
    bytes: usize,
}

#[derive(Default, Debug)]
pub(crate) struct Queue {
    bytes: Vec<u8>,
    /// Where in `bytes` the first run begins.
    head: usize,
    runs: VecDeque<Run>,
    datagrams: usize,
}

/// What a queue keeps of each run beside its bytes.
pub(crate) const RUN_BYTES: usize = size_of::<Run>();

impl Queue {
    /// One that holds so much, and never moves: `push` lets it grow to twice what is queued.
    pub(crate) fn with_room(bytes: usize, datagrams: usize) -> Queue {
        let (bytes, runs) = (Vec::with_capacity(2 * bytes), VecDeque::with_capacity(datagrams));
        Queue { bytes, runs, ..Queue::default() }
    }

    /// Bytes queued.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.head
    }

    /// Datagrams queued.
    pub(crate) fn datagrams(&self) -> usize {
        self.datagrams
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.datagrams == 0
    }

    /// Appends a datagram; at most `segments_max` go into one call.
    #[inline]
    pub(crate) fn push(&mut self, route: Route, bytes: &[u8], segments_max: usize) {
        if self.head > 0 && self.head >= self.len() {
            // Never more than twice what is queued, and each byte is moved at most once on average.
            self.bytes.drain(..self.head);
            self.head = 0;
        }
        self.bytes.extend_from_slice(bytes);
        self.datagrams += 1;
        if let Some(last) = self.runs.back_mut()
            && last.datagrams < segments_max
            && last.takes(&route, bytes.len())
        {
            last.datagrams += 1;
            last.bytes += bytes.len();
            return;
        }
        self.runs.push_back(Run { route, segment: bytes.len(), datagrams: 1, bytes: bytes.len() });
    }

    /// What the next call sends: a whole run, or its first datagram where the system takes one at a
    /// time. Also how many datagrams that are.
    pub(crate) fn front(&self, segments_max: usize) -> Option<(Outbound<'_>, usize)> {
        let run = self.runs.front()?;
        let whole = run.datagrams <= segments_max;
        let (bytes, datagrams) =
            if whole { (run.bytes, run.datagrams) } else { (run.segment.min(run.bytes), 1) };
        let Route { to, from, from_any, ecn } = run.route;
        let segment = (datagrams > 1).then_some(run.segment);
        let bytes = &self.bytes[self.head..self.head + bytes];
        Some((Outbound { to, from, from_any, ecn, segment, bytes }, datagrams))
    }

    /// Takes what was sent off the front.
    #[inline]
    pub(crate) fn pop(&mut self, bytes: usize, datagrams: usize) {
        let Some(run) = self.runs.front_mut() else { return };
        run.bytes -= bytes;
        run.datagrams -= datagrams;
        if run.datagrams == 0 {
            self.runs.pop_front();
        }
        self.datagrams -= datagrams;
        self.head += bytes;
        if self.datagrams == 0 {
            self.bytes.clear();
            self.head = 0;
        }
    }

    /// Drops the datagram that has waited longest, and tells its size.
    pub(crate) fn pop_oldest(&mut self) -> Option<usize> {
        let run = self.runs.front()?;
        let bytes = if run.datagrams == 1 { run.bytes } else { run.segment };
        self.pop(bytes, 1);
        Some(bytes)
    }

    /// Forgets everything, and gives back what is out of proportion.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.runs.clear();
        self.runs.shrink_to(KEPT_ENTRIES);
        (self.head, self.datagrams) = (0, 0);
    }
}

impl Run {
    /// Whether a datagram of `len` bytes may follow in the same call: it may be shorter, and is the last
    /// then.
    fn takes(&self, route: &Route, len: usize) -> bool {
        let full = self.bytes == self.segment * self.datagrams;
        let fits = len <= self.segment || planted(Fault::SegmentsMixed);
        full && fits
            && (1..=self.route.segment_max()).contains(&self.segment)
            && len > 0
            && self.bytes + len <= RUN_MAX
            && (self.route == *route || planted(Fault::SegmentsToOthers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(port: u16) -> Route {
        Route { to: ([127, 0, 0, 1], port).into(), from: None, from_any: false, ecn: None }
    }

    /// What goes out, call by call: bytes and the segment size.
    fn calls(queue: &mut Queue, segments_max: usize) -> Vec<(Vec<u8>, Option<usize>)> {
        let mut calls = Vec::new();
        while let Some((out, datagrams)) = queue.front(segments_max) {
            let (bytes, segment) = (out.bytes.to_vec(), out.segment);
            queue.pop(bytes.len(), datagrams);
            calls.push((bytes, segment));
        }
        assert_eq!((queue.len(), queue.datagrams()), (0, 0));
        calls
    }

    #[test]
    fn datagrams_of_one_size_to_one_peer_go_together() {
        let mut queue = Queue::default();
        for bytes in [&b"aa"[..], b"bb", b"c", b"dd", b"", b"ee"] {
            queue.push(to(1), bytes, 64);
        }
        queue.push(to(2), b"ff", 64);
        assert_eq!((queue.len(), queue.datagrams()), (11, 7));
        let expected = [(&b"aabbc"[..], Some(2)), (b"dd", None), (b"", None), (b"ee", None), (b"ff", None)];
        assert_eq!(calls(&mut queue, 64), expected.map(|(bytes, segment)| (bytes.to_vec(), segment)));
    }

    #[test]
    fn a_run_can_be_sent_one_by_one() {
        let mut queue = Queue::default();
        for bytes in [b"aa", b"bb", b"cc"] {
            queue.push(to(1), bytes, 64);
        }
        queue.push(to(1), b"d", 64);
        let one_by_one = [&b"aa"[..], b"bb", b"cc", b"d"].map(|bytes| (bytes.to_vec(), None));
        assert_eq!(calls(&mut queue, 1), one_by_one);
    }

    #[test]
    fn runs_end_at_what_a_packet_holds() {
        let mut queue = Queue::default();
        for _ in 0..60 {
            queue.push(to(1), &[0; 1200], 64);
        }
        for _ in 0..2 {
            queue.push(to(2), &[0; SEGMENT_MAX + 1], 64);
        }
        let sizes: Vec<usize> = calls(&mut queue, 64).iter().map(|(bytes, _)| bytes.len()).collect();
        assert_eq!(sizes, [54 * 1200, 6 * 1200, SEGMENT_MAX + 1, SEGMENT_MAX + 1]);
    }

    #[test]
    fn six_has_longer_headers() {
        let six = |ip: &str| Route { to: (ip.parse::<IpAddr>().unwrap(), 1).into(), ..to(1) };
        for (route, calls_made) in [(six("2001:db8::1"), 2), (six("::ffff:192.0.2.1"), 1), (to(1), 1)] {
            let mut queue = Queue::default();
            (0..2).for_each(|_| queue.push(route, &[0; SEGMENT_MAX_SIX + 1], 64));
            assert_eq!(calls(&mut queue, 64).len(), calls_made, "{route:?}");
            (0..2).for_each(|_| queue.push(route, &[0; SEGMENT_MAX_SIX], 64));
            assert_eq!(calls(&mut queue, 64).len(), 1, "{route:?}");
        }
    }

    #[test]
    fn the_oldest_go_first_when_dropped() {
        let mut queue = Queue::default();
        for bytes in [&b"aaa"[..], b"bbb", b"c"] {
            queue.push(to(1), bytes, 64);
        }
        assert_eq!(queue.pop_oldest(), Some(3));
        queue.push(to(1), b"dd", 64);
        assert_eq!(calls(&mut queue, 64), [(b"bbbc".to_vec(), Some(3)), (b"dd".to_vec(), None)]);
        assert_eq!(queue.pop_oldest(), None);
    }
}
