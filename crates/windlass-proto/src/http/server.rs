//! The server's end of a connection: requests in, responses out, one after the other.

use alloc::vec::Vec;

use crate::http::body::{Body, Piece};
use crate::http::body_out::{BodyOut, End};
use crate::http::{
    EncodeError, Framing, HeadEncoder, HeaderLines, Headers, HttpError, Limits, RequestHead, RequestHeads,
    ResponseHead, Status, Version,
};
use crate::{Decode, Input};

/// What arrives of a request: its head, its body in pieces of any size, perhaps trailers, and its end. Every
/// request has a head, and an end too unless its response is complete before that.
#[derive(Debug)]
#[non_exhaustive]
pub enum RequestPart<'b> {
    /// A request begins.
    Head(RequestHead<'b>),
    /// Some of its body, without the framing of chunks.
    Body(&'b mut [u8]),
    /// What stands behind the last chunk.
    Trailers(Headers<'b>),
    /// All of it was there.
    End,
}

/// The server's end of one connection.
///
/// Requests come out of [`decode`](Decode::decode); what is written is appended to a buffer of the caller's.
/// **One request at a time:** the next is not looked at before the response to this one is complete, so
/// pipelined requests wait in the input, responses cannot be confused, and bytes behind an upgrade are not
/// taken. A response may begin, and end, before the whole request was there; what is left of it then is read
/// over up to [`Limits::drain_max`], or else the connection ends.
///
/// Whoever is done with [`decode`](Decode::decode) for now asks [`is_over`](ServerConn::is_over) (close the
/// connection, once the output is sent) and [`is_switched`](ServerConn::is_switched) (the input belongs to
/// another protocol). After an [`HttpError`], [`refuse`](ServerConn::refuse) writes the last response.
///
/// ```
/// use windlass_proto::http::{RequestPart, ServerConn, Status};
/// use windlass_proto::{Decode, Input};
///
/// let mut received = *b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nHEAD /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
/// let (mut conn, mut out) = (ServerConn::default(), Vec::new());
/// let mut input = Input::new(&mut received);
/// while let Some(part) = conn.decode(&mut input)? {
///     if let RequestPart::Head(head) = part {
///         let body = head.path().as_bytes();
///         conn.respond(&mut out, Status::OK).body(body)?;
///     }
/// }
/// let expected = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n/a\
///                 HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n";
/// assert_eq!(out, expected.as_bytes());
/// assert!(conn.is_over());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct ServerConn {
    heads: RequestHeads,
    request: Reading,
    response: Writing,
    asked: Asked,
    // No request after this one; no response after the one under way.
    last: bool,
    // The client said so of its request: it sends no other.
    leaves: bool,
    over: bool,
    switched: bool,
    requests: u64,
}

#[derive(Debug, Default)]
enum Reading {
    #[default]
    Head,
    Body(Body),
    // What nobody wants to see any more, and how much of it may still come.
    Drain(Body),
    End,
}

#[derive(Clone, Copy, PartialEq, Debug, Default)]
enum Writing {
    // No request, or its response is complete.
    #[default]
    Idle,
    // A request, and nothing of its response.
    Due,
    Body(BodyOut),
}

/// What has to be remembered of the request under way, to answer it.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    head: bool,
    connect: bool,
    upgrade: bool,
    http10: bool,
    // The client holds its body back until it is told to go on, or answered.
    waits: bool,
}

impl ServerConn {
    /// A fresh connection with these limits.
    pub fn new(limits: Limits) -> ServerConn {
        ServerConn { heads: RequestHeads::new(limits), ..ServerConn::default() }
    }

    /// How many requests have begun.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Whether nothing is under way: no request has begun to be read, and none waits for its response. Bytes
    /// in the input may be the beginning of one.
    pub fn is_idle(&self) -> bool {
        matches!(self.request, Reading::Head) && self.response == Writing::Idle && !self.over
    }

    /// Whether a request was read whole and its response is not complete.
    pub fn is_answering(&self) -> bool {
        self.is_request_whole() && self.response != Writing::Idle
    }

    /// Whether a response is due and has not begun.
    pub fn is_response_due(&self) -> bool {
        self.response == Writing::Due
    }

