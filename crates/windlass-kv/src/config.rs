//! What can be set: plain data.

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use crate::store::{Eviction, StoreConfig};

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
    /// The protocol of listeners by their [tag](windlass::Serve::tag): those with tag 0, or none, speak the
    /// first; tags beyond the last speak the last.
    pub protocols: Vec<Protocol>,
    /// The time at which the service is made, in milliseconds since 1970 (Unix time). From there on it
    /// follows the engine's clock: deadlines of keys that clients give as a date need it.
    pub unix_ms: u64,
    /// What RESP clients must say with `AUTH` or `HELLO` before anything else is done for them. `None`, the
    /// default, asks for nothing.
    pub password: Option<Secret>,
    /// How long a client may take to say it; then its connection ends. Default 10 s.
    pub auth_timeout: Duration,
    /// Words of a RESP command. Default 1,048,576, as in Redis.
    pub args_max: usize,
    /// Bytes of the commands that one connection queues in a transaction. Default 8 MiB.
    pub transaction_max: usize,
    /// Bytes that all connections together have queued in transactions, and of the keys they watch. Over it
    /// commands are refused instead of queued. Default 64 MiB.
    pub transactions_max: usize,
    /// Bytes that the names of all subscriptions take, with some for each. Default 64 MiB.
    pub subscriptions_max: usize,
}

/// What can be changed while a [`Kv`](crate::Kv) serves: send it to its mailbox. What is stored stays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KvSettings {
    /// As in [`StoreConfig`].
    pub memory_max: usize,
    /// As in [`StoreConfig`]; connections that are open may send values as long as before.
    pub value_max: usize,
    /// As in [`StoreConfig`].
    pub eviction: Eviction,
    /// As in [`KvConfig`]. Clients that have said the one before stay authenticated; those that were asked
    /// for none are not asked now.
    pub password: Option<Secret>,
}

/// Something that is in no log: its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Keeps a secret.
    pub fn new(secret: impl AsRef<[u8]>) -> Secret {
        Secret(secret.as_ref().into())
    }

    /// Whether this is it. How long that takes tells its length at most, and nothing of what it is.
    pub fn is(&self, guess: &[u8]) -> bool {
        let mut different = self.0.len() ^ guess.len();
        for (at, byte) in self.0.iter().enumerate() {
            different |= usize::from(byte ^ guess.get(at).unwrap_or(&0));
            // Or the optimizer might stop at the first that differs.
            different = black_box(different);
        }
        different == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Default for KvConfig {
    fn default() -> KvConfig {
        KvConfig {
            store: StoreConfig::default(),
            protocols: vec![Protocol::Resp],
            unix_ms: 0,
            password: None,
            auth_timeout: Duration::from_secs(10),
            args_max: 1 << 20,
            transaction_max: 8 << 20,
            transactions_max: 64 << 20,
            subscriptions_max: 64 << 20,
        }
    }
}

impl KvConfig {
    /// The protocol of listeners with this tag.
    pub(crate) fn protocol(&self, tag: u32) -> Protocol {
        self.protocols.get(tag as usize).or(self.protocols.last()).copied().unwrap_or_default()
    }
}
