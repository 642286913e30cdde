//! HTTP/1.1 and WebSocket sessions on the windlass engine: what an admin page, a game page or an API of a
//! few routes needs. Not a web framework.
//!
//! The protocols themselves are sans-IO in `windlass_proto::http` and `windlass_proto::ws`.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod ws;