    /// Whether the body under way is over when the connection is: to a client of HTTP/1.0, where nobody knows how long
    /// it will be. Should it break off, only a reset tells that client so.
    pub fn ends_with_connection(&self) -> bool {
        matches!(&self.response, Writing::Body(body) if body.is_until_close())
    }

    /// Whether the connection is to be closed, once what was written is sent. Nothing is read any more.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Whether the client sends nothing more: it asked for its last response, with `Connection: close` or in
    /// HTTP/1.0 (RFC 9112 section 9.6), and all of that request was read. Nobody needs to wait for its FIN then
    /// before the connection is closed.
    pub fn has_heard_all(&self) -> bool {
        self.leaves && matches!(self.request, Reading::Head | Reading::End)
    }

    /// Whether another protocol has begun. What is left in the input is its own.
    pub fn is_switched(&self) -> bool {
        self.switched
    }

    /// Makes the response under way, or the next, the last: for a graceful shutdown, or after so many
    /// requests. A head that is still to be written says so.
    pub fn close_after_response(&mut self) {
        self.last = true;
    }

    /// Sets the limit of the body under way anew: for a route that takes more, or less, than the others.
    /// Has an effect before any of the body was read.
    pub fn set_body_max(&mut self, bytes: u64) {
        if let Reading::Body(body) = &mut self.request {
            body.set_max(bytes);
        }
    }

    /// Whether the client waits for [`send_continue`](ServerConn::send_continue) before it sends its body.
    pub fn is_continue_awaited(&self) -> bool {
        self.asked.waits && self.response == Writing::Due
    }

    /// Tells the client to go on and send its body (RFC 9110 section 10.1.1).
    ///
    /// # Errors
    ///
    /// [`EncodeError::State`] if it does not wait for that.
    pub fn send_continue(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !self.is_continue_awaited() {
            return Err(EncodeError::State);
        }
        self.asked.waits = false;
        HeadEncoder::response(out, Status::CONTINUE).end()
    }

