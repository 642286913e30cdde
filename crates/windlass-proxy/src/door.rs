//! Who comes in: what is known of a newcomer when it connects, and from its PROXY header. For every mode that
//! has connections of clients.

use std::net::SocketAddr;

use windlass::{BeforeTls, Conn, Peer};
use windlass_proto::proxy_protocol::Addresses;

use crate::config::{Others, ProxyConfig};
use crate::fleet::Fleet;
use crate::guard::Held;
use crate::pair::{Greeting, canonical};
use crate::refusal::Refusal;

/// A newcomer.
pub(crate) struct Newcomer {
    /// What it has to say first.
    pub(crate) greeting: Option<Greeting>,
    /// Who it is, until a header says something else.
    pub(crate) addresses: Addresses<'static>,
    /// Where it connected to, if that was asked for and is known.
    pub(crate) local: Option<SocketAddr>,
    /// What the guard holds for it; nothing yet for one that says first whom this is about.
    pub(crate) admitted: Result<Option<Held>, Refusal>,
}

/// What a newcomer on a plain connection has to say first, and `then` otherwise.
pub(crate) fn greeting(
    config: &ProxyConfig,
    peer: Peer,
    then: Option<Greeting>,
) -> Result<Option<Greeting>, Refusal> {
    let Some(accept) = &config.accept_proxy else { return Ok(then) };
    match accept.others {
        _ if accept.from.contain(peer) => Ok(Some(Greeting::Header)),
        Others::Refused => Err(Refusal::Untrusted),
        Others::Clients => Ok(Some(Greeting::NoHeader)),
    }
}

/// Whether TLS ends here.
fn speaks_tls(conn: &Conn<'_>) -> bool {
    #[cfg(feature = "tls")]
    return conn.tls().is_some();
    #[cfg(not(feature = "tls"))]
    {
        let _ = conn;
        false
    }
}

impl Fleet {
    /// Whether a peer says in a header whom it connects for.
    pub(crate) fn speaks_for_others(&self, peer: Peer) -> bool {
        self.plan.config.accept_proxy.as_ref().is_some_and(|accept| accept.from.contain(peer))
    }

    /// What has to come before the handshake of a peer whose TLS ends here.
    pub(crate) fn before_tls(&self, peer: Peer) -> BeforeTls {
        let refused = match greeting(&self.plan.config, peer, None) {
            Ok(Some(Greeting::Header)) => return BeforeTls::ProxyHeader,
            // A header of theirs would be no ClientHello.
            Ok(_) => self.shut_out(peer),
            Err(refusal) => Some(refusal),
        };
        match refused {
            None => BeforeTls::Nothing,
            Some(refusal) => {
                self.shared.refusals.count(&refusal);
                BeforeTls::Refusal
            }
        }
    }

    /// Why a client that nobody speaks for is not let in, as far as lists say: a handshake is dear, and such a client is to
    /// have none. One that is to be kept in the tarpit has it all the same.
    fn shut_out(&self, peer: Peer) -> Option<Refusal> {
        let guard = &self.plan.config.guard;
        if guard.tarpit.is_zero() { self.plan.guard.look_up(guard, peer).err() } else { None }
    }

    /// Somebody has connected, and its handshake, if any, is done. `local`: where it connected to is wanted.
    pub(crate) fn meet(
        &self,
        conn: &mut Conn<'_>,
        then: Option<Greeting>,
        local: bool,
    ) -> Result<Newcomer, Refusal> {
        let (peer, now) = (conn.peer(), conn.now());
        // What comes before TLS has been heard by now.
        let greeting = match speaks_tls(conn) {
            true => then,
            false => greeting(&self.plan.config, peer, then)?,
        };
        if let Some(said) = conn.proxied() {
            let (said, admitted) = self.introduce(peer, said, now);
            if let Some(addresses) = said {
                let local = destination(addresses);
                return Ok(Newcomer { greeting, addresses, local, admitted });
            }
            let (addresses, local) = own(conn, peer, local);
            return Ok(Newcomer { greeting, addresses, local, admitted });
        }
        let admitted = match greeting {
            Some(Greeting::Header) => Ok(None),
            _ => self.admit(peer, now),
        };
        let (addresses, local) = own(conn, peer, local);
        Ok(Newcomer { greeting, addresses, local, admitted })
    }

    /// A header of a peer that is believed says whom its connection is for. Returns the addresses that count
    /// instead of its own, if there are any, and whether the client is let in.
    pub(crate) fn introduce(
        &self,
        peer: Peer,
        said: Addresses<'_>,
        now: windlass::Time,
    ) -> (Option<Addresses<'static>>, Result<Option<Held>, Refusal>) {
        let Addresses::Inet { source, destination, .. } = said else {
            // Nobody to be counted: the proxy for itself, or for whom it cannot tell.
            let guard = &self.plan.config.guard;
            return (None, self.plan.guard.look_up(guard, peer).map(|()| None));
        };
        let source = canonical(source);
        let addresses = Addresses::tcp(source, canonical(destination));
        (Some(addresses), self.admit(Peer::Tcp(source), now))
    }

    /// A place in the tarpit for a client that the guard does not let in.
    pub(crate) fn tarpit(&self, refusal: Refusal) -> Option<Held> {
        if refusal.is_the_guards() { self.plan.guard.tarpit(&self.plan.config.guard) } else { None }
    }
}

/// Where a client wanted to.
pub(crate) fn destination(addresses: Addresses<'_>) -> Option<SocketAddr> {
    match addresses {
        Addresses::Inet { destination, .. } => Some(destination),
        _ => None,
    }
}

/// The connection's own addresses; the local one is asked of the system only where somebody wants it.
fn own(conn: &mut Conn<'_>, peer: Peer, local: bool) -> (Addresses<'static>, Option<SocketAddr>) {
    let Peer::Tcp(source) = peer else { return (Addresses::Unknown, None) };
    let local = if local { conn.local_addr().map(canonical) } else { None };
    (Addresses::tcp(source, local.unwrap_or(source)), local)
}
