//! The gateway of WebSockets: a connection with a ticket, on its way to its room, and in it.

use std::time::Duration;

use windlass::{Close, Conn, Input, MoveError};
use windlass_http::ws::{CloseCode, Message, Upgrade, WsSession, WsWorker};
use windlass_http::{Accepted, MoveUpgraded, Refusal, Request, Upgraded};
use windlass_proto::http::Status;
use windlass_proto::ws::{Endpoint, HandshakeError};

use crate::game::Game;
use crate::hall::{Unclaimed, Way};
use crate::room::Leave;
use crate::ticket::Ticket;
use crate::wire::{SUBPROTOCOL, short};

/// A connection of a player: an upgraded connection of the game's [`Http`](windlass_http::Http).
#[derive(Debug)]
pub struct Gate {
    ticket: Ticket,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Agreed to, and not at the room's worker yet, or about to be asked for there.
    Agreed(Box<Endpoint>),
    Open(WsSession),
    /// Never seen: what stands there while one becomes the other.
    Between,
}

/// What of a [`Gate`] travels to another worker.
#[derive(Debug)]
pub struct GateSeed {
    ticket: Ticket,
    endpoint: Option<Box<Endpoint>>,
}

/// Close codes of ours, from those that are free for any use (RFC 6455 section 7.4.2).
const KICKED: CloseCode = CloseCode(4000);
pub(crate) const SLOW: CloseCode = CloseCode(4001);
pub(crate) const CLOSED: CloseCode = CloseCode(4002);
pub(crate) const EXPIRED: CloseCode = CloseCode(4003);
/// No ticket, or none in time: over datagrams, where there is no status of HTTP.
pub(crate) const NO_TICKET: CloseCode = CloseCode(4004);
pub(crate) const REJECTED: CloseCode = CloseCode(4005);
/// Another connection has come with the same ticket.
pub(crate) const ELSEWHERE: CloseCode = CloseCode(4006);

/// Why a seat is over, as whoever had it is told.
pub(crate) fn code_of(why: Leave) -> CloseCode {
    match why {
        Leave::Left | Leave::Lost => CloseCode::NORMAL,
        Leave::Kicked => KICKED,
        Leave::Slow => SLOW,
        Leave::Abuse => CloseCode::POLICY,
        Leave::Closed => CLOSED,
    }
}

/// How long the move to another worker may take: it is a turn or two.
const MOVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks at the request: the origin, the subprotocol, and whether the ticket is one of ours.
pub(crate) fn accept(game: &mut Game, request: &Request<'_>) -> Result<Accepted<Gate>, Refusal> {
    let upgrade = Upgrade::new(&request.head, &game.ws.config().origins).map_err(|error| {
        game.ws_refused(&error);
        Refusal(error.status())
    })?;
    let refused = |game: &mut Game, status| {
        game.ws_refused(&HandshakeError::Refused(status));
        Refusal(status)
    };
    if !upgrade.protocols().any(|name| name == SUBPROTOCOL) {
        return Err(refused(game, Status::BAD_REQUEST));
    }
    let ticket = request.param("ticket").and_then(|text| Ticket::read(&text, &game.config.key));
    let Some(ticket) = ticket else { return Err(refused(game, Status::FORBIDDEN)) };
    let (endpoint, headers) = upgrade.agree(&game.ws.config().endpoint, Some(SUBPROTOCOL));
    let accepted = Accepted::new(Gate { ticket, state: State::Agreed(Box::new(endpoint)) });
    Ok(headers.iter().fold(accepted, |accepted, (name, value)| accepted.header(name, value)))
}

impl Gate {
    /// On the worker of its room: takes the seat, or is told why not.
    fn enter(&mut self, game: &mut Game, conn: &mut Conn<'_>) -> Result<(), Close> {
        let State::Agreed(endpoint) = std::mem::replace(&mut self.state, State::Between) else {
            return Ok(());
        };
        let (id, now, ticket) = (conn.id(), conn.now(), self.ticket);
        let mut session = WsSession::new(*endpoint, &mut game.ws, conn);
        match game.hall.claim(ticket, Way::WebSocket(id), now) {
            Ok(claimed) => {
                if let Some(before) = claimed.before {
                    game.superseded.push(before);
                }
                let Game { hall, ws, .. } = &mut *game;
                hall.welcome(ticket, &mut |message| {
                    session.ws(ws, conn).binary(message);
                });
            }
            Err(unclaimed) => {
                let (code, why) = match &unclaimed {
                    Unclaimed::NoRoom => (CLOSED, "the room is over"),
                    Unclaimed::Expired => (EXPIRED, "the seat was given away"),
                    Unclaimed::Rejected(reject) => (REJECTED, reject.0.as_str()),
                };
                session.ws(&mut game.ws, conn).close(code, short(why));
            }
        }
        self.state = State::Open(session);
        game.tell();
        Ok(())
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, ws: &mut WsWorker, conn: &mut Conn<'_>, message: &[u8]) {
        if let State::Open(session) = &mut self.state {
            session.ws(ws, conn).binary(message);
        }
    }