    /// Begins an interim response, `103 Early Hints` say: headers, then [`HeadEncoder::end`].
    ///
    /// # Errors
    ///
    /// [`EncodeError::State`] where none may stand (the response has begun, or the client speaks HTTP/1.0),
    /// and for a status that is not interim: 100 has a method of its own, 101 is final.
    pub fn interim<'o>(
        &mut self,
        out: &'o mut Vec<u8>,
        status: Status,
    ) -> Result<HeadEncoder<'o>, EncodeError> {
        let interim = status.is_informational() && status.code() > 101;
        if self.response != Writing::Due || self.asked.http10 || !interim {
            return Err(EncodeError::State);
        }
        Ok(HeadEncoder::response(out, status))
    }

    /// Begins the response to the request under way. What comes of it is decided by how it is ended:
    /// [`body`](Response::body), [`length`](Response::length), [`chunked`](Response::chunked), ...
    pub fn respond<'c, 'o>(&'c mut self, out: &'o mut Vec<u8>, status: Status) -> Response<'c, 'o> {
        Response { conn: self, status, head: HeadEncoder::response(out, status) }
    }

    /// Writes a piece of the body of the response under way.
    ///
    /// To a `HEAD` request nothing is written, so that the same code answers it and `GET`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Length`] if it is more than was said, [`EncodeError::State`] if no body is under way.
    pub fn write(&mut self, out: &mut Vec<u8>, piece: &[u8]) -> Result<(), EncodeError> {
        match &mut self.response {
            Writing::Body(body) => body.write(out, piece),
            _ => Err(EncodeError::State),
        }
    }

    /// Writes what stands before a piece of `len` bytes that the caller sends itself, without a copy. If
    /// true, the piece is to be sent, and [`end_piece`](ServerConn::end_piece) called behind it; if false
    /// neither.
    ///
    /// # Errors
    ///
    /// As [`write`](ServerConn::write) has.
    #[must_use = "the piece is sent, or not"]
    pub fn begin_piece(&mut self, out: &mut Vec<u8>, len: usize) -> Result<bool, EncodeError> {
        match &mut self.response {
            Writing::Body(body) => body.begin(out, len),
            _ => Err(EncodeError::State),
        }
    }

    /// Writes what stands behind a piece that [`begin_piece`](ServerConn::begin_piece) began.
    pub fn end_piece(&mut self, out: &mut Vec<u8>) {
        if let Writing::Body(body) = &self.response {
            body.end(out);
        }
    }

    /// Ends the body of the response under way.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Length`] if it is less than was said: then the connection can only be aborted.
    /// [`EncodeError::State`] if no body is under way.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.finish_with_trailers(out, &[])
    }

    /// The same with trailers, behind chunks; to a client of HTTP/1.0, which has none, they are not sent.
    ///
    /// # Errors
    ///
    /// As [`finish`](ServerConn::finish); and [`EncodeError::State`] if the body is not chunked.
    pub fn finish_with_trailers(
        &mut self,
        out: &mut Vec<u8>,
        trailers: &[(&str, &[u8])],
    ) -> Result<(), EncodeError> {
        let Writing::Body(body) = &self.response else { return Err(EncodeError::State) };
        body.finish(out, if self.asked.http10 { &[] } else { trailers })?;
        self.complete();
        Ok(())
    }

    /// Writes the last response after an error of [`decode`](Decode::decode) or a deadline: its status,
    /// its [`label`](HttpError::label) as text, `connection: close`. If a response is under way already,
    /// nothing can be said any more, and nothing is written. Either way the connection is over.
    pub fn refuse(&mut self, out: &mut Vec<u8>, error: HttpError) {
        let mut lines = HeaderLines::new();
        let pushed = lines.push("content-type", "text/plain");
        debug_assert!(pushed.is_ok());
        let mut text = Vec::from(error.label());
        text.push(b'\n');
        self.refuse_with(out, error, &lines, &text);
    }

    /// The same in words of the caller's: these lines, and this body.
    pub fn refuse_with(&mut self, out: &mut Vec<u8>, error: HttpError, lines: &HeaderLines, body: &[u8]) {
        // A silent close between two requests is not answered; everything else is, once.
        let answered = matches!(self.request, Reading::Drain(_)) || matches!(self.response, Writing::Body(_));
        if !answered && !self.over && !self.switched {
            let head = HeadEncoder::response(out, error.status())
                .lines(lines)
                .length(body.len() as u64)
                .connection_close();
            if head.end().is_ok() && !self.asked.head {
                out.extend_from_slice(body);
            }
        }
        self.response = Writing::Idle;
        self.over = true;
    }

    /// The response is complete.
    fn complete(&mut self) {
        self.response = Writing::Idle;
        self.asked = Asked::default();
        self.over |= self.last;
        self.request = match self.request {
            Reading::Body(mut body) if body.left() != Some(0) => {
                body.set_max(self.heads.limits().drain_max);
                Reading::Drain(body)
            }
            _ => Reading::Head,
        };
    }

    fn is_request_whole(&self) -> bool {
        match &self.request {
            Reading::End => true,
            Reading::Body(body) => body.left() == Some(0),
            _ => false,
        }
    }

    /// Whether what is left of the request rules out another one, seen from the beginning of its response.
    fn cannot_be_drained(&self) -> bool {
        match &self.request {
            // It may send its body or not, now that it is answered without having been told to go on.
            Reading::Body(_) if self.asked.waits => true,
            Reading::Body(body) => body.left().is_some_and(|left| left > self.heads.limits().drain_max),
            _ => false,
        }
    }
}

