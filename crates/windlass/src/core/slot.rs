//! One connection's state: what every open connection costs, so every byte is weighed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use windlass_proto::Time;

use super::output::Output;
use super::region::Chain;
use crate::wheel::Tick;

/// State bits of a connection. One that this build knows no use for is none, and asking for it is no code.
pub(crate) mod flag {
    use crate::parts;

    /// The slot is in use.
    pub(crate) const LIVE: u32 = 1;
    /// Reading may find something.
    pub(crate) const READABLE: u32 = 1 << 1;
    /// Writing may find room.
    pub(crate) const WRITABLE: u32 = 1 << 2;
    /// An event said that the peer finished: a short read is no reason to stop.
    pub(crate) const READ_CLOSED: u32 = 1 << 3;
    /// A write failed: nothing more can be sent, but what came before the break is still read.
    pub(crate) const WRITE_FAILED: u32 = 1 << 4;
    /// On the run list.
    pub(crate) const QUEUED: u32 = 1 << 5;
    /// On the list of those to flush.
    pub(crate) const TOUCHED: u32 = 1 << 6;
    /// The service asked not to be given input.
    pub(crate) const PAUSED: u32 = 1 << 7;
    /// Output passed its high-water mark, and has not fallen below the low one.
    pub(crate) const CONGESTED: u32 = 1 << 8;
    /// The service is owed a call to `drained`.
    pub(crate) const OWED_DRAINED: u32 = 1 << 9;
    /// Untaken input is to be offered again, though nothing new came.
    pub(crate) const REDELIVER: u32 = 1 << 10;
    /// The peer's FIN has been read.
    pub(crate) const EOF: u32 = 1 << 11;
    /// The end is decided, with its reason on the closing list.
    pub(crate) const CLOSING: u32 = 1 << 13;
    /// `closed` has been called; what is left is to send the rest and see the peer go.
    pub(crate) const ENDED: u32 = 1 << 14;
    /// Our FIN is to follow the queued output.
    pub(crate) const FINISH: u32 = 1 << 15;
    /// Our FIN has been sent.
    pub(crate) const FINISHED: u32 = 1 << 16;
    /// `wake` holds a deadline.
    pub(crate) const HAS_WAKE: u32 = 1 << 17;
    /// Counted against its source address.
    pub(crate) const SOURCE_COUNTED: u32 = 1 << 18;
    /// Write interest has been added (Unix streams).
    pub(crate) const WANTS_WRITE: u32 = 1 << 19;
    /// An event said that the socket is broken after its input had ended: only asking it can tell.
    pub(crate) const PROBE: u32 = 1 << 12;
    /// Its close is a reset: output was left that could not be sent in time, or what was relayed to it
    /// was cut off.
    pub(crate) const RESET: u32 = 1 << 21;
    /// Being connected by us: in use, but not LIVE yet, and `wake` is when to look at it.
    pub(crate) const CONNECTING: u32 = if parts::CONNECT { 1 << 24 } else { 0 };
    /// On the list of ended connections whose next step is to be taken.
    pub(crate) const SETTLING: u32 = 1 << 20;
    /// It speaks TLS: what is written is encrypted, what is read decrypted.
    pub(crate) const TLS: u32 = if cfg!(feature = "tls") { 1 << 30 } else { 0 };
    /// The TLS handshake is not over, and the service does not know of the connection; `wake` is the
    /// handshake's deadline.
    pub(crate) const HANDSHAKE: u32 = if cfg!(feature = "tls") { 1 << 31 } else { 0 };
    /// About to move to another worker: not read until it is there.
    pub(crate) const MOVING: u32 = if parts::THREADS { 1 << 22 } else { 0 };
    /// Its service stays while others drain.
    pub(crate) const STAYS: u32 = 1 << 23;
    /// Its output being congested is no reason to stop reading: its service bounds that otherwise.
    pub(crate) const READS_ON: u32 = 1 << 25;
    /// The service knows that its peer has nothing more to say: no FIN of it is waited for.
    pub(crate) const SILENT: u32 = 1 << 26;
    /// Coupled with another connection: its input goes there, and its output comes from there.
    pub(crate) const RELAYED: u32 = if parts::CONNECT { 1 << 28 } else { 0 };
}

/// The `listener` of a connection that we made.
pub(crate) const NO_LISTENER: u16 = u16::MAX;

/// Input a service has left untaken: in memory of its own, or in a chain of blocks where the pool has a
/// region.
#[derive(Default)]
pub(crate) struct Residue {
    pub(crate) bytes: Vec<u8>,
    pub(crate) chain: Chain,
}

impl Residue {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.chain.len()
    }

    /// Gives back the room of a large message that is gone: limits count bytes, and memory must not
    /// be far from them.
    pub(crate) fn fit(&mut self) {
        if self.bytes.capacity() > 16 * 1024 && self.bytes.capacity() / 4 > self.bytes.len() {
            self.bytes.shrink_to(self.bytes.len());
        }
    }
}

