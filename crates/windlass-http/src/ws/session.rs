//! One open WebSocket on the engine: keepalive, deadlines, the closing handshake.

use windlass::{Bytes, Close, Conn, Input, Time};
use windlass_proto::ws::{CloseCode, Endpoint, Event, Kind, Sender, WsError};

use super::service::Message;
use super::worker::WsWorker;

/// Bytes of messages delivered in one callback, after which what else has come waits for the next turn: a
/// thousand bytes of input can inflate to a million.
const DELIVERED_ENOUGH: usize = 1024 * 1024;

/// An open WebSocket, to be kept in a session of yours once its opening handshake is done. It takes the
/// connection's deadline for itself: yours is [`Ws::wake_at`].
///
/// Each of the engine's callbacks has its counterpart here, and all must be passed on. `each` is called with
/// every message; an error of its own ends the connection with a Close frame that fits the reason.
#[derive(Debug)]
pub struct WsSession {
    endpoint: Endpoint,
    timers: Timers,
    // Where it stands among those that are open, until we begin to close.
    place: Option<u32>,
    // What of the worker's `held` is ours.
    held: usize,
    is_client: bool,
    code: Option<CloseCode>,
}

#[derive(Clone, Copy, Debug)]
struct Timers {
    heard: Time,
    // A ping is out and nothing was heard since.
    asked: bool,
    // The end of the closing handshake, whether the peer takes part in it or not.
    close_by: Option<Time>,
    wake: Option<Time>,
    paused: bool,
}

/// One open WebSocket and its connection, lent to a callback: what can be said.
pub struct Ws<'a, 'c> {
    conn: &'a mut Conn<'c>,
    worker: &'a mut WsWorker,
    sender: &'a mut Sender,
    timers: &'a mut Timers,
    place: &'a mut Option<u32>,
}

impl WsSession {
    /// The session of an endpoint whose opening handshake is done, server or client.
    pub fn new(endpoint: Endpoint, worker: &mut WsWorker, conn: &mut Conn<'_>) -> WsSession {
        let timers = Timers { heard: conn.now(), asked: false, close_by: None, wake: None, paused: false };
        worker.stats.count_opened();
        let place = Some(worker.enter(conn.id()));
        let is_client = conn.is_outbound();
        let session = WsSession { endpoint, timers, place, held: 0, is_client, code: None };
        session.timers.arm(worker, conn);
        session
    }

    /// What can be said on this WebSocket.
    pub fn ws<'a, 'c>(&'a mut self, worker: &'a mut WsWorker, conn: &'a mut Conn<'c>) -> Ws<'a, 'c> {
        Ws {
            conn,
            worker,
            sender: &mut self.endpoint.sender,
            timers: &mut self.timers,
            place: &mut self.place,
        }
    }

