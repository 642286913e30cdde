//! What `[proxy.udp]` may hold.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_proxy::{UdpConfig, WhenFlowsFull};

use crate::config::value::{Count, Time};

/// How datagrams are passed on, with `mode = "udp"`. A flow is what comes from one port of a client, and what its
/// backend answers.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UdpTable {
    /// Flows of each worker. Each takes a descriptor and a port.
    pub(crate) flows_max: Count,
    /// Flows of each worker from one address, or one /64 of IPv6. 0: any number.
    pub(crate) source_flows_max: Count,
    /// What a newcomer finds when there are as many.
    pub(crate) when_flows_full: WhenFlowsFullName,
    /// A flow ends after so much silence in both directions.
    pub(crate) idle_timeout: Time,
    /// The same while the server shuts down.
    pub(crate) drain_idle_timeout: Time,
    /// Datagrams that answer each one of a client: a flow ends with the last. 0: it is not known how many.
    pub(crate) replies_expected: Count,
    /// Datagrams of a client that one flow takes; with 1 each may go to another backend. 0: any number.
    pub(crate) requests_max: Count,
    /// Bytes that a client may be sent for each it has sent, until it has answered an answer. 0: any number.
    pub(crate) reply_factor_max: Count,
}

impl Default for UdpTable {
    fn default() -> UdpTable {
        let config = UdpConfig::default();
        let count = |n: u32| Count(n as usize);
        UdpTable {
            flows_max: Count(config.flows_max),
            source_flows_max: Count(config.source_flows_max),
            when_flows_full: WhenFlowsFullName::default(),
            idle_timeout: Time(config.idle),
            drain_idle_timeout: Time(config.drain_idle),
            replies_expected: count(config.replies_expected),
            requests_max: count(config.requests_max),
            reply_factor_max: count(config.reply_factor_max),
        }
    }
}

/// What a flow finds that would be one too many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WhenFlowsFullName {
    /// The one that was silent for longest makes way, those first whose client has not answered an answer.
    #[default]
    Evict,
    /// Its datagrams are dropped.
    Refuse,
}

impl WhenFlowsFullName {
    pub(crate) fn of_proxy(self) -> WhenFlowsFull {
        match self {
            WhenFlowsFullName::Evict => WhenFlowsFull::Evict,
            WhenFlowsFullName::Refuse => WhenFlowsFull::Refuse,
        }
    }
}
