//! WebSockets beside pages: a [`WsService`] at a path of an [`Http`](crate::Http).

use windlass::{Close, Conn, Input};
use windlass_proto::ws::{Endpoint, Upgrade};

use super::server::WsServer;
use super::service::{Accept, WsService};
use super::session::{Ws, WsSession};
use crate::app::{App, Upgraded};
use crate::request::{Refusal, Request};
use crate::route::Accepted;

/// An [`App`] that has WebSockets too: it keeps a [`WsServer`], and says where.
///
/// ```
/// use windlass::{Close, Peer};
/// use windlass_http::ws::{self, Accept, Message, Upgrade, Ws, WsApp, WsServer, WsServerConfig, WsService};
/// use windlass_http::{App, File, Http};
/// use windlass_proto::http::Status;
///
/// struct Echo;
/// impl WsService for Echo {
///     type Session = ();
///     fn accept(&mut self, _: &Upgrade<'_, '_>, _: Peer) -> Result<Accept<()>, Status> {
///         Ok(Accept::new(()))
///     }
///     fn message(&mut self, ws: &mut Ws<'_, '_>, _: &mut (), message: Message<'_>) -> Result<(), Close> {
///         ws.send(message);
///         Ok(())
///     }
/// }
///
/// struct Page {
///     echo: WsServer<Echo>,
/// }
/// impl App for Page {
///     type Upgraded = ws::WsUpgraded<()>;
/// }
/// impl WsApp for Page {
///     type Ws = Echo;
///     fn ws(&mut self) -> &mut WsServer<Echo> {
///         &mut self.echo
///     }
/// }
///
/// let page = Page { echo: WsServer::new(Echo, WsServerConfig::default()) };
/// let http = Http::new(page)
///     .file("/", File::new("text/html", "<script>new WebSocket(`ws://${location.host}/ws`)</script>"))
///     .upgrade("/ws", "websocket", ws::upgrade);
/// ```
pub trait WsApp: App<Upgraded = WsUpgraded<<Self::Ws as WsService>::Session>> {
    /// The service of its WebSockets.
    type Ws: WsService;

    /// Where it keeps it.
    fn ws(&mut self) -> &mut WsServer<Self::Ws>;
}

/// An upgraded connection that is a WebSocket, with its session of type `T`.
#[derive(Debug)]
pub struct WsUpgraded<T> {
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    // The response is not written yet.
    Agreed(Box<Endpoint>, T),
    Open(WsSession, T),
    // Never seen: what stands there while one becomes the other.
    Between,
}

/// What [`Http::upgrade`](crate::Http::upgrade) is given for a [`WsApp`].
///
/// # Errors
///
/// The status of the service's refusal, or of what is wrong with the request.
pub fn upgrade<A: WsApp>(
    app: &mut A,
    request: &Request<'_>,
) -> Result<Accepted<WsUpgraded<<A::Ws as WsService>::Session>>, Refusal> {
    let WsServer { service, worker, .. } = app.ws();
    let upgrade = Upgrade::new(&request.head, &worker.config.origins).map_err(|error| {
        worker.stats.count_handshake(&error);
        Refusal(error.status())
    })?;
    let Accept { session, protocol } = service.accept(&upgrade, request.peer).map_err(|status| {
        worker.stats.count_handshake(&windlass_proto::ws::HandshakeError::Refused(status));
        Refusal(status)
    })?;
    let (endpoint, headers) = upgrade.agree(&worker.config.endpoint, protocol.as_deref());
    let accepted = Accepted::new(WsUpgraded { state: State::Agreed(Box::new(endpoint), session) });
    Ok(headers.iter().fold(accepted, |accepted, (name, value)| accepted.header(name, value)))
}

impl<T> WsUpgraded<T> {
    /// What can be said on it, with its session, outside of its own callbacks; `None` before it is open.
    pub fn ws<'a, 'c, S: WsService<Session = T>>(
        &'a mut self,
        server: &'a mut WsServer<S>,
        conn: &'a mut Conn<'c>,
    ) -> Option<(Ws<'a, 'c>, &'a mut T)> {
        let State::Open(ws, session) = &mut self.state else { return None };
        Some((ws.ws(&mut server.worker, conn), session))
    }
}

impl<T: 'static, A: WsApp> Upgraded<A> for WsUpgraded<T>
where
    A::Ws: WsService<Session = T>,
{
    fn open(&mut self, app: &mut A, conn: &mut Conn<'_>) -> Result<(), Close> {
        let WsServer { service, worker, .. } = app.ws();
        let State::Agreed(endpoint, session) = std::mem::replace(&mut self.state, State::Between) else {
            return Ok(());
        };
        self.state = State::Open(WsSession::new(*endpoint, worker, conn), session);
        let State::Open(ws, session) = &mut self.state else { return Ok(()) };
        let opened = service.open(&mut ws.ws(worker, conn), session);
        ws.passed(worker, conn, opened)
    }

    fn data(&mut self, app: &mut A, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close> {
        let WsServer { service, worker, .. } = app.ws();
        let State::Open(ws, session) = &mut self.state else { return Ok(()) };
        ws.data(worker, conn, input, |ws, message| service.message(ws, session, message))
    }

    fn eof(&mut self, app: &mut A, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close> {
        let WsServer { service, worker, .. } = app.ws();
        let State::Open(ws, session) = &mut self.state else { return Err(Close::Eof) };
        ws.eof(worker, conn, input, |ws, message| service.message(ws, session, message))
    }

    fn drained(&mut self, app: &mut A, conn: &mut Conn<'_>) -> Result<(), Close> {
        let WsServer { service, worker, .. } = app.ws();
        let State::Open(ws, session) = &mut self.state else { return Ok(()) };
        let drained = service.drained(&mut ws.ws(worker, conn), session);
        ws.passed(worker, conn, drained)
    }

    fn timeout(&mut self, app: &mut A, conn: &mut Conn<'_>) -> Result<(), Close> {
        let WsServer { service, worker, .. } = app.ws();
        let State::Open(ws, session) = &mut self.state else { return Err(Close::Timeout) };
        if !ws.timeout(worker, conn)? {
            return Ok(());
        }
        let woken = service.timeout(&mut ws.ws(worker, conn), session);
        ws.passed(worker, conn, woken)
    }

    fn draining(&mut self, app: &mut A, conn: &mut Conn<'_>) -> Result<(), Close> {
        let State::Open(ws, _) = &mut self.state else { return Err(Close::Shutdown) };
        ws.draining(&mut app.ws().worker, conn);
        Ok(())
    }

    fn closed(self, app: &mut A, conn: &mut Conn<'_>, why: Close) {
        let WsServer { service, worker, .. } = app.ws();
        match self.state {
            State::Open(ws, session) => {
                let code = ws.closed(worker);
                service.closed(conn, session, code, why);
            }
            State::Agreed(_, session) => {
                service.closed(conn, session, windlass_proto::ws::CloseCode::ABNORMAL, why);
            }
            State::Between => {}
        }
    }
}