    /// Bytes arrived. Stops at a message that makes the connection congested, or that pauses it; the rest
    /// comes back after it.
    ///
    /// # Errors
    ///
    /// The end of the connection: a violation ([`WsError`], as [`Close::Protocol`]), the end of the closing
    /// handshake, or what `each` returned.
    pub fn data(
        &mut self,
        worker: &mut WsWorker,
        conn: &mut Conn<'_>,
        input: &mut Input<'_>,
        mut each: impl FnMut(&mut Ws<'_, '_>, Message<'_>) -> Result<(), Close>,
    ) -> Result<(), Close> {
        self.timers.heard = conn.now();
        self.timers.asked = false;
        // Input arrives to be taken, so nothing is left of an earlier pause.
        self.timers.paused = false;
        // Lent to the messages, so that what they are answered with can use the rest of the worker.
        let mut scratch = std::mem::take(&mut worker.scratch.receive);
        let result = self.messages(worker, conn, input, &mut scratch, &mut each);
        worker.scratch.receive = scratch;
        let result = result.and_then(|()| self.account(worker, conn));
        self.passed(worker, conn, result)
    }

    fn messages(
        &mut self,
        worker: &mut WsWorker,
        conn: &mut Conn<'_>,
        input: &mut Input<'_>,
        scratch: &mut windlass_proto::ws::ReceiveScratch,
        each: &mut impl FnMut(&mut Ws<'_, '_>, Message<'_>) -> Result<(), Close>,
    ) -> Result<(), Close> {
        let WsSession { endpoint: Endpoint { receiver, sender }, timers, place, code, .. } = self;
        let mut delivered = 0;
        loop {
            let event = receiver.next(input, scratch, sender, &mut worker.out);
            if !worker.out.is_empty() {
                conn.write(&worker.out);
                worker.out.clear();
            }
            let message = match event {
                Ok(Some(Event::Text(text))) => Message::Text(text),
                Ok(Some(Event::Binary(bytes))) => Message::Binary(bytes),
                Ok(Some(Event::Close(frame))) => {
                    *code = Some(frame.code);
                    if !self.is_client {
                        return Err(Close::Done);
                    }
                    // The server ends the connection (RFC 6455 section 7.1.1), in time or by the deadline.
                    timers.begin_close(worker, conn);
                    continue;
                }
                Ok(Some(_)) => continue,
                Ok(None) => return Ok(()),
                Err(error) => {
                    worker.stats.count(&error);
                    *code = Some(error.close_code());
                    return Err(error.into());
                }
            };
            delivered += match message {
                Message::Text(text) => text.len(),
                Message::Binary(bytes) => bytes.len(),
            };
            each(&mut Ws { conn, worker, sender, timers, place }, message)?;
            if (conn.is_congested() || timers.paused) && !input.is_empty() {
                return Ok(());
            }
            if delivered >= DELIVERED_ENOUGH && !input.is_empty() {
                // The others get their turn first; the rest is offered again in the next.
                conn.pause();
                conn.resume();
                return Ok(());
            }
        }
    }

    /// What this connection holds of the worker's memory for messages half received.
    fn account(&mut self, worker: &mut WsWorker, conn: &mut Conn<'_>) -> Result<(), Close> {
        let held = self.endpoint.receiver.held();
        let grown = held > self.held;
        worker.held = worker.held - self.held + held;
        self.held = held;
        if grown && worker.held > worker.config.partial_max && held > worker.share() {
            return Err(self.fail(WsError::Overloaded, worker, conn));
        }
        Ok(())
    }

    fn fail(&mut self, error: WsError, worker: &mut WsWorker, conn: &mut Conn<'_>) -> Close {
        worker.stats.count(&error);
        self.code = Some(error.close_code());
        let Endpoint { receiver, sender } = &mut self.endpoint;
        let error = receiver.fail(error, sender, &mut worker.out);
        conn.write(&worker.out);
        worker.out.clear();
        error.into()
    }

    /// The result of a callback of the service's: an end that it wants is told the peer.
    pub(super) fn passed(
        &mut self,
        worker: &mut WsWorker,
        conn: &mut Conn<'_>,
        result: Result<(), Close>,
    ) -> Result<(), Close> {
        result.inspect_err(|why| self.say_why(worker, conn, why))
    }

    /// A Close frame for an end that is not the protocol's doing.
    fn say_why(&mut self, worker: &mut WsWorker, conn: &mut Conn<'_>, why: &Close) {
        if self.endpoint.sender.is_closing() {
            return;
        }
        let code = match why {
            Close::Done | Close::Eof => CloseCode::NORMAL,
            Close::Shutdown => CloseCode::GOING_AWAY,
            Close::Refused | Close::Protocol(_) => CloseCode::POLICY,
            _ => CloseCode::INTERNAL,
        };
        self.ws(worker, conn).close(code, "");
    }

    /// The peer ended its stream: what is left of its messages is delivered, and the connection ends. Without
    /// a Close frame before it that is no good end ([`CloseCode::ABNORMAL`]).
    ///
    /// # Errors
    ///
    /// Always: why the connection ends.
    pub fn eof(
        &mut self,
        worker: &mut WsWorker,
        conn: &mut Conn<'_>,
        input: &mut Input<'_>,
        mut each: impl FnMut(&mut Ws<'_, '_>, Message<'_>) -> Result<(), Close>,
    ) -> Result<(), Close> {
        loop {
            let before = input.len();
            self.data(worker, conn, input, &mut each)?;
            if input.is_empty() || input.len() == before {
                break;
            }
        }
        let inside = !input.is_empty() || self.endpoint.receiver.is_inside();
        Err(if inside { Close::Truncated } else { Close::Eof })
    }

    /// The deadline passed. `Ok(true)`: the one set with [`Ws::wake_at`].
    ///
    /// # Errors
    ///
    /// [`WsError::PongTimeout`] and [`WsError::CloseTimeout`], the end of the connection.
    pub fn timeout(&mut self, worker: &mut WsWorker, conn: &mut Conn<'_>) -> Result<bool, Close> {
        let now = conn.now();
        if self.timers.close_by.is_some_and(|at| now >= at) {
            // Of a client that waited for the server to hang up: nothing is wrong.
            if self.endpoint.receiver.is_over() {
                return Err(Close::Done);
            }
            return Err(self.fail(WsError::CloseTimeout, worker, conn));
        }
        let config = &worker.config;
        let (interval, patience) = (config.ping_interval, config.pong_timeout);
        if !interval.is_zero() && self.timers.close_by.is_none() {
            if self.timers.paused || conn.is_congested() {
                // It is we who do not listen; who does not read is the engine's to find out.
                (self.timers.heard, self.timers.asked) = (now, false);
            }
            let due = self.timers.heard + interval;
            if self.timers.asked && now >= due + patience {
                return Err(self.fail(WsError::PongTimeout, worker, conn));
            }
            if !self.timers.asked && now >= due {
                self.timers.asked = true;
                self.endpoint.sender.ping(b"", &mut worker.out);
                conn.write(&worker.out);
                worker.out.clear();
            }
        }
        let woken = self.timers.wake.take_if(|at| now >= *at).is_some();
        self.timers.arm(worker, conn);
        Ok(woken)
    }

    /// The server shuts down: the peer is told (1001) and has until [`close_timeout`] to answer.
    ///
    /// [`close_timeout`]: super::WsServerConfig::close_timeout
    pub fn draining(&mut self, worker: &mut WsWorker, conn: &mut Conn<'_>) {
        self.ws(worker, conn).close(CloseCode::GOING_AWAY, "");
    }

    /// The connection is gone. Returns how: the code of the peer's Close frame, or of the one that an error
    /// was answered with; else [`CloseCode::ABNORMAL`].
    pub fn closed(self, worker: &mut WsWorker) -> CloseCode {
        worker.held -= self.held;
        if let Some(place) = self.place {
            worker.leave(place);
        }
        self.code.unwrap_or(CloseCode::ABNORMAL)
    }
}

impl Timers {
    fn arm(&self, worker: &WsWorker, conn: &mut Conn<'_>) {
        let config = &worker.config;
        let patience = if self.asked { config.pong_timeout } else { Default::default() };
        let keepalive = Some(self.heard + config.ping_interval + patience)
            .filter(|_| !config.ping_interval.is_zero() && self.close_by.is_none());
        if let Some(at) = [keepalive, self.close_by, self.wake].into_iter().flatten().min() {
            conn.wake_at(at);
        } else {
            conn.cancel_wake();
        }
    }

    fn begin_close(&mut self, worker: &WsWorker, conn: &mut Conn<'_>) {
        if self.close_by.is_none() {
            self.close_by = Some(conn.now() + worker.config.close_timeout);
            self.arm(worker, conn);
        }
    }
}

impl<'a, 'c> Ws<'a, 'c> {
    /// The connection: who it is, the time, random bits. What is written to it is WebSocket frames.
    pub fn conn(&mut self) -> &mut Conn<'c> {
        self.conn
    }

    /// Sends a message. False once this end has begun to close.
    pub fn send(&mut self, message: Message<'_>) -> bool {
        match message {
            Message::Text(text) => self.text(text),
            Message::Binary(bytes) => self.binary(bytes),
        }
    }

    /// Sends a message of text. False once this end has begun to close.
    pub fn text(&mut self, text: &str) -> bool {
        self.message(Kind::Text, text.as_bytes())
    }

    /// Sends a message of bytes. False once this end has begun to close.
    pub fn binary(&mut self, bytes: &[u8]) -> bool {
        self.message(Kind::Binary, bytes)
    }

    fn message(&mut self, kind: Kind, message: &[u8]) -> bool {
        let encoded = self.sender.encode(kind, message, &mut self.worker.scratch.send);
        if let Some(encoded) = &encoded {
            self.conn.write(encoded.head.as_ref());
            self.conn.write(encoded.payload);
        }
        encoded.is_some()
    }

    /// Sends a [`frame`](super::frame) that was encoded before, for several. Servers only.
    pub fn frame(&mut self, frame: &Bytes) -> bool {
        let open = !self.sender.is_closing();
        if open {
            self.conn.write_shared(frame.clone());
        }
        open
    }

    /// Sends a [`frame`](super::frame) to all other open WebSockets of the service on this worker: it is
    /// encoded once and copied for none of them.
    pub fn broadcast(&mut self, frame: &Bytes) {
        self.worker.broadcast(self.conn, frame);
    }

    /// Begins the closing handshake: nothing more is sent or delivered, and the connection ends when the peer
    /// has answered, or after [`close_timeout`](super::WsServerConfig::close_timeout).
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        self.sender.close(code, reason, &mut self.worker.out);
        if !self.worker.out.is_empty() {
            self.conn.write(&self.worker.out);
            self.worker.out.clear();
        }
        if let Some(place) = self.place.take() {
            self.worker.leave(place);
        }
        self.timers.begin_close(self.worker, self.conn);
        // It may have been paused, and the answer must be read.
        self.resume();
    }

    /// Whether this end has begun to close.
    pub fn is_closing(&self) -> bool {
        self.sender.is_closing()
    }

    /// Delivers no more messages until [`resume`](Ws::resume), and reads none: the peer is slowed down by TCP.
    /// No sign of life is asked of it.
    pub fn pause(&mut self) {
        self.timers.paused = true;
        self.conn.pause();
    }

    /// Undoes [`pause`](Ws::pause).
    pub fn resume(&mut self) {
        self.timers.paused = false;
        self.conn.resume();
    }

    /// Sets the deadline of this WebSocket: [`WsService::timeout`](super::WsService::timeout) is called then.
    /// There is one; setting it again replaces it.
    pub fn wake_at(&mut self, at: Time) {
        self.timers.wake = Some(at);
        self.timers.arm(self.worker, self.conn);
    }
}
