//! The client's end of a connection: requests out, responses in, in the same order.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::http::body::{Body, Piece};
use crate::http::body_out::{BodyOut, End};
use crate::http::{
    EncodeError, Framing, HeadEncoder, HeaderLines, Headers, HttpError, Limits, ResponseHead, ResponseHeads,
    Status,
};
use crate::{Decode, Input};

/// Interim responses to one request; a server that sends more has lost its way.
const INTERIM_MAX: u8 = 16;

/// What arrives of a response: perhaps interim ones, its head, its body in pieces of any size, perhaps
/// trailers, and its end. Every response has a head and an end.
#[derive(Debug)]
#[non_exhaustive]
pub enum ResponsePart<'b> {
    /// An interim response, 100 or 103: the true one is still to come.
    Interim(ResponseHead<'b>),
    /// A response begins.
    Head(ResponseHead<'b>),
    /// Some of its body, without the framing of chunks.
    Body(&'b mut [u8]),
    /// What stands behind the last chunk.
    Trailers(Headers<'b>),
    /// All of it was there.
    End,
}

/// The client's end of one connection.
///
/// Requests are appended to a buffer of the caller's, one whole before the next; up to
/// [`pipeline_max`](ClientConn::pipeline_max) of them may wait for their responses, which come out of
/// [`decode`](Decode::decode) in the same order. A response that nobody asked for is an error, an upgrade that
/// nobody asked for too.
///
/// ```
/// use windlass_proto::http::{ClientConn, ResponsePart, Status};
/// use windlass_proto::{Decode, Input};
///
/// let (mut conn, mut out) = (ClientConn::default(), Vec::new());
/// conn.request(&mut out, "GET", "/a", "example.com").header("accept", "*/*").empty()?;
/// assert_eq!(out, b"GET /a HTTP/1.1\r\nhost: example.com\r\naccept: */*\r\n\r\n");
///
/// let mut received = *b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
/// let mut input = Input::new(&mut received);
/// while let Some(part) = conn.decode(&mut input)? {
///     match part {
///         ResponsePart::Head(head) => assert_eq!(head.status, Status::OK),
///         ResponsePart::Body(piece) => assert_eq!(piece, b"hi"),
///         _ => {}
///     }
/// }
/// assert!(conn.is_reusable());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ClientConn {
    heads: ResponseHeads,
    // What was asked and is not answered, the oldest first; the newest may still be under way.
    asked: VecDeque<Asked>,
    pipeline_max: usize,
    sending: Option<BodyOut>,
    // Of the response to the oldest.
    receiving: Option<Body>,
    interim: u8,
    // No further request may be sent: we asked for the end, or the server will end it.
    last: bool,
    // The response under way is the last there will be.
    last_response: bool,
    over: bool,
    switched: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Head,
    Connect,
    Upgrade,
    Other,
}

impl Asked {
    // The method as far as a body's framing asks for it.
    fn method(self) -> &'static str {
        match self {
            Asked::Head => "HEAD",
            Asked::Connect => "CONNECT",
            Asked::Upgrade | Asked::Other => "",
        }
    }
}

/// One request at a time, with the default limits.
impl Default for ClientConn {
    fn default() -> ClientConn {
        ClientConn::new(Limits::default())
    }
}

impl ClientConn {
    /// A fresh connection with these limits, which are those of responses. One request at a time.
    pub fn new(limits: Limits) -> ClientConn {
        ClientConn {
            heads: ResponseHeads::new(limits),
            asked: VecDeque::new(),
            pipeline_max: 1,
            sending: None,
            receiving: None,
            interim: 0,
            last: false,
            last_response: false,
            over: false,
            switched: false,
        }
    }

    /// How many requests may be sent before the first is answered. Behind an upgrade, a `CONNECT`, or a
    /// request whose response may end the connection, none is sent whatever this says.
    pub fn pipeline_max(mut self, requests: usize) -> ClientConn {
        self.pipeline_max = requests.max(1);
        self
    }

    /// Requests that were begun and whose responses are not complete.
    pub fn pending(&self) -> usize {
        self.asked.len()
    }

    /// Whether a request can be sent now.
    pub fn is_ready(&self) -> bool {
        let behind = self.asked.back().is_none_or(|newest| matches!(newest, Asked::Head | Asked::Other));
        !self.last
            && !self.over
            && !self.switched
            && self.sending.is_none()
            && behind
            && self.asked.len() < self.pipeline_max
    }

    /// Whether nothing is under way and another request may be sent: such a connection can be kept. If there
    /// are bytes in the input, the server sent more than it was asked for, and it cannot.
    pub fn is_reusable(&self) -> bool {
        self.asked.is_empty() && self.is_ready()
    }

    /// Whether the response under way is the last there will be: what was asked behind it will not be
    /// answered, and what is not sent yet need not be.
    pub fn is_closing(&self) -> bool {
        self.last_response
    }

    /// Whether nothing will come of this connection any more: it is to be closed.
    pub fn is_over(&self) -> bool {
        self.over || (self.last && self.asked.is_empty() && !self.switched)
    }

    /// Whether another protocol has begun. What is left in the input is its own.
    pub fn is_switched(&self) -> bool {
        self.switched
    }

    /// Whether the body of a request is under way.
    pub fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// Sets the limit of the response's body under way anew; before any of it was read.
    pub fn set_body_max(&mut self, bytes: u64) {
        if let Some(body) = &mut self.receiving {
            body.set_max(bytes);
        }
    }

    /// Begins a request. `host` is the value of its `host` header: a name or an address, and a port unless it
    /// is the customary one. What comes of it is decided by how it is ended: [`empty`](Request::empty),
    /// [`body`](Request::body), [`length`](Request::length), ...
    pub fn request<'c, 'o>(
        &'c mut self,
        out: &'o mut Vec<u8>,
        method: &str,
        target: &str,
        host: &str,
    ) -> Request<'c, 'o> {
        let asked = match method {
            "HEAD" => Asked::Head,
            "CONNECT" => Asked::Connect,
            _ => Asked::Other,
        };
        let mut head = HeadEncoder::request(out, method, target).header("host", host);
        if !self.is_ready() {
            head = head.fail(EncodeError::State);
        }
        let bodyless = matches!(method, "GET" | "HEAD" | "CONNECT" | "OPTIONS" | "TRACE" | "DELETE");
        Request { conn: self, asked, bodyless, last: false, head }
    }

    /// Notes that a request is sent whose head the caller has written with a [`HeadEncoder`]: for who may have
    /// to send the same head on another connection. `framing` is what the head says of the body, and `upgrade`
    /// whether it asks for another protocol.
    ///
    /// # Errors
    ///
    /// [`EncodeError::State`] if no request can be sent now, for a body that ends with the connection or stands
    /// with an upgrade, and for an upgrade with `HEAD`: that asks about a response, and begins nothing.
    pub fn sent(&mut self, method: &str, framing: Framing, upgrade: bool) -> Result<(), EncodeError> {
        let asked = match method {
            "HEAD" if upgrade => return Err(EncodeError::State),
            _ if upgrade => Asked::Upgrade,
            "HEAD" => Asked::Head,
            "CONNECT" => Asked::Connect,
            _ => Asked::Other,
        };
        let sending = match framing {
            Framing::Empty => None,
            Framing::UntilClose => return Err(EncodeError::State),
            _ if matches!(asked, Asked::Connect | Asked::Upgrade) => return Err(EncodeError::State),
            Framing::Length(length) => Some(BodyOut::new(End::Length(length), false)),
            Framing::Chunked => Some(BodyOut::new(End::Chunked, false)),
        };
        if !self.is_ready() {
            return Err(EncodeError::State);
        }
        self.asked.push_back(asked);
        self.sending = sending;
        Ok(())
    }

    /// Writes a piece of the body of the request under way.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Length`] if it is more than was said, [`EncodeError::State`] if no body is under way.
    pub fn write(&mut self, out: &mut Vec<u8>, piece: &[u8]) -> Result<(), EncodeError> {
        self.sending.as_mut().ok_or(EncodeError::State)?.write(out, piece)
    }

    /// Writes what stands before a piece of `len` bytes that the caller sends itself, without a copy. If
    /// true, the piece is to be sent, and [`end_piece`](ClientConn::end_piece) called behind it; if false
    /// neither.
    ///
    /// # Errors
    ///
    /// As [`write`](ClientConn::write) has.
    #[must_use = "the piece is sent, or not"]
    pub fn begin_piece(&mut self, out: &mut Vec<u8>, len: usize) -> Result<bool, EncodeError> {
        self.sending.as_mut().ok_or(EncodeError::State)?.begin(out, len)
    }

    /// Writes what stands behind a piece that [`begin_piece`](ClientConn::begin_piece) began.
    pub fn end_piece(&mut self, out: &mut Vec<u8>) {
        if let Some(body) = &self.sending {
            body.end(out);
        }
    }

    /// Ends the body of the request under way.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Length`] if it is less than was said: then the connection can only be aborted.
    /// [`EncodeError::State`] if no body is under way.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.finish_with_trailers(out, &[])
    }

    /// The same with trailers, behind chunks.
    ///
    /// # Errors
    ///
    /// As [`finish`](ClientConn::finish); and [`EncodeError::State`] if the body is not chunked.
    pub fn finish_with_trailers(
        &mut self,
        out: &mut Vec<u8>,
        trailers: &[(&str, &[u8])],
    ) -> Result<(), EncodeError> {
        self.sending.as_ref().ok_or(EncodeError::State)?.finish(out, trailers)?;
        self.sending = None;
        Ok(())
    }

    /// A final head has come: what it answers, and what follows.
    fn begin(&mut self, asked: Asked, head: &ResponseHead<'_>) -> Result<(), HttpError> {
        self.interim = 0;
        if head.status == Status::SWITCHING_PROTOCOLS && (asked != Asked::Upgrade || head.upgrade.is_none()) {
            return Err(HttpError::Unexpected);
        }
        let tunnel = asked == Asked::Connect && head.status.is_success();
        self.switched = tunnel || head.status == Status::SWITCHING_PROTOCOLS;
        let framing = head.framing_for(asked.method());
        self.last_response |= !head.keep_alive || framing == Framing::UntilClose;
        self.last |= self.last_response;
        self.receiving = Some(Body::new(framing, self.heads.limits().body_max));
        Ok(())
    }

    fn complete(&mut self) {
        self.asked.pop_front();
        self.receiving = None;
        // Answered before it was sent whole: a server that does so may not read the rest.
        self.over |= self.asked.is_empty() && self.sending.is_some();
        // Whatever else was asked will not be answered.
        self.over |= self.last_response && !self.switched;
    }
}

