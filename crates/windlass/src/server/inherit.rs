//! Which inherited socket belongs to which address.

use std::net::SocketAddr;

use crate::address::Address;
use crate::error::{Error, Result};
use crate::handover::{Inherited, InheritedSocket};
use crate::sys::handover::{Item, Local, Passed, Predecessor};
use crate::sys::{MioUdp, UdpBuffers};

use super::listening::BoundAddress;

/// All that was inherited, and what becomes of it.
#[derive(Default)]
pub(super) struct Legacy {
    groups: Vec<Group>,
    pub(super) control: Option<Passed>,
    pub(super) predecessor: Option<(Predecessor, std::path::PathBuf)>,
    /// What has been taken, as the predecessor calls it.
    pub(super) taken: Vec<Item>,
    /// What has not been taken, in words.
    pub(super) left: Vec<String>,
}

/// Sockets on one address: one accept queue or UDP socket for each worker of a predecessor, or one for all.
pub(super) struct Group {
    pub(super) sockets: Vec<InheritedSocket>,
    /// The number of the address it is for.
    wanted: Option<usize>,
}

impl Group {
    pub(super) fn local(&self) -> &Local {
        self.sockets[0].passed.local()
    }

    pub(super) fn is_from_predecessor(&self) -> bool {
        self.sockets[0].item.is_some()
    }

    /// Its UDP sockets, to be spread over workers. The system spreads datagrams over all of them, so each
    /// needs a reader; one is enough, and keeps the datagrams of a peer in order.
    pub(super) fn udp(&self, buffers: UdpBuffers) -> std::io::Result<Vec<MioUdp>> {
        self.sockets.iter().map(|socket| socket.passed.udp(buffers)).collect()
    }
}

impl Legacy {
    pub(super) fn new(inherited: Vec<Inherited>) -> Result<Legacy> {
        let mut legacy = Legacy::default();
        for Inherited { sockets, control, predecessor } in inherited {
            for socket in sockets {
                let same = |group: &&mut Group| {
                    group.local() == socket.passed.local()
                        && group.sockets[0].item == socket.item
                        && !matches!(group.local(), Local::Other(_))
                };
                match legacy.groups.iter_mut().find(same) {
                    Some(group) => group.sockets.push(socket),
                    None => legacy.groups.push(Group { sockets: vec![socket], wanted: None }),
                }
            }
            if predecessor.is_some() && legacy.predecessor.is_some() {
                return Err(Error::config("a server can take over from one other only"));
            }
            legacy.control = legacy.control.or(control);
            legacy.predecessor = legacy.predecessor.or(predecessor);
        }
        Ok(legacy)
    }

    /// Decides which address gets which sockets. Port 0 stands for any port on its host, after all who
    /// know theirs have chosen.
    pub(super) fn assign<'a>(&mut self, addresses: impl Iterator<Item = &'a Address>) {
        if self.groups.is_empty() {
            return;
        }
        let wishes: Vec<Wish<'_>> = addresses.map(Wish::of).collect();
        for fits in [Wish::is, Wish::may_be] {
            for (n, wish) in wishes.iter().enumerate() {
                if !self.groups.iter().any(|group| group.wanted == Some(n))
                    && let Some(group) = self
                        .groups
                        .iter_mut()
                        .find(|group| group.wanted.is_none() && fits(wish, group.local()))
                {
                    group.wanted = Some(n);
                }
            }
        }
    }

    /// The sockets for the address with that number.
    pub(super) fn take(&mut self, address: usize) -> Option<Group> {
        let at = self.groups.iter().position(|group| group.wanted == Some(address))?;
        let group = self.groups.swap_remove(at);
        self.taken.extend(group.sockets[0].item);
        Some(group)
    }

    /// Closes what nobody wants. Whoever passed it still has it, and sees to those in its queue.
    pub(super) fn close_rest(&mut self) {
        let rest = std::mem::take(&mut self.groups);
        self.left = rest.iter().map(|group| group.sockets[0].to_string()).collect();
    }
}

/// What an address asks for.
pub(super) enum Wish<'a> {
    Udp(Vec<SocketAddr>),
    Tcp(Vec<SocketAddr>),
    Unix(&'a std::path::Path),
}

impl Wish<'_> {
    pub(super) fn of(address: &Address) -> Wish<'_> {
        let candidates = |text: &str| {
            // What cannot be resolved is reported when it is opened.
            let mut candidates = Address::resolve(text).unwrap_or_default();
            if text.starts_with(':') {
                let any = std::net::Ipv4Addr::UNSPECIFIED.into();
                candidates.extend(candidates.first().map(|addr| SocketAddr::new(any, addr.port())));
            }
            candidates
        };
        match address {
            Address::Tcp(text) => Wish::Tcp(candidates(text)),
            Address::Udp(text) => Wish::Udp(candidates(text)),
            Address::Unix(path) => Wish::Unix(path),
        }
    }

    fn is(&self, local: &Local) -> bool {
        match (self, local) {
            (Wish::Tcp(candidates), Local::Tcp(addr)) | (Wish::Udp(candidates), Local::Udp(addr)) => {
                candidates.contains(addr)
            }
            (Wish::Unix(path), Local::Unix(other)) => path == other,
            _ => false,
        }
    }

    /// Whether a listener that is open is what it asks for.
    pub(super) fn is_for(&self, bound: &BoundAddress) -> bool {
        self.is(&match bound {
            BoundAddress::Tcp(addr) => Local::Tcp(*addr),
            BoundAddress::Udp(addr) => Local::Udp(*addr),
            BoundAddress::Unix(path) => Local::Unix(path.clone()),
        })
    }

    fn may_be(&self, local: &Local) -> bool {
        match (self, local) {
            (Wish::Tcp(candidates), Local::Tcp(addr)) | (Wish::Udp(candidates), Local::Udp(addr)) => {
                candidates.iter().any(|candidate| candidate.port() == 0 && candidate.ip() == addr.ip())
            }
            _ => false,
        }
    }
}
