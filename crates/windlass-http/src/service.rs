//! The service: requests to routes, and what connections become.

use windlass::{
    Close, Conn, Datagram, DatagramService, Input, Peer, Placement, Receive, Scope, Service, Sessions,
    Socket, Tick, Time,
};
use windlass_proto::Decode;
use windlass_proto::http::{Framing, HttpError, RequestHead, RequestPart, Status};

use crate::answered::Answered;
use crate::app::{App, DatagramApp, Push, ReceiveApp, Upgraded};
use crate::config::HttpConfig;
use crate::event::Channel;
use crate::file::File;
use crate::reply::{Replied, Reply, Shared};
use crate::request::{Refusal, Request};
use crate::route::{Accepted, Guard, NoRoute, Route, To, find};
use crate::session::{Kind, Phase, Requests, Session, Waiting};
use crate::stats::HttpStats;

/// Output of one connection at which its next request has to wait for the flush.
const OUTPUT_ENOUGH: usize = 64 * 1024;

/// A service of pages, routes and streams of events, with an [`App`] behind them.
///
/// A path that ends in `*` stands for all that begin with what is before it. Exact paths go before those,
/// and earlier routes before later ones. What fits no route is answered with 404, with another method than a
/// route's with 405.
///
/// ```
/// use windlass::testing::Harness;
/// use windlass::serve;
/// use windlass_http::{File, Http};
///
/// let make = || {
///     Http::new(())
///         .file("/", File::new("text/html", "<h1>Hello</h1>"))
///         .get("/hello/*", |_, request, reply| reply.text(request.rest()))
/// };
/// let mut harness = Harness::new(serve(make));
/// let peer = harness.connect();
/// harness.send(peer, "GET /hello/you HTTP/1.1\r\nHost: h\r\n\r\n");
/// assert!(harness.receive(peer).ends_with(b"\r\n\r\nyou"));
/// ```
pub struct Http<A: App> {
    pub(crate) app: A,
    routes: Vec<Route<A>>,
    pub(crate) shared: Shared,
}

/// Routes, in the order they are given.
impl<A: App> Http<A> {
    /// A service without routes.
    pub fn new(app: A) -> Http<A> {
        Http { app, routes: Vec::new(), shared: Shared::new() }
    }

    /// Replaces the configuration.
    pub fn config(mut self, config: HttpConfig) -> Http<A> {
        self.shared.config = config;
        self
    }

    /// Replaces the page that errors are answered with, which is a line of text otherwise. Given the status,
    /// it makes the HTML.
    pub fn error_page(mut self, page: fn(Status) -> String) -> Http<A> {
        self.shared.error_page = Some(page);
        self
    }

