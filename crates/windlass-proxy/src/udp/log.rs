//! What an access log can tell of a flow.

use std::net::SocketAddr;
use std::time::Duration;

use crate::udp::stats::UdpStats;

/// A flow that is over: what [`UdpProxy::on_flow`](crate::UdpProxy::on_flow) hears of. One that goes on with another
/// backend is over at the first ([`FlowEnding::Moved`]), and begins anew at the other.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FlowEnded<'a> {
    /// Where its datagrams came from.
    pub client: SocketAddr,
    /// The address of ours that they came to; `None` if that is not served any more.
    pub to: Option<SocketAddr>,
    /// The name of its backend.
    pub backend: &'a str,
    /// Datagrams of the client that were passed on, or dropped behind a full queue.
    pub requests: u64,
    /// The bytes in them, without a PROXY header of ours.
    pub request_bytes: u64,
    /// Datagrams of the backend, with those that were withheld
    /// ([`UdpConfig::reply_factor_max`](crate::UdpConfig::reply_factor_max)).
    pub replies: u64,
    /// The bytes in them, without those that were withheld.
    pub reply_bytes: u64,
    /// From its first datagram to its last, in either direction: the silence that ended it is not in it.
    pub lasted: Duration,
    /// What ended it.
    pub ending: FlowEnding,
}

/// What ended a flow. The counts of [`UdpStats`](crate::UdpStats) have the same names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum FlowEnding {
    /// Silence, for [`UdpConfig::idle`](crate::UdpConfig::idle).
    Expired,
    /// The last answer that was expected.
    Answered,
    /// It made way for another.
    Evicted,
    /// It made way for another of its own source.
    SourceEvicted,
    /// The address that it came to is served no more.
    Orphaned,
    /// An operator ended all flows of its backend.
    Severed,
    /// Nobody listened at its backend, or checks had found that down: another one goes on.
    Moved,
    /// Its server ended before it, or its socket did.
    Closed,
}

impl FlowEnding {
    /// A short stable name, fit for a metric's label.
    pub const fn label(self) -> &'static str {
        match self {
            FlowEnding::Expired => "expired",
            FlowEnding::Answered => "answered",
            FlowEnding::Evicted => "evicted",
            FlowEnding::SourceEvicted => "source_evicted",
            FlowEnding::Orphaned => "orphaned",
            FlowEnding::Severed => "severed",
            FlowEnding::Moved => "moved",
            FlowEnding::Closed => "closed",
        }
    }

    /// Counts one that ended so.
    pub(super) fn count(self, counted: &mut UdpStats) {
        let of = match self {
            FlowEnding::Expired => &mut counted.expired,
            FlowEnding::Answered => &mut counted.answered,
            FlowEnding::Evicted => &mut counted.evicted,
            FlowEnding::SourceEvicted => &mut counted.source_evicted,
            FlowEnding::Orphaned => &mut counted.orphaned,
            FlowEnding::Severed => &mut counted.severed,
            FlowEnding::Moved => &mut counted.moved,
            FlowEnding::Closed => return,
        };
        *of += 1;
    }
}
