//! What a host tells, and what it counts.

use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use core::net::SocketAddr;

/// Names one peer of one [`Host`](super::Host), for as long as the host lives: the id of a peer that is gone is never
/// another's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PeerId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl PeerId {
    /// A number below [`Config::peers_max`](super::Config::peers_max), small while peers are few: where a table of
    /// sessions has this one. A later peer may have the same.
    #[inline]
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// How a message travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// It arrives, once, and in its channel's order.
    Reliable,
    /// It may be lost. What was overtaken in its channel is dropped, so the last one to arrive is the newest.
    /// A message longer than a datagram travels in fragments, and is lost with any of them.
    Unreliable,
    /// It may be lost, or arrive in any order, but once. It has to fit into one datagram.
    Unsequenced,
}

/// What has happened, in its order.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A peer is connected: one that asked us, or one that we asked.
    Connected {
        /// Who it is from now on.
        peer: PeerId,
        /// Where it is. It has shown that it receives there.
        addr: SocketAddr,
        /// Channels granted; they are numbered from zero.
        channels: usize,
        /// The number that CONNECT carried, for the application. Ours, if we asked.
        code: u32,
    },
    /// A message has arrived.
    Message {
        /// From whom.
        peer: PeerId,
        /// On which channel.
        channel: u8,
        /// How it travelled.
        kind: Kind,
        /// What it says.
        bytes: Vec<u8>,
    },
    /// The peer is gone: once for each that was connected and neither [`reset`](super::Host::reset) nor
    /// disconnected at once by us, and once for each that we asked in vain.
    Disconnected {
        /// Who it was.
        peer: PeerId,
        /// Why.
        ended: Ended,
    },
}

/// Why a peer is gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Ended {
    /// It has disconnected, with this number for the application.
    Remote(u32),
    /// We have.
    Local,
    /// It has acknowledged nothing for too long, or not answered our CONNECT.
    TimedOut,
    /// It has refused our CONNECT, or its answer is none to what we asked.
    Refused,
}

/// Why a message was not queued. Nothing of it is sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum SendError {
    /// There is no such peer, it is not connected yet, or not any more.
    NotConnected,
    /// It has fewer channels.
    Channel,
    /// Longer than [`Config::message_max`](super::Config::message_max), or an unsequenced message that does not
    /// fit into a datagram.
    TooLong,
    /// More than [`Config::output_max`](super::Config::output_max) would wait for the peer.
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::NotConnected => "the peer is not connected",
            SendError::Channel => "the peer has no such channel",
            SendError::TooLong => "the message is too long",
            SendError::Full => "too much waits for the peer already",
        })
    }
}

impl Error for SendError {}

/// Why a connection was not begun.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// There are [`Config::peers_max`](super::Config::peers_max) peers.
    Full,
    /// All ids are taken by peers of this address.
    NoId,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnectError::Full => "there are as many peers as there may be",
            ConnectError::NoId => "there are as many peers of this address as there can be",
        })
    }
}

impl Error for ConnectError {}

/// What a host has done and refused since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams that came.
    pub datagrams_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Messages handed out.
    pub messages_in: u64,
    /// Messages queued.
    pub messages_out: u64,
    /// Reliable commands sent again.
    pub resent: u64,
    /// Unreliable messages not sent for the throttle's sake.
    pub throttled: u64,
    /// CONNECTs remembered, repetitions left out.
    pub connects: u64,
    /// Answers to CONNECTs.
    pub answers: u64,
    /// Peers that came to be connected.
    pub connected: u64,
    /// Dropped: too long, too short, or not what the checksum or the compression says.
    pub dropped_malformed: u64,
    /// Dropped: of nobody we know, or with another session's number.
    pub dropped_unknown: u64,
    /// Commands dropped: not allowed now, or impossible numbers. The rest of their datagram went with them.
    pub dropped_commands: u64,
    /// Messages, fragments and acknowledgements dropped: too late, twice, or overtaken. They are normal on a lossy
    /// network.
    pub dropped_late: u64,
    /// Messages and fragments not taken, since too much waits already.
    pub dropped_full: u64,
    /// Acknowledgements dropped, since too many wait already.
    pub dropped_acknowledgements: u64,
    /// CONNECTs not answered: their address has sent too many.
    pub refused_rate: u64,
    /// CONNECTs not answered: there are too many peers, or too many of that address.
    pub refused_full: u64,
    /// CONNECTs not answered: impossible numbers, or not accepting.
    pub refused_connect: u64,
    /// Half-open connections that made room for others.
    pub evicted: u64,
    /// Answers that do not show that their sender got ours: guesses.
    pub unproven: u64,
}

/// How one peer fares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PeerStats {
    /// Where it is.
    pub addr: SocketAddr,
    /// The mean round trip in milliseconds; 500 before the first was measured.
    pub rtt_ms: u32,
    /// Its mean deviation.
    pub rtt_variance_ms: u32,
    /// The longest datagram sent to it.
    pub mtu: u16,
    /// Its channels.
    pub channels: usize,
    /// Of 32 unreliable messages so many are sent.
    pub throttle: u32,
    /// Bytes queued or not acknowledged, as [`Config::output_max`](super::Config::output_max) counts.
    pub queued_bytes: usize,
    /// Bytes received that wait to be whole, in order, or taken.
    pub waiting_bytes: usize,
    /// Reliable commands sent, and of them those sent again.
    pub sent: u64,
    /// Reliable commands that were sent again.
    pub resent: u64,
}