    /// Tells `hear` of every request when it is answered, those that could not be read among them: for an
    /// access log. It is called on the worker, in the middle of its turn.
    ///
    /// ```
    /// use windlass_http::Http;
    ///
    /// let http = Http::new(()).on_answer(|answered| {
    ///     let asked = answered.head.map_or("?", |head| head.path());
    ///     let _line = format!("{} {asked:?} {}", answered.peer, answered.status.code());
    /// });
    /// ```
    pub fn on_answer(mut self, hear: impl FnMut(&Answered<'_>) + 'static) -> Http<A> {
        self.shared.on_answer = Some(Box::new(hear));
        self
    }

    /// A route for `GET`, and for `HEAD` with it.
    pub fn get<F>(self, path: &str, handle: F) -> Http<A>
    where
        F: Fn(&mut A, &Request<'_>, Reply<'_, '_>) -> Replied + 'static,
    {
        self.route("GET", path, handle)
    }

    /// A route for `POST`. It is called when the whole body is there.
    pub fn post<F>(self, path: &str, handle: F) -> Http<A>
    where
        F: Fn(&mut A, &Request<'_>, Reply<'_, '_>) -> Replied + 'static,
    {
        self.route("POST", path, handle)
    }

    /// A route for any method.
    pub fn route<F>(self, method: &str, path: &str, handle: F) -> Http<A>
    where
        F: Fn(&mut A, &Request<'_>, Reply<'_, '_>) -> Replied + 'static,
    {
        self.add(path, To::Handle(method.to_owned(), Box::new(handle)))
    }

    /// Sets the limit of the bodies that the last route takes: [`Limits::body_max`] of the configuration
    /// otherwise.
    ///
    /// [`Limits::body_max`]: windlass_proto::http::Limits::body_max
    pub fn body_max(mut self, bytes: u64) -> Http<A> {
        if let Some(route) = self.routes.last_mut() {
            route.body_max = Some(bytes);
        }
        self
    }

    /// A file in memory, at this path.
    pub fn file(self, path: &str, file: File) -> Http<A> {
        self.add(path, To::File(file))
    }

    /// A stream of events: [`Push::event`] and [`Reply::push`] send to all who have asked for this path.
    pub fn events(self, path: &str) -> Http<A> {
        self.add_events(path, None)
    }

    /// The same for those whom `allow` lets in: it looks at the request, and refuses who is not to listen.
    pub fn events_if<F>(self, path: &str, allow: F) -> Http<A>
    where
        F: Fn(&mut A, &Request<'_>) -> Result<(), Refusal> + 'static,
    {
        self.add_events(path, Some(Box::new(allow)))
    }

    fn add_events(mut self, path: &str, allow: Option<Guard<A>>) -> Http<A> {
        let number = self.shared.channels.len();
        self.shared.channels.push(Channel { path: path.to_owned(), subscribers: Default::default() });
        self.add(path, To::Events(number, allow))
    }

    /// Goes on with another protocol where a request at this path asks for it (`upgrade: PROTOCOL`). `accept`
    /// looks at the request and says what the connection becomes, or refuses.
    pub fn upgrade<F>(self, path: &str, protocol: &str, accept: F) -> Http<A>
    where
        F: Fn(&mut A, &Request<'_>) -> Result<Accepted<A::Upgraded>, Refusal> + 'static,
    {
        self.add(path, To::Upgrade(protocol.to_owned(), Box::new(accept)))
    }

    fn add(mut self, path: &str, to: To<A>) -> Http<A> {
        let (path, prefix) = path.strip_suffix('*').map_or((path, false), |path| (path, true));
        self.routes.push(Route { path: path.to_owned(), prefix, to, body_max: None });
        self
    }

    /// The app.
    pub fn app(&self) -> &A {
        &self.app
    }

    /// What was counted so far.
    pub fn stats(&self) -> &HttpStats {
        &self.shared.stats
    }
}

enum Next<A: App> {
    /// More input is needed, or the output has to go out first.
    Wait,
    Become(Kind<A>),
}

impl<A: App> Http<A> {
    fn requests(
        &mut self,
        conn: &mut Conn<'_>,
        requests: &mut Requests,
        input: &mut Input<'_>,
    ) -> Result<Next<A>, Close> {
        // What waited before this callback does not count: with a high-water mark above it, the resume below
        // would come back at once, again and again.
        let enough = conn.output_len().saturating_add(OUTPUT_ENOUGH);
        loop {
            let full = conn.is_congested() || conn.output_len() >= enough;
            if full && requests.conn.is_idle() && !input.is_empty() {
                // Pipelined requests wait until what they were preceded by is sent: a resume offers them
                // again, at once or when the peer has read enough.
                requests.sending();
                conn.cancel_wake();
                conn.pause();
                conn.resume();
                return Ok(Next::Wait);
            }
            match requests.conn.decode(input) {
                Ok(None) => break,
                Ok(Some(RequestPart::Head(head))) => {
                    if let Next::Become(kind) = self.head(conn, requests, head)? {
                        return Ok(Next::Become(kind));
                    }
                }
                Ok(Some(RequestPart::Body(bytes))) => {
                    if let Some(waiting) = &mut requests.waiting {
                        waiting.body.extend_from_slice(bytes);
                        let held = waiting.body.len();
                        self.shared.bodies = self.shared.bodies - requests.held + held;
                        requests.held = held;
                        if self.shared.bodies > self.shared.config.bodies_max {
                            self.overloaded(conn, requests);
                        }
                    }
                }
                Ok(Some(RequestPart::End)) => self.whole(conn, requests),
                Ok(Some(_)) => {}
                Err(error) => return Err(self.refuse(conn, requests, error)),
            }
        }
        if requests.later.is_some() {
            // What comes behind it waits, in the socket for the most part.
            requests.left = !input.is_empty();
            conn.pause();
        } else if requests.conn.is_over() {
            if requests.conn.has_heard_all() {
                conn.expect_silence();
            }
            return Err(Close::Done);
        } else if requests.ended {
            // Whoever ends in the middle of a request gets no answer to it.
            return Err(if requests.conn.end(input).is_ok() { Close::Eof } else { Close::Truncated });
        }
        if let Some(deadline) = requests.deadline(&self.shared.config, conn.now(), input.is_empty()) {
            conn.wake_at(deadline);
        }
        Ok(Next::Wait)
    }

    /// A head has come: it is answered, unless its route waits for a body.
    fn head(
        &mut self,
        conn: &mut Conn<'_>,
        requests: &mut Requests,
        head: RequestHead<'_>,
    ) -> Result<Next<A>, Close> {
        let Http { app, routes, shared } = self;
        shared.stats.requests += 1;
        let http = &mut requests.conn;
        if conn.is_draining() || http.requests() == shared.config.requests_max {
            http.close_after_response();
        }
        if !shared.config.is_ours(head.host) {
            let _ = Reply::new(conn, http, shared, head).refuse(Refusal(Status::MISDIRECTED_REQUEST));
            return Ok(Next::Wait);
        }
        if let Some(seconds) = shared.config.retry_after
            && conn.is_overloaded()
        {
            shared.stats.shed += 1;
            let reply = Reply::new(conn, http, shared, head).header("retry-after", seconds.to_string());
            let _ = reply.refuse(Refusal(Status::SERVICE_UNAVAILABLE));
            return Ok(Next::Wait);
        }
        let found = match find(routes, &head) {
            Ok(found) => found,
            Err(none) => {
                let mut reply = Reply::new(conn, http, shared, head);
                if let NoRoute::Method(allowed) = &none {
                    reply = reply.header("allow", allowed);
                }
                let _ = reply.refuse(Refusal(none.status()));
                return Ok(Next::Wait);
            }
        };
        let route = &routes[found];
        let bodyless = matches!(head.framing, Framing::Empty | Framing::Length(0));
        let request =
            Request { head, body: b"", peer: conn.peer(), conn: conn.id(), rest: route.rest(&head) };
        match &route.to {
            To::File(file) => {
                let _ = Reply::new(conn, http, shared, head).file(file);
            }
            To::Handle(_, handle) if bodyless => {
                let _ = handle(app, &request, Reply::new(conn, http, shared, head));
                requests.later = shared.later.take();
            }
            To::Handle(..) => {
                let body_max = route.body_max.unwrap_or(shared.config.limits.body_max);
                http.set_body_max(body_max);
                requests.waiting =
                    Some(Waiting { route: found, head: head.to_buf(), since: conn.now(), body: Vec::new() });
                if matches!(head.framing, Framing::Length(length) if length > body_max) {
                    return Err(self.refuse(conn, requests, HttpError::BodyTooLong));
                }
                if http.is_continue_awaited() {
                    shared.out.clear();
                    if http.send_continue(&mut shared.out).is_ok() {
                        conn.write(&shared.out);
                    }
                }
            }
            To::Events(_, Some(allow)) if let Err(refusal) = allow(app, &request) => {
                let _ = Reply::new(conn, http, shared, head).refuse(refusal);
            }
            To::Events(number, _) => return Ok(subscribe(app, conn, http, shared, &request, *number)),
            To::Upgrade(protocol, _) if !head.asks_for(protocol) || !bodyless => {
                ask_to_upgrade(conn, http, shared, head, protocol);
            }
            To::Upgrade(protocol, accept) => match accept(app, &request) {
                Err(Refusal(Status::UPGRADE_REQUIRED)) => {
                    ask_to_upgrade(conn, http, shared, head, protocol);
                }
                Err(refusal) => {
                    let mut reply = Reply::new(conn, http, shared, head);
                    if refusal.0 == Status::METHOD_NOT_ALLOWED {
                        reply = reply.header("allow", "GET");
                    }
                    let _ = reply.refuse(refusal);
                }
                Ok(Accepted { session, headers }) => {
                    shared.out.clear();
                    let mut response = http.respond(&mut shared.out, Status::SWITCHING_PROTOCOLS);
                    for (name, value) in &headers {
                        response = response.header(name, value);
                    }
                    if response.upgrade(protocol).is_ok() {
                        conn.write(&shared.out);
                        shared.stats.count_response(Status::SWITCHING_PROTOCOLS);
                        shared.stats.upgrades += 1;
                        shared.tell(conn, Some(head), Status::SWITCHING_PROTOCOLS, 0, conn.now());
                        return Ok(Next::Become(Kind::Upgraded(session)));
                    }
                    shared.stats.unwritable += 1;
                    let error = Refusal(Status::INTERNAL_SERVER_ERROR);
                    let _ = Reply::new(conn, http, shared, head).refuse(error);
                }
            },
        }
        Ok(Next::Wait)
    }

    /// A request is whole, and its route may have waited for that.
    fn whole(&mut self, conn: &mut Conn<'_>, requests: &mut Requests) {
        let Some(waiting) = self.take_waiting(requests) else { return };
        let Http { app, routes, shared } = self;
        let route = &routes[waiting.route];
        let (Ok(head), To::Handle(_, handle)) = (waiting.head.head(), &route.to) else { return conn.abort() };
        let request = Request {
            head,
            body: &waiting.body,
            peer: conn.peer(),
            conn: conn.id(),
            rest: route.rest(&head),
        };
        let reply = Reply::new(conn, &mut requests.conn, shared, head).since(waiting.since);
        let _ = handle(app, &request, reply);
        requests.later = shared.later.take();
    }

    fn take_waiting(&mut self, requests: &mut Requests) -> Option<Waiting> {
        self.shared.bodies -= std::mem::take(&mut requests.held);
        requests.waiting.take()
    }

    /// The app did not answer in time.
    fn late(&mut self, conn: &mut Conn<'_>, requests: &mut Requests) {
        self.shared.stats.late += 1;
        let answer = |reply: Reply<'_, '_>| reply.refuse(Refusal(Status::GATEWAY_TIMEOUT));
        requests.answer(conn, &mut self.shared, answer);
    }

    /// All bodies together are too much: this one is given up.
    fn overloaded(&mut self, conn: &mut Conn<'_>, requests: &mut Requests) {
        let Some(waiting) = self.take_waiting(requests) else { return };
        let Ok(head) = waiting.head.head() else { return conn.abort() };
        self.shared.stats.overloaded += 1;
        let reply = Reply::new(conn, &mut requests.conn, &mut self.shared, head);
        let _ = reply.since(waiting.since).close().refuse(Refusal(Status::SERVICE_UNAVAILABLE));
    }

    /// The last response, to a request that broke the protocol, a limit or a deadline.
    fn refuse(&mut self, conn: &mut Conn<'_>, requests: &mut Requests, error: HttpError) -> Close {
        self.shared.stats.count_refused(error);
        self.shared.out.clear();
        requests.conn.refuse(&mut self.shared.out, error);
        conn.write(&self.shared.out);
        if !self.shared.out.is_empty() {
            // The head may have been read, and only its body was too much.
            let waiting = self.take_waiting(requests);
            let head = waiting.as_ref().and_then(|waiting| waiting.head.head().ok());
            let since = waiting.as_ref().map_or(conn.now(), |waiting| waiting.since);
            let sent = body_len(&self.shared.out);
            self.shared.tell(conn, head, error.status(), sent, since);
        }
        error.into()
    }
}

impl<A: App> Route<A> {
    fn rest<'b>(&self, head: &RequestHead<'b>) -> &'b str {
        if self.prefix { head.path().get(self.path.len()..).unwrap_or("") } else { "" }
    }
}

/// The bytes behind the head of a response.
fn body_len(response: &[u8]) -> u64 {
    let end = response.windows(4).position(|four| four == b"\r\n\r\n");
    end.map_or(0, |end| response.len() - end - 4) as u64
}

/// 426, with what the client has to ask for (RFC 9110 section 15.5.22, RFC 6455 section 4.4).
fn ask_to_upgrade(
    conn: &mut Conn<'_>,
    http: &mut windlass_proto::http::ServerConn,
    shared: &mut Shared,
    head: RequestHead<'_>,
    protocol: &str,
) {
    shared.out.clear();
    let mut hint = http.respond(&mut shared.out, Status::UPGRADE_REQUIRED).lines(&shared.config.headers);
    if protocol.eq_ignore_ascii_case("websocket") {
        hint = hint.header("sec-websocket-version", "13");
    }
    if hint.upgrade_hint(protocol).empty().is_ok() {
        conn.write(&shared.out);
        shared.stats.count_response(Status::UPGRADE_REQUIRED);
        shared.tell(conn, Some(head), Status::UPGRADE_REQUIRED, 0, conn.now());
    }
}

/// Begins a stream of events.
fn subscribe<A: App>(
    app: &mut A,
    conn: &mut Conn<'_>,
    http: &mut windlass_proto::http::ServerConn,
    shared: &mut Shared,
    request: &Request<'_>,
    number: usize,
) -> Next<A> {
    if shared.channels[number].subscribers.len() >= shared.config.subscribers_max {
        let _ = Reply::new(conn, http, shared, request.head).refuse(Refusal(Status::SERVICE_UNAVAILABLE));
        return Next::Wait;
    }
    let greeting = app.subscribe(request);
    shared.out.clear();
    // It ends with the connection, so events need no framing of their own and are the same bytes for all.
    let begun = http
        .respond(&mut shared.out, Status::OK)
        .lines(&shared.config.headers)
        .header("content-type", "text/event-stream")
        .header("cache-control", "no-store")
        .until_close();
    if begun.is_err() {
        conn.abort();
        return Next::Wait;
    }
    shared.stats.count_response(Status::OK);
    shared.tell(conn, Some(request.head), Status::OK, 0, conn.now());
    if request.head.method == "HEAD" {
        let _ = http.finish(&mut shared.out);
        conn.write(&shared.out);
        return Next::Wait;
    }
    for event in greeting {
        shared.out.extend_from_slice(event.to_string().as_bytes());
    }
    conn.write(&shared.out);
    shared.channels[number].subscribers.insert(conn.id());
    shared.stats.subscribers += 1;
    conn.wake_at(conn.now() + shared.config.event_keep_alive);
    Next::Become(Kind::Events(number))
}

impl<A: App> Service for Http<A> {
    type Session = Session<A>;

    fn place(&mut self, peer: Peer, listener: usize) -> Placement {
        self.app.place(peer, listener)
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<Session<A>, Close> {
        conn.wake_at(conn.now() + self.shared.config.head_timeout);
        Ok(Session { kind: Kind::Requests(Box::new(Requests::new(self.shared.config.limits))) })
    }

    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut Session<A>,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        match &mut session.kind {
            Kind::Requests(requests) => match self.requests(conn, requests, input)? {
                Next::Wait => return Ok(()),
                Next::Become(kind) => session.kind = kind,
            },
            Kind::Upgraded(upgraded) => return upgraded.data(&mut self.app, conn, input),
            Kind::Events(_) => {}
        }
        // Just become: what is left in the input is its own.
        if let Kind::Upgraded(upgraded) = &mut session.kind {
            conn.cancel_wake();
            upgraded.open(&mut self.app, conn)?;
            return if input.is_empty() { Ok(()) } else { upgraded.data(&mut self.app, conn, input) };
        }
        // A subscriber has nothing more to say.
        input.take_all();
        Ok(())
    }

    fn eof(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut Session<A>,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        if let Kind::Requests(requests) = &mut session.kind {
            // Pipelined requests may be left, since output had to go out first: they are answered still.
            requests.ended = true;
            self.data(conn, session, input)?;
        }
        match &mut session.kind {
            Kind::Requests(_) => Ok(()),
            Kind::Events(_) => Err(Close::Eof),
            Kind::Upgraded(upgraded) => upgraded.eof(&mut self.app, conn, input),
        }
    }

    fn drained(&mut self, conn: &mut Conn<'_>, session: &mut Session<A>) -> Result<(), Close> {
        match &mut session.kind {
            Kind::Upgraded(upgraded) => upgraded.drained(&mut self.app, conn),
            _ => Ok(()),
        }
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, session: &mut Session<A>) -> Result<(), Close> {
        match &mut session.kind {
            Kind::Requests(requests) => match requests.phase() {
                Phase::Answer => {
                    self.late(conn, requests);
                    Ok(())
                }
                // A response is still on its way: how slow that may be is the engine's business.
                Phase::Idle | Phase::Sending if conn.output_len() > 0 => {
                    conn.wake_at(conn.now() + requests.timeout(&self.shared.config));
                    Ok(())
                }
                Phase::New => Err(Close::Timeout),
                // Kept for as long as was promised.
                Phase::Idle | Phase::Sending => Err(Close::Done),
                Phase::Head | Phase::Body => Err(self.refuse(conn, requests, HttpError::Timeout)),
            },
            Kind::Events(_) => {
                if conn.output_len() == 0 {
                    conn.write(b":\n\n");
                }
                conn.wake_at(conn.now() + self.shared.config.event_keep_alive);
                Ok(())
            }
            Kind::Upgraded(upgraded) => upgraded.timeout(&mut self.app, conn),
        }
    }

    fn draining(&mut self, conn: &mut Conn<'_>, session: &mut Session<A>) -> Result<(), Close> {
        match &mut session.kind {
            Kind::Requests(requests) if requests.conn.is_idle() => Err(Close::Shutdown),
            Kind::Requests(requests) => {
                requests.conn.close_after_response();
                Ok(())
            }
            Kind::Events(_) => Err(Close::Shutdown),
            Kind::Upgraded(upgraded) => upgraded.draining(&mut self.app, conn),
        }
    }

    fn superseded(&mut self, conn: &mut Conn<'_>, session: &mut Session<A>) -> Result<(), Close> {
        match &mut session.kind {
            // The next response says that it is the last, and the client comes back to the successor.
            Kind::Requests(requests) => requests.conn.close_after_response(),
            // As a browser does by itself.
            Kind::Events(_) => return Err(Close::Shutdown),
            Kind::Upgraded(upgraded) => return upgraded.superseded(&mut self.app, conn),
        }
        Ok(())
    }

    fn closed(&mut self, conn: &mut Conn<'_>, session: Session<A>, why: Close) {
        match session.kind {
            Kind::Requests(requests) => self.shared.bodies -= requests.held,
            Kind::Events(number) => {
                self.shared.channels[number].subscribers.remove(&conn.id());
                self.shared.stats.subscribers -= 1;
            }
            Kind::Upgraded(upgraded) => upgraded.closed(&mut self.app, conn, why),
        }
    }

    fn tick(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Session<A>>, tick: Tick) {
        self.app.tick(&mut Push { scope, sessions, shared: &mut self.shared }, tick);
    }

    fn deadline(&mut self) -> Option<Time> {
        self.app.deadline()
    }

    fn due(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Session<A>>) {
        self.app.due(&mut Push { scope, sessions, shared: &mut self.shared });
    }

    fn shutdown(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Session<A>>) {
        self.app.shutdown(&mut Push { scope, sessions, shared: &mut self.shared });
    }
}

impl<A: ReceiveApp> Receive for Http<A> {
    type Message = A::Message;

    fn receive(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Session<A>>, message: A::Message) {
        self.app.receive(&mut Push { scope, sessions, shared: &mut self.shared }, message);
    }
}

impl<A: DatagramApp> DatagramService for Http<A> {
    #[inline]
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        self.app.datagram(socket, datagram);
    }

    fn drained(&mut self, socket: &mut Socket<'_>) {
        self.app.datagrams_drained(socket);
    }

    fn error(&mut self, socket: &mut Socket<'_>, error: std::io::Error) {
        self.app.datagrams_failed(socket, error);
    }

    fn timeout(&mut self, socket: &mut Socket<'_>) {
        self.app.datagrams_timeout(socket);
    }

    fn draining(&mut self, socket: &mut Socket<'_>) {
        self.app.datagrams_draining(socket);
    }
}
