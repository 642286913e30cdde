//! Unit tests, one file per module.

mod input;
mod lines;
mod memcached_ascii;
mod memcached_binary;
mod testing;
mod time;
mod tls_hello;