impl Decode for ServerConn {
    type Message<'b> = RequestPart<'b>;
    type Error = HttpError;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<RequestPart<'b>>, HttpError> {
        loop {
            if self.over || self.switched {
                return Ok(None);
            }
            match &mut self.request {
                Reading::Head => {
                    let Some(head) = self.heads.decode(input)? else { return Ok(None) };
                    self.requests += 1;
                    self.leaves = !head.keep_alive;
                    self.last |= self.leaves;
                    self.asked = Asked {
                        head: head.method == "HEAD",
                        connect: head.method == "CONNECT",
                        upgrade: head.upgrade.is_some(),
                        http10: head.version == Version::Http10,
                        waits: head.expects_continue && head.framing != Framing::Empty,
                    };
                    self.response = Writing::Due;
                    self.request = Reading::Body(Body::new(head.framing, self.heads.limits().body_max));
                    return Ok(Some(RequestPart::Head(head)));
                }
                Reading::Body(body) => {
                    let Some(piece) = body.next(input, self.heads.limits())? else { return Ok(None) };
                    // It sends without having been told to: it may.
                    self.asked.waits = false;
                    return Ok(Some(match piece {
                        Piece::Bytes(bytes) => RequestPart::Body(bytes),
                        Piece::Trailers(trailers) => RequestPart::Trailers(trailers),
                        Piece::End => {
                            self.request = Reading::End;
                            RequestPart::End
                        }
                    }));
                }
                Reading::Drain(body) => match body.next(input, self.heads.limits()) {
                    Ok(None) => return Ok(None),
                    Ok(Some(Piece::End)) => {
                        self.request = Reading::Head;
                        self.over |= self.last;
                    }
                    Ok(Some(_)) => {}
                    // Answered already: there is nobody to tell.
                    Err(_) => self.over = true,
                },
                Reading::End => return Ok(None),
            }
        }
    }

    /// The client has finished sending. Between two requests, and while a response is under way, that is in
    /// good order.
    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<RequestPart<'b>>, HttpError> {
        match self.request {
            _ if self.over || self.switched || self.is_request_whole() => Ok(None),
            Reading::Head if input.is_empty() => Ok(None),
            Reading::End | Reading::Drain(_) => Ok(None),
            Reading::Head | Reading::Body(_) => Err(HttpError::Truncated),
        }
    }
}

/// The head of a response on its way: headers first, then one of the methods that end it and say how its
/// body will end. The headers `connection`, `content-length` and `transfer-encoding` are written by them.
#[must_use = "nothing is answered before the response is ended"]
#[derive(Debug)]
pub struct Response<'c, 'o> {
    conn: &'c mut ServerConn,
    status: Status,
    head: HeadEncoder<'o>,
}

impl Response<'_, '_> {
    /// Adds a header line.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.head = self.head.header(name, value);
        self
    }

    /// Adds header lines that were checked before.
    pub fn lines(mut self, lines: &HeaderLines) -> Self {
        self.head = self.head.lines(lines);
        self
    }

    /// Names a protocol the client could ask for: `426 Upgrade Required` has to (RFC 9110 section 15.5.22).
    pub fn upgrade_hint(mut self, protocol: &str) -> Self {
        self.head = self.head.upgrade(protocol);
        self
    }

    /// A response with this body, whole.
    ///
    /// # Errors
    ///
    /// The first mistake in the headers; [`EncodeError::State`] if no response is due. Nothing has been
    /// written then.
    pub fn body(self, body: &[u8]) -> Result<(), EncodeError> {
        let (conn, out) = self.end(Framing::Length(body.len() as u64))?;
        conn.write(out, body)?;
        conn.finish(out)
    }

    /// A response without a body.
    ///
    /// # Errors
    ///
    /// As [`body`](Response::body).
    pub fn empty(self) -> Result<(), EncodeError> {
        self.body(b"")
    }

    /// A body of exactly so many bytes follows, in pieces.
    ///
    /// # Errors
    ///
    /// As [`body`](Response::body).
    pub fn length(self, bytes: u64) -> Result<(), EncodeError> {
        self.end(Framing::Length(bytes)).map(drop)
    }

    /// A body follows in pieces, and nobody knows how long it is. To a client of HTTP/1.0 it ends with the
    /// connection.
    ///
    /// # Errors
    ///
    /// As [`body`](Response::body).
    pub fn chunked(self) -> Result<(), EncodeError> {
        self.end(Framing::Chunked).map(drop)
    }

    /// A body follows that ends with the connection.
    ///
    /// # Errors
    ///
    /// As [`body`](Response::body).
    pub fn until_close(self) -> Result<(), EncodeError> {
        self.end(Framing::UntilClose).map(drop)
    }

    /// Passes a response of another server on: a body follows, or not, as `head` has it there. What ends with
    /// its connection there is chunked here; and a length that stands for a body which is not sent, to `HEAD`
    /// or with 304, is passed on as it was said (RFC 9110 section 8.6).
    ///
    /// # Errors
    ///
    /// As [`body`](Response::body).
    pub fn framed_like(mut self, head: &ResponseHead<'_>) -> Result<(), EncodeError> {
        let silent = self.conn.asked.head || self.status.has_no_body();
        if !silent {
            return match head.framing_for("") {
                Framing::UntilClose => self.end(Framing::Chunked),
                framing => self.end(framing),
            }
            .map(drop);
        }
        match head.claimed() {
            Some(Framing::Length(length)) if self.status != Status::NO_CONTENT => {
                self.head = self.head.length(length);
            }
            _ => {}
        }
        let last = self.conn.last || self.conn.cannot_be_drained();
        self.end_head(End::Length(0), last).map(drop)
    }

    /// Agrees to go on with another protocol (RFC 9110 section 7.8): ends a response with status 101.
    ///
    /// # Errors
    ///
    /// As [`body`](Response::body); and [`EncodeError::State`] if the status is another, the client did not ask
    /// for a protocol, or its request was not read to its end.
    pub fn upgrade(mut self, protocol: &str) -> Result<(), EncodeError> {
        let conn = self.conn;
        let allowed = conn.response == Writing::Due
            && conn.is_request_whole()
            && conn.asked.upgrade
            && self.status == Status::SWITCHING_PROTOCOLS;
        if !allowed {
            self.head = self.head.fail(EncodeError::State);
        }
        self.head.upgrade(protocol).end()?;
        conn.response = Writing::Idle;
        conn.switched = true;
        Ok(())
    }

    /// Agrees to a `CONNECT` request: from now on its bytes are passed on (RFC 9110 section 9.3.6).
    ///
    /// # Errors
    ///
    /// As [`body`](Response::body); and [`EncodeError::State`] if the request was another, was not read to
    /// its end, or the status is not 2xx.
    pub fn tunnel(mut self) -> Result<(), EncodeError> {
        let conn = self.conn;
        let allowed = conn.response == Writing::Due
            && conn.is_request_whole()
            && conn.asked.connect
            && self.status.is_success();
        if !allowed {
            self.head = self.head.fail(EncodeError::State);
        }
        self.head.end()?;
        conn.response = Writing::Idle;
        conn.switched = true;
        Ok(())
    }
}

