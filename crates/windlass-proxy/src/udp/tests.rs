//! The table against a plain one; whole proxies of datagrams, driven by hand, with a clock that stands still.

mod flows;
mod harness;
