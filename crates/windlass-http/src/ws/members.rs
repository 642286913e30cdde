//! All WebSockets of a service on one worker.

use windlass::{Bytes, ConnId, Scope, Sessions};

use super::server::ServerSession;
use super::session::Ws;
use super::worker::WsWorker;

/// The open WebSockets of one service on one worker, lent to a callback that belongs to none of them.
pub struct Members<'a, 's, T> {
    pub(super) scope: &'a mut Scope<'s>,
    pub(super) sessions: &'a mut Sessions<ServerSession<T>>,
    pub(super) worker: &'a mut WsWorker,
}

impl<'s, T> Members<'_, 's, T> {
    /// The worker's scope: the time, random bits.
    pub fn scope(&mut self) -> &mut Scope<'s> {
        self.scope
    }

    /// One of them, if it is still open.
    pub fn get(&mut self, id: ConnId, visit: impl FnOnce(&mut Ws<'_, '_>, &mut T)) -> bool {
        let Some((mut conn, session)) = self.sessions.get(self.scope, id) else { return false };
        let ServerSession::Open(ws, session) = session else { return false };
        visit(&mut ws.ws(self.worker, &mut conn), session);
        true
    }

    /// Each of them.
    pub fn each(&mut self, mut visit: impl FnMut(&mut Ws<'_, '_>, &mut T)) {
        let worker = &mut *self.worker;
        self.sessions.each(self.scope, |conn, session| {
            if let ServerSession::Open(ws, session) = session {
                visit(&mut ws.ws(worker, conn), session);
            }
        });
    }

    /// Sends a [`frame`](super::frame) to all of them: it is encoded once and copied for none.
    pub fn broadcast(&mut self, frame: &Bytes) {
        self.each(|ws, _| {
            ws.frame(frame);
        });
    }
}
