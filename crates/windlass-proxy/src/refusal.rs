//! Why a client was not served, and how often each happened.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use windlass::Close;
use windlass_proto::ClientHelloError;
use windlass_proto::proxy_protocol::HeaderError;

/// Why a client was not served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// Only certain peers are served, and it is none of them.
    Untrusted,
    /// It is one of those that are not let in, or none of those that are.
    Denied,
    /// Its source connects more often than it may.
    Rate,
    /// Its source has as many connections as it may.
    SourceFull,
    /// Its source makes more requests than it may. It is answered with 429, and may stay.
    RequestRate,
    /// It began with a PROXY header, and is nobody to be believed.
    Spoofed,
    /// Its PROXY header is wrong.
    Header(HeaderError),
    /// What it began with is no ClientHello, and nothing but TLS is served.
    Hello(ClientHelloError),
    /// No route leads to what it asks for.
    NoRoute,
    /// It did not say in time what it has to say first.
    Silent,
    /// There is no backend that takes new connections.
    NoBackend,
    /// The circuit breakers of those that would are open.
    CircuitOpen,
    /// No backend has room, and as many wait as may.
    QueueFull,
    /// It waited for as long as it may.
    QueueTimeout,
    /// No backend could be reached in as many tries as there are.
    Unreachable,
    /// A limit of this server, or of its system, was in the way of a connection to a backend.
    Resources,
}

/// How many kinds there are.
const KINDS: usize = 16;

impl Refusal {
    fn kind(&self) -> usize {
        match self {
            Refusal::Untrusted => 0,
            Refusal::Spoofed => 1,
            Refusal::Header(_) => 2,
            Refusal::Hello(_) => 3,
            Refusal::NoRoute => 4,
            Refusal::Silent => 5,
            Refusal::NoBackend => 6,
            Refusal::QueueFull => 7,
            Refusal::QueueTimeout => 8,
            Refusal::Unreachable => 9,
            Refusal::Resources => 10,
            Refusal::CircuitOpen => 11,
            Refusal::Denied => 12,
            Refusal::Rate => 13,
            Refusal::SourceFull => 14,
            Refusal::RequestRate => 15,
        }
    }

    /// A short stable name, fit for a metric's label.
    pub fn label(&self) -> &'static str {
        LABELS[self.kind()]
    }

    /// Whether it is the guard's: then it may be drawn out.
    pub(crate) fn is_the_guards(&self) -> bool {
        matches!(self, Refusal::Denied | Refusal::Rate | Refusal::SourceFull)
    }

    /// The end of its connection: the client's doing, or what we lack.
    pub(crate) fn close(self) -> Close {
        match self {
            Refusal::Silent => Close::Timeout,
            Refusal::Untrusted
            | Refusal::Spoofed
            | Refusal::Header(_)
            | Refusal::Hello(_)
            | Refusal::NoRoute
            | Refusal::Denied
            | Refusal::Rate
            | Refusal::SourceFull
            | Refusal::RequestRate => Close::Protocol(Box::new(self)),
            _ => Close::Unavailable(Box::new(self)),
        }
    }
}

/// In the order of `Refusal::kind`.
const LABELS: [&str; KINDS] = [
    "untrusted",
    "spoofed",
    "header",
    "hello",
    "no_route",
    "silent",
    "no_backend",
    "queue_full",
    "queue_timeout",
    "unreachable",
    "resources",
    "circuit_open",
    "denied",
    "rate",
    "source_full",
    "request_rate",
];

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Untrusted => "not one of the peers that may connect",
            Refusal::Denied => "not let in",
            Refusal::Rate => "too many new connections of one source",
            Refusal::RequestRate => "too many requests of one source",
            Refusal::SourceFull => "too many connections of one source",
            Refusal::Spoofed => "a PROXY header from somebody who is not believed",
            Refusal::Header(error) => return error.fmt(f),
            Refusal::Hello(error) => return error.fmt(f),
            Refusal::NoRoute => "no route leads to what was asked for",
            Refusal::Silent => "nothing was said in time",
            Refusal::NoBackend => "no backend takes new connections",
            Refusal::CircuitOpen => "every backend has failed too often of late",
            Refusal::QueueFull => "no backend has room, and the queue is full",
            Refusal::QueueTimeout => "no backend had room in time",
            Refusal::Unreachable => "no backend could be reached",
            Refusal::Resources => "no connection to a backend could be begun",
        })
    }
}

impl Error for Refusal {}

/// How often each happened.
#[derive(Debug, Default)]
pub(crate) struct Refusals([AtomicU64; KINDS]);

impl Refusals {
    pub(crate) fn count(&self, refusal: &Refusal) {
        self.0[refusal.kind()].fetch_add(1, Relaxed);
    }

    /// By label.
    pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
        LABELS.into_iter().zip(self.0.iter().map(|count| count.load(Relaxed))).collect()
    }
}