impl Decode for ClientConn {
    type Message<'b> = ResponsePart<'b>;
    type Error = HttpError;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<ResponsePart<'b>>, HttpError> {
        if let Some(body) = &mut self.receiving {
            let Some(piece) = body.next(input, self.heads.limits())? else { return Ok(None) };
            return Ok(Some(match piece {
                Piece::Bytes(bytes) => ResponsePart::Body(bytes),
                Piece::Trailers(trailers) => ResponsePart::Trailers(trailers),
                Piece::End => {
                    self.complete();
                    ResponsePart::End
                }
            }));
        }
        if self.over || self.switched || input.is_empty() {
            return Ok(None);
        }
        let Some(&asked) = self.asked.front() else { return Err(HttpError::Unexpected) };
        let Some(head) = self.heads.decode(input)? else { return Ok(None) };
        if head.status.is_informational() && head.status != Status::SWITCHING_PROTOCOLS {
            self.interim += 1;
            return if self.interim <= INTERIM_MAX {
                Ok(Some(ResponsePart::Interim(head)))
            } else {
                Err(HttpError::Unexpected)
            };
        }
        self.begin(asked, &head)?;
        Ok(Some(ResponsePart::Head(head)))
    }

    /// The server has finished sending: the end of a body without a length, good order between two
    /// requests, and an error elsewhere.
    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<ResponsePart<'b>>, HttpError> {
        match &self.receiving {
            Some(body) if body.is_until_close() => {
                self.complete();
                self.over = true;
                Ok(Some(ResponsePart::End))
            }
            Some(_) => Err(HttpError::Truncated),
            None if self.over || self.switched => Ok(None),
            None if self.asked.is_empty() && input.is_empty() => {
                self.over = true;
                Ok(None)
            }
            None => Err(HttpError::Truncated),
        }
    }
}

