//! What a route answers.

use serde::Serialize;
use windlass::{Bytes, Conn, ConnId, Time};
use windlass_proto::http::{EncodeError, HeaderLines, RequestHead, ServerConn, Status};

use crate::answered::OnAnswer;
use crate::config::HttpConfig;
use crate::date::http_date;
use crate::event::{Channel, Event, publish};
use crate::file::{File, is_known};
use crate::request::Refusal;
use crate::session::Pending;
use crate::stats::HttpStats;

/// A body of at least so many bytes is handed over by reference count instead of copied.
const SHARE_MIN: usize = 4096;

/// What all connections of a worker use together.
pub(crate) struct Shared {
    pub(crate) config: HttpConfig,
    pub(crate) channels: Vec<Channel>,
    pub(crate) stats: HttpStats,
    /// Bytes of bodies half received: the sum of all connections' `held`.
    pub(crate) bodies: usize,
    pub(crate) error_page: Option<fn(Status) -> String>,
    pub(crate) on_answer: Option<OnAnswer>,
    /// Put off by the route that was called last.
    pub(crate) later: Option<Pending>,
    // Empty between two responses; kept, so that none is allocated for.
    pub(crate) out: Vec<u8>,
    lines: HeaderLines,
    date: HeaderLines,
    dated: Option<Time>,
}

impl Shared {
    pub(crate) fn new() -> Shared {
        Shared {
            config: HttpConfig::default(),
            channels: Vec::new(),
            stats: HttpStats::default(),
            bodies: 0,
            error_page: None,
            on_answer: None,
            later: None,
            out: Vec::new(),
            lines: HeaderLines::new(),
            date: HeaderLines::new(),
            dated: None,
        }
    }

    /// The `date` line, made anew once a second.
    fn date(&mut self, now: Time) -> &HeaderLines {
        if let Some(clock) = self.config.clock
            && self.dated.is_none_or(|dated| now.since(dated).as_secs() >= 1)
        {
            self.dated = Some(now);
            self.date.clear();
            // It is text.
            let _ = self.date.push("date", http_date(clock()));
        }
        &self.date
    }
}

/// The way to answer one request. Every route ends in one of its methods, which all give the
/// [`Replied`] that a route has to return: none can forget to answer, and none can answer twice. An answer
/// that is not there yet is put off with [`later`](Reply::later).
///
/// A reply is queued whole, so it has to fit under the engine's
/// [`output_max`](windlass::Limits::output_max), 32 MiB; large files wait by reference and are not copied.
///
/// A `HEAD` request is answered as `GET` is; its body is left out by itself. Replies say
/// `cache-control: no-store` unless they were given another.
///
/// ```
/// use windlass_http::{Http, Replied, Reply, Request};
/// use windlass::proto::http::Status;
///
/// fn teapot(_: &mut (), request: &Request<'_>, reply: Reply<'_, '_>) -> Replied {
///     match request.param("milk").as_deref() {
///         Some("yes") => reply.status(Status::NOT_ACCEPTABLE).text("none left"),
///         _ => reply.header("x-kettle", "on").text("short and stout"),
///     }
/// }
///
/// let http = Http::new(()).get("/teapot", teapot);
/// ```
#[must_use = "a request has to be answered"]
pub struct Reply<'a, 'c> {
    conn: &'a mut Conn<'c>,
    http: &'a mut ServerConn,
    shared: &'a mut Shared,
    head: RequestHead<'a>,
    // When it came.
    since: Time,
    status: Status,
    error: Option<EncodeError>,
}

/// Names a request that is answered later: [`Push::answer`](crate::Push::answer) takes it. It may travel
/// to another thread and come back in a message. Of its copies the first one to be answered counts; without
/// an answer the request is answered with 504 in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a request has to be answered"]
pub struct Later {
    pub(crate) conn: ConnId,
    pub(crate) number: u64,
}

impl Later {
    /// The worker on which it has to be answered, counted from 0.
    pub fn worker(&self) -> usize {
        self.conn.worker()
    }
}

/// The request was answered, or will be.
#[derive(Debug)]
pub struct Replied(());

impl<'a, 'c> Reply<'a, 'c> {
    pub(crate) fn new(
        conn: &'a mut Conn<'c>,
        http: &'a mut ServerConn,
        shared: &'a mut Shared,
        head: RequestHead<'a>,
    ) -> Reply<'a, 'c> {
        shared.lines.clear();
        let since = conn.now();
        Reply { conn, http, shared, head, since, status: Status::OK, error: None }
    }

    /// The request came before this callback.
    pub(crate) fn since(mut self, since: Time) -> Reply<'a, 'c> {
        self.since = since;
        self
    }

    /// Sets the status, which is 200 otherwise.
    pub fn status(mut self, status: Status) -> Reply<'a, 'c> {
        self.status = status;
        self
    }

