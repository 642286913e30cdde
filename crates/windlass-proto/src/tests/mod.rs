//! Unit tests, one file per module.

#[cfg(feature = "deflate")]
mod deflate;
mod framing;
mod input;
mod kit;
mod lines;
mod testing;
mod time;
mod tls_hello;
mod ws;
