//! The workloads of the comparison.

use std::time::Duration;

use crate::echo::{EchoOptions, Mode};
use crate::load::Options;
use crate::mqtt;

/// How long a connection may owe a reply and give nothing, in a comparison. Some peers stall on
/// purpose of being here, and waiting longer for them shows nothing new.
const STALL: Duration = Duration::from_millis(1500);

/// What a workload's first column of figures is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Messages or connections per second.
    Throughput { unit: &'static str },
    /// Mebibytes per second.
    Streaming,
    /// Server memory per idle connection.
    Idle,
    /// Slow readers beside good clients.
    Slow,
    /// Latency at a fixed rate.
    OpenLoop,
}

/// What is said on the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// Messages, which come back as they are.
    Echo,
    /// Requests for a body of so many bytes.
    Http { body: usize },
    /// Datagrams from so many addresses, which come back as they are.
    Datagrams { peers: usize },
    /// Messages through a broker, by so many as the workload has connections.
    Mqtt { mode: mqtt::Mode, qos: u8 },
}

/// One workload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) kind: Kind,
    pub(crate) says: Says,
    mode: Mode,
    /// Of datagrams, how many are under way.
    connections: usize,
    size: usize,
    depth: u64,
    rate: Option<u64>,
    /// Both sides use cubic: BBR paces by timers, which halves streaming over loopback and
    /// measures the timers.
    pub(crate) cubic: bool,
}

const STEADY: Workload = Workload {
    id: "",
    title: "",
    kind: Kind::Throughput { unit: "messages/s" },
    says: Says::Echo,
    mode: Mode::Steady,
    connections: 64,
    size: 64,
    depth: 1,
    rate: None,
    cubic: false,
};

/// All workloads, in the order of the tables.
pub(crate) const ALL: [Workload; 9] = [
    Workload { id: "W1", title: "64 B messages, 64 connections, depth 1", ..STEADY },
    Workload { id: "W2", title: "64 B messages, 1,000 connections, depth 1", connections: 1000, ..STEADY },
    Workload {
        id: "W3",
        title: "64 B messages, 100 connections, depth 32",
        connections: 100,
        depth: 32,
        ..STEADY
    },
    Workload {
        id: "W4",
        title: "16 KiB messages, 64 connections, depth 4, cubic",
        size: 16 << 10,
        depth: 4,
        cubic: true,
        ..STEADY
    },
    Workload {
        id: "W5",
        title: "1 MiB messages, 8 connections, depth 2, cubic",
        kind: Kind::Streaming,
        connections: 8,
        size: 1 << 20,
        depth: 2,
        cubic: true,
        ..STEADY
    },
    Workload {
        id: "W6",
        title: "connect, one echo of 64 B, close; 32 at a time",
        kind: Kind::Throughput { unit: "connections/s" },
        mode: Mode::Churn,
        connections: 32,
        ..STEADY
    },
    Workload {
        id: "W7",
        title: "10,000 idle connections",
        kind: Kind::Idle,
        mode: Mode::Idle,
        connections: 10_000,
        ..STEADY
    },
    Workload {
        id: "W8",
        title: "4 clients send 64 MiB each and do not read for 5 s, beside 16 good ones",
        kind: Kind::Slow,
        mode: Mode::Slow,
        connections: 16,
        ..STEADY
    },
    Workload {
        id: "W9",
        title: "open loop at 50,000 messages/s, 64 B, 64 connections",
        kind: Kind::OpenLoop,
        rate: Some(50_000),
        ..STEADY
    },
];

/// What relays are measured on.
pub(crate) const RELAY: [Workload; 4] = [
    Workload { id: "R1", title: "64 B round trips, 32 connections", connections: 32, ..STEADY },
    Workload {
        id: "R2",
        title: "1 MiB messages there and back, 4 connections, depth 2",
        kind: Kind::Streaming,
        connections: 4,
        size: 1 << 20,
        depth: 2,
        ..STEADY
    },
    Workload {
        id: "R3",
        title: "connect, one round trip of 64 B, close; 32 at a time",
        kind: Kind::Throughput { unit: "connections/s" },
        mode: Mode::Churn,
        connections: 32,
        ..STEADY
    },
    Workload {
        id: "R4",
        title: "4,000 idle pairs",
        kind: Kind::Idle,
        mode: Mode::Idle,
        connections: 4_000,
        ..STEADY
    },
];

/// What proxies are measured on: TCP as relays are, requests, datagrams.
pub(crate) const PROXY: [Workload; 11] = [
    Workload { id: "T1", ..RELAY[0] },
    Workload { id: "T2", ..RELAY[1] },
    Workload { id: "T3", ..RELAY[2] },
    Workload { id: "T4", ..RELAY[3] },
    Workload { title: "`GET` of 128 B, 32 connections that are kept", ..asks("H1", 128) },
    Workload {
        title: "connect, `GET` of 128 B, close; 32 at a time",
        kind: Kind::Throughput { unit: "connections/s" },
        mode: Mode::Churn,
        ..asks("H2", 128)
    },
    Workload {
        title: "`GET` of 1 MiB, 4 connections that are kept",
        kind: Kind::Streaming,
        connections: 4,
        ..asks("H3", 1 << 20)
    },
    Workload { title: "64 B datagrams of one flow, 64 under way", ..datagrams("U1", 1, 64) },
    Workload { title: "1,200 B datagrams of one flow, 64 under way", ..datagrams("U2", 1, 1200) },
    Workload { title: "64 B datagrams of 1,000 flows, 64 under way", ..datagrams("U3", 1000, 64) },
    Workload { title: "1,200 B datagrams of 1,000 flows, 64 under way", ..datagrams("U4", 1000, 1200) },
];

