//! What the WebSockets of one worker share.

use windlass::{Bytes, Conn, ConnId};
use windlass_proto::ws::Scratch;

use super::config::WsServerConfig;
use super::stats::WsStats;

/// What the WebSockets of one service on one worker share: the configuration, buffers and compression state
/// for one message, who is open, and how much is held for messages half received. A field of the service's
/// value.
#[derive(Debug)]
pub struct WsWorker {
    pub(super) config: WsServerConfig,
    pub(super) stats: WsStats,
    pub(super) scratch: Scratch,
    // What the protocol says of itself, for as long as one callback lasts.
    pub(super) out: Vec<u8>,
    // Bytes of messages half received: the sum of all sessions' `held`.
    pub(super) held: usize,
    open: Vec<Option<ConnId>>,
    free: Vec<u32>,
}

impl WsWorker {
    /// Of this configuration, counting into `stats`.
    pub fn new(config: WsServerConfig, stats: WsStats) -> WsWorker {
        WsWorker {
            config,
            stats,
            scratch: Scratch::new(),
            out: Vec::new(),
            held: 0,
            open: Vec::new(),
            free: Vec::new(),
        }
    }

    /// How connections behave.
    pub fn config(&self) -> &WsServerConfig {
        &self.config
    }

    /// Other settings, from now on. Connections that are open keep the limits of their endpoints.
    pub fn set_config(&mut self, config: WsServerConfig) {
        self.config = config;
    }

    /// The counters.
    pub fn stats(&self) -> &WsStats {
        &self.stats
    }

    /// Bytes held for messages half received, on all connections.
    pub fn held(&self) -> usize {
        self.held
    }

    /// How much of a message half received is too much, once all have too much together: an equal share. So
    /// those who hoard cannot keep the others from receiving.
    pub(super) fn share(&self) -> usize {
        self.config.partial_max / (self.open.len() - self.free.len()).max(1)
    }

    pub(super) fn enter(&mut self, id: ConnId) -> u32 {
        if let Some(place) = self.free.pop() {
            self.open[place as usize] = Some(id);
            return place;
        }
        self.open.push(Some(id));
        self.open.len() as u32 - 1
    }

    pub(super) fn leave(&mut self, place: u32) {
        self.open[place as usize] = None;
        self.free.push(place);
    }

    /// Queues a frame for all that are open, but `conn`'s own.
    pub(super) fn broadcast(&self, conn: &mut Conn<'_>, frame: &Bytes) {
        let own = conn.id();
        for id in self.open.iter().flatten().filter(|id| **id != own) {
            conn.write_shared_to(*id, frame.clone());
        }
    }
}
