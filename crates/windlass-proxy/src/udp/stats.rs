//! What is counted of flows: plainly on each worker, and added up for all now and then.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Flows of datagrams, of all workers. Counts are since the start, as of each worker's last tick
        /// ([`Proxy::TICK`](crate::Proxy::TICK)). How many flows there are, and were, is in
        /// [`ProxyStats::clients`](crate::ProxyStats::clients) and
        /// [`ProxyStats::opened`](crate::ProxyStats::opened).
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        #[non_exhaustive]
        pub struct UdpStats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// Those of all workers.
        #[derive(Debug, Default)]
        pub(crate) struct Totals {
            $($name: AtomicU64,)*
        }

        impl Totals {
            /// Adds what one worker has counted, which begins anew.
            pub(crate) fn add(&self, counted: &mut UdpStats) {
                $(if counted.$name > 0 {
                    self.$name.fetch_add(counted.$name, Relaxed);
                })*
                *counted = UdpStats::default();
            }

            pub(crate) fn all(&self) -> UdpStats {
                UdpStats { $($name: self.$name.load(Relaxed),)* }
            }
        }

        impl UdpStats {
            /// All of them by name, fit for a metric's label.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counts! {
    /// Datagrams of clients that were passed on.
    requests,
    /// The bytes in them, without a PROXY header of ours.
    request_bytes,
    /// Datagrams of backends that were passed on.
    replies,
    /// The bytes in them.
    reply_bytes,
    /// Flows that ended after silence.
    expired,
    /// Flows that ended with the last answer that was expected.
    answered,
    /// Flows that made way for others, [`UdpConfig::flows_max`](crate::UdpConfig::flows_max) being reached or
    /// the system's sockets used up.
    evicted,
    /// Flows that made way for others of their own source.
    source_evicted,
    /// Flows that ended because the address they came to is served no more.
    orphaned,
    /// Flows that an operator ended, with all others of their backend.
    severed,
    /// Flows that went on with another backend, since nobody listened at theirs or checks had found it down.
    moved,
    /// Datagrams of newcomers that were dropped: as many flows as may be.
    refused_full,
    /// As many from this source as may be.
    refused_source,
    /// No backend takes new flows.
    refused_no_backend,
    /// Every backend has as many flows as it may.
    refused_backends_full,
    /// The circuit breakers of all that could take them are open.
    refused_circuit_open,
    /// Their source is denied, or has as many flows, or begins them as fast, as may be: see
    /// [`ProxyStats::refused`](crate::ProxyStats::refused).
    refused_guard,
    /// A limit of this server, or of its system, was in the way of a socket.
    refused_resources,
    /// The server is shutting down.
    refused_draining,
    /// Datagrams of clients that were dropped: as many of their source in a second as may be
    /// ([`GuardConfig::request_rate`](crate::GuardConfig::request_rate)).
    requests_refused,
    /// Datagrams to backends that were dropped: the system had no room, and the socket's queue is full.
    requests_dropped,
    /// The same of datagrams to clients.
    replies_dropped,
    /// Datagrams to clients that were withheld: more than
    /// [`UdpConfig::reply_factor_max`](crate::UdpConfig::reply_factor_max) for a client that may not be there.
    replies_withheld,
    /// Errors that the system reported on sockets to backends: nobody listens there, above all.
    backend_errors,
    /// Errors that it reported on sockets to clients.
    client_errors,
}

impl UdpStats {
    /// Datagrams of newcomers that were dropped, for whatever reason.
    pub fn refused(&self) -> u64 {
        self.refused_full
            + self.refused_source
            + self.refused_no_backend
            + self.refused_backends_full
            + self.refused_circuit_open
            + self.refused_guard
            + self.refused_resources
            + self.refused_draining
    }
}