/// The engine's side of one connection. The stream is in the driver's table, the session in the
/// service's, both reached from here.
pub(crate) struct Slot {
    /// Attached only while output waits.
    pub(crate) output: Option<Box<Output>>,
    /// Attached only while input waits.
    pub(crate) input: Option<Box<Residue>>,
    pub(crate) peer: PeerAddr,
    /// When it was opened, or began to be made.
    pub(crate) opened: Time,
    pub(crate) flags: u32,
    pub(crate) generation: u32,
    /// Position among the service's members; the session has the same.
    pub(crate) key: u32,
    pub(crate) service: u16,
    pub(crate) listener: u16,
    /// When something was last received or sent.
    pub(crate) active: Tick,
    /// The service's deadline (`wake_at`); after the end, the linger deadline.
    pub(crate) wake: Tick,
}

impl Slot {
    #[inline]
    pub(crate) fn is(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    #[inline]
    pub(crate) fn set(&mut self, flags: u32) {
        self.flags |= flags;
    }

    #[inline]
    pub(crate) fn clear(&mut self, flags: u32) {
        self.flags &= !flags;
    }

    /// Whether its input waits: for any of `reasons`, or for output to drain.
    #[inline]
    pub(crate) fn is_held(&self, reasons: u32) -> bool {
        self.is(reasons) || (self.is(flag::CONGESTED) && !self.is(flag::READS_ON))
    }

    pub(crate) fn output_len(&self) -> usize {
        self.output.as_ref().map_or(0, |output| output.len())
    }

    pub(crate) fn input_len(&self) -> usize {
        self.input.as_ref().map_or(0, |residue| residue.len())
    }
}

/// A peer's address in 16 bytes; the rare IPv6 address is boxed.
pub(crate) enum PeerAddr {
    V4(Ipv4Addr, u16),
    V6(Box<SocketAddrV6>),
    Unix,
}

impl PeerAddr {
    /// An IPv6 address goes to one of the `places`, if there is one.
    #[allow(clippy::vec_box, reason = "it is the box that a slot gets")]
    pub(crate) fn new(addr: Option<SocketAddr>, places: &mut Vec<Box<SocketAddrV6>>) -> PeerAddr {
        match addr {
            None => PeerAddr::Unix,
            Some(SocketAddr::V4(addr)) => PeerAddr::V4(*addr.ip(), addr.port()),
            // On a dual-stack socket an IPv4 peer comes as ::ffff:a.b.c.d; it is an IPv4 peer.
            Some(SocketAddr::V6(addr)) => match addr.ip().to_ipv4_mapped() {
                Some(ip) => PeerAddr::V4(ip, addr.port()),
                None => match places.pop() {
                    Some(mut place) => {
                        *place = addr;
                        PeerAddr::V6(place)
                    }
                    None => PeerAddr::V6(Box::new(addr)),
                },
            },
        }
    }

    /// A place for an IPv6 address.
    pub(crate) fn place() -> Box<SocketAddrV6> {
        Box::new(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0))
    }

    pub(crate) fn to_addr(&self) -> Option<SocketAddr> {
        match self {
            PeerAddr::V4(ip, port) => Some(SocketAddr::V4(SocketAddrV4::new(*ip, *port))),
            PeerAddr::V6(addr) => Some(SocketAddr::V6(**addr)),
            PeerAddr::Unix => None,
        }
    }

    /// What connections are counted under: the IPv4 address or the IPv6 /64; loopback and Unix
    /// peers are not counted.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        source_of(self.to_addr())
    }
}

/// The same of somebody who has no slot yet.
pub(crate) fn source_of(addr: Option<SocketAddr>) -> Option<IpAddr> {
    match addr?.ip().to_canonical() {
        ip if ip.is_loopback() => None,
        ip @ IpAddr::V4(_) => Some(ip),
        IpAddr::V6(ip) => Some(IpAddr::V6((u128::from(ip) >> 64 << 64).into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_slot_stays_small() {
        // With 8 bytes of stream, 12 of timer, 4 of membership and the session: the figure in the
        // README for an idle connection.
        assert_eq!(size_of::<Slot>(), 64);
        assert_eq!(size_of::<PeerAddr>(), 16);
    }

    #[test]
    fn sources() {
        let source = |text: &str| source_of(Some(text.parse().unwrap()));
        assert_eq!(source("192.0.2.7:1"), Some("192.0.2.7".parse().unwrap()));
        assert_eq!(source("[::ffff:192.0.2.7]:1"), Some("192.0.2.7".parse().unwrap()));
        assert_eq!(source("[2001:db8:1:2:3:4:5:6]:1"), Some("2001:db8:1:2::".parse().unwrap()));
        assert_eq!(source("127.0.0.1:1"), None);
        assert_eq!(source("[::1]:1"), None);
        assert_eq!(source_of(None), None);
        for text in ["[2001:db8::1]:7", "[::ffff:192.0.2.7]:1", "192.0.2.7:1"] {
            let addr = Some(text.parse().unwrap());
            assert_eq!(PeerAddr::new(addr, &mut Vec::new()).source(), source_of(addr));
        }
    }
}
