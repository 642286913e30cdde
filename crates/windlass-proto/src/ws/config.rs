//! What can be set for one end of a WebSocket.

#[cfg(feature = "deflate")]
use super::permessage::Compression;

/// How one end of a WebSocket behaves. Plain data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WsConfig {
    /// Bytes of a message received, all its fragments together, compressed or not. Default 1 MiB.
    pub message_max: usize,
    /// Whether and how messages are compressed, if the peer can. Default: not at all.
    #[cfg(feature = "deflate")]
    pub compression: Option<Compression>,
}

impl Default for WsConfig {
    fn default() -> WsConfig {
        WsConfig {
            message_max: 1024 * 1024,
            #[cfg(feature = "deflate")]
            compression: None,
        }
    }
}

impl WsConfig {
    /// Sets [`WsConfig::message_max`].
    pub fn message_max(mut self, bytes: usize) -> WsConfig {
        self.message_max = bytes;
        self
    }

    /// Sets [`WsConfig::compression`].
    #[cfg(feature = "deflate")]
    pub fn compression(mut self, compression: Compression) -> WsConfig {
        self.compression = Some(compression);
        self
    }
}
