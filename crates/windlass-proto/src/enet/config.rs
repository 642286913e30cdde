//! What a host is told once.

/// Limits and wishes of a [`Host`](super::Host). The defaults are ENet's where a player would notice, and safe where
/// ENet's are not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Peers, those that are leaving included. Beyond it a CONNECT is not answered, and
    /// [`Host::connect`](super::Host::connect) refuses. Default 4095. It may be more: ENet's ids have twelve bits,
    /// but peers are told apart by address and id.
    pub peers_max: usize,
    /// The same from one IPv4 address or one IPv6 network of 64 bits, of those that connected to us. Beyond it a
    /// CONNECT is not answered. Default: no other limit than `peers_max`.
    pub peers_per_address_max: usize,
    /// Channels of one peer, 1 to 255. A peer gets as many as it asks for, and no more than these. Default 255; a
    /// channel costs nothing before it is used.
    pub channels_max: u8,
    /// The longest datagram sent, in bytes without UDP's and IP's headers; 576 to 4096. A peer may ask for
    /// less. Default 1392, as ENet's.
    pub mtu: u16,
    /// Bytes per second that peers may send us together, 0 for no limit. They are told, and keep to it.
    pub incoming_bandwidth: u32,
    /// Bytes per second that we send to all peers together, 0 for no limit. What is over it is dropped of the
    /// unreliable messages, and makes reliable ones wait.
    pub outgoing_bandwidth: u32,
    /// Bytes of one message, in either direction. A longer one is refused when it is sent, and when its first
    /// fragment comes. Default 256 KiB (ENet: 32 MiB).
    pub message_max: usize,
    /// The same of what comes from a peer that has connected to us, and twice as much that waits for it, until
    /// [`set_incoming_max`](super::Host::set_incoming_max) says otherwise: what somebody may cost before the
    /// application knows who it is. Default: no less than others.
    pub newcomer_message_max: usize,
    /// Bytes that wait here for one peer, each time: received and not taken by
    /// [`poll_event`](super::Host::poll_event), and received and not yet whole or not yet in order. Beyond it
    /// unreliable messages are dropped, and reliable ones are not acknowledged, so that they come again. The
    /// fragments of the one message that everything else waits for are taken in any case. At least twice
    /// [`message_max`](Config::message_max); default 512 KiB.
    pub waiting_max: usize,
    /// Bytes queued to one peer and not acknowledged, with 64 for each message. Beyond it
    /// [`send`](super::Host::send) refuses with [`SendError::Full`](super::SendError::Full). Default 1 MiB.
    pub output_max: usize,
    /// Addresses that asked for a connection and have not yet shown that they are there; about 90 bytes each,
    /// allocated when the first one asks. Beyond it a random one is forgotten. Default 8192.
    pub half_open_max: usize,
    /// How often one IPv4 address or IPv6 network of 64 bits may send CONNECT, on average. Beyond it they are not
    /// answered. Default 64; 0 for no limit.
    pub connects_per_second: u32,
    /// How many of them at once. Default 256.
    pub connect_burst: u32,
    /// How long what is to be sent to a peer may wait for more, in milliseconds: for a server that speaks to each peer
    /// once in a while ([`transmit_to`](super::Host::transmit_to)), and whose acknowledgements can go along. What did not
    /// fit into a datagram, and answers to CONNECT, do not wait. Default 0.
    pub linger_ms: u32,
    /// Whether CONNECT is answered at all; `false` for a client. Default `true`.
    pub accept: bool,
    /// A CRC-32 in every datagram, as with `enet_crc32`. Both ends must have it, or neither. Default `false`.
    pub checksum: bool,
    /// Compression of datagrams with ENet's range coder. A datagram that does not shrink goes as it is. Without it,
    /// compressed datagrams are dropped. Default `false`.
    pub compression: bool,
    /// After so long without an acknowledgement a peer that owes none is sent a ping. Milliseconds, default 500.
    pub ping_interval_ms: u32,
    /// A command is given up, and the peer with it, when it was sent again so often that the factor of its
    /// timeout (1, 2, 4, ...) has reached this, but not before [`timeout_minimum_ms`](Config::timeout_minimum_ms).
    /// Default 32.
    pub timeout_limit: u32,
    /// A peer that acknowledges nothing for less is not given up. Milliseconds, default 5,000.
    pub timeout_minimum_ms: u32,
    /// A peer that acknowledges nothing for longer is given up in any case. Milliseconds, default 30,000.
    pub timeout_maximum_ms: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            peers_max: 4095,
            peers_per_address_max: usize::MAX,
            channels_max: 255,
            mtu: 1392,
            incoming_bandwidth: 0,
            outgoing_bandwidth: 0,
            message_max: 256 * 1024,
            newcomer_message_max: usize::MAX,
            waiting_max: 512 * 1024,
            output_max: 1024 * 1024,
            half_open_max: 8192,
            connects_per_second: 64,
            connect_burst: 256,
            linger_ms: 0,
            accept: true,
            checksum: false,
            compression: false,
            ping_interval_ms: 500,
            timeout_limit: 32,
            timeout_minimum_ms: 5000,
            timeout_maximum_ms: 30_000,
        }
    }
}
