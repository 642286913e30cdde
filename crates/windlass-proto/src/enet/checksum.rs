//! The optional checksum: CRC-32 (the one of zip and Ethernet) of the whole datagram.
//!
//! Where it stands, the number of the connection stands while it is computed, so that a datagram of another
//! connection is told apart (`enet_protocol_handle_incoming_commands`).

use crc32fast::Hasher;

use super::wire::CHECKSUM;

/// Of header, connection and commands; these as they are before they are compressed.
pub(super) fn of(header: &[u8], connect_id: u32, commands: &[u8]) -> u32 {
    const { assert!(size_of::<u32>() == CHECKSUM) };
    let mut hasher = Hasher::new();
    hasher.update(header);
    hasher.update(&connect_id.to_be_bytes());
    hasher.update(commands);
    hasher.finalize()
}
