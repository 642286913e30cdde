//! What can be set of the gateway of datagrams.

use std::time::Duration;

use crate::bucket::Rate;

/// How players come by datagrams. Plain data with `Default` and chained setters.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct UdpConfig {
    /// What players are told to connect to, a name or an address. Default: the address of the socket, or, if it listens on
    /// all, the host that they have asked for a seat.
    pub host: Option<String>,
    /// How long somebody who has connected may take to show a ticket. Default 5 s.
    pub ticket_timeout: Duration,
    /// Who has acknowledged nothing for so long is gone, and their seat is kept. Default 10 s.
    pub silence_timeout: Duration,
    /// Peers of one worker, with and without a seat. Who would be one more gets no answer. Default 4,096.
    pub peers_max: usize,
    /// The same from one address; of IPv6 from one network of 64 bits. Default 512.
    pub address_peers_max: usize,
    /// Peers of one worker that have not shown a ticket. With one more, who has waited longest has to go. Default 512.
    pub strangers_max: usize,
    /// Those of one worker that have asked for a connection and not shown that they are where they say; about 90 bytes each.
    /// With one more a random one is forgotten. Default 8,192.
    pub half_open_max: usize,
    /// How often one address may ask for a connection; of IPv6 one network of 64 bits. What is over it gets no answer.
    /// Default 128 a second, 512 at once.
    pub address_connects: Rate,
    /// Whether there is a CRC-32 in every datagram, as with `enet_crc32`. Players must have it then, and may not else.
    /// Default `false`.
    pub checksum: bool,
    /// Whether datagrams are compressed with ENet's range coder where that makes them shorter. Players must be able to read
    /// them then; without it, what comes compressed is dropped. Default `false`.
    pub compression: bool,
}

impl Default for UdpConfig {
    fn default() -> UdpConfig {
        UdpConfig {
            host: None,
            ticket_timeout: Duration::from_secs(5),
            silence_timeout: Duration::from_secs(10),
            peers_max: 4_096,
            address_peers_max: 512,
            strangers_max: 512,
            half_open_max: 8_192,
            address_connects: Rate::new(128, 512),
            checksum: false,
            compression: false,
        }
    }
}

macro_rules! setters {
    ($($name:ident: $ty:ty,)*) => {
        impl UdpConfig {
            $(
                #[doc = concat!("Sets [`UdpConfig::", stringify!($name), "`].")]
                #[must_use]
                pub fn $name(mut self, $name: $ty) -> UdpConfig {
                    self.$name = $name;
                    self
                }
            )*
        }
    };
}

setters! {
    host: Option<String>,
    ticket_timeout: Duration,
    silence_timeout: Duration,
    peers_max: usize,
    address_peers_max: usize,
    strangers_max: usize,
    half_open_max: usize,
    address_connects: Rate,
    checksum: bool,
    compression: bool,
}
