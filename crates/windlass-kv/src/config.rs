//! What can be set: plain data.

use crate::store::StoreConfig;

/// What a listener speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// RESP2 and RESP3: Redis.
    #[default]
    Resp,
    /// memcached, text and binary: the first byte of a connection tells which.
    Memcached,
}

/// How a [`Kv`](crate::Kv) serves. Plain data with `Default`: RESP on every listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KvConfig {
    /// What bounds the store.
    pub store: StoreConfig,
    /// The protocol of each listener, in the order of
    /// [`Bound::addresses`](windlass::Bound::addresses); listeners beyond the last speak the last.
    pub protocols: Vec<Protocol>,
    /// The time at which the service is made, in milliseconds since 1970 (Unix time). From there on it
    /// follows the engine's clock: deadlines of keys that clients give as a date need it.
    pub unix_ms: u64,
}

impl Default for KvConfig {
    fn default() -> KvConfig {
        KvConfig { store: StoreConfig::default(), protocols: vec![Protocol::Resp], unix_ms: 0 }
    }
}

impl KvConfig {
    /// The protocol of a listener.
    pub(crate) fn protocol(&self, listener: usize) -> Protocol {
        self.protocols.get(listener).or(self.protocols.last()).copied().unwrap_or_default()
    }
}
