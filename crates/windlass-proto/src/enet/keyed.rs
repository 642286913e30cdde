//! Numbers that only we can foresee: a keyed hash, and a generator behind the same key.

use core::hash::Hasher;
use core::net::{IpAddr, SocketAddr};

use siphasher::sip::SipHasher24;

/// SipHash-2-4 under the host's seed.
#[derive(Clone, Debug)]
pub(super) struct Key {
    seed: [u8; 16],
    drawn: u64,
}

impl Key {
    pub(super) fn new(seed: [u8; 16]) -> Key {
        Key { seed, drawn: 0 }
    }

    /// What is drawn from an address, a purpose and a number.
    pub(super) fn of(&self, purpose: u8, addr: SocketAddr, number: u64) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.seed);
        match addr.ip() {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            IpAddr::V6(ip) => hasher.write(&ip.octets()),
        }
        hasher.write_u16(addr.port());
        hasher.write_u8(purpose);
        hasher.write_u64(number);
        hasher.finish()
    }

    /// Who is counted as one: an IPv4 address, or an IPv6 network of 64 bits, since that is what one customer has.
    pub(super) fn of_network(&self, ip: IpAddr) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.seed);
        match ip.to_canonical() {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            IpAddr::V6(ip) => hasher.write(&ip.octets()[..8]),
        }
        hasher.finish()
    }

    /// The next number of a series.
    pub(super) fn draw(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        let mut hasher = SipHasher24::new_with_key(&self.seed);
        hasher.write_u64(self.drawn);
        hasher.finish()
    }
}
