//! A network of one: a device whose packets come back to it, in order, in memory of a fixed size.
//!
//! smoltcp has one too, which takes every packet from a heap.

use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

/// Bytes of the longest packet: so few that a message of either protocol is cut into several.
const MTU: usize = 128;
/// Packets on their way. One place more stays empty, so that one can be read while one is written.
const PACKETS: usize = 8;

/// A loopback device without a heap.
pub struct Wire {
    packets: [Packet; PACKETS],
    first: usize,
    count: usize,
    sent: u32,
    largest: usize,
}

struct Packet {
    bytes: [u8; MTU],
    len: usize,
}

impl Wire {
    /// Nothing on its way.
    pub const fn new() -> Wire {
        let packets = [const { Packet { bytes: [0; MTU], len: 0 } }; PACKETS];
        Wire { packets, first: 0, count: 0, sent: 0, largest: 0 }
    }

    /// Packets that were sent.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// Bytes of the longest of them.
    pub fn largest(&self) -> usize {
        self.largest
    }

    /// Whether something is on its way.
    pub(crate) fn is_busy(&self) -> bool {
        self.count > 0
    }

    fn has_room(&self) -> bool {
        self.count < PACKETS - 1
    }
}

impl Default for Wire {
    fn default() -> Wire {
        Wire::new()
    }
}

impl Device for Wire {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sending<'_>)> {
        self.count = self.count.checked_sub(1)?;
        let received = self.first;
        self.first = (received + 1) % PACKETS;
        let free = (self.first + self.count) % PACKETS;
        // They differ: never are there as many packets as places.
        let [packet, room] = self.packets.get_disjoint_mut([received, free]).ok()?;
        let sending =
            Sending { room, count: &mut self.count, sent: &mut self.sent, largest: &mut self.largest };
        Some((Received(packet), sending))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        if !self.has_room() {
            return None;
        }
        let room = &mut self.packets[(self.first + self.count) % PACKETS];
        Some(Sending { room, count: &mut self.count, sent: &mut self.sent, largest: &mut self.largest })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        capabilities
    }
}

/// A packet that has come.
pub struct Received<'w>(&'w Packet);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0.bytes[..self.0.len])
    }
}

/// A place for a packet that goes.
pub struct Sending<'w> {
    room: &'w mut Packet,
    count: &'w mut usize,
    sent: &'w mut u32,
    largest: &'w mut usize,
}

impl phy::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        self.room.len = len;
        *self.count += 1;
        *self.sent += 1;
        *self.largest = len.max(*self.largest);
        write(&mut self.room.bytes[..len])
    }
}
