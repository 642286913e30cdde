//! What can be set for a WebSocket server.

use std::time::Duration;

use windlass_proto::http;
use windlass_proto::ws::{Origins, WsConfig};

/// How a WebSocket server behaves. Plain data, with defaults that are safe on the open network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WsServerConfig {
    /// Limits and compression of each connection.
    pub endpoint: WsConfig,
    /// Which pages may connect. Default: those of the host itself.
    pub origins: Origins,
    /// Limits of the request that opens a connection.
    pub http: http::Limits,
    /// Bytes of messages half received that one worker holds for all its connections. Over it, who receives
    /// more and holds more than an equal share is ended, with 1013; the others go on, so that it is at most
    /// twice that. Default 64 MiB.
    pub partial_max: usize,
    /// The request must be complete this long after the connection was made. Default 10 s.
    pub handshake_timeout: Duration,
    /// A peer that was silent for this long is asked for a sign of life. Default 30 s; 0: never.
    pub ping_interval: Duration,
    /// The connection ends if there is no sign of life this long after that. Default 15 s.
    pub pong_timeout: Duration,
    /// The connection ends if our Close frame is not answered for this long. Default 5 s.
    pub close_timeout: Duration,
}

impl Default for WsServerConfig {
    fn default() -> WsServerConfig {
        WsServerConfig {
            endpoint: WsConfig::default(),
            origins: Origins::default(),
            http: http::Limits::default(),
            partial_max: 64 * 1024 * 1024,
            handshake_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(15),
            close_timeout: Duration::from_secs(5),
        }
    }
}

impl WsServerConfig {
    /// Sets [`WsServerConfig::endpoint`].
    pub fn endpoint(mut self, endpoint: WsConfig) -> WsServerConfig {
        self.endpoint = endpoint;
        self
    }

    /// Sets [`WsServerConfig::origins`].
    pub fn origins(mut self, origins: Origins) -> WsServerConfig {
        self.origins = origins;
        self
    }
}