/// What honest clients say while there are slow ones, of a proxy of TCP and one of HTTP.
pub(crate) const BESIDE_SLOW: [Workload; 2] = [
    Workload {
        id: "S1",
        title: "64 B round trips, 8 connections, beside 20,000 slow clients",
        connections: 8,
        ..STEADY
    },
    Workload {
        title: "`GET` of 128 B, 8 connections, beside 20,000 slow clients",
        connections: 8,
        ..asks("S2", 128)
    },
];

/// What MQTT brokers are measured on.
pub(crate) const HUB: [Workload; 9] = [
    Workload { title: "100 pairs, one message under way on each, QoS 0", ..mqtt("P1", mqtt::Mode::Pairs, 0) },
    Workload {
        title: "100 pairs, 16 messages under way, QoS 0",
        depth: 16,
        ..mqtt("P2", mqtt::Mode::Pairs, 0)
    },
    Workload { title: "100 pairs, one message under way, QoS 1", ..mqtt("P3", mqtt::Mode::Pairs, 1) },
    Workload {
        title: "100 pairs, 16 messages under way, QoS 1",
        depth: 16,
        ..mqtt("P4", mqtt::Mode::Pairs, 1)
    },
    Workload {
        title: "one publisher to 1,000 subscribers, 4 messages under way, QoS 0",
        connections: 1000,
        depth: 4,
        ..mqtt("F1", mqtt::Mode::FanOut, 0)
    },
    Workload {
        title: "1,000 publishers to one subscriber, 16 messages under way of each, QoS 0",
        connections: 1000,
        depth: 16,
        ..mqtt("F2", mqtt::Mode::FanIn, 0)
    },
    Workload {
        title: "connect, subscribe, close; one after the other",
        kind: Kind::Throughput { unit: "connections/s" },
        connections: 1,
        ..mqtt("C1", mqtt::Mode::Connect, 0)
    },
    Workload {
        title: "9,000 idle connections with one subscription each",
        kind: Kind::Idle,
        connections: 9_000,
        ..mqtt("M1", mqtt::Mode::Idle, 0)
    },
    // Not more under way than 150,000 a second leave time for: with 16 of each, the 1,600 would wait 10 ms for one
    // another whatever the broker does, and 5 ms are to be kept.
    Workload {
        title: "100 publishers of retained messages, 4 under way of each, QoS 1; what is acknowledged",
        depth: 4,
        ..mqtt("D1", mqtt::Mode::Publish, 1)
    },
];

const fn mqtt(id: &'static str, mode: mqtt::Mode, qos: u8) -> Workload {
    Workload { id, says: Says::Mqtt { mode, qos }, connections: 100, ..STEADY }
}

const fn asks(id: &'static str, body: usize) -> Workload {
    let kind = Kind::Throughput { unit: "requests/s" };
    Workload { id, kind, says: Says::Http { body }, connections: 32, size: body, ..STEADY }
}

const fn datagrams(id: &'static str, peers: usize, size: usize) -> Workload {
    let kind = Kind::Throughput { unit: "datagrams/s" };
    Workload { id, kind, says: Says::Datagrams { peers }, connections: 64, size, ..STEADY }
}

impl Workload {
    /// Whether more workers can make a difference to its figures.
    pub(crate) fn scales(&self) -> bool {
        matches!(self.kind, Kind::Throughput { .. } | Kind::Streaming)
    }

    /// The generator's options for one run against one server.
    pub(crate) fn options(&self, seconds: Duration) -> EchoOptions {
        let load = Options {
            connections: self.connections,
            size: self.size,
            depth: self.depth,
            duration: seconds,
            warmup: (seconds / 4).max(Duration::from_millis(250)),
            rate: self.rate,
            cubic: self.cubic,
            stall: STALL,
            ..Options::default()
        };
        EchoOptions { load, mode: self.mode, ..EchoOptions::default() }
    }
}

/// Picks workloads by a list like `W1,W4`.
///
/// # Errors
/// A name that does not exist.
pub(crate) fn select(names: &[String]) -> anyhow::Result<Vec<Workload>> {
    let known = |name: &String| {
        let found = ALL.iter().find(|workload| workload.id.eq_ignore_ascii_case(name)).copied();
        found.ok_or_else(|| anyhow::anyhow!("there is no workload `{name}`; they are W1 to W9"))
    };
    if names.is_empty() { Ok(ALL.to_vec()) } else { names.iter().map(known).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selection() {
        let names = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let picked = select(&names("w4,W1")).unwrap();
        assert_eq!(picked.iter().map(|workload| workload.id).collect::<Vec<_>>(), ["W4", "W1"]);
        assert_eq!(select(&[]).unwrap().len(), 9);
        assert!(select(&names("W1,W10")).unwrap_err().to_string().contains("`W10`"));
    }
}
