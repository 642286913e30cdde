//! Unit tests, one file per module.

#[cfg(feature = "deflate")]
mod compressed;
mod correlate;
#[cfg(feature = "deflate")]
mod deflate;
mod framing;
mod input;
mod kit;
mod lines;
mod memcached_ascii;
mod memcached_binary;
mod proxy_protocol;
mod put_slice;
mod samples;
mod testing;
mod time;
mod tls_hello;
mod ws;
