//! What went wrong and how often.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use windlass_proto::ws::{HandshakeError, WsError};

/// Counts of one service on all its workers: connections opened, and errors by kind. Cloned, it counts and
/// shows the same; nothing is counted per message.
#[derive(Clone, Default)]
pub struct WsStats {
    inner: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    opened: AtomicU64,
    errors: [AtomicU64; WsError::KINDS],
    handshakes: [AtomicU64; HandshakeError::KINDS],
}

impl WsStats {
    /// All zero.
    pub fn new() -> WsStats {
        WsStats::default()
    }

    /// Opening handshakes that succeeded.
    pub fn opened(&self) -> u64 {
        self.inner.opened.load(Ordering::Relaxed)
    }

    /// Errors by their label, [`WsError`] and [`HandshakeError`], those that never happened left away.
    pub fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let open = self.inner.errors.iter().enumerate().map(move |(n, c)| (WsError::label_of(n), count(c)));
        let handshakes = self.inner.handshakes.iter().enumerate();
        let handshakes = handshakes.map(move |(n, c)| (HandshakeError::label_of(n), count(c)));
        open.chain(handshakes).filter(|(_, n)| *n > 0).filter_map(|(label, n)| Some((label?, n)))
    }

    pub(super) fn count_opened(&self) {
        self.inner.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self, error: &WsError) {
        self.inner.errors[error.kind()].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_handshake(&self, error: &HandshakeError) {
        self.inner.handshakes[error.kind()].fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for WsStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entry(&"opened", &self.opened()).entries(self.errors()).finish()
    }
}
