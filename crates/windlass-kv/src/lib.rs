//! A small in-memory key-value server that speaks RESP and memcached: the worked example of a custom
//! protocol on the windlass engine.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
