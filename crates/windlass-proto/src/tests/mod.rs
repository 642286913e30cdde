//! Unit tests, one file per module.

mod correlate;
#[cfg(feature = "deflate")]
mod deflate;
mod framing;
mod input;
mod kit;
mod lines;
mod memcached_ascii;
mod memcached_binary;
mod testing;
mod time;
mod tls_hello;
mod ws;
