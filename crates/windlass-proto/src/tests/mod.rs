//! Unit tests, one file per module.

mod framing;
mod input;
mod kit;
mod lines;
mod testing;
mod time;
mod tls_hello;