/// The head of a request on its way: headers first, then one of the methods that end it and say how its
/// body will end. The headers `host`, `connection`, `content-length` and `transfer-encoding` are written by
/// them.
#[must_use = "nothing is asked before the request is ended"]
#[derive(Debug)]
pub struct Request<'c, 'o> {
    conn: &'c mut ClientConn,
    asked: Asked,
    // A request with this method says nothing of a length when it has no body.
    bodyless: bool,
    last: bool,
    head: HeadEncoder<'o>,
}

impl<'c, 'o> Request<'c, 'o> {
    /// Adds a header line.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.head = if name.eq_ignore_ascii_case("host") {
            self.head.fail(EncodeError::Framing)
        } else {
            self.head.header(name, value)
        };
        self
    }

    /// Adds header lines that were checked before, `host` not among them.
    pub fn lines(mut self, lines: &HeaderLines) -> Self {
        self.head =
            if lines.names_host() { self.head.fail(EncodeError::Framing) } else { self.head.lines(lines) };
        self
    }

    /// Asks the server to end the connection after it.
    pub fn close(mut self) -> Self {
        self.last = true;
        self
    }

    /// A request without a body.
    ///
    /// # Errors
    ///
    /// The first mistake in the head; [`EncodeError::State`] if no request can be sent now. Nothing has been
    /// written then.
    pub fn empty(mut self) -> Result<(), EncodeError> {
        if !self.bodyless {
            self.head = self.head.length(0);
        }
        self.end(None).map(drop)
    }

    /// A request with this body, whole.
    ///
    /// # Errors
    ///
    /// As [`empty`](Request::empty).
    pub fn body(mut self, body: &[u8]) -> Result<(), EncodeError> {
        if self.asked == Asked::Connect {
            self.head = self.head.fail(EncodeError::State);
        }
        self.head = self.head.length(body.len() as u64);
        let (_, out) = self.end(None)?;
        out.extend_from_slice(body);
        Ok(())
    }

    /// A body of exactly so many bytes follows, in pieces.
    ///
    /// # Errors
    ///
    /// As [`empty`](Request::empty).
    pub fn length(mut self, bytes: u64) -> Result<(), EncodeError> {
        self.head = self.head.length(bytes);
        self.end(Some(End::Length(bytes))).map(drop)
    }

    /// A body follows in pieces, and nobody knows how long it is. The server must speak HTTP/1.1.
    ///
    /// # Errors
    ///
    /// As [`empty`](Request::empty).
    pub fn chunked(mut self) -> Result<(), EncodeError> {
        self.head = self.head.chunked();
        self.end(Some(End::Chunked)).map(drop)
    }

    /// Asks to go on with another protocol, without a body. Nothing else is sent before the answer.
    ///
    /// # Errors
    ///
    /// As [`empty`](Request::empty); and [`EncodeError::State`] for `HEAD`, which begins nothing.
    pub fn upgrade(mut self, protocol: &str) -> Result<(), EncodeError> {
        if self.asked == Asked::Head {
            self.head = self.head.fail(EncodeError::State);
        }
        self.asked = Asked::Upgrade;
        self.head = self.head.upgrade(protocol);
        self.end(None).map(drop)
    }

    fn end(mut self, body: Option<End>) -> Result<(&'c mut ClientConn, &'o mut Vec<u8>), EncodeError> {
        if self.asked == Asked::Connect && body.is_some() {
            self.head = self.head.fail(EncodeError::State);
        }
        if self.last {
            self.head = self.head.connection_close();
        }
        let out = self.head.end_in()?;
        self.conn.asked.push_back(self.asked);
        self.conn.sending = body.map(|end| BodyOut::new(end, false));
        self.conn.last |= self.last;
        Ok((self.conn, out))
    }
}