    /// Ends it, and says why.
    pub(crate) fn end(&mut self, ws: &mut WsWorker, conn: &mut Conn<'_>, why: Leave, text: &str) {
        if let State::Open(session) = &mut self.state {
            session.ws(ws, conn).close(code_of(why), short(text));
        }
    }

    /// Another connection has its seat.
    pub(crate) fn elsewhere(&mut self, ws: &mut WsWorker, conn: &mut Conn<'_>) {
        if let State::Open(session) = &mut self.state {
            session.ws(ws, conn).close(ELSEWHERE, "the seat was taken over");
        }
    }
}

impl Upgraded<Game> for Gate {
    fn open(&mut self, game: &mut Game, conn: &mut Conn<'_>) -> Result<(), Close> {
        game.settle(conn.id().worker(), conn.now());
        match conn.move_to(self.ticket.worker.into()) {
            Ok(()) => {
                conn.wake_at(conn.now() + MOVE_TIMEOUT);
                Ok(())
            }
            Err(MoveError::Here) => self.enter(game, conn),
            // Where connections cannot move, all rooms are on one worker or its players come by another way; but this one
            // may be the right one.
            Err(_) if conn.id().worker() == usize::from(self.ticket.worker) => self.enter(game, conn),
            Err(error) => Err(error.into()),
        }
    }

    fn data(&mut self, game: &mut Game, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close> {
        // What comes before it is there waits, and goes with it.
        let State::Open(session) = &mut self.state else { return Ok(()) };
        let ticket = self.ticket;
        let Game { hall, ws, messages, .. } = &mut *game;
        let outcome = session.data(ws, conn, input, |ws, message| {
            *messages += 1;
            let (way, now) = (Way::WebSocket(ws.conn().id()), ws.conn().now());
            let Message::Binary(bytes) = message else {
                hall.leave(ticket, way, Leave::Abuse);
                return Err(Close::Protocol("a message of text".into()));
            };
            match hall.received(ticket, way, bytes, now) {
                Ok(()) => {}
                Err(why @ Leave::Left) => {
                    hall.leave(ticket, way, why);
                    ws.close(CloseCode::NORMAL, "");
                }
                Err(why) => {
                    hall.leave(ticket, way, why);
                    return Err(Close::Protocol("too many messages, or what is none".into()));
                }
            }
            Ok(())
        });
        game.tell();
        outcome
    }

    fn eof(&mut self, game: &mut Game, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close> {
        self.data(game, conn, input)?;
        Err(if input.is_empty() { Close::Eof } else { Close::Truncated })
    }

    fn timeout(&mut self, game: &mut Game, conn: &mut Conn<'_>) -> Result<(), Close> {
        let State::Open(session) = &mut self.state else { return Err(Close::Timeout) };
        session.timeout(&mut game.ws, conn).map(|_| ())
    }

    fn draining(&mut self, game: &mut Game, conn: &mut Conn<'_>) -> Result<(), Close> {
        let State::Open(session) = &mut self.state else { return Err(Close::Shutdown) };
        // Its room has been told, and ends it in time.
        if game.hall.goes_on(self.ticket) {
            return Ok(());
        }
        if !session.ws(&mut game.ws, conn).is_closing() {
            session.draining(&mut game.ws, conn);
        }
        Ok(())
    }

    fn closed(self, game: &mut Game, conn: &mut Conn<'_>, _: Close) {
        if let State::Open(session) = self.state {
            session.closed(&mut game.ws);
            game.hall.lost(self.ticket, Way::WebSocket(conn.id()), conn.now());
            game.tell();
        }
    }
}

impl MoveUpgraded<Game> for Gate {
    type Seed = GateSeed;

    fn move_out(self, game: &mut Game, _: &mut Conn<'_>) -> GateSeed {
        game.hall.stats.moved += 1;
        let endpoint = if let State::Agreed(endpoint) = self.state { Some(endpoint) } else { None };
        GateSeed { ticket: self.ticket, endpoint }
    }

    fn move_in(game: &mut Game, conn: &mut Conn<'_>, seed: GateSeed) -> Result<Gate, Close> {
        game.settle(conn.id().worker(), conn.now());
        // Only those that are agreed to ever ask to move.
        let endpoint = seed.endpoint.ok_or(Close::Aborted)?;
        let mut gate = Gate { ticket: seed.ticket, state: State::Agreed(endpoint) };
        gate.enter(game, conn)?;
        Ok(gate)
    }
}
