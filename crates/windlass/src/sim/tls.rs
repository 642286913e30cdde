//! TLS between a simulated client and its line: to the client the line looks as ever.

use windlass_proto::testing::Rng;

use super::client::{Ending, Line, Status};
use super::end::Fin;
use crate::tls::peer::{Peer, PeerConfig};
use crate::{TlsAcceptor, TlsVersion};

/// What the clients of one run are like.
pub(super) fn draw(rng: &mut Rng, name: &str, authorities: &[u8]) -> PeerConfig {
    let version = if rng.chance(1, 2) { TlsVersion::V1_2 } else { TlsVersion::V1_3 };
    // From the smallest that rustls makes.
    let fragment = rng.chance(1, 3).then(|| 64 + rng.below(4_000) as usize);
    PeerConfig::new(authorities, name, version, fragment)
}

/// The same for the peers of one remote.
pub(super) fn draw_server(rng: &mut Rng, acceptor: &TlsAcceptor, distrusted: bool) -> PeerConfig {
    let fragment = rng.chance(1, 3).then(|| 64 + rng.below(4_000) as usize);
    PeerConfig::server(acceptor, fragment, distrusted)
}

impl Line<'_> {
    pub(super) fn start_tls(&mut self) {
        self.place.tls = self.place.tls_config.as_ref().map(|config| Box::new(Peer::new(config)));
        self.pump_tls();
    }

    /// Moves what waits to be sent, and the handshake. After it nothing is read before the client asks,
    /// or it could not push back.
    pub(super) fn pump_tls(&mut self) {
        let Some(mut tls) = self.place.tls.take() else { return };
        if !tls.is_ready() {
            let mut wire = Vec::new();
            self.receive_plain(&mut wire, usize::MAX);
            tls.hear(&wire);
        }
        let sent = self.send_plain(&tls.outgoing);
        tls.outgoing.drain(..sent);
        if let Some(what) = tls.failed.take()
            && !tls.distrusted
        {
            self.fail(format!("TLS failed: {what}"));
        }
        let ended = self.place.end.map(|id| self.world.status(id));
        if ended == Some(Status::Ended(Ending::Fin)) && tls.is_ready() && !tls.closed && !self.excused() {
            self.fail("the server ended its stream without close_notify");
        }
        self.place.tls = Some(tls);
    }

    pub(super) fn tls_status(&self, plain: Status) -> Status {
        match (&self.place.tls, plain) {
            (Some(tls), Status::Open) if !tls.is_ready() => Status::Connecting,
            (Some(tls), Status::Ended(Ending::Fin)) if tls.has_plaintext() => Status::Open,
            // Nothing can be said any more, which a FIN alone would leave open.
            (Some(tls), Status::Ended(Ending::Fin)) if !tls.is_ready() => Status::Ended(Ending::Reset),
            (_, status) => status,
        }
    }

    pub(super) fn send_tls(&mut self, bytes: &[u8]) -> usize {
        self.pump_tls();
        let space = match self.open() {
            Some(id) if self.world.end(id).fin == Fin::No => self.world.end(id).space(),
            _ => return 0,
        };
        let Some(tls) = &mut self.place.tls else { return 0 };
        if !tls.is_ready() || !tls.outgoing.is_empty() {
            return 0;
        }
        let n = bytes.len().min(space);
        tls.write(&bytes[..n]);
        self.pump_tls();
        n
    }

    pub(super) fn receive_tls(&mut self, into: &mut Vec<u8>, max: usize) -> usize {
        self.pump_tls();
        let Some(mut tls) = self.place.tls.take() else { return 0 };
        let at = into.len();
        let mut n = tls.read(into, max);
        // A part of a record is nothing yet, so it reads on.
        while n < max {
            let mut wire = Vec::new();
            if self.receive_plain(&mut wire, max - n) == 0 {
                break;
            }
            tls.hear(&wire);
            n += tls.read(into, max - n);
        }
        self.world.trace.bytes(&into[at..]);
        self.place.tls = Some(tls);
        self.pump_tls();
        n
    }

    /// Says `close_notify`, and puts it into the send buffer whatever room there is: a program would wait.
    pub(super) fn finish_tls(&mut self) {
        let Some(id) = self.open() else { return };
        let Some(tls) = &mut self.place.tls else { return };
        let end = self.world.end_mut(id);
        if end.fin != Fin::No || end.notified || !tls.is_ready() {
            return;
        }
        tls.finish();
        end.notified = true;
        end.unsent.extend(tls.outgoing.drain(..));
        self.world.pump(id);
    }
}
