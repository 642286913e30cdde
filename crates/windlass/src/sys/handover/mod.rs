//! Sockets that come from outside, and those that go to a successor.
//!
//! Read `protocol` for what two processes say to each other, `control` for the side that gives,
//! `predecessor` for the side that asks, `passed` for what is made sure of before a socket is taken.
//! All of it is Linux; elsewhere everything says `Unsupported`.

#[cfg(target_os = "linux")]
mod control;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod passed;
#[cfg(target_os = "linux")]
mod predecessor;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nobody says it there"))]
mod protocol;

use std::net::SocketAddr;
use std::path::PathBuf;

#[cfg(target_os = "linux")]
pub(crate) use control::{Control, Successor, Twin, open_control, twin, udp_twin};
#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::*;
#[cfg(target_os = "linux")]
pub(crate) use passed::{Passed, from_environment};
#[cfg(target_os = "linux")]
pub(crate) use predecessor::{Predecessor, ask};
pub(crate) use protocol::{DESCRIPTORS_MAX, Item};

/// What a passed socket is, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nobody passes any there"))]
pub(crate) enum Local {
    /// A TCP listener.
    Tcp(SocketAddr),
    /// A UDP socket without a peer.
    Udp(SocketAddr),
    /// A Unix stream listener on a path.
    Unix(PathBuf),
    /// Something that is of no use here, in words.
    Other(String),
}

impl std::fmt::Display for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Local::Tcp(addr) => addr.fmt(f),
            Local::Udp(addr) => write!(f, "udp:{addr}"),
            Local::Unix(path) => write!(f, "unix:{}", path.display()),
            Local::Other(what) => f.write_str(what),
        }
    }
}
