//! Unit tests, one file per module.

mod input;
mod lines;
mod testing;
mod time;
mod tls_hello;
