//! The service that the engine calls: handshakes, then yours.

use windlass::{Close, Conn, Input, Receive, Scope, Service, Sessions, Tick};
use windlass_proto::Decode;
use windlass_proto::http::RequestHeads;
use windlass_proto::ws::{HandshakeError, Upgrade};

use super::config::WsServerConfig;
use super::members::Members;
use super::service::{Accept, WsReceive, WsService};
use super::session::WsSession;
use super::stats::WsStats;
use super::worker::WsWorker;

/// Serves a [`WsService`] and nothing else: a request for something other than a WebSocket is answered with
/// 426, or with a page ([`WsServer::page`]).
#[derive(Debug)]
pub struct WsServer<S> {
    pub(super) service: S,
    pub(super) worker: WsWorker,
    page: Option<&'static str>,
}

/// The session of a [`WsServer`]: waiting for the request, or open.
#[derive(Debug)]
pub enum ServerSession<T> {
    /// The request has not arrived.
    Handshake(RequestHeads),
    /// Open, with the service's own session.
    Open(WsSession, T),
}

impl<S: WsService> WsServer<S> {
    /// Serves `service`.
    pub fn new(service: S, config: WsServerConfig) -> WsServer<S> {
        WsServer::with_stats(service, config, WsStats::new())
    }

    /// The same, counting into `stats`, which all workers share.
    pub fn with_stats(service: S, config: WsServerConfig, stats: WsStats) -> WsServer<S> {
        WsServer { service, worker: WsWorker::new(config, stats), page: None }
    }

    /// Answers a GET of `/` that asks for no WebSocket with this HTML: the page that opens one.
    pub fn page(mut self, html: &'static str) -> WsServer<S> {
        self.page = Some(html);
        self
    }

    /// Your service.
    pub fn service(&self) -> &S {
        &self.service
    }

    /// The same, to change it.
    pub fn service_mut(&mut self) -> &mut S {
        &mut self.service
    }

    /// The counters.
    pub fn stats(&self) -> &WsStats {
        self.worker.stats()
    }

    /// The request arrived: accept, refuse, or show the page.
    fn shake(
        &mut self,
        conn: &mut Conn<'_>,
        heads: &mut RequestHeads,
        input: &mut Input<'_>,
    ) -> Result<Option<ServerSession<S::Session>>, Close> {
        let WsServer { service, worker, page } = self;
        let mut out = std::mem::take(&mut worker.out);
        let head = match heads.decode(input) {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(None),
            Err(error) => return Err(refuse(worker, conn, error.into(), out)),
        };
        let upgrade = match Upgrade::new(&head, &worker.config.origins) {
            Ok(upgrade) => upgrade,
            Err(HandshakeError::NotUpgrade)
                if head.method == "GET" && head.path() == "/" && page.is_some() =>
            {
                show(conn, page.unwrap_or_default(), out);
                return Err(Close::Done);
            }
            Err(error) => return Err(refuse(worker, conn, error, out)),
        };
        if conn.is_overloaded() {
            // Its messages would be as late as this.
            let busy = HandshakeError::Refused(windlass_proto::http::Status::SERVICE_UNAVAILABLE);
            return Err(refuse(worker, conn, busy, out));
        }
        match service.accept(&upgrade, conn.peer()) {
            Ok(Accept { session, protocol }) => {
                let endpoint = upgrade.accept(&worker.config.endpoint, protocol.as_deref(), &mut out);
                conn.write(&out);
                out.clear();
                worker.out = out;
                let ws = WsSession::new(endpoint, worker, conn);
                Ok(Some(ServerSession::Open(ws, session)))
            }
            Err(status) => Err(refuse(worker, conn, HandshakeError::Refused(status), out)),
        }
    }
}

fn refuse(worker: &mut WsWorker, conn: &mut Conn<'_>, error: HandshakeError, mut out: Vec<u8>) -> Close {
    worker.stats.count_handshake(&error);
    error.respond(&mut out);
    conn.write(&out);
    out.clear();
    worker.out = out;
    error.into()
}