    /// Adds a header line. One that cannot be written, since its name is no token or its value holds a line
    /// break, makes the answer a 500.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Reply<'a, 'c> {
        if let Err(error) = self.shared.lines.push(name, value) {
            self.error.get_or_insert(error);
        }
        self
    }

    /// The connection: its id, the time, others to write to. What is written to it itself would get in
    /// front of the response.
    pub fn conn(&mut self) -> &mut Conn<'c> {
        self.conn
    }

    /// Sends an event to all subscribers of the stream at `path` on this worker; false if there is no such
    /// stream.
    pub fn push(&mut self, path: &str, event: &Event) -> bool {
        let Shared { channels, config, stats, .. } = &mut *self.shared;
        let Some(channel) = channels.iter().find(|channel| channel.path == path) else { return false };
        publish(channel, config, stats, event, |id, write| {
            if let Some(mut conn) = self.conn.other(id) {
                write(&mut conn);
            }
        });
        true
    }

    /// Makes this the last response on its connection.
    pub fn close(self) -> Reply<'a, 'c> {
        self.http.close_after_response();
        self
    }

    /// What was counted on this worker so far.
    pub fn stats(&self) -> &HttpStats {
        &self.shared.stats
    }

    /// Text.
    pub fn text(self, text: &str) -> Replied {
        self.bytes("text/plain; charset=utf-8", text.as_bytes())
    }

    /// A page.
    pub fn html(self, html: &str) -> Replied {
        self.bytes("text/html; charset=utf-8", html.as_bytes())
    }

    /// A value as JSON; 500 if it cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Replied {
        match serde_json::to_vec(value) {
            Ok(json) => self.bytes("application/json", &json),
            Err(_) => self.refuse(Refusal(Status::INTERNAL_SERVER_ERROR)),
        }
    }

    /// A body of any type.
    pub fn bytes(self, content_type: &str, body: &[u8]) -> Replied {
        self.send(content_type, Body::Copied(body))
    }

    /// A body of any type, shared: sent from where it lies if it is large.
    pub fn shared(self, content_type: &str, body: &Bytes) -> Replied {
        self.send(content_type, Body::of(body))
    }

    /// No body.
    pub fn empty(self) -> Replied {
        self.send("", Body::Copied(b""))
    }

    /// 303: the answer is elsewhere, to be fetched with `GET`.
    pub fn see_other(self, location: &str) -> Replied {
        self.status(Status::SEE_OTHER).header("location", location).empty()
    }

    /// An error, with the error page.
    pub fn refuse(mut self, refusal: Refusal) -> Replied {
        self.status = refusal.0;
        match self.shared.error_page {
            Some(page) => self.html(&page(refusal.0)),
            None => {
                let text = format!("{} {}\n", refusal.0.code(), refusal.0.reason());
                self.text(&text)
            }
        }
    }

    /// Puts the answer off: it comes from the app's `tick` or `receive`, by
    /// [`Push::answer`](crate::Push::answer) with the [`Later`] given here. Nothing set on this reply
    /// counts. Requests behind this one wait until then, and nothing more is read from the connection.
    ///
    /// The answer has to come within [`HttpConfig::answer_timeout`](crate::HttpConfig::answer_timeout), or else
    /// the request is answered with 504. If the connection ends first, the answer goes nowhere.
    pub fn later(self) -> (Replied, Later) {
        let number = self.http.requests();
        self.shared.later = Some(Pending { number, since: self.since, head: self.head.to_buf() });
        (Replied(()), Later { conn: self.conn.id(), number })
    }

    /// A file: compressed if there is such a variant and the client takes it, and only 304 if the client has
    /// it already.
    pub fn file(mut self, file: &File) -> Replied {
        let (bytes, etag, compressed) = file.variant(&self.head);
        self = self.header("etag", etag).header("cache-control", &file.cache_control);
        if file.gzip.is_some() {
            self = self.header("vary", "accept-encoding");
        }
        if is_known(&self.head, etag) {
            return self.status(Status::NOT_MODIFIED).empty();
        }
        if compressed {
            self = self.header("content-encoding", "gzip");
        }
        self.send(&file.content_type, Body::of(bytes))
    }

    fn send(mut self, content_type: &str, body: Body<'_>) -> Replied {
        let mut sent = body.len();
        if let Err(_mistake) = self.try_send(content_type, body) {
            self.shared.stats.unwritable += 1;
            self.shared.lines.clear();
            (self.status, self.error) = (Status::INTERNAL_SERVER_ERROR, None);
            if self.try_send("", Body::Copied(b"")).is_err() {
                // Part of it is out already, or nothing can be: the client must not take that for whole.
                self.conn.abort();
            }
            sent = 0;
        }
        if self.head.method == "HEAD" || self.status == Status::NOT_MODIFIED {
            sent = 0;
        }
        self.shared.tell(self.conn, Some(self.head), self.status, sent as u64, self.since);
        Replied(())
    }

    fn try_send(&mut self, content_type: &str, body: Body<'_>) -> Result<(), EncodeError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.shared.date(self.conn.now());
        let Shared { config, out, lines, date, stats, .. } = &mut *self.shared;
        out.clear();
        let mut response =
            self.http.respond(out, self.status).lines(&config.headers).lines(date).lines(lines);
        if !content_type.is_empty() {
            response = response.header("content-type", content_type);
        }
        if !lines.headers().contains("cache-control") {
            response = response.header("cache-control", "no-store");
        }
        let is_asked_for = !config.challenge.is_empty() && !lines.headers().contains("www-authenticate");
        if self.status == Status::UNAUTHORIZED && is_asked_for {
            response = response.header("www-authenticate", &config.challenge);
        }
        match body {
            Body::Copied(bytes) => response.body(bytes)?,
            Body::Shared(bytes) => {
                response.length(bytes.len() as u64)?;
                if self.http.begin_piece(out, bytes.len())? {
                    self.conn.write(out);
                    out.clear();
                    self.conn.write_shared(bytes.clone());
                    self.http.end_piece(out);
                }
                self.http.finish(out)?;
            }
        }
        self.conn.write(out);
        stats.count_response(self.status);
        Ok(())
    }
}

enum Body<'x> {
    Copied(&'x [u8]),
    Shared(&'x Bytes),
}

impl<'x> Body<'x> {
    fn of(bytes: &'x Bytes) -> Body<'x> {
        if bytes.len() < SHARE_MIN { Body::Copied(bytes) } else { Body::Shared(bytes) }
    }

    fn len(&self) -> usize {
        match self {
            Body::Copied(bytes) => bytes.len(),
            Body::Shared(bytes) => bytes.len(),
        }
    }
}
