//! HTTP, driven by hand, on a network without faults.

mod basics;
mod bytes;
mod edges;
mod faults;
mod leaving;
mod passing;
mod stale;

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use windlass::testing::{Harness, TestCall, TestPeer};

use super::config;
use crate::{Ending, Exchanged, ForwardedHeaders, Front, HttpStats, ProxyConfig};

/// What was told of a request that is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Told {
    pub(super) line: String,
    pub(super) status: u16,
    pub(super) bytes: (u64, u64),
    pub(super) reused: bool,
    pub(super) retries: u32,
    pub(super) total: Duration,
    pub(super) ending: Ending,
}

pub(super) struct Case {
    pub(super) front: Front,
    pub(super) harness: Harness,
    told: Receiver<Told>,
}

impl Case {
    pub(super) fn new(config: ProxyConfig) -> Case {
        Case::with_buffers(config, 1 << 20)
    }

    pub(super) fn with_buffers(config: ProxyConfig, bytes: usize) -> Case {
        let front = Front::new(config).unwrap();
        let (sender, told) = channel();
        let serve = front.serve_http_with(move |proxy| {
            let sender = sender.clone();
            proxy.on_exchange(move |exchanged| sender.send(tell(exchanged)).unwrap())
        });
        Case { front, harness: Harness::with_buffers(serve, bytes), told }
    }

    /// A client that has said this.
    pub(super) fn client(&mut self, says: &str) -> TestPeer {
        let client = self.harness.connect();
        self.harness.send(client, says);
        client
    }

    /// The only call that waits for an answer.
    pub(super) fn call(&self) -> TestCall {
        let mut calls = self.harness.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.remove(0)
    }

    /// Accepts it.
    pub(super) fn accept(&mut self) -> TestPeer {
        let call = self.call();
        self.harness.accept(&call)
    }

    pub(super) fn heard(&mut self, peer: TestPeer) -> String {
        String::from_utf8(self.harness.receive(peer)).unwrap()
    }

    pub(super) fn http(&self) -> HttpStats {
        self.front.stats().http
    }

    pub(super) fn told(&self) -> Vec<Told> {
        self.told.try_iter().collect()
    }

    /// Connections to all backends, requests under way there, and clients.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let stats = self.front.stats();
        let connections = stats.backends.iter().map(|backend| backend.connections).sum();
        (connections, stats.backends.iter().map(|backend| backend.busy).sum(), stats.clients)
    }
}

fn tell(exchanged: &Exchanged<'_>) -> Told {
    Told {
        line: format!("{} {} {}", exchanged.method, exchanged.target, exchanged.host),
        status: exchanged.status.map_or(0, |status| status.code()),
        bytes: (exchanged.request_bytes, exchanged.response_bytes),
        reused: exchanged.reused,
        retries: exchanged.retries,
        total: exchanged.total,
        ending: exchanged.ending,
    }
}

pub(super) const GET: &str = "GET /a?b HTTP/1.1\r\nHost: h\r\nAccept: x\r\n\r\n";
pub(super) const GOT: &str = "GET /a?b HTTP/1.1\r\nhost: h\r\nAccept: x\r\n\r\n";
pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi";
pub(super) const ANSWER: &str = "HTTP/1.1 200 OK\r\nX-A: b\r\ncontent-length: 2\r\n\r\nhi";

pub(super) fn one() -> ProxyConfig {
    backends(&["10.0.0.1:80"])
}

/// Backends that are not told who asks.
pub(super) fn backends(addresses: &[&str]) -> ProxyConfig {
    let mut config = config(addresses);
    config.http.forwarded.headers = ForwardedHeaders::Off;
    config
}