fn show(conn: &mut Conn<'_>, html: &str, mut out: Vec<u8>) {
    let head = windlass_proto::http::HeadEncoder::response(&mut out, windlass_proto::http::Status::OK)
        .header("content-type", "text/html; charset=utf-8")
        .connection_close()
        .length(html.len() as u64);
    if head.end().is_ok() {
        conn.write(&out);
        conn.write(html.as_bytes());
    }
}

impl<S: WsService> Service for WsServer<S> {
    type Session = ServerSession<S::Session>;

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<Self::Session, Close> {
        conn.wake_at(conn.now() + self.worker.config.handshake_timeout);
        Ok(ServerSession::Handshake(RequestHeads::new(self.worker.config.http)))
    }

    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut Self::Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        if let ServerSession::Handshake(heads) = session {
            let Some(open) = self.shake(conn, heads, input)? else { return Ok(()) };
            *session = open;
            let WsServer { service, worker, .. } = self;
            if let ServerSession::Open(ws, session) = session {
                let opened = service.open(&mut ws.ws(worker, conn), session);
                ws.passed(worker, conn, opened)?;
            }
        }
        let WsServer { service, worker, .. } = self;
        let ServerSession::Open(ws, session) = session else { return Ok(()) };
        ws.data(worker, conn, input, |ws, message| service.message(ws, session, message))
    }

    fn eof(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut Self::Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        let WsServer { service, worker, .. } = self;
        match session {
            ServerSession::Open(ws, session) => {
                ws.eof(worker, conn, input, |ws, message| service.message(ws, session, message))
            }
            ServerSession::Handshake(_) if input.is_empty() => Err(Close::Eof),
            ServerSession::Handshake(_) => Err(Close::Truncated),
        }
    }

    fn drained(&mut self, conn: &mut Conn<'_>, session: &mut Self::Session) -> Result<(), Close> {
        let WsServer { service, worker, .. } = self;
        match session {
            ServerSession::Open(ws, session) => {
                let drained = service.drained(&mut ws.ws(worker, conn), session);
                ws.passed(worker, conn, drained)
            }
            ServerSession::Handshake(_) => Ok(()),
        }
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, session: &mut Self::Session) -> Result<(), Close> {
        let WsServer { service, worker, .. } = self;
        let ServerSession::Open(ws, session) = session else {
            let out = std::mem::take(&mut worker.out);
            return Err(refuse(worker, conn, HandshakeError::Timeout, out));
        };
        if !ws.timeout(worker, conn)? {
            return Ok(());
        }
        let woken = service.timeout(&mut ws.ws(worker, conn), session);
        ws.passed(worker, conn, woken)
    }

    fn draining(&mut self, conn: &mut Conn<'_>, session: &mut Self::Session) -> Result<(), Close> {
        match session {
            ServerSession::Open(ws, _) => {
                ws.draining(&mut self.worker, conn);
                Ok(())
            }
            ServerSession::Handshake(_) => Err(Close::Shutdown),
        }
    }

    fn closed(&mut self, conn: &mut Conn<'_>, session: Self::Session, why: Close) {
        if let ServerSession::Open(ws, session) = session {
            let code = ws.closed(&mut self.worker);
            self.service.closed(conn, session, code, why);
        }
    }

    fn tick(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Self::Session>, tick: Tick) {
        let WsServer { service, worker, .. } = self;
        service.tick(&mut Members { scope, sessions, worker }, tick);
    }
}

impl<S: WsReceive> Receive for WsServer<S> {
    type Message = S::Message;

    fn receive(
        &mut self,
        scope: &mut Scope<'_>,
        sessions: &mut Sessions<Self::Session>,
        message: Self::Message,
    ) {
        let WsServer { service, worker, .. } = self;
        service.receive(&mut Members { scope, sessions, worker }, message);
    }
}