impl<'c, 'o> Response<'c, 'o> {
    fn end(self, framing: Framing) -> Result<(&'c mut ServerConn, &'o mut Vec<u8>), EncodeError> {
        let Response { conn, status, mut head } = self;
        let asked = conn.asked;
        let mut last = conn.last || conn.cannot_be_drained();
        let end = match framing {
            // A response with 204 says nothing of a length (RFC 9110 section 8.6).
            Framing::Empty | Framing::Length(0) if status == Status::NO_CONTENT => End::Length(0),
            Framing::Length(_) if status == Status::NO_CONTENT => {
                head = head.fail(EncodeError::Length);
                End::Length(0)
            }
            // What a 304 says would be the length of what it stands for: nothing, if that is not given.
            Framing::Empty | Framing::Length(0) if status == Status::NOT_MODIFIED => End::Length(0),
            Framing::Empty => {
                head = head.length(0);
                End::Length(0)
            }
            Framing::Length(length) => {
                head = head.length(length);
                End::Length(length)
            }
            _ if status.has_no_body() => {
                head = head.fail(EncodeError::State);
                End::Length(0)
            }
            Framing::Chunked if !asked.http10 => {
                head = head.chunked();
                End::Chunked
            }
            Framing::Chunked | Framing::UntilClose => {
                last = true;
                End::UntilClose
            }
        };
        Response { conn, status, head }.end_head(end, last)
    }

    fn end_head(self, end: End, last: bool) -> Result<(&'c mut ServerConn, &'o mut Vec<u8>), EncodeError> {
        let Response { conn, status, mut head } = self;
        let asked = conn.asked;
        // A 2xx to CONNECT would be read as a tunnel.
        let tunnel = asked.connect && status.is_success();
        if conn.response != Writing::Due || status.is_informational() || tunnel {
            head = head.fail(EncodeError::State);
        }
        let silent = asked.head || status.has_no_body();
        if last {
            head = head.connection_close();
        } else if asked.http10 {
            head = head.connection_keep_alive();
        }
        let out = head.end_in()?;
        conn.last = last;
        conn.response = Writing::Body(BodyOut::new(end, silent));
        Ok((conn, out))
    }
}
